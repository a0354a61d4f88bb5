"""Unit quaternions (..., 4), order w, x, y, z, as arrays: products, exponentials, logarithms, rotation of vectors.

A quaternion of "earth from sensor" turns vectors told in the sensor's axes into the earth's. Tangent vectors (..., 3)
are rotation vectors in rad. Source: Sola 2017, Quaternion kinematics for the error-state Kalman filter, sections 1-2.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SMALL = 1e-12  # squared angle, rad2, below which the series is exact in float64


def multiply(left: Array, right: Array) -> Array:
    """Return the Hamilton product (..., 4)."""
    aw, ax, ay, az = np.moveaxis(left, -1, 0)
    bw, bx, by, bz = np.moveaxis(right, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(rotation: Array) -> Array:
    """Return the inverse rotation (..., 4)."""
    inverse: Array = rotation * np.array([1.0, -1.0, -1.0, -1.0])
    return inverse


def normalise(rotation: Array) -> Array:
    """Return quaternions (..., 4) of length 1."""
    unit: Array = rotation / np.linalg.norm(rotation, axis=-1, keepdims=True)
    return unit


def exp(vector: Array) -> Array:
    """Return the rotations (..., 4) of rotation vectors (..., 3), rad."""
    square = (vector * vector).sum(-1, keepdims=True)
    half = 0.5 * np.sqrt(square)
    is_small = square < SMALL
    share = np.where(is_small, 0.5 - square / 48, np.sin(half) / np.where(is_small, 1.0, 2 * half))
    return np.concatenate([np.cos(half), share * vector], axis=-1)


def log(rotation: Array) -> Array:
    """Return the shortest rotation vectors (..., 3), rad, at most pi long."""
    signed = np.where(rotation[..., :1] < 0, -rotation, rotation)
    sine = np.linalg.norm(signed[..., 1:], axis=-1, keepdims=True)
    is_small = sine < np.sqrt(SMALL)
    share = np.where(is_small, 2.0, 2 * np.arctan2(sine, signed[..., :1]) / np.where(is_small, 1.0, sine))
    vector: Array = share * signed[..., 1:]
    return vector


def rotate(rotation: Array, vector: Array) -> Array:
    """Return vectors (..., 3), turned."""
    w, part = rotation[..., :1], rotation[..., 1:]
    twice = 2 * np.cross(part, vector)
    turned: Array = vector + w * twice + np.cross(part, twice)
    return turned


def to_matrix(rotation: Array) -> Array:
    """Return rotation matrices (..., 3, 3)."""
    w, x, y, z = np.moveaxis(rotation, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def from_matrix(matrix: Array) -> Array:
    """Return quaternions (..., 4), w not negative, of rotation matrices (..., 3, 3).

    Source: Shepperd 1978, Quaternion from rotation matrix: the largest of four sums is divided by.
    """
    trace = np.trace(matrix, axis1=-2, axis2=-1)
    squares = np.stack([1 + trace, *(1 - trace + 2 * matrix[..., i, i] for i in range(3))], -1)
    x, y, z = (
        matrix[..., 2, 1] - matrix[..., 1, 2],
        matrix[..., 0, 2] - matrix[..., 2, 0],
        matrix[..., 1, 0] - matrix[..., 0, 1],
    )
    xy, xz, yz = (matrix[..., i, j] + matrix[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    s0, s1, s2, s3 = np.moveaxis(squares, -1, 0)
    candidates = np.stack(
        [np.stack(row, -1) for row in ((s0, x, y, z), (x, s1, xy, xz), (y, xy, s2, yz), (z, xz, yz, s3))], -2
    )
    best = np.argmax(squares, -1)[..., None, None]
    found = normalise(np.take_along_axis(candidates, best, -2)[..., 0, :])
    return np.where(found[..., :1] < 0, -found, found)


def skew(vector: Array) -> Array:
    """Return matrices (..., 3, 3) whose product with b is the cross product of vectors (..., 3) with b."""
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([np.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], -2)


def angle_between(left: Array, right: Array) -> Array:
    """Return angles (...), rad, 0 to pi, of the rotations that lead from one to the other; q and -q are one."""
    found: Array = np.linalg.norm(log(multiply(left, conjugate(right))), axis=-1)
    return found


def residual_angles(estimate: Array, truth: Array) -> dict[str, Array]:
    """Return total, heading and inclination angles (...), rad, of what rotates the truth into the estimate.

    Heading is its part about the vertical, inclination that about a horizontal axis.
    Source: Laidig et al. 2021, BROAD, Data 6(7), 72, section 4.
    """
    w, x, y, z = np.abs(np.moveaxis(multiply(estimate, conjugate(truth)), -1, 0))
    upright, tilted = np.hypot(w, z), np.hypot(x, y)
    angles = {"total": (np.sqrt(x * x + y * y + z * z), w), "heading": (z, w), "inclination": (tilted, upright)}
    return {name: 2 * np.arctan2(sine, cosine) for name, (sine, cosine) in angles.items()}


def mean_rotation(rotations: Array) -> Array:
    """Return the rotation (4,) of the least squared distance to rotations (n, 4), whatever their signs.

    Source: Markley et al. 2007, Averaging quaternions, equation 12.
    """
    found: Array = np.linalg.eigh(rotations.T @ rotations)[1][:, -1]
    return found


def roll_pitch_yaw(rotation: Array) -> Array:
    """Return angles (..., 3), rad, of rotations about x, then y, then z, of fixed axes (REP-103); yaw is about up."""
    w, x, y, z = np.moveaxis(rotation, -1, 0)
    roll = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2 * (w * y - x * z), -1, 1))
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return np.stack([roll, pitch, yaw], axis=-1)
