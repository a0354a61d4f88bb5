"""Cells of a blood smear, counted as people's boxes count them: by what is stained, and the trunk on the picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.folds import targets_of
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Option, Order, Task
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig
from mainstem.data.medical.cells import check_cell, open_cells

Array = NDArray[np.float64]
# All that follows was chosen by leaving tens of neighbours out of BCCD's training part.
VIOLET = (0.10, 0.15, 0.20)  # blue above red, 0 to 1, beyond the picture's own median: nuclei and platelets
PLATELET = (6, 130)  # pixels of a picture that is averaged by fours
WHITE = 11  # pixels across that only a white cell's nucleus fills
SINGLE = (150, 600)  # pixels of a red cell that touches none
STAIN = tuple(
    Channel(name=name, unit=unit)
    for name, unit in {
        "stained": "1", "violet": "1", "threshold": "1", "single red cells": "cells", "clumps": "cells",
        "largest clump": "1", "white cells": "cells", **{f"spots beyond {mark:g}": "cells" for mark in VIOLET},
    }.items()
)  # fmt: skip
CELL = Option(name="cell", help="Which cells to count: red, white or platelets; red unless told.")
PENALTY = 0.1  # of the ridge, times the number of samples


def read(request: DataRequest) -> SampleSet:
    """Read the smears that a user asks for, and measure their stain."""
    source = open_cells(request.data, request.option(CELL.name) or "red", request.mirror)
    return replace(source, samples=tuple(map(measured, source.samples)))


def measured(sample: Sample) -> Sample:
    """Return the sample with a stream `stain` of what a plain look at its colours counts."""
    stain = Stream(kind="scalar", values=stain_of(sample.streams["smear"].values), channels=STAIN)
    return replace(sample, streams={**sample.streams, "stain": stain})


def stain_of(smear: NDArray[np.floating[Any]]) -> Array:
    """Shares and counts (channel,) of what is stained on a picture (channel, y, x), in the order of STAIN."""
    from scipy import ndimage

    red, green, blue = smear.astype(np.float64)
    violet = blue - red - np.median(blue - red)
    mark = threshold(green)
    nuclei = ndimage.binary_opening(violet > VIOLET[0], np.ones((WHITE, WHITE)))
    cells = ndimage.binary_fill_holes(ndimage.binary_opening((green < mark) & (violet < VIOLET[1])))
    sizes = _sizes(cells)
    spots = [_sizes(ndimage.binary_opening(violet > beyond)) for beyond in VIOLET]
    return np.array(
        [
            cells.mean(), (violet > VIOLET[0]).mean(), mark,
            _between(sizes, SINGLE), (sizes > SINGLE[1]).sum(), sizes.max(initial=0) / cells.size,
            len(_sizes(nuclei)), *(_between(one, PLATELET) for one in spots),
        ]
    )  # fmt: skip


def threshold(values: Array) -> float:
    """The value that parts two kinds of pixels best, the end of the lower (Otsu 1979, Threshold selection, eq. 18)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), counts.sum()
    sums = np.cumsum(counts * middles)
    between = (sums[-1] * below / total - sums) ** 2 / np.maximum(below * (total - below), 1)
    return float(edges[1:][between.argmax()])


def _sizes(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pixels of each patch of a mask (patches,)."""
    from scipy import ndimage

    return np.bincount(ndimage.label(mask)[0].ravel())[1:]


def _between(sizes: NDArray[np.intp], ends: tuple[int, int]) -> int:
    return int(((ends[0] <= sizes) & (sizes <= ends[1])).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class StainRidge:
    """The mean of training, which the trunk adds to, and a ridge regression on the stain to weigh that against."""

    centre: Array  # (STAIN,)
    spread: Array
    weights: Array
    mean: float

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "StainRidge":
        """Fit on training samples."""
        stain, counts = stains_of(samples), targets_of(samples)
        centre, spread = stain.mean(0), np.maximum(stain.std(0), 1e-6)
        scaled, mean = (stain - centre) / spread, float(counts.mean())
        penalty = PENALTY * len(scaled) * np.eye(len(STAIN))
        weights = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ (counts - mean))
        return cls(centre=centre, spread=spread, weights=weights, mean=mean)

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[Sample], Array]:
        """Return the samples as they are, and the mean of training."""
        return list(samples), np.full(len(samples), self.mean)

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the ridge's counts."""
        counts: Array = offset + np.nan_to_num(self.features(samples)) @ self.weights
        return counts

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return the stain (samples, STAIN) in standard deviations of training's, NaN where a sample lacks it."""
        found: Array = (stains_of(samples) - self.centre) / self.spread
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        return {"mean": self.mean}, {"centre": self.centre, "spread": self.spread, "weights": self.weights}


def restore(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> StainRidge:
    """Read what `StainRidge.state` gave."""
    return StainRidge(mean=float(state["mean"]), **{name: arrays[name] for name in ("centre", "spread", "weights")})


def stains_of(samples: Sequence[Sample]) -> Array:
    """What `stain_of` measured (samples, STAIN), NaN where a sample lacks it."""
    nothing = np.full(len(STAIN), np.nan)
    return np.array([sample.streams["stain"].values if "stain" in sample.streams else nothing for sample in samples])


def mirrored(patches: Patches, aims: Tensor, generator: torch.Generator) -> tuple[Patches, Tensor]:
    """Return a batch of which each picture may be mirrored left to right, top to bottom: as many cells are on it."""
    smears = patches["smear.values"]  # (batch, channel, z, y, x)
    for axis in (-1, -2):
        is_turned = torch.rand(len(smears), generator=generator) < 0.5
        smears = torch.where(is_turned[:, None, None, None, None], smears.flip(axis), smears)
    return Patches(parts={**patches.parts, "smear.values": smears}), aims


def scope_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Return what a prediction may be asked for: the kind of cell and the size of pictures of training."""
    return {name: sorted({str(sample.source.facts[name]) for sample in samples}) for name in ("cell", "size")}


TASK = Task(
    name="diagnostics",
    task="cells",
    version="1",
    target=Quantity(units="cells", lowest=0.0, metric="rmse"),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=40, batch_size=32, lr_per_step=2e-3, input_noise=0.1, dropout=0.1),
        num_folds=5,
    ),
    read=read,
    prepare=StainRidge.fit,
    restore=restore,
    options=(CELL,),
    check=lambda request: check_cell(request.option(CELL.name) or "red"),
    scope_of=scope_of,
    holding=Holding(protocol="grouped-folds"),
    grouping=Grouping(name="ten"),
    optional=(),
    augment=mirrored,
    known_failures=(
        "research use only, not a medical device: never base a decision about a patient on these counts",
        "counts are of the cells that people boxed, who left out many red ones that overlap or are cut by the edge",
        "the pictures name neither slide nor patient: each ten of neighbours in number, held out whole, stands for one",
        "pictures of another size, magnification or stain are beyond what was learned",
    ),
)
