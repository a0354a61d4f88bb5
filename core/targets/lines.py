"""Lines from what a model of simulations says to a user's own truth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST_SLOPE = 0.05  # of local truth on what a model of simulations says; scales must stay positive


def fit_line(mean: Array, truth: Array) -> tuple[float, float]:
    """Slope, at least LEAST_SLOPE, and intercept of truth on means (cases,)."""
    spread = float(((mean - mean.mean()) ** 2).sum())
    slope = float(((mean - mean.mean()) * (truth - truth.mean())).sum()) / spread if spread > 0 else 0.0
    slope = max(slope, LEAST_SLOPE)
    return slope, float(truth.mean() - slope * mean.mean())


def lines_of_others(mean: Array, scale: Array, truth: Array, groups: Sequence[str]) -> tuple[Array, Array]:
    """Means and scales (cases,) by the line of all groups but each case's own."""
    moved, widened, labels = np.empty_like(mean), np.empty_like(scale), np.asarray(groups)
    for group in np.unique(labels):
        held = labels == group
        slope, intercept = fit_line(mean[~held], truth[~held])
        moved[held], widened[held] = slope * mean[held] + intercept, slope * scale[held]
    return moved, widened


__all__ = ["LEAST_SLOPE", "fit_line", "lines_of_others"]
