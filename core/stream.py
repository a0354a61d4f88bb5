"""Streams as they were measured: values with their channels, units, clock, geometry and gaps."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import is_text, plain

Kind = Literal["series", "grid", "volume", "points", "text", "scalar"]
NUM_DIMS: Mapping[Kind, int] = {"series": 2, "grid": 4, "volume": 4, "points": 2, "text": 1, "scalar": 1}
CHANNEL_DIM: Mapping[Kind, int] = {"series": 1, "grid": 1, "volume": 0, "points": 1, "scalar": 0}


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One measured quantity: its name, unit ("1" for a pure number) and, for optical bands, wavelength."""

    name: str
    unit: str
    wavelength_nm: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """One measured signal on its own clock and geometry.

    Attributes:
        kind: series (time, channel); grid (time, channel, y, x); volume (channel, z, y, x); points (point, feature);
            text (token,); scalar (channel,).
        values: array in the shape that `kind` names; NaN where a value is missing.
        channels: one entry a channel; empty for text.
        times: seconds from the sample's origin, float64, strictly increasing; required for series and grid.
        geometry: where the values lie: spacing, orientation, transform, CRS; keys by kind.
        valid: True where a value may be used, in the shape of `values`; None if NaN alone says so.

    Raises:
        InputError: if the shape, the number of channels or the clock does not fit the kind.
    """

    kind: Kind
    values: NDArray[Any]
    channels: tuple[Channel, ...] = ()
    times: NDArray[np.float64] | None = None
    geometry: Mapping[str, Any] | None = None
    valid: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != NUM_DIMS[self.kind]:
            raise InputError(f"got a {self.kind} stream of shape {self.values.shape}, want {NUM_DIMS[self.kind]} dims")
        if self.kind in CHANNEL_DIM and self.values.shape[CHANNEL_DIM[self.kind]] != len(self.channels):
            raise InputError(
                f"got {self.values.shape} values for {len(self.channels)} channels of a {self.kind} stream"
            )
        if self.kind in ("series", "grid"):
            self._check_times()
        if self.valid is not None and self.valid.shape != self.values.shape:
            raise InputError(f"got valid of shape {self.valid.shape}, want that of values, {self.values.shape}")

    def _check_times(self) -> None:
        if self.times is None or self.times.shape != (len(self.values),):
            raise InputError(f"a {self.kind} stream of {len(self.values)} steps needs as many times; give seconds")
        if not np.isfinite(self.times).all() or (np.diff(self.times) <= 0).any():
            raise InputError(
                f"times of a {self.kind} stream must be finite and strictly increasing; sort them, drop repeats"
            )

    def observed(self) -> NDArray[np.bool_]:
        """True where a value is finite and marked valid, in the shape of `values`."""
        finite: NDArray[np.bool_] = np.isfinite(self.values)
        return finite if self.valid is None else finite & self.valid


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a sample comes from, under which licence, and to which calibration group it belongs.

    Attributes:
        data: name of the data set or path of the user's table.
        item: the sample's own name in it, e.g. "IA_STORY 2012".
        group: what calibration must hold out whole (year, patient, site, trial); None where the data name none.
        licence: SPDX identifier or the licence's name.
        attribution: the sentence that has to travel with every export.
        simulated: True where the values come from a simulator.
        facts: further facts that pages show (region, year, age of the data in days ...).
    """

    data: str
    item: str
    group: str | None = None
    licence: str = "unknown"
    attribution: str = ""
    simulated: bool = False
    facts: Mapping[str, str | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that cannot be written down again, before anything is trained on them.

        Raises:
            InputError: if one, of a file mostly, is no UTF-8.
        """
        for name in (self.data, self.item, self.group or "", self.attribution):
            if not is_text(name):
                raise InputError(f"got {plain(name)[:200]!r}, which is no UTF-8; rename the file")


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Streams that belong together, the quantity to predict from them, and their origin.

    Attributes:
        streams: by name; a missing stream is absent, never zero-filled.
        target: scalar, class index or array; None where unknown.
        source: where the sample comes from.
        origin: the instant that stream times count from, ISO 8601 UTC; "" where no stream has a clock.
    """

    streams: Mapping[str, Stream]
    target: float | NDArray[Any] | None
    source: Provenance
    origin: str = ""


@runtime_checkable
class Columns(Protocol):
    """Samples held as arrays (`core.cases.Cases`): what is asked of all of them makes no object each."""

    def rows(self, index: NDArray[np.intp]) -> Sequence[Sample]:
        """Return the chosen samples."""

    def column(self, name: str) -> NDArray[Any]:
        """What is told of each sample under the name of a field of Provenance."""

    def truth(self) -> NDArray[Any]:
        """Targets (samples, ...), NaN where unknown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleSet:
    """Samples of one source with what has to be known of them.

    `flagged` names items with a fault, and why; `test_groups` an official test split, never trained on; `classes` the
    names that targets are indices of, where they are classes.
    """

    name: str
    samples: Sequence[Sample]
    flagged: Mapping[str, str]
    attribution: str
    licence: str = "unknown"
    simulated: bool = False
    test_groups: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()

    def labelled(self) -> Sequence[Sample]:
        """The samples whose target is known, faults included."""
        return self._kept(self._is_labelled())

    def unflagged(self) -> Sequence[Sample]:
        """The samples whose target is known and has no known fault."""
        return self._kept(self._is_labelled() & ~self._told_in("item", self.flagged))

    def training(self) -> Sequence[Sample]:
        """The samples to train on: without a fault, outside the test split."""
        faulty = self._told_in("item", self.flagged) | self._told_in("group", self.test_groups)
        return self._kept(self._is_labelled() & ~faulty)

    def _is_labelled(self) -> NDArray[np.bool_]:
        if isinstance(self.samples, Columns):
            truth = self.samples.truth()
            known: NDArray[np.bool_] = ~np.isnan(truth).reshape(len(truth), -1).any(1)
            return known
        return np.array([sample.target is not None for sample in self.samples], bool)

    def _told_in(self, field: str, names: Container[str]) -> NDArray[np.bool_]:
        samples = self.samples
        if isinstance(samples, Columns):
            told = samples.column(field).tolist()
        else:
            told = [getattr(sample.source, field) for sample in samples]
        return np.array([name in names for name in told], bool)

    def _kept(self, keep: NDArray[np.bool_]) -> Sequence[Sample]:
        if isinstance(self.samples, Columns):
            return self.samples.rows(np.flatnonzero(keep))
        return tuple(self.samples[row] for row in np.flatnonzero(keep).tolist())


def groups_by_data(samples: Iterable[Sample]) -> dict[str, list[str]]:
    """Groups of samples, sorted, by the data that the samples come from."""
    found: dict[str, set[str]] = {}
    for sample in samples:
        found.setdefault(sample.source.data, set()).add(str(sample.source.group))
    return {data: sorted(groups) for data, groups in sorted(found.items())}
