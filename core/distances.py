"""Features of groups: cut to reason, drawn alike in whatever order they stand, averaged; how far groups lie apart."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FARTHEST = 10.0  # robust spreads; no ordinary case is there


def as_saved(features: Array) -> Array:
    """The features as an artefact keeps them: to single precision."""
    return np.asarray(features, np.float32).astype(np.float64)


def within_reason(features: Array) -> Array:
    """Features (cases, features) cut at FARTHEST robust spreads (1.4826 median absolute deviations) from the median.

    One wild case would else widen the spread until nothing is strange. A feature whose spread is nothing stays.
    """
    seen = np.isfinite(features).any(0)
    found = features.astype(np.float64, copy=True)
    median = np.nanmedian(found[:, seen], axis=0)
    reach = FARTHEST * 1.4826 * np.nanmedian(np.abs(found[:, seen] - median), axis=0)
    reach[reach <= 0] = np.inf
    found[:, seen] = np.clip(found[:, seen], median - reach, median + reach)
    return found


def drawn(facts: Array, num: int, rng: np.random.Generator) -> Array:
    """The cases, or `num` of them drawn at random where there are more: the same ones in whatever order they come."""
    return facts if len(facts) <= num else facts[drawn_rows(facts, num, rng)]


def drawn_rows(facts: Array, num: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The rows of the cases that `drawn` gives."""
    ordered = np.lexsort(np.where(np.isnan(facts), np.inf, facts).T)  # by what the cases hold
    return np.sort(ordered[rng.choice(len(facts), min(num, len(facts)), replace=False)])


def mean_of(features: Array) -> Array:
    """Mean over cases (features,) of what is known; NaN where nothing is."""
    seen = np.isfinite(features)
    count = seen.sum(0)
    mean: Array = np.where(count > 0, np.where(seen, features, 0.0).sum(0) / np.maximum(count, 1), np.nan)
    return mean


def departures_of(everyone: Array) -> Array:
    """How far every group (groups, features) lies from the mean of the others, in their standard deviations, signed.

    NaN where a group does not know a feature, or fewer than two others do; one that never varied among the others, and
    does in this group, is infinitely far.
    """
    seen = np.isfinite(everyone)
    values = np.where(seen, everyone, 0.0)
    count = seen.sum(0) - seen
    mean = (values.sum(0) - values) / np.maximum(count, 1)
    centre = values.sum(0) / np.maximum(seen.sum(0), 1)
    squares = np.where(seen, (everyone - centre) ** 2, 0.0)
    spread_squared = squares.sum(0) - squares - count * (mean - centre) ** 2
    spread = np.sqrt(np.maximum(spread_squared, 0.0) / np.maximum(count - 1, 1))
    size = np.abs(values).max(0, initial=1e-9)
    signed = np.where(seen, everyone - mean, 0.0)
    away = np.where(np.abs(signed) <= 1e-7 * size, 0.0, signed)
    never = np.where(away != 0, np.copysign(np.inf, away), 0.0)
    ratio = np.divide(away, spread, out=never, where=spread > 1e-7 * size)
    found: Array = np.where(seen & (count >= 2), ratio, np.nan)
    return found


def distances_of(everyone: Array) -> Array:
    """Distance of every group (groups, features) from the others: root mean square departure over what it knows."""
    away = departures_of(everyone)
    usable = ~np.isnan(away)
    total: Array = (np.where(usable, away, 0.0) ** 2).sum(1)
    distances: Array = np.sqrt(total / np.maximum(usable.sum(1), 1))
    return distances
