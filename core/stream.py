"""Streams as they were measured: values with their channels, units, clock, geometry and gaps."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import is_text, plain

Kind = Literal["series", "image", "grid", "volume", "points", "text", "scalar"]
NUM_DIMS: Mapping[Kind, int] = {
    "series": 2, "image": 3, "grid": 4, "volume": 4, "points": 2, "text": 1, "scalar": 1,
}  # fmt: skip
CHANNEL_DIM: Mapping[Kind, int] = {"series": 1, "image": 0, "grid": 1, "volume": 0, "points": 1, "scalar": 0}
FLATTEST = 1e-9  # volume that three axes of length 1 span at least
METRES: Mapping[str, float] = {"m": 1.0, "mm": 1e-3}


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One measured quantity: its name, unit ("1" for a pure number) and, for optical bands, wavelength."""

    name: str
    unit: str
    wavelength_nm: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Where the values of an image, grid or volume lie.

    Attributes:
        affine: (4, 4) float64, from index (x, y, z, 1), pixel centres at whole numbers, to coordinates in the frame.
        unit: of the coordinates; None where it is not known, as of a photograph.
        frame: the frame's name: a CRS, "LPS", "base_link"; "" for the array's own corner.

    Raises:
        InputError: if the affine is none, or lets an axis vanish.
    """

    affine: NDArray[np.float64]
    unit: Literal["mm", "m"] | None = None
    frame: str = ""

    def __post_init__(self) -> None:
        is_affine = self.affine.shape == (4, 4) and np.array_equal(self.affine[3], (0, 0, 0, 1))
        if not is_affine or not np.isfinite(self.affine).all() or not self._spans():
            raise InputError(
                "an affine is 4 x 4, finite, of the last row 0 0 0 1, and its axes span the space; mend it"
            )
        if self.unit is not None and self.unit not in METRES:
            raise InputError(f"got a geometry in {self.unit!r:.40}, want mm or m; convert it")

    def _spans(self) -> bool:
        sizes = self.spacing()
        return all(sizes) and abs(float(np.linalg.det(self.affine[:3, :3] / sizes))) > FLATTEST

    @classmethod
    def of_spacing(cls, metres: float | tuple[float, float, float]) -> "Geometry":
        """Pixels of this size along x, y and z, from the array's own corner.

        Raises:
            InputError: if a size is not above 0.
        """
        sizes = (metres,) * 3 if isinstance(metres, int | float) else metres
        if len(sizes) != 3 or not all(0 < size < math.inf for size in sizes):
            raise InputError(f"got pixels of {metres} metres, want sizes above 0; mend the geometry")
        affine = np.diag([*sizes, 1.0])
        affine[:3, 3] = [size / 2 for size in sizes]
        return cls(affine=affine, unit="m")

    def spacing(self) -> tuple[float, float, float]:
        """Size of a pixel along x, y and z, in the unit."""
        x, y, z = (math.hypot(*self.affine[:3, axis].tolist()) for axis in range(3))
        return x, y, z

    def metres(self) -> float:
        """Metres of one unit.

        Raises:
            InputError: if the unit is not known.
        """
        if self.unit is None:
            raise InputError("the geometry has no unit, so that nothing of it is metres; say mm or m")
        return METRES[self.unit]

    def spacing_m(self) -> tuple[float, float, float]:
        """Metres of a pixel along x, y and z.

        Raises:
            InputError: if the unit is not known.
        """
        x, y, z = (self.metres() * size for size in self.spacing())
        return x, y, z


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """One measured signal on its own clock and geometry.

    Attributes:
        kind: series (time, channel); image (channel, y, x); grid (time, channel, y, x); volume (channel, z, y, x);
            points (point, feature); text (token,); scalar (channel,).
        values: array in the shape that `kind` names; NaN where a value is missing.
        channels: one entry a channel; empty for text.
        times: seconds from the sample's origin, float64, strictly increasing; required for series and grid.
        geometry: where the values of images, grids and volumes lie; None where it is not known.
        valid: True where a value may be used, in the shape of `values`; None if NaN alone says so.

    Raises:
        InputError: if the shape, the number of channels or the clock does not fit the kind.
    """

    kind: Kind
    values: NDArray[Any]
    channels: tuple[Channel, ...] = ()
    times: NDArray[np.float64] | None = None
    geometry: Geometry | None = None
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


NO_LICENCE = "not stated"  # of data that say none, as a user's own


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a sample comes from, under which licence, and to which calibration group it belongs.

    Attributes:
        data: name of the data set or path of the user's table.
        item: the sample's own name in it, e.g. "IA_STORY 2012".
        group: what calibration must hold out whole (year, person, site, trial); None where the data name none.
        licence: SPDX identifier or the licence's name; NO_LICENCE where none is stated.
        attribution: the sentence that has to travel with every export.
        simulated: True where the values come from a simulator.
        facts: further facts that pages show (region, year, age of the data in days ...).
        part: of the data's own official split: "train", "calibrate" or "test"; "" where they have none.
    """

    data: str
    item: str
    group: str | None = None
    licence: str = NO_LICENCE
    attribution: str = ""
    simulated: bool = False
    facts: Mapping[str, str | float] = field(default_factory=dict)
    part: str = ""

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
    """Streams that belong together, what is to be predicted from them, and their origin.

    Attributes:
        streams: by name; a missing stream is absent, never zero-filled.
        target: a number, an index of a class, or an array; None where unknown.
        source: where the sample comes from.
        origin: the instant that stream times count from, ISO 8601 UTC; "" where no stream has a clock.
    """

    streams: Mapping[str, Stream]
    target: float | NDArray[Any] | None
    source: Provenance
    origin: str = ""


def groups_by_data(samples: Iterable[Sample], written: Callable[[str], str]) -> dict[str, list[str]]:
    """Groups of samples, as they are to be `written`, sorted, by the data that the samples come from."""
    found: dict[str, set[str]] = {}
    for sample in samples:
        known = found.setdefault(sample.source.data, set())
        if sample.source.group is not None:
            known.add(sample.source.group)
    return {data: sorted(map(written, groups)) for data, groups in sorted(found.items())}
