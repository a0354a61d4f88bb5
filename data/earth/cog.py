"""Rasters written as cloud-optimised GeoTIFF, whole or not at all, and read back before they get their name."""

import errno
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import scratch, sync_file, sync_folder
from mainstem.core.parallel import num_cores
from mainstem.data.earth.raster import ENVIRONMENT, Grid, affine, load_rasterio

BLOCK = 512  # pixels a side of the blocks that are written
Part = tuple[int, int, int, int, int]  # first row and column, height, width, checksum of the values


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
    profile = {
        "driver": "GTiff", "width": grid.width, "height": grid.height, "count": len(names), "dtype": "float32",
        "nodata": float("nan"), "crs": grid.crs, "transform": affine(grid),
        "interleave": "band", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    if grid.width >= BLOCK and grid.height >= BLOCK:
        profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    try:
        with scratch(path) as folder, rasterio.Env(**ENVIRONMENT):
            plain, part = folder / "plain.tif", folder / "part.tif"
            with rasterio.open(plain, "w", **profile) as target:
                target.descriptions = tuple(names)
                target.units = tuple(_unit(name, tags) for name in names)
                target.update_tags(**tags)
                sums = [_write_window(target, window) for window in windows]
            factors = overview_factors(grid)
            if factors:  # the COG driver's own take memory that grows with the width, and time
                with rasterio.open(plain, "r+") as target:
                    target.build_overviews(factors, rasterio.enums.Resampling["mode" if is_category else "average"])
            rasterio.shutil.copy(
                plain, part, driver="COG", COMPRESS="ZSTD", LEVEL="1", PREDICTOR="YES", BLOCKSIZE=str(BLOCK),
                OVERVIEWS="FORCE_USE_EXISTING" if factors else "NONE", NUM_THREADS="ALL_CPUS", BIGTIFF="IF_SAFER",
            )  # fmt: skip
            _check_written(part, sums, len(factors))
            sync_file(part)
            part.replace(path)
        sync_folder(path.parent)
    except (OSError, rasterio.errors.RasterioError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG) or "space" in str(error).lower()
        what = "the disk is full" if full else getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot write {path} ({what}); free space or name another folder, then run again") from error


def _unit(name: str, tags: Mapping[str, str]) -> str:
    """The unit of a band: that of the whole raster, but of a probability none."""
    return "1" if name.startswith("probability") else tags.get("UNITS", "")


def _write_window(target: Any, window: tuple[int, int, NDArray[np.float32]]) -> Part:  # noqa: ANN401 - rasterio's
    top, left, values = window
    rasterio = load_rasterio()
    target.write(values, window=rasterio.windows.Window(left, top, values.shape[2], values.shape[1]))
    return top, left, values.shape[1], values.shape[2], _checksum(values)


def _checksum(values: NDArray[Any]) -> int:
    """CRC-32 of float32 values; what is missing counts the same, whatever kind of NaN it is."""
    missing = np.isnan(values)
    plain = np.where(missing, np.float32("nan"), values) if missing.any() else values
    return zlib.crc32(np.ascontiguousarray(plain, np.float32).data.cast("B"))


def _check_written(path: Path, parts: Sequence[Part], num_overviews: int) -> None:
    """Read a raster back, side by side: on a full disk GDAL may end well all the same, with tiles left out.

    Raises:
        OSError: if it is not what was written, all of it.
    """
    num = max(math.ceil(len(parts) / num_cores()), 1)
    shares = [parts[start : start + num] for start in range(0, len(parts), num)]
    with ThreadPoolExecutor(num_cores()) as pool:
        read = [pool.submit(_check_parts, path, share, num_overviews) for share in shares]
        read += [pool.submit(_check_overview, path, level) for level in range(num_overviews)]
        for done in read:
            done.result()


def _check_parts(path: Path, parts: Sequence[Part], num_overviews: int) -> None:
    rasterio = load_rasterio()
    with rasterio.Env(**ENVIRONMENT), rasterio.open(path, driver="GTiff", sharing=False) as found:
        if len(found.overviews(1)) != num_overviews:
            raise OSError(errno.ENOSPC, "overviews are missing", str(path))
        for top, left, height, width, checksum in parts:
            values = found.read(window=rasterio.windows.Window(left, top, width, height))
            if _checksum(values) != checksum:
                raise OSError(errno.ENOSPC, "what was written does not come back", str(path))


def _check_overview(path: Path, level: int) -> None:
    rasterio = load_rasterio()
    with (
        rasterio.Env(**ENVIRONMENT),
        rasterio.open(path, driver="GTiff", sharing=False, overview_level=level) as found,
    ):
        for top in range(0, found.height, BLOCK):
            found.read(window=rasterio.windows.Window(0, top, found.width, min(BLOCK, found.height - top)))
