"""Records beside a record: of other passes, of passes in the opposite direction, of any."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.harvests.logs import Flags, Log, angle, slices
from mainstem.data.earth.harvests.points import Array

OPPOSITE_RAD, ALONG_RAD = np.radians(150), np.radians(30)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Records and the nearest one of a pass beside each (pair,): numbers in the log."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.one)


def around(log: Log, chosen: Flags) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], Flags]]:
    """Parts of the chosen records, in their order: their numbers (record,), and of those near each (record, neighbour)
    the numbers, and which of them are chosen, too. A part is small: a long log's pairs at once are gigabytes."""
    near, is_there = log.near
    rows = np.flatnonzero(chosen)
    for part in slices(len(rows), near.shape[1]):
        own = rows[part]
        beside = near[own]
        yield own, beside, is_there[own] & chosen[beside]


def opposite_pairs(log: Log, number: NDArray[np.int64]) -> Pairs:
    """Each record in work with the nearest of a pass of the same machine in the opposite direction."""
    ones, others = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for own, near, is_there in around(log, number >= 0):
        turned = np.abs(angle(log.heading_rad[near] - log.heading_rad[own][:, None]))
        same_machine = log.points.machine[near] == log.points.machine[own][:, None]
        fits = is_there & same_machine & (turned > OPPOSITE_RAD) & (number[near] != number[own][:, None])
        has_one = fits.any(1)
        ones.append(own[has_one])
        others.append(near[has_one, fits[has_one].argmax(1)].astype(np.int64))
    return Pairs(one=np.concatenate(ones), other=np.concatenate(others))


def offsets(log: Log, number: NDArray[np.int64], along_m: float) -> tuple[Array, Array]:
    """How far, m across its way, the nearest parallel pass lies to the left and right of each record in work.

    NaN where there is none near.
    """
    sides = np.full(len(log), np.nan), np.full(len(log), np.nan)
    for own, near, is_there in around(log, number >= 0):
        east, north = log.x[near] - log.x[own][:, None], log.y[near] - log.y[own][:, None]
        turn = log.heading_rad[own][:, None]
        ahead, left = east * np.cos(turn) + north * np.sin(turn), north * np.cos(turn) - east * np.sin(turn)
        parallel = np.abs(np.sin(log.heading_rad[near] - turn)) < np.sin(ALONG_RAD)
        fits = is_there & parallel & (np.abs(ahead) < along_m) & (number[near] != number[own][:, None])
        for side, sign in zip(sides, (1, -1), strict=True):
            away = np.where(fits & (sign * left > 0), sign * left, np.inf).min(1)
            side[own] = np.where(np.isfinite(away), away, np.nan)
    return sides
