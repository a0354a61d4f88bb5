"""The published filter beside ours: Vega, Cordoba, Castro-Franco, Balzarini 2019, Precision Agriculture 20, 1030.

Written anew from the paper and the documentation of its R package, paar (`depurate`, its defaults): 10 m of the border,
yields of 0, those beyond 3 standard deviations, then records whose local Moran's I within 40 m is negative at 0.05
(Bonferroni over the neighbours) or that have an unusual weight in the Moran scatter plot (Belsley, Kuh, Welsch 1980).
"""

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from scipy.stats import f as f_distribution
from scipy.stats import norm

Array = NDArray[np.float64]
BORDER_M, DEVIATIONS, REACH_M, LEVEL = 10.0, 3.0, 40.0, 0.05


def depurate(x: Array, y: Array, values: Array, border_m: float = BORDER_M) -> NDArray[np.bool_]:
    """Return True for the records (record,) that the filter keeps."""
    kept = np.isfinite(values) & np.isfinite(x) & np.isfinite(y)
    hull = shapely.concave_hull(shapely.MultiPoint(np.column_stack([x[kept], y[kept]])), ratio=0.05)
    inner = hull.buffer(-border_m)
    shapely.prepare(inner)
    kept &= shapely.contains_xy(inner, x, y) & (values > 0)
    mean, deviation = values[kept].mean(), values[kept].std(ddof=1)
    kept &= np.abs(values - mean) < DEVIATIONS * deviation
    rows = np.flatnonzero(kept)
    kept[rows[_is_unlike(x[rows], y[rows], values[rows])]] = False
    return kept


def _is_unlike(x: Array, y: Array, values: Array) -> NDArray[np.bool_]:
    num = len(values)
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(REACH_M, output_type="ndarray")
    both = np.concatenate([pairs, pairs[:, ::-1]])
    count = np.maximum(np.bincount(both[:, 0], minlength=num), 1)
    weights = csr_matrix((1.0 / count[both[:, 0]], (both[:, 0], both[:, 1])), shape=(num, num))
    centred = values - values.mean()
    lag = weights @ centred
    variance = (centred**2).mean()
    index, kurtosis = centred * lag / variance, (centred**4).mean() / variance**2
    expected = -1 / (num - 1)
    squares = (num - kurtosis) / count / (num - 1)
    products = (1 - 1 / count) * (2 * kurtosis - num) / (num - 1) / (num - 2)
    p_value = norm.cdf((index - expected) / np.sqrt(np.maximum(squares + products - expected**2, 1e-12)))
    is_negative = (index < 0) & (np.minimum(p_value * (count + 1), 1) < LEVEL)
    return np.asarray(is_negative | _is_influential(values, weights @ values))


def _is_influential(x: Array, y: Array) -> NDArray[np.bool_]:
    """Points of a straight line's fit with an unusual weight, by any of R's `influence.measures`."""
    num, terms = len(x), 2
    centred = x - x.mean()
    total = (centred**2).sum()
    slope = (centred * y).sum() / total
    residual = y - y.mean() - slope * centred
    lever = 1 / num + centred**2 / total
    mean_square = (residual**2).sum() / (num - terms)
    left_out = np.sqrt((mean_square * (num - terms) - residual**2 / (1 - lever)) / (num - terms - 1))
    student = residual / left_out / np.sqrt(1 - lever)
    dffits = student * np.sqrt(lever / (1 - lever))
    ratio = (left_out**2 / mean_square) ** terms / (1 - lever)
    cook = residual**2 / mean_square / terms * lever / (1 - lever) ** 2
    dfbeta = np.abs(student / np.sqrt(1 - lever) * centred / np.sqrt(total))
    return np.asarray(
        (np.abs(dffits) > 3 * np.sqrt(terms / (num - terms))) | (np.abs(1 - ratio) > 3 * terms / (num - terms))
        | (f_distribution.cdf(cook, terms, num - terms) > 0.5) | (lever > 3 * terms / num) | (dfbeta > 1)
    )  # fmt: skip
