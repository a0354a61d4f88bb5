"""How long after a pass began, and before it ended, the flow of grain was not yet, or no longer, that of the crop.

Of all passes together: the yield so many seconds after their beginning over that of the opposite pass beside, which was
well under way there. The first seconds at which it is not short of it is the end of the ramp (start and end pass delays
of Sudduth, Drummond 2007, Yield Editor, Agronomy Journal 99, 1471; fill and finish modes of Lyle et al. 2014, section
3.2; there set by eye or by rule of thumb).
"""

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.harvests.logs import Log
from mainstem.data.earth.harvests.neighbours import opposite_pairs
from mainstem.data.earth.harvests.points import Array

LONGEST_S = 25.0
FULL = 0.93  # of the pass beside: short of it by more, grain still fills the machine
FEWEST_PASSES = 8  # of which a second is judged
SHORTEST_S = 40.0  # of passes that are looked at: shorter ones are ramps altogether


def since_begin(log: Log, number: NDArray[np.int64]) -> tuple[Array, Array]:
    """The clock since each record's pass began, and until it ends; NaN outside of passes."""
    begin, end = np.full(len(log), np.nan), np.full(len(log), np.nan)
    rows = np.flatnonzero(number >= 0)
    if rows.size:
        _, group = np.unique(number[rows], return_inverse=True)
        first, last = np.full(group.max() + 1, np.inf), np.full(group.max() + 1, -np.inf)
        np.minimum.at(first, group, log.clock[rows])
        np.maximum.at(last, group, log.clock[rows])
        begin[rows], end[rows] = log.clock[rows] - first[group], last[group] - log.clock[rows]
    return begin, end


def find_ramps(log: Log, number: NDArray[np.int64], values: Array) -> tuple[float, float]:
    """Length, in the clock's unit, of the ramps at the beginning and the end of passes."""
    begin, end = since_begin(log, number)
    pairs = opposite_pairs(log, number)
    most = LONGEST_S if log.unit == "s" else LONGEST_S / log.step
    long = begin + end > (SHORTEST_S if log.unit == "s" else SHORTEST_S / log.step)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(values[pairs.one] / values[pairs.other])
    usable = np.isfinite(ratio) & long[pairs.one] & (begin[pairs.other] > most)
    first = _full_after(begin[pairs.one][usable], ratio[usable], log.step, most)
    later = usable & (begin[pairs.one] > first)
    usable_end = np.isfinite(ratio) & long[pairs.one] & (begin[pairs.other] > first) & later
    return first, _full_after(end[pairs.one][usable_end], ratio[usable_end], log.step, most)


def _full_after(since: Array, ratio: Array, step: float, most: float) -> float:
    """When the median ratio is first full, 0 where it is from the beginning or nobody knows."""
    for bin_ in range(int(most / step) + 1):
        here = ratio[(since >= (bin_ - 0.5) * step) & (since < (bin_ + 0.5) * step)]
        if len(here) < FEWEST_PASSES or np.median(here) >= np.log(FULL):
            return bin_ * step
    return most
