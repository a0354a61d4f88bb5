"""Fields as polygons: read from GeoJSON, GeoPackage, Shapefile or KML, checked, and laid over a grid by area."""

import datetime
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.crops import checked_crop
from mainstem.data.earth.raster import Grid, affine
from mainstem.data.earth.vectors import READERS, read_vectors

if TYPE_CHECKING:
    import geopandas as gpd

SUFFIXES = tuple(READERS)
NAME_COLUMNS = ("field", "name", "id")  # in any case, as all columns that are read
OWN_COLUMNS = ("field", "crop", "sowing", "yield_t_ha")  # that have this name, small, once they are read
WHOLE_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})([T ][0-9]{2}:[0-9]{2}.*)?")
PARTS = 10  # of a pixel's side: a pixel's share in a field is counted in hundredths
WINDOW = 512  # pixels a side of what is laid over a field at once
LONGEST_NAME = 200


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
        from shapely.geometry import box

        table = self.table.to_crs(grid.crs)
        a, _, c, _, e, f = grid.transform
        area = box(c, f + e * grid.height, c + a * grid.width, f)
        is_beside = ~table.geometry.intersects(area) | table.geometry.touches(area)
        outside = table.loc[~table.geometry.within(area.buffer(a / 2)) | is_beside, "field"].tolist()
        if outside:
            raise InputError(
                f"{len(outside)} of {len(table)} fields lie outside the raster, first {outside[0]!r}; give scenes that "
                "cover them, or leave them out"
            )
        return Fields(table=table)


def open_fields(path: Path) -> Fields:
    """Read polygons.

    Raises:
        InputError: if the file is of no known kind, has no CRS, holds no polygon, or one that crosses itself.
    """
    return check_fields(read_vectors(path), path.name)


def check_fields(table: "gpd.GeoDataFrame", where: str) -> Fields:
    """Name and check polygons.

    Raises:
        InputError: if there is none, no CRS, a geometry that is no valid polygon, a crop that is no name, or a column
            that is read stands twice.
    """
    if table.crs is None:
        raise InputError(f"{where} has no CRS; set it (a Shapefile needs its .prj), it is not guessed")
    if not len(table):
        raise InputError(f"{where} holds no field; draw or export at least one")
    table = _in_small(table, where)
    labels = _labels(table, where)
    kinds = table.geometry.geom_type
    for label, kind, is_valid, geometry in zip(labels, kinds, table.geometry.is_valid, table.geometry, strict=True):
        if geometry is None or geometry.is_empty:
            raise InputError(f"field {label!r} of {where} has no border; draw it, or leave the field out")
        if kind not in ("Polygon", "MultiPolygon"):
            raise InputError(f"field {label!r} of {where} is a {kind}, want a polygon; draw its border")
        if not is_valid:
            from shapely.validation import explain_validity

            raise InputError(f"field {label!r} of {where} crosses itself ({explain_validity(geometry)}); draw it again")
    table = table.copy()
    table["field"] = labels
    if "crop" in table:
        told = zip(labels, table["crop"], table["crop"].isna(), strict=True)
        table["crop"] = [None if is_missing else _crop(label, crop, where) for label, crop, is_missing in told]
    return Fields(table=table)


def _in_small(table: "gpd.GeoDataFrame", where: str) -> "gpd.GeoDataFrame":
    """The table with OWN_COLUMNS under these names, whatever their case was; empty ones beside them are left out."""
    names: dict[Any, str] = {}
    empty: list[Any] = []
    for own in OWN_COLUMNS:
        alike = _named_alike(table, own)
        told = _told_once(table, alike, where)
        empty += [column for column in alike if told and column != told]
        names |= {told or column: own for column in alike[:1]}
    return table.drop(columns=empty).rename(columns=names)


def _named_alike(table: "gpd.GeoDataFrame", name: str) -> list[Any]:
    return [column for column in table.columns if str(column).strip().casefold() == name]


def _told_once(table: "gpd.GeoDataFrame", columns: Sequence[Any], where: str) -> Any:  # noqa: ANN401 - a column's name
    """The one of some columns that holds any value, None where none does."""
    told = [column for column in columns if table[column].notna().any()]
    if len(told) > 1:
        raise InputError(
            f"{where} has the columns {told[0]!r:.60} and {told[1]!r:.60}, which differ by case or blanks alone; leave "
            "one out"
        )
    return told[0] if told else None


def _crop(label: str, told: Any, where: str) -> str | None:  # noqa: ANN401 - what the file holds
    """A field's crop, None where its column holds blanks alone."""
    is_blank = isinstance(told, str) and not told.strip()
    return None if is_blank else checked_crop(told, f"field {label!r:.60} of {where} has")


def _labels(table: "gpd.GeoDataFrame", where: str) -> list[str]:
    """A name for each field: of the first of NAME_COLUMNS that holds any, or the number of its row.

    As in tables, blanks around a name do not count, and it has one Unicode form.

    Raises:
        InputError: if a name is missing beside others, given twice, too long, or no plain text.
    """
    found = (_told_once(table, _named_alike(table, name), where) for name in NAME_COLUMNS)
    column = next((name for name in found if name is not None), None)
    if column is None:
        return [str(row + 1) for row in range(len(table))]
    labels = [
        "" if is_missing else unicodedata.normalize("NFC", str(name).strip())
        for name, is_missing in zip(table[column], table[column].isna(), strict=True)
    ]
    for row, label in enumerate(labels, 1):
        if not label.strip():
            raise InputError(f"row {row} of {where} has no name in column {column!r}, others have; name every field")
        if len(label) > LONGEST_NAME or not label.isprintable():
            raise InputError(
                f"row {row} of {where} has the name {label[:40]!r}, want up to {LONGEST_NAME} printable letters"
            )
    if len(set(labels)) != len(labels):
        seen: set[str] = set()
        twice = next(label for label in labels if label in seen or seen.add(label))  # type: ignore[func-returns-value]
        raise InputError(f"{where} names field {twice!r} twice; give each its own name")
    return labels


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
