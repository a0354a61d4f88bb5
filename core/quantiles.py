"""Quantiles that hold for a new case, or for a new group of cases that err together: conformal prediction's."""

import math

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import CalibrationError

Array = NDArray[np.float64]
Labels = NDArray[np.str_]


def cases_needed(level: float) -> int:
    """Smallest number of cases (or groups) n with n / (n + 1) >= level, below which a valid interval is infinite."""
    return math.ceil(round(level / (1 - level), 9))


def group_quantile(scores: Array, groups: Labels | NDArray[np.intp], level: float) -> float:
    """Smallest q that holds `level` of a new group's scores, groups being exchangeable: each group counts once.

    The quantile of the groups' distributions, pooled with weight 1 / (groups + 1) each, the rest at infinity.
    Source: Dunn, Wasserman & Ramdas 2022, Distribution-Free Prediction Sets for Two-Layer Hierarchical Models,
    section 3 (pooling CDFs); Lee, Barber & Willett 2023, Distribution-free inference with hierarchical data, HCP.

    Raises:
        CalibrationError: if there are too few groups; says how many are needed.
    """
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < cases_needed(level):
        raise CalibrationError(
            f"got {len(counts)} cases or groups of them, want at least {cases_needed(level)} for {level:.0%} coverage "
            "of a new one; add labelled cases"
        )
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum((1 / ((len(counts) + 1) * counts[index]))[order])
    return float(scores[order][min(int(np.searchsorted(mass, level - 1e-9)), len(scores) - 1)])
