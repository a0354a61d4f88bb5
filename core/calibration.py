"""Calibration on whole groups never trained on: conformal intervals, class sets, and the alarm that withdraws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import ArtifactError, CalibrationError
from mainstem.core.prediction import Claim, ClassSet, Interval
from mainstem.core.state import Arrays, State, array_of, label_arrays, labels_of

Array = NDArray[np.float64]


def cases_needed(level: float) -> int:
    """Smallest number of cases n with ceil((n + 1) * level) <= n, below which an interval would be infinite."""
    return math.ceil(round(level / (1 - level), 9))


def conformal_quantile(scores: Array, level: float) -> float:
    """The ceil((n + 1) * level)-th smallest score: split conformal's finite-sample correction.

    Source: Vovk, Gammerman & Shafer 2005; Lei et al. 2018, Distribution-free predictive inference, algorithm 2.

    Raises:
        CalibrationError: if there are too few cases; says how many are needed.
    """
    rank = math.ceil(round((len(scores) + 1) * level, 9))
    if rank > len(scores):
        raise CalibrationError(
            f"got {len(scores)} cases, want at least {cases_needed(level)} for {level:.0%} coverage; add labelled cases"
        )
    return float(np.partition(scores, rank - 1)[rank - 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class IntervalCalibration:
    """Signed scores (truth - mean) / scale of out-of-fold predictions, with the group that each was held out in.

    Attributes:
        scores: (cases,) signed.
        groups: a label a case, or None where the data name no group: then no coverage is claimed.
        population: for whom the coverage is stated, e.g. "maize counties of us-maize, years 2000-2011".
    """

    scores: Array
    groups: tuple[str, ...] | None
    population: str

    def interval(self, mean: float, scale: float, level: float) -> Interval:
        """Symmetric interval mean -+ quantile of |score| * scale, at the level corrected across groups."""
        half = self.half_width(level) * scale
        return Interval(low=mean - half, high=mean + half)

    def half_width(self, level: float) -> float:
        """Half the interval's width, in scales."""
        return conformal_quantile(np.abs(self.scores), self.corrected_level(level))

    def corrected_level(self, level: float) -> float:
        """Smallest level at which intervals set on all other groups cover `level` of the cases left out.

        Cases of one group (a drought year) err together, so that the plain quantile covers too little of the next one.
        """
        if self.groups is None:
            return level
        candidates = level + (1 - level) * np.linspace(0, 0.95, 39)
        feasible = [value for value in candidates if cases_needed(float(value)) <= self._fewest_others()]
        for candidate in feasible:
            coverages, counts = self._coverages(float(candidate))
            if np.average(coverages, weights=counts) >= level:
                return float(candidate)
        return float(feasible[-1]) if feasible else level

    def coverage_by_group(self, level: float) -> dict[str, float]:
        """Coverage of each group by an interval calibrated, level included, on the other groups alone."""
        labels, scores = np.asarray(self.groups or ()), np.abs(self.scores)
        coverage = {}
        for group in np.unique(labels):
            others = labels != group
            rest = IntervalCalibration(
                scores=self.scores[others], groups=tuple(labels[others].tolist()), population=self.population
            )
            half = conformal_quantile(scores[others], rest.corrected_level(level))
            coverage[str(group)] = float((scores[~others] <= half).mean())
        return coverage

    def probabilities_below(self, threshold: float, mean: Array, scale: Array) -> Array:
        """`probability_below` of many predictions (cases,) at once."""
        ordered = np.sort(self.scores)
        shares: Array = (np.searchsorted(ordered, (threshold - mean) / scale) + 0.5) / (len(ordered) + 1)
        return shares

    def probability_below(self, threshold: float, mean: float, scale: float) -> float:
        """Share of calibrated outcomes under the threshold: the conformal predictive distribution at 1/2.

        Source: Vovk et al. 2017, Nonparametric predictive distributions based on conformal prediction, equation 6.
        """
        below = float(np.sum(self.scores < (threshold - mean) / scale))
        return (below + 0.5) / (len(self.scores) + 1)

    def claim(self, level: float) -> Claim:
        """State the coverage, or say why there is none.

        Raises:
            CalibrationError: if there are too few cases for the level.
        """
        conformal_quantile(np.abs(self.scores), level)
        if self.groups is None:
            return Claim(state="none", reason="the data name no group, so that no case is known to be independent")
        count = len(set(self.groups))
        if count < 2:
            raise CalibrationError(f"got {count} calibration group, want at least 2; add groups never trained on")
        return Claim(state="stated", population=f"{self.population}; {count} groups held out whole")

    def _fewest_others(self) -> int:
        _, counts = np.unique(np.asarray(self.groups), return_counts=True)
        return int(len(self.scores) - counts.max())

    def _coverages(self, level: float) -> tuple[list[float], list[int]]:
        """Coverage of each group left out, and its number of cases."""
        labels, scores = np.asarray(self.groups), np.abs(self.scores)
        coverage, counts = [], []
        for group in np.unique(labels):
            held = labels == group
            coverage.append(float((scores[held] <= conformal_quantile(scores[~held], level)).mean()))
            counts.append(int(held.sum()))
        return coverage, counts

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""
        labels = {} if self.groups is None else label_arrays(self.groups)
        return {"population": self.population, "has_groups": self.groups is not None}, {"scores": self.scores, **labels}

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Arrays) -> "IntervalCalibration":
        """Read what `state` gave.

        Raises:
            ArtifactError: if it is not whole, or would state intervals of no width.
        """
        scores = array_of(arrays, "scores", num_dims=1)
        groups = labels_of(arrays) if plain.get("has_groups") is True else None
        if groups is not None and len(groups) != len(scores):
            raise ArtifactError(f"got {len(groups)} groups of {len(scores)} calibration scores; calibrate it again")
        if np.median(np.abs(scores)) == 0:
            raise ArtifactError("the calibration scores are zeros, which would state intervals of no width; fit again")
        return cls(scores=scores, groups=groups, population=str(plain.get("population", "")))


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSetCalibration:
    """Scores 1 - probability of the true class, kept apart by class.

    Source: Vovk 2012, Conditional validity of inductive conformal predictors (label-conditional);
    Sadinle, Lei & Wasserman 2019, Least ambiguous set-valued classifiers, section 2.
    """

    scores: Mapping[str, Array]

    @classmethod
    def fit(cls, probabilities: Array, truth: Sequence[int], classes: Sequence[str]) -> "ClassSetCalibration":
        """Take held-out probabilities (cases, classes) and true class indices (cases,)."""
        labels = np.asarray(truth)
        missed = 1 - probabilities[np.arange(len(labels)), labels]
        return cls(scores={name: missed[labels == index] for index, name in enumerate(classes)})

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""
        counts = np.array([len(values) for values in self.scores.values()], np.int64)
        return {"classes": list(self.scores)}, {"scores": np.concatenate(list(self.scores.values())), "counts": counts}

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
        parts = np.split(scores, np.cumsum(counts)[:-1])
        return cls(scores={str(name): part for name, part in zip(classes, parts, strict=True)})

    def thresholds(self, level: float) -> Array:
        """Least probability (classes,) with which each class stays in; 0 for one with too few cases to rule it out."""
        return np.array(
            [
                1 - conformal_quantile(scores, level) if len(scores) >= cases_needed(level) else 0.0
                for scores in self.scores.values()
            ]
        )

    def sets(self, probabilities: Array, level: float) -> NDArray[np.bool_]:
        """True (cases, classes) where a class cannot be ruled out; one with too few cases never can."""
        inside: NDArray[np.bool_] = probabilities >= self.thresholds(level)
        return inside

    def region(self, probabilities: Array, level: float) -> ClassSet:
        """The classes (of probabilities (classes,)) that cannot be ruled out, most probable first.

        Raises:
            CalibrationError: naming the class with too few cases.
        """
        kept = []
        for index, (name, scores) in enumerate(self.scores.items()):
            if len(scores) < cases_needed(level):
                raise CalibrationError(
                    f"class {name!r} has {len(scores)} calibration cases, want {cases_needed(level)} for {level:.0%}"
                )
            if 1 - probabilities[index] <= conformal_quantile(scores, level):
                kept.append((-probabilities[index], name))
        return ClassSet(classes=tuple(name for _, name in sorted(kept)))


