"""Zones of a field drawn from several years of its yield or vigour, and judged by years that they were not drawn from.

Years are put on one scale, averaged, smoothed and cut into classes (Blackmore 2000, Computers and Electronics in
Agriculture 26, 37-51: trends from several yield maps on the scale of each map's mean; Fridgen et al. 2004, Agronomy
Journal 96, 100-108: number and stability of zones). Whether zones last is told by leaving each year out in turn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.chance import Agreement, agreement, pooled

FEWEST, MOST = 3, 7
WIDEST = 3.0  # standard deviations beyond which a cell counts no further: one spike shall not draw a zone
LEAST_WEIGHT = 0.1  # of the smoothing kernel that must lie on cells with a value
MOST_PASSES = 60  # over patches that are too small
GOOD_ENOUGH = 0.95  # share of the best agreement that a smaller number of zones must reach to be taken
FIT_CELLS = 20_000
LEAST_SEEN = 0.5  # of a zone's land that a season must show to judge it: most of it, as of fields on maps
LEAST_STABLE = 0.5  # the median zone's share that stays: of three unrelated zones about a third would, by chance alone
Stack = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ZoneSpec:
    """How zones are drawn: their number (0: 3 to 7, whichever the years left out bear), smoothing and least area.

    `smooth_m` is the standard deviation of a Gaussian, metres; 20 m is a choice of ours: about two passes of a combine.
    `least_ha` is a choice, too: 0.2 ha are a strip of 24 m, a common spreader's width, by 80 m.
    """

    num_zones: int = 0
    least_ha: float = 0.2
    smooth_m: float = 20.0

    def __post_init__(self) -> None:
        if self.num_zones and not FEWEST <= self.num_zones <= MOST:
            raise InputError(f"got {self.num_zones} zones, want {FEWEST} to {MOST}, or 0 to have the number chosen")
        if not (0 < self.least_ha <= 1000 and 0 <= self.smooth_m <= 500):
            raise InputError(
                f"got zones of at least {self.least_ha:g} ha, smoothed over {self.smooth_m:g} m; want 0-1000 ha and "
                "0-500 m"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Zones:
    """Zones of one field.

    `labels` (y, x) are 0 outside and from 1, the lowest, inside; `folds` (year, y, x) are those drawn without each year
    (empty for one year alone); `seen` (year, y, x) is True where a year shows a value; `agreement` is of what the folds
    foretell with the year left out, None for one year alone.
    """

    labels: Labels
    num_zones: int
    folds: Labels
    seen: NDArray[np.bool_]
    agreement: Agreement | None

    def stable(self) -> NDArray[np.bool_]:
        """True (y, x) in cells that every map drawn without one of the years puts into the same zone."""
        if not len(self.folds):
            return np.zeros(self.labels.shape, dtype=bool)
        found: NDArray[np.bool_] = (self.labels > 0) & (self.folds == self.labels).all(0)
        return found

    def seen_shares(self, zone: int) -> NDArray[np.float64]:
        """Share (year,) of a zone's land that each year shows."""
        return np.asarray(self.seen[:, self.labels == zone].mean(1), np.float64)

    def judges(self, zone: int) -> list[int]:
        """Numbers of the years that can judge a zone: those that show LEAST_SEEN of it, where there are two of them.

        Where one year alone shows a zone's land, what was drawn without that year is of other land.
        """
        found = [int(year) for year in np.flatnonzero(self.seen_shares(zone) >= LEAST_SEEN)]
        return found if len(found) > 1 else []

    def stable_share(self, zone: int) -> float:
        """Share of a zone's land, where two years or more show it, that is stable; NaN where nothing judges it."""
        own = (self.labels == zone) & (self.seen.sum(0) > 1)
        return float(self.stable()[own].mean()) if self.judges(zone) and own.any() else float("nan")

    def usual_stable_share(self) -> float:
        """The median zone's stable share; NaN where no zone can be judged."""
        found = [self.stable_share(zone) for zone in np.unique(self.labels[self.labels > 0]).tolist()]
        known = [share for share in found if np.isfinite(share)]
        return float(np.median(known)) if known else float("nan")


def draw_zones(years: Stack, inside: NDArray[np.bool_], cell_m: float, spec: ZoneSpec) -> Zones:
    """Draw zones from years (year, y, x), NaN where unknown, within a field's cells.

    Raises:
        InputError: if the field has too few cells with a value, or a year shows the same everywhere.
    """
    scaled = standardised(years, inside)
    if spec.num_zones:
        return _judged(scaled, inside, cell_m, spec, spec.num_zones)
    return _best(scaled, inside, cell_m, spec)


def _judged(scaled: Stack, inside: NDArray[np.bool_], cell_m: float, spec: ZoneSpec, num: int) -> Zones:
    labels, _ = _drawn(scaled, inside, cell_m, spec, num)
    folds, found = _left_out(scaled, inside, cell_m, spec, num)
    return Zones(labels=labels, num_zones=num, folds=folds, seen=np.isfinite(scaled), agreement=found)


def standardised(years: Stack, inside: NDArray[np.bool_]) -> Stack:
    """Each year less its mean in the field, in its standard deviations, cut at WIDEST.

    Raises:
        InputError: naming the number of the year that cannot be.
    """
    scaled = np.full(years.shape, np.nan)
    for number, year in enumerate(years):
        seen = inside & np.isfinite(year)
        if seen.sum() < MOST**2:
            raise InputError(f"raster {number + 1} shows {seen.sum()} cells of the field, want {MOST**2} or more")
        spread = float(year[seen].std())
        if not spread > 1e-9 * max(abs(float(year[seen].mean())), 1e-300):
            raise InputError(f"raster {number + 1} is the same everywhere in the field; there is nothing to draw")
        scaled[number][seen] = np.clip((year[seen] - year[seen].mean()) / spread, -WIDEST, WIDEST)
    return scaled


