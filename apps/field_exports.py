"""Fields of a map as tables: area-weighted means with intervals of their own; GeoPackage, GeoJSON, Shapefile, CSV."""

import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.core.bounds import Bounds
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.schema import printable
from mainstem.data.earth.field_columns import own_columns, short_names
from mainstem.data.earth.fields import Fields, Overlay, overlays, usable_fields
from mainstem.data.earth.raster import Grid, describe, window_reader
from mainstem.data.spreadsheets import csv_bytes

if TYPE_CHECKING:
    import geopandas as gpd

Read = Callable[[slice, slice], NDArray[Any]]  # rows and columns to bands (band, y, x)
M2_A_HA = 1e4
LEAST_SEEN = 0.5  # share of a field that must show a value, below which nothing is said of it
TAGS = {  # columns that say the same of every field, and the map's tags that say it
    "training": "TRAINING", "attribution": "ATTRIBUTION", "licence": "LICENCE", "dates": "DATES", "adapter": "ADAPTER",
    "adapter_sha256": "ADAPTER_SHA256",
}  # fmt: skip
LONGEST_TEXT = 250  # letters of a text that a Shapefile holds


def field_table(
    target: Path, fields: Path, tags: Mapping[str, str], mean_factor: float, bounds: Bounds
) -> "gpd.GeoDataFrame":
    """Area-weighted mean of each field of a file that can be used on a map, as `mean_fields` has it."""
    known, _ = usable_fields(fields, describe(target).grid)
    return mean_fields(target, known, tags, mean_factor, bounds)


def mean_fields(
    target: Path, fields: Fields, tags: Mapping[str, str], mean_factor: float, bounds: Bounds
) -> "gpd.GeoDataFrame":
    """Area-weighted mean of each field, given in the map's CRS, with its interval within `bounds`.

    Pixels of a field err together: the half width is the mean of the pixels' half widths times `mean_factor`, which
    was calibrated on means of fields never trained on. A pixel on the border counts by its share in the field. A field
    of which less than LEAST_SEEN shows a value has none: it says "cannot say: visit". The user's own columns stay, as
    `own_columns` names them.
    """
    source = describe(target)
    table = fields.table[["field", "geometry"]].copy()
    areas = areas_ha(table)
    with window_reader(target) as read:
        told = [_mean_on(source.grid, polygon, read) for polygon in table.geometry]
    share, value, half = (np.array(found) for found in zip(*told, strict=True)) if told else np.empty((3, 0))
    columns = areas, share, *bounds.interval(value, mean_factor * half)
    for name, column in zip(("area_ha", "seen_share", "mean", "lower", "upper"), columns, strict=True):
        table[name] = column
    table["units"], table["level"] = tags["UNITS"], float(tags["LEVEL"])
    table["claim"], table["reason"] = tags["CLAIM"], tags["CLAIM_REASON"]
    table.loc[table["mean"].isna(), ["claim", "reason"]] = ["none", "cannot say: visit"]
    for name, tag in TAGS.items():
        table[name] = tags.get(tag, "")
    return table.join(own_columns(fields.table))


def _mean_on(grid: Grid, polygon: Any, read: Read) -> tuple[float, float, float]:  # noqa: ANN401 - shapely's
    """`FieldMean.told` of one field on a map."""
    found = FieldMean()
    for laid in overlays(grid, polygon):
        found.add(laid, read(laid.rows, laid.columns))
    return found.told()


