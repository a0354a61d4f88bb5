"""North-east-down and forward-right-down, as autopilots have them, to ENU and FLU, as REP-103 has them.

Source: REP-103, "Standard Units of Measure and Coordinate Conventions", axis orientation; PX4 user guide, "Reference
Frames".
"""

import numpy as np

from mainstem.core import rotations
from mainstem.core.rotations import Array

HALF = np.sqrt(0.5)
ENU_FROM_NED = np.array([0.0, HALF, HALF, 0.0])  # x and y change places, z turns over: half a turn about x + y
FRD_FROM_FLU = np.array([0.0, 1.0, 0.0, 0.0])  # y and z turn over: half a turn about x


def flu_of_frd(vectors: Array) -> Array:
    """Return vectors (..., 3) of a forward-right-down body as forward-left-up."""
    turned: Array = vectors * np.array([1.0, -1.0, -1.0])
    return turned


def enu_of_ned(vectors: Array) -> Array:
    """Return vectors (..., 3) of a north-east-down world as east-north-up."""
    turned: Array = vectors[..., [1, 0, 2]] * np.array([1.0, 1.0, -1.0])
    return turned


def enu_flu_of_ned_frd(rotation: Array) -> Array:
    """Return quaternions (..., 4) "ENU from FLU", w not negative, of "NED from FRD"."""
    turned = rotations.multiply(rotations.multiply(ENU_FROM_NED, rotation), FRD_FROM_FLU)
    return np.where(turned[..., :1] < 0, -turned, turned)
