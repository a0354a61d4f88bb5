"""Greenness of pixels over a season, measured and not modelled: NDVI over time against a map's own, through clouds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Array = NDArray[np.float64]
LEAST_SEEN = 0.05  # of the pixels, from which a date's common greenness is told
MOST_ROUNDS, SETTLED = 200, 1e-7  # of `common_season`: when pixels' levels move no more
EDGE = 0.05  # of the time, by which a series seen at both ends may miss them
FEWEST_WHOLE, MOST_WHOLE = 10, 2000  # pixels seen at both ends, from which it is told what the ends change


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """What a series must show before its greenness is told."""

    fewest: int = 4  # dates on which the pixel is seen
    longest_days: float = 75.0  # between two of them
    least_share: float = 0.6  # of the time from the first date of all to the last that lies between those it is seen on


@dataclass(frozen=True)
class Season:
    """What the pixels of a map have in common.

    Attributes:
        curve: mean over pixels on each date, NaN where too few are seen.
        drift: (first, last) by how much, rms over pixels seen at both ends, a pixel's level over the time between two
            dates lies off its level over all; NaN where too few are seen at both ends.
    """

    curve: Array
    drift: Array


@dataclass(frozen=True)
class Relative:
    """Per pixel, what `relative_greenness` found: mean, 1 where it is the curve's, and standard error.

    NaN where too little was seen.
    """

    mean: Array
    error: Array
    num_seen: NDArray[np.int_]


def ndvi(red: Array, infrared: Array) -> Array:
    """Normalised difference vegetation index (Rouse et al. 1974), NaN where a band is missing or both are dark."""
    total = red + infrared
    found: Array = np.where(total > 0, (infrared - red) / np.where(total > 0, total, 1.0), np.nan)
    return np.clip(found, -1.0, 1.0)


def common_season(values: Array, days: Array, gaps: Gaps | None = None) -> Season:
    """Mean over pixels of series (pixel, date) on each date, as if clouds hid none, and how pixels part from it.

    Where all is seen the curve is the plain mean. Else each pixel counts by its level: the mean of those that a date
    shows over the mean of their levels, levels by `relative_greenness`, in turn until they settle, so that a date that
    shows the greener half of a map is not a green date. Levels have a mean of 1.

    Args:
        values: NaN where a date does not show the pixel.
        days: of the dates, rising.
        gaps: what a series must show to be heard.
    """
    seen = np.isfinite(values)
    curve, drift = np.full(len(days), np.nan), np.full((len(days), len(days)), np.nan)
    dates = _dates_of_all(seen, days)
    if len(dates) < 2:
        return Season(curve, drift)
    values, days = values[:, dates], days[dates]
    values = values[_is_enough(np.isfinite(values), days, gaps or Gaps())]
    if len(values):
        curve[dates] = _levelled(values, days)
        drift[np.ix_(dates, dates)] = _drift(values, days, curve[dates])
    return Season(curve, drift)


def _dates_of_all(seen: NDArray[np.bool_], days: Array) -> NDArray[np.intp]:
    """Dates that enough pixels show, the first and the last such that enough pixels are seen at both."""
    shares = seen.sum(0) / max(len(seen), 1)
    dates = np.flatnonzero(shares >= LEAST_SEEN)
    while len(dates) > 1 and _is_whole(seen[:, dates], days[dates]).sum() < min(FEWEST_WHOLE, len(seen)):
        dates = dates[1:] if shares[dates[0]] < shares[dates[-1]] else dates[:-1]
    return dates


def _levelled(values: Array, days: Array) -> Array:
    """The curve of `common_season`."""
    seen, level = np.isfinite(values), np.ones(len(values))
    area, total = _areas(values, days)[0], np.where(seen, values, 0.0).sum(0)
    for _ in range(MOST_ROUNDS):
        heard = (seen * level[:, None]).sum(0)
        curve: Array = np.where(heard > 0, total / np.where(heard > 0, heard, 1.0), np.nan)
        under = _areas(np.where(seen, curve, np.nan), days)[0]
        before, level = level, np.clip(area / np.where(under > 0, under, np.inf), 0.0, None)
        level /= level.mean() or 1.0
        if np.abs(level - before).max() < SETTLED:
            break
    return curve


def _is_whole(seen: NDArray[np.bool_], days: Array) -> NDArray[np.bool_]:
    """True where a series is seen at both ends, or nearly."""
    edge = EDGE * (days[-1] - days[0])
    begun, ended = (seen[:, near].any(1) for near in (days <= days[0] + edge, days >= days[-1] - edge))
    found: NDArray[np.bool_] = np.logical_and(begun, ended)
    return found


def _drift(values: Array, days: Array, curve: Array) -> Array:
    """`Season.drift` of series (pixel, date)."""
    found = np.full((len(days), len(days)), np.nan)
    whole = values[_is_whole(np.isfinite(values), days)]
    if not len(whole) or not np.isfinite(curve).any():
        return found
    whole = whole[:: -(-len(whole) // MOST_WHOLE)]
    pixels, common = (_until(np.stack([_through(row, days) for row in rows]), days) for rows in (whole, [curve]))
    level = pixels[:, -1:] / common[:, -1:]
    for first in range(len(days) - 1):
        under = common - common[:, first : first + 1]
        off = (pixels - pixels[:, first : first + 1]) / np.where(under > 0, under, np.nan) - level
        found[first, first + 1 :] = np.sqrt((off**2).mean(0))[first + 1 :]
    return found


def _through(row: Array, days: Array) -> Array:
    """A series on all dates, straight between those that are seen."""
    seen = np.isfinite(row)
    found: Array = np.interp(days, days[seen], row[seen])
    return found


def _until(values: Array, days: Array) -> Array:
    """Areas under full series from the first date until each."""
    steps = np.diff(days) * (values[:, 1:] + values[:, :-1]) / 2
    return np.concatenate([np.zeros((len(values), 1)), steps.cumsum(1)], 1)


def relative_greenness(values: Array, days: Array, season: Season, gaps: Gaps | None = None) -> Relative:
    """Mean over time of series (pixel, date) over that of their season's curve on the same dates, by trapezoids.

    Only dates that show the pixel count, in the curve too: a series whose first or last dates, or whose height, lie in
    cloud is not taken for a greener or a duller one. The standard error is the jackknife's over dates (Tukey 1958): how
    much the ratio moves when each date is left out, which holds noise, haze on one date, and a season unlike the
    curve's; with it, in squares, what other pixels' unseen ends would have changed (`Season.drift`).

    Args:
        values: NaN where a date does not show the pixel.
        days: of the dates, rising.
        season: as `common_season` gives it; a date without it is not used.
        gaps: what a series must show.
    """
    dates = np.isfinite(season.curve)
    if dates.sum() < 2:
        return Relative(np.full(len(values), np.nan), np.full(len(values), np.nan), np.zeros(len(values), int))
    values, days, curve = values[:, dates], days[dates], season.curve[dates]
    seen = np.isfinite(values)
    num = seen.sum(1)
    (area, areas), (under, unders) = (_areas(one, days) for one in (values, np.where(seen, curve, np.nan)))
    first, last = seen.argmax(1), len(days) - 1 - seen[:, ::-1].argmax(1)
    drift = np.where(_is_whole(seen, days), 0.0, season.drift[np.ix_(dates, dates)][first, last])
    told = _is_enough(seen, days, gaps or Gaps()) & (under > 0) & np.isfinite(drift)
    mean = area / np.where(told, under, 1.0)
    left_out = np.where(unders > 0, areas / np.where(unders > 0, unders, 1.0), mean[:, None])
    centre = np.where(seen, left_out, 0.0).sum(1) / np.maximum(num, 1)
    spread = np.where(seen, (left_out - centre[:, None]) ** 2, 0.0).sum(1)
    error = np.sqrt(np.maximum(num - 1, 0) / np.maximum(num, 1) * spread + drift**2)
    return Relative(np.where(told, mean, np.nan), np.where(told, error, np.nan), num)


def half_width(found: Relative, level: float) -> Array:
    """Half width of the interval of `level` by Student's t with a date less than were seen degrees of freedom."""
    freedom = np.maximum(found.num_seen - 1, 1)
    widths: Array = found.error * student.ppf(0.5 + level / 2, freedom)
    return widths


