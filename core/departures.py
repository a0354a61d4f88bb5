"""How far single samples depart from what is normal for them, in spreads, beside how far calibration's samples do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
TINY = 1e-7  # of a feature's largest value: features are kept in single precision


@dataclass(frozen=True, kw_only=True, eq=False)
class Departures:
    """The normal of each place (places, features), and how far calibration's cases depart with their group left out.

    A normal is the mean over groups of a place's cases, a spread the root mean square over groups of departures from
    it. A calibration case is measured by normal and spread of the other groups, a new sample by those of all, each
    departure less what the normal's own uncertainty adds: both are then distributed alike where cases are.
    """

    normal: Array
    shrink: Array  # (places, features), at most 1: a departure's spread by that of a departure from a known normal
    spread: Array  # (features,)
    size: Array
    squares: Array  # (cases, features) of calibration, in spreads; NaN where unknown
    weights: Array  # (cases,): each group counts once

    @classmethod
    def fit(cls, features: Array, groups: Sequence[str], places: Rows) -> "Departures":
        """Fit on calibration features (cases, features), NaN where unknown, with each case's group and place number."""
        _, group = np.unique(np.asarray(groups), return_inverse=True)
        cells, cell = np.unique(np.stack([places, group]), axis=1, return_inverse=True)
        place_of, cell = cells[0], cell.reshape(-1)
        count, means = _sums(np.isfinite(features).astype(float), cell), _means(features, cell)
        seen = count > 0
        inverse = np.divide(1.0, count, out=np.zeros_like(count), where=seen)
        totals = [_sums(values, place_of) for values in (seen.astype(float), np.where(seen, means, 0.0), inverse)]
        others = [
            whole[places] - part[cell]
            for whole, part in zip(totals, (seen, np.where(seen, means, 0.0), inverse), strict=True)
        ]
        size = np.nanmax(np.abs(np.where(np.isfinite(features), features, 0.0)), axis=0, initial=1e-9)
        away = _away(features, *_normal(*others), size)
        by_group = _means(away**2, group)
        spread = np.sqrt(_mean_of_others(by_group))[group]
        normal, shrink = _normal(*totals)
        return cls(
            normal=normal,
            shrink=shrink,
            spread=np.sqrt(_mean_of_all(by_group)),
            size=size,
            squares=_in_spreads(away, spread, size) ** 2,
            weights=1 / np.bincount(group)[group],
        )

    def p_values(self, features: Array, places: Rows, *, by_largest: bool = False) -> Array:
        """Conformal p-values of samples (samples,) by themselves: small where one departs unlike calibration's cases.

        Compared by what a sample knows, by the mean of its squared departures or by the largest; 1 where that is
        nothing.
        """
        squares = self.in_spreads(features, places) ** 2
        found = np.ones(len(features))
        patterns, pattern = np.unique(~np.isnan(squares), axis=0, return_inverse=True)
        for number, used in enumerate(patterns):
            if used.any():
                rows = np.flatnonzero(pattern.reshape(-1) == number)
                found[rows] = self._ranked(squares[np.ix_(rows, used)], used, by_largest)
        return found

    def in_spreads(self, features: Array, places: Rows) -> Array:
        """Departures (samples, features) from what is normal at places, in spreads, signed; NaN where unknown."""
        with np.errstate(over="ignore"):  # beyond single precision is infinitely far
            known = features.astype(np.float32).astype(np.float64)  # as calibration's features are kept
        return _in_spreads(_away(known, self.normal[places], self.shrink[places], self.size), self.spread, self.size)

    def _ranked(self, asked: Array, used: NDArray[np.bool_], by_largest: bool) -> Array:
        """Share of calibration's weight that lies as far out, by the features used, the sample itself counted."""
        squares = self.squares[:, used]
        seen = ~np.isnan(squares)
        comparable = seen.any(1)
        if not comparable.any():
            return np.ones(len(asked))
        distances, reached = _far(asked, by_largest), _far(squares[comparable], by_largest)
        weights = self.weights[comparable]
        order = np.argsort(reached)
        beyond = np.append(np.cumsum(weights[order][::-1])[::-1], 0.0)
        own = weights.mean()
        found: Array = (beyond[np.searchsorted(reached[order], distances * (1 - 1e-9))] + own) / (weights.sum() + own)
        return found

    @property
    def num_cases(self) -> int:
        """How many cases of calibration there are."""
        return len(self.squares)


def _far(squares: Array, by_largest: bool) -> Array:
    """The mean, or the largest, of what is known of each case's squares (cases, features)."""
    seen = ~np.isnan(squares)
    known = np.where(seen, squares, 0.0)
    found: Array = known.max(1) if by_largest else known.sum(1) / seen.sum(1)
    return found


def _sums(values: Array, labels: Rows) -> Array:
    """Sums (labels, features) over cases."""
    found = np.zeros((int(labels.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(found, labels, values)
    return found


def _means(values: Array, labels: Rows) -> Array:
    """Means (labels, features) over cases of what is known; NaN where nothing is."""
    seen = np.isfinite(values)
    count = _sums(seen.astype(float), labels)
    total = _sums(np.where(seen, values, 0.0), labels)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _normal(count: Array, total: Array, inverse: Array) -> tuple[Array, Array]:
    """Mean of `count` groups' means, NaN below two, and how much less than a departure from it one from the truth is.

    A group's mean of n cases has a variance of 1 / n of a case's, `inverse` is their sum.
    """
    enough = count >= 2
    normal = np.divide(total, count, out=np.full_like(total, np.nan), where=enough)
    added = np.divide(inverse, count**2, out=np.zeros_like(total), where=enough)
    return normal, 1 / np.sqrt(1 + np.maximum(added, 0.0))


def _away(features: Array, normal: Array, shrink: Array, size: Array) -> Array:
    away = (features - normal) * shrink
    exact: Array = np.where(np.abs(away) <= TINY * size, 0.0, away)
    return np.where(np.isnan(away), np.nan, exact)


def _in_spreads(away: Array, spread: Array, size: Array) -> Array:
    """Departures in spreads; infinite where a feature departs that never did."""
    varies = np.broadcast_to(spread > TINY * size, away.shape)
    never = np.where(away != 0, np.copysign(np.inf, away), 0.0)
    found: Array = np.divide(away, np.broadcast_to(spread, away.shape), out=never, where=varies)
    return np.where(np.isnan(away), np.nan, found)


def _mean_of_all(by_group: Array) -> Array:
    """Mean over groups (features,) of what is known, 0 where nothing is."""
    seen = np.isfinite(by_group)
    found: Array = np.where(seen, by_group, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    return found


def _mean_of_others(by_group: Array) -> Array:
    """For each group (groups, features) the mean over the other groups of what is known."""
    seen = np.isfinite(by_group)
    values = np.where(seen, by_group, 0.0)
    found: Array = (values.sum(0) - values) / np.maximum(seen.sum(0) - seen, 1)
    return found
