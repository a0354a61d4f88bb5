"""A quantity: a normal head around what is known of the past, intervals from signed errors in scales."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn import functional as F

from mainstem.core.baselines import Lesson, regressions
from mainstem.core.bounds import Bounds
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.evaluation import interval_score, nrmse_percent, r2, rmse
from mainstem.core.folds import fit_gate, targets_of
from mainstem.core.stream import Sample
from mainstem.core.targets.base import Target
from mainstem.core.targets.interval import Interval, below_name
from mainstem.core.targets.labels import Labels
from mainstem.core.targets.lines import fit_line, lines_of_others
from mainstem.core.targets.parts import Array, Blend, Head, Known, Loss, Measure, Outputs, Reading, Regions, Specs

if TYPE_CHECKING:
    from mainstem.core.conformal import Calibration

SMALLEST_SCALE = 1e-3  # of a standardised target; keeps the likelihood finite
UNSTATED = "unstated"  # the unit of a quantity that names none
WORTHWHILE = 0.01  # share of RMSE that has to be saved before it is said that inputs add something
LARGEST_SLOPE = 1e3  # a model of simulations is not a thousand times off


class ScalarHead(Head):
    """A normal distribution (batch,) over one standardised quantity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 2)

    def forward(self, reading: Reading) -> Distribution:
        """Return a Normal; its scale is a softplus, never below SMALLEST_SCALE."""
        mean, raw = self.linear(reading.pooled).unbind(-1)
        return Normal(mean, F.softplus(raw) + SMALLEST_SCALE)


