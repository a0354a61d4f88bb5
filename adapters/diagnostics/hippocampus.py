"""Hippocampus in T1 MR crops: anterior and posterior part, their volumes with intervals, as labels and a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.adapters.diagnostics.facing import Facing
from mainstem.adapters.diagnostics.volumes import Marked, turned, unet
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.prediction import Prediction
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Sample, Stream
from mainstem.core.targets import Mask, Masks
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Order, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.medical.axes import as_stored, on_own_grid
from mainstem.data.medical.hippocampus import STRUCTURES, open_hippocampus
from mainstem.data.medical.nifti import write_labels
from mainstem.data.medical.radiographs import USE
from mainstem.data.spreadsheets import csv_bytes

Array = NDArray[np.float64]
GRID = (48, 64, 48)  # z, y, x
TARGET = Mask(grid=GRID)
SCOPE = ("spacing", "axes", "sides", "values")

TABLE = "volumes.csv"
DIGITS = 3  # of mL: a voxel of 1 mm is 0.001 mL
OPEN = "open"  # folder of the voxels that can neither be said nor ruled out: 1 anterior, 2 posterior, 3 both
CLIPPED = (0.5, 99.5)  # percentiles (Isensee et al. 2021, nnU-Net, methods: so for CT; here for MR without a scale)
QUANTILES = (1, 10, 25, 50, 75, 90, 99)
SMALLEST_SPREAD = 1e-6


def read(request: DataRequest) -> SampleSet:
    """Read the crops that a user asks for."""
    return open_hippocampus(request.data, request.mirror)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Each volume by its own mean and spread: MR has no unit, and these files' maxima differ ten thousandfold.

    What lies otherwise than training, whatever its header says, is told by `facing`; a run of before has none.
    """

    facing: Facing | None = None

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[Sample], Array]:
        """Return samples whose volume is clipped and standardised by itself, and no offset."""
        shown = [replace(sample, streams={"image": standardised(sample.streams["image"])}) for sample in samples]
        return shown, np.zeros(len(samples))

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the offset."""
        return offset

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return quantiles of the standardised volume, and how far neighbours along z, y and x differ in it.

        Inverted, empty and noisy volumes differ in these; other scales of intensity, and turned or mirrored volumes, do
        not.
        """
        found = []
        for values in volumes_of(samples):
            steps = [float(np.nanmean(np.abs(np.diff(values, axis=axis)))) for axis in range(3)]
            found.append([*np.nanpercentile(values, QUANTILES), *steps])
        return np.array(found)

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return how much better than training's mean volume that, turned or mirrored, fits each: 1 for no better."""
        return np.zeros(len(samples)) if self.facing is None else self.facing.strangeness(volumes_of(samples))

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays."""
        return ({}, {}) if self.facing is None else self.facing.state()


def standardised(stream: Stream) -> Stream:
    """A volume between two of its percentiles, mean 0, spread 1; one of a single value is zero."""
    low, high = np.nanpercentile(stream.values, CLIPPED)
    values = np.clip(stream.values, low, high)
    spread = max(float(np.nanstd(values)), SMALLEST_SPREAD * max(abs(float(high)), abs(float(low)), 1.0))
    values = ((values - np.nanmean(values, dtype=np.float64)) / spread).astype(np.float32)
    return replace(stream, values=values, channels=(Channel(name="contrast", unit="1"),))


def volumes_of(samples: Sequence[Sample]) -> list[Array]:
    """Each sample's standardised volume (z, y, x)."""
    return [standardised(sample.streams["image"]).values[0].astype(np.float64) for sample in samples]


def prepare(samples: Sequence[Sample], order: Order) -> Contrast:
    """Return the preparation, with the way that the samples lie."""
    return Contrast(facing=Facing.fit(volumes_of(samples)))


