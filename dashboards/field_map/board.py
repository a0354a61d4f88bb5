"""What the field page shows of a map: its layers, its fields ranked, and each field's season."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.apps.field_maps import INPUT, fields_in, known_maps, maps_folder, scenes_in
from mainstem.apps.fields.by_date_table import read_by_date
from mainstem.apps.fields.map_advice import zones_file
from mainstem.apps.map_files import NOTES
from mainstem.apps.map_notes import MapNotes, read_notes
from mainstem.core.bounds import Bounds
from mainstem.core.errors import InputError
from mainstem.core.files import check_own
from mainstem.dashboards.field_map.journal import JOURNAL, Journal, lost_fields, read_journal
from mainstem.data.earth.farm_folders import HARVEST
from mainstem.data.earth.field_columns import own_columns
from mainstem.data.earth.fields import Fields, numbered, open_fields, overlay, sift_fields
from mainstem.data.earth.gdal import load_pyogrio
from mainstem.data.earth.raster import Grid, Source, describe, missing_as_nan, open_geotiff
from mainstem.data.earth.scenes import Scenes, open_scenes
from mainstem.data.earth.staging import stage
from mainstem.data.earth.vectors import read_vectors

if TYPE_CHECKING:
    import geopandas as gpd

Array = NDArray[np.float32]
Read = TypeVar("Read")
LOOK = 512  # pixels of a layer's longer side on the page
FIELDS = "fields.gpkg"
T_HA = "t/ha"
FIELD_NUMBERS = ("area_ha", "seen_share", "mean", "lower", "upper", "level")
FIELD_TEXTS = ("claim", "reason")
MOST_TOLD = 5  # damaged fields that are told one by one


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldBoard:
    """One map with its fields and scenes.

    Attributes:
        table: a row a field, those of which nothing can be said first, then from the lowest mean.
        bands: layers of the map by name (y, x), at LOOK pixels or fewer.
        ndvi: (date, y, x), NaN under cloud; clear_share (y, x) of dates.
        zones: (y, x), number of the zone that is drawn there, NaN where none is.
        inside: (y, x), true in a field, or everywhere where there are none.
        given: (y, x), true in a field that the map was made with, or everywhere: what colour scales go by.
        mean_factor: half width of a field's interval as a share of its pixels' mean half width.
        problems: what could not be read beside the map, a line each.
        left_out: fields that could not be used when the map was made, a line each.
        lost: fields that were drawn, altered or brought and are not on the map any more, as where it was made anew.
        undo: what would be undone of the fields, and redone, in words; "" where nothing would.
        by_date: what was told of the fields at each date, as `read_by_date` has it; None where the map is without.
        per_t_ha: how many of the board's unit make 1 t/ha; NaN where it is no unit of yields.
        grid: of the layers, at the page's size.
        bounds: left, bottom, right, top in the CRS.
    """

    name: str
    folder: Path
    table: "gpd.GeoDataFrame"
    bands: Mapping[str, Array]
    inside: NDArray[np.bool_]
    given: NDArray[np.bool_]
    ndvi: Array
    zones: Array
    dates: tuple[str, ...]
    grid: Grid
    bounds: tuple[float, float, float, float]
    crs: str
    tags: Mapping[str, str]
    mean_factor: float
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    undo: tuple[str, str] = ("", "")
    by_date: pd.DataFrame | None = None
    per_t_ha: float = np.nan

    @property
    def clear_share(self) -> Array:
        """Share of dates on which each pixel is seen."""
        share: Array = np.isfinite(self.ndvi).mean(0, dtype=np.float32)
        return share

    def season(self, field: str) -> pd.DataFrame:
        """Columns date, ndvi and seen (share of the field that is clear) of one field."""
        ndvi, seen = self.series(self.table.geometry[self.table["field"] == field].iloc[0])
        return pd.DataFrame({"date": self.dates, "ndvi": ndvi, "seen": seen})

    def series(self, polygon: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # noqa: ANN401 - shapely's
        """Mean NDVI of a polygon on each date, NaN where none of it is clear, and the share of it that is clear."""
        laid = overlay(self.grid, polygon)
        part = self.ndvi[:, laid.rows, laid.columns]
        weight = np.where(np.isfinite(part), laid.share, 0.0)
        seen, total = weight.sum((1, 2)), max(float(laid.share.sum()), 1e-9)
        mean = (np.nan_to_num(part) * weight).sum((1, 2)) / np.where(seen > 0, seen, np.nan)
        return mean, seen / total

    def harvests(self) -> NDArray[np.float64]:
        """Harvest of each field (fields,), in the board's unit; NaN where it is unknown, or the map tells no yields."""
        if HARVEST not in self.table:
            return np.full(len(self.table), np.nan)
        found = pd.to_numeric(self.table[HARVEST], errors="coerce").astype(float).to_numpy(np.float64)
        scaled: NDArray[np.float64] = self.per_t_ha * found
        return scaled

    def hindsight(self) -> tuple[int, int, float]:
        """Of fields whose harvest is known in the map's units: how many lie inside, of how many, mean less harvest."""
        harvest = self.harvests()
        low, mean, high = (self.table[name].to_numpy(np.float64) for name in ("lower", "mean", "upper"))
        known = np.isfinite(harvest + low + mean + high)
        inside = known & (low <= harvest) & (harvest <= high)
        return int(inside.sum()), int(known.sum()), float((mean - harvest)[known].mean()) if known.any() else 0.0

    def everyone(self) -> pd.DataFrame:
        """Columns date and ndvi of all fields together, without the dates that show none."""
        part = self.ndvi[:, self.inside]
        seen = np.isfinite(part).sum(1)
        mean = np.nan_to_num(part).sum(1) / np.where(seen > 0, seen, np.nan)
        return pd.DataFrame({"date": self.dates, "ndvi": mean}).dropna()

    def origins(self) -> tuple[bool, ...]:
        """Whether the scenes came from a simulator, as the map's own tags say; empty where they do not say it."""
        return {"simulated": (True,), "real": (False,)}.get(self.tags.get("INPUTS", ""), ())

    def scale(self, values: Array, factor: float = 1.0) -> tuple[float, float]:
        """Ends of a colour scale: 2nd and 98th percentile of what the map came with, whatever is drawn since."""
        known = values[self.given & np.isfinite(values)]
        low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
        return factor * float(low), factor * float(high)


