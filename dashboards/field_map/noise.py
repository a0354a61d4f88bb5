"""How much a date's NDVI of a field errs, known from how far dates lie off the line between their neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import t as student

Array = NDArray[np.float64]
FEWEST_TRIPLES = 10  # of dates in a row, over all fields, from which noise is told
FEWEST_OF_ONE = 4  # of one series, from which its own is
FEWEST_FIELDS = 3  # with noise of their own, from which it is told how much fields differ
ROBUST = 1.4826  # median absolute deviation to standard deviation, of a normal distribution
# Of what a triple is worth beside a free one: the median's efficiency (P. Rousseeuw, C. Croux 1993, J. American
# Statistical Association 88(424), 1273), over what neighbours share: second differences correlate by -2/3 and 1/6.
WORTH = 0.37 / (1 + 2 * ((2 / 3) ** 2 + (1 / 6) ** 2))
# Degrees of freedom of the chi-square whose logarithm varies as the squared median of one series' triples does: 1.2 and
# .24 a triple, within 4 % for 4 to 60 triples of dates drawn at random (simulated, 80,000 series a number).
FREE, FREE_PER_TRIPLE = 1.2, 0.24
MOST_ALIKE = 1e4  # degrees of freedom of the farm's noise, from which all fields are taken as alike


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise of one date of each field.

    Attributes:
        deviations: standard deviation (field,), NaN where too few dates tell any.
        freedom: degrees of freedom that it is known with (field,).
        usual: that of all fields' dates together.
        triples: how many dates between two others it is known from, over all fields.
    """

    deviations: Array
    freedom: Array
    usual: float
    triples: int


def offsets(series: Array, days: Array) -> Array:
    """How far each seen date but the first and last of a series (date,) lies off the line between those beside it.

    In standard deviations of a date's noise of one.
    """
    seen = np.flatnonzero(np.isfinite(series))
    before, here, after = seen[:-2], seen[1:-1], seen[2:]
    weight = (days[here] - days[before]) / (days[after] - days[before])
    off = series[here] - (1 - weight) * series[before] - weight * series[after]
    found: Array = off / np.sqrt(1 + (1 - weight) ** 2 + weight**2)
    return found


def noise_of(series: Array, days: Array) -> Noise:
    """Noise of series (field, date), each field's own drawn to the farm's as far as fields are alike.

    How far a date lies off the line between the dates before and after it is noise and some curvature, so that this is
    no less than the noise (E. Vermote et al. 2009, IEEE Transactions on Geoscience and Remote Sensing 47(6), 1899,
    section III), where it is free from date to date. Medians do not mind a cloud that was missed. A field's variance is
    drawn to the farm's by the empirical Bayes rule of G. Smyth 2004 (Statistical Applications in Genetics and Molecular
    Biology 3(1), 3, sections 3 and 6.2): the farm's counts by as many degrees of freedom as the fields' spread leaves.
    """
    off = [np.abs(offsets(row, days)) for row in series]
    num = np.array([len(one) for one in off])
    told = np.concatenate(off) if off else np.zeros(0)
    if len(told) < FEWEST_TRIPLES:
        return Noise(np.full(len(series), np.nan), np.ones(len(series)), np.nan, len(told))
    pooled = float(ROBUST * np.median(told))
    most = max(WORTH * len(told) * (1 - 2 / len(series)), 1.0)  # few fields: the others' median errs in all alike
    own = np.array([ROBUST * np.median(one) if len(one) >= FEWEST_OF_ONE else np.nan for one in off])
    has_own = own > 0
    freedom = np.where(has_own, FREE + FREE_PER_TRIPLE * num, 0.0)
    logs = 2 * np.log(own[has_own])
    farm_freedom = _freedom_of_farm(logs, freedom[has_own])
    if farm_freedom >= MOST_ALIKE:
        return Noise(np.full(len(series), pooled), np.full(len(series), most), pooled, len(told))
    farm = np.exp(logs.mean() + _bias(farm_freedom))
    variance = np.zeros(len(series))
    variance[has_own] = np.exp(logs + _bias(freedom[has_own]))  # the squared median is unbiased in its logarithm
    drawn = np.sqrt((farm_freedom * farm + freedom * variance) / (farm_freedom + freedom))
    return Noise(drawn, np.minimum(farm_freedom + freedom, most), pooled, len(told))


def _freedom_of_farm(logs: Array, freedom: Array) -> float:
    """Degrees of freedom of the variance that fields share: the fewer, the more their log variances differ."""
    if len(logs) < FEWEST_FIELDS:
        return MOST_ALIKE
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if excess <= polygamma(1, MOST_ALIKE / 2):
        return MOST_ALIKE
    return float(brentq(lambda half: polygamma(1, half) - excess, 1e-3, MOST_ALIKE)) * 2


def _bias(freedom: Array | float) -> Array:
    """Mean logarithm of a chi-square over its degrees of freedom."""
    half = np.asarray(freedom, float) / 2
    found: Array = digamma(half) - np.log(half)
    return found


def least_fall(deviations: Array | float, freedom: Array, chance: float) -> Array:
    """The fall between two dates beyond which noise alone goes with a chance, by Student's t."""
    found: Array = deviations * np.sqrt(2) * student.isf(chance, freedom)
    return found
