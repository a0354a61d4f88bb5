"""Fitted adapters as models of pixels: what they say of tiles, what may be claimed of a map, what travels with it."""

import copy
import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.map_context import Context, ContextSpec
from mainstem.apps.map_files import PartOf
from mainstem.apps.map_reading import At, PixelReader
from mainstem.core.bounds import Bounds
from mainstem.core.cases import Cases
from mainstem.core.devices import Compute
from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted
from mainstem.core.manifest import FEWEST_PLACES
from mainstem.core.means import mean_view
from mainstem.core.predict import claims_of, outside_scope, tell
from mainstem.core.prediction import Claim
from mainstem.core.preparation import unchanged
from mainstem.core.stream import Sample
from mainstem.core.targets import below_name
from mainstem.core.task import Task
from mainstem.core.told import distinct

MOST = 0.95  # of the pixels looked at, for what is claimed of a map
LOOKED_AT = 12  # pixels a side of the regular grid on which the shift alarm looks at a map
VIGOUR = "percent of this map's mean"
MAP_UNITS = {"class": "1"}  # a map of classes holds their probabilities
NOT_REAL = f"trained on simulations alone; first calibrate on {FEWEST_PLACES} real cases of your own"


@dataclass(frozen=True, kw_only=True)
class MapSpec:
    """What a map shows: level of its intervals, thresholds whose probability is wanted, and which share to make; what
    it is a tile of."""

    level: float = 0.9
    below: tuple[float, ...] = ()
    shard: tuple[int, int] = (0, 1)
    workers: int = 2
    context: ContextSpec = field(default_factory=ContextSpec)
    facts: Mapping[str, str] = field(default_factory=dict)  # said of all pixels whose field says none, as their crop
    allowed_hosts: tuple[str, ...] = ()
    compute: Compute = field(default_factory=Compute)
    part_of: PartOf | None = None
    is_by_date: bool = False  # a table of its fields as they were known at each of the task's dates, beside the map


def check_used(task: Task, fitted: Fitted, spec: MapSpec) -> None:
    """Check that whatever goes with the scenes is used.

    Raises:
        InputError: naming the first option that nothing would read.
    """
    fitted.target.refuse_marks(spec.below)
    derived = (
        {"weather", "soil"} if task.mapped.derive is not unchanged else set()
    )  # of raw streams, which no layout names
    read = derived | set(fitted.manifest.channels) | set(task.mapped.needs)
    if spec.context.fields is not None:
        fitted.target.refuse_means("leave --fields out")
    for name, given in (("weather", spec.context.weather), ("soil", spec.context.soil)):
        if given and name not in read:
            raise InputError(f"--{name} would change nothing: {task.task} reads no {name}; leave it out")
    unread = [name for name in spec.facts if name not in fitted.manifest.scope]
    if unread:
        raise InputError(f"--{unread[0]} would change nothing: this run is of any {unread[0]}; leave it out")


