"""Records beside a record: of other passes, of passes in the opposite direction, of any."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.harvests.logs import Flags, Log, angle
from mainstem.data.earth.harvests.points import Array

OPPOSITE_RAD, ALONG_RAD = np.radians(150), np.radians(30)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Records and the nearest one of a pass beside each (pair,): numbers in the log."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.one)


def around(log: Log, chosen: Flags) -> tuple[NDArray[np.int64], Flags]:
    """Numbers (chosen record, neighbour) of the records near each chosen one, and which of them are chosen, too."""
    rows = np.flatnonzero(chosen)
    near, is_there = log.near
    return near[rows], is_there[rows] & chosen[near[rows]]


def opposite_pairs(log: Log, number: NDArray[np.int64]) -> Pairs:
    """Each record in work with the nearest of a pass of the same machine in the opposite direction."""
    near, is_there = around(log, number >= 0)
    own = np.flatnonzero(number >= 0)
    turned = np.abs(angle(log.heading_rad[near] - log.heading_rad[own][:, None]))
    same_machine = log.points.machine[near] == log.points.machine[own][:, None]
    return _first(own, near, is_there & same_machine & (turned > OPPOSITE_RAD) & (number[near] != number[own][:, None]))


def _first(own: NDArray[np.int64], near: NDArray[np.int64], fits: Flags) -> Pairs:
    has_one = fits.any(1)
    return Pairs(one=own[has_one], other=near[has_one, fits[has_one].argmax(1)])


def offsets(log: Log, number: NDArray[np.int64], along_m: float) -> tuple[Array, Array]:
    """How far, m across its way, the nearest parallel pass lies to the left and right of each record in work.

    NaN where there is none near.
    """
    near, is_there = around(log, number >= 0)
    own = np.flatnonzero(number >= 0)
    east, north = log.x[near] - log.x[own][:, None], log.y[near] - log.y[own][:, None]
    turn = log.heading_rad[own][:, None]
    ahead, left = east * np.cos(turn) + north * np.sin(turn), north * np.cos(turn) - east * np.sin(turn)
    parallel = np.abs(np.sin(log.heading_rad[near] - turn)) < np.sin(ALONG_RAD)
    fits = is_there & parallel & (np.abs(ahead) < along_m) & (number[near] != number[own][:, None])
    sides = []
    for sign in (1, -1):
        away = np.where(fits & (sign * left > 0), sign * left, np.inf).min(1)
        side = np.full(len(log), np.nan)
        side[own] = np.where(np.isfinite(away), away, np.nan)
        sides.append(side)
    return sides[0], sides[1]
