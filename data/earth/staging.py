"""Scenes from what users hold: GeoTIFFs, .SAFE folders, STAC items, Zarr or NetCDF cubes and EOPatches.

What is no GeoTIFF is staged as one GeoTIFF a date, bands named, with unit, scale and offset, clouds left out; so that
maps read one kind of file, block by block, whatever came in.
"""

import errno
import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.files import content, scratch, sync_file, write_atomically
from mainstem.data.earth.bands import ROWS, Staged
from mainstem.data.earth.cubes import open_cube
from mainstem.data.earth.eopatch import Cube, is_eopatch, open_eopatch
from mainstem.data.earth.raster import ENVIRONMENT, affine, load_rasterio
from mainstem.data.earth.safe import open_safe
from mainstem.data.earth.stac import local_assets, open_item

KINDS = ".tif, a .SAFE folder, a STAC item (.json), .zarr, .nc or an EOPatch folder, there to be read"
STAGED_HASH, LARGEST_FILE = ".sha256", 64 << 30
ODD, LONGEST_NAME = re.compile(r"[^A-Za-z0-9_-]+"), 100  # what a product's name may bring into a file's
MOST_STAGED, KEPT_FREE = 256 << 30, 0.9  # bytes of one cube; share of what is free that it may take


def stage(inputs: Sequence[Path | str], folder: Path, allowed_hosts: Sequence[str] = ()) -> list[Path]:
    """Return GeoTIFFs of all inputs, those that are none staged in `folder`; one staged before is kept, if unchanged.

    Raises:
        InputError: naming the input and what it lacks.
    """
    found: list[Path] = []
    for given in inputs:
        path = Path(given)
        _check_there(path)
        if path.suffix.lower() in (".tif", ".tiff"):
            found.append(path)
            continue
        mark = _mark(path)
        if path.name.endswith(".SAFE"):
            found.append(_write(open_safe(path), folder, mark))
        elif path.suffix == ".json":
            item = open_item(path, folder, allowed_hosts)
            found.append(_write(item, folder, _mark(path, *item.files)))
        elif path.suffix in (".zarr", ".nc"):
            found += [_write(date, folder, mark) for date in _that_fit(open_cube(path), folder)]
        elif is_eopatch(path):
            found += [_write(date, folder, mark) for date in dates_of(open_eopatch(path))]
        else:
            raise InputError(f"{path} is no scene; want {KINDS}")
    return found


def files_named(inputs: Sequence[Path | str]) -> list[Path]:
    """The local files that these inputs name besides themselves: assets of STAC items.

    Raises:
        InputError: if an input is not there, or no item.
    """
    found: list[Path] = []
    for given in inputs:
        path = Path(given)
        _check_there(path)
        if path.suffix == ".json" and path.is_file():
            found += local_assets(path)
    return found


def _that_fit(dates: Iterator[Staged], folder: Path) -> list[Staged]:
    """Dates of which the disk can hold all.

    Raises:
        InputError: if it cannot, before the first is written.
    """
    found = list(dates)
    needed = sum(map(staged_bytes, found))
    free = shutil.disk_usage(next(place for place in (folder, *folder.resolve().parents) if place.exists())).free
    if needed > min(MOST_STAGED, free * KEPT_FREE):
        raise InputError(
            f"{found[0].name[:60]} and what follows take {needed / 1e9:.1f} GB staged, of {free / 1e9:.1f} GB that are "
            f"free and {MOST_STAGED / 1e9:.0f} GB at most; free space, or give fewer dates, bands or pixels"
        )
    return found


def dates_of(cube: Cube) -> Iterator[Staged]:
    """The dates of a cube in memory."""
    for index, time in enumerate(cube.times):
        values = cube.values[index]
        yield Staged(
            name=f"{cube.name}-{index:03d}",
            time=time,
            grid=cube.grid,
            channels=cube.channels,
            read=lambda rows, values=values: values[:, rows],  # type: ignore[misc]
        )