@dataclass(frozen=True, kw_only=True, eq=False)
class ShiftAlarm:
    """Says when a group's inputs no longer look like those of the calibration groups.

    A group is strange by the distance of its mean features from the mean of all other groups, each feature in
    standard deviations between those groups. The new group is ranked among the calibration groups, each of them
    measured with itself left out and the new one put in, so that all are treated alike (full conformal prediction:
    Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World, section 2.2). Features are taken as
    uncorrelated: groups are far fewer than features, and correlations learned from few hide real shifts.
    """

    means: Array  # (groups, features)

    FEWEST = 5  # groups
    SHARE = 0.2  # of ordinary groups that may be called strange

    @classmethod
    def fit(cls, features: Array, groups: Sequence[str]) -> "ShiftAlarm":
        """Fit on calibration features (cases, features).

        Raises:
            CalibrationError: if there are fewer than FEWEST groups.
        """
        labels = np.asarray(groups)
        means = np.stack([features[labels == group].mean(0) for group in np.unique(labels)])
        if len(means) < cls.FEWEST:
            raise CalibrationError(
                f"got {len(means)} groups, want at least {cls.FEWEST} to know how groups differ; add groups"
            )
        return cls(means=means)

    def p_value(self, features: Array) -> float:
        """Conformal p-value of a new group's features (cases, features): small where it is unlike the others."""
        everyone = np.vstack([self.means, features.mean(0)])
        distances = np.array([self._distance(row, np.delete(everyone, at, 0)) for at, row in enumerate(everyone)])
        return float(np.mean(distances >= distances[-1] - 1e-12))

    def fires(self, features: Array) -> bool:
        """True where the group is among the strangest SHARE of all groups, itself counted."""
        return self.p_value(features) <= max(self.SHARE, 1 / (len(self.means) + 1))

    @staticmethod
    def _distance(mean: Array, others: Array) -> float:
        spread = others.std(0, ddof=1)
        varies = spread > 1e-9 * np.abs(others).max(initial=1e-9)
        away = (mean - others.mean(0))[varies] / spread[varies]
        return float(np.sqrt((away**2).sum()))

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""
        return {}, {"means": self.means}

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Arrays) -> "ShiftAlarm":
        """Read what `state` gave.

        Raises:
            ArtifactError: if it is not whole.
        """
        del plain
        means = array_of(arrays, "means", num_dims=2)
        if len(means) < cls.FEWEST:
            raise ArtifactError(f"the shift alarm knows {len(means)} groups, want {cls.FEWEST}; fit again")
        return cls(means=means)
