"""Records unlike what lies around them: single ones, and whole passes whose width or weighing was set wrongly."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mainstem.data.earth.harvests.logs import Flags, Log
from mainstem.data.earth.harvests.neighbours import around
from mainstem.data.earth.harvests.points import Array

ROBUST = 1.4826  # a normal distribution's standard deviation over its median absolute deviation
FEWEST_NEAR, LEAST_VARIANCE = 6, 1e-12  # the latter of a field that yields the same everywhere
FEWEST_OF_PASS = 15  # records of a pass beside others, that tell whether it is unlike them
MOST_ROUNDS = 60  # passes that are taken out one after another, the worst first


def spread(values: Array) -> float:
    """Standard deviation of a normal distribution with the values' median absolute deviation.

    Where more than half of the values are alike, as of a coarse display, it is their own standard deviation.
    """
    known = values[np.isfinite(values)]
    robust = float(ROBUST * np.median(np.abs(known - np.median(known)))) if known.size else 0.0
    return robust or float(known.std() if known.size else 0.0)


def from_own_pass(values: Array, number: NDArray[np.int64], fewest: int = 1) -> Array:
    """Each value (record,) less the median of its pass; NaN outside of passes, untouched where fewer are known."""
    found = np.full(len(values), np.nan)
    order = np.argsort(number, kind="stable")
    names, starts = np.unique(number[order], return_index=True)
    for one, rows in zip(names.tolist(), np.split(order, starts[1:]) if len(order) else [], strict=True):
        told = values[rows][np.isfinite(values[rows])]
        if one >= 0:
            found[rows] = values[rows] - (np.median(told) if told.size >= max(fewest, 1) else 0.0)
    return found


def unlike_near(log: Log, kept: Flags, values: Array, most: float, number: NDArray[np.int64]) -> Flags:
    """Records further from the median of those around them than `most` standard deviations of all such differences.

    What a whole pass (`number`) differs by is no record's fault: `unlike_passes` judges it, and it is taken off first.

    Source: spatial outliers of Simbahan, Dobermann, Ping 2004, Screening yield monitor data improves grain yield maps,
    Agronomy Journal 96, 1091, whose local window and standard deviations are a median and its deviation here.
    """
    rows = np.flatnonzero(kept)
    difference = _differences(log, kept, values, number)
    found = np.zeros(len(log), bool)
    found[rows] = np.abs(difference) > most * spread(difference)
    return found


def _differences(log: Log, kept: Flags, values: Array, number: NDArray[np.int64]) -> Array:
    """Each kept record less the median of those around it, and less its pass's median of that; NaN where few are."""
    middle = [np.empty(0)]
    for _, near, is_there in around(log, kept):
        others = np.where(is_there, values[near], np.nan)
        enough = is_there.sum(1) >= FEWEST_NEAR
        found = np.full(len(near), np.nan)
        if enough.any():
            found[enough] = np.nanmedian(others[enough], 1)
        middle.append(found)
    return from_own_pass(values[np.flatnonzero(kept)] - np.concatenate(middle), number[kept], FEWEST_OF_PASS)


def local_moran(log: Log, kept: Flags, values: Array, limits: tuple[float, float], number: NDArray[np.int64]) -> Flags:
    """Records whose local Moran's I is negative, surely at a level: low among high ones, or high among low ones.

    Only those are taken that lie so many standard deviations (`limits`: level, deviations) from the median around them
    as well, as `unlike_near` has it: the level alone would take one in twenty of the sound records.

    Source: inliers of Vega, Cordoba, Castro-Franco, Balzarini 2019, Protocol for automating error removal from yield
    maps, Precision Agriculture 20, 1030; Anselin 1995, Local indicators of spatial association, Geographical Analysis
    27, 93, equations 12 to 14 (randomisation), weights that sum to one.
    """
    rows = np.flatnonzero(kept)
    num = len(rows)
    found = np.zeros(len(log), bool)
    if num < 4:
        return found
    centred = values - values[rows].mean()
    variance = float((centred[rows] ** 2).mean())
    if variance <= LEAST_VARIANCE:
        return found
    told = [(is_there.sum(1), np.where(is_there, centred[near], 0.0).sum(1)) for _, near, is_there in around(log, kept)]
    count = np.maximum(np.concatenate([one for one, _ in told]), 1)
    lag = np.concatenate([total for _, total in told]) / count
    index = centred[rows] * lag / variance
    kurtosis = float((centred[rows] ** 4).mean()) / variance**2
    expected = -1 / (num - 1)
    spread_of = (num - kurtosis) / count / (num - 1) + (1 - 1 / count) * (2 * kurtosis - num) / (num - 1) / (num - 2)
    deviation = np.sqrt(np.maximum(spread_of - expected**2, 1e-12))
    level, least = limits
    difference = _differences(log, kept, values, number)
    is_negative = (index - expected) / deviation < ndtri(level)
    found[rows] = is_negative & (index < 0) & (np.abs(difference) > least * spread(difference))
    return found


def unlike_passes(log: Log, number: NDArray[np.int64], values: Array, least: float, most: float) -> Flags:
    """Passes whose median ratio to those beside them is far from 1: by `least` (a logarithm) and `most` deviations.

    The worst goes first, and the others are judged without it: beside a wrong pass a right one looks wrong, too.

    Source: Lyle et al. 2014, section 3.5: a swath width or a weighing that was set wrongly shows as a strip.
    """
    chosen = (number >= 0) & (values > 0)
    rows = np.flatnonzero(chosen)
    logs = np.full(len(log), np.nan)
    logs[rows] = np.log(values[rows])
    parts = [
        (own, near, is_there & (number[near] != number[own][:, None])) for own, near, is_there in around(log, chosen)
    ]
    out: list[int] = []
    for _ in range(MOST_ROUNDS):
        ratios = _ratios(number, parts, logs)
        left = {one: ratio for one, ratio in ratios.items() if one not in out}
        if len(left) < 3:
            break
        middle = float(np.median(list(left.values())))
        limit = max(least, most * spread(np.array(list(left.values()))))
        worst = max(left, key=lambda one: abs(left[one] - middle))
        if abs(left[worst] - middle) <= limit:
            break
        out.append(worst)
        for _, near, beside in parts:
            beside &= number[near] != worst
    return np.isin(number, out) & (number >= 0)


def _ratios(
    number: NDArray[np.int64], parts: list[tuple[NDArray[np.int64], NDArray[np.int32], Flags]], logs: Array
) -> dict[int, float]:
    """Median logarithm of each pass's records over the mean of those beside them, of other passes."""
    told = [_ratio(own, near, beside, logs) for own, near, beside in parts]
    ratio = np.concatenate([np.empty(0), *told])
    rows = np.concatenate([np.empty(0, np.int64), *(own for own, _, _ in parts)])
    known = np.isfinite(ratio)
    if not known.any():
        return {}
    order = np.argsort(number[rows][known], kind="stable")
    names, starts = np.unique(number[rows][known][order], return_index=True)
    of_passes = zip(names.tolist(), np.split(ratio[known][order], starts[1:]), strict=True)
    return {one: float(np.median(part)) for one, part in of_passes if len(part) >= FEWEST_OF_PASS}


def _ratio(own: NDArray[np.int64], near: NDArray[np.int32], beside: Flags, logs: Array) -> Array:
    """Logarithm of each record over the mean of those beside it (record,), NaN where there is none."""
    count = beside.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(beside, logs[near], 0.0).sum(1) / count
    return np.where(count > 0, logs[own] - mean, np.nan)
