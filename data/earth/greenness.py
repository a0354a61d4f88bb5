"""Greenness of pixels over a season, measured and not modelled: the mean of NDVI over time, through gaps of cloud."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """What a series must show before its mean over time is told."""

    fewest: int = 4  # dates on which the pixel is seen
    longest_days: float = 75.0  # between two of them
    least_share: float = 0.6  # of the time from the first date of all to the last that lies between those it is seen on


@dataclass(frozen=True)
class Integral:
    """Per pixel, what `integrate` found: the mean over time and its standard error, NaN where too little was seen."""

    mean: Array
    error: Array
    num_seen: NDArray[np.int_]


def ndvi(red: Array, infrared: Array) -> Array:
    """Normalised difference vegetation index (Rouse et al. 1974), NaN where a band is missing or both are dark."""
    total = red + infrared
    found: Array = np.where(total > 0, (infrared - red) / np.where(total > 0, total, 1.0), np.nan)
    return np.clip(found, -1.0, 1.0)


def integrate(values: Array, days: Array, gaps: Gaps | None = None) -> Integral:
    """Mean over time of series (pixel, date) by the trapezoidal rule over the dates that are seen.

    The standard error is the jackknife's over dates (Tukey 1958): how much the mean moves when each date is left out,
    which holds what haze on one date and the choice of clear dates do to it.

    Args:
        values: NaN where a date does not show the pixel.
        days: of the dates, rising.
        gaps: what a series must show.
    """
    gaps = gaps or Gaps()
    seen = np.isfinite(values)
    mean, whole = _trapezoid(values, days, gaps)
    num = seen.sum(1)
    left_out = np.stack([_without(values, days, mean, date) for date in range(len(days))], 1)
    centre = np.where(seen, left_out, 0.0).sum(1) / np.maximum(num, 1)
    spread = np.where(seen, (left_out - centre[:, None]) ** 2, 0.0).sum(1)
    error = np.sqrt(np.maximum(num - 1, 0) / np.maximum(num, 1) * spread)
    return Integral(np.where(whole, mean, np.nan), np.where(whole, error, np.nan), num)


def half_width(integral: Integral, level: float) -> Array:
    """Half width of the interval of `level` by Student's t with a date less than were seen degrees of freedom."""
    freedom = np.maximum(integral.num_seen - 1, 1)
    widths: Array = integral.error * student.ppf(0.5 + level / 2, freedom)
    return widths


def _without(values: Array, days: Array, mean: Array, date: int) -> Array:
    """The mean without one date, as it is where that date was not seen."""
    kept = np.arange(len(days)) != date
    seen = np.isfinite(values[:, date])
    found = mean.copy()
    if seen.any():
        found[seen] = _trapezoid(values[seen][:, kept], days[kept], Gaps(fewest=2))[0]
    return found


def _trapezoid(values: Array, days: Array, gaps: Gaps) -> tuple[Array, NDArray[np.bool_]]:
    """The mean over time between the first and the last date that is seen, and whether enough was seen."""
    num = len(values)
    area, longest, count = np.zeros(num), np.zeros(num), np.zeros(num, int)
    first, last, before = np.full(num, np.nan), np.full(num, np.nan), np.zeros(num)
    for day, now in zip(days.tolist(), values.T, strict=True):
        here = np.isfinite(now)
        follows = here & (count > 0)
        step = np.where(follows, day - last, 0.0)
        area += np.where(follows, step * (np.nan_to_num(now) + before) / 2, 0.0)
        longest = np.maximum(longest, step)
        first = np.where(here & (count == 0), day, first)
        last, before, count = np.where(here, day, last), np.where(here, np.nan_to_num(now), before), count + here
    span = np.nan_to_num(last - first)
    mean = np.where(span > 0, area / np.where(span > 0, span, 1.0), np.nan)
    enough = (count >= gaps.fewest) & (longest <= gaps.longest_days)
    return mean, enough & (span >= gaps.least_share * float(days[-1] - days[0])) & np.isfinite(mean)
