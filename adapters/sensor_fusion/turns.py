"""One rotation at a time, in plain floats: the filter moves at each reading, where a NumPy call costs more.

The same conventions and formulas as core/rotations.py, which a test holds these to.
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def turned_by(attitude: Array, vector: Array) -> Array:
    """Return the unit quaternion (4,) attitude times exp(vector), rad, in the body's axes."""
    aw, ax, ay, az = attitude.tolist()
    bw, bx, by, bz = _exp(vector)
    return _unit(
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def _exp(vector: Array) -> tuple[float, float, float, float]:
    x, y, z = vector.tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    share = math.sin(angle / 2) / angle if angle > 1e-6 else 0.5 - angle * angle / 48
    return math.cos(angle / 2), share * x, share * y, share * z


def _unit(w: float, x: float, y: float, z: float) -> Array:
    length = math.sqrt(w * w + x * x + y * y + z * z)
    return np.array([w / length, x / length, y / length, z / length])


def matrix_of(attitude: Array) -> Array:
    """Return the rotation matrix (3, 3) of a unit quaternion (4,)."""
    w, x, y, z = attitude.tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def skew(vector: Array) -> Array:
    """Return the matrix (3, 3) whose product with b is vector (3,) cross b."""
    x, y, z = vector.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
