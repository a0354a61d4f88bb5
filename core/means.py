"""Means of samples that belong together, as the pixels of one place: their errors are correlated, so that the interval
of a mean is calibrated on means, never averaged from the samples' own intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.conformal import Calibration
from mainstem.core.stream import Sample
from mainstem.core.told import facts_in

Array = NDArray[np.float64]


def mean_view(view: str) -> str:
    """The name under which the calibration of a view's means is kept."""
    return f"{view}, means"


def labels_by(samples: Sequence[Sample], fact: str) -> tuple[str, ...]:
    """The value of a fact of every sample, "" where it has none."""
    return tuple("" if value is None else str(value) for value in facts_in(samples, fact))


def sizes_by(samples: Sequence[Sample], fact: str) -> tuple[int, ...]:
    """How many samples there are in all, read or not, of what a fact names, as pixels of a place; 0 where unknown."""
    return tuple(int(float(size or 0)) for size in facts_in(samples, f"samples_of_{fact}"))


def counts_of(labels: Sequence[str]) -> NDArray[np.intp]:
    """How many samples each label has (labels,), in the order of `Judged.means`; "" is none."""
    distinct, counts = np.unique(np.asarray(labels), return_counts=True)
    found: NDArray[np.intp] = counts[distinct != ""]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Truth, prediction and scale of samples (samples,), with the group that each was held out in."""

    truth: Array
    mean: Array
    scale: Array
    groups: tuple[str, ...]

    @classmethod
    def join(cls, parts: Sequence["Judged"]) -> "Judged":
        """Put several parts' samples together."""
        return cls(
            truth=np.concatenate([part.truth for part in parts]),
            mean=np.concatenate([part.mean for part in parts]),
            scale=np.concatenate([part.scale for part in parts]),
            groups=tuple(group for part in parts for group in part.groups),
        )

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

    def means_of_all(self, labels: Sequence[str], sizes: Sequence[int] = ()) -> "Judged":
        """Means as `means` gives, with errors as if all samples of each label had been averaged, not the few drawn.

        A mean's error is a part that its samples share and their own errors' mean. Own errors of n samples drawn at
        random add their variance / n to the variance between a group's labels, those of all N would add it / N: errors
        are drawn towards their group's mean error until the difference is gone. Source: Searle, Casella & McCulloch
        1992, Variance Components, chapter 3 (one-way random model, estimated by analysis of variance).

        Args:
            labels: what each sample belongs to.
            sizes: N of each sample's label; 0, or none at all, where it is not known: then no unread one is supposed.
        """
        found = self.means(labels)
        error = found.truth - found.mean
        _, group = np.unique(np.asarray(found.groups), return_inverse=True)
        centre = (np.bincount(group, error) / np.bincount(group))[group]
        freedom = len(error) - int(group.max(initial=-1)) - 1
        between = float(((error - centre) ** 2).sum()) / max(freedom, 1)
        if not sizes or not between:
            return found
        distinct, first = np.unique(np.asarray(labels), return_index=True)
        count = counts_of(labels)
        whole = np.maximum(np.asarray(sizes)[first[distinct != ""]], count)
        own = self._own_variance(labels)
        shared = max(between - float(np.mean(own / count)), 0.0)
        share = np.sqrt((shared + own / whole) / (shared + own / count))
        return replace(found, mean=found.truth - (centre + share * (error - centre)))

    def _own_variance(self, labels: Sequence[str]) -> float:
        """Variance of samples' errors round the mean error of their label; 0 where each label has a single sample."""
        distinct, index = np.unique(np.asarray(labels), return_inverse=True)
        count, error = np.bincount(index), self.truth - self.mean
        kept = (distinct != "")[index]
        squares = (error - (np.bincount(index, error) / count)[index])[kept] ** 2
        return float(squares.sum()) / max(int((count - 1)[distinct != ""].sum()), 1)

    def calibration(self, population: str) -> Calibration:
        """Calibrate intervals on these errors."""
        return Calibration(scores=(self.truth - self.mean) / self.scale, groups=self.groups, population=population)


MEAN_ERRORS = "mean_errors"  # what a manifest calls them


def errors_by_view(part: str, found: Mapping[str, Judged]) -> dict[str, Any]:
    """What a manifest says of means' errors: root mean squares by view, and what their own average would err by.

    `part` is what each is the mean of. Nothing is said where there is none.
    """
    known = {view: means for view, means in found.items() if len(means.truth)}
    if not known:
        return {}
    first = next(iter(known.values()))
    errors = {view: float(np.sqrt(np.mean((means.truth - means.mean) ** 2))) for view, means in known.items()}
    return {MEAN_ERRORS: {"of": part, "n": len(first.truth), "rmse": errors, "average": float(first.truth.std())}}
