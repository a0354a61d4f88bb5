"""Stamps that stand alone: a clock's spike, which must not cost the readings around it."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOST_STRAY = 9  # in a row; ten readings that stay behind are a clock that was set
FAR_S = 3600.0  # a recording seldom lacks an hour


def stray_stamps(times: Array) -> NDArray[np.bool_]:
    """Return True of stamps (readings,) that those around do not bear out, so that they cost no others.

    They are at most MOST_STRAY in a row that lie ahead of more readings after them, while these go on from what was
    before; or as few at an end, further from the rest than the rest lasts, and FAR_S at least. More: a reset.
    """
    stray = np.zeros(len(times), bool)
    places = np.flatnonzero(np.isfinite(times))
    stray[places[_ahead(times[places])]] = True
    places = places[~stray[places]]
    if len(places) > 2 * MOST_STRAY:
        stray[places[_apart(times[places])]] = True
    return stray


def _ahead(times: Array) -> NDArray[np.bool_]:
    found = np.zeros(len(times), bool)
    if (np.diff(times) >= 0).all():
        return found
    before = np.concatenate([[-np.inf], times])
    for length in range(1, min(MOST_STRAY, (len(times) - 1) // 2) + 1):
        lowest = sliding_window_view(times, length).min(1)
        highest = sliding_window_view(times, length + 1).max(1)[length:]
        starts = np.arange(len(highest))
        hit = (lowest[starts] > highest) & (times[starts + length] > before[starts])
        for place in range(length):
            found[starts[hit] + place] = True
    return found


def _apart(times: Array) -> NDArray[np.bool_]:
    found, steps = np.zeros(len(times), bool), np.diff(times)
    for length in range(1, MOST_STRAY + 1):
        if steps[length - 1] > max(FAR_S, np.ptp(times[length:])):
            found[:length] = True
        if steps[-length] > max(FAR_S, np.ptp(times[:-length])):
            found[-length:] = True
    return found
