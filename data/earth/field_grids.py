"""A grid of square, metric cells over one field, and rasters of any grid brought onto it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.crs import parse_crs
from mainstem.data.earth.gdal import keep_offline
from mainstem.data.earth.raster import Grid, affine, describe, load_rasterio, missing_as_nan, window_reader

WIDEST_M = 50_000.0  # of a field: what is wider crosses the antimeridian, or is none
MOST_CELLS = 16_000_000  # of one field's grid: 40 km squared at 10 m
COARSER = 0.75  # of a cell: rasters finer than this are averaged, others interpolated
MARGIN = 2  # cells around a field
LEAST_KNOWN = 0.5  # of what a cell is averaged or interpolated from: as a field has to be seen
SAME = 1e-6  # of a cell, by which corners may differ: files round them


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldGrid:
    """A field's polygon in the grid's CRS, the grid, and the share of each cell (y, x) that lies in the field."""

    grid: Grid
    polygon: Any
    share: NDArray[np.float64]

    @property
    def cell_m(self) -> float:
        """Width of a cell."""
        return self.grid.transform[0]


def metric_crs(polygon: Any, crs: Any) -> str:  # noqa: ANN401 - shapely's and pyproj's
    """Return the UTM zone of a polygon as EPSG:n, by its first part's middle.

    Raises:
        InputError: if it lies where there is none.
    """
    keep_offline()
    from pyproj import Transformer

    part = getattr(polygon, "geoms", [polygon])[0].representative_point()
    east, north = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(part.x, part.y)
    if not (math.isfinite(east) and -80 <= north <= 84):
        raise InputError(f"a field lies at latitude {north:g}, where there is no UTM zone (80 south to 84 north)")
    return f"EPSG:{(32600 if north >= 0 else 32700) + int((east + 180) // 6) % 60 + 1}"


def field_grid(polygon: Any, name: str, crs: str, cell_m: float, origin: tuple[float, float] = (0, 0)) -> FieldGrid:  # noqa: ANN401
    """Lay cells over a polygon of a metric CRS, their corners at whole cells from `origin`.

    Raises:
        InputError: if the field is too wide to be one, or too large for such cells.
    """
    from mainstem.data.earth.fields import overlay

    left, bottom, right, top = polygon.bounds
    if not max(right - left, top - bottom) <= WIDEST_M:
        raise InputError(
            f"field {name!r:.60} is {max(right - left, top - bottom) / 1000:.0f} km wide, at most "
            f"{WIDEST_M / 1000:.0f} are taken for one; a border that crosses the antimeridian is cut there in two"
        )
    first = math.floor((left - origin[0]) / cell_m) - MARGIN
    upper = math.ceil((top - origin[1]) / cell_m) + MARGIN
    width = math.ceil((right - origin[0]) / cell_m) + MARGIN - first
    height = upper - (math.floor((bottom - origin[1]) / cell_m) - MARGIN)
    if width * height > MOST_CELLS:
        raise InputError(f"field {name!r:.60} has {width} x {height} cells of {cell_m:g} m; take larger cells")
    grid = Grid(
        width=width, height=height, crs=_wkt(crs),
        transform=(cell_m, 0.0, origin[0] + first * cell_m, 0.0, -cell_m, origin[1] + upper * cell_m),
    )  # fmt: skip
    share = np.zeros((height, width))
    laid = overlay(grid, polygon)
    share[laid.rows, laid.columns] = laid.share
    return FieldGrid(grid=grid, polygon=polygon, share=share)


def on_grid(path: Path, grid: Grid, band: int = 0) -> NDArray[np.float64]:
    """One band of a raster (y, x) on a grid of another CRS or cell size: averaged from finer, else interpolated.

    Cells that are the raster's own are taken as they are. NaN where the raster does not reach, or has no value in
    LEAST_KNOWN of what a cell is made of: gaps are not closed.

    Raises:
        InputError: if the raster cannot be read.
    """
    source = describe(path)
    moved = _moved(source.grid, grid)
    if moved is not None:
        return _cut(path, grid, band, moved)
    rasterio = load_rasterio()
    from rasterio import warp

    a, _, c, _, e, f = source.grid.transform
    left, bottom, right, top = warp.transform_bounds(grid.crs, source.grid.crs, *_bounds(grid), densify_pts=21)
    columns = slice(max(int((left - c) // a) - 2, 0), min(int((right - c) // a) + 3, source.grid.width))
    rows = slice(max(int((top - f) // e) - 2, 0), min(int((bottom - f) // e) + 3, source.grid.height))
    found = np.full((grid.height, grid.width), np.nan)
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return found
    if (columns.stop - columns.start) * (rows.stop - rows.start) > MOST_CELLS * 16:
        raise InputError(f"{path.name} has too many pixels over one field; average it to some metres first")
    with window_reader(path) as read:
        values = missing_as_nan(source, read(rows, columns)[band])
    ratio = (right - left) / grid.width / a  # a cell's width in the raster's pixels
    known = np.full_like(found, np.nan)
    for given, taken in ((values, found), (np.isfinite(values).astype(np.float64), known)):
        warp.reproject(
            given, taken,
            src_transform=rasterio.Affine(a, 0, c + a * columns.start, 0, e, f + e * rows.start),
            src_crs=source.grid.crs, src_nodata=np.nan, dst_transform=affine(grid), dst_crs=grid.crs, dst_nodata=np.nan,
            resampling=rasterio.enums.Resampling["average" if ratio > 1 / COARSER else "bilinear"],
        )  # fmt: skip
    return np.where(known >= LEAST_KNOWN, found, np.nan)


def _moved(source: Grid, grid: Grid) -> tuple[int, int] | None:
    """By how many rows and columns a grid begins after a raster's, None where its cells are not the raster's own."""
    a, b, c, d, e, f = source.transform
    if source.crs != grid.crs or (a, b, d, e) != tuple(grid.transform[number] for number in (0, 1, 3, 4)):
        return None
    rows, columns = (grid.transform[5] - f) / e, (grid.transform[2] - c) / a
    if max(abs(rows - round(rows)), abs(columns - round(columns))) > SAME:
        return None
    return round(rows), round(columns)


def _cut(path: Path, grid: Grid, band: int, moved: tuple[int, int]) -> NDArray[np.float64]:
    """A raster's own cells, NaN where the grid goes beyond it."""
    source, found = describe(path), np.full((grid.height, grid.width), np.nan)
    (top, left), width, height = moved, source.grid.width, source.grid.height
    rows, columns = (
        slice(max(top, 0), min(top + grid.height, height)),
        slice(max(left, 0), min(left + grid.width, width)),
    )
    if rows.start < rows.stop and columns.start < columns.stop:
        with window_reader(path) as read:
            values = missing_as_nan(source, read(rows, columns)[band])
        found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = values
    return found


def _bounds(grid: Grid) -> tuple[float, float, float, float]:
    a, _, c, _, e, f = grid.transform
    return c, f + e * grid.height, c + a * grid.width, f


def degrees_of(grid: Grid) -> tuple[float, float, float, float]:
    """West, south, east and north of a grid, degrees."""
    load_rasterio()
    from rasterio import warp

    west, south, east, north = warp.transform_bounds(grid.crs, "EPSG:4326", *_bounds(grid))
    return float(west), float(south), float(east), float(north)


def is_meeting(one: Sequence[float], other: Sequence[float]) -> bool:
    """True where two boxes of west, south, east and north overlap."""
    return bool(one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])


def _wkt(crs: str) -> str:
    """A CRS in the words that rasterio gives a raster's."""
    text: str = load_rasterio().crs.CRS.from_wkt(parse_crs(crs, "the field's CRS").to_wkt()).to_wkt()
    return text
