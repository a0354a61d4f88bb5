"""What the field page shows: maps kept on this machine, their layers, their fields ranked, and each field's season."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.adapters.crop_yield import pixel
from mainstem.apps.field_exports import field_table, write_fields
from mainstem.apps.finetune import fit_where_none
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_pixels import NOTES, MapSpec, map_scenes
from mainstem.core.errors import InputError, MainstemError
from mainstem.core.files import write_atomically
from mainstem.core.regression import DataRequest
from mainstem.data.catalogue import data_home
from mainstem.data.farm_sets import FEW_SIMULATED
from mainstem.data.farms import simulate_farm, write_farm
from mainstem.data.fields import STARTS, Fields, check_fields, numbered, overlay
from mainstem.data.inputs import stage
from mainstem.data.raster import Grid, describe, open_geotiff
from mainstem.data.scenes import Scenes, open_scenes

if TYPE_CHECKING:
    import geopandas as gpd

Array = NDArray[np.float32]
Progress = Callable[[str, float], None]
LOOK = 512  # pixels of a layer's longer side on the page
DEMO, DEMO_FARM = "simulated farm", 9001
THRESHOLD_T_HA = 8.0  # whose probability is shown unless the user says another: about the simulated farms' mean
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,39}")
SCENE_SUFFIXES = (".tif", ".tiff")
INPUT = "input"


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldBoard:
    """One map with its fields and scenes.

    Attributes:
        table: a row a field, those of which nothing can be said first, then from the lowest mean.
        bands: layers of the map by name (y, x), at LOOK pixels or fewer.
        ndvi: (date, y, x), NaN under cloud; clear_share (y, x) of dates.
        inside: (y, x), true in a field, or everywhere where there are none.
        grid: of the layers, at the page's size.
        bounds: left, bottom, right, top in the CRS.
    """

    name: str
    folder: Path
    table: "gpd.GeoDataFrame"
    bands: Mapping[str, Array]
    inside: NDArray[np.bool_]
    ndvi: Array
    dates: tuple[str, ...]
    grid: Grid
    bounds: tuple[float, float, float, float]
    crs: str
    tags: Mapping[str, str]

    @property
    def clear_share(self) -> Array:
        """Share of dates on which each pixel is seen."""
        share: Array = np.isfinite(self.ndvi).mean(0, dtype=np.float32)
        return share

    def season(self, field: str) -> pd.DataFrame:
        """Columns date, ndvi and seen (share of the field that is clear) of one field."""
        polygon = self.table.geometry[self.table["field"] == field].iloc[0]
        laid = overlay(self.grid, polygon)
        part = self.ndvi[:, laid.rows, laid.columns]
        weight = np.where(np.isfinite(part), laid.share, 0.0)
        seen, total = weight.sum((1, 2)), max(float(laid.share.sum()), 1e-9)
        mean = (np.nan_to_num(part) * weight).sum((1, 2)) / np.where(seen > 0, seen, np.nan)
        return pd.DataFrame({"date": self.dates, "ndvi": mean, "seen": seen / total})

    def everyone(self) -> pd.DataFrame:
        """Columns date and ndvi of all fields together, without the dates that show none."""
        part = self.ndvi[:, self.inside]
        seen = np.isfinite(part).sum(1)
        mean = np.nan_to_num(part).sum(1) / np.where(seen > 0, seen, np.nan)
        return pd.DataFrame({"date": self.dates, "ndvi": mean}).dropna()

    def is_simulated(self) -> bool:
        """True where the scenes came from a simulator."""
        return self.tags.get("INPUTS") == "simulated"


def maps_folder() -> Path:
    """Where the page's maps lie."""
    return data_home() / "maps"


def run_folder() -> Path:
    """Where the run that makes them lies."""
    return data_home() / "runs" / f"{pixel.TASK.name}-{pixel.TASK.task}"


