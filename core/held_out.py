"""Scores of cases held out, by their groups and by what each case lacks: quantiles that hold for a new group."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import ArtifactError
from mainstem.core.gaps import WHOLE
from mainstem.core.quantiles import cases_needed, group_quantile
from mainstem.core.residuals import by_group, moved_p_value
from mainstem.core.state import Arrays, array_of, label_arrays, labels_of

Array = NDArray[np.float64]
Labels = NDArray[np.str_]
ANY = "*"  # of all patterns together
LEAST_SCORE = 1e-9  # half of all errors below a billionth of the scale are none that were measured


def quantile_of(scores: Array, groups: NDArray[Any], level: float) -> float:
    """Quantile of a stratum's scores (cases,) that holds for a new group; infinite where too few groups show it."""
    enough = len(np.unique(groups)) >= cases_needed(level)
    return group_quantile(scores, groups, level) if enough else float(np.inf)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Scores of cases not trained on, signed where errors have a side, with the group that each was held out in.

    Attributes:
        scores: (cases,).
        groups: a label a case; of data that name no groups, one of its own each.
        patterns: which streams a case lacks (`gaps.pattern_of`), or None where none lacks any.
        strata: the stratum of each case's truth, as its class, where each is calibrated by itself; else None.
    """

    scores: Array
    groups: tuple[str, ...]
    patterns: tuple[str, ...] | None = None
    strata: tuple[str, ...] | None = None

    def stratum_quantiles(self, strata: Sequence[str], level: float) -> Array:
        """Quantile of each stratum's scores (strata,); infinite for one that too few groups show."""
        labels, groups = np.asarray(self.strata or ()), np.asarray(self.groups)
        return np.array([quantile_of(self.scores[labels == name], groups[labels == name], level) for name in strata])

    def coverage_by_group(self, level: float, pattern: str = WHOLE) -> dict[str, float]:
        """Coverage of each group's cases of a pattern by an interval calibrated on the other groups' alone.

        Nothing where there is no other group. Groups and strata are compared as numbers: over a thousand groups, names
        take seconds.
        """
        scores, labels = self.of(pattern)
        names, index = np.unique(labels, return_inverse=True)
        here = None if self.strata is None else np.asarray(self.strata)[self.pattern_of_cases() == pattern]
        strata = None if here is None else np.unique(here, return_inverse=True)[1]
        coverage: dict[str, float] = {}
        for number, group in enumerate(names.tolist() if len(names) > 1 else ()):
            held = index == number
            if strata is None:
                count = len(names) - 1
                most = group_quantile(np.abs(scores[~held]), index[~held], min(level, count / (count + 1)))
                coverage[group] = float((np.abs(scores[held]) <= most).mean())
                continue
            covered = np.zeros(int(held.sum()))
            for stratum in np.unique(strata[held]):
                others = ~held & (strata == stratum)
                most = quantile_of(scores[others], index[others], level)
                own = strata[held] == stratum
                covered[own] = np.abs(scores[held][own]) <= most
            coverage[group] = float(covered.mean())
        return coverage

    def residual_p_value(
        self, scores: Array, groups: Sequence[str], patterns: Sequence[str] | None = None
    ) -> float | None:
        """How unusual labelled groups' signed scores (cases,) are beside those of calibration's other groups.

        Small where they err further, in whatever direction (`moved_p_value`). Cases are compared that lack the same:
        nothing, or else what most of the labelled ones lack. None where calibration has no such case of other groups.
        """
        named = np.full(len(scores), WHOLE) if patterns is None else np.asarray(patterns)
        names, counts = np.unique(named, return_counts=True)
        compared = WHOLE if WHOLE in names else str(names[np.argmax(counts)])
        here = named == compared
        new = by_group(scores[here], np.asarray(groups)[here])
        known = by_group(*self.of(compared))
        others = [own for name, own in known.items() if name not in new]
        return moved_p_value(list(new.values()), others) if others else None

    def pattern_of_cases(self) -> Labels:
        """What each case lacks (cases,)."""
        return np.full(len(self.scores), WHOLE) if self.patterns is None else np.asarray(self.patterns)

    @cached_property
    def parts(self) -> dict[str, tuple[Array, Labels]]:
        """Signed scores and groups of each pattern."""
        labels, patterns = np.asarray(self.groups), self.pattern_of_cases()
        return {str(name): (self.scores[patterns == name], labels[patterns == name]) for name in np.unique(patterns)}

    @cached_property
    def _quantiles(self) -> dict[tuple[float, str], float]:
        return {}

    def of(self, pattern: str) -> tuple[Array, Labels]:
        """Signed scores and groups of one pattern's cases, or of ANY."""
        if pattern != ANY:
            return self.parts.get(pattern, (np.empty(0), np.empty(0, str)))
        scores, labels = zip(*self.parts.values(), strict=True)
        return np.concatenate(scores), np.concatenate(labels)

    def num_groups(self, pattern: str) -> int:
        """How many groups have such cases."""
        return len(np.unique(self.of(pattern)[1]))

    def quantile(self, level: float, pattern: str = WHOLE) -> float:
        """Quantile of |score|: valid for a new group where there are groups enough, else the largest that was seen."""
        if (level, pattern) not in self._quantiles:
            scores, groups = self.of(pattern)
            count = self.num_groups(pattern)
            self._quantiles[level, pattern] = group_quantile(np.abs(scores), groups, min(level, count / (count + 1)))
        return self._quantiles[level, pattern]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is saved of them, by name."""
        found: dict[str, NDArray[Any]] = {"scores": self.scores, **label_arrays(self.groups)}
        if self.patterns is not None:
            found |= label_arrays(self.patterns, "pattern")
        if self.strata is not None:
            found |= label_arrays(self.strata, "stratum")
        return found

    @staticmethod
    def of_arrays(arrays: Arrays) -> "HeldOut":
        """Read what `arrays` gave.

        Raises:
            ArtifactError: if it is not whole, or would make intervals of no width.
        """
        scores = array_of(arrays, "scores", num_dims=1)
        groups = labels_of(arrays)
        patterns = labels_of(arrays, "pattern") if "pattern_codes" in arrays else None
        strata = labels_of(arrays, "stratum") if "stratum_codes" in arrays else None
        for labels in (groups, patterns, strata):
            if labels is not None and len(labels) != len(scores):
                raise ArtifactError(f"got {len(labels)} labels of {len(scores)} calibration scores; calibrate it again")
        if strata is None and np.median(np.abs(scores)) < LEAST_SCORE:
            raise ArtifactError("the calibration scores are zeros, which would state intervals of no width; fit again")
        if strata is not None and (scores.min() < 0 or not scores.any()):
            raise ArtifactError("the calibration scores are no sizes of errors; train it again")
        return HeldOut(scores=scores, groups=groups, patterns=patterns, strata=strata)
