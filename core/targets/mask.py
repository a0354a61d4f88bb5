"""Masks: a class a voxel, the volume of each structure with its interval, and the voxels that stay open.

The head is a light convolutional decoder over the trunk's tokens, with skips from the volume itself, after UNETR
(Hatamizadeh et al. 2022, section 3). Voxels of 2 x 2 x 2 enter and leave it together as channels, which loses nothing
and takes an eighth of the time (Shi et al. 2016, Real-time single image and video super-resolution, section 3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from mainstem.core.baselines import Lesson
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.evaluation import dice, volume_error_percent
from mainstem.core.stream import Sample
from mainstem.core.targets.decoder import MaskHead, Voxels, patch_of
from mainstem.core.targets.interval import Interval
from mainstem.core.targets.named import Named
from mainstem.core.targets.parts import (
    Array,
    Blend,
    Head,
    Known,
    Loss,
    Measure,
    Outputs,
    Region,
    Regions,
    RegionWords,
    Specs,
    figure,
)

if TYPE_CHECKING:
    from mainstem.core.conformal import Calibration

Labelled = NDArray[np.int8]  # (cases, z, y, x): 0 for none of the structures, OUTSIDE where a case has no voxel
OUTSIDE = -1
SMOOTH = 1.0  # voxels added to both sides of Dice, so that an absent structure has a gradient
LEAST_ML = 1e-3  # of the volume in doubt: one voxel of 1 mm


@dataclass(frozen=True, kw_only=True, eq=False)
class Masks(Region):
    """A case's most probable mask, each structure's volume with its interval, and the voxels that stay open.

    Attributes:
        labels: (z, y, x), on the common grid: 0, or 1 + the structure's place among the names.
        open: (structures, z, y, x), True where a voxel can neither be said nor ruled out: it is among the likeliest
            that make up the interval's upper end, and not among those that make up the lower.
        volumes: mL of each structure as its mask has them; intervals by name.
    """

    labels: Labelled
    open: NDArray[np.bool_]
    volumes: Mapping[str, float]
    intervals: Mapping[str, Interval]

    def __contains__(self, volumes: Mapping[str, float]) -> bool:
        return all(volumes[name] in interval for name, interval in self.intervals.items())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: volumes in mL, and how many voxels stay open."""
        return {
            name: {"volume_ml": self.volumes[name], **interval.to_dict(), "open_voxels": int(self.open[index].sum())}
            for index, (name, interval) in enumerate(self.intervals.items())
        }

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        return {f"{name}_{part}": value for name, told in self.to_dict().items() for part, value in told.items()}

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Say each structure's volume, its ends, and of how many voxels nobody can tell."""
        each = [
            f"{own.words(f'{name} {figure(self.volumes[name])} {units}', units, level).text}, "
            f"{still.sum()} voxels unsure"
            for (name, own), still in zip(self.intervals.items(), self.open, strict=True)
        ]
        return RegionWords(text="; ".join(each), is_measure=True)

    def overlay(self) -> Labelled:
        """Return the mask."""
        return self.labels


