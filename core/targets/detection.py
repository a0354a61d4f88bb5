"""Whether one thing is there: the second of two classes, told by trunk and, where there is one, a plain model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch.distributions import Categorical, Distribution

from mainstem.core.detecting import HALF, accuracy, auc, ece, sensitivity_at_95_specificity
from mainstem.core.targets.classes import LARGEST_TEMPERATURE, SHARES, Classes, loss_at, softmax
from mainstem.core.targets.parts import Array, Blend, Known, Measure, Outputs, Regions


@dataclass(frozen=True, kw_only=True)
class Detection(Classes):
    """One of two classes, of which the second is looked for.

    Classes count alike in training: how common the second is where the adapter is used nobody knows. The preparation's
    fallback is taken as a plain model's log-odds, and trusted by the `plain` share that predictions out of fold teach.
    A set of one class decides; of both, or none, it does not.
    """

    kind: ClassVar[str] = "detection"
    of_trunk: ClassVar[str] = "trunk"
    blend_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "temperature": (1e-9, LARGEST_TEMPERATURE),
        "plain": (0.0, 1.0),
    }
    blend_optional: ClassVar[frozenset[str]] = frozenset()

    def weights(self, truth: Array) -> Array:
        """The inverse of each case's class's share (cases,), mean 1."""
        labels = truth.astype(np.int64)
        weights = 1 / np.maximum(np.bincount(labels, minlength=2), 1)[labels]
        scaled: Array = weights / weights.mean()
        return scaled

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return the trunk's log-odds (cases,) and the plain model's."""
        assert isinstance(distribution, Categorical)
        logits = distribution.logits.double().cpu().numpy()
        return {"trunk": logits[:, 1] - logits[:, 0], "plain": known.plain}

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return the share and the temperature of least negative log-likelihood; no share where nothing plain is."""
        labels, shares = truth.astype(np.int64), SHARES if outputs["plain"].any() else SHARES[:1]
        _, share, temperature = min(
            loss_at(both(_mixed(outputs, float(share))), labels, float(share)) for share in shares
        )
        return {"temperature": temperature, "plain": share}

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return the mean of members' probabilities (cases, 2), and what trunk and plain model tell by themselves."""

        def told(share: float) -> Array:
            mixed = [softmax(both(_mixed(one, share)) / blend["temperature"]) for one in members]
            averaged: Array = np.mean(mixed, axis=0)
            return averaged

        return {"probabilities": told(blend["plain"]), "trunk": told(0.0)[:, 1], "plain": told(1.0)[:, 1]}

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return what trunk and plain model would tell by themselves; nothing where there is no plain one."""
        is_plain = np.ptp(told["plain"]) > 0
        return {"trunk": told["trunk"], "plain_model": told["plain"]} if is_plain else {}

    def point(self, told: Outputs) -> Array:
        """Return the probability (cases,) that it is there."""
        found: Array = told["probabilities"][:, 1]
        return found

    def classes_of(self, point: Array) -> Array:
        """Return the index (cases,) of the class that a point names."""
        return (point >= HALF).astype(np.float64)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Area under the curve, accuracy at one half, sensitivity at a specificity, and calibration error."""
        figures = (auc, accuracy, sensitivity_at_95_specificity, ece)
        return {found.__name__: Measure(metric=found, over="pooled") for found in figures}

    def figures(self, told: Outputs, raw: Outputs, truth: Array, blend: Blend) -> dict[str, float]:
        """Return the measures, and what parts are worth."""
        point = self.point(told)
        return {f"held_out_{name}": found.metric(truth, point) for name, found in self.measures.items()} | dict(blend)

    def undecided(self, told: Outputs, quantile: Array) -> list[str]:
        """Say why a case (cases,) is not told: both classes stay in its set, or none does; "" where one does."""
        words = ("it fits neither class", "", f"neither {self.names[0]} nor {self.names[1]} can be ruled out")
        return [words[int(num)] for num in self.size(told, quantile)]

    def coverage_figures(self, case: Regions, groups: Sequence[str]) -> dict[str, Any]:
        """Return how many sets decide, and the accuracy of those that do, beside means over groups."""
        decided = self.size(case.told, case.quantile) == 1
        right = (self.point(case.told) >= HALF) == case.truth
        told = {"decided": float(decided.mean()), "accuracy_where_decided": None}
        if decided.any():
            told["accuracy_where_decided"] = float(right[decided].mean())
        return {**super().coverage_figures(case, groups), **told}


def both(odds: Array) -> Array:
    """Logits (cases, 2) of log-odds (cases,)."""
    return np.stack([np.zeros(len(odds)), odds], 1)


def _mixed(outputs: Outputs, share: float) -> Array:
    return (1 - share) * outputs["trunk"] + share * outputs["plain"]
