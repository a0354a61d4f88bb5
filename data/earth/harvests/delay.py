"""The flow delay: grain is weighed some seconds after it was cut; found by how well neighbouring passes agree.

Two passes in opposite directions carry a delay to opposite sides, so that a wrong one tears apart what lies side
by side. The delay at which neighbours differ least is the one; as in phase correlation of a yield map with itself (Lee,
Sudduth, Drummond, Chung, Myers 2012, Automated yield map delay identification using phase correlation methodology,
Transactions of the ASABE 55, 743), but on the records and not on a raster.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.harvests.logs import Log
from mainstem.data.earth.harvests.neighbours import Pairs, opposite_pairs
from mainstem.data.earth.harvests.points import Array

SEARCHED_S = (-5.0, 25.0)  # what machines and their software leave; Lee et al. 2012 find 5 to 20 s
FEWEST_PAIRS, BLOCKS = 400, 10
UNKNOWN = "not found, no other agrees surely better; 0 is taken; pass --delay if you know it"
NEAR = 0.9  # of the clock's step: clocks are rounded, as days to five digits
SURE = 2.0  # standard errors by which a delay has to be better than none
MOST_CLIPPED = (0.02, 0.98)  # shares of yields beyond which they count as the quantile: outliers come later


@dataclass(frozen=True, kw_only=True)
class Delay:
    """A delay in the clock's unit, how many standard errors it is better than none by, and why it is what it is."""

    value: float
    certainty: float
    reason: str


def delayed(log: Log, delay: float) -> Array:
    """Yields (record,), t/ha, of the grain that was weighed `delay` later; NaN where nothing was logged then.

    Mass is moved, and is spread over the area of where it was cut: a combine that slows down changes the one, not the
    other.
    """
    if delay == 0:
        return log.points.yield_t_ha
    at = source(log, delay)
    mass = log.points.yield_t_ha * log.area_m2
    if not np.isfinite(mass).mean() > 0.5:
        return np.where(at >= 0, log.points.yield_t_ha[at], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.where(at >= 0, _mass(log, mass)[at] / log.area_m2, np.nan)
    return np.where(np.isfinite(moved), moved, np.nan)


def _mass(log: Log, mass: Array) -> Array:
    """Yield times area, or the flow where the header was up: grain still runs."""
    flow = log.points.flow_kg_s
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = mass / flow
    usual = np.median(ratio[np.isfinite(ratio) & (ratio > 0)]) if (ratio > 0).any() else np.nan
    is_idle = (mass <= 0) & (flow > 0) & np.isfinite(usual)
    return np.where(is_idle, np.nan_to_num(flow) * usual, mass)


def source(log: Log, delay: float) -> NDArray[np.int64]:
    """Number of the record of the same machine that was logged `delay` later, -1 where there is none."""
    wanted = log.clock + delay
    after = np.clip(np.searchsorted(log.clock, wanted - 1e-3), 1, len(log) - 1)
    nearer = after - (wanted - log.clock[after - 1] < log.clock[after] - wanted)
    near = (np.abs(log.clock[nearer] - wanted) <= NEAR * log.step) & (log.points.machine[nearer] == log.points.machine)
    return np.where(near, nearer, -1)


def find_delay(log: Log, number: NDArray[np.int64]) -> Delay:
    """Find a log's delay; 0 with a reason where the data do not tell it."""
    if not log.is_orderly:
        return Delay(value=0.0, certainty=0.0, reason="the records are not in the machine's order: it cannot be found")
    pairs = opposite_pairs(log, number)
    if len(pairs) < FEWEST_PAIRS:
        return Delay(value=0.0, certainty=0.0, reason=f"only {len(pairs)} records lie beside an opposite pass")
    low, high = (round(end / log.step) for end in SEARCHED_S) if log.unit == "s" else (-5, 20)
    tried = [steps * log.step for steps in range(low, high + 1)]
    losses = np.array([_loss(log, number, pairs, delay) for delay in tried])
    best, none = int(np.argmin(losses.mean(1))), tried.index(0.0)
    gain = losses[none] - losses[best]
    error = gain.std(ddof=1) / np.sqrt(BLOCKS)
    certainty = float(gain.mean() / error) if error > 0 else 0.0
    if certainty < SURE:
        return Delay(value=0.0, certainty=certainty, reason=UNKNOWN)
    return Delay(value=tried[best], certainty=certainty, reason="neighbouring passes agree best")


def _loss(log: Log, number: NDArray[np.int64], pairs: Pairs, delay: float) -> Array:
    """Mean squared difference of neighbours over the yields' variance, in each of BLOCKS parts of the log."""
    values = delayed(log, delay)
    values = np.where(number >= 0, values, np.nan)
    first, second = values[pairs.one], values[pairs.other]
    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < FEWEST_PAIRS / 2:
        return np.full(BLOCKS, np.inf)
    low, high = np.quantile(values[np.isfinite(values)], MOST_CLIPPED)
    first, second = np.clip(first, low, high), np.clip(second, low, high)
    block = np.arange(len(pairs)) * BLOCKS // len(pairs)
    squares = np.where(known, (first - second) ** 2, 0.0)
    spread = np.concatenate([first[known], second[known]]).var()
    counts = np.maximum(np.bincount(block, known, BLOCKS), 1)
    found: Array = np.bincount(block, squares, BLOCKS) / counts / max(2 * spread, 1e-12)
    return found
