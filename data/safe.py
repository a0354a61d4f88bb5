"""Sentinel-2 products as ESA delivers them: .SAFE folders of level 2A, JPEG 2000 bands, one classification."""

import datetime
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel
from mainstem.data.inputs import CLEAR, WAVELENGTHS_NM, Staged
from mainstem.data.raster import ENVIRONMENT, Grid, load_rasterio

METADATA = "MTD_MSIL2A.xml"
FINEST = ("B2", "B3", "B4", "B8")  # at 10 m; the others at 20 m
BAND_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")  # order of offsets
LARGEST_XML = 5 << 20
BASELINE_WITH_OFFSET = 4.0  # from 25 January 2022: Sentinel-2 Products Specification Document, 14.9


def open_safe(folder: Path) -> Staged:
    """Read a level-2A product: ten bands at 10 m, clouds by its classification, its own scale and offset.

    Bands of 20 m are repeated, not interpolated: each 20 m pixel covers four of 10 m exactly.

    Raises:
        InputError: if a band, the classification, the date or the scale is missing, or a baseline with offset has none.
    """
    root = _metadata(folder)
    baseline, quantification = _number(root, "PROCESSING_BASELINE"), _number(root, "BOA_QUANTIFICATION_VALUE")
    offset = _offset(root, folder, baseline)
    stamp = _text(root, "PRODUCT_START_TIME", folder)
    files = {name: _file(folder, name, 10 if name in FINEST else 20) for name in WAVELENGTHS_NM}
    classes = _file(folder, "SCL", 20)
    grid = _grid(files["B2"])

    def read(rows: slice) -> NDArray[np.generic]:
        bands = np.stack([_read(path, grid, rows) for path in files.values()])
        clear = np.isin(_read(classes, grid, rows), CLEAR)
        return np.where(clear, bands, 0).astype(np.uint16)

    return Staged(
        name=folder.name.removesuffix(".SAFE"),
        time=datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).replace(tzinfo=None),
        grid=grid,
        channels=tuple(Channel(name=name, unit="1", wavelength_nm=wave) for name, wave in WAVELENGTHS_NM.items()),
        dtype="uint16",
        nodata=0,
        scale=1 / quantification,
        offset=offset / quantification,
        read=read,
        tags={"PROCESSING_BASELINE": f"{baseline:05.2f}", "ATTRIBUTION": "Contains modified Copernicus Sentinel data"},
    )


def _metadata(folder: Path) -> ElementTree.Element:
    path = folder / METADATA
    if not path.is_file():
        raise InputError(f"{folder.name} has no {METADATA}; want a level-2A product (L1C is not corrected)")
    content = path.read_bytes()
    if len(content) > LARGEST_XML or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise InputError(f"{path.name} is too large or declares entities, which no product does; fetch it again")
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - no entity can be declared
    except ElementTree.ParseError as error:
        raise InputError(f"{folder.name}/{METADATA} is damaged ({error}); fetch it again") from error


def _text(root: ElementTree.Element, tag: str, folder: Path) -> str:
    found = next((element.text for element in root.iter(tag) if element.text), None)
    if found is None:
        raise InputError(f"{folder.name}/{METADATA} lacks {tag}; fetch it again")
    return found


def _number(root: ElementTree.Element, tag: str) -> float:
    text = _text(root, tag, Path(METADATA))
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{METADATA} gives {tag} as {text!r}, want a number") from error


def _offset(root: ElementTree.Element, folder: Path, baseline: float) -> float:
    """The offset that is added before scaling; baselines before 4.00 have none."""
    offsets = {int(element.get("band_id", -1)): float(element.text or 0) for element in root.iter("BOA_ADD_OFFSET")}
    if baseline < BASELINE_WITH_OFFSET:
        return 0.0
    if not offsets:
        raise InputError(f"{folder.name} is of baseline {baseline:05.2f} but names no BOA_ADD_OFFSET; fetch it again")
    used = {offsets.get(index) for index, name in enumerate(BAND_IDS) if name in WAVELENGTHS_NM}
    if len(used) != 1 or None in used:
        raise InputError(f"{folder.name} has several offsets, {sorted(map(str, used))}; want one for all bands")
    return float(next(iter(offsets.values())))


def _file(folder: Path, band: str, metres: int) -> Path:
    name = re.sub(r"^B(\d)$", r"B0\1", band)
    found = sorted(folder.glob(f"GRANULE/*/IMG_DATA/R{metres}m/*_{name}_{metres}m.jp2"))
    if len(found) != 1:
        raise InputError(f"{folder.name} has {len(found)} files of {name} at {metres} m, want one; fetch it again")
    return found[0]


def _grid(path: Path) -> Grid:
    rasterio = load_rasterio()
    with rasterio.Env(**ENVIRONMENT), rasterio.open(path, driver="JP2OpenJPEG") as dataset:
        if dataset.crs is None:
            raise InputError(f"{path.name} has no CRS; fetch the product again")
        transform = tuple(dataset.transform)[:6]
        return Grid(width=dataset.width, height=dataset.height, transform=transform, crs=dataset.crs.to_wkt())


def _read(path: Path, grid: Grid, rows: slice) -> NDArray[np.generic]:
    """Rows of the fine grid (y, x) of a band, coarser pixels repeated."""
    rasterio = load_rasterio()
    with rasterio.Env(**ENVIRONMENT), rasterio.open(path, driver="JP2OpenJPEG") as dataset:
        ratio = grid.width // dataset.width
        if (dataset.width * ratio, dataset.height * ratio) != (grid.width, grid.height):
            raise InputError(f"{path.name} does not lie on the product's 10 m grid; fetch it again")
        first, last = rows.start // ratio, -(-rows.stop // ratio)
        window = rasterio.windows.Window(0, first, dataset.width, last - first)
        try:
            values: NDArray[np.generic] = dataset.read(1, window=window)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"{path.name} cannot be read to its end ({error}); fetch it again") from error
    fine = values.repeat(ratio, 0).repeat(ratio, 1)
    return fine[rows.start - first * ratio : rows.stop - first * ratio]
