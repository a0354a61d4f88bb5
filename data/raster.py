"""Rasters on one grid: opened as GeoTIFF and nothing else, read by window, written as cloud-optimised GeoTIFF."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import rasterio

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF, either byte order
BOMB_RATIO, BOMB_BYTES = 1100, 1 << 30  # DEFLATE packs at most 1032 to one: beyond it a file claims what it lacks
CACHE_BYTES = 64 << 20  # of GDAL's blocks, each of which is read once; rasterio takes bytes, not megabytes
BLOCK = 512  # pixels a side of the blocks that are written
ENVIRONMENT: Mapping[str, Any] = {
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no sidecar is looked for
    "GDAL_PAM_ENABLED": "NO",
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
    try:
        import rasterio
        import rasterio.enums
        import rasterio.errors
        import rasterio.shutil
        import rasterio.windows
    except ImportError as error:
        raise MissingExtraError("rasterio", "maps") from error
    return rasterio


def affine(grid: Grid) -> Any:  # noqa: ANN401 - rasterio's Affine
    """The grid's transform as rasterio takes it."""
    return load_rasterio().Affine(*grid.transform)


@contextmanager
def open_geotiff(path: Path) -> "Iterator[rasterio.DatasetReader]":
    """Open a local GeoTIFF with the GeoTIFF driver alone: no other format, no address, no sidecar is ever followed.

    Raises:
        InputError: if it is no local TIFF file, or claims far more pixels than its bytes can hold.
    """
    rasterio = load_rasterio()
    check_tiff(path)
    with rasterio.Env(**ENVIRONMENT):
        try:
            dataset = rasterio.open(path, driver="GTiff", sharing=False)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"{path.name} cannot be read as a GeoTIFF ({error}); write it again") from error
        try:
            claimed = dataset.width * dataset.height * sum(np.dtype(name).itemsize for name in dataset.dtypes)
            if claimed > max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size):
                raise InputError(
                    f"{path.name} claims {claimed / 1e9:.1f} GB in {path.stat().st_size / 1e6:.1f} MB, which no "
                    "packing gives; it is refused"
                )
            yield dataset
        finally:
            dataset.close()


def check_tiff(path: Path) -> None:
    """Refuse what is no local TIFF file by its first bytes, whatever its name says.

    Raises:
        InputError: if it is not.
    """
    if not path.is_file():
        raise InputError(f"no file {path}; give a local .tif")
    with path.open("rb") as file:
        start = file.read(4)
    if start not in MAGIC:
        raise InputError(f"{path.name} is no TIFF file, whatever its name says; convert it with gdal_translate -of COG")


def describe(path: Path) -> Source:
    """Read a raster's grid and kind.

    Raises:
        InputError: if it cannot be read, has no CRS, or is not north-up.
    """
    with open_geotiff(path) as dataset:
        if dataset.crs is None:
            raise InputError(f"{path.name} has no CRS; set it (gdal_edit.py -a_srs EPSG:...), it is not guessed")
        transform = tuple(dataset.transform)[:6]
        if transform[1] or transform[3] or transform[0] <= 0 or transform[4] >= 0:
            raise InputError(f"{path.name} is rotated or not north-up; warp it to a grid first (gdalwarp)")
        if len(set(dataset.dtypes)) != 1 or np.dtype(dataset.dtypes[0]).kind not in "uif":
            raise InputError(f"{path.name} has bands of {', '.join(dataset.dtypes)}, want one type of real numbers")
        grid = Grid(width=dataset.width, height=dataset.height, transform=transform, crs=dataset.crs.to_wkt())
        return Source(
            path=path,
            grid=grid,
            num_bands=dataset.count,
            dtype=dataset.dtypes[0],
            nodata=dataset.nodata,
            block=dataset.block_shapes[0],
        )


def same_grid(paths: Sequence[Path]) -> list[Source]:
    """Describe rasters that must share grid, CRS, bands and type.

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


def read_window(source: Source, rows: slice, columns: slice) -> NDArray[Any]:
    """All bands (band, y, x) of a window, in the file's own type."""
    rasterio = load_rasterio()
    with open_geotiff(source.path) as dataset:
        window = rasterio.windows.Window.from_slices(rows, columns)
        try:
            values: NDArray[Any] = dataset.read(window=window)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"{source.path.name} cannot be read to its end ({error}); fetch it again") from error
    return values


def overview_factors(grid: Grid) -> list[int]:
    """By what each overview is smaller, down to one block."""
    factors: list[int] = []
    side = max(grid.width, grid.height)
    while side > BLOCK:
        factors.append(2 ** (len(factors) + 1))
        side = -(-side // 2)
    return factors


def write_cog(
    windows: Iterator[tuple[int, int, NDArray[np.float32]]],
    path: Path,
    grid: Grid,
    names: Sequence[str],
    tags: Mapping[str, str],
    is_category: bool = False,
) -> None:
    """Write windows (first row, first column, values (band, y, x)) as one COG with overviews; whole or not at all.

    Overviews are averages, of categories the commonest.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    rasterio = load_rasterio()
    plain = path.with_name(f".{path.name}.{os.getpid()}.plain.tif")
    part = path.with_name(f".{path.name}.{os.getpid()}.part.tif")
    profile = {
        "driver": "GTiff", "width": grid.width, "height": grid.height, "count": len(names), "dtype": "float32",
        "nodata": float("nan"), "crs": grid.crs, "transform": affine(grid),
        "interleave": "band", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    if grid.width >= BLOCK and grid.height >= BLOCK:
        profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    try:
        with rasterio.Env(**ENVIRONMENT):
            with rasterio.open(plain, "w", **profile) as target:
                target.descriptions = tuple(names)
                target.update_tags(**tags)
                for top, left, values in windows:
                    window = rasterio.windows.Window(left, top, values.shape[2], values.shape[1])
                    target.write(values, window=window)
            factors = overview_factors(grid)
            if factors:  # the COG driver's own take memory that grows with the width, and time
                with rasterio.open(plain, "r+") as target:
                    target.build_overviews(factors, rasterio.enums.Resampling["mode" if is_category else "average"])
            rasterio.shutil.copy(
                plain, part, driver="COG", COMPRESS="DEFLATE", LEVEL="1", PREDICTOR="YES", BLOCKSIZE=str(BLOCK),
                OVERVIEWS="FORCE_USE_EXISTING" if factors else "NONE", NUM_THREADS="ALL_CPUS", BIGTIFF="IF_SAFER",
            )  # fmt: skip
        part.replace(path)
    except (OSError, rasterio.errors.RasterioError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "space" in str(error).lower()
        what = "the disk is full" if full else str(error)
        raise InputError(f"cannot write {path} ({what}); free space or name another folder, then run again") from error
    finally:
        plain.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
