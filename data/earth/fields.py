"""Fields as polygons: read from GeoJSON, GeoPackage, Shapefile or KML, checked, and laid over a grid by area."""

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.field_checks import LeftOut, Sifted, sift
from mainstem.data.earth.raster import Grid, affine
from mainstem.data.earth.vectors import READERS, read_vectors

if TYPE_CHECKING:
    import geopandas as gpd

SUFFIXES = tuple(READERS)
WHOLE_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})([T ][0-9]{2}:[0-9]{2}.*)?")
PARTS = 10  # of a pixel's side: a pixel's share in a field is counted in hundredths
WINDOW = 512  # pixels a side of what is laid over a field at once
OUTSIDE = "lies outside the raster, wholly or in part; give scenes that cover it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Fields:
    """Fields in a CRS: `table` has the columns field (text, unique), geometry, and those of the file."""

    table: "gpd.GeoDataFrame"

    def __len__(self) -> int:
        return len(self.table)

    def on(self, grid: Grid) -> "Fields":
        """The fields in the grid's CRS.

        Raises:
            InputError: if one lies outside the grid, wholly or in part.
        """
        table, is_outside = self._laid(grid)
        outside = table.loc[is_outside, "field"].tolist()
        if outside:
            raise InputError(
                f"{len(outside)} of {len(table)} fields lie outside the raster, first {outside[0]!r}; give scenes that "
                "cover them, or leave them out"
            )
        return Fields(table=table)

    def within(self, grid: Grid) -> tuple["Fields", tuple[LeftOut, ...]]:
        """The fields in the grid's CRS, and those left out that lie outside the grid, wholly or in part.

        Raises:
            InputError: if all do.
        """
        table, is_outside = self._laid(grid)
        if is_outside.all():
            return self.on(grid), ()
        names = table.loc[is_outside, "field"]
        left_out = tuple(LeftOut(int(row), name, OUTSIDE) for row, name in zip(names.index + 1, names, strict=True))
        return Fields(table=table[~is_outside].reset_index(drop=True)), left_out

    def _laid(self, grid: Grid) -> tuple["gpd.GeoDataFrame", NDArray[np.bool_]]:
        """The table in the grid's CRS, and which rows lie outside the grid, wholly or in part."""
        from shapely.geometry import box

        table = self.table.to_crs(grid.crs)
        a, _, c, _, e, f = grid.transform
        area = box(c, f + e * grid.height, c + a * grid.width, f)
        is_beside = ~table.geometry.intersects(area) | table.geometry.touches(area)
        is_outside: NDArray[np.bool_] = (~table.geometry.within(area.buffer(a / 2)) | is_beside).to_numpy(bool)
        return table, is_outside


def open_fields(path: Path) -> Fields:
    """Read polygons.

    Raises:
        InputError: if the file is of no known kind, has no CRS, holds no polygon, or one that crosses itself.
    """
    return check_fields(read_vectors(path), path.name)


def usable_fields(path: Path, grid: Grid) -> tuple[Fields, tuple[LeftOut, ...]]:
    """Read the polygons that can be used on a grid, in its CRS, and what was left out with why, by row.

    Raises:
        InputError: if the file cannot be read, or none of its fields be used.
    """
    found = sift_fields(read_vectors(path), path.name)
    fields, outside = Fields(table=found.table).within(grid)
    rows = [LeftOut(found.rows[one.row - 1], one.field, one.why) for one in outside]
    return fields, tuple(sorted((*found.left_out, *rows), key=lambda one: one.row))


def sift_fields(table: "gpd.GeoDataFrame", where: str) -> Sifted:
    """Name and check polygons; one that cannot be used is left out with why, the others are taken.

    Raises:
        InputError: as `sift` does, or if none can be used.
    """
    found = sift(table, where)
    return found if len(found.table) else _refused(found.left_out, where)


def check_fields(table: "gpd.GeoDataFrame", where: str) -> Fields:
    """Name and check polygons.

    Raises:
        InputError: if there is none, no CRS, a geometry that is no valid polygon, a crop that is no name, or a column
            that is read stands twice.
    """
    found = sift(table, where)
    return _refused(found.left_out, where) if found.left_out else Fields(table=found.table)


def _refused(left_out: Sequence[LeftOut], where: str) -> NoReturn:
    raise InputError(left_out[0].of(where))


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """A field's window of a grid and the share of each of its pixels (y, x) that lies in the field, 0-1."""

    rows: slice
    columns: slice
    share: NDArray[np.float64]


def overlay(grid: Grid, polygon: Any) -> Overlay:  # noqa: ANN401 - shapely's
    """Lay a polygon, in the grid's CRS, over the grid; a border pixel's share is counted in PARTS squared.

    All of it at once, for fields of some thousand pixels a side at most; `overlays` for any.
    """
    rows, columns = _extent(grid, polygon)
    share = np.zeros((rows.stop - rows.start, columns.stop - columns.start))
    for laid in overlays(grid, polygon):
        top, left = laid.rows.start - rows.start, laid.columns.start - columns.start
        share[top : top + laid.share.shape[0], left : left + laid.share.shape[1]] = laid.share
    return Overlay(rows=rows, columns=columns, share=share)