def _check_there(path: Path) -> None:
    """Check that an input is a file or folder that can be looked at.

    Raises:
        InputError: if it is not.
    """
    try:
        is_there = path.is_file() or path.is_dir()
    except (OSError, ValueError) as error:  # a name too long, or with NUL
        raise InputError(f"cannot look at {str(path)[:100]!r} ({error!s:.100}); name a scene") from error
    if not is_there:
        raise InputError(f"{path} is no scene; want {KINDS}")


def _mark(*paths: Path) -> str:
    """A short hash of an input's files, names and contents: another input is staged anew.

    Raises:
        InputError: if a file is larger than any product's.
    """
    together = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = file.relative_to(path) if file != path else Path(file.name)
            if file.is_file() and file.stat().st_size > LARGEST_FILE:
                raise InputError(f"{file} is larger than {LARGEST_FILE >> 30} GiB, which no product's file is")
            together.update(f"{name!r} {content(file).sha256 if file.is_file() else ''}\n".encode())
    return together.hexdigest()[:16]


def _is_whole(path: Path) -> bool:
    """True where a staged file is as it was written."""
    told = path.with_suffix(STAGED_HASH)
    return path.is_file() and told.is_file() and told.read_bytes() == content(path).sha256.encode()


def _write(staged: Staged, folder: Path, mark: str) -> Path:
    """Write one date as a tiled GeoTIFF, whole or not at all."""
    rasterio = load_rasterio()
    name = ODD.sub("_", staged.name)[:LONGEST_NAME]
    path = folder / f"{staged.time:%Y-%m-%dT%H%M%S}-{name}-{mark}.tif"
    if _is_whole(path):
        return path
    grid, count = staged.grid, len(staged.channels)
    profile = {
        "driver": "GTiff", "width": grid.width, "height": grid.height, "count": count, "dtype": staged.dtype,
        "nodata": staged.nodata, "crs": grid.crs, "transform": affine(grid), "BIGTIFF": "IF_SAFER",
        "interleave": "pixel",
    }  # fmt: skip
    if min(grid.width, grid.height) >= ROWS:
        profile |= {"tiled": True, "blockxsize": ROWS, "blockysize": ROWS}
    try:
        with scratch(path) as made:
            part = made / path.name
            with rasterio.Env(**ENVIRONMENT), rasterio.open(part, "w", **profile) as target:
                _fill(target, staged)
            sync_file(part)
            if part.stat().st_size < staged_bytes(staged):  # on a full disk GDAL may end well all the same
                raise OSError(errno.ENOSPC, "the disk is full")
            part.replace(path)
        write_atomically(path.with_suffix(STAGED_HASH), content(path).sha256.encode())
    except (OSError, rasterio.errors.RasterioError) as error:
        raise InputError(f"cannot stage {staged.name} ({error}); free space or fetch it again") from error
    return path


def staged_bytes(staged: Staged) -> int:
    """How many bytes the pixels of a date take, unpacked as they are staged."""
    return staged.grid.width * staged.grid.height * len(staged.channels) * np.dtype(staged.dtype).itemsize


def _fill(target: Any, staged: Staged) -> None:  # noqa: ANN401 - rasterio's
    """Write names, units, time and pixels."""
    rasterio = load_rasterio()
    grid, count = staged.grid, len(staged.channels)
    target.descriptions = tuple(channel.name for channel in staged.channels)
    target.units = tuple(channel.unit for channel in staged.channels)
    target.scales, target.offsets = (staged.scale,) * count, (staged.offset,) * count
    target.update_tags(TIFFTAG_DATETIME=f"{staged.time:%Y:%m:%d %H:%M:%S}", **staged.tags)
    for top in range(0, grid.height, ROWS):
        rows = slice(top, min(top + ROWS, grid.height))
        window = rasterio.windows.Window(0, top, grid.width, rows.stop - rows.start)
        target.write(staged.read(rows), window=window)
