"""Finding the attitude afresh after a gyroscope's silence, where the filter may have settled on the wrong side.

A silence leaves the turn about the field open, and half a turn about it is a place from which errors point nowhere: a
filter that follows its errors stays there. So force and field are summed in axes that the gyroscope alone carries on;
after one and two seconds their directions give an attitude that owes nothing to what was believed (TRIAD, Black 1964,
A passive system for determining the attitude of a satellite).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.blocks import Block
from mainstem.adapters.sensor_fusion.compiled import compiled, conjugate, multiply, normalise, rotate

Array = NDArray[np.float64]
LEAST_SILENT_S = 0.15  # after which an attitude is found afresh
FIRST_S, LAST_S = 1.0, 2.0  # since the gyroscope speaks again


class Afresh(NamedTuple):
    """What is summed since the gyroscope spoke again.

    Attributes:
        silent_s: for how long the gyroscope has been silent, s; 0 where it speaks.
        since_s: for how long it has spoken again, s; negative where nothing is summed.
        turn: from the sensor's axes now to those when it spoke again (4,).
        force, field: sums (3,) of both over time, in the latter axes.
    """

    silent_s: float
    since_s: float
    turn: Array
    force: Array
    field: Array


@compiled
def nothing_afresh(silent_s: float) -> Afresh:
    """Return nothing summed."""
    return Afresh(silent_s, -1.0, np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3), np.zeros(3))


@compiled
def go_on(afresh: Afresh, block: Block, iron: Array, seconds: float) -> Afresh:
    """Return what is summed after a block."""
    if not block.has_gyr:
        return nothing_afresh(afresh.silent_s + seconds)
    since = afresh.since_s
    if afresh.silent_s >= LEAST_SILENT_S:
        since = 0.0
    if since < 0 or since > LAST_S + seconds:
        return nothing_afresh(0.0)
    turn = normalise(multiply(afresh.turn, block.turns[-1]))
    force, field = afresh.force, afresh.field
    if block.has_acc:
        force = force + rotate(afresh.turn, block.force) * seconds
    if block.has_mag:
        field = field + rotate(turn, block.field - iron) * seconds
    return Afresh(0.0, since + seconds, turn, force, field)


@compiled
def attitude_of(afresh: Afresh, field: Array) -> Array:
    """Return the attitude (4,) now, by the sums and the earth field's north and up parts (2,)."""
    seen, told = (
        frame_of(afresh.field, afresh.force),
        frame_of(np.array([0.0, field[0], field[1]]), np.array([0, 0, 1.0])),
    )
    return normalise(multiply(quat_of(told @ seen.T), afresh.turn))


@compiled
def frame_of(first: Array, second: Array) -> Array:
    """Return axes (3, 3) in columns: along the first vector, across both, and across these."""
    along = first / np.sqrt((first**2).sum() + 1e-12)
    across = np.cross(first, second)
    across = across / np.sqrt((across**2).sum() + 1e-12)
    return np.stack((along, across, np.cross(along, across)), 1)


@compiled
def quat_of(matrix: Array) -> Array:
    """Return the quaternion (4,) of a rotation matrix (3, 3). Source: Shepperd 1978, as in `core.rotations`."""
    a, b, c = matrix[0, 0], matrix[1, 1], matrix[2, 2]
    squares = np.array([1 + a + b + c, 1 + a - b - c, 1 - a + b - c, 1 - a - b + c])
    best = np.argmax(squares)
    x, y, z = matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]
    xy, xz, yz = matrix[0, 1] + matrix[1, 0], matrix[0, 2] + matrix[2, 0], matrix[1, 2] + matrix[2, 1]
    if best == 0:
        return normalise(np.array([squares[0], x, y, z]))
    if best == 1:
        return normalise(np.array([x, squares[1], xy, xz]))
    if best == 2:
        return normalise(np.array([y, xy, squares[2], yz]))
    return normalise(np.array([z, xz, yz, squares[3]]))


@compiled
def is_due(before: Afresh, after: Afresh) -> bool:
    """True where a block took the sums over one of the times at which an attitude is found afresh."""
    for mark in (FIRST_S, LAST_S):
        if before.since_s < mark <= after.since_s:
            return bool((after.field**2).sum() > 0 and (after.force**2).sum() > 0)
    return False


@compiled
def turned_apart(one: Array, other: Array) -> float:
    """Return the angle, rad, between two attitudes (4,)."""
    left = multiply(one, conjugate(other))
    return float(2 * np.arccos(min(np.abs(left[0]), 1.0)))