def _areas(values: Array, days: Array) -> tuple[Array, Array]:
    """Areas under series (pixel, date) from their first to their last seen date, and without each of their dates."""
    before, here, after = _beside(np.isfinite(values))

    def between(one: NDArray[np.int_], other: NDArray[np.int_]) -> Array:
        known = (one >= 0) & (other < len(days)) & (here >= 0)
        low, high = np.where(known, one, 0), np.where(known, other, 0)
        ends = np.take_along_axis(values, low, 1) + np.take_along_axis(values, high, 1)
        return np.where(known, (days[high] - days[low]) * ends / 2, 0.0)

    into, out, across = between(before, here), between(here, after), between(before, after)
    whole = into.sum(1)
    return whole, whole[:, None] - into - out + across


def _beside(seen: NDArray[np.bool_]) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.int_]]:
    """For each (pixel, date) the seen date before, else -1, itself, -1 where not seen, and the one after, else num."""
    num = seen.shape[1]
    dates = np.arange(num)
    until = np.maximum.accumulate(np.where(seen, dates, -1), 1)
    since = np.minimum.accumulate(np.where(seen, dates, num)[:, ::-1], 1)[:, ::-1]
    edge = np.ones((len(seen), 1), int)
    before = np.concatenate([-edge, until[:, :-1]], 1)
    after = np.concatenate([since[:, 1:], num * edge], 1)
    return before, np.where(seen, dates, -1), after


def _is_enough(seen: NDArray[np.bool_], days: Array, gaps: Gaps) -> NDArray[np.bool_]:
    """Whether series show as much as `gaps` asks."""
    before, here, _ = _beside(seen)
    steps = np.where((here >= 0) & (before >= 0), days[here] - days[before], 0.0)
    is_long = steps.sum(1) >= gaps.least_share * float(days[-1] - days[0])
    is_close = (seen.sum(1) >= gaps.fewest) & (steps.max(1) <= gaps.longest_days)
    enough: NDArray[np.bool_] = is_close & is_long & (steps.sum(1) > 0)
    return enough
