"""What is predicted is a type: a target owns head, loss, outputs, score, region, metrics, and nobody above asks which.

One file a kind. Fitting, calibrating, evaluating, predicting and mapping are written once, in terms of this class.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from mainstem.core.baselines import Lesson
from mainstem.core.bounds import Bounds
from mainstem.core.detecting import FEWEST_CASES, TOO_FEW
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets.labels import Labels
from mainstem.core.targets.parts import Array, Blend, Head, Known, Loss, Measure, Outputs, Region, Regions, Specs

if TYPE_CHECKING:
    from mainstem.core.conformal import Calibration


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """One kind of thing that is predicted; a frozen dataclass whose attributes a task sets.

    `units` of values. Arrays of truth are float64 (cases,), or (cases, parts) where there are several.
    """

    units: str
    kind: ClassVar[str]
    lower_is_better: ClassVar[bool] = True
    preparation: ClassVar[str] = "as_they_are"  # the plain one of core/preparation.py that suits it
    of_trunk: ClassVar[str] = "trunk"  # the name of that output which the trunk alone tells
    needs_labels: ClassVar[str] = "a known target"  # what a set must hold to be learned from
    most_score: ClassVar[float] = 1.0  # where strata are kept; infinite where scores are no 1 - probability
    frame_names: ClassVar[frozenset[str]] = frozenset()  # of what `standardise` gives
    blend_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}  # least and most of each part's worth
    blend_optional: ClassVar[frozenset[str]] = frozenset()  # of those, what only a user's own labels teach

    @classmethod
    def recognised(cls, labels: Labels) -> "Target | None":
        """Return the target that labels are of; None where they are of another kind, or no table tells any.

        Raises:
            InputError: if they look like this kind's, and are none.
        """
        return None

    def read(self, labels: Labels) -> Array:
        """Return the truth (cases, ...) of labels, NaN where it is unknown.

        Raises:
            InputError: naming the first that is none of this target's.
        """
        raise InputError(f"{self.kind} are in no table; read them otherwise")

    def refuse_names(self, labels: Labels) -> None:
        """Refuse labels in several columns.

        Raises:
            InputError: if they are.
        """
        if labels.names:
            raise InputError(f"the table has a target {labels.names[0]!r:.60}, the task one alone; rename it target")

    def told(self, source: SampleSet) -> "Target":
        """Return the target with what the data say of it, as the names of its classes.

        Raises:
            InputError: if they name targets, and this kind's are numbers.
        """
        if source.classes:
            raise InputError(
                f"{source.name} names {', '.join(source.classes)!s:.60} as targets, the task predicts {self.units}; "
                "give numbers"
            )
        return self

    def check_data(self, source: SampleSet) -> None:
        """Check that a set's targets mean what the fitted target's do.

        Raises:
            InputError: if they name other things.
        """
        named = self.told(source)
        if named != self:
            raise InputError(
                f"the run's targets are {self.facts()!s:.200}, the data's {named.facts()!s:.200}; give the same"
            )

    @property
    def told_names(self) -> tuple[str, ...]:
        """What a set calls the values of targets; () where they are numbers."""
        return ()

    def facts(self) -> dict[str, Any]:
        """Return what a manifest keeps of the target, in plain JSON types."""
        return {"kind": self.kind, "units": self.units}

    @abstractmethod
    def restored(self, facts: Mapping[str, Any]) -> "Target":
        """Return the target of an artefact whose manifest says these facts.

        Raises:
            ArtifactError: if they are of another kind, or contradict what the task says.
        """

    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Return least and most of each part's worth."""
        return self.blend_ranges

    def check_blend(self, blend: Blend, view: str) -> Blend:
        """Return a blend that a file holds.

        Raises:
            ArtifactError: if a part lacks, is none of this kind's, or out of its range.
        """
        ranges = self.ranges()
        lacking = sorted(set(ranges) - self.blend_optional - set(blend))
        odd = sorted(set(blend) - set(ranges))
        if lacking or odd:
            raise ArtifactError(
                f"the blend of the view {view!r} has no or an odd {(lacking or odd)[0]!r}; train it again"
            )
        for name, value in blend.items():
            least, most = ranges[name]
            if not least <= value <= most:
                raise ArtifactError(f"got {name} {value:g} of {view!r}, want {least:g} to {most:g}; train it again")
        return dict(blend)

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return points (asked, ...) of plain models by name; the plainest is what truths are on average."""
        return {"average": np.repeat(np.nanmean(lesson.truth, axis=0)[None], len(lesson.asked), axis=0)}

    @property
    def num_values(self) -> int:
        """How many numbers the head gives at least."""
        return 1

    @abstractmethod
    def head(self, dim: int, specs: Specs) -> Head:
        """Return an untrained head on latents (batch, dim) of streams that are read so, by name.

        Raises:
            InputError: if it cannot be put on these.
        """

    @abstractmethod
    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return the truth of samples.

        Raises:
            InputError: if one is unknown, or impossible.
        """

    def teaches(self, truth: Array) -> NDArray[np.bool_]:
        """True (cases,) where members may learn from a case; of one class its cases alone."""
        return np.ones(len(truth), bool)

    def standardise(self, truth: Array, past: Array) -> tuple[Array, Mapping[str, float]]:
        """Return what the head is to learn of truths, and the frame that turns what it says back."""
        return truth, {}

    def weights(self, truth: Array) -> Array | None:
        """What each case counts in training (cases,), mean 1; None where all count alike."""
        return None

    @abstractmethod
    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return the loss of a batch; `aims` is what `standardise` gave."""

    @abstractmethod
    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return what one member says, part by part, before it is known what each part is worth."""

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Learn from outputs out of fold how much their parts are worth."""
        return {}

    @abstractmethod
    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return what members say together."""

    def learn_line(
        self, raw: Sequence[Outputs], blend: Blend, truth: Array, groups: Sequence[str]
    ) -> tuple[Outputs, Blend]:
        """Learn from a user's own labels what members' outputs are worth in the user's terms, where that can be.

        Returns:
            What is told of each case by all groups but its own, and the blend.
        """
        return self.combine(raw, blend), blend

    def scale(self, told: Outputs) -> Array:
        """How much a case may err by (cases,), or (cases, parts) of its own: scores are errors in scales."""
        return np.ones(len(next(iter(told.values()))))

    @abstractmethod
    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return non-conformity (cases,), in scales; signed where errors have a side, then its size counts.

        It is (cases, parts) where parts of a case are told apart, each in a region of its own.
        """

    def strata(self, truth: Array) -> tuple[str, ...] | None:
        """The stratum (cases,) that each case's truth lies in, calibrated by itself; None where there is one alone."""
        return None

    def strata_names(self) -> tuple[str, ...]:
        """Names of all strata, in the order of quantiles (cases, strata); () where there are none."""
        return ()

    @abstractmethod
    def point(self, told: Outputs) -> Array:
        """Return the one value (cases, ...) that metrics judge."""

    @abstractmethod
    def values(self, told: Outputs) -> list[float | str]:
        """Return what is told of each case (cases,)."""

    @abstractmethod
    def regions(self, told: Outputs, quantile: Array) -> Sequence[Region]:
        """Return the region of each case at quantiles of the score (cases,), or (cases, strata)."""

    def noted(self, regions: Sequence[Any], calibration: "Calibration", level: float) -> Sequence[Region]:
        """Return regions with what calibration says of the like of them; of most kinds nothing."""
        return regions

    def covered(self, told: Outputs, truth: Array, quantile: Array) -> NDArray[np.bool_] | Array:
        """True (cases,), or (cases, parts), where the truth lies in the region; or the share of it that does."""
        inside: NDArray[np.bool_] = np.abs(self.scores(told, truth)) <= self.quantile_of_truth(truth, quantile)
        return inside

    def quantile_of_truth(self, truth: Array, quantile: Array) -> Array:
        """The quantile (cases,) that each case's truth is held against."""
        names, own = self.strata_names(), self.strata(truth)
        if own is None:
            return quantile
        return quantile[np.arange(len(truth)), [names.index(name) for name in own]]

    @abstractmethod
    def size(self, told: Outputs, quantile: Array) -> Array:
        """How much each region leaves open (cases,), or (cases, parts): an interval's width, how many classes."""

    def undecided(self, told: Outputs, quantile: Array) -> list[str]:
        """Say of cases (cases,) why none is told: its region decides nothing; "" where it does."""
        return [""] * len(quantile)

    @property
    @abstractmethod
    def measures(self) -> Mapping[str, Measure]:
        """Metrics of points by name; the first is the headline, in which differences to baselines are told."""

    def figures(self, told: Outputs, raw: Outputs, truth: Array, blend: Blend) -> dict[str, float]:
        """Return what a record says of cases held out: the measures, and what all groups say that parts are worth.

        `told` goes by what parts are worth in other groups than a case's own, `raw` are the parts.
        """
        point = self.point(told)
        return {f"held_out_{name}": found.metric(truth, point) for name, found in self.measures.items()} | dict(blend)

    def adds(self, raw: Outputs, truth: Array, blend: Blend) -> bool:
        """True where the inputs add something to what is known without them."""
        return True

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return the points that parts of the model would tell by themselves, by name."""
        return {}

    def probabilities(
        self, told: Outputs, calibration: "Calibration | None", patterns: Sequence[str], marks: Sequence[float]
    ) -> dict[str, Array]:
        """Return named probabilities (cases,); `marks` are values whose probability of being undercut is wanted.

        Raises:
            InputError: if there are marks, and values have no order.
        """
        self.refuse_marks(marks)
        return {}

    def refuse_marks(self, marks: Sequence[float]) -> None:
        """Refuse marks where values have no order.

        Raises:
            InputError: if there is one.
        """
        if marks:
            raise InputError(f"{self.kind} undercut nothing; leave --below out")

    def mean(self, told: Outputs) -> float:
        """Return the mean of what is told of cases; NaN where values have none, as classes."""
        return float("nan")

    def learnable(self, truth: Array) -> Array:
        """Return the truth (cases, ...) that training is given.

        Raises:
            InputError: if something is asked of which nothing is known.
        """
        return truth

    def refuse_means(self, advice: str) -> None:
        """Refuse what takes means of values that have none.

        Raises:
            InputError: with the advice, if they have none.
        """
        raise InputError(f"what is predicted, {self.units}, has no mean; {advice}")

    def reasons(self, calibration: "Calibration", level: float) -> tuple[str, ...]:
        """Return what a user has to know of every region."""
        return ()

    def coverage_figures(self, case: Regions, groups: Sequence[str]) -> dict[str, Any]:
        """Return what an evaluation says of regions beside their coverage and mean size."""
        return {}

    def breakdown(self, case: Regions, baselines: Mapping[str, Array], groups: Sequence[str]) -> dict[str, Any]:
        """Return further tables of an evaluation, by name."""
        return {}

    def lines(self, result: Mapping[str, Any]) -> list[str]:
        """Say to people what `coverage_figures` and `breakdown` put into an evaluation."""
        return []

    def subgroup(self, told: Outputs, truth: Array) -> dict[str, Any]:
        """Return what an evaluation says of the cases of one subgroup: their number, and figures where they suffice."""
        if len(truth) < FEWEST_CASES:
            return {"n": len(truth), "note": TOO_FEW}
        point = self.point(told)
        return {"n": len(truth), **{name: own.metric(truth, point) for name, own in self.measures.items()}}

    @property
    def bounds(self) -> Bounds:
        """What values are possible, where they are numbers."""
        return Bounds()

    def layer_names(self) -> tuple[str, ...]:
        """Names of a map's bands.

        Raises:
            InputError: if this kind cannot be mapped.
        """
        raise InputError(f"{self.kind} cannot be mapped yet; use predict")

    def layers(self, told: Outputs, quantile: Array) -> Mapping[str, Array]:
        """Return the bands of a map (cases,) by name, in the order of `layer_names`."""
        return {}

    def layer_facts(self, calibration: "Calibration", level: float) -> Mapping[str, Any]:
        """Return what a map says of its layers, in plain JSON types."""
        return {}


__all__ = ["Target"]
