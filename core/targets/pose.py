"""A pose: where a body is and, where asked, how it is turned, with one covariance, and an ellipsoid around both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.distributions import Distribution

from mainstem.core.baselines import Lesson
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.folds import fit_gate
from mainstem.core.rotations import mean_rotation, normalise, residual_angles, roll_pitch_yaw
from mainstem.core.stream import Sample
from mainstem.core.targets.base import Target
from mainstem.core.targets.ellipsoid import Ellipsoid
from mainstem.core.targets.parts import Array, Blend, Head, Known, Loss, Measure, Outputs, Specs
from mainstem.core.targets.poses import away_from, moved_by
from mainstem.core.targets.tangent import TangentHead, distance, mixture, robust_loss, told_of

UNIT_WITHIN = 1e-3  # by which a quaternion's length may differ from 1
WORTHWHILE = 0.01  # share of the error that has to be saved before it is said that inputs add something


@dataclass(frozen=True, kw_only=True)
class Pose(Target):
    """Positions in m, and rotations of the earth from a body; truth is (cases, axes), or (cases, axes + 4) of both.

    The preparation's offset is what an integrator says, in the same columns; where it is one number a case, the origin.
    The head says a step from it, in the earth's axes, with its covariance: m, and then rad about x, y, z, or about z
    alone in the plane. Scores are Mahalanobis distances.

    Attributes:
        axes: of positions: 2 in the plane, 3 in space.
        is_turned: rotations are told too.
    """

    axes: int = 2
    is_turned: bool = False
    units: str = "m"
    kind: ClassVar[str] = "pose"
    needs_labels: ClassVar[str] = "a known pose"
    most_score: ClassVar[float] = np.inf
    frame_names: ClassVar[frozenset[str]] = frozenset({"std_m", "std_rad"})
    blend_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"gate": (0.0, 1.0), "gate_rotation": (0.0, 1.0)}

    def __post_init__(self) -> None:
        """Check the number of axes."""
        if self.axes not in (2, 3):
            raise InputError(f"got positions of {self.axes} axes, want 2 or 3")

    def facts(self) -> dict[str, Any]:
        """Return the axes, and if rotations are told, too."""
        return {**super().facts(), "axes": self.axes, "is_turned": self.is_turned}

    def restored(self, facts: Mapping[str, Any]) -> "Pose":
        """Return the target.

        Raises:
            ArtifactError: if a file's is of another kind, units or axes.
        """
        if dict(facts) != self.facts():
            raise ArtifactError(f"it predicts {dict(facts)!s:.120}, the task {self.facts()}; train it again")
        return self

    @property
    def width(self) -> int:
        """How many numbers a pose is written in."""
        return self.axes + 4 * self.is_turned

    @property
    def num_values(self) -> int:
        """Those of a step."""
        return self.axes + (0 if not self.is_turned else 1 if self.axes == 2 else 3)

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return the mean position, and the mean rotation."""
        place, turned = lesson.truth[:, : self.axes].mean(0), lesson.truth[:, self.axes :]
        mean = np.concatenate([place, mean_rotation(turned) if self.is_turned else []])
        return {"average": np.repeat(mean[None], len(lesson.asked), axis=0)}

    def head(self, dim: int, specs: Specs) -> Head:
        """Return a normal of steps."""
        return TangentHead(dim, self.num_values)

    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return poses (samples, axes or axes + 4)."""
        found = np.empty((len(samples), self.width))
        for row, sample in enumerate(samples):
            told = np.full(1, np.nan) if sample.target is None else np.asarray(sample.target, np.float64)
            is_whole = told.shape == (self.width,) and np.isfinite(told).all()
            if not is_whole or (self.is_turned and abs(np.linalg.norm(told[self.axes :]) - 1) > UNIT_WITHIN):
                wanted = f"{self.axes} numbers of m" + (" and a unit quaternion w, x, y, z" if self.is_turned else "")
                raise InputError(
                    f"{sample.source.item!r} has {told.tolist()!s:.100} for a pose, want {wanted}; mend it, or leave "
                    "it out"
                )
            found[row] = told
        if self.is_turned:
            found[:, self.axes :] = normalise(found[:, self.axes :])
        return found

    def poses(self, past: Array) -> Array:
        """Return offsets (cases, axes or axes + 4); one number a case is no pose, and stands for the origin."""
        if past.ndim > 1:
            return past
        origin = np.zeros(self.width)
        origin[self.axes : self.axes + 1] = 1.0
        return np.tile(origin, (len(past), 1))

    def standardise(self, truth: Array, past: Array) -> tuple[Array, Mapping[str, float]]:
        """Return steps (cases, num) from offset to truth over the root mean squares of m and of rad: the frame."""
        steps = away_from(truth, self.poses(past), self.axes)
        squares = [(part**2).mean() if part.size else 1.0 for part in np.split(steps, [self.axes], axis=1)]
        std_m, std_rad = (max(float(np.sqrt(square)), 1e-6) for square in squares)
        return (steps / self._each(std_m, std_rad)).astype(np.float32), {"std_m": std_m, "std_rad": std_rad}

    def _each(self, of_place: float, of_rotation: float) -> Array:
        return np.array([of_place] * self.axes + [of_rotation] * (self.num_values - self.axes))

    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return the negative log-likelihood with Student's tails."""
        return robust_loss(distribution, aims, weights)

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return the offset (cases, axes or axes + 4), the trunk's step (cases, num) and its covariance."""
        (mean, covariance), stds = told_of(distribution), self._each(known.frame["std_m"], known.frame["std_rad"])
        return {"past": self.poses(known.past), "trunk": stds * mean, "covariance": covariance * np.outer(stds, stds)}

    def blend(self, outputs: Outputs, truth: Array, groups: Sequence[str]) -> Blend:
        """Return the trunk's gates against the offset: of positions, and of rotations."""
        wanted, told = away_from(truth, outputs["past"], self.axes), outputs["trunk"]
        found = []
        for part in (slice(0, self.axes), slice(self.axes, None)):
            times = wanted[:, part].shape[1]
            labels = np.repeat(groups, times).tolist()
            found.append(fit_gate(wanted[:, part].ravel(), told[:, part].ravel(), labels) if times else 0.0)
        return dict(zip(("gate", "gate_rotation"), found, strict=True))

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return the centre (cases, axes or axes + 4), the mixture's covariance about it, and the offsets' own centre.

        Means are taken in the tangent space of the first member's pose, as `Rotation` does.
        """
        gates = self._each(blend["gate"], blend["gate_rotation"])
        each = [moved_by(one["past"], gates * one["trunk"], self.axes) for one in members]
        centre, away = self._centred(each)
        past, _ = self._centred([one["past"] for one in members])
        covariances = np.stack([one["covariance"] for one in members])
        return {"centre": centre, "past": past, "covariance": mixture(away, covariances)}

    def _centred(self, poses: Sequence[Array]) -> tuple[Array, Array]:
        away = np.stack([away_from(one, poses[0], self.axes) for one in poses])
        return moved_by(poses[0], away.mean(0), self.axes), away - away.mean(0)

    def scale(self, told: Outputs) -> Array:
        """Return the geometric mean of the position's standard deviations (cases,), m."""
        found: Array = np.linalg.det(told["covariance"][:, : self.axes, : self.axes]) ** (0.5 / self.axes)
        return found

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return Mahalanobis distances of truths from the centre (cases,)."""
        return distance(away_from(truth, told["centre"], self.axes), told["covariance"])

    def point(self, told: Outputs) -> Array:
        """Return the centre (cases, axes or axes + 4)."""
        return told["centre"]

    def values(self, told: Outputs) -> list[float | str]:
        """Say the position, and the yaw where rotations are told."""
        found: list[float | str] = []
        for row in told["centre"]:
            place = ", ".join(f"{name} {value:.2f}" for name, value in zip("xyz", row[: self.axes], strict=False))
            yaw = f", yaw {np.degrees(roll_pitch_yaw(row[self.axes :])[2]):.1f} deg" if self.is_turned else ""
            found.append(f"{place} m{yaw}")
        return found

    def regions(self, told: Outputs, quantile: Array) -> list[Ellipsoid]:
        """Return ellipsoids."""
        rows = zip(told["centre"], told["covariance"], quantile.tolist(), strict=True)
        return [Ellipsoid(centre=mean, covariance=own, quantile=most, axes=self.axes) for mean, own, most in rows]

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return the geometric mean (cases,), m, of the semi-axes of the positions in the region."""
        return quantile * self.scale(told)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Root mean square of the distance between told and true position, m; of the angle, degrees."""

        def rmse_m(truth: Array, told: Array) -> float:
            return float(np.sqrt(((truth - told)[:, : self.axes] ** 2).sum(1).mean()))

        def rotation_deg(truth: Array, told: Array) -> float:
            angles = residual_angles(told[:, self.axes :], truth[:, self.axes :])["total"]
            return float(np.degrees(np.sqrt(np.mean(angles**2))))

        rotation = {"rotation_deg": Measure(metric=rotation_deg)} if self.is_turned else {}
        return {"rmse_m": Measure(metric=rmse_m), **rotation}

    def adds(self, raw: Outputs, truth: Array, blend: Blend) -> bool:
        """True where the trunk cuts the error of the offset by WORTHWHILE or more, out of fold."""
        error = self.measures["rmse_m"].metric
        return error(truth, self.point(self.combine([raw], blend))) < (1 - WORTHWHILE) * error(truth, raw["past"])

    def parts(self, told: Outputs) -> dict[str, Array]:
        """Return what the offset alone would say."""
        return {"offset": told["past"]}
