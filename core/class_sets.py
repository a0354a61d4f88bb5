"""Sets of classes that cannot be ruled out, calibrated on whole groups never trained on, each class by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import ArtifactError
from mainstem.core.quantiles import cases_needed, conformal_quantile, group_quantile
from mainstem.core.state import Arrays, State, array_of, label_arrays, labels_of

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSetCalibration:
    """Scores 1 - probability of the true class, kept apart by class, with the group that each was held out in.

    A class is ruled out only where enough groups show it: each group counts once, as in `group_quantile`.
    Source: Vovk 2012, Conditional validity of inductive conformal predictors (label-conditional);
    Sadinle, Lei & Wasserman 2019, Least ambiguous set-valued classifiers, section 2.
    """

    scores: Mapping[str, Array]
    groups: Mapping[str, tuple[str, ...]] | None = None

    @classmethod
    def fit(
        cls,
        probabilities: Array,
        truth: Sequence[int],
        classes: Sequence[str],
        groups: Sequence[str] | None = None,
    ) -> "ClassSetCalibration":
        """Take held-out probabilities (cases, classes), true class indices (cases,) and groups (cases,), if any."""
        labels = np.asarray(truth)
        missed = 1 - probabilities[np.arange(len(labels)), labels]
        named = None if groups is None else np.asarray(groups)
        return cls(
            scores={name: missed[labels == index] for index, name in enumerate(classes)},
            groups=None
            if named is None
            else {name: tuple(named[labels == index].tolist()) for index, name in enumerate(classes)},
        )

    def num_known(self, name: str) -> int:
        """How many groups show a class; cases, where no groups are named."""
        return len(self.scores[name]) if self.groups is None else len(set(self.groups[name]))

    def num_groups(self) -> int:
        """How many groups there are, of all classes together; 0 where none is named."""
        return len({group for labels in (self.groups or {}).values() for group in labels})

    def _threshold(self, name: str, level: float) -> float:
        if self.num_known(name) < cases_needed(level):
            return 0.0
        if self.groups is None:
            return 1 - conformal_quantile(self.scores[name], level)
        return 1 - group_quantile(self.scores[name], np.asarray(self.groups[name]), level)

    def thresholds(self, level: float) -> Array:
        """Least probability (classes,) with which each class stays in; 0 for one that too few groups show."""
        return np.array([self._threshold(name, level) for name in self.scores])

    def sets(self, probabilities: Array, level: float) -> NDArray[np.bool_]:
        """True (cases, classes) where a class cannot be ruled out; one that too few groups show never can."""
        inside: NDArray[np.bool_] = probabilities >= self.thresholds(level)
        return inside

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""
        counts = np.array([len(values) for values in self.scores.values()], np.int64)
        groups = None if self.groups is None else [name for labels in self.groups.values() for name in labels]
        return {"classes": list(self.scores), "has_groups": groups is not None}, {
            "scores": np.concatenate(list(self.scores.values())),
            "counts": counts,
            **({} if groups is None else label_arrays(groups)),
        }

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Arrays) -> "ClassSetCalibration":
        """Read what `state` gave.

        Raises:
            ArtifactError: if it is not whole, or holds what are no scores.
        """
        classes, counts = plain.get("classes"), array_of(arrays, "counts", num_dims=1, kind=np.int64)
        scores = array_of(arrays, "scores", num_dims=1)
        if not isinstance(classes, list) or len(classes) != len(counts) or counts.min() < 0:
            raise ArtifactError("the calibration's counts do not fit its classes; train it again")
        if counts.sum() != len(scores) or scores.min() < 0 or scores.max() > 1 or not scores.any():
            raise ArtifactError("the calibration scores are no 1 - probability of each case; train it again")
        ends = np.cumsum(counts)[:-1]
        groups = labels_of(arrays) if plain.get("has_groups") is True else None
        if groups is not None and len(groups) != len(scores):
            raise ArtifactError(f"got {len(groups)} groups of {len(scores)} calibration scores; train it again")
        return cls(
            scores={str(name): part for name, part in zip(classes, np.split(scores, ends), strict=True)},
            groups=None
            if groups is None
            else {
                str(name): tuple(part.tolist())
                for name, part in zip(classes, np.split(np.asarray(groups, object), ends), strict=True)
            },
        )
