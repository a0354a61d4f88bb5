"""One class of several: a categorical head, and the set of classes that cannot be ruled out, each judged by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from mainstem.core.baselines import Lesson, classifications
from mainstem.core.errors import InputError
from mainstem.core.evaluation import CONFIDENCE, accuracy, exact_interval, macro_f1, over_groups
from mainstem.core.stream import Sample
from mainstem.core.targets.labels import Labels
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
)
from mainstem.core.told import targets_in

if TYPE_CHECKING:
    from mainstem.core.conformal import Calibration

LARGEST_TEMPERATURE = 100.0  # twelve times what `fit_temperature` tries
FEWEST_CASES = 2  # of a class on average: where nearly every case has a word of its own, words are no classes
TEMPERATURES = np.geomspace(0.25, 8, 61)
SHARES = np.linspace(0, 1, 11)  # of a plain model


@dataclass(frozen=True, kw_only=True)
class ClassSet(Region):
    """The classes that cannot be ruled out at the level, most probable first."""

    classes: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name in self.classes

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"classes": list(self.classes)}

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        return {"classes": "; ".join(self.classes)}

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Name the one class that is left, or say why none is."""
        if len(self.classes) == 1:
            return RegionWords(text=f"{self.classes[0]}, all else ruled out at {level:.0%}", there=self.classes)
        left = f"{' or '.join(self.classes)} at {level:.0%}" if self.classes else f"no class fits at {level:.0%}"
        return RegionWords(text=f"unsure: {left}", is_decided=False)