def restore(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> Contrast:
    """Return the preparation."""
    return Contrast(facing=Facing.restore(state, arrays) if arrays else None)


def scope_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """What a crop has to be like: as those of training."""
    return {name: sorted({str(sample.source.facts[name]) for sample in samples}) for name in SCOPE}


def write(predictions: Sequence[Prediction], samples: Sequence[Sample], out: Path) -> None:
    """Write each mask under its image's name, on its grid, and a table of volumes; what is not predicted says why.

    Beside each mask, in OPEN, are the voxels that can neither be said to belong to a structure nor be ruled out.

    Raises:
        InputError: if two images have one name.
    """
    names, items = [str(sample.source.facts["file"]) for sample in samples], [one.source.item for one in samples]
    twice = sorted({item for item in items if items.count(item) > 1})
    if twice:
        raise InputError(f"two images are named {twice[0]!r:.60}; write them to folders of their own, one by one")
    (out / OPEN).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name, prediction, sample in zip(names, predictions, samples, strict=True):
        found, stream = region_of(prediction), sample.streams["image"]
        if found is not None:
            box = tuple(slice(0, side) for side in stream.values.shape[1:])
            still = np.asarray(sum(one[box] * (1 << index) for index, one in enumerate(found.open)))
            own = on_own_grid(stream, sample)
            write_labels(out / name, as_stored(found.labels[box], sample), own, USE)
            write_labels(out / OPEN / name, as_stored(still, sample), own, f"not ruled out; {USE}")
        rows += _rows(prediction)
    write_atomically(out / TABLE, csv_bytes(pd.DataFrame(rows)))


def region_of(prediction: Prediction) -> Masks | None:
    """The mask that this task's target tells; None where nothing was predicted."""
    return cast("Masks | None", prediction.region)


def _rows(prediction: Prediction) -> list[dict[str, Any]]:
    """A row a structure."""
    region, model = region_of(prediction), prediction.model
    volumes, ends = ({}, {}) if region is None else (region.volumes, region.intervals)
    return [
        {
            "item": prediction.source.item,
            "structure": name,
            "volume_ml": _ml(volumes.get(name)),
            "lower": _ml(ends[name].low) if name in ends else None,
            "upper": _ml(ends[name].high) if name in ends else None,
            "claim": prediction.claim.state,
            "level": prediction.level,
            "reasons": "; ".join(prediction.reasons),
            "use": USE,
            "licence": prediction.source.licence,
            "attribution": prediction.source.attribution,
            "adapter": model.name,
            "adapter_sha256": model.adapter_sha256,
        }
        for name in STRUCTURES
    ]


def _ml(volume: float | None) -> float | None:
    """A volume to a voxel of 1 mm; None where there is none."""
    return None if volume is None else round(volume, DIGITS)


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """MONAI's U-Net on the same volumes, turned alike, for as long as a member of ours trains."""
    (known, _), (asked, _) = Contrast()(train), Contrast()(test)
    labels = replace(TARGET, names=STRUCTURES).truth(train)
    return {"monai_unet": unet(Marked(samples=known, labels=labels), asked, GRID, seed)}


TASK = Task(
    name="diagnostics",
    task="hippocampus",
    version="1",
    target=TARGET,
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=40, batch_size=2, lr_per_step=2e-3, weight_decay=0.01, precision="bfloat16"),
        num_folds=5,
    ),
    read=read,
    prepare=prepare,
    restore=restore,
    scope_of=scope_of,
    holding=Holding(protocol="grouped-folds", only_same_data=True),
    baselines=baselines,
    augment=turned,
    write=write,
    optional=(),
    grouping=Grouping(name="person", are_persons=True),
    known_failures=(
        USE,
        "one hospital's T1 crops around the hippocampus at 1 mm: other sequences, whole heads and other spacings are "
        "not predicted, but a file names no modality, and another one that looks alike is",
        "the data name no subject: neighbouring numbers are taken for one person's two sides, as their scans say",
        "each structure's interval holds by itself: held out, of 91 % of anterior and 90 % of posterior parts, of both "
        "together on 82 % of crops; of the fifth of crops where the part is smallest on 81 % and 71 %",
        "a crop that another way of training's mean crop, turned or mirrored, fits better is not predicted: none of "
        "the set's lies so, but a crop around the other side's hippocampus does; turns of less than 45 degrees stay "
        "unseen",
    ),
)
