"""What the header of a GeoTIFF must say before a pixel is read: sizes that fit, blocks that are there, a real place."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.earth.crs import to_wgs84

if TYPE_CHECKING:
    import rasterio

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
MOST_BANDS = 1024  # four times a hyperspectral sensor's
BOMB_RATIO, BOMB_BYTES = 1100, 1 << 30  # DEFLATE packs at most 1032 to one: beyond it a file claims what it lacks
LARGEST_BLOCK = 256 << 20  # bytes unpacked at once by each of a few threads; a Sentinel-2 band in one strip has 241 MB
SMALLEST_PIXEL_M, LARGEST_PIXEL_M = 1e-4, 1e6  # a leaf's hair to a continent
METRES_A_DEGREE = 111_320.0  # of the equator


def check_sizes(dataset: "rasterio.DatasetReader", path: Path) -> None:
    """Check that type, bands, blocks and total can be read within bounded memory.

    Raises:
        InputError: saying which cannot.
    """
    kinds = sorted(set(dataset.dtypes))
    if len(kinds) != 1 or kinds[0] not in DTYPES:
        raise InputError(f"{path.name} has bands of {', '.join(kinds)}, want one type of real numbers; convert it")
    if dataset.count > MOST_BANDS:
        raise InputError(f"{path.name} has {dataset.count} bands, want at most {MOST_BANDS}; choose those that matter")
    bytes_a_value = np.dtype(kinds[0]).itemsize
    claimed, held = dataset.width * dataset.height * dataset.count * bytes_a_value, path.stat().st_size
    if claimed > max(BOMB_BYTES, BOMB_RATIO * held):
        raise InputError(
            f"{path.name} claims {claimed / 1e9:.1f} GB in {held / 1e6:.1f} MB, which no packing gives; it is refused"
        )
    rows, columns = dataset.block_shapes[0]
    block = rows * columns * bytes_a_value * (dataset.count if _is_interleaved(dataset) else 1)
    if block > LARGEST_BLOCK:
        raise InputError(
            f"{path.name} is packed in blocks of {block / 1e6:,.0f} MB, want at most {LARGEST_BLOCK / 1e6:,.0f}; "
            "write it again in tiles (gdal_translate -of COG)"
        )


def _is_interleaved(dataset: "rasterio.DatasetReader") -> bool:
    return dataset.count > 1 and dataset.interleaving is not None and dataset.interleaving.value.lower() == "pixel"


def check_blocks(dataset: "rasterio.DatasetReader", path: Path) -> None:
    """Check that every block lies within the file, and that none is missing where no value stands for missing.

    Raises:
        InputError: naming the first that is not there.
    """
    held = path.stat().st_size
    rows, columns = (math.ceil(side / step) for side, step in zip(dataset.shape, dataset.block_shapes[0], strict=True))
    for band in range(1, 2 if _is_interleaved(dataset) else dataset.count + 1):
        for row in range(rows):
            for column in range(columns):
                start = dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=band)
                size = dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=band)
                _check_block(path, (row, column), (start, size, held), dataset.nodata)


def _check_block(
    path: Path, at: tuple[int, int], found: tuple[str | None, str | None, int], nodata: float | None
) -> None:
    start, size, held = found
    where = f"block {at[1]}, {at[0]} of {path.name}"
    if not start or not size or int(size) == 0:
        if nodata is None:
            raise InputError(
                f"{where} was never written, and no value stands for missing; set nodata (gdal_edit.py -a_nodata), "
                "or fetch it again"
            )
    elif int(start) + int(size) > held:
        raise InputError(f"{where} lies beyond the end of the file: it is damaged or cut short; fetch it again")


def check_missing(dataset: "rasterio.DatasetReader", path: Path) -> None:
    """Check that what is missing is said by a value that the type can hold, and by nothing else.

    Raises:
        InputError: if a mask or alpha band says it, or the value is out of the type's range.
    """
    from rasterio.enums import ColorInterp, MaskFlags

    flags = {flag for flags in dataset.mask_flag_enums for flag in flags}
    if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        raise InputError(f"{path.name} has a mask band, which is not read; give missing pixels a value (nodata)")
    for kind, name in zip(dataset.colorinterp, dataset.descriptions, strict=True):
        if kind == ColorInterp.alpha and not name:
            raise InputError(f"{path.name} has an alpha band, which is not read; give missing pixels a value (nodata)")
    told = dataset.tags(ns="TIFF").get("GDAL_NODATA")
    nodata = dataset.nodata
    if len(set(map(str, dataset.nodatavals))) > 1:
        raise InputError(f"the bands of {path.name} have several nodata values; want one for all")
    if nodata is None or np.dtype(dataset.dtypes[0]).kind == "f":
        return
    span = np.iinfo(dataset.dtypes[0])
    if not math.isfinite(nodata) or not span.min <= nodata <= span.max or nodata != int(nodata):
        raise InputError(
            f"{path.name} says that {told or nodata} is missing, which {dataset.dtypes[0]} cannot hold; set nodata to "
            "what is meant (gdal_edit.py -a_nodata), or unset it"
        )


def check_place(transform: tuple[float, ...], crs: Any, size: tuple[int, int], path: Path) -> None:  # noqa: ANN401
    """Check that the grid is north-up, finite, of pixels that can be, and lies somewhere on Earth.

    Args:
        transform: GDAL's six numbers, as affine orders them.
        crs: rasterio's.
        size: width and height, pixels.
        path: for messages.

    Raises:
        InputError: saying what is wrong.
    """
    if crs is None or not (crs.is_geographic or crs.is_projected):
        what = "no CRS" if crs is None else "a CRS that is neither geographic nor projected"
        raise InputError(f"{path.name} has {what}; set it (gdal_edit.py -a_srs EPSG:...), it is not guessed")
    width, _, left, _, height, top = transform
    if not all(map(math.isfinite, transform)):
        raise InputError(
            f"{path.name} has a corner or pixel size that is no number ({_told(transform)}); place it anew"
        )
    if transform[1] or transform[3] or width <= 0 or height >= 0:
        raise InputError(f"{path.name} is rotated, not north-up or not placed; warp it to a grid first (gdalwarp)")
    metres = METRES_A_DEGREE if crs.is_geographic else float(crs.linear_units_factor[1])
    if not all(SMALLEST_PIXEL_M <= abs(side) * metres <= LARGEST_PIXEL_M for side in (width, height)):
        raise InputError(f"{path.name} has pixels of {width:g} by {-height:g}, which none has; place it anew")
    middle = (left + width * size[0] / 2, top + height * size[1] / 2)
    longitude, latitude = to_wgs84(crs.to_wkt(), path.name).transform(*middle)
    if not (abs(longitude) <= 360 and abs(latitude) <= 90) or left + width == left or top + height == top:
        raise InputError(f"{path.name} lies at {left:g}, {top:g}, which is nowhere in its CRS; place it anew")


def _told(transform: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in transform)
