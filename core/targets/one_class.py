"""Whether a case is unlike all healthy ones: learned, weighed and set from healthy cases alone, which raises alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution

from mainstem.core.baselines import Lesson
from mainstem.core.detecting import auc
from mainstem.core.errors import InputError
from mainstem.core.evaluation import CONFIDENCE, exact_interval
from mainstem.core.stream import Sample
from mainstem.core.targets.named import Named
from mainstem.core.targets.parts import (
    Array,
    Blend,
    Head,
    Known,
    Loss,
    Measure,
    Outputs,
    Reading,
    Region,
    Regions,
    RegionWords,
    Specs,
    figure,
)
from mainstem.core.told import targets_in

if TYPE_CHECKING:
    from mainstem.core.conformal import Calibration

FARTHEST = 30.0  # spreads of healthy cases, beyond which strangeness is not told apart
LEAST_SPREAD = 1e-3
PARTS = {"trunk": 0.25, "plain": 0.75}  # what each counts: of a few dozen cases a trunk learns less than a distance
BOUND = 1e4


@dataclass(frozen=True, kw_only=True)
class Alarm(Region):
    """Whether a score lies beyond the threshold, and what the threshold states of healthy cases.

    `rate` is the share of false alarms that it states at most; `low` and `high` are where the true share lies, at
    CONFIDENCE, as the threshold comes from `num` healthy cases alone.
    """

    is_raised: bool
    threshold: float
    rate: float
    num: int = 0
    low: float = 0.0
    high: float = 1.0

    def __contains__(self, value: str) -> bool:
        """Say if a class is still possible: what failed always is, what is healthy where there is no alarm."""
        return not self.is_raised or value != "healthy"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return self.columns()

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        return {
            "alarm": "yes" if self.is_raised else "no",
            "threshold": self.threshold,
            "false_alarms_at_most": self.rate,
            "false_alarms_low": self.low,
            "false_alarms_high": self.high,
            "healthy_cases": self.num,
        }

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Say whether there is an alarm, and how often there is one of healthy cases."""
        often = f"false in {self.rate:.0%} of healthy cases at most, by {self.num} of them ({self.low:.0%} to "
        often += f"{self.high:.0%})"
        if self.is_raised:
            return RegionWords(text=f"alarm, {often}", there=("alarm",))
        return RegionWords(text=f"no alarm; alarms are {often}", is_decided=False)