class ClassHead(Head):
    """A categorical distribution (batch,) over classes."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, num_classes)

    def forward(self, reading: Reading) -> Distribution:
        """Return a Categorical over the classes."""
        logits: Tensor = self.linear(reading.pooled)
        return Categorical(logits=logits)


@dataclass(frozen=True, kw_only=True)
class Classes(Named):
    """One of several classes; truth (cases,) is the index of the class, whose names the data say.

    A class is ruled out only where enough groups show it, by the quantile of 1 - its probability where it was true.
    With `by_class` False all classes share one quantile: where groups are too few for a level, sets then go by what was
    seen, and nothing is claimed of them, where by class they would hold everything. Such a set always holds the
    likeliest class: members' mean is less sure than the single member that the quantile is of, so that sets of sure
    members would else be empty where they are right.
    A preparation's fallback of (cases, classes) is taken as a plain model's log-probabilities, and trusted by the
    `plain` share that predictions out of fold teach.
    Source: Vovk 2012, Conditional validity of inductive conformal predictors (label-conditional);
    Sadinle, Lei & Wasserman 2019, Least ambiguous set-valued classifiers, section 2.
    """

    units: str = "class"
    by_class: bool = True
    headline: Literal["macro_f1", "accuracy"] = "macro_f1"
    kind: ClassVar[str] = "classes"
    lower_is_better: ClassVar[bool] = False
    of_trunk: ClassVar[str] = "logits"
    blend_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "temperature": (1e-9, LARGEST_TEMPERATURE),
        "plain": (0.0, 1.0),
    }
    blend_optional: ClassVar[frozenset[str]] = frozenset({"plain"})  # of runs that have no plain model
    needs_labels: ClassVar[str] = "a known class"

    @classmethod
    def recognised(cls, labels: Labels) -> "Classes | None":
        """Take one column of a few words, their names sorted."""
        if labels.names:
            return None
        if labels.holds_numbers:
            labels.numbers()  # refuses the first word among them
        words = labels.words()[:, 0]
        names = sorted(set(words) - {""})
        if len(names) < 2 or len(names) * FEWEST_CASES > labels.num_known:
            raise InputError(
                f"{labels.data} has {len(names)} different words as targets of {labels.num_known} samples, want "
                "numbers, or a few classes that recur; mend the column 'target'"
            )
        return cls(names=tuple(names))

    def read(self, labels: Labels) -> Array:
        """Return the index of each case's class.

        Raises:
            InputError: naming the first cell that names none of the classes.
        """
        self.refuse_names(labels)
        words, places = labels.words()[:, 0], {name: float(place) for place, name in enumerate(self.names)}
        found = np.array([np.nan if word == "" else places.get(word, -1.0) for word in words])
        for case in np.flatnonzero(found < 0)[:1].tolist():
            raise InputError(
                f"{labels.where(case)}: got {words[case]!r:.60}, want one of {', '.join(self.names)!s:.200}; mend it, "
                "or leave it empty"
            )
        return found

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return the commonest class, and what a logistic regression and a forest take for the likeliest."""
        commonest = float(np.bincount(lesson.truth.astype(np.int64)).argmax())
        likely = classifications(lesson, len(self.names))
        found = {name: shares.argmax(1).astype(np.float64) for name, shares in likely.items()}
        return {"commonest": np.full(len(lesson.asked), commonest), **found}

    def head(self, dim: int, specs: Specs) -> Head:
        """Return a categorical head."""
        return ClassHead(dim, len(self.names))

    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return class indices (samples,), all known."""
        found = targets_in(samples)
        if not len(found) or np.isnan(found).any():
            raise InputError("got samples without a class, want all labelled; drop the others")
        return found

    def standardise(self, truth: Array, past: Array) -> tuple[Array, Mapping[str, float]]:
        """Return whole numbers, as the head counts classes."""
        return truth.astype(np.int64), {}

    def weights(self, truth: Array) -> Array:
        """The inverse square root of each case's class's share (cases,), mean 1.

        Between counting samples alike (a rare class is never named) and classes alike (its few samples are learned by
        heart); compare Mahajan et al. 2018, Exploring the Limits of Weakly Supervised Pretraining, section 2.2.
        """
        labels = truth.astype(np.int64)
        counts = np.maximum(np.bincount(labels, minlength=len(self.names)), 1)
        weights = 1 / np.sqrt(counts[labels])
        scaled: Array = weights / weights.mean()
        return scaled

    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return the weighed negative log-likelihood."""
        each: Tensor = -distribution.log_prob(aims)
        return Loss(total=(each if weights is None else each * weights).sum(), count=len(each))

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return log-probabilities (cases, classes), not calibrated, and those of a plain model where there is one."""
        assert isinstance(distribution, Categorical)
        found = {"logits": distribution.logits.double().cpu().numpy()}
        return found if known.plain.ndim == 1 else {**found, "plain": known.plain}

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return the temperature of least negative log-likelihood, and the plain model's share where there is one."""
        labels = truth.astype(np.int64)
        if "plain" not in outputs:
            return {"temperature": fit_temperature(outputs["logits"], labels)}
        _, share, temperature = min(loss_at(mixed(outputs, float(share)), labels, float(share)) for share in SHARES)
        return {"temperature": temperature, "plain": share}

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return the mean of members' probabilities (cases, classes), each at the temperature, and each part's own."""

        def told(share: float) -> Array:
            averaged: Array = np.mean([softmax(mixed(one, share) / blend["temperature"]) for one in members], axis=0)
            return averaged

        found = {"probabilities": told(blend.get("plain", 0.0))}
        return {**found, "trunk": told(0.0), "plain": told(1.0)} if "plain" in members[0] else found

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return the likeliest class (cases,) by trunk and plain model alone; nothing where there is no plain one."""
        names = {"trunk": "trunk", "plain": "plain_model"}
        return {told_as: told[name].argmax(1).astype(np.float64) for name, told_as in names.items() if name in told}

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return 1 - the probability of the true class (cases,)."""
        found: Array = 1 - told["probabilities"][np.arange(len(truth)), truth.astype(np.int64)]
        return found

    def strata(self, truth: Array) -> tuple[str, ...] | None:
        """Return the name of each case's true class; None where all share a quantile."""
        return tuple(self.names[index] for index in truth.astype(int).tolist()) if self.by_class else None

    def strata_names(self) -> tuple[str, ...]:
        """Return the names of the classes; nothing where all share a quantile."""
        return self.names if self.by_class else ()

    def point(self, told: Outputs) -> Array:
        """Return the index of the most probable class (cases,)."""
        found: Array = told["probabilities"].argmax(1).astype(np.float64)
        return found

    def classes_of(self, point: Array) -> Array:
        """Return the index (cases,) of the class that a point names."""
        return point

    def values(self, told: Outputs) -> list[float | str]:
        """Return the name of the most probable class."""
        return [self.names[index] for index in np.argsort(-told["probabilities"], axis=1)[:, 0].tolist()]

    def inside(self, told: Outputs, quantile: Array) -> NDArray[np.bool_]:
        """True (cases, classes) where a class cannot be ruled out; `quantile` is (cases,), or by class too."""
        least = 1 - (quantile if quantile.ndim > 1 else quantile[:, None])
        found: NDArray[np.bool_] = told["probabilities"] >= least
        if not self.by_class:
            found[np.arange(len(found)), told["probabilities"].argmax(1)] = True
        return found

    def regions(self, told: Outputs, quantile: Array) -> list[ClassSet]:
        """Return class sets."""
        order, inside = np.argsort(-told["probabilities"], axis=1), self.inside(told, quantile)
        return [
            ClassSet(classes=tuple(self.names[index] for index in row if own[index]))
            for row, own in zip(order.tolist(), inside, strict=True)
        ]

    def covered(self, told: Outputs, truth: Array, quantile: Array) -> NDArray[np.bool_]:
        """True (cases,) where the true class is in the set."""
        found: NDArray[np.bool_] = self.inside(told, quantile)[np.arange(len(truth)), truth.astype(np.int64)]
        return found

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return how many classes each set holds (cases,)."""
        found: Array = self.inside(told, quantile).sum(1).astype(np.float64)
        return found

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Macro F1 and accuracy, of all cases and over groups; the headline first."""
        found = {
            "macro_f1": Measure(metric=macro_f1, over="pooled"),
            "accuracy": Measure(metric=accuracy, over="pooled"),
            "accuracy_over_groups": Measure(metric=accuracy, over="groups"),
        }
        return {self.headline: found[self.headline], **found}

    def figures(self, told: Outputs, raw: Outputs, truth: Array, blend: Blend) -> dict[str, float]:
        """Return macro F1, accuracy, and what parts are worth."""
        predicted = mixed(raw, blend.get("plain", 0.0)).argmax(1).astype(np.float64)
        metrics = {"macro_f1": macro_f1, "accuracy": accuracy}
        return {f"held_out_{name}": found(truth, predicted) for name, found in metrics.items()} | dict(blend)

    def coverage_figures(self, case: Regions, groups: Sequence[str]) -> dict[str, Any]:
        """Return coverage and size as means over groups: a group of many cases counts once."""
        inside, size = self.covered(case.told, case.truth, case.quantile), self.size(case.told, case.quantile)
        return {"mean_over_groups": over_groups(inside, groups), "mean_width_over_groups": over_groups(size, groups)}

    def breakdown(self, case: Regions, baselines: Mapping[str, Array], groups: Sequence[str]) -> dict[str, Any]:
        """Return `by_class`: support, F1, that of baselines, and coverage; and `exact_intervals` of the accuracy.

        These take cases for independent, which those of one group need not be.
        """
        labels, sets = np.asarray(groups), self.inside(case.told, case.quantile)
        predicted = self.classes_of(self.point(case.told))
        table = {}
        for index, name in enumerate(self.names):
            here = case.truth == index
            table[name] = {
                "support": int(here.sum()),
                "groups": len(set(labels[here].tolist())),
                "f1": f1_of(here, predicted == index),
                **{f"{other}_f1": f1_of(here, self.classes_of(values) == index) for other, values in baselines.items()},
                **_coverage_of_class(sets[here, index], labels[here].tolist()),
            }
        told = {"model": predicted, **{name: self.classes_of(values) for name, values in baselines.items()}}
        intervals = {name: exact_interval(int((case.truth == own).sum()), len(own)) for name, own in told.items()}
        shown = {name: {"low": low, "high": high, "level": CONFIDENCE} for name, (low, high) in intervals.items()}
        return {"by_class": table, "exact_intervals": {"accuracy": shown}}

    def lines(self, result: Mapping[str, Any]) -> list[str]:
        """Say coverage as a mean over groups, and the F1 of each class."""
        coverage = result["coverage"]
        over = (
            f"as a mean over groups {coverage['mean_over_groups']:.1%}, {coverage['mean_width']:.2f} of them left open"
        )
        return [
            f"{over} on average",
            *(
                f"  {name:22} F1 {row['f1']:.2f}, {row['support']} cases of {row['groups']} groups"
                for name, row in result["by_class"].items()
            ),
        ]

    def layer_names(self) -> tuple[str, ...]:
        """Names of a map's bands."""
        return tuple(f"probability {name}" for name in self.names)

    def layers(self, told: Outputs, quantile: Array) -> Mapping[str, Array]:
        """Return the probability of each class (cases,)."""
        return dict(zip(self.layer_names(), told["probabilities"].T, strict=True))

    def layer_facts(self, calibration: "Calibration", level: float) -> Mapping[str, Any]:
        """Return the classes, and with which probability at least each stays in a set."""
        quantile = calibration.quantiles(level, [""], self.strata_names())
        least = 1 - np.minimum(np.broadcast_to(quantile.reshape(1, -1), (1, len(self.names)))[0], 1.0)
        return {"classes": list(self.names), "thresholds": least.tolist()}