class MapModel:
    """Predicts what a task tells of pixels, as bands of a map.

    A model that has seen simulations alone says of real scenes only how vigorous a pixel is against the map's mean.
    """

    def __init__(self, task: Task, fitted: Fitted, context: Context, spec: MapSpec) -> None:
        self.task, self.fitted, self.scenes, self.context = task, fitted, context.scenes, context
        self.spec, self.overlap = spec, task.mapped.overlap
        self.reader = PixelReader.of(task.mapped.window, self.scenes, context)
        self.known_at, self.raw = "", self._look()
        self._begin()

    def at(self, view: str) -> "MapModel":
        """Return a model of what was known at an earlier view."""
        found = copy.copy(self)
        found.known_at = view
        found._begin()
        return found

    def _begin(self) -> None:
        """Tell from the pixels that are looked at what is known, and what may be claimed."""
        task, fitted, spec, known_at = self.task, self.fitted, self.spec, self.known_at
        looked = self._looked()
        self.view = task.view_of(looked[0]) if len(looked) else known_at or task.first_view
        self.calibration = fitted.calibration[self.view]
        self.is_relative = not fitted.manifest.speaks_of(is_simulated=self.scenes.is_simulated)
        if self.is_relative:
            fitted.target.refuse_means(f"nothing here can be mapped: {NOT_REAL}")
        told = tell(fitted, looked, self.view, spec.level) if len(looked) else None
        self.reference = fitted.target.mean(told.outputs) if told else float("nan")
        self.units = VIGOUR if self.is_relative else MAP_UNITS.get(fitted.manifest.units, fitted.manifest.units)
        self._names = self._name_bands()
        self._claim = self._claim_of(looked)

    def _name_bands(self) -> list[str]:
        """Names of the output's bands, as the target names them."""
        marks = () if self.is_relative else self.spec.below
        return [*self.fitted.target.layer_names(), *(f"probability {below_name(mark)}" for mark in marks)]

    def names(self) -> list[str]:
        """Names of the output's bands."""
        return self._names

    def __call__(self, tiles: NDArray[np.float32], corners: Sequence[tuple[int, ...]]) -> NDArray[np.float32]:
        """Predict tiles; NaN where no date shows a pixel."""
        found = np.full((len(tiles), len(self.names()), *tiles.shape[-2:]), np.nan, np.float32)
        for tile, out, (top, left) in zip(tiles, found, corners, strict=True):
            seen = np.isfinite(tile).any((0, 1))
            seen[self.scenes.grid.height - top :] = False  # a tile may reach beyond a small raster
            seen[:, self.scenes.grid.width - left :] = False
            rows, columns = np.nonzero(seen)
            if len(rows):
                out[:, rows, columns] = self._values(tile, (rows, columns), (top, left))
        return found

    def _values(
        self, tile: NDArray[np.float32], at: tuple[NDArray[np.intp], NDArray[np.intp]], corner: tuple[int, ...]
    ) -> NDArray[np.float64]:
        rows, columns = at[0] + corner[0], at[1] + corner[1]
        raw = self.reader.samples(tile, at, (rows, columns), "map")
        samples = self._told(raw, rows, columns)
        told, target = tell(self.fitted, samples, self.view, self.spec.level), self.fitted.target
        bands = np.array(list(target.layers(told.outputs, told.quantile).values()))
        bands[:, [bool(reason) for reason in self._beyond(samples)]] = np.nan
        if self.is_relative:
            relative: NDArray[np.float64] = 100 * bands / self.reference
            return relative
        if not self.spec.below:
            return bands
        shares = target.probabilities(told.outputs, self.calibration, told.patterns, self.spec.below)
        return np.array([*bands, *np.where(np.isfinite(bands[0]), list(shares.values()), np.nan)])

    def _told(self, raw: Cases, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Cases:
        """The samples derived, with what is said: if they are simulated, and of their fields what scope asks for."""
        said: dict[str, str | float] = {"year": float(self.scenes.times[0].year), **self.spec.facts}
        source = replace(raw.source, simulated=self.scenes.is_simulated, facts=said)
        told = replace(raw, source=source, facts=self.context.facts(list(self.fitted.manifest.scope), rows, columns))
        mapped, dated = self.task.mapped, self.task.mapped.dated
        derived = dated.derive(told, self.known_at) if dated and self.known_at else mapped.derive(told)
        return derived if isinstance(derived, Cases) else Cases.of(derived)

    def _beyond(self, samples: Cases) -> list[str]:
        """Say why pixels are not mapped: they are said to lie outside the adapter's scope; "" where they may be.

        Nothing is said against a pixel of which nobody says what it is.
        """
        scope = self.fitted.manifest.scope
        first, like = distinct(samples, (), list(scope))
        said = [[name for name in scope if name in samples[row].source.facts] for row in first]
        reasons = [
            outside_scope({name: scope[name] for name in names}, samples[row])
            for names, row in zip(said, first, strict=True)
        ]
        return [reasons[place] for place in like.tolist()]

    def _look(self) -> list[tuple[At, Cases]]:
        """Raw pixels on a regular grid that show anything, of those in fields where there are any, and their places."""
        grid = self.scenes.grid
        rows = np.unique(np.linspace(0, grid.height - 1, LOOKED_AT).astype(int))
        columns = np.unique(np.linspace(0, grid.width - 1, LOOKED_AT).astype(int))
        return self.reader.look(rows, columns)

    def _looked(self) -> Sequence[Sample]:
        """Samples of the pixels that are looked at, as they are known, those beyond scope left out."""
        parts = [self._told(raw, *at) for at, raw in self.raw]
        beyond = [self._beyond(part) for part in parts]
        if parts and all(reason for reasons in beyond for reason in reasons):
            raise InputError(f"nothing here can be mapped: {beyond[0][0]}; map with an adapter of that")
        within = [
            part.rows(np.flatnonzero([not reason for reason in reasons]))
            for part, reasons in zip(parts, beyond, strict=True)
        ]
        return Cases.of([sample for part in within for sample in part]) if within else []

    def _lacking(self) -> list[str]:
        """Channels of the pixel stream in training that no scene has: regions were never calibrated without them."""
        known = self.fitted.ensemble.layout.channels.get(self.reader.stream, ())
        given = {channel.name for channel in self.scenes.channels}
        return [channel.name for channel in known if channel.name not in given]

    def _claim_of(self, looked: Sequence[Sample]) -> Claim:
        if not len(looked):
            return Claim(state="none", reason="no pixel that was looked at shows anything")
        if self.is_relative:
            return Claim(
                state="none",
                reason=f"trained on simulations alone: relative vigour, not {self.fitted.manifest.units}; calibrate "
                f"on {FEWEST_PLACES} harvested fields of your own (mainstem calibrate)",
            )
        lacking = self._lacking()
        if lacking:
            reason = f"the scenes lack {', '.join(lacking)}, which training had; give them, or calibrate without"
            return Claim(state="none", reason=reason)
        means = self.fitted.calibration.get(mean_view(self.view))
        if means is not None and means.unfounded:  # what is claimed of a map is claimed of its fields too
            return Claim(state="none", reason=means.unfounded)
        scope, facts = self.fitted.manifest.scope, [sample.source.facts for sample in looked]
        unsaid = [name for name in scope if sum(name in each for each in facts) < MOST * len(facts)]
        if unsaid:
            allowed = ", ".join(self.fitted.manifest.scope[unsaid[0]])
            return Claim(
                state="none",
                reason=f"nobody says what {unsaid[0]} this is, the adapter knows {allowed} alone; give fields with a "
                f"column {unsaid[0]}, or say it for all (--{unsaid[0]}, on the page {unsaid[0].capitalize()})",
            )
        claims = claims_of(self.fitted, looked, self.view, self.spec.level)
        against = Counter(claim for claim in claims if claim.state != "stated")
        if sum(against.values()) <= (1 - MOST) * len(claims):
            return next(claim for claim in claims if claim.state == "stated")
        (claim, count), *_ = against.most_common(1)
        return replace(claim, reason=f"of {count / len(claims):.0%} of the pixels looked at: {claim.reason}")

    def claim(self) -> Claim:
        """What may be claimed of the whole map: its inputs, on a regular grid of pixels, against calibration's."""
        return self._claim

    def known_until(self) -> str:
        """The last day that is known, ISO 8601; "" where the task's views are not of dates."""
        dated = self.task.mapped.dated
        if dated is None:
            return ""
        first = datetime.date(self.scenes.times[0].year, 1, 1)
        return (first + datetime.timedelta(days=dated.days(self.view) - 1)).isoformat()

    def layers(self) -> Mapping[str, Any]:
        """A mask of the pixels that hold a value, and what the target says of its bands."""
        return {"valid": True, **self.fitted.target.layer_facts(self.calibration, self.spec.level)}

    def mean_factor(self) -> float:
        """Half width of a field mean's interval, by the mean half width of its pixels."""
        means = self.fitted.calibration.get(mean_view(self.view))
        if means is None:
            return 1.0
        return means.half_width(self.spec.level) / self.calibration.half_width(self.spec.level)

    def bounds(self) -> Bounds:
        """What values are possible, in the map's units."""
        bounds = self.fitted.target.bounds
        return bounds.scaled(100 / self.reference) if self.is_relative and self.reference > 0 else bounds
