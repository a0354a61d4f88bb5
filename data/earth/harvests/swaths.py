"""The width that was cut, where it is not the one that was logged: strips cut before, and a header told wrongly.

A monitor divides mass by the area of the width it was told. Where part of the header runs over stubble, or it is
narrower than told, the yield is told too low; where it is wider, too high. The ground that each record cut first is
found on a fine raster of the whole log, in its order (Drummond, Fraisse, Sudduth 1999, Combine harvest area
determination by vector processing of GPS position data, Transactions of the ASAE 42, 1221, there by polygons).
"""

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.harvests.logs import Log
from mainstem.data.earth.harvests.neighbours import offsets
from mainstem.data.earth.harvests.points import Array

FINE_M = 0.6  # pixels of the raster, and the way between two of the header's points that are drawn in it
MOST_DRAWN = 12_000_000  # points at once, half a gigabyte; of longer logs fewer are drawn a record
AROUND = 5  # records before and after one whose shares are its own: a place errs by some decimetres
ALONG_HEADERS = 0.5  # along the way within which a pass lies beside a record, in widths
FEWEST_BESIDE = 10  # records of a pass with one beside them, that tell its width


def cut_shares(log: Log, number: NDArray[np.int64], swath_m: Array) -> Array:
    """Share 0-1 of each record's swath (record,) that no other pass had cut before; NaN where no swath is told."""
    known = (number >= 0) & (swath_m > 0) & np.isfinite(log.x)
    rows = np.flatnonzero(known)
    shares = np.full(len(log), np.nan)
    if not rows.size:
        return shares
    rank = _ranks(log)
    across = max(int(np.ceil(np.median(swath_m[rows]) / FINE_M)), 3)
    moved = log.distances()[rows]
    along = max(int(np.ceil(np.median(moved[np.isfinite(moved)]) / FINE_M)), 1) if np.isfinite(moved).any() else 1
    if len(rows) * across * along > MOST_DRAWN:
        along, across = 1, min(across, max(MOST_DRAWN // len(rows), 3))
    cells = _cells(log, rows, swath_m, (across, along))
    used, cell = np.unique(cells, return_inverse=True)
    first = np.full(len(used), np.iinfo(np.int64).max)
    owner = np.repeat(rows, across * along)
    np.minimum.at(first, cell.ravel(), rank[owner])
    by_rank = np.empty(len(log), np.int64)
    by_rank[rank] = np.arange(len(log))
    is_own = number[by_rank[first[cell.ravel()]]] == number[owner]
    own = is_own.reshape(len(rows), -1).mean(1)
    shares[rows] = _smoothed(own, number[rows])
    return shares


def _ranks(log: Log) -> NDArray[np.int64]:
    """The order in which all machines' records were logged, by the clock if the log tells one."""
    time = log.points.time_s
    keys = (np.arange(len(log)), np.nan_to_num(time)) if np.isfinite(time).mean() > 0.5 else (np.arange(len(log)),)
    rank = np.empty(len(log), np.int64)
    rank[np.lexsort(keys)] = np.arange(len(log))
    return rank


def _cells(log: Log, rows: NDArray[np.int64], swath_m: Array, count: tuple[int, int]) -> NDArray[np.int64]:
    """Numbers of the fine raster's pixels under points across each record's header, and along the way it covers."""
    across, along = count
    side = (np.arange(across) + 0.5) / across - 0.5
    back = -(np.arange(along) + 0.5) / along
    sides, backs = (part.ravel() for part in np.meshgrid(side, back))
    turn = log.heading_rad[rows][:, None]
    left = swath_m[rows][:, None] * sides
    ahead = np.nan_to_num(np.minimum(log.distances()[rows], 10.0))[:, None] * backs
    east = log.x[rows][:, None] + ahead * np.cos(turn) - left * np.sin(turn)
    north = log.y[rows][:, None] + ahead * np.sin(turn) + left * np.cos(turn)
    column = np.floor((east - east.min()) / FINE_M).astype(np.int64)
    row = np.floor((north - north.min()) / FINE_M).astype(np.int64)
    found: NDArray[np.int64] = row * (column.max() + 1) + column
    return found.ravel()


def _smoothed(values: Array, number: NDArray[np.int64]) -> Array:
    """Means over AROUND records before and after each of the same pass."""
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for away in range(-AROUND, AROUND + 1):
        at = np.arange(len(values)) + away
        inside = (at >= 0) & (at < len(values))
        at = np.clip(at, 0, len(values) - 1)
        same = inside & (number[at] == number)
        total += np.where(same, values[at], 0.0)
        count += same
    return np.asarray(total / count)


def told_widths(log: Log, number: NDArray[np.int64], least: float) -> Array:
    """Times (record,) that a pass's header is as wide as told, 1 unless it is `least` times wider or narrower.

    No strip is left standing, and none is cut twice on both sides: where the passes left and right both lie further
    away than the width that was told, or both nearer, that is the width (Lyle, Bryan, Ostendorf 2014, Post-processing
    methods to eliminate erroneous grain yield measurements, Precision Agriculture 15, 377, on widths set wrongly).
    No header is narrower than passes usually lie apart: one that has others nearer on both sides runs over stubble, as
    the second of three that overlap, and `cut_shares` tells.
    """
    ratio = np.ones(len(log))
    header = log.header_m()
    if not np.isfinite(header):
        return ratio
    left, right = offsets(log, number, ALONG_HEADERS * header)
    both = np.maximum(left, right)
    apart = float(np.median(both[np.isfinite(both)])) if np.isfinite(both).any() else 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        nearer, further = np.minimum(left, right) / log.points.swath_m, both / log.points.swath_m
    for one in np.unique(number[number >= 0]):
        rows = np.flatnonzero(number == one)
        known = rows[np.isfinite(nearer[rows])]
        if len(known) < FEWEST_BESIDE:
            continue
        least_wide, most_wide = float(np.median(nearer[known])), float(np.median(further[known]))
        is_narrower = most_wide <= 1 / least and float(np.median(both[known])) >= apart / least
        if least_wide >= least or is_narrower:
            ratio[rows] = least_wide if least_wide >= least else most_wide
    return ratio