def _drawn(
    scaled: Stack, inside: NDArray[np.bool_], cell_m: float, spec: ZoneSpec, num: int
) -> tuple[Labels, NDArray[np.float64]]:
    """Labels, and what they foretell of a year: the mean of the years drawn from in each zone."""
    seen = np.isfinite(scaled)
    count = seen.sum(0)
    mean = np.where(count > 0, np.where(seen, scaled, 0.0).sum(0) / np.maximum(count, 1), np.nan)
    mean[~inside] = np.nan
    score = _smooth(mean, spec.smooth_m / cell_m)
    score[~inside] = np.nan
    known = np.isfinite(score)
    if known.sum() < MOST**2:
        raise InputError(f"the field has {known.sum()} cells with a value, want {MOST**2} or more; use finer rasters")
    labels = np.zeros(score.shape, dtype=np.int64)
    labels[known] = _classes(score[known], num)
    labels = merge_small(labels, spec.least_ha * 1e4 / cell_m**2)
    sums = np.bincount(labels[known], weights=score[known], minlength=num + 1)
    counts = np.bincount(labels[known], minlength=num + 1)
    told = np.where(labels > 0, (sums / np.maximum(counts, 1))[labels], np.nan)
    return labels, told


def _smooth(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian mean of the known cells; NaN where too little of the kernel lies on any."""
    if sigma < 0.3:  # the kernel is the cell itself
        return values.copy()
    from scipy import ndimage

    known = np.isfinite(values)
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), sigma, mode="constant")
    return np.where(weight >= LEAST_WEIGHT, total / np.maximum(weight, 1e-12), np.nan)


def _classes(values: NDArray[np.float64], num: int) -> Labels:
    """Classes from 1, the lowest, by k-means on one axis begun at quantiles: natural breaks."""
    from sklearn.cluster import KMeans

    ordered = np.sort(values)
    sample = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), FIT_CELLS)).astype(np.int64)]
    begin = np.quantile(sample, (np.arange(num) + 0.5) / num)
    begin += np.arange(num) * 1e-12  # of a field with few different values, so that no two begin at one place
    centres = np.sort(KMeans(num, init=begin[:, None], n_init=1).fit(sample[:, None]).cluster_centers_[:, 0])
    found: Labels = np.searchsorted((centres[1:] + centres[:-1]) / 2, values, side="right") + 1
    return found


def merge_small(labels: Labels, least_cells: float) -> Labels:
    """Give patches smaller than `least_cells` to the zone that they share most of their border with."""
    from scipy import ndimage

    labels = labels.copy()
    for _ in range(MOST_PASSES):
        patches, sizes = _patches(labels)
        small = np.nonzero((sizes < least_cells) & (sizes > 0))[0]
        places = ndimage.find_objects(patches)
        is_changed = False
        for patch in small[np.argsort(sizes[small], kind="stable")]:
            rows, columns = (slice(max(side.start - 1, 0), side.stop + 1) for side in places[patch - 1])
            within = patches[rows, columns] == patch
            border = labels[rows, columns][ndimage.binary_dilation(within) & ~within]
            votes = np.bincount(border[border > 0])
            own = labels[rows, columns][within][0]
            if votes.size and (votes.argmax() != own):
                labels[rows, columns][within] = votes.argmax()
                is_changed = True
        if not is_changed:
            break
    return labels


def _patches(labels: Labels) -> tuple[Labels, NDArray[np.int64]]:
    """Number the connected patches of all zones, and count the cells of each."""
    from scipy import ndimage

    patches = np.zeros(labels.shape, dtype=np.int64)
    total = 0
    for zone in np.unique(labels[labels > 0]):
        found, num = ndimage.label(labels == zone)
        patches = np.where(found > 0, found + total, patches)
        total += num
    sizes = np.bincount(patches.ravel(), minlength=total + 1)
    sizes[0] = 0
    return patches, sizes


def _left_out(
    scaled: Stack, inside: NDArray[np.bool_], cell_m: float, spec: ZoneSpec, num: int
) -> tuple[Labels, Agreement | None]:
    """Zones drawn without each year in turn, and how what they foretell agrees with it."""
    if len(scaled) < 2:
        return np.empty((0, *inside.shape), dtype=np.int64), None
    drawn = [_drawn(np.delete(scaled, year, 0), inside, cell_m, spec, num) for year in range(len(scaled))]
    found = [agreement(told, year, cell_m) for (_, told), year in zip(drawn, scaled, strict=True)]
    return np.stack([labels for labels, _ in drawn]), pooled(found)


def _best(scaled: Stack, inside: NDArray[np.bool_], cell_m: float, spec: ZoneSpec) -> Zones:
    """Zones of the smallest number that foretells years left out about as well as any number whose zones hold.

    They hold where the median zone's stable share is LEAST_STABLE; FEWEST where no number's do, and for one year alone.
    """
    if len(scaled) < 2:
        return _judged(scaled, inside, cell_m, spec, FEWEST)
    drawn = [_judged(scaled, inside, cell_m, spec, num) for num in range(FEWEST, MOST + 1)]
    told = [
        (zones.agreement.r, zones)
        for zones in drawn
        if zones.agreement is not None and zones.usual_stable_share() >= LEAST_STABLE
    ]
    best = max((r for r, _ in told), default=0.0)
    return next((zones for r, zones in told if best > 0 and r >= GOOD_ENOUGH * best), drawn[0])
