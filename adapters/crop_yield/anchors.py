"""Anchors: what a region's own past says of a harvest before anything is seen of its season."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Sample
from mainstem.core.task import Order

Array = NDArray[np.float64]
Kind = Literal["average", "recent", "common-trend", "trend"]
KINDS: Mapping[Order, tuple[Kind, ...]] = {  # the field's plain choice first: CY-Bench's trend features, its average
    "later": ("recent", "average", "common-trend", "trend"),
    "any": ("average", "recent", "common-trend", "trend"),
}
CLEARLY = 2.0  # standard errors: three kinds challenge the plain one, so that one error is beaten by chance too often
RECENT = 5  # years of history that "recent" averages, as CY-Bench's trend features do
FEWEST_FOR_SLOPE = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionYears:
    """Region, harvest year, mean of the RECENT earlier yields, and yield (t/ha) of samples, as arrays (samples,)."""

    region: NDArray[np.str_]
    year: Array
    recent: Array
    yields: Array

    @classmethod
    def read(cls, samples: Sequence[Sample]) -> "RegionYears":
        """Read samples; an unknown target is NaN."""
        return cls(
            region=np.array([str(sample.source.facts["region"]) for sample in samples], dtype=str),
            year=np.array([float(sample.source.facts["year"]) for sample in samples]),
            recent=_recent_means(samples),
            yields=np.array([np.nan if sample.target is None else float(sample.target) for sample in samples]),
        )

    def rows(self, chosen: NDArray[Any]) -> "RegionYears":
        """Return the chosen rows."""
        return RegionYears(
            region=self.region[chosen], year=self.year[chosen], recent=self.recent[chosen], yields=self.yields[chosen]
        )


def _recent_means(samples: Sequence[Sample]) -> Array:
    """Mean of the last RECENT past yields of each sample (samples,), t/ha; NaN where none is known."""
    last = np.zeros((len(samples), RECENT))
    count = np.zeros(len(samples), np.intp)
    for row, sample in enumerate(samples):
        history = sample.streams.get("history")
        if history is not None:
            seen = history.values[history.observed()][-RECENT:]
            count[row] = len(seen)
            last[row, RECENT - len(seen) :] = seen
    return np.where(count > 0, last.sum(1) / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchor:
    """One kind of expectation, from the yields of training; a sample's own yield is never part of its anchor.

    average: the region's mean over training years. recent: the mean of its last years plus the drift common to all.
    common-trend: its mean, moved along the slope common to all regions. trend: its own straight line.
    A region without what its kind needs falls back to recent, then to the mean of all regions.
    """

    kind: Kind
    known: RegionYears

    def __call__(self, asked: RegionYears) -> Array:
        """Return anchors (samples,), t/ha."""
        overall = float(self.known.yields.mean())
        recent = asked.recent + self._drift()
        fallback = np.where(np.isfinite(recent), recent, overall)
        if self.kind == "recent":
            return fallback
        count, mean, middle, slope = self._lines(asked)
        if self.kind == "average":
            slope = np.zeros_like(slope)
        elif self.kind == "common-trend":
            slope = np.full_like(slope, self._common_slope())
        return np.where(count > 0, mean + slope * (asked.year - middle), fallback)

    def _drift(self) -> float:
        gap = self.known.yields - self.known.recent
        return float(np.nanmean(gap)) if np.isfinite(gap).any() else 0.0

    def _lines(self, asked: RegionYears) -> tuple[Array, Array, Array, Array]:
        """Each asked region's number of years, mean yield, mean year and slope, its own year left out."""
        regions, index = np.unique(self.known.region, return_inverse=True)
        place = {region: row for row, region in enumerate(regions.tolist())}
        rows = np.array([place.get(region, -1) for region in asked.region.tolist()])
        origin = float(self.known.year.mean())
        year, yields = self.known.year - origin, self.known.yields
        own = {(r, t): y for r, t, y in zip(index.tolist(), year.tolist(), yields.tolist(), strict=True)}
        asked_year = asked.year - origin
        own_yield = np.array([own.get(key, np.nan) for key in zip(rows.tolist(), asked_year.tolist(), strict=True)])
        has_own = np.isfinite(own_yield)
        own_yield = np.where(has_own, own_yield, 0.0)

        def total(values: Array, own_values: Array) -> Array:
            sums = np.bincount(index, values, minlength=len(regions))[rows]
            return np.where(rows >= 0, sums - has_own * own_values, 0.0)

        count = total(np.ones_like(year), np.ones(len(rows)))
        safe = np.maximum(count, 1)
        mean, middle = total(yields, own_yield) / safe, total(year, asked_year) / safe
        spread = total(year**2, asked_year**2) - safe * middle**2
        product = total(year * yields, asked_year * own_yield) - safe * middle * mean
        enough = (count >= FEWEST_FOR_SLOPE) & (spread > 1e-9)
        slope = np.where(enough, product / np.where(enough, spread, 1.0), 0.0)
        return count, mean, middle + origin, slope

    def _common_slope(self) -> float:
        return _slope_in_common(self.known.region, self.known.year, self.known.yields)

    def drifted(self, year: Array) -> Array:
        """Return how far recent yields have drifted in common by each year (samples,) from training's middle, t/ha."""
        known = self.known.rows(np.isfinite(self.known.recent))
        if not len(known.year):
            return np.zeros(len(year))
        slope = _slope_in_common(known.region, known.year, known.recent)
        return slope * (year - float(known.year.mean()))

    def state(self, regions: Sequence[str]) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays; regions are numbered by their place in `regions`."""
        place = {region: float(row) for row, region in enumerate(regions)}
        index = np.array([place[region] for region in self.known.region.tolist()])
        known = self.known
        return {"kind": self.kind}, {
            "region": index,
            "year": known.year,
            "recent": known.recent,
            "yields": known.yields,
        }

    @classmethod
    def restore(cls, kind: Kind, regions: Sequence[str], arrays: Mapping[str, Array]) -> "Anchor":
        """Read what `state` gave."""
        region = np.array(regions, dtype=str)[arrays["region"].astype(int)]
        known = RegionYears(region=region, year=arrays["year"], recent=arrays["recent"], yields=arrays["yields"])
        return cls(kind=kind, known=known)


def _slope_in_common(region: NDArray[np.str_], year: Array, values: Array) -> float:
    """The slope (a year) of values about each region's mean, one for all regions."""
    _, index = np.unique(region, return_inverse=True)
    count = np.bincount(index)
    years = year - (np.bincount(index, year) / count)[index]
    away = values - (np.bincount(index, values) / count)[index]
    spread = float((years**2).sum())
    return float((years * away).sum()) / spread if spread > 0 else 0.0


def fit_anchor(known: RegionYears, order: Order) -> Anchor:
    """Choose the kind by training years that it was not fitted on; the plain one stays unless clearly beaten.

    With order "later" each year of the second half is predicted from the years before it, with "any" every year from
    all others. Clearly: by more than CLEARLY standard errors of the gain over years (compare the one-standard-error
    rule of Breiman et al. 1984, CART, section 3.4.3).
    """
    years = np.unique(known.year)
    judged = years[len(years) // 2 :] if order == "later" else years
    errors: dict[Kind, Array] = {}
    for kind in KINDS[order]:
        by_year = []
        for year in judged:
            kept = known.year < year if order == "later" else known.year != year
            if kept.any():
                asked = known.rows(known.year == year)
                by_year.append(float(np.mean((Anchor(kind=kind, known=known.rows(kept))(asked) - asked.yields) ** 2)))
        errors[kind] = np.array(by_year)
    best, *others = KINDS[order]
    for kind in others:
        gain = errors[best] - errors[kind]
        if len(gain) > 1 and gain.mean() > CLEARLY * gain.std(ddof=1) / np.sqrt(len(gain)):
            best = kind
    return Anchor(kind=best, known=known)