def load_field_board(name: str) -> FieldBoard:
    """Read a map for the page; damaged fields or scenes are left out and named in `problems`.

    Raises:
        InputError: if there is none of this name, or the map or its notes cannot be read.
    """
    if name not in known_maps():
        raise InputError(f"there is no map named {name!r:.60}; choose one of the list, or make it first")
    folder = maps_folder() / name
    notes = read_notes(folder)
    source = describe(folder / "map.tif")
    a, _, c, _, e, f = source.grid.transform
    bounds = (c, f + e * source.grid.height, c + a * source.grid.width, f)
    problems: list[str] = []
    ndvi, dates = _told(problems, lambda: _season(folder, source.grid), _no_season(source.grid))
    table = _told(problems, lambda: _usable_on(folder, source.grid.crs, problems), _no_fields(source.grid.crs))
    journal = _told(problems, lambda: read_journal(folder), Journal())
    if journal.damaged:
        problems.append(
            f"line {journal.damaged} of {JOURNAL} is damaged: what was done before it cannot be undone; move the file "
            "away to begin another"
        )
    return FieldBoard(
        name=name,
        folder=folder,
        table=_ranked(table),
        bands=_bands(source, notes),
        inside=_inside(table, source.grid),
        given=_inside(_told([], lambda: _given_fields(folder, source.grid), table.iloc[:0]), source.grid),
        ndvi=ndvi,
        zones=_told(problems, lambda: _zones(folder, source.grid), _no_zones(source.grid)),
        dates=dates,
        grid=_small(source.grid),
        bounds=bounds,
        crs=source.grid.crs,
        tags=notes.tags,
        per_t_ha=1.0 if notes.tags["UNITS"] == T_HA else np.nan,
        mean_factor=notes.mean_factor,
        problems=tuple(problems),
        left_out=notes.left_out,
        lost=tuple(lost_fields(journal, set(table["field"]))),
        undo=journal.words(),
        by_date=_told(problems, lambda: read_by_date(folder), None),
    )


