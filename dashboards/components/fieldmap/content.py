"""What a map shows: polygons, layers of colours and rasters, and how it is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HATCHED = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Polygons packed for the browser: the first `regions` carry colours, the rest is background.

    Attributes:
        ids: a name a region, in the order of the colours.
        ends: (rings,) uint32, index after each ring's last vertex; a ring of one vertex is a place without an outline.
        owners: (rings,) uint32, the polygon that each ring belongs to.
        xy: (vertices, 2) float32, in the CRS's unit, relative to `origin`; shells run anticlockwise, holes clockwise.
        key: of all of it.
        crs: as pyproj reads it; a map without one has no background and no coordinates.
    """

    ids: tuple[str, ...]
    ends: NDArray[np.uint32]
    owners: NDArray[np.uint32]
    xy: NDArray[np.float32]
    key: str
    crs: str = ""
    origin: tuple[float, float] = (0.0, 0.0)

    @property
    def num_polygons(self) -> int:
        """Number of polygons, background included."""
        return int(self.owners.max()) + 1 if len(self.owners) else 0

    def bounds(self) -> tuple[float, float, float, float] | None:
        """Left, bottom, right and top of every polygon in the CRS; None where there is none."""
        if not len(self.xy):
            return None
        (left, bottom), (right, top) = self.xy.min(0).tolist(), self.xy.max(0).tolist()
        x, y = self.origin
        return left + x, bottom + y, right + x, top + y


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """Pixels under the regions: (y, x) uint8, 0 nothing, 1-255 along the layer's ramp; bounds in the geometry's CRS.

    Attributes:
        bounds: left, bottom, right, top.
        interval: lower and upper ends as codes of the same scale, said at the pointer.
        level: of that interval, e.g. 0.9.
    """

    pixels: NDArray[np.uint8]
    bounds: tuple[float, float, float, float]
    interval: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
    level: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One way to colour the regions: rgba (regions, 4) uint8, and its legend; a raster takes the place of the fill.

    Attributes:
        values: (regions,) float32 in `unit`, NaN where there is none; said at the pointer.
        ends: numbers that `low` and `high` stand for; the pixels of a raster are then said at the pointer.
        fixed: ends that hold for all seasons; the canvas begins with them and offers both. Needs `values` or, for a
            raster, `ends`.
        digits: decimals of what is said.
        is_bounded: no value can lie beyond `ends`; a pixel at one of them is else said to be so much or more.
    """

    rgba: NDArray[np.uint8]
    title: str
    low: str
    high: str
    ramp: Sequence[str]
    raster: Raster | None = None
    is_claimed: bool = True  # False where it shows what was measured: no claim of the model's is made of it
    values: NDArray[np.float32] | None = None
    ends: tuple[float, float] | None = None
    fixed: tuple[float, float] | None = None
    unit: str = ""
    digits: int = 1
    is_bounded: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class MapContent:
    """What the regions show: the map's name, layers to switch between, flags (regions,), a label a region.

    Attributes:
        names: a short name a region, written where there is room.
        link: maps with the same one move and zoom together.
        found: regions to zoom to, and a number that changes with each finding; None until something is found.
        view: latitude, longitude and zoom to open on, as `on_view` was told; "" opens on everything.
        drawing: what the page asks to be drawn now, in words, and a number that changes each time it asks; a drawing
            that the user begins is a field, named while it is drawn.
    """

    name: str
    layers: Sequence[Layer]
    flags: NDArray[np.uint8]
    labels: Sequence[str]
    selected: str = ""
    is_drawable: bool = False
    shown: str = ""  # title of the layer to begin with, the first unless given
    told: tuple[str, ...] = ()  # titles of layers that the page is told of when they are chosen or left
    bounds: tuple[float, float, float, float] | None = None  # left, bottom, right, top of the view; else the regions'
    names: Sequence[str] = ()
    link: str = ""
    found: tuple[tuple[str, ...], int] | None = None
    view: str = ""
    drawing: tuple[str, int] = ("", 0)
