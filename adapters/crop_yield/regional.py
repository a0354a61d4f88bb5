"""Crop yield of regions: the trunk predicts how far a season departs from what the region's own past says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield.anchors import Anchor, RegionYears, fit_anchor
from mainstem.adapters.crop_yield.seasons import CONSTANT, PAST, Climatology, forget, lead_of, views
from mainstem.core.regression import DataRequest, Order, RegressionConfig, RegressionTask, stream_means
from mainstem.core.stream import Channel, Sample, SampleSet, Stream
from mainstem.core.training import TrainingConfig
from mainstem.data.open_regions import open_regions

Array = NDArray[np.float64]
LEVEL = (Channel(name="expected_yield", unit="t/ha"),)


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionalPreparation:
    """Inputs as departures from a region's normal, past yields as departures from its anchor, which is the offset."""

    climatology: Climatology
    anchor: Anchor

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "RegionalPreparation":
        """Fit normals and anchor on training samples."""
        return cls(climatology=Climatology.fit(samples), anchor=fit_anchor(RegionYears.read(samples), order))

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[Sample], Array]:
        """Return departures and anchors."""
        offset = self.anchor(RegionYears.read(samples))
        departures = self.climatology.departures(samples)
        prepared = [
            replace(sample, streams={**departed, **_kept(sample, float(level))})
            for sample, departed, level in zip(samples, departures, offset, strict=True)
        ]
        return prepared, offset

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the offset: the trunk was trained on departures from it."""
        return offset

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return each sample's departures, averaged over time; NaN where missing."""
        departures = self.climatology.departures(samples)
        wanted = {name: values.shape[2] for name, values in self.climatology.normal.items()}
        return stream_means(
            [replace(sample, streams=streams) for sample, streams in zip(samples, departures, strict=True)], wanted
        )

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays."""
        regions = self.climatology.regions
        plain, arrays = self.anchor.state(regions)
        named = {f"anchor.{name}": values for name, values in arrays.items()}
        normals = {f"normal.{name}": values for name, values in self.climatology.normal.items()}
        return {**plain, "regions": list(regions)}, named | normals


def restore_preparation(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> RegionalPreparation:
    """Read what `RegionalPreparation.state` gave."""
    parts: dict[str, dict[str, Array]] = {"anchor": {}, "normal": {}}
    for name, values in arrays.items():
        prefix, rest = name.split(".", 1)
        parts[prefix][rest] = values
    regions = tuple(state["regions"])
    return RegionalPreparation(
        climatology=Climatology(regions=regions, normal=parts["normal"]),
        anchor=Anchor.restore(state["kind"], regions, parts["anchor"]),
    )


def _kept(sample: Sample, level: float) -> dict[str, Stream]:
    """The streams that are no departures: soil as it is, past yields less the anchor, the anchor itself."""
    kept = {name: stream for name, stream in sample.streams.items() if name in CONSTANT}
    for name in PAST:
        if name in sample.streams:
            kept[name] = replace(sample.streams[name], values=sample.streams[name].values - level)
    return kept | {"level": Stream(kind="scalar", values=np.array([level]), channels=LEVEL)}


def read(request: DataRequest) -> SampleSet:
    """Read the regions that a user asks for."""
    return open_regions(request.data, request.crop, request.country, request.mirror)


def scope_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Return what a prediction may be asked for: the crop and the country of training."""
    return {name: sorted({str(sample.source.facts[name]) for sample in samples}) for name in ("crop", "country")}


TASK = RegressionTask(
    name="crop-yield",
    task="regional",
    version="1",
    units="t/ha",
    config=RegressionConfig(
        trunk_size="xs",  # chosen, with the rest, by leaving years 2000-2011 of us-maize out: docs/benchmarks.md
        training=TrainingConfig(
            epochs=5, min_steps=240, batch_size=256, lr_per_step=1e-3, input_noise=0.5, dropout=0.1
        ),  # min_steps was chosen on simulated regions
    ),
    read=read,
    prepare=RegionalPreparation.fit,
    restore=restore_preparation,
    views=views(),
    view_of=lambda sample: f"lead{lead_of(sample)}",
    place_of="region",
    scope_of=scope_of,
    forget=forget,
    known_failures=(
        "droughts harsher than any of the training years are predicted too high",
        "a region without past yields and outside training is predicted from the mean of all regions",
    ),
)