@dataclass
class FieldMean:
    """The area-weighted mean of a field's pixels and of their half widths, as their windows are added.

    Ends are cut where nothing is possible beyond: the longer side of an interval is half its width, and pixels that are
    cut down to a bound altogether, which have none, are counted with the width of the others.
    """

    total: float = 0.0
    seen: float = 0.0
    value: float = 0.0
    cut: float = 0.0
    half: float = 0.0
    counted: float = 0.0

    def add(self, laid: Overlay, bands: NDArray[Any]) -> None:
        """Add the pixels of a window: bands mean, lower and upper first (band, y, x), NaN where nothing is told."""
        mean, lower, upper = bands[:3].astype(np.float64)
        weight = np.where(np.isfinite(mean), laid.share, 0.0)
        self.total, self.seen = self.total + float(laid.share.sum()), self.seen + float(weight.sum())
        self.value += float((np.nan_to_num(mean) * weight).sum())
        self.cut += float((np.nan_to_num(upper - lower) * weight).sum())
        whole = np.where((lower < mean) & (mean < upper), weight, 0.0)
        self.half += float((np.nan_to_num(np.maximum(upper - mean, mean - lower)) * whole).sum())
        self.counted += float(whole.sum())

    def told(self) -> tuple[float, float, float]:
        """Share seen, mean and half width; the last two NaN where less than LEAST_SEEN is."""
        share = self.seen / self.total if self.total else 0.0
        if share < LEAST_SEEN:
            return share, np.nan, np.nan
        return share, self.value / self.seen, self.half / self.counted if self.counted else self.cut / self.seen


def areas_ha(table: "gpd.GeoDataFrame") -> list[float]:
    """Area of each polygon on the ellipsoid, hectares, whatever the CRS. Source: Karney 2013, J. Geodesy 87, 43."""
    from pyproj import Geod

    ellipsoid = Geod(ellps="WGS84")
    return [
        abs(ellipsoid.geometry_area_perimeter(polygon)[0]) / M2_A_HA for polygon in table.to_crs("EPSG:4326").geometry
    ]


def write_fields(table: "gpd.GeoDataFrame", folder: Path) -> list[Path]:
    """Write fields.gpkg, .geojson (WGS 84, as RFC 7946 has it), .shp in a .zip, and .csv; each whole or not at all."""
    contents = {f"fields.{kind}": field_bytes(table, kind) for kind in ("gpkg", "geojson", "shp.zip", "csv")}
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def field_bytes(table: "gpd.GeoDataFrame", kind: str) -> bytes:
    """Return the table as gpkg, geojson, shp.zip or csv.

    Raises:
        InputError: if the kind is another.
    """
    if kind == "csv":
        return csv_bytes(table.drop(columns="geometry"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "gpkg":
            table.to_file(folder / "fields.gpkg", driver="GPKG", layer="fields", VERSION="1.2")  # what older GIS read
        elif kind == "geojson":
            table.to_crs("EPSG:4326").to_file(folder / "fields.geojson", driver="GeoJSON", COORDINATE_PRECISION=9)
        elif kind == "shp.zip":
            return _shapefile(table, folder)
        else:
            raise InputError(f"got {kind!r}, want gpkg, geojson, shp.zip or csv")
        return (folder / f"fields.{kind}").read_bytes()


def _shapefile(table: "gpd.GeoDataFrame", folder: Path) -> bytes:
    """A zipped Shapefile, and beside it what its ten-letter names stand for."""
    short = short_names([str(name) for name in table if name != "geometry"])
    brief = table.rename(columns=short)
    for name in brief.columns.drop("geometry"):
        brief[name] = _as_dbase(brief[name])
    brief.to_file(folder / "fields.shp", driver="ESRI Shapefile", ENCODING="UTF-8")
    told = [f"{brief_name} = {printable(name, 300)}" for name, brief_name in short.items() if name != brief_name]
    head = "Names in fields.dbf, which hold ten letters at most, and what they stand for; texts are cut at 250 letters."
    (folder / "fields.columns.txt").write_text("\n".join([head, *told, ""]), encoding="utf-8")
    packed = folder / "fields.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("fields.*")):
            if path != packed:
                archive.write(path, path.name)
    return packed.read_bytes()


def _as_dbase(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """Cells as a Shapefile's table can hold them: days and times as text in ISO 8601, texts cut."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        is_day = bool((cells.dropna() == cells.dropna().dt.normalize()).all())
        return cells.map(lambda time: None if pd.isna(time) else time.isoformat()[: 10 if is_day else None])
    if pd.api.types.is_object_dtype(cells) or pd.api.types.is_string_dtype(cells):
        return cells.map(lambda text: str(text)[:LONGEST_TEXT] if isinstance(text, str) else text)
    return cells
