"""Rasters on one grid: opened as GeoTIFF and nothing else, and read by window."""

import functools
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import one_line
from mainstem.data.earth.gdal import keep_offline
from mainstem.data.earth.geotiff_checks import check_blocks, check_missing, check_place, check_sizes

if TYPE_CHECKING:
    import rasterio

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF, either byte order
CACHE_BYTES = 64 << 20  # of GDAL's blocks, each of which is read once; rasterio takes bytes, not megabytes
LOOK = 256  # pixels a side of a coarse look
ENVIRONMENT: Mapping[str, Any] = {
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no sidecar is looked for
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",  # no world file
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_NUM_THREADS": "ALL_CPUS",
}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where pixels lie: size, affine transform (GDAL's six numbers a, b, c, d, e, f) and CRS as WKT."""

    width: int
    height: int
    transform: tuple[float, ...]
    crs: str

    def describe(self) -> str:
        """Size, pixel size and first corner, for messages."""
        size, left, top = self.transform[0], self.transform[2], self.transform[5]
        return f"{self.width} x {self.height} pixels of {size:g} at {left:g}, {top:g}"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One raster file: its grid, bands, type, fill value and the size of its blocks (rows, columns)."""

    path: Path
    grid: Grid
    num_bands: int
    dtype: str
    nodata: float | None
    block: tuple[int, int]


def load_rasterio() -> Any:  # noqa: ANN401 - the module itself
    """Import rasterio with what is used of it.

    Raises:
        MissingExtraError: if it is not installed.
    """
    keep_offline()
    try:
        import rasterio
        import rasterio.crs
        import rasterio.enums
        import rasterio.errors
        import rasterio.shutil
        import rasterio.windows
    except ImportError as error:
        raise MissingExtraError("rasterio", "maps") from error
    # said as an error of ours where it matters
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    _mute_undecodable()
    return rasterio


@functools.cache
def _mute_undecodable() -> None:
    """Print nothing where rasterio cannot decode a message of GDAL's that quotes a damaged file; it goes on.

    Cython shows such an exception, which nobody can catch, by both hooks: first without a traceback, which an exception
    that ends the program always has.
    """
    shown, ignored = sys.excepthook, sys.unraisablehook

    def excepthook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if not (kind is UnicodeDecodeError and where is None):
            shown(kind, error, where)

    def unraisablehook(told: "sys.UnraisableHookArgs") -> None:
        if not (isinstance(told.exc_value, UnicodeDecodeError) and "rasterio" in str(told.object)):
            ignored(told)

    sys.excepthook, sys.unraisablehook = excepthook, unraisablehook


def affine(grid: Grid) -> Any:  # noqa: ANN401 - rasterio's Affine
    """The grid's transform as rasterio takes it."""
    return load_rasterio().Affine(*grid.transform)


@contextmanager
def open_geotiff(path: Path) -> "Iterator[rasterio.DatasetReader]":
    """Open a local GeoTIFF with the GeoTIFF driver alone: no other format, no address, no sidecar is ever followed.

    Raises:
        InputError: if it is no local TIFF file, claims more than can be, or is found to be damaged while it is read.
    """
    rasterio = load_rasterio()
    check_tiff(path)
    whole = path.absolute()  # GDAL takes a name that begins with GTIFF_DIR: for an offset into another file
    with (
        rasterio.Env(**ENVIRONMENT),
        damage_named(path.name),
        rasterio.open(whole, driver="GTiff", sharing=False) as dataset,
    ):
        check_sizes(dataset, path)
        yield dataset


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Say what a library finds wrong with a file in one line.

    Raises:
        InputError: naming the file.
    """
    rasterio = load_rasterio()
    from rasterio._err import CPLE_BaseError  # what rasterio lets through of GDAL's own errors

    try:
        yield
    except (rasterio.errors.RasterioError, CPLE_BaseError, UnicodeError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{name} is damaged or cut short and cannot be read ({one_line(error)}); fetch or write it again"
        ) from error


def check_tiff(path: Path) -> None:
    """Refuse what is no local TIFF file by its first bytes, whatever its name says.

    Raises:
        InputError: if it is not.
    """
    try:
        if not path.is_file():
            raise InputError(f"no file {path}; give a local .tif")
        with path.open("rb") as file:
            start = file.read(4)
    except (OSError, ValueError) as error:  # a name too long, or with NUL
        raise InputError(f"cannot open {str(path)[:200]!r} ({error!s:.100}); give a local .tif") from error
    if start not in MAGIC:
        raise InputError(f"{path.name} is no TIFF file, whatever its name says; convert it with gdal_translate -of COG")


def describe(path: Path) -> Source:
    """Read a raster's grid and kind.

    Raises:
        InputError: if it cannot be read whole, has no CRS or place on Earth, or is not north-up.
    """
    with open_geotiff(path) as dataset:
        grid = grid_of(dataset, path)
        check_missing(dataset, path)
        check_blocks(dataset, path)
        return Source(
            path=path,
            grid=grid,
            num_bands=dataset.count,
            dtype=dataset.dtypes[0],
            nodata=dataset.nodata,
            block=dataset.block_shapes[0],
        )


def grid_of(dataset: "rasterio.DatasetReader", path: Path) -> Grid:
    """Read where an open raster's pixels lie.

    Raises:
        InputError: if it has no CRS or place on Earth, or is not north-up.
    """
    transform = tuple(dataset.transform)[:6]
    check_place(transform, dataset.crs, (dataset.width, dataset.height), path)
    return Grid(width=dataset.width, height=dataset.height, transform=transform, crs=dataset.crs.to_wkt())


def times_coarser(grid: Grid, fine: Grid) -> int:
    """By what whole number a grid's pixels are larger than those of another that it covers exactly; 0 if by none."""
    ratio = max(round(grid.transform[0] / fine.transform[0]), 1)
    a, b, c, d, e, f = fine.transform
    size, crs, transform = (fine.width, fine.height), fine.crs, (a * ratio, b, c, d, e * ratio, f)
    is_on = ((grid.width * ratio, grid.height * ratio), grid.crs, grid.transform) == (size, crs, transform)
    return ratio if is_on else 0


def fine_rows(read: Callable[[slice], NDArray[Any]], ratio: int, rows: slice) -> NDArray[Any]:
    """Rows of a fine grid (y, x) read of one that is `ratio` times coarser, its pixels repeated."""
    first, last = rows.start // ratio, -(-rows.stop // ratio)
    fine = read(slice(first, last)).repeat(ratio, 0).repeat(ratio, 1)
    return fine[rows.start - first * ratio : rows.stop - first * ratio]


def same_grid(paths: Sequence[Path]) -> list[Source]:
    """Describe rasters that must share grid, CRS, number of bands and type.

    Raises:
        InputError: if there is none, or two differ; the message says in what.
    """
    if not paths:
        raise InputError("got no raster, want at least one")
    sources = [describe(path) for path in paths]
    first = sources[0]
    for other in sources[1:]:
        if other.grid.crs != first.grid.crs:
            raise InputError(f"{other.path.name} has another CRS than {first.path.name}; warp one to the other's")
        if other.grid != first.grid:
            raise InputError(
                f"{other.path.name} is {other.grid.describe()}, {first.path.name} {first.grid.describe()}; "
                "warp one to the other's grid"
            )
        if (other.num_bands, other.dtype) != (first.num_bands, first.dtype):
            raise InputError(
                f"{other.path.name} has {other.num_bands} bands of {other.dtype}, {first.path.name} "
                f"{first.num_bands} of {first.dtype}; give the same bands in the same type"
            )
    return sources


@contextmanager
def window_reader(path: Path) -> Iterator[Callable[[slice, slice], NDArray[Any]]]:
    """Open a raster once and read many windows of it: rows and columns to all bands (band, y, x)."""
    rasterio = load_rasterio()
    with open_geotiff(path) as dataset:
        yield lambda rows, columns: dataset.read(window=rasterio.windows.Window.from_slices(rows, columns))


def read_window(source: Source, rows: slice, columns: slice, into: NDArray[Any] | None = None) -> NDArray[Any]:
    """All bands (band, y, x) of a window, in the file's own type; written into an array that is given."""
    rasterio = load_rasterio()
    with open_geotiff(source.path) as dataset:
        values: NDArray[Any] = dataset.read(window=rasterio.windows.Window.from_slices(rows, columns), out=into)
    return values


def missing_as_nan(source: Source, values: NDArray[Any], into: NDArray[np.float32] | None = None) -> NDArray[Any]:
    """A raster's stored values, NaN where its fill value stands: as float64, or written into an array that is given."""
    found: NDArray[Any] = np.empty(values.shape) if into is None else into
    np.copyto(found, values, casting="same_kind")
    if source.nodata is not None and not math.isnan(source.nodata):
        found[values == values.dtype.type(source.nodata)] = np.nan
    return found


def open_layer(path: Path, grid: Grid, unit: str, largest: float) -> Source:
    """Describe a raster of one quantity that goes with scenes: one band on their grid, in its unit, from 0.

    Raises:
        InputError: if bands, grid, unit or values differ.
    """
    source = describe(path)
    if source.grid != grid:
        raise InputError(
            f"{path.name} is {source.grid.describe()}, the scenes {grid.describe()}; warp it to their grid"
        )
    with open_geotiff(path) as dataset:
        found = dataset.units[0] or dataset.tags().get("UNITS", "")
        packing = (dataset.scales[0], dataset.offsets[0])
        look = dataset.read(1, out_shape=(min(grid.height, LOOK), min(grid.width, LOOK)))
    if source.num_bands != 1:
        raise InputError(f"{path.name} has {source.num_bands} bands, want one; choose it (gdal_translate -b)")
    if found != unit:
        raise InputError(f"{path.name} comes in {found or 'no unit'!r}, want {unit}; convert it")
    if packing != (1.0, 0.0):
        raise InputError(f"{path.name} is packed by scale {packing[0]:g} and offset {packing[1]:g}; unpack it first")
    values = missing_as_nan(source, look)
    values = values[np.isfinite(values)]
    if values.size and not (values.min() >= 0 and values.max() <= largest):
        raise InputError(
            f"{path.name} holds {values.min():g} to {values.max():g}, want 0 to {largest:g} {unit}; set its nodata, or "
            "convert it"
        )
    return source


def spacing_m(grid: Grid, what: str) -> float:
    """A pixel's width in metres.

    Raises:
        InputError: if the CRS counts in degrees.
    """
    crs = load_rasterio().crs.CRS.from_wkt(grid.crs)
    if crs.is_geographic:
        raise InputError(f"got pixels in degrees, {what} needs a metric CRS; reproject the rasters first (gdalwarp)")
    return float(grid.transform[0] * crs.linear_units_factor[1])
