"""A rotation: a normal in the tangent space of what an integrator knows, and a ball of rotations around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.distributions import Distribution

from mainstem.core.baselines import Lesson
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.folds import fit_gate
from mainstem.core.rotations import (
    angle_between,
    conjugate,
    exp,
    log,
    mean_rotation,
    multiply,
    normalise,
    residual_angles,
    roll_pitch_yaw,
)
from mainstem.core.stream import Sample
from mainstem.core.targets.ball import Ball
from mainstem.core.targets.base import Target
from mainstem.core.targets.parts import Array, Blend, Head, Known, Loss, Measure, Outputs, Specs
from mainstem.core.targets.tangent import TangentHead, mixture, robust_loss, told_of

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
UNIT_WITHIN = 1e-3  # by which a quaternion's length may differ from 1
WORTHWHILE = 0.01  # share of the error that has to be saved before it is said that inputs add something


@dataclass(frozen=True, kw_only=True)
class Rotation(Target):
    """A rotation of the earth from a body; truth is (cases, 4), unit quaternions w, x, y, z of either sign.

    The preparation's offset is what an integrator says (cases, 4); where it is one number a case, the identity. A fifth
    column is how much it may err by, rad, by its own account: what the head says is then told in that. The head says a
    rotation vector and its covariance in the earth's axes: told = exp(gate x vector) x offset. So turning the world
    turns what is told, and where the head says nothing, the integrator stands. Scores are angles in root traces of the
    covariance.
    """

    units: str = "rad"
    kind: ClassVar[str] = "rotation"
    needs_labels: ClassVar[str] = "a known rotation"
    most_score: ClassVar[float] = np.inf
    frame_names: ClassVar[frozenset[str]] = frozenset({"std"})
    blend_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"gate": (0.0, 1.0)}

    def restored(self, facts: Mapping[str, Any]) -> "Rotation":
        """Return the target.

        Raises:
            ArtifactError: if a file's is of another kind, or in other units.
        """
        if dict(facts) != self.facts():
            raise ArtifactError(f"it predicts {dict(facts)!s:.80}, the task {self.facts()}; train it again")
        return self

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return the mean rotation."""
        return {"average": np.repeat(mean_rotation(lesson.truth)[None], len(lesson.asked), axis=0)}

    @property
    def num_values(self) -> int:
        """A rotation vector."""
        return 3

    def head(self, dim: int, specs: Specs) -> Head:
        """Return a normal of rotation vectors."""
        return TangentHead(dim, 3)

    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return quaternions (samples, 4), of length 1."""
        found = np.empty((len(samples), 4))
        for row, sample in enumerate(samples):
            told = np.full(4, np.nan) if sample.target is None else np.asarray(sample.target, np.float64)
            if told.shape != (4,) or not abs(np.linalg.norm(told) - 1) < UNIT_WITHIN:
                raise InputError(
                    f"{sample.source.item!r} has {told.tolist()!s:.100} for a rotation, want a unit quaternion w, x, "
                    "y, z; mend it, or leave it out"
                )
            found[row] = told
        return normalise(found)

    def standardise(self, truth: Array, past: Array) -> tuple[Array, Mapping[str, float]]:
        """Return rotation vectors (cases, 3) from offset to truth over their root mean square, which is the frame."""
        away = log(multiply(truth, conjugate(as_rotations(past)))) / doubt_in(past)[:, None]
        std = max(float(np.sqrt((away**2).mean())), 1e-6)
        return (away / std).astype(np.float32), {"std": std}

    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return the negative log-likelihood with Student's tails."""
        return robust_loss(distribution, aims, weights)

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return the offset (cases, 4), what the trunk adds (cases, 3) rad, and its covariance (cases, 3, 3) rad2."""
        (mean, covariance), std = told_of(distribution), known.frame["std"]
        return {"past": as_rotations(known.past), "trunk": std * mean, "covariance": std**2 * covariance}

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return the trunk's gate against the offset, by the components of rotation vectors."""
        wanted = log(multiply(truth, conjugate(outputs["past"])))
        return {"gate": fit_gate(wanted.ravel(), outputs["trunk"].ravel(), np.repeat(groups, 3).tolist())}

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return the centre (cases, 4), the mixture's covariance about it, and the offsets' own centre.

        Means are taken in the tangent space of the first member's rotation, as rotations have none of their own: the
        first step of the search for their centre, which is all of it where they share an axis, and misses by the cube
        of how far they lie apart where not (Moakher 2002, Means and averaging in the group of rotations, section 3).
        """
        each = np.stack([multiply(exp(blend["gate"] * one["trunk"]), one["past"]) for one in members])
        centre, away = centred(each)
        covariances = np.stack([one["covariance"] for one in members])
        past, _ = centred(np.stack([one["past"] for one in members]))
        return {"centre": centre, "past": past, "covariance": mixture(away, covariances)}

    def scale(self, told: Outputs) -> Array:
        """Return the covariance's root trace (cases,), rad."""
        found: Array = np.sqrt(np.trace(told["covariance"], axis1=-2, axis2=-1))
        return found

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return angles between centre and truth (cases,), in scales."""
        return angle_between(truth, told["centre"]) / self.scale(told)

    def point(self, told: Outputs) -> Array:
        """Return the centre (cases, 4)."""
        return told["centre"]

    def values(self, told: Outputs) -> list[float | str]:
        """Say roll, pitch and yaw."""
        angles = np.degrees(roll_pitch_yaw(told["centre"])).tolist()
        return [f"roll {roll:.1f}, pitch {pitch:.1f}, yaw {yaw:.1f} deg" for roll, pitch, yaw in angles]

    def regions(self, told: Outputs, quantile: Array) -> list[Ball]:
        """Return balls."""
        rows = zip(told["centre"], self.size(told, quantile).tolist(), strict=True)
        return [Ball(centre=centre, radius_rad=radius) for centre, radius in rows]

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return the radii (cases,), rad, of balls: at most pi, which holds every rotation."""
        return np.minimum(quantile * self.scale(told), np.pi)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Root mean squares of the angle between told and true, in degrees: whole, about the vertical, of the tilt."""
        return {f"{part}_deg": Measure(metric=partial(rms_deg, part)) for part in ("total", "heading", "inclination")}

    def figures(self, told: Outputs, raw: Outputs, truth: Array, blend: Blend) -> dict[str, float]:
        """Return the offset's own error too."""
        return {**super().figures(told, raw, truth, blend), "offset_total_deg": rms_deg("total", truth, raw["past"])}

    def adds(self, raw: Outputs, truth: Array, blend: Blend) -> bool:
        """True where the trunk cuts the error of the offset by WORTHWHILE or more, out of fold."""
        told = self.point(self.combine([raw], blend))
        return rms_deg("total", truth, told) < (1 - WORTHWHILE) * rms_deg("total", truth, raw["past"])

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return what the offset alone would say."""
        return {"offset": told["past"]}


def as_rotations(past: Array) -> Array:
    """Return offsets (cases, 4); one number a case is no rotation, and stands for the identity."""
    return np.tile(IDENTITY, (len(past), 1)) if past.ndim == 1 else past[:, :4]


def doubt_in(past: Array) -> Array:
    """Return how much offsets may err by (cases,), rad, by their own account; 1 where they tell none."""
    return past[:, 4] if past.ndim == 2 and past.shape[1] > 4 else np.ones(len(past))


def centred(rotations: Array) -> tuple[Array, Array]:
    """Return the mean (cases, 4) of rotations (parts, cases, 4) about the first, and each's departure, rad, from it."""
    away = log(multiply(rotations, conjugate(rotations[:1])))
    mean = away.mean(0)
    return normalise(multiply(exp(mean), rotations[0])), away - mean


def rms_deg(part: str, truth: Array, told: Array) -> float:
    """Root mean square, degrees, of a part of the residual rotation: total, heading or inclination."""
    return float(np.degrees(np.sqrt(np.mean(residual_angles(told, truth)[part] ** 2))))
