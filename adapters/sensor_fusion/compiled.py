"""Functions compiled to machine code at their first call, and unit quaternions (4,) w, x, y, z for them.

A filter's step is a few thousand products of small matrices; NumPy's calls alone cost ten times as much. The same
rotations for many at once, in NumPy, are in `core.rotations`, against which these are tested.
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import MissingExtraError
from mainstem.core.files import home

Array = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])
SMALL = 1e-12  # squared angle, rad2, below which the series is exact in float64


def compiled(function: Function) -> Function:
    """Return the function as it is compiled when it is first called; what was compiled is kept beside the file.

    Raises:
        MissingExtraError: if the compiler is not installed.
    """
    try:
        from numba import config, njit
    except ImportError as error:
        raise MissingExtraError("numba", "robot") from error
    settings = vars(config)
    before, settings["CACHE_DIR"] = settings["CACHE_DIR"], str(_kept_in())
    try:
        return cast(Function, njit(cache=True, nogil=True)(function))
    finally:
        settings["CACHE_DIR"] = before


@cache
def _kept_in() -> Path:
    """The folder of what was compiled of these very sources: a compiled function holds those that it calls.

    Numba looks at a function's own file alone, and would go on with what another file said before it was changed.
    """
    own = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(own.glob("*.py")))
    name = f"compiled-{hashlib.sha256(sources).hexdigest()[:16]}"
    return own / "__pycache__" / name if os.access(own, os.W_OK) else home() / name


@compiled
def multiply(left: Array, right: Array) -> Array:
    """Return the Hamilton product (4,)."""
    aw, ax, ay, az = left
    bw, bx, by, bz = right
    return np.array(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ]
    )


@compiled
def conjugate(rotation: Array) -> Array:
    """Return the inverse rotation (4,)."""
    return np.array([rotation[0], -rotation[1], -rotation[2], -rotation[3]])


@compiled
def normalise(rotation: Array) -> Array:
    """Return a quaternion (4,) of length 1."""
    unit: Array = rotation / np.sqrt((rotation * rotation).sum())
    return unit


@compiled
def exp(vector: Array) -> Array:
    """Return the rotation (4,) of a rotation vector (3,), rad."""
    square = (vector * vector).sum()
    half = 0.5 * np.sqrt(square)
    share = 0.5 - square / 48 if square < SMALL else np.sin(half) / (2 * half)
    return np.array([np.cos(half), share * vector[0], share * vector[1], share * vector[2]])


@compiled
def log(rotation: Array) -> Array:
    """Return the shortest rotation vector (3,), rad."""
    sign = -1.0 if rotation[0] < 0 else 1.0
    part = sign * rotation[1:]
    sine = np.sqrt((part * part).sum())
    share = 2.0 if sine * sine < SMALL else 2 * np.arctan2(sine, sign * rotation[0]) / sine
    vector: Array = share * part
    return vector


@compiled
def to_matrix(rotation: Array) -> Array:
    """Return the rotation matrix (3, 3)."""
    w, x, y, z = rotation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@compiled
def rotate(rotation: Array, vector: Array) -> Array:
    """Return a vector (3,), turned."""
    part = rotation[1:]
    twice = 2 * np.cross(part, vector)
    turned: Array = vector + rotation[0] * twice + np.cross(part, twice)
    return turned


@compiled
def skew(vector: Array) -> Array:
    """Return the matrix (3, 3) whose product with b is the cross product of a vector with b."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
