"""EOPatch folders of eo-learn: a cube of one index or band on one grid, with masks, and land-use polygons."""

import datetime
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line
from mainstem.core.stream import Channel
from mainstem.data.earth.crs import parse_crs
from mainstem.data.earth.geojson import SHAPES
from mainstem.data.earth.raster import Grid, affine
from mainstem.data.earth.vectors import read_vectors
from mainstem.data.limits import measure_folder

UNLABELLED = ""  # land use of polygons that nobody has named
FIRST_STAMP, LAST_STAMP = 1970, 2200
LAYERS = ("NDVI",)  # of `data/` that are read, one channel each, unit 1
LARGEST_TEXT, LARGEST_ARRAY = 1 << 20, 512 << 20  # bytes; an array is held whole
NDVI_LIMIT = 1.5  # NDVI lies between -1 and 1; noise over water goes beyond
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
    measure_folder(folder)
    arrays = [_array(folder / "data" / f"{name}.npy") for name in LAYERS]
    shape = arrays[0].shape
    valid = _valid(folder, shape[:3])
    stamps = _stamps(folder)
    if len(stamps) != shape[0]:
        raise InputError(f"{folder.name} has {len(stamps)} time stamps for {shape[0]} images; export it again")
    if any(after <= before for before, after in itertools.pairwise(stamps)):
        raise InputError(f"{folder.name} has time stamps that do not increase; sort its images")
    values = np.concatenate([np.moveaxis(array, -1, 1) for array in arrays], 1).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    values = np.where(valid[:, None], values, np.nan)
    if (np.abs(values) > NDVI_LIMIT).any():
        raise InputError(f"{folder.name} holds an NDVI of {np.nanmax(np.abs(values)):g}, want -1 to 1; convert it")
    return Cube(
        name=folder.name,
        grid=_grid(folder, shape[1], shape[2]),
        times=stamps,
        channels=tuple(Channel(name=name, unit="1") for name in LAYERS),
        values=values,
    )


def _stamps(folder: Path) -> tuple[datetime.datetime, ...]:
    """UTC of each image, as eo-learn writes it: ISO 8601, without a zone."""
    texts = _json(folder / "timestamps.json")
    try:
        stamps = tuple(datetime.datetime.fromisoformat(text) for text in texts)
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder.name}/timestamps.json holds no times ({error!s:.80}); export it again") from error
    if not stamps or any(not FIRST_STAMP <= stamp.year <= LAST_STAMP for stamp in stamps):
        raise InputError(f"{folder.name}/timestamps.json wants times of {FIRST_STAMP} to {LAST_STAMP}; export it again")
    return tuple(stamp.astimezone(datetime.UTC).replace(tzinfo=None) if stamp.tzinfo else stamp for stamp in stamps)


def _json(path: Path) -> Any:  # noqa: ANN401 - what the file holds
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(f"{path.name} has {path.stat().st_size >> 20} MiB; export the EOPatch again")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); export the EOPatch again") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is no JSON ({error!s:.80}); export the EOPatch again") from error


def _array(path: Path) -> NDArray[np.float32]:
    """A (time, y, x, channel) array of real numbers; pickles are never opened, sizes checked before memory is taken."""
    try:
        with np.errstate(over="ignore"):
            array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, TypeError, OverflowError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read as an array ({one_line(error, 100)}); the EOPatch needs it") from error
    if array.ndim != NUM_DIMS or 0 in array.shape:
        raise InputError(f"{path} has shape {array.shape}, want (time, y, x, channel)")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path} holds {str(array.dtype)[:40]}, want real numbers; export the EOPatch again")
    if 4 * array.size > LARGEST_ARRAY:
        raise InputError(f"{path} takes {4 * array.size >> 20} MiB, at most {LARGEST_ARRAY >> 20}; cut the EOPatch")
    with np.errstate(over="ignore"):
        return np.asarray(array).astype(np.float32)


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
    box = _json(folder / "bbox.geojson")
    try:
        ring = np.array(box["coordinates"][0], np.float64)
        named = box["crs"]["properties"]["name"]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(f"{folder.name}/bbox.geojson lacks its ring or its CRS ({error}); export it again") from error
    crs = parse_crs(named, f"{folder.name}/bbox.geojson").to_wkt()
    if ring.ndim != 2 or ring.shape[1] != 2 or not np.isfinite(ring).all() or (np.ptp(ring, 0) <= 0).any():
        raise InputError(f"{folder.name}/bbox.geojson has a ring that is no box; export it again")
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
    from rasterio.features import rasterize

    path = folder / "vector_timeless" / "LULC.gpkg"
    if not path.is_file():
        raise InputError(f"{folder.name} has no vector_timeless/LULC.gpkg, which holds the labels")
    table = read_vectors(path)
    if "LULC_NAME" not in table:
        raise InputError(f"{path.name} lacks LULC_NAME; export the EOPatch again")
    odd = [str(kind) for kind in table.geometry.geom_type if kind not in SHAPES]
    if odd:
        raise InputError(f"{path.name} holds a {odd[0]}, want polygons; export the EOPatch again")
    table = table.to_crs(grid.crs)
    names = {row: str(name) for row, name in enumerate(table["LULC_NAME"].fillna(UNLABELLED)) if name != UNLABELLED}
    polygon = np.full((grid.height, grid.width), -1, np.int64)
    if names:
        shapes = [(table.geometry.iloc[row], row) for row in names]
        polygon = rasterize(shapes, out_shape=polygon.shape, fill=-1, transform=affine(grid), dtype="int32").astype(
            np.int64
        )
    return LandUse(polygon=polygon, names=names)
