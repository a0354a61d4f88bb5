"""Crop yield of regions: the trunk predicts how far a season departs from what the region's own past says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield.anchors import Anchor, RegionYears, fit_anchor
from mainstem.adapters.crop_yield.baselines import baselines
from mainstem.adapters.crop_yield.rivals import Rivals
from mainstem.adapters.crop_yield.seasons import (
    CONSTANT,
    DAY_S,
    LEADS,
    MONTH_DAYS,
    PAST,
    Climatology,
    cut_back,
    forget,
    lead_of,
    views,
)
from mainstem.adapters.crop_yield.steps import Steps
from mainstem.core.errors import InputError
from mainstem.core.folds import targets_of
from mainstem.core.preparation import stream_means
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Option, Order, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.earth.open_regions import check_regions, open_regions

Array = NDArray[np.float64]
LEVEL = (Channel(name="expected_yield", unit="t/ha"),)
MONTHS = 12
VIEW_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionalPreparation:
    """Inputs as departures from a region's normal, past yields as departures from its anchor, which is the offset.

    The trunk learns departures from the anchor; it is weighed against what plain rivals make of the same inputs.
    """

    climatology: Climatology
    anchor: Anchor
    rivals: Rivals
    constants: Mapping[str, int]  # number of channels of each stream that does not change from year to year

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "RegionalPreparation":
        """Fit normals, anchor and rivals on training samples, whole and as they were known earlier."""
        climatology, anchor = Climatology.fit(samples), fit_anchor(RegionYears.read(samples), order)
        leads = np.random.default_rng(VIEW_SEED).integers(1, LEADS, size=len(samples)).tolist()
        shown = [*samples, *(cut_back(sample, lead) for sample, lead in zip(samples, leads, strict=True))]
        offset = anchor(RegionYears.read(shown))
        rivals = Rivals.fit(_table(climatology, shown, offset), targets_of(shown) - offset)
        constants = {
            name: stream.values.size
            for sample in samples
            for name, stream in sample.streams.items()
            if name in CONSTANT
        }
        return cls(climatology=climatology, anchor=anchor, rivals=rivals, constants=constants)

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[Sample], Array]:
        """Return departures and anchors."""
        offset = self.anchor(RegionYears.read(samples))
        departed: list[dict[str, Stream]] = [{} for _ in samples]
        for name, steps in self.climatology.departures(samples).items():
            for row, stream in steps.streams():
                departed[row][name] = stream
        prepared = [
            replace(sample, streams={**streams, **_kept(sample, level)})
            for sample, streams, level in zip(samples, departed, offset.tolist(), strict=True)
        ]
        return prepared, offset

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the anchor and what the mean of the rivals adds to it."""
        return offset + self.rivals.mean(_table(self.climatology, samples, offset))

    def each_rival(self, samples: Sequence[Sample]) -> dict[str, Array]:
        """Return what each rival, and their mean, say by themselves (samples,), t/ha."""
        offset = self.anchor(RegionYears.read(samples))
        table = _table(self.climatology, samples, offset)
        found = {f"{name}_on_departures": offset + away for name, away in self.rivals.each(table).items()}
        return {**found, "mean_of_rivals": offset + self.rivals.mean(table)}

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return each sample's departures, averaged over time; NaN where missing."""
        departures = self.climatology.departures(samples)
        parts = []
        for name, normal in self.climatology.normal.items():
            parts.append(np.full((len(samples), normal.shape[2]), np.nan))
            if name in departures:
                parts[-1][departures[name].rows] = departures[name].means()
        return np.hstack(parts) if parts else np.full((len(samples), 1), np.nan)

    def own_features(self, samples: Sequence[Sample]) -> Array:
        """Return mean and trend of past yields less the drift common to all regions, t/ha, and soil; NaN if missing.

        They carry the prediction, and differ from region to region more than from year to year.
        """
        known = RegionYears.read(samples)
        drifted = self.anchor.drifted(known.year)
        parts = [np.stack([known.recent - drifted, _trend(samples) - drifted], 1)]
        if self.constants:
            parts.append(stream_means(samples, self.constants))
        return np.hstack(parts)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        regions = self.climatology.regions
        plain, anchor = self.anchor.state(regions)
        rivals, arrays = self.rivals.state()
        parts: dict[str, Mapping[str, NDArray[Any]]] = {
            "anchor": anchor,
            "normal": self.climatology.normal,
            "count": self.climatology.count,
            "rivals": arrays,
        }
        named = {f"{part}.{name}": values for part, found in parts.items() for name, values in found.items()}
        return {**plain, "regions": list(regions), "rivals": rivals, "constants": dict(self.constants)}, named