@dataclass(frozen=True, kw_only=True)
class Quantity(Target):
    """One number in `units`, learned as a departure from what the preparation knows.

    A member says four things: `past` (the preparation's offset), `plain` and `trunk` (what its fallback and the trunk
    add to it) and the `scale` of its errors. The blend's share weighs the fallback against the past, its gate the
    trunk against both; a slope and an intercept, where local labels taught them, put a simulator's values in the
    user's terms.

    Attributes:
        lowest: the least value that physics allows; None where it sets none. `highest` likewise.
        metric: what differences to baselines are told in.
    """

    lowest: float | None = None
    highest: float | None = None
    metric: Literal["nrmse_percent", "rmse"] = "nrmse_percent"
    kind: ClassVar[str] = "quantity"
    preparation: ClassVar[str] = "from_the_mean"
    needs_labels: ClassVar[str] = "a known target and no fault"
    frame_names: ClassVar[frozenset[str]] = frozenset({"std"})
    blend_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "share": (0.0, 1.0), "gate": (0.0, 1.0), "slope": (1e-9, LARGEST_SLOPE), "intercept": (-np.inf, np.inf),
    }  # fmt: skip
    blend_optional: ClassVar[frozenset[str]] = frozenset({"slope", "intercept"})

    def __post_init__(self) -> None:
        """Check the bounds before anything is trained, and keep them as files do."""
        told = Bounds.checked(self.lowest, self.highest, f"a quantity in {self.units}").told()
        for name, bound in zip(("lowest", "highest"), told, strict=True):
            object.__setattr__(self, name, bound)  # the target is frozen

    @property
    def bounds(self) -> Bounds:
        """What values are possible."""
        return Bounds.of(self.lowest, self.highest)

    @classmethod
    def recognised(cls, labels: Labels) -> "Quantity | None":
        """Take one column of numbers, in the unit that it names."""
        return cls(units=labels.unit or UNSTATED) if labels.is_numeric and not labels.names else None

    def read(self, labels: Labels) -> Array:
        """Return the numbers.

        Raises:
            InputError: if they are in another unit than the target's, or a cell is none.
        """
        self.refuse_names(labels)
        if labels.unit not in ("", self.units) and self.units != UNSTATED:
            raise InputError(f"the table's target is in {labels.unit}, the task predicts {self.units}; convert it")
        return labels.numbers()

    def facts(self) -> dict[str, Any]:
        """Return units and bounds."""
        return {**super().facts(), "lowest": self.lowest, "highest": self.highest}

    def restored(self, facts: Mapping[str, Any]) -> "Quantity":
        """Return the target, its own bounds being the file's.

        Raises:
            ArtifactError: if the file's are of another kind, other units or other bounds.
        """
        if facts.get("kind") != self.kind:
            raise ArtifactError(f"it names {facts.get('kind')!s:.40}, the task predicts a quantity; train it again")
        for name, own in (("units", self.units), ("lowest", self.lowest), ("highest", self.highest)):
            if facts.get(name) != own:
                told, wanted = (_told(value) for value in (facts.get(name), own))
                raise ArtifactError(f"it has {name} {told}, the task {wanted}; train it again")
        return self

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return the average, and ridge, forest and boosting."""
        return super().baselines(lesson) | regressions(lesson)

    def head(self, dim: int, specs: Specs) -> Head:
        """Return a normal head."""
        return ScalarHead(dim)

    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return the quantities (samples,), all known and possible."""
        values, bounds = targets_of(samples), self.bounds
        for row in np.flatnonzero(~((bounds.lowest <= values) & (values <= bounds.highest)))[:1].tolist():
            raise InputError(
                f"sample {samples[row].source.item!r} has a target of {values[row]:g} {self.units}, want "
                f"{bounds.words()}; mend it, or leave the sample out"
            )
        return values

    def standardise(self, truth: Array, past: Array) -> tuple[Array, Mapping[str, float]]:
        """Return departures from the past in their standard deviation, which is the frame."""
        residual = truth - past
        std = max(float(residual.std()), 1e-6)
        return (residual / std).astype(np.float32), {"std": std}

    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return the negative log-likelihood."""
        each: Tensor = -distribution.log_prob(aims)
        return Loss(total=(each if weights is None else each * weights).sum(), count=len(each))

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return what past, fallback and trunk say (cases,), and the scale of errors."""
        std = known.frame["std"]
        return {
            "past": known.past,
            "plain": known.plain,
            "trunk": std * _numbers(distribution.mean),
            "scale": std * _numbers(distribution.stddev),
        }

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return the fallback's share against the past, and the trunk's gate against both."""
        past = outputs["past"]
        share = fit_gate(truth - past, outputs["plain"], groups)
        rest = past + share * outputs["plain"]
        return {"share": share, "gate": fit_gate(truth - rest, past + outputs["trunk"] - rest, groups)}

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return mean and scale, and what each part alone would say: the trunk, and the rest without it."""
        share, gate = blend["share"], blend["gate"]
        slope, intercept = blend.get("slope", 1.0), blend.get("intercept", 0.0)
        rests = [one["past"] + share * one["plain"] for one in members]
        ways = {
            "mean": [
                rest + gate * (one["past"] + one["trunk"] - rest) for rest, one in zip(rests, members, strict=True)
            ],
            "trunk_alone": [one["past"] + one["trunk"] for one in members],
            "without_trunk": rests,
        }
        told: dict[str, Array] = {name: slope * np.mean(each, axis=0) + intercept for name, each in ways.items()}
        told["scale"] = abs(slope) * np.mean([one["scale"] for one in members], axis=0)
        return told

    def learn_line(
        self, raw: Sequence[Outputs], blend: Blend, truth: Array, groups: Sequence[str]
    ) -> tuple[Outputs, Blend]:
        """Fit truth = slope x mean + intercept; what is told (cases,) is by lines without each case's own group.

        A slope below LEAST_SLOPE says that the model is worth next to nothing there; it becomes LEAST_SLOPE.
        """
        bare = {name: value for name, value in blend.items() if name not in ("slope", "intercept")}
        told = self.combine(raw, bare)
        mean, width = told["mean"], told["scale"]
        by_others, widened = lines_of_others(mean, width, truth, groups)
        slope, intercept = fit_line(mean, truth)
        return {**told, "mean": by_others, "scale": widened}, {**bare, "slope": slope, "intercept": intercept}

    def scale(self, told: Outputs) -> Array:
        """How much a case may err by (cases,), in units."""
        return told["scale"]

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return signed errors in scales (cases,)."""
        found: Array = (truth - told["mean"]) / told["scale"]
        return found

    def point(self, told: Outputs) -> Array:
        """Return the mean (cases,), as far as it is possible."""
        return self.bounds.clip(told["mean"])

    def values(self, told: Outputs) -> list[float | str]:
        """Return the means."""
        return list(map(float, self.point(told)))

    def ends(self, told: Outputs, quantile: Array) -> tuple[Array, Array]:
        """Return the ends (cases,) of intervals, as far as they are possible; NaN where quantiles are."""
        _, low, high = self.bounds.interval(told["mean"], quantile * told["scale"])
        return low, high

    def regions(self, told: Outputs, quantile: Array) -> list[Interval]:
        """Return intervals."""
        ends = zip(*self.ends(told, quantile), strict=True)
        return [Interval(low=float(low), high=float(high)) for low, high in ends]

    def covered(self, told: Outputs, truth: Array, quantile: Array) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """True (cases,) where the truth lies between the ends."""
        low, high = self.ends(told, quantile)
        return np.logical_and(low <= truth, truth <= high)

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return the widths (cases,) of intervals."""
        low, high = self.ends(told, quantile)
        return high - low

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Errors, the task's own first, whose name carries the unit, as in rmse_t_ha; and R2."""
        suffix = "" if self.units == UNSTATED else "_" + re.sub(r"[^a-z0-9]+", "_", self.units.lower())
        relative = {"nrmse_percent": Measure(metric=nrmse_percent)}
        absolute = {f"rmse{suffix}": Measure(metric=rmse)}
        errors = relative | absolute if self.metric == "nrmse_percent" else absolute | relative
        return {**errors, "r2": Measure(metric=r2)}

    def figures(self, told: Outputs, raw: Outputs, truth: Array, blend: Blend) -> dict[str, float]:
        """Return the errors of the model, of the past alone and of all but the trunk, and what the parts are worth."""
        ways = {"held_out": told["mean"], "offset": raw["past"], "without_trunk": told["without_trunk"]}
        return {f"{name}_rmse": rmse(truth, values) for name, values in ways.items()} | dict(blend)

    def adds(self, raw: Outputs, truth: Array, blend: Blend) -> bool:
        """True where the inputs cut the error of what the past alone says by WORTHWHILE or more, out of fold."""
        return rmse(truth, self.combine([raw], blend)["mean"]) < (1 - WORTHWHILE) * rmse(truth, raw["past"])

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return what the trunk alone, and the rest without it, would say."""
        return {name: told[name] for name in ("trunk_alone", "without_trunk")}

    def probabilities(
        self, told: Outputs, calibration: "Calibration | None", patterns: Sequence[str], marks: Sequence[float]
    ) -> dict[str, Array]:
        """Return the probability (cases,) of undercutting each mark, by the calibrated errors."""
        if calibration is None:
            return {}
        found = {}
        for mark in marks:
            chances = calibration.probabilities_below(mark, told["mean"], told["scale"], patterns)
            found[below_name(mark)] = self.bounds.chance_below(mark, chances)
        return found

    def refuse_marks(self, marks: Sequence[float]) -> None:
        """Take any mark."""

    def mean(self, told: Outputs) -> float:
        """Return the mean of what is told of cases."""
        return float(self.point(told).mean())

    def refuse_means(self, advice: str) -> None:
        """Take any mean."""

    def coverage_figures(self, case: Regions, groups: Sequence[str]) -> dict[str, Any]:
        """Return the interval score, and how many misses lie above."""
        low, high = self.ends(case.told, case.quantile)
        truth = case.truth
        inside = (low <= truth) & (truth <= high)
        return {
            "interval_score": interval_score(truth, low, high, case.level),
            "misses_above": float((truth > high)[~inside].mean()) if not inside.all() else None,
        }

    def lines(self, result: Mapping[str, Any]) -> list[str]:
        """Say the interval score, where regions have ends."""
        score = result["coverage"]["interval_score"]
        return [] if score is None else [f"interval score {score:.3g}"]

    def layer_names(self) -> tuple[str, ...]:
        """Names of a map's bands."""
        return ("mean", "lower", "upper")

    def layers(self, told: Outputs, quantile: Array) -> Mapping[str, Array]:
        """Return mean, lower and upper end (cases,)."""
        low, high = self.ends(told, quantile)
        return {"mean": self.point(told), "lower": low, "upper": high}


def _numbers(values: Tensor) -> Array:
    found: Array = values.double().cpu().numpy()
    return found


def _told(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else f"{value!s:.40}"


__all__ = ["Quantity", "ScalarHead"]