def overlays(grid: Grid, polygon: Any) -> Iterator[Overlay]:  # noqa: ANN401 - shapely's
    """Yield a polygon laid over the grid by windows of WINDOW pixels a side, those that it does not touch left out.

    Memory is that of a window, however large the field. Windows lie on multiples of WINDOW, as a map's blocks do.
    """
    import shapely

    rows, columns = _extent(grid, polygon)
    shapely.prepare(polygon)
    for top in range(rows.start - rows.start % WINDOW, rows.stop, WINDOW):
        for left in range(columns.start - columns.start % WINDOW, columns.stop, WINDOW):
            window = (
                slice(max(top, rows.start), min(top + WINDOW, rows.stop)),
                slice(max(left, columns.start), min(left + WINDOW, columns.stop)),
            )
            share = _share(grid, polygon, *window)
            if share is not None:
                yield Overlay(rows=window[0], columns=window[1], share=share)


def _extent(grid: Grid, polygon: Any) -> tuple[slice, slice]:  # noqa: ANN401 - shapely's
    """Rows and columns of the grid that hold a polygon, one pixel at least."""
    a, _, c, _, e, f = grid.transform
    left, bottom, right, top = polygon.bounds
    first, last = max(int((left - c) // a), 0), min(int(-(-(right - c) // a)), grid.width)
    upper, lower = max(int((top - f) // e), 0), min(int(-(-(bottom - f) // e)), grid.height)
    return slice(upper, max(lower, upper + 1)), slice(first, max(last, first + 1))


def _share(grid: Grid, polygon: Any, rows: slice, columns: slice) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Share of each pixel of a window that lies in a polygon; None where it touches none."""
    import shapely
    from rasterio.features import rasterize

    a, _, c, _, e, f = grid.transform
    height, width = rows.stop - rows.start, columns.stop - columns.start
    left, top = c + a * columns.start, f + e * rows.start
    edges = (left, top + e * height, left + a * width, top)
    if shapely.contains_properly(polygon, shapely.box(*edges)):
        return np.ones((height, width))
    near = shapely.clip_by_rect(polygon, edges[0] - a, edges[1] + e, edges[2] + a, edges[3] - e)
    if near.is_empty:
        return None
    fine = Grid(
        width=width * PARTS, height=height * PARTS, crs=grid.crs,
        transform=(a / PARTS, 0.0, left, 0.0, e / PARTS, top),
    )  # fmt: skip
    drawn = rasterize([(near, 1)], out_shape=(fine.height, fine.width), transform=affine(fine), dtype="uint8")
    by_row = drawn.reshape(height, PARTS, width * PARTS).sum(1, dtype=np.uint8)
    count = by_row.reshape(height, width, PARTS).sum(2, dtype=np.uint8)  # to 100
    share: NDArray[np.float64] = count / PARTS**2
    return share


def numbered(fields: Fields, grid: Grid, rows: slice, columns: slice) -> NDArray[np.int64]:
    """Each pixel's field, its row in the table, where its centre lies in one; -1 elsewhere."""
    from rasterio.features import rasterize

    a, _, c, _, e, f = grid.transform
    window = Grid(
        width=columns.stop - columns.start, height=rows.stop - rows.start, crs=grid.crs,
        transform=(a, 0.0, c + a * columns.start, 0.0, e, f + e * rows.start),
    )  # fmt: skip
    left, top = window.transform[2], window.transform[5]
    near = list(fields.table.sindex.intersection((left, top + e * window.height, left + a * window.width, top)))
    if not near:
        return np.full((window.height, window.width), -1)
    shapes = [(fields.table.geometry.iloc[row], row) for row in sorted(near)]
    found: NDArray[np.int64] = rasterize(
        shapes, out_shape=(window.height, window.width), fill=-1, transform=affine(window), dtype="int32"
    ).astype(np.int64)
    return found


def sowing_days(fields: Fields, year: int) -> NDArray[np.float64]:
    """Day of the year (from 0) on which each field was sown, from the column `sowing` (dates); NaN where unknown.

    Raises:
        InputError: if a date cannot be read, is not whole, or is of another year.
    """
    days = np.full(len(fields), np.nan)
    if "sowing" not in fields.table:
        return days
    told = fields.table["sowing"]
    for row, is_missing in enumerate(told.isna()):
        label, text = fields.table["field"].iloc[row], "" if is_missing else _date_text(told.iloc[row])
        if not text:
            continue
        date = _whole_date(text)
        if date is None:
            raise InputError(
                f"field {label!r:.60} has {text!r:.40} in the column sowing, which cannot be read; want a whole date, "
                "YYYY-MM-DD"
            )
        if date.year != year:
            raise InputError(f"a field was sown {date}, the scenes are of {year}; give this season's dates")
        days[row] = date.timetuple().tm_yday - 1
    return days


def _date_text(told: Any) -> str:  # noqa: ANN401 - what the file holds
    """A cell as a date would be written; whole numbers without a point, which a column with gaps gives them."""
    if isinstance(told, datetime.date):
        return told.isoformat()
    is_whole = isinstance(told, float) and told.is_integer()
    return str(int(told)) if is_whole else str(told).strip()


def _whole_date(text: str) -> datetime.date | None:
    match = WHOLE_DATE.fullmatch(text)
    try:
        return datetime.date(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:
        return None