def _told(problems: list[str], read: Callable[[], Read], otherwise: Read) -> Read:
    """Read a part that the map can be shown without; note what is wrong with it."""
    try:
        return read()
    except InputError as error:
        problems.append(str(error))
        return otherwise


def _bands(source: Source, notes: MapNotes) -> dict[str, Array]:
    """The map's layers by name, at the page's size.

    Raises:
        InputError: if the file is damaged or the notes are of another map.
    """
    import rasterio

    if source.num_bands != len(notes.names):
        raise InputError(
            f"{NOTES} names {len(notes.names)} layers, map.tif holds {source.num_bands}: they are of two maps; make "
            "the map again"
        )
    try:
        with open_geotiff(source.path) as dataset:
            foreign = sorted(key for key in notes.tags if dataset.tags().get(key, notes.tags[key]) != notes.tags[key])
            read = dataset.read(out_shape=(source.num_bands, *_sides(source.grid)))
    except rasterio.errors.RasterioError as error:
        raise InputError(f"map.tif cannot be read ({error!s:.120}); make the map again") from error
    if foreign:
        raise InputError(f"{NOTES} is of another map than map.tif ({foreign[0]} differs); make the map again")
    bands = dict(zip(notes.names, read, strict=True))
    _check_bounds(bands["mean"], notes)
    return bands


def _check_bounds(mean: Array, notes: MapNotes) -> None:
    """Refuse bounds of what is possible that the map's own means lie beyond, by more than float32 rounds."""
    known = mean[np.isfinite(mean)].astype(np.float64)
    allowed = Bounds.of(notes.lowest, notes.highest)
    if not np.allclose(allowed.clip(known), known, rtol=1e-5, atol=1e-5):
        raise InputError(
            f"{NOTES} says {allowed.words()}, map.tif holds {known.min():g} to {known.max():g}: they are of two maps; "
            "make the map again"
        )


def _no_season(grid: Grid) -> tuple[Array, tuple[str, ...]]:
    return np.zeros((0, *_sides(grid)), np.float32), ()


def _no_zones(grid: Grid) -> Array:
    return np.full(_sides(grid), np.nan, np.float32)


def _zones(folder: Path, grid: Grid) -> Array:
    """The zones that are kept with a map (y, x), at the page's size.

    Raises:
        InputError: if their file cannot be read.
    """
    path, found = zones_file(folder), _no_zones(grid)
    if path is None:
        return found
    table = read_vectors(path).to_crs(grid.crs)
    if "zone" not in table:
        raise InputError(f"{path.name} has no column zone; draw the zones again (*Advice*)")
    table = table[pd.to_numeric(table["zone"], errors="coerce") > 0]
    small = _small(grid)
    rows = numbered(Fields(table=table), small, slice(0, small.height), slice(0, small.width))
    numbers = np.append(table["zone"].to_numpy(np.float32), np.float32(np.nan))
    return numbers[rows]


def _sides(grid: Grid) -> tuple[int, int]:
    shrink = max(max(grid.height, grid.width) / LOOK, 1.0)
    return max(round(grid.height / shrink), 1), max(round(grid.width / shrink), 1)