def mixed(outputs: Outputs, share: float) -> Array:
    """Log-probabilities (cases, classes) of both parts, the plain model's by its share."""
    return (1 - share) * outputs["logits"] + share * outputs["plain"] if share else outputs["logits"]


def loss_at(logits: Array, labels: NDArray[np.int64], share: float) -> tuple[float, float, float]:
    """The least negative log-likelihood at a share, the share, and the temperature."""
    temperature = fit_temperature(logits, labels)
    likely = softmax(logits / temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(likely, 1e-12)).mean()), share, temperature


def softmax(logits: Array) -> Array:
    """Probabilities over the last dim."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: Array = powers / powers.sum(-1, keepdims=True)
    return shares


def fit_temperature(logits: Array, labels: NDArray[np.int64]) -> float:
    """The temperature of least negative log-likelihood, from 0.25 to 8.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    rows = np.arange(len(labels))
    losses = [-np.log(np.maximum(softmax(logits / t)[rows, labels], 1e-12)).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def f1_of(here: NDArray[np.bool_], named: NDArray[np.bool_]) -> float:
    """F1 = 2 hits / (cases + times named); 0 where there are neither."""
    return 2 * float((here & named).sum()) / max(float(here.sum() + named.sum()), 1.0)


def _coverage_of_class(inside: NDArray[np.bool_], groups: Sequence[str]) -> dict[str, float]:
    if not len(inside):
        return {}
    return {"coverage": float(inside.mean()), "coverage_over_groups": over_groups(inside, groups)}
