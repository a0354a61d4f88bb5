"""Findings that may stand together: a probability each, and for each what cannot be ruled out, all of them at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution

from mainstem.core.baselines import Lesson, classifications
from mainstem.core.detecting import best_threshold, one_finding
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.evaluation import mean_auroc, mean_f1
from mainstem.core.schema import printable
from mainstem.core.stream import Sample
from mainstem.core.targets.labels import YES_OR_NO, Labels
from mainstem.core.targets.named import Named
from mainstem.core.targets.parts import Array, Blend, Head, Known, Loss, Measure, Outputs, Reading, Regions, Specs


@dataclass(frozen=True, kw_only=True)
class FindingSet:
    """What is there at the level, what is not, and what can neither be said nor ruled out."""

    present: tuple[str, ...]
    absent: tuple[str, ...]
    open: tuple[str, ...]

    def __contains__(self, found: Sequence[str]) -> bool:
        return set(self.present) <= set(found) and not set(self.absent) & set(found)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: list(found) for name, found in vars(self).items()}

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        return {name: "; ".join(found) for name, found in vars(self).items()}


class FindingsHead(Head):
    """Independent probabilities (batch, findings)."""

    def __init__(self, dim: int, num_findings: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, num_findings)

    def forward(self, reading: Reading) -> Distribution:
        """Return a Bernoulli a finding."""
        return Bernoulli(logits=self.linear(reading.pooled))


@dataclass(frozen=True, kw_only=True)
class Findings(Named):
    """Several findings, each there (1) or not (0); truth is (cases, findings), NaN where a reader said nothing of it.

    A case's score is its worst 1 - probability of what is true, so that a region holds all its findings at once.
    A finding is named where its probability reaches the threshold that tells it best out of fold, by sensitivity and
    specificity alike (Youden 1950, Index for rating diagnostic tests): of rare ones one half would name none.
    """

    units: str = "findings"
    kind: ClassVar[str] = "findings"
    lower_is_better: ClassVar[bool] = False

    @classmethod
    def recognised(cls, labels: Labels) -> "Findings | None":
        """Take columns that name a finding each."""
        return cls(names=labels.names) if labels.names else None

    def read(self, labels: Labels) -> Array:
        """Return what is there (cases, findings); a finding without a column is unknown."""
        found = np.full((len(labels.words()), len(self.names)), np.nan)
        for column, name in enumerate(labels.names or ("",)):
            for case, word in enumerate(labels.words()[:, column]):
                if word and (name not in self.names or word.lower() not in YES_OR_NO):
                    wanted = f"a finding of {', '.join(self.names)!s:.200}, yes or no"
                    raise InputError(f"{labels.where(case, column)}: got {word!r:.60}, want {wanted}; mend it")
                if word:
                    found[case, self.names.index(name)] = YES_OR_NO[word.lower()]
        return found

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return each finding's probability by plain models; the averages of folds would rank folds, not cases."""
        each = [classifications(replace(lesson, truth=known), 2) for known in lesson.truth.T]
        return {name: np.stack([found[name][:, 1] for found in each], 1) for name in each[0]}

    def head(self, dim: int, specs: Specs) -> Head:
        """Return a probability a finding."""
        return FindingsHead(dim, len(self.names))

    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return what is there (samples, findings)."""
        if not samples or any(sample.target is None for sample in samples):
            raise InputError("got samples of which no finding is known, want all read; drop the others")
        found = np.stack([np.asarray(sample.target, np.float64) for sample in samples])
        if found.shape[1:] != (len(self.names),) or not np.isin(found[np.isfinite(found)], (0, 1)).all():
            raise InputError(f"got findings of shape {found.shape}, want 0 or 1 for each of {', '.join(self.names)}")
        return found

    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return the negative log-likelihood of what is known."""
        seen = aims.isfinite()
        total = -(distribution.log_prob(aims.nan_to_num().float()) * seen).sum()
        return Loss(total=total, count=seen.sum().clamp(min=1))

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return probabilities (cases, findings)."""
        return {"probabilities": distribution.mean.double().cpu().numpy()}

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return each finding's threshold; one half where nothing tells it."""
        pairs = zip(self.names, truth.T, outputs["probabilities"].T, strict=True)
        return {name: best_threshold(known, likely) for name, known, likely in pairs}

    def check_blend(self, blend: Blend, view: str) -> Blend:
        """Return thresholds by finding.

        Raises:
            ArtifactError: if one lacks, is of no finding, or no probability.
        """
        odd = sorted(set(blend) ^ set(self.names)) or [name for name, most in blend.items() if not 0 <= most <= 1]
        if odd:
            raise ArtifactError(f"the view {view!r} has no or an odd threshold of {printable(odd[0])}; train it again")
        return dict(blend)

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return the mean of members' probabilities, and the thresholds (cases, findings) of those told as there."""
        likely = np.mean([one["probabilities"] for one in members], axis=0)
        least = np.array([blend[name] for name in self.names])
        return {"probabilities": likely, "thresholds": np.tile(least, (len(likely), 1))}

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return the worst 1 - probability of what is true (cases,); of what nobody read, the less likely is taken."""
        return np.asarray(self._away(told, truth).max(1))

    def _away(self, told: Outputs, truth: Array) -> Array:
        likely = told["probabilities"]
        return np.where(np.isnan(truth), np.abs(likely - 0.5) + 0.5, np.abs(truth - likely))

    def covered(self, told: Outputs, truth: Array, quantile: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """True (cases,) where the truth lies in the region; what neither answer fits stays open."""
        away, most = self._away(told, truth), quantile[:, None]
        return np.asarray(((away <= most) | (1 - away > most)).all(1))

    def point(self, told: Outputs) -> Array:
        """Return the probabilities (cases, findings)."""
        return told["probabilities"]

    def values(self, told: Outputs) -> list[float | str]:
        """Name the findings whose probability reaches the threshold."""
        named = told["probabilities"] >= told["thresholds"]
        return ["; ".join(np.array(self.names)[row].tolist()) for row in named]

    def regions(self, told: Outputs, quantile: Array) -> list[FindingSet]:
        """Return what is there, what is not, and what stays open."""
        there, not_there = np.stack([1 - told["probabilities"], told["probabilities"]]) <= quantile[:, None]
        ways = {"present": there & ~not_there, "absent": not_there & ~there, "open": there == not_there}
        return [
            FindingSet(**{way: tuple(np.array(self.names)[held[row]].tolist()) for way, held in ways.items()})
            for row in range(len(quantile))
        ]

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return how many findings stay open (cases,)."""
        return np.array([float(len(region.open)) for region in self.regions(told, quantile)])

    def figures(self, raw: Outputs, truth: Array, blend: Blend) -> dict[str, float]:
        """Return the measures, and each finding's threshold."""
        return super().figures(raw, truth, blend) | {f"threshold {name}": least for name, least in blend.items()}

    def subgroup(self, told: Outputs, truth: Array) -> dict[str, Any]:
        """Return by finding how many cases are read and show it, and figures where enough do and enough do not."""
        rows = zip(self.names, truth.T, told["probabilities"].T, told["thresholds"].T, strict=True)
        return {"n": len(truth), **{name: one_finding(known, likely, least) for name, known, likely, least in rows}}

    def breakdown(self, case: Regions, baselines: Mapping[str, Array], groups: Sequence[str]) -> dict[str, Any]:
        """Return `by_finding`: cases, area under the curve and that of baselines, sensitivity and specificity."""
        found = self.subgroup(case.told, case.truth)
        table = {name: dict(found[name]) for name in self.names}
        for index, name in enumerate(self.names):
            own = case.truth[:, [index]]
            table[name] |= {f"{other}_auc": mean_auroc(own, told[:, [index]]) for other, told in baselines.items()}
        return {"by_finding": table}

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Mean area under the curve and mean F1 over findings."""
        return {found.__name__: Measure(metric=found, over="pooled") for found in (mean_auroc, mean_f1)}
