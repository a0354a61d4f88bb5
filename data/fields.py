"""Fields as polygons: read from GeoJSON, GeoPackage, Shapefile or KML, checked, and laid over a grid by area."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.raster import Grid, affine

if TYPE_CHECKING:
    import geopandas as gpd

STARTS = {  # what a file of each kind begins with: GDAL goes by content, and would follow other formats elsewhere
    ".geojson": b"{", ".json": b"{", ".gpkg": b"SQLite format 3\0", ".shp": b"\x00\x00\x27\x0a", ".kml": b"<",
    ".zip": b"PK",
}  # fmt: skip
NAME_COLUMNS = ("field", "name", "Name", "id")
PARTS = 10  # of a pixel's side: a pixel's share in a field is counted in hundredths
LARGEST_BYTES = 1 << 30


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
        outside = table.loc[~table.geometry.within(area.buffer(a / 2)), "field"].tolist()
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
    try:
        import geopandas as gpd
        import pyogrio
    except ImportError as error:
        raise MissingExtraError("geopandas", "maps") from error
    if path.suffix.lower() not in STARTS:
        raise InputError(f"got {path.name}, want fields as {', '.join(STARTS)}")
    if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"no file {path}, or one beyond 1 GiB; give the fields' file")
    _check_start(path)
    try:
        table = gpd.read_file(_address(path), engine="pyogrio")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read ({error!s:.200}); export the fields again") from error
    return check_fields(table, path.name)


def _check_start(path: Path) -> None:
    """Refuse a file that is not what its name says, before GDAL sees it.

    Raises:
        InputError: if it is not.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    is_right = start.startswith(STARTS[suffix])
    if suffix == ".kml":
        is_right = is_right and b"<kml" in start and b"<!DOCTYPE" not in start and b"<!ENTITY" not in start
    if not is_right:
        raise InputError(f"{path.name} is not what its name says; export the fields again as {suffix}")


def _address(path: Path) -> str:
    """What GDAL opens: the file, or the one Shapefile in a .zip.

    Raises:
        InputError: if a .zip holds none, or several.
    """
    if path.suffix.lower() != ".zip":
        return str(path.resolve())
    try:
        with zipfile.ZipFile(path) as archive:
            held = [name for name in archive.namelist() if name.lower().endswith(".shp")]
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise InputError(f"{path.name} is no whole .zip ({error}); pack it again") from error
    if len(held) != 1 or size > LARGEST_BYTES:
        raise InputError(f"{path.name} holds {len(held)} Shapefiles in {size >> 20} MiB, want one below 1 GiB")
    return f"/vsizip/{path.resolve()}/{held[0]}"


def check_fields(table: "gpd.GeoDataFrame", where: str) -> Fields:
    """Name and check polygons.

    Raises:
        InputError: if there is none, no CRS, or a geometry that is no valid polygon.
    """
    if table.crs is None:
        raise InputError(f"{where} has no CRS; set it (a Shapefile needs its .prj), it is not guessed")
    if not len(table):
        raise InputError(f"{where} holds no field; draw or export at least one")
    names = next((column for column in NAME_COLUMNS if column in table.columns), None)
    labels = [str(value) for value in table[names]] if names else [str(row + 1) for row in range(len(table))]
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise InputError(f"{where} names field {twice!r} twice; give each its own name")
    kinds = table.geometry.geom_type
    for label, kind, is_valid, geometry in zip(labels, kinds, table.geometry.is_valid, table.geometry, strict=True):
        if kind not in ("Polygon", "MultiPolygon"):
            raise InputError(f"field {label!r} of {where} is a {kind}, want a polygon; draw its border")
        if not is_valid:
            from shapely.validation import explain_validity

            raise InputError(f"field {label!r} of {where} crosses itself ({explain_validity(geometry)}); draw it again")
    table = table.copy()
    table["field"] = labels
    return Fields(table=table)


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """A field's window of a grid and the share of each of its pixels (y, x) that lies in the field, 0-1."""

    rows: slice
    columns: slice
    share: NDArray[np.float64]


def overlay(grid: Grid, polygon: Any) -> Overlay:  # noqa: ANN401 - shapely's
    """Lay a polygon, in the grid's CRS, over the grid; a border pixel's share is counted in PARTS squared."""
    from rasterio.features import rasterize

    a, _, c, _, e, f = grid.transform
    left, bottom, right, top = polygon.bounds
    first, last = max(int((left - c) // a), 0), min(int(-(-(right - c) // a)), grid.width)
    upper, lower = max(int((top - f) // e), 0), min(int(-(-(bottom - f) // e)), grid.height)
    height, width = max(lower - upper, 1), max(last - first, 1)
    fine = Grid(
        width=width * PARTS, height=height * PARTS, crs=grid.crs,
        transform=(a / PARTS, 0.0, c + a * first, 0.0, e / PARTS, f + e * upper),
    )  # fmt: skip
    drawn = rasterize([(polygon, 1)], out_shape=(fine.height, fine.width), transform=affine(fine), dtype="uint8")
    share = drawn.reshape(height, PARTS, width, PARTS).mean((1, 3), dtype=np.float64)
    return Overlay(rows=slice(upper, upper + height), columns=slice(first, first + width), share=share)


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
        InputError: if a date cannot be read or is of another year.
    """
    import pandas as pd

    if "sowing" not in fields.table:
        return np.full(len(fields), np.nan)
    try:
        dates = pd.to_datetime(fields.table["sowing"], format="ISO8601", errors="raise")
    except (ValueError, TypeError) as error:
        raise InputError(f"a date in the column sowing cannot be read ({error!s:.100}); want YYYY-MM-DD") from error
    wrong: Sequence[Any] = [date for date in dates.dropna() if date.year != year]
    if wrong:
        raise InputError(f"a field was sown {wrong[0]:%Y-%m-%d}, the scenes are of {year}; give this season's dates")
    days: NDArray[np.float64] = (dates.dt.day_of_year - 1).to_numpy(np.float64, na_value=np.nan)
    return days