def known_maps() -> list[str]:
    """Names of the maps that are whole, newest first, the demonstration last."""
    found = [path.parent for path in maps_folder().glob("*/map.tif") if (path.parent / NOTES).is_file()]
    newest = sorted(found, key=lambda folder: (folder.name == DEMO, -(folder / "map.tif").stat().st_mtime))
    return [folder.name for folder in newest]


def ensure_run(progress: Progress | None = None) -> Path:
    """Return a run of the pixel task; train it on a few simulated farms where there is none that can be read."""
    return fit_where_none(pixel.TASK, run_folder(), lambda: pixel.read(DataRequest(data=FEW_SIMULATED)), progress)


def ensure_demo(progress: Progress | None = None) -> str:
    """Return the name of a map of a simulated farm; make it where there is none."""
    if DEMO not in known_maps():
        folder = maps_folder() / DEMO / INPUT
        scenes = write_farm(simulate_farm(DEMO_FARM), folder)
        _map(DEMO, scenes, progress)
    return DEMO


def keep_inputs(name: str, files: Mapping[str, bytes]) -> list[Path]:
    """Keep a user's scenes, weather, soil and fields under a name, and return the scenes.

    Raises:
        InputError: if the name is taken or odd, or there are no scenes or no weather.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"got the name {name!r}, want letters, digits, blanks, - or _, at most 40")
    folder = maps_folder() / name
    if folder.exists():
        raise InputError(f"a map named {name!r} exists already; choose another name")
    if not any(file.lower().endswith(SCENE_SUFFIXES) and file != "soil.tif" for file in files):
        raise InputError("got no scene; give GeoTIFFs, one a date, their bands named (B4, B8 ...) with unit and scale")
    if not any(file.endswith((".csv", ".nc")) for file in files):
        raise InputError("got no weather; give a .csv (date, temperature_c, rain_mm, radiation_mj_m2) or AgERA5 .nc")
    for file, content in files.items():
        write_atomically(folder / INPUT / Path(file).name, content)
    return _scenes(folder / INPUT)


def make_map(name: str, threshold: float = THRESHOLD_T_HA, progress: Progress | None = None) -> str:
    """Map the inputs that are kept under a name; a name whose inputs cannot be mapped is given up again.

    Raises:
        InputError: saying what is wrong with them.
    """
    folder = maps_folder() / name
    try:
        _map(name, _scenes(folder / INPUT), progress, threshold)
    except MainstemError:
        shutil.rmtree(folder)
        raise
    return name


def _scenes(folder: Path) -> list[Path]:
    names = {"yield.tif", "soil.tif"}
    return sorted(path for path in folder.iterdir() if path.suffix in SCENE_SUFFIXES and path.name not in names)


def _map(name: str, scenes: Sequence[Path], progress: Progress | None, threshold: float = THRESHOLD_T_HA) -> None:
    folder = maps_folder() / name
    given = folder / INPUT
    soil, fields = given / "soil.tif", _fields_file(given)
    weather = sorted([*given.glob("*.nc"), *(path for path in given.glob("*.csv") if path.name != "management.csv")])
    context = ContextSpec(weather=tuple(weather), soil=soil if soil.is_file() else None, fields=fields)
    map_scenes(pixel.TASK, ensure_run(progress), scenes, folder, MapSpec(context=context, below=(threshold,)), progress)


def _fields_file(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.iterdir()) if path.suffix.lower() in STARTS), None)


def load_field_board(name: str) -> FieldBoard:
    """Read a map for the page.

    Raises:
        InputError: if there is none of this name.
    """
    folder = maps_folder() / name
    if not (folder / "map.tif").is_file():
        raise InputError(f"there is no map named {name!r}; make it first")
    notes: dict[str, Any] = json.loads((folder / NOTES).read_text())
    source = describe(folder / "map.tif")
    a, _, c, _, e, f = source.grid.transform
    bounds = (c, f + e * source.grid.height, c + a * source.grid.width, f)
    with open_geotiff(source.path) as dataset:
        read = dataset.read(out_shape=(source.num_bands, *_sides(source.grid)))
    ndvi, dates = _season(folder, source.grid)
    table = _table(folder, notes)
    return FieldBoard(
        name=name,
        folder=folder,
        table=_ranked(table),
        bands=dict(zip(notes["names"], read, strict=True)),
        inside=_inside(table, source.grid),
        ndvi=ndvi,
        dates=dates,
        grid=_small(source.grid),
        bounds=bounds,
        crs=source.grid.crs,
        tags=notes["tags"],
    )


def _sides(grid: Grid) -> tuple[int, int]:
    shrink = max(max(grid.height, grid.width) / LOOK, 1.0)
    return max(round(grid.height / shrink), 1), max(round(grid.width / shrink), 1)


def _season(folder: Path, grid: Grid) -> tuple[Array, tuple[str, ...]]:
    """NDVI of each date (date, y, x) at the page's size."""
    paths = _scenes(folder / INPUT) if (folder / INPUT).is_dir() else []
    if not paths:
        return np.zeros((0, *_sides(grid)), np.float32), ()
    scenes: Scenes = open_scenes(stage(paths, folder / ".scenes"))
    names = [channel.name for channel in scenes.channels]
    if not {"B4", "B8"} <= set(names):
        return np.zeros((0, *_sides(grid)), np.float32), ()
    looks = []
    for index, source in enumerate(scenes.sources):
        with open_geotiff(source.path) as dataset:
            stored = dataset.read([names.index("B4") + 1, names.index("B8") + 1], out_shape=(2, *_sides(grid)))
        values = stored.astype(np.float64)
        if source.nodata is not None:
            values[values == source.nodata] = np.nan
        red, near_infrared = (
            values[row] * scenes.scales[index, names.index(name)] + scenes.offsets[index, names.index(name)]
            for row, name in enumerate(("B4", "B8"))
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            looks.append((near_infrared - red) / (near_infrared + red))
    return np.stack(looks).astype(np.float32), tuple(date.isoformat() for date in scenes.dates)


def _table(folder: Path, notes: Mapping[str, Any]) -> "gpd.GeoDataFrame":
    """Fields with their means, those drawn on the page included; empty where there is none."""
    import geopandas as gpd

    path = folder / "fields.gpkg"
    if path.is_file():
        table = gpd.read_file(path)
        table["field"] = table["field"].astype(str)
        return table
    names = ("field", "area_ha", "seen_share", "mean", "lower", "upper", "claim", "reason")
    crs = describe(folder / "map.tif").grid.crs
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


def add_field(board: FieldBoard, corners: Sequence[tuple[float, float]]) -> str:
    """Add a field drawn on the map, its corners in the map's CRS, and write the fields anew; returns its name.

    Raises:
        InputError: if it crosses itself or leaves the map.
    """
    import geopandas as gpd
    from shapely.geometry import Polygon

    number = 1
    while f"drawn {number}" in set(board.table["field"]):
        number += 1
    name = f"drawn {number}"
    drawn = gpd.GeoDataFrame({"field": [name]}, geometry=[Polygon(corners)], crs=board.crs)
    whole = pd.concat([board.table[["field", "geometry"]], drawn], ignore_index=True)
    fields = check_fields(gpd.GeoDataFrame(whole, crs=board.crs), "the drawing")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fields.gpkg"
        fields.table.to_file(path, driver="GPKG")
        _take(board, path)
    return name


def import_fields(board: FieldBoard, name: str, content: bytes) -> int:
    """Take fields from a user's file in place of the map's, and return how many there are.

    Raises:
        InputError: if they cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(content)
        return _take(board, path)


def _take(board: FieldBoard, fields: Path) -> int:
    """Average the map over other fields, and write them in place of its own; returns how many there are."""
    notes = json.loads((board.folder / NOTES).read_text())
    table = field_table(board.folder / "map.tif", fields, notes["tags"], float(notes["mean_factor"]))
    write_fields(table, board.folder)
    return len(table)