class OddsHead(Head):
    """Log-odds (batch,) of what is strange against what is healthy."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 1)

    def forward(self, reading: Reading) -> Distribution:
        """Return a Bernoulli."""
        logits: Tensor = self.linear(reading.pooled)[:, 0]
        return Bernoulli(logits=logits)


@dataclass(frozen=True, kw_only=True)
class OneClass(Named):
    """The first of two classes is healthy, and learned from alone; truth (cases,) is 0 or 1.

    The trunk tells healthy cases from what the task's `augment` makes of them (aims 1), the preparation's fallback how
    far a case lies from healthy ones. Both are told in spreads of healthy cases out of fold; what each counts is fixed,
    as only failures could say which is worth more. The threshold is a conformal quantile of the scores of healthy cases
    out of fold.
    Source: Laxhammar & Falkman 2010, Conformal prediction for distribution-independent anomaly detection; Hendrycks,
    Mazeika & Dietterich 2019, Deep anomaly detection with outlier exposure, section 3.
    """

    kind: ClassVar[str] = "one class"
    lower_is_better: ClassVar[bool] = False
    needs_labels: ClassVar[str] = "known to be healthy or failed"
    most_score: ClassVar[float] = float("inf")
    blend_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        f"{what} {part}": ends
        for part in PARTS
        for what, ends in {"centre": (-BOUND, BOUND), "spread": (LEAST_SPREAD, BOUND)}.items()
    }

    def teaches(self, truth: Array) -> NDArray[np.bool_]:
        """True (cases,) where a case is healthy."""
        healthy: NDArray[np.bool_] = truth == 0
        return healthy

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return nothing: plain models that learn from failures are no peers, the task has its own."""
        return {}

    def head(self, dim: int, specs: Specs) -> Head:
        """Return a head of log-odds."""
        return OddsHead(dim)

    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return 0 of healthy, 1 of failed cases (samples,), all known."""
        found = targets_in(samples)
        if not len(found) or not np.isin(found, (0, 1)).all():
            raise InputError("got samples of which nobody says whether they are healthy; drop them")
        return found

    def learnable(self, truth: Array) -> Array:
        """Return the truth.

        Raises:
            InputError: if too few cases are healthy.
        """
        if (truth == 0).sum() < 2:
            raise InputError(
                f"got {int((truth == 0).sum())} healthy cases, want 2 at least: from these alone is learned"
            )
        return truth

    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return the negative log-likelihood."""
        each: Tensor = -distribution.log_prob(aims.to(torch.float32))
        return Loss(total=each.sum(), count=len(each))

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return both parts (cases,): the trunk's log-odds, and the plain distance."""
        assert isinstance(distribution, Bernoulli)
        return {"trunk": distribution.logits.double().cpu().numpy(), "plain": known.plain}

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return centre and spread of each part over healthy cases out of fold."""
        found = {}
        for part in PARTS:
            healthy = outputs[part][truth == 0]
            found[f"centre {part}"] = float(healthy.mean()) if len(healthy) else 0.0
            found[f"spread {part}"] = max(float(healthy.std()), LEAST_SPREAD) if len(healthy) else 1.0
        return found

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return scores (cases,) above 0, e to how many spreads the parts lie off together; and each part's alone."""
        told = {part: np.mean([_away(one[part], part, blend) for one in members], axis=0) for part in PARTS}
        together = np.sum([share * told[part] for part, share in PARTS.items()], axis=0)
        return {"score": np.exp(together), **{part: np.exp(own) for part, own in told.items()}}

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return scores (cases,) of healthy cases; failed ones have none, and set no threshold."""
        return np.where(truth == 0, told["score"], np.nan)

    def point(self, told: Outputs) -> Array:
        """Return the score."""
        return told["score"]

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return what both parts would tell by themselves."""
        return {"trunk": told["trunk"], "plain_model": told["plain"]}

    def values(self, told: Outputs) -> list[float | str]:
        """Return the score."""
        return [float(score) for score in told["score"]]

    def regions(self, told: Outputs, quantile: Array) -> list[Alarm]:
        """Return alarms; what their threshold states is noted later."""
        return [
            Alarm(is_raised=bool(score > most), threshold=float(most), rate=1.0)
            for score, most in zip(told["score"].tolist(), quantile.tolist(), strict=True)
        ]

    def noted(self, regions: Sequence[Any], calibration: "Calibration", level: float) -> Sequence[Region]:
        """Return alarms with the share of false ones that is stated at most, and where the true one lies."""
        num = len(set(calibration.groups))
        low, high = threshold_rate(num, level)
        return [replace(one, rate=round(1 - level, 9), num=num, low=low, high=high) for one in regions]

    def covered(self, told: Outputs, truth: Array, quantile: Array) -> NDArray[np.bool_]:
        """True (cases,) where the true class is still possible: of what failed always."""
        found: NDArray[np.bool_] = (truth == 1) | (told["score"] <= quantile)
        return found

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return how many classes are possible (cases,): 1 where there is an alarm, else 2."""
        return np.where(told["score"] > quantile, 1.0, 2.0)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The area under the curve: how well healthy and failed cases are ranked, whatever the threshold."""
        return {"auc": Measure(metric=auc, over="pooled")}

    def probabilities(
        self, told: Outputs, calibration: "Calibration | None", patterns: Sequence[str], marks: Sequence[float]
    ) -> dict[str, Array]:
        """Return the share of healthy cases, this one among them, that are as strange (cases,): a conformal p-value."""
        self.refuse_marks(marks)
        if calibration is None:
            return {}
        beyond = (calibration.scores[None] >= told["score"][:, None]).sum(1)
        return {"as strange though healthy": (1 + beyond) / (1 + len(calibration.scores))}

    def reasons(self, calibration: "Calibration", level: float) -> tuple[str, ...]:
        """Say how little the threshold is known of few healthy cases."""
        num = len(set(calibration.groups))
        low, high = threshold_rate(num, level)
        return (
            f"the threshold is set by {num} healthy cases for {1 - level:.0%} false alarms at most on average; of so "
            f"few the true share may be {low:.0%} to {high:.0%}",
        )

    def coverage_figures(self, case: Regions, groups: Sequence[str]) -> dict[str, Any]:
        """Return recall and false alarms at the threshold, with exact binomial intervals."""
        is_raised = case.told["score"] > case.quantile
        return told_alarms(is_raised, case.truth)

    def breakdown(self, case: Regions, baselines: Mapping[str, Array], groups: Sequence[str]) -> dict[str, Any]:
        """Return `alarms`: the same of the model, and of baselines, whose points are 1 at their threshold."""
        rows = {"model": told_alarms(case.told["score"] > case.quantile, case.truth)}
        return {"alarms": rows | {name: told_alarms(points > 1, case.truth) for name, points in baselines.items()}}

    def lines(self, result: Mapping[str, Any]) -> list[str]:
        """Say recall and false alarms of all, and how few the healthy cases are."""
        rows = result["alarms"]
        num = rows["model"]["num_healthy"]
        return [
            *(
                f"  {name:22} recall {_share(row, 'recall')}, false alarms {_share(row, 'false_alarms')}"
                for name, row in rows.items()
            ),
            f"{num:.0f} healthy cases make the intervals of false alarms wide",
        ]


def _away(values: Array, part: str, blend: Blend) -> Array:
    found: Array = np.clip((values - blend[f"centre {part}"]) / blend[f"spread {part}"], -FARTHEST, FARTHEST)
    return found


def told_alarms(is_raised: NDArray[np.bool_], truth: Array) -> dict[str, Any]:
    """Return recall of failed and false alarms of healthy cases, each with its exact interval and number of cases."""
    found: dict[str, Any] = {}
    for name, here, counted in (("recall", truth == 1, "failed"), ("false_alarms", truth == 0, "healthy")):
        hits, num = int(is_raised[here].sum()), int(here.sum())
        low, high = exact_interval(hits, num)
        found |= {name: hits / num if num else float("nan"), f"{name}_low": low, f"{name}_high": high}
        found[f"num_{counted}"] = num
    return found


def _share(row: Mapping[str, Any], name: str) -> str:
    return f"{figure(100 * row[name])} % ({figure(100 * row[f'{name}_low'])} to {figure(100 * row[f'{name}_high'])})"


def threshold_rate(num: int, level: float) -> tuple[float, float]:
    """Where the true share of false alarms lies, at CONFIDENCE, of a conformal threshold set by so many healthy cases.

    It is distributed as Beta(num + 1 - k, k), k being the rank of the threshold. Source: Vovk 2012, Conditional
    validity of inductive conformal predictors, section 3.
    """
    from scipy.stats import beta

    rank = min(int(np.ceil((num + 1) * level - 1e-9)), num)
    if not num:
        return 0.0, 1.0
    tail = (1 - CONFIDENCE) / 2
    low, high = beta.ppf((tail, 1 - tail), num + 1 - rank, rank)
    return float(low), float(high)
