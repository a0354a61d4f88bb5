"""Pixels of scenes as samples: a series of one pixel, or the window around it, as the task reads them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.map_context import Context
from mainstem.core.cases import Cases
from mainstem.core.stream import Provenance
from mainstem.data.earth.land_cover import windows_of
from mainstem.data.earth.raster import missing_as_nan, read_window, spacing_m
from mainstem.data.earth.scenes import Scenes, in_units, origin_of, pixel_samples, seconds_of

At = tuple[NDArray[np.intp], NDArray[np.intp]]  # rows and columns
Tile = NDArray[np.float32]  # (date, band, y, x) as stored, NaN where missing


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelReader(ABC):
    """Makes samples of pixels, told where they lie in a tile and in the scenes."""

    scenes: Scenes
    context: Context
    reach: int  # pixels beyond a pixel that its sample sees
    stream: ClassVar[str]  # the stream that scenes make

    @classmethod
    def of(cls, window: int, scenes: Scenes, context: Context) -> "PixelReader":
        """Return the reader for windows of so many pixels a side.

        Raises:
            InputError: if pixels' size is needed, and not known.
        """
        kind = SeriesReader if window == 1 else WindowReader
        return kind(scenes=scenes, context=context, reach=window // 2)

    @abstractmethod
    def samples(self, tile: Tile, at: At, place: At, name: str) -> Cases:
        """Return a sample a pixel: `at` says where it lies in the tile, `place` where in the scenes."""

    def look(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> list[tuple[At, Cases]]:
        """Return, a row at a time, the pixels where rows and columns cross that show anything, in fields if any are."""
        strips = [self._strip(row) for row in rows.tolist()]
        shown = [columns[np.isfinite(strip[:, :, top, columns]).any((0, 1))] for strip, top in strips]
        places = [(np.full(len(own), row), own) for row, own in zip(rows.tolist(), shown, strict=True)]
        every = np.concatenate([place[0] for place in places]), np.concatenate(shown)
        inside = np.split(self.context.is_inside(*every), np.cumsum([len(own) for own in shown])[:-1])
        parts = []
        for (own_rows, own), kept, (strip, top) in zip(places, inside, strips, strict=True):
            if kept.any():
                place = own_rows[kept], own[kept]
                parts.append((place, self.samples(strip, (np.full(len(place[0]), top), place[1]), place, "this map")))
        return parts

    def _strip(self, row: int) -> tuple[Tile, int]:
        """The rows around one, and which of them it is."""
        grid = self.scenes.grid
        first, last = max(row - self.reach, 0), min(row + self.reach + 1, grid.height)
        window = slice(first, last), slice(0, grid.width)
        dates = [missing_as_nan(source, read_window(source, *window)) for source in self.scenes.sources]
        return np.stack(dates).astype(np.float32), row - first


class SeriesReader(PixelReader):
    """Each pixel by itself, with what is known of its place."""

    stream = "pixel"

    def samples(self, tile: Tile, at: At, place: At, name: str) -> Cases:
        """Return series of pixels with the streams of their context."""
        values = np.moveaxis(tile[:, :, at[0], at[1]], -1, 0)
        return pixel_samples(self.scenes, values, *place, name, self.context)


class WindowReader(PixelReader):
    """Each pixel with the window around it."""

    stream = "cube"

    def samples(self, tile: Tile, at: At, place: At, name: str) -> Cases:
        """Return windows around pixels."""
        scenes = self.scenes
        physical = in_units(scenes, np.moveaxis(tile, (0, 1), (2, 3)))
        values = np.moveaxis(physical, (2, 3), (0, 1)).astype(np.float32)
        cube = windows_of(values, seconds_of(scenes), at, scenes.channels, spacing_m(scenes.grid, "a map of windows"))
        source = Provenance(data=name, item=name, group=name)
        return Cases(num=len(at[0]), streams={"cube": cube}, source=source, origin=origin_of(scenes.times[0]))
