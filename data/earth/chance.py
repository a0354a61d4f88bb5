"""Whether two maps of one field agree better than chance: correlation with the sample that autocorrelation leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_CELLS = 800  # that are looked at: pairs grow with their square
NUM_BINS = 40
SEED = 0
ALPHA = 0.05  # the usual one


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Correlation of two maps, the number of cells that would be as telling if they were independent, and chance's p.

    `p` is one-sided: how often maps that have nothing in common but their patchiness agree as well.
    """

    r: float
    num_effective: float
    p: float

    @property
    def is_better_than_chance(self) -> bool:
        """True where chance would seldom do as well."""
        return self.r > 0 and self.p < ALPHA


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Correlation of two maps (y, x) where both are known; 0 where one is the same everywhere."""
    known = np.isfinite(first) & np.isfinite(second)
    x, y = first[known], second[known]
    if len(x) < 3 or not x.std() > 0 or not y.std() > 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def agreement(first: NDArray[np.float64], second: NDArray[np.float64], cell_m: float) -> Agreement:
    """Correlate two maps (y, x) where both are known.

    The variance of the correlation of two unrelated, patchy maps is estimated from their covariances by distance.

    Source: Clifford, Richardson and Hemon 1989, Biometrics 45, 123-134; Dutilleul 1993, Biometrics 49, 305-314, for
    the degrees of freedom.
    """
    r = correlation(first, second)
    rows, columns = np.nonzero(np.isfinite(first) & np.isfinite(second))
    if len(rows) > MOST_CELLS:
        chosen = np.sort(np.random.default_rng(SEED).choice(len(rows), MOST_CELLS, replace=False))
        rows, columns = rows[chosen], columns[chosen]
    x, y = first[rows, columns], second[rows, columns]
    if len(x) < 3 or not x.std() > 0 or not y.std() > 0:
        return Agreement(r=0.0, num_effective=2.0, p=1.0)
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    num = 1 + 1 / max(_variance(x, y, np.stack([rows, columns]) * cell_m), 1 / len(x))
    return _told(r, num)


def _variance(x: NDArray[np.float64], y: NDArray[np.float64], places: NDArray[Any]) -> float:
    """Variance of the correlation of two standardised, unrelated maps whose cells lie at `places` (2, cell)."""
    distance = np.hypot(*(places[:, :, None] - places[:, None]))
    edges = np.linspace(0, float(distance.max()) * (1 + 1e-9), NUM_BINS)
    stratum = np.where(distance == 0, 0, np.digitize(distance, edges))
    count = np.bincount(stratum.ravel(), minlength=NUM_BINS + 1)
    sums = [np.bincount(stratum.ravel(), weights=np.outer(v, v).ravel(), minlength=NUM_BINS + 1) for v in (x, y)]
    covariances = sums[0] * sums[1] / np.maximum(count, 1)
    return float(covariances.sum() / len(x) ** 2)


def pooled(found: Sequence[Agreement]) -> Agreement:
    """The mean of several agreements that are not independent: as telling as one of them, not as all together."""
    r = float(np.mean([one.r for one in found]))
    return _told(r, 1 + 1 / float(np.mean([1 / (one.num_effective - 1) for one in found])))


def _told(r: float, num: float) -> Agreement:
    from scipy.stats import t

    freedom = num - 2
    if freedom <= 0:
        return Agreement(r=r, num_effective=num, p=1.0)
    score = r * np.sqrt(freedom / max(1 - r**2, 1e-12))
    return Agreement(r=r, num_effective=num, p=float(t.sf(score, freedom)))