def restore_preparation(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> RegionalPreparation:
    """Read what `RegionalPreparation.state` gave."""
    parts: dict[str, dict[str, NDArray[Any]]] = {"anchor": {}, "normal": {}, "count": {}, "rivals": {}}
    for name, values in arrays.items():
        prefix, rest = name.split(".", 1)
        parts[prefix][rest] = values
    regions = tuple(state["regions"])
    anchor = Anchor.restore(state["kind"], regions, parts["anchor"])
    known = zip(anchor.known.region.tolist(), anchor.known.year.tolist(), strict=True)
    return RegionalPreparation(
        climatology=Climatology(
            regions=regions, normal=parts["normal"], count=parts["count"], seasons=frozenset(known)
        ),
        anchor=anchor,
        rivals=Rivals.restore(state["rivals"], parts["rivals"]),
        constants={name: int(width) for name, width in state.get("constants", {}).items()},
    )


def _table(climatology: Climatology, samples: Sequence[Sample], offset: Array) -> Array:
    """What the rivals see (samples, columns): departures, by month where dated, past yields less the anchor, the lead.

    A departure that is not known is none.
    """
    known = RegionYears.read(samples)
    past = [np.nan_to_num(known.recent - offset), np.nan_to_num(_trend(samples) - offset), offset]
    columns = [*past, np.array([float(lead_of(sample)) for sample in samples])]
    departures = climatology.departures(samples)
    parts = [np.stack(columns, 1)]
    for name, normal in climatology.normal.items():
        num_bins = 1 if normal.shape[1] == 1 else MONTHS
        parts.append(np.zeros((len(samples), num_bins * normal.shape[2])))
        if name in departures:
            parts[-1][departures[name].rows] = _by_month(departures[name], num_bins)
    return np.hstack(parts)


def _trend(samples: Sequence[Sample]) -> Array:
    """Where the line through each sample's past yields leads (samples,), t/ha; NaN where unknown."""
    return np.array([float(s.streams["trend"].values[0]) if "trend" in s.streams else np.nan for s in samples])


def _by_month(steps: Steps, num_bins: int) -> Array:
    """Means by month (samples that have the stream, months x channels), zero where unknown; a scalar is one month."""
    sums, counts = steps.binned(steps.bins(MONTH_DAYS * DAY_S, num_bins), num_bins)
    found: Array = (sums / np.maximum(counts, 1)).reshape(len(sums), -1)
    return found


def rivals(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Ridge, boosting and extremely randomised trees on the trunk's own inputs, and their mean."""
    years = [[float(sample.source.facts["year"]) for sample in part] for part in (train, test)]
    order: Order = "later" if max(years[0]) < min(years[1]) else "any"
    return RegionalPreparation.fit(train, order).each_rival(test)


def _kept(sample: Sample, level: float) -> dict[str, Stream]:
    """The streams that are no departures: soil as it is, past yields less the anchor, the anchor itself."""
    kept = {name: stream for name, stream in sample.streams.items() if name in CONSTANT}
    for name in PAST:
        if name in sample.streams:
            kept[name] = replace(sample.streams[name], values=sample.streams[name].values - level)
    return kept | {"level": Stream(kind="scalar", values=np.array([level]), channels=LEVEL)}


def read(request: DataRequest) -> SampleSet:
    """Read the regions that a user asks for.

    Raises:
        InputError: if they are of another crop or country than the one that was named.
    """
    crop, country = request.option("crop"), request.option("country")
    source = open_regions(request.data, crop, country, request.mirror)
    for name, told in (("crop", crop), ("country", country)):
        held = sorted({str(sample.source.facts[name]) for sample in source.samples})
        if told is not None and told.casefold() not in map(str.casefold, held):
            raise InputError(f"{request.data} is of {name} {', '.join(held)}, not {told!r:.60}; leave --{name} out")
    return source


def scope_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Return what a prediction may be asked for: the crop and the country of training."""
    return {name: sorted({str(sample.source.facts[name]) for sample in samples}) for name in ("crop", "country")}


OPTIONS = (
    Option(name="crop", help="Of a folder in CY-Bench's layout, e.g. wheat."),
    Option(name="country", help="Of such a folder, e.g. NL."),
)
TASK = Task(
    name="crop-yield",
    task="regional",
    version="2",  # 2: rivals beside the trunk, normals without the season itself
    target=Quantity(units="t/ha", lowest=0.0),
    options=OPTIONS,
    check=lambda request: check_regions(request.data, request.option("crop"), request.option("country")),
    config=FitConfig(
        steps_per_token=3,  # ten-day steps to a month: a third of the tokens, chosen for its cost
        trunk_size="xs",  # chosen, with the rest, by leaving years 2000-2011 of us-maize out: docs/benchmarks.md
        training=TrainingConfig(
            epochs=5, min_steps=240, batch_size=256, lr_per_step=1e-3, input_noise=0.5, dropout=0.1
        ),  # min_steps was chosen on simulated regions
    ),
    read=read,
    holding=Holding(protocol="leave-one-year-out"),
    prepare=RegionalPreparation.fit,
    restore=restore_preparation,
    views=views(),
    view_of=lambda sample: f"lead{lead_of(sample)}",
    grouping=Grouping(place_of="region"),
    scope_of=scope_of,
    forget=forget,
    baselines=baselines,
    rivals=rivals,
    known_failures=(
        "droughts harsher than any of the training years are predicted too high",
        "a region without past yields and outside training is predicted from the mean of all regions",
    ),
)
