"""What a map knows of a pixel besides its scenes: weather of the place, soil, and when its field was sown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.errors import InputError
from mainstem.core.stream import Stream
from mainstem.data.earth.farm_folders import MANAGEMENT, MOST_WATER_CM_M, SOIL
from mainstem.data.earth.fields import Fields, numbered, sowing_days, usable_fields
from mainstem.data.earth.raster import Source, missing_as_nan, open_layer, read_window
from mainstem.data.earth.scenes import Scenes, places
from mainstem.data.earth.vectors import files_of
from mainstem.data.earth.weather import NUM_DAYS, check_season, open_weather

SOIL_UNIT = "cm/m"


@dataclass(frozen=True, kw_only=True)
class ContextSpec:
    """Files that go with scenes, each optional: weather (CSV or NetCDF), a soil raster on their grid, fields.

    Attributes:
        is_strict: one field that cannot be used refuses all; else it is left out, and told.
    """

    weather: tuple[Path, ...] = ()
    soil: Path | None = None
    fields: Path | None = None
    is_strict: bool = False

    def files(self) -> list[Path]:
        """All of them, of a Shapefile those that belong to it too."""
        soil = [] if self.soil is None else [self.soil]
        return [*self.weather, *soil, *([] if self.fields is None else files_of(self.fields))]


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """Streams of pixels besides `pixel` and `place`, as an adapter of pixel series takes them."""

    scenes: Scenes
    weather: Stream | None
    soil: Source | None
    fields: Fields | None
    sowing: NDArray[np.float64]

    @classmethod
    def open(cls, spec: ContextSpec, scenes: Scenes) -> "Context":
        """Read what there is, and check that it fits the scenes.

        Raises:
            InputError: if weather, soil or fields do not fit.
        """
        grid, year = scenes.grid, scenes.times[0].year
        middle = places(grid, np.array([grid.height // 2]), np.array([grid.width // 2]))[0]
        weather = open_weather(spec.weather, (float(middle[0]), float(middle[1])), year) if spec.weather else None
        fields, left_out = usable_fields(spec.fields, grid) if spec.fields else (None, ())
        if spec.fields is not None and spec.is_strict and left_out:
            raise InputError(left_out[0].of(spec.fields.name))
        sowing = sowing_days(fields, year) if fields is not None else np.empty(0)
        soil = None if spec.soil is None else open_layer(spec.soil, scenes.grid, SOIL_UNIT, MOST_WATER_CM_M)
        return cls(scenes=scenes, weather=weather, soil=soil, fields=fields, sowing=sowing)

    def check(self, needs: Sequence[str], least_days: int = NUM_DAYS) -> None:
        """Check that what a task cannot do without is there, weather for so many days of the year.

        Raises:
            InputError: if it is not.
        """
        if "weather" in needs and self.weather is None:
            raise InputError("this task needs the place's daily weather; add --weather FILE (.csv, or AgERA5/ERA5 .nc)")
        if "weather" in needs and self.weather is not None:
            check_season(self.weather, [time.year for time in self.scenes.times], least_days)

    def __call__(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> dict[str, Block]:
        """Return the streams of the pixels at these rows and columns."""
        found = {} if self.weather is None else {"weather": Block.shared(self.weather, len(rows))}
        scalars = {"soil": (self._water(rows, columns), SOIL), "management": (self._days(rows, columns), MANAGEMENT)}
        for name, (values, channels) in scalars.items():
            known = np.isfinite(values)
            if known.any():
                found[name] = Block(kind="scalar", values=values[:, None], channels=channels, has=known)
        return found

    def is_inside(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        """True where a pixel lies in a field, or no fields are known."""
        if self.fields is None:
            return np.ones(len(rows), bool)
        from shapely import points

        a, _, c, _, e, f = self.scenes.grid.transform
        centres = points(c + a * (columns + 0.5), f + e * (rows + 0.5))
        hit, _ = self.fields.table.sindex.query(centres, predicate="intersects")
        found = np.zeros(len(rows), bool)
        found[hit] = True
        return found if found.any() else ~found

    def facts(
        self, names: Sequence[str], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> dict[str, NDArray[np.object_]]:
        """Return what the fields' columns of these names say of the pixels, as their crop; None outside of fields."""
        known = [] if self.fields is None else [name for name in names if name in self.fields.table]
        if self.fields is None or not known or not len(rows):
            return {}
        number = self._number(self.fields, rows, columns)
        found = {}
        for name in known:
            told = [value if isinstance(value, str) else None for value in self.fields.table[name]]
            found[name] = np.array([*told, None], object)[number]  # -1, of no field, is the last
        return found

    def _number(self, fields: Fields, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.int_]:
        """The row of the table of the field that each pixel lies in; -1 outside of fields."""
        top, left = int(rows.min()), int(columns.min())
        window = (slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1))
        number: NDArray[np.int_] = numbered(fields, self.scenes.grid, *window)[rows - top, columns - left]
        return number

    def _water(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        if self.soil is None:
            return np.full(len(rows), np.nan)
        top, left = int(rows.min()), int(columns.min())
        window = (slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1))
        values = missing_as_nan(self.soil, read_window(self.soil, *window)[0])
        found: NDArray[np.float64] = values[rows - top, columns - left]
        return found

    def _days(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        if self.fields is None or not np.isfinite(self.sowing).any():
            return np.full(len(rows), np.nan)
        number = self._number(self.fields, rows, columns)
        return np.where(number >= 0, self.sowing[number], np.nan)