def _season(folder: Path, grid: Grid) -> tuple[Array, tuple[str, ...]]:
    """NDVI of each date (date, y, x) at the page's size."""
    paths = scenes_in(folder / INPUT) if (folder / INPUT).is_dir() else []
    if not paths:
        return _no_season(grid)
    scenes: Scenes = open_scenes(stage(paths, folder / ".scenes"))
    names = [channel.name for channel in scenes.channels]
    if not {"B4", "B8"} <= set(names):
        return _no_season(grid)
    looks = []
    for index, source in enumerate(scenes.sources):
        stored = _look(source, [names.index("B4") + 1, names.index("B8") + 1], grid)
        values = missing_as_nan(source, stored)
        red, near_infrared = (
            values[row] * scenes.scales[index, names.index(name)] + scenes.offsets[index, names.index(name)]
            for row, name in enumerate(("B4", "B8"))
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            looks.append((near_infrared - red) / (near_infrared + red))
    return np.stack(looks).astype(np.float32), tuple(date.isoformat() for date in scenes.dates)


def _look(source: Source, bands: list[int], grid: Grid) -> NDArray[Any]:
    """Bands of a scene at the page's size.

    Raises:
        InputError: if the file is damaged.
    """
    import rasterio

    try:
        with open_geotiff(source.path) as dataset:
            looked: NDArray[Any] = dataset.read(bands, out_shape=(len(bands), *_sides(grid)))
            return looked
    except rasterio.errors.RasterioError as error:
        raise InputError(f"scene {source.path.name} cannot be read ({error!s:.120}); NDVI is not shown") from error


def fields_on(folder: Path, crs: str) -> "gpd.GeoDataFrame":
    """Fields with their means, those drawn on the page included; empty where there is none.

    Raises:
        InputError: if one cannot be read, or they are not of this map.
    """
    path = folder / FIELDS
    check_own(path)
    return _as_kept(open_fields(path).table, path).to_crs(crs) if path.is_file() else _no_fields(crs)


def _usable_on(folder: Path, crs: str, problems: list[str]) -> "gpd.GeoDataFrame":
    """As `fields_on`, without the fields that another program has damaged, which are told."""
    path = folder / FIELDS
    check_own(path)
    if not path.is_file():
        return _no_fields(crs)
    found = sift_fields(read_vectors(path), FIELDS)
    table = _as_kept(found.table, path).to_crs(crs)
    problems += [one.of(FIELDS) for one in found.left_out[:MOST_TOLD]]
    return table


def _as_kept(table: "gpd.GeoDataFrame", path: Path) -> "gpd.GeoDataFrame":
    """The table with the map's numbers and texts as such, and the user's whole numbers and yes or no in spite of gaps.

    Raises:
        InputError: if it is of no map.
    """
    missing = [name for name in (*FIELD_NUMBERS, *FIELD_TEXTS) if name not in table]
    if missing:
        raise InputError(f"{FIELDS} has no column {missing[0]}; bring the fields again below the map")
    for name in FIELD_NUMBERS:
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    for name in FIELD_TEXTS:
        table[name] = table[name].fillna("").astype(str)
    told = load_pyogrio().read_info(path)
    for name, kind in zip(told["fields"], told["dtypes"], strict=True):
        if name in own_columns(table) and pd.api.types.is_float_dtype(table[name]) and "float" not in kind:
            table[name] = table[name].astype("boolean" if kind == "bool" else "Int64" if "int" in kind else float)
    return table


def _given_fields(folder: Path, grid: Grid) -> "gpd.GeoDataFrame":
    """The fields that lie with the map's inputs; empty where there are none."""
    path = fields_in(folder / INPUT) if (folder / INPUT).is_dir() else None
    return _no_fields(grid.crs) if path is None else open_fields(path).table.to_crs(grid.crs)


def _no_fields(crs: str) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    names = ("field", *FIELD_NUMBERS, *FIELD_TEXTS)
    return gpd.GeoDataFrame({name: [] for name in names}, geometry=[], crs=crs)


def _ranked(table: "gpd.GeoDataFrame") -> "gpd.GeoDataFrame":
    order = np.lexsort([table["mean"].fillna(0).to_numpy(np.float64), table["mean"].notna().to_numpy()])
    return table.iloc[order].reset_index(drop=True)


def _small(grid: Grid) -> Grid:
    """The grid at the page's size."""
    height, width = _sides(grid)
    a, _, c, _, e, f = grid.transform
    transform = (a * grid.width / width, 0.0, c, 0.0, e * grid.height / height, f)
    return Grid(width=width, height=height, transform=transform, crs=grid.crs)


def _inside(table: "gpd.GeoDataFrame", grid: Grid) -> NDArray[np.bool_]:
    small = _small(grid)
    if not len(table):
        return np.ones((small.height, small.width), bool)
    found: NDArray[np.bool_] = numbered(Fields(table=table), small, slice(0, small.height), slice(0, small.width)) >= 0
    return found if found.any() else np.ones_like(found)
