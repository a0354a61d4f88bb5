"""Findings that may stand together: a probability each, and for each whether it can be said or ruled out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution

from mainstem.core.baselines import Lesson, classifications
from mainstem.core.detecting import mean_sensitivity, one_finding
from mainstem.core.errors import InputError
from mainstem.core.evaluation import mean_auroc, over_groups
from mainstem.core.held_out import HeldOut
from mainstem.core.stream import Sample
from mainstem.core.targets.finding_set import FindingSet
from mainstem.core.targets.labels import YES_OR_NO, Labels
from mainstem.core.targets.named import Named
from mainstem.core.targets.odds import learned, ranges_of, told_by
from mainstem.core.targets.parts import Array, Blend, Head, Known, Loss, Measure, Outputs, Reading, Regions, Specs
from mainstem.core.targets.suspects import shown_of, strata_of

BoolArray = NDArray[np.bool_]


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

    The preparation's fallback is taken as a plain model's log-odds, and trusted by the `plain` share that predictions
    out of fold teach. Each finding is calibrated by itself, where it is there and where it is not: by the quantile of
    1 - the probability of what was true, of what readers spoke of. Either answer is ruled out only where enough groups
    show it. Source: Vovk 2012, Conditional validity of inductive conformal predictors (label-conditional).
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
        """Return the trunk's log-odds (cases, findings) and the plain model's."""
        assert isinstance(distribution, Bernoulli)
        odds = distribution.logits.double().cpu().numpy()
        return {"trunk": odds, "plain": np.zeros(odds.shape) + known.plain.reshape(len(odds), -1)}

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return the plain model's share, and each finding's line and threshold; one half where nothing tells it."""
        return learned(outputs, truth, self.names)

    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Return least and most of what is learned of all findings, and of each."""
        return ranges_of(self.names)

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return the mean of members' probabilities (cases, findings), those of both parts, and the thresholds."""
        return told_by(members, blend, self.names)

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return what trunk and plain model would tell by themselves; nothing where there is no plain one."""
        return {"trunk": told["trunk"], "plain_model": told["plain"]} if np.ptp(told["plain"], axis=0).any() else {}

    def scale(self, told: Outputs) -> Array:
        """Return one a finding (cases, findings)."""
        return np.ones_like(told["probabilities"])

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return 1 - probability of what is true (cases, findings); NaN where nobody read it."""
        return np.abs(truth - told["probabilities"])

    def strata(self, truth: Array) -> tuple[str, ...]:
        """Return of each case's findings, one after another, which it is and whether it is there; "" where unread."""
        names = np.array(self.strata_names(), object).reshape(-1, 2)
        known = np.nan_to_num(truth).astype(int)
        return tuple(np.where(np.isnan(truth), "", names[np.arange(len(self.names)), known]).ravel().tolist())

    def strata_names(self) -> tuple[str, ...]:
        """Return each finding as absent, and as present."""
        return tuple(stratum for name in self.names for stratum in strata_of(name))

    def held(self, told: Outputs, quantile: Array) -> BoolArray:
        """True (cases, findings, 2) where absence, and presence, is not ruled out; what neither fits stays open."""
        away = np.stack([told["probabilities"], 1 - told["probabilities"]], -1)
        inside = away <= quantile.reshape(len(away), -1, 2)
        return np.asarray(inside | ~inside.any(-1, keepdims=True))

    def covered(self, told: Outputs, truth: Array, quantile: Array) -> Array:
        """Return of each case (cases,) the share of its findings, as far as read, whose truth is not ruled out."""
        there, seen = self.held(told, quantile), np.isfinite(truth)
        right = np.where(truth == 1, there[..., 1], there[..., 0]) & seen
        return np.asarray(right.sum(1) / seen.sum(1))

    def point(self, told: Outputs) -> Array:
        """Return the probabilities (cases, findings)."""
        return told["probabilities"]

    def values(self, told: Outputs) -> list[float | str]:
        """Name the findings whose probability reaches the threshold."""
        named = told["probabilities"] >= told["thresholds"]
        return ["; ".join(np.array(self.names)[row].tolist()) for row in named]

    def regions(self, told: Outputs, quantile: Array) -> list[FindingSet]:
        """Return what is there, what is not, and what stays open."""
        absent, there = np.moveaxis(self.held(told, quantile), -1, 0)
        names = np.array(self.names)
        ways = [[tuple(names[row].tolist()) for row in is_so] for is_so in (~absent, ~there, absent & there)]
        return [FindingSet(present=here, absent=gone, open=left) for here, gone, left in zip(*ways, strict=True)]

    def noted(self, regions: Sequence[FindingSet], calibration: HeldOut, level: float) -> list[FindingSet]:
        """Return regions that say how often what is told as present is there."""
        shown = shown_of(calibration, self.names, level)
        return [replace(one, shown={name: shown[name] for name in one.present}) for one in regions]

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return how many findings stay open (cases,)."""
        return np.asarray(self.held(told, quantile).all(-1).sum(1, dtype=np.float64))

    def subgroup(self, told: Outputs, truth: Array) -> dict[str, Any]:
        """Return by finding how many cases are read and show it, and figures where enough do and enough do not."""
        rows = zip(self.names, truth.T, told["probabilities"].T, told["thresholds"].T, strict=True)
        return {"n": len(truth), **{name: one_finding(known, likely, least) for name, known, likely, least in rows}}

    def breakdown(self, case: Regions, baselines: Mapping[str, Array], groups: Sequence[str]) -> dict[str, Any]:
        """Return `by_finding`: cases, figures, baselines' areas, and coverage over groups by what is true."""
        found, held = self.subgroup(case.told, case.truth), self.held(case.told, case.quantile)
        table = {name: dict(found[name]) for name in self.names}
        for index, name in enumerate(self.names):
            own = case.truth[:, [index]]
            table[name] |= {f"{other}_auc": mean_auroc(own, told[:, [index]]) for other, told in baselines.items()}
            for state, side in (("absent", 0), ("present", 1)):
                here = case.truth[:, index] == side
                shares = over_groups(held[here, index, side], np.asarray(groups)[here].tolist()) if here.any() else None
                table[name][f"coverage_where_{state}"] = shares
            table[name]["open"] = float(held[:, index].all(-1).mean())
        return {"by_finding": table}

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Mean area under the curve over findings, and mean sensitivity at a specificity."""
        figures = {"mean_auroc": mean_auroc, "mean_sensitivity_at_95_specificity": mean_sensitivity}
        return {name: Measure(metric=metric, over="pooled") for name, metric in figures.items()}
