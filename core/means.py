"""Means of samples that belong together, as the pixels of a field: their errors are correlated, so that the interval
of a mean is calibrated on means, never averaged from the samples' own intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.calibration import IntervalCalibration
from mainstem.core.stream import Sample

Array = NDArray[np.float64]


def mean_view(view: str) -> str:
    """The name under which the calibration of a view's means is kept."""
    return f"{view}, means"


def labels_by(samples: Sequence[Sample], fact: str) -> tuple[str, ...]:
    """The value of a fact of every sample, "" where it has none."""
    return tuple(str(sample.source.facts.get(fact, "")) for sample in samples)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Truth, prediction and scale of samples (samples,), with the group that each was held out in."""

    truth: Array
    mean: Array
    scale: Array
    groups: tuple[str, ...]

    def means(self, labels: Sequence[str]) -> "Judged":
        """The same of the means over samples of one label; those labelled "" are left out.

        The scale is the samples' mean scale: what a mean's error is worth in it, calibration learns.
        """
        distinct, index = np.unique(np.asarray(labels), return_inverse=True)
        kept = np.flatnonzero(distinct != "")
        count = np.bincount(index)

        def averaged(values: Array) -> Array:
            found: Array = (np.bincount(index, values) / count)[kept]
            return found

        first = [int(np.argmax(index == row)) for row in kept]
        return Judged(
            truth=averaged(self.truth),
            mean=averaged(self.mean),
            scale=averaged(self.scale),
            groups=tuple(self.groups[row] for row in first),
        )

    def calibration(self, population: str) -> IntervalCalibration:
        """Calibrate intervals on these errors."""
        return IntervalCalibration(
            scores=(self.truth - self.mean) / self.scale, groups=self.groups, population=population
        )
