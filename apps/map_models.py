"""Fitted adapters as models of pixels: what they say of tiles, what may be claimed of a map, what travels with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.apps.map_context import Context, ContextSpec
from mainstem.core.artifact import Artifact
from mainstem.core.bounds import Bounds
from mainstem.core.cases import Cases, distinct
from mainstem.core.class_artifact import ClassArtifact
from mainstem.core.classification import ClassificationTask, Task
from mainstem.core.errors import InputError
from mainstem.core.inference import multiplies_bfloat16
from mainstem.core.manifest import FEWEST_FIELDS
from mainstem.core.means import mean_view
from mainstem.core.predict import below_name, chances_below, claims_of, outside_scope, refusal, tell
from mainstem.core.prediction import Claim
from mainstem.core.preparation import unchanged
from mainstem.core.regression import RegressionTask
from mainstem.core.stream import Sample
from mainstem.data.earth.land_cover import windows_of
from mainstem.data.earth.raster import read_window, spacing_m
from mainstem.data.earth.scenes import Scenes, in_units, origin_of, pixel_samples, seconds_of

COVER_OVERLAP = 8
MOST = 0.95  # of the pixels looked at, for what is claimed of a map
LOOKED_AT = 12  # pixels a side of the regular grid on which the shift alarm looks at a map
MOVED = 0.01  # of an interval's half: what rounding may move its ends and middle by
VIGOUR = "percent of this map's mean"


@dataclass(frozen=True, kw_only=True)
class MapSpec:
    """What a map shows: level of its intervals, thresholds whose probability is wanted, and which share to make."""

    level: float = 0.9
    below: tuple[float, ...] = ()
    shard: tuple[int, int] = (0, 1)
    workers: int = 2
    context: ContextSpec = field(default_factory=ContextSpec)
    facts: Mapping[str, str] = field(default_factory=dict)  # said of all pixels whose field says none, as their crop
    allowed_hosts: tuple[str, ...] = ()


def check_used(task: Task, artifact: Artifact | ClassArtifact, spec: MapSpec) -> None:
    """Check that whatever goes with the scenes is used.

    Raises:
        InputError: naming the first option that nothing would read.
    """
    read: set[str] = set()
    if isinstance(task, RegressionTask):
        derived = (
            {"weather", "soil"} if task.derive is not unchanged else set()
        )  # of raw streams, which no layout names
        read = derived | set(artifact.manifest.channels) | set(task.needs)
    elif spec.context.fields is not None:
        raise InputError(f"{task.task} names classes, which have no mean; leave --fields out")
    elif spec.below:
        raise InputError(f"{task.task} names classes, which undercut nothing; leave --below out")
    for name, given in (("weather", spec.context.weather), ("soil", spec.context.soil)):
        if given and name not in read:
            raise InputError(f"--{name} would change nothing: {task.task} reads no {name}; leave it out")
    unread = [name for name in spec.facts if name not in artifact.manifest.scope]
    if unread:
        raise InputError(f"--{unread[0]} would change nothing: this run is of any {unread[0]}; leave it out")


class PixelModel:
    """Predicts a quantity: mean, lower and upper end of the interval, and a probability a threshold.

    A model that has seen simulations alone says of real scenes only how vigorous a pixel is against the map's mean.
    """

    overlap = 0

    def __init__(self, task: RegressionTask, artifact: Artifact, context: Context, spec: MapSpec) -> None:
        self.task, self.artifact, self.scenes, self.context = task, artifact, context.scenes, context
        self.spec = spec
        self.view = next(iter(task.views))
        self.calibration = artifact.calibration[self.view]
        looked = self._look()
        self._settle_precision(looked)
        self.is_relative = not artifact.manifest.speaks_of(is_simulated=self.scenes.is_simulated)
        self.reference = float(tell(artifact, looked, self.view, spec.level).mean.mean()) if looked else float("nan")
        self.units = VIGOUR if self.is_relative else artifact.manifest.units
        self._claim = self._claim_of(looked)

    def names(self) -> list[str]:
        """Names of the output's bands."""
        if self.is_relative:
            return ["mean", "lower", "upper"]
        return ["mean", "lower", "upper", *(f"probability {below_name(mark)}" for mark in self.spec.below)]

    def __call__(self, tiles: NDArray[np.float32], corners: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Predict tiles; NaN where no date shows a pixel."""
        size = tiles.shape[-1]
        found = np.full((len(tiles), len(self.names()), size, size), np.nan, np.float32)
        for tile, out, (top, left) in zip(tiles, found, corners, strict=True):
            seen = np.isfinite(tile).any((0, 1))
            seen[self.scenes.grid.height - top :] = False  # a tile may reach beyond a small raster
            seen[:, self.scenes.grid.width - left :] = False
            rows, columns = np.nonzero(seen)
            if len(rows):
                out[:, rows, columns] = self._values(tile[:, :, rows, columns], rows + top, columns + left)
        return found

    def _values(
        self, values: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        raw = pixel_samples(self.scenes, np.moveaxis(values, -1, 0), rows, columns, "map", self.context)
        samples = self._told(raw, rows, columns)
        told = tell(self.artifact, samples, self.view, self.spec.level)
        ends = np.array([told.mean, told.low, told.high])
        ends[:, [bool(reason) for reason in self._beyond(samples)]] = np.nan
        if self.is_relative:
            relative: NDArray[np.float64] = 100 * ends / self.reference
            return relative
        chances = [chances_below(self.artifact, told, self.view, mark) for mark in self.spec.below]
        return np.array([*ends, *np.where(np.isfinite(ends[0]), chances, np.nan)]) if chances else ends

    def _told(self, raw: Cases, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Cases:
        """The samples derived, with what is said: if they are simulated, and of their fields what scope asks for."""
        said: dict[str, str | float] = {"year": float(self.scenes.times[0].year), **self.spec.facts}
        source = replace(raw.source, simulated=self.scenes.is_simulated, facts=said)
        told = replace(raw, source=source, facts=self.context.facts(list(self.artifact.manifest.scope), rows, columns))
        derived = self.task.derive(told)
        return derived if isinstance(derived, Cases) else Cases.of(derived)

    def _beyond(self, samples: Cases) -> list[str]:
        """Say why pixels are not mapped: their field is said to lie outside the adapter's scope; "" where they may be.

        Nothing is said against a pixel of which nobody says what it is.
        """
        scope = self.artifact.manifest.scope
        first, like = distinct(samples, (), list(scope))
        said = [[name for name in scope if name in samples[row].source.facts] for row in first]
        reasons = [
            outside_scope({name: scope[name] for name in names}, samples[row])
            for names, row in zip(said, first, strict=True)
        ]
        return [reasons[place] for place in like.tolist()]

    def _settle_precision(self, looked: Sequence[Sample]) -> None:
        """Multiply in bfloat16 where the processor can, and no interval looked at moves by MOVED of its half."""
        if not len(looked) or not multiplies_bfloat16():
            return
        adapters = [member.adapter for member in self.artifact.regressor.members]
        told = []
        for precision in (torch.float32, torch.bfloat16):
            for adapter in adapters:
                adapter.precision = precision
            told.append(tell(self.artifact, looked, self.view, self.spec.level))
        whole, half = told
        moved = np.abs([half.mean - whole.mean, half.low - whole.low, half.high - whole.high])
        if not (moved <= MOVED * whole.half).all():
            for adapter in adapters:
                adapter.precision = torch.float32

    def _look(self) -> Sequence[Sample]:
        """Samples of pixels on a regular grid that show anything, of those in fields where there are any."""
        grid = self.scenes.grid
        rows = np.unique(np.linspace(0, grid.height - 1, LOOKED_AT).astype(int))
        columns = np.unique(np.linspace(0, grid.width - 1, LOOKED_AT).astype(int))
        strips = []
        for row in rows.tolist():
            dates = [read_window(source, slice(row, row + 1), slice(0, grid.width)) for source in self.scenes.sources]
            strips.append(np.stack([date[:, 0, columns] for date in dates]).astype(np.float32))
        values = np.concatenate(strips, -1)
        for index, source in enumerate(self.scenes.sources):
            if source.nodata is not None:
                values[index][values[index] == np.float32(source.nodata)] = np.nan
        at = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
        seen = np.isfinite(values).any((0, 1)) & self.context.is_inside(at[0], at[1])
        if not seen.any():
            return []
        pixels, at = np.moveaxis(values[:, :, seen], -1, 0), at[:, seen]
        raw = pixel_samples(self.scenes, pixels, at[0], at[1], "this map", self.context)
        looked = self._told(raw, at[0], at[1])
        beyond = self._beyond(looked)
        if all(beyond):
            raise InputError(f"nothing here can be mapped: {beyond[0]}; map with an adapter of that")
        return looked.rows(np.flatnonzero([not reason for reason in beyond]))

    def _lacking(self) -> list[str]:
        """Channels of the pixel stream in training that no scene has: intervals were never calibrated without them."""
        known = self.artifact.regressor.layout.channels.get("pixel", ())
        given = {channel.name for channel in self.scenes.channels}
        return [channel.name for channel in known if channel.name not in given]

    def _claim_of(self, looked: Sequence[Sample]) -> Claim:
        if not looked:
            return Claim(state="none", reason="no pixel that was looked at shows anything")
        if self.is_relative:
            return Claim(
                state="none",
                reason=f"trained on simulations alone: relative vigour, not {self.artifact.manifest.units}; calibrate "
                f"on {FEWEST_FIELDS} harvested fields of your own (mainstem calibrate)",
            )
        lacking = self._lacking()
        if lacking:
            reason = f"the scenes lack {', '.join(lacking)}, which training had; give them, or calibrate without"
            return Claim(state="none", reason=reason)
        means = self.artifact.calibration.get(mean_view(self.view))
        if means is not None and means.unfounded:  # what is claimed of a map is claimed of its fields too
            return Claim(state="none", reason=means.unfounded)
        scope, facts = self.artifact.manifest.scope, [sample.source.facts for sample in looked]
        unsaid = [name for name in scope if sum(name in each for each in facts) < MOST * len(facts)]
        if unsaid:
            allowed = ", ".join(self.artifact.manifest.scope[unsaid[0]])
            return Claim(
                state="none",
                reason=f"nobody says what {unsaid[0]} this is, the adapter knows {allowed} alone; give fields with a "
                f"column {unsaid[0]}, or say it for all (--{unsaid[0]}, on the page {unsaid[0].capitalize()})",
            )
        claims = claims_of(self.artifact, looked, self.view, self.spec.level)
        against = Counter(claim for claim in claims if claim.state != "stated")
        if sum(against.values()) <= (1 - MOST) * len(claims):
            return next(claim for claim in claims if claim.state == "stated")
        (claim, count), *_ = against.most_common(1)
        return replace(claim, reason=f"of {count / len(claims):.0%} of the pixels looked at: {claim.reason}")

    def claim(self) -> Claim:
        """What may be claimed of the whole map: its inputs, on a regular grid of pixels, against calibration's."""
        return self._claim

    def layers(self) -> Mapping[str, Any]:
        """A mask of the pixels that hold a value."""
        return {"valid": True}

    def mean_factor(self) -> float:
        """Half width of a field mean's interval, by the mean half width of its pixels."""
        means = self.artifact.calibration.get(mean_view(self.view))
        if means is None:
            return 1.0
        return means.half_width(self.spec.level) / self.calibration.half_width(self.spec.level)

    def bounds(self) -> Bounds:
        """What values are possible, in the map's units."""
        bounds = self.artifact.manifest.bounds
        return bounds.scaled(100 / self.reference) if self.is_relative and self.reference > 0 else bounds


class CoverModel:
    """Predicts the probability of each class, each pixel with the window around it.

    What `predict_classes` would abstain from is not mapped.
    """

    units, overlap = "1", COVER_OVERLAP

    def __init__(self, task: ClassificationTask, artifact: ClassArtifact, scenes: Scenes, spec: MapSpec) -> None:
        self.task, self.artifact, self.scenes, self.spec = task, artifact, scenes, spec
        facts: dict[str, str | float] = {"year": float(scenes.times[0].year), **spec.facts}
        self.source = replace(scenes.source, simulated=scenes.is_simulated, facts=facts)
        self._check_scope()
        self.times = seconds_of(scenes)
        self.spacing = spacing_m(scenes.grid, f"a map of {task.task}")

    def _check_scope(self) -> None:
        unsaid = [name for name in self.artifact.manifest.scope if name not in self.source.facts]
        reason = refusal(self.artifact.manifest, Sample(streams={}, target=None, source=self.source))
        if reason:
            remedy = f"say it (--{unsaid[0]})" if unsaid else "map with a run of what is here"
            raise InputError(f"nothing here can be mapped: {reason}; {remedy}")

    def names(self) -> list[str]:
        """Names of the output's bands."""
        return [f"probability {name}" for name in self.artifact.manifest.classes]

    def __call__(self, tiles: NDArray[np.float32], corners: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Predict tiles; NaN where no date shows a pixel."""
        size = tiles.shape[-1]
        found = np.full((len(tiles), len(self.names()), size, size), np.nan, np.float32)
        for tile, out in zip(tiles, found, strict=True):
            values = np.moveaxis(in_units(self.scenes, np.moveaxis(tile, (0, 1), (2, 3))), (2, 3), (0, 1)).astype(
                np.float32
            )
            rows, columns = np.nonzero(np.isfinite(tile).any((0, 1)))
            if not len(rows):
                continue
            cube = windows_of(values, self.times, (rows, columns), self.scenes.channels, self.spacing)
            origin = origin_of(self.scenes.times[0])
            samples = Cases(num=len(rows), streams={"cube": cube}, source=self.source, origin=origin)
            out[:, rows, columns] = self.artifact.classifier.probabilities(self.task.prepare(samples)).T
        return found

    def claim(self) -> Claim:
        """None: class sets hold for the place of training, and no alarm looks at others yet."""
        data = self.artifact.manifest.training["data"]
        return Claim(state="none", reason=f"class sets were calibrated on {data}; no alarm says if they hold here")

    def layers(self) -> Mapping[str, Any]:
        """The most probable class, how many cannot be ruled out, and a mask."""
        return {
            "valid": True,
            "classes": list(self.artifact.manifest.classes),
            "thresholds": self.artifact.calibration.thresholds(self.spec.level).tolist(),
        }
