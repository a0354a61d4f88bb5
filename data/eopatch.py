"""EOPatch folders of eo-learn: a cube of one index or band on one grid, with masks, and land-use polygons."""

import datetime
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel
from mainstem.data.raster import Grid, affine

UNLABELLED = ""  # land use of polygons that nobody has named
LAYERS = ("NDVI",)  # of `data/` that are read, one channel each, unit 1
NUM_DIMS = 4  # of an array under data/ or mask/: time, y, x, channel


@dataclass(frozen=True, kw_only=True, eq=False)
class Cube:
    """Images of one grid: times, values (time, channel, y, x), NaN where cloudy or missing."""

    name: str
    grid: Grid
    times: tuple[datetime.datetime, ...]
    channels: tuple[Channel, ...]
    values: NDArray[np.float32]


def is_eopatch(path: Path) -> bool:
    """True for a folder in eo-learn's layout."""
    return (path / "data").is_dir() and (path / "timestamps.json").is_file() and (path / "bbox.geojson").is_file()


def open_eopatch(folder: Path) -> Cube:
    """Read the NDVI of an EOPatch, missing where `mask/IS_VALID` (or, without it, `mask/CLM`) says so.

    Raises:
        InputError: if it lacks NDVI, its bounding box, CRS or time stamps, or their shapes differ.
    """
    if not is_eopatch(folder):
        raise InputError(f"{folder} is no EOPatch; want data/, timestamps.json and bbox.geojson in it")
    arrays = [_array(folder / "data" / f"{name}.npy") for name in LAYERS]
    shape = arrays[0].shape
    valid = _valid(folder, shape[:3])
    stamps = tuple(datetime.datetime.fromisoformat(text) for text in json.loads(_text(folder / "timestamps.json")))
    if len(stamps) != shape[0]:
        raise InputError(f"{folder.name} has {len(stamps)} time stamps for {shape[0]} images; export it again")
    if any(after <= before for before, after in itertools.pairwise(stamps)):
        raise InputError(f"{folder.name} has time stamps that do not increase; sort its images")
    values = np.concatenate([np.moveaxis(array, -1, 1) for array in arrays], 1).astype(np.float32)
    return Cube(
        name=folder.name,
        grid=_grid(folder, shape[1], shape[2]),
        times=stamps,
        channels=tuple(Channel(name=name, unit="1") for name in LAYERS),
        values=np.where(valid[:, None], values, np.nan),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); export the EOPatch again") from error


def _array(path: Path) -> NDArray[np.float32]:
    """A (time, y, x, channel) array; pickles are never opened."""
    try:
        array: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an array ({error}); the EOPatch needs it") from error
    if array.ndim != NUM_DIMS:
        raise InputError(f"{path} has shape {array.shape}, want (time, y, x, channel)")
    return array


def _valid(folder: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    for name, clear in (("IS_VALID", 1), ("CLM", 0)):
        path = folder / "mask" / f"{name}.npy"
        if path.is_file():
            mask: NDArray[np.bool_] = _array(path)[..., 0] == clear
            if mask.shape != shape:
                raise InputError(f"{path} has shape {mask.shape}, the images {shape}; export the EOPatch again")
            return mask
    raise InputError(f"{folder.name} has neither mask/IS_VALID nor mask/CLM; clouds are not guessed")


def _grid(folder: Path, height: int, width: int) -> Grid:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    box = json.loads(_text(folder / "bbox.geojson"))
    try:
        ring = np.array(box["coordinates"][0], np.float64)
        crs = CRS.from_user_input(box["crs"]["properties"]["name"]).to_wkt()
    except (KeyError, IndexError, ValueError, CRSError) as error:
        raise InputError(f"{folder.name}/bbox.geojson lacks its ring or its CRS ({error}); export it again") from error
    left, bottom = ring.min(0)
    right, top = ring.max(0)
    transform = ((right - left) / width, 0.0, float(left), 0.0, -(top - bottom) / height, float(top))
    return Grid(width=width, height=height, transform=tuple(float(value) for value in transform), crs=crs)


@dataclass(frozen=True, kw_only=True, eq=False)
class LandUse:
    """Polygons of land use on a grid: `polygon` (y, x) holds each pixel's polygon, -1 where none is labelled."""

    polygon: NDArray[np.int64]
    names: Mapping[int, str]  # land use by polygon


def open_land_use(folder: Path, grid: Grid) -> LandUse:
    """Read `vector_timeless/LULC.gpkg`; a pixel belongs to the polygon that its centre lies in.

    Raises:
        InputError: if there is none, or it lacks LULC_NAME or a CRS.
    """
    import geopandas as gpd
    from pyogrio.errors import DataSourceError
    from rasterio.features import rasterize

    path = folder / "vector_timeless" / "LULC.gpkg"
    if not path.is_file():
        raise InputError(f"{folder.name} has no vector_timeless/LULC.gpkg, which holds the labels")
    try:
        table = gpd.read_file(path)
    except DataSourceError as error:
        raise InputError(f"{path.name} cannot be read as GeoPackage ({error}); export the EOPatch again") from error
    if "LULC_NAME" not in table or table.crs is None:
        raise InputError(f"{path.name} lacks LULC_NAME or its CRS; export the EOPatch again")
    table = table.to_crs(grid.crs)
    names = {row: str(name) for row, name in enumerate(table["LULC_NAME"].fillna(UNLABELLED)) if name != UNLABELLED}
    polygon = np.full((grid.height, grid.width), -1, np.int64)
    if names:
        shapes = [(table.geometry.iloc[row], row) for row in names]
        polygon = rasterize(shapes, out_shape=polygon.shape, fill=-1, transform=affine(grid), dtype="int32").astype(
            np.int64
        )
    return LandUse(polygon=polygon, names=names)