@dataclass(frozen=True, kw_only=True)
class Mask(Named):
    """Structures in a volume; truth is (cases, *grid) int8, `OUTSIDE` where a case's volume has no voxel.

    A structure's score is the error of its volume in mL, in scales of the volume that is in doubt: voxels' p (1 - p).
    Each structure is calibrated by itself: one quantile for all would hold of one too often, of another too seldom.

    Attributes:
        grid: voxels along z, y and x that hold any case, in whole patches.
        channels: of the volume.
    """

    grid: tuple[int, int, int] = (64, 64, 64)
    channels: int = 1
    units: str = "mL"
    kind: ClassVar[str] = "mask"
    lower_is_better: ClassVar[bool] = False
    of_trunk: ClassVar[str] = "probabilities"
    needs_labels: ClassVar[str] = "a mask"
    most_score: ClassVar[float] = np.inf

    def learnable(self, truth: Array) -> Array:
        """Return the truth.

        Raises:
            InputError: if no case has one of the structures.
        """
        for index, name in enumerate(self.names):
            if not (truth == index + 1).any():
                raise InputError(f"no sample to train on has any {name!r}; give some, or name it not")
        return truth

    def facts(self) -> dict[str, Any]:
        """Return the grid and the number of channels too."""
        return {**super().facts(), "grid": list(self.grid), "channels": self.channels}

    def restored(self, facts: Mapping[str, Any]) -> Self:
        """Return the target with the names that a file says.

        Raises:
            ArtifactError: if it is of another kind, grid or number of channels.
        """
        found = super().restored(facts)
        if [facts.get("grid"), facts.get("channels")] != [list(self.grid), self.channels]:
            raise ArtifactError(f"its grid is {facts.get('grid')!s:.40}, the task's {self.grid}; train it again")
        return found

    def baselines(self, lesson: Lesson) -> dict[str, Array]:
        """Return the commonest class of each voxel of the grid."""
        votes = [(lesson.truth == index).sum(0) for index in range(len(self.names) + 1)]
        return {"commonest": np.repeat(np.argmax(votes, 0).astype(np.int8)[None], len(lesson.asked), axis=0)}

    def head(self, dim: int, specs: Specs) -> Head:
        """Return an untrained decoder of the one volume that is read.

        Raises:
            InputError: if there are other streams, or the grid is not of whole patches.
        """
        patch = patch_of(specs)
        if any(side % size for side, size in zip(self.grid, patch, strict=True)):
            raise InputError(f"the grid {self.grid} is not of whole patches {patch}; set another patch_size")
        return MaskHead(dim, self.channels, len(self.names) + 1, patch)

    def truth(self, samples: Sequence[Sample]) -> Array:
        """Return labels (samples, *grid), int8.

        Raises:
            InputError: if one is unknown, of another shape than its volume, or larger than the grid.
        """
        found = np.full((len(samples), *self.grid), OUTSIDE, np.int8)
        for row, sample in zip(found, samples, strict=True):
            shapes = {stream.values.shape[1:] for stream in sample.streams.values()}
            if any(stream.geometry is None or stream.geometry.unit is None for stream in sample.streams.values()):
                raise InputError(f"{sample.source.item!r} does not say its voxels' size, so that nothing of it is mL")
            labels = None if sample.target is None else np.asarray(sample.target)
            if labels is None or shapes != {labels.shape} or not np.isin(labels, range(len(self.names) + 1)).all():
                what = "no mask" if labels is None else f"a mask of {labels.shape} up to {labels.max(initial=0)}"
                raise InputError(
                    f"{sample.source.item!r} has {what} for a volume of {shapes}, want labels 0 to {len(self.names)} "
                    "of its shape; mend it, or leave it out"
                )
            if any(side > most for side, most in zip(labels.shape, self.grid, strict=True)):
                raise InputError(f"{sample.source.item!r} has {labels.shape} voxels, want {self.grid} at most; cut it")
            row[tuple(slice(0, side) for side in labels.shape)] = labels
        return found  # type: ignore[return-value]  # int8: as float64 two hundred masks would take 2 GB

    def loss(self, distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
        """Return cross entropy over voxels plus 1 - Dice of structures, case by case.

        Source: Milletari et al. 2016, V-Net, section 3 (Dice); Isensee et al. 2021, nnU-Net, methods (their sum).
        """
        assert isinstance(distribution, Voxels)
        likely = distribution.logits.float()
        wanted = aims[:, : likely.shape[1], : likely.shape[2], : likely.shape[3]].long()
        seen = (wanted >= 0).float()
        rows = wanted.clamp(min=0)[..., None]
        entropy = -(likely.gather(-1, rows)[..., 0] * seen).sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp(min=1)
        shares = likely.exp()[..., 1:] * seen[..., None]
        there = (wanted[..., None] == torch.arange(1, likely.shape[-1], device=wanted.device)).float()
        overlap, total = (shares * there).sum((1, 2, 3)), (shares + there).sum((1, 2, 3))
        each = entropy + 1 - ((2 * overlap + SMOOTH) / (total + SMOOTH)).mean(1)
        return Loss(total=(each if weights is None else each * weights).sum(), count=len(each))

    def outputs(self, distribution: Distribution, known: Known) -> Outputs:
        """Return probabilities of structures (cases, structures, *grid) float32, and a voxel's mL (cases,)."""
        assert isinstance(distribution, Voxels)
        likely = (distribution.logits.float().exp() * distribution.seen[..., None])[..., 1:].movedim(-1, 1)
        sides = likely.shape[2:]
        if any(side > most for side, most in zip(sides, self.grid, strict=True)):
            raise InputError(f"got volumes of {tuple(sides)} voxels, want {self.grid} at most; cut them")
        found = np.zeros((*likely.shape[:2], *self.grid), np.float32)
        found[:, :, : sides[0], : sides[1], : sides[2]] = likely.cpu().numpy()
        return {"probabilities": found, "voxel_ml": distribution.voxel_ml.double().cpu().numpy()}

    def combine(self, members: Sequence[Outputs], blend: Blend) -> Outputs:
        """Return the mean of members' probabilities, and each structure's mL: of its mask, and in doubt.

        Doubt is the mean of members' own, which scores are told in: that of their mean is larger where they differ.
        """
        likely, ml = np.mean([one["probabilities"] for one in members], axis=0), members[0]["voxel_ml"]
        doubt = np.mean([_doubt(one["probabilities"]) for one in members], axis=0) * ml[:, None]
        told = {"probabilities": likely, "voxel_ml": ml, "doubt": np.maximum(doubt, LEAST_ML)}
        return {**told, "volumes": self.volumes(self.point(told), ml)}

    def volumes(self, labels: Array, voxel_ml: Array) -> Array:
        """Return mL (cases, structures) of labels."""
        counts = [(labels == index + 1).sum((1, 2, 3)) for index in range(len(self.names))]
        return np.stack(counts, 1) * voxel_ml[:, None]

    def scale(self, told: Outputs) -> Array:
        """Return mL in doubt (cases, structures)."""
        return told["doubt"]

    def scores(self, told: Outputs, truth: Array) -> Array:
        """Return errors of volumes (cases, structures), in scales."""
        return np.abs(self.volumes(truth, told["voxel_ml"]) - told["volumes"]) / told["doubt"]

    def strata(self, truth: Array) -> tuple[str, ...]:
        """Return of each case's structures, one after another, which it is."""
        return self.names * len(truth)

    def strata_names(self) -> tuple[str, ...]:
        """Return the structures."""
        return self.names

    def reasons(self, calibration: "Calibration", level: float) -> tuple[str, ...]:
        """Name the structures that too few groups show for an interval that ends."""
        quantiles = calibration.stratum_quantiles(self.names, level)
        rare = [name for name, most in zip(self.names, quantiles.tolist(), strict=True) if most == np.inf]
        return tuple(f"too few groups show {name} for its volume to be held at {level:.0%}" for name in rare)

    def point(self, told: Outputs) -> Array:
        """Return the most probable class of each voxel (cases, *grid), int8."""
        found = np.zeros((len(told["probabilities"]), *self.grid), np.int8)
        for row, likely in zip(found, told["probabilities"], strict=True):
            best = likely.argmax(0)
            row[:] = np.where(np.take_along_axis(likely, best[None], 0)[0] > 1 - likely.sum(0), best + 1, 0)
        return found  # type: ignore[return-value]

    def values(self, told: Outputs) -> list[float | str]:
        """Say each structure's volume."""
        return [
            "; ".join(f"{name} {ml:.2f} mL" for name, ml in zip(self.names, row, strict=True))
            for row in told["volumes"].tolist()
        ]

    def ends(self, told: Outputs, quantile: Array) -> tuple[Array, Array]:
        """Return the ends (cases, structures) of volumes' intervals, mL: none is below nothing or above the grid."""
        most = np.prod(self.grid) * told["voxel_ml"][:, None]
        half = quantile * told["doubt"]
        return np.maximum(told["volumes"] - half, 0.0), np.minimum(told["volumes"] + half, most)

    def regions(self, told: Outputs, quantile: Array) -> list[Masks]:
        """Return masks with their volumes, intervals and open voxels."""
        low, high = self.ends(told, quantile)
        found = []
        for row, labels in enumerate(self.point(told)):
            ends, ml = zip(low[row].tolist(), high[row].tolist(), strict=True), float(told["voxel_ml"][row])
            every = [Interval(low=least, high=most) for least, most in ends]
            still = [
                _likeliest(likely, one.high / ml) & ~_likeliest(likely, one.low / ml)
                for likely, one in zip(told["probabilities"][row], every, strict=True)
            ]
            found.append(
                Masks(
                    labels=labels,
                    open=np.stack(still),
                    volumes=dict(zip(self.names, told["volumes"][row].tolist(), strict=True)),
                    intervals=dict(zip(self.names, every, strict=True)),
                )
            )
        return found

    def covered(self, told: Outputs, truth: Array, quantile: Array) -> NDArray[np.bool_]:
        """True (cases, structures) where the volume lies in its interval."""
        low, high = self.ends(told, quantile)
        volumes = self.volumes(truth, told["voxel_ml"])
        return np.logical_and(low <= volumes, volumes <= high)

    def size(self, told: Outputs, quantile: Array) -> Array:
        """Return the widths (cases, structures) of volumes' intervals, mL."""
        low, high = self.ends(told, quantile)
        return high - low

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Dice over all structures, that of each, and the mean error of volumes."""
        every = tuple(range(1, len(self.names) + 1))
        each = {f"dice_{name}": partial(dice, classes=(index,)) for index, name in zip(every, self.names, strict=True)}
        metrics = {"dice": partial(dice, classes=every), **each}
        metrics["volume_error_percent"] = partial(volume_error_percent, classes=every)
        return {name: Measure(metric=metric, over="pooled") for name, metric in metrics.items()}

    def probabilities(
        self, told: Outputs, calibration: "Calibration | None", patterns: Sequence[str], marks: Sequence[float]
    ) -> dict[str, Array]:
        """Return none: a case has a probability a voxel, which `Masks` sums up."""
        self.refuse_marks(marks)
        return {}

    def coverage_figures(self, case: Regions, groups: Sequence[str]) -> dict[str, Any]:
        """Return coverage by structure and of all together, and widths, mL.

        `of_smallest` is the coverage of the fifth of cases where the structure is smallest, `found_share` the share of
        a structure's voxels that its mask or its open voxels hold.
        """
        inside, width = self.covered(case.told, case.truth, case.quantile), self.size(case.told, case.quantile)
        _, high = self.ends(case.told, case.quantile)
        smallest = np.argsort(self.volumes(case.truth, case.told["voxel_ml"]), 0)[: -(-len(inside) // 5)]
        rows: dict[str, Any] = {}
        for index, name in enumerate(self.names):
            held = [
                (_likeliest(likely, most / ml) & there).sum() / max(there.sum(), 1)
                for likely, most, ml, there in zip(
                    case.told["probabilities"][:, index],
                    high[:, index],
                    case.told["voxel_ml"],
                    case.truth == index + 1,
                    strict=True,
                )
            ]
            rows[name] = {
                "coverage": float(inside[:, index].mean()),
                "of_smallest": float(inside[smallest[:, index], index].mean()),
                "mean_width": float(width[:, index].mean()),
                "found_share": float(np.mean(held)),
            }
        return {"by_structure": rows, "together": float(inside.all(1).mean())}

    def lines(self, result: Mapping[str, Any]) -> list[str]:
        """Say of each structure how often its interval holds, and how many of its voxels are said or open."""
        each = [
            f"  {name:22} coverage {found['coverage']:.1%} ({found['of_smallest']:.1%} of the smallest fifth), width "
            f"{found['mean_width']:.3g}; of its voxels {found['found_share']:.1%} said or open"
            for name, found in result["coverage"]["by_structure"].items()
        ]
        return [*each, f"  {'all together':22} coverage {result['coverage']['together']:.1%}"]


def _doubt(probabilities: Array) -> Array:
    """Voxels in doubt (cases, structures): p (1 - p), summed."""
    return np.stack([(each * (1 - each)).sum((1, 2, 3), dtype=np.float64) for each in probabilities])


def _likeliest(likely: Array, num: float) -> NDArray[np.bool_]:
    """The `num` likeliest voxels (z, y, x), of those that are possible at all; ties stay together."""
    count = round(min(num, likely.size))
    if not count:
        return np.zeros(likely.shape, bool)
    least = np.partition(likely, likely.size - count, axis=None)[likely.size - count]
    found: NDArray[np.bool_] = (likely >= least) & (likely > 0)
    return found


__all__ = ["OUTSIDE", "Mask", "Masks"]
