"""Sentinel-2 products as ESA delivers them: .SAFE folders of level 2A, JPEG 2000 bands, one classification."""

import datetime
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel
from mainstem.data.earth.bands import CLEAR, WAVELENGTHS_NM, Staged
from mainstem.data.earth.raster import ENVIRONMENT, Grid, damage_named, fine_rows, grid_of, load_rasterio, times_coarser
from mainstem.data.earth.scenes import real_time

if TYPE_CHECKING:
    from rasterio import DatasetReader

METADATA = "MTD_MSIL2A.xml"
FINEST = ("B2", "B3", "B4", "B8")  # at 10 m; the others at 20 m
BAND_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")  # order of offsets
LARGEST_XML = 5 << 20
# Sentinel-2 Products Specification Document: 14.9, offsets from 25 January 2022; 3.4, tiles of 109.8 km
BASELINE_WITH_OFFSET, NEWEST_BASELINE = 4.0, 99.99
LARGEST_SIDE = 10_980  # pixels of 10 m
LARGEST_QUANTIFICATION = 65_535.0  # 10,000 so far: with 16 bits a larger one leaves no reflectance of 1
FILE = re.compile(r"(?P<tile>T\w+?)_(?:(?P<date>\d{8})T\d{6}_)?(?P<band>B\d[\dA]|SCL)_\d\dm")
A_DAY = datetime.timedelta(days=1)  # a data take may pass midnight


def open_safe(folder: Path) -> Staged:
    """Read a level-2A product: ten bands at 10 m, clouds by its classification, its own scale and offset.

    Bands of 20 m are repeated, not interpolated: each 20 m pixel covers four of 10 m exactly.

    Raises:
        InputError: if a band, the classification, the date or the scale is missing or no number, a baseline with offset
            has none, or a band is of another product.
    """
    root = _metadata(folder)
    baseline = _number(root, "PROCESSING_BASELINE", folder, NEWEST_BASELINE)
    quantification = _number(root, "BOA_QUANTIFICATION_VALUE", folder, LARGEST_QUANTIFICATION)
    offset = _offset(root, folder, baseline)
    time = _time(_text(root, "PRODUCT_START_TIME", folder), folder)
    files = {name: _file(folder, name, 10 if name in FINEST else 20) for name in WAVELENGTHS_NM}
    classes = _file(folder, "SCL", 20)
    _check_names([*files.values(), classes], folder, time)
    with _open(files["B2"]) as dataset:
        grid = grid_of(dataset, files["B2"])
    for path in (*files.values(), classes):
        _check_on(path, grid, "uint8" if path == classes else "uint16")

    def read(rows: slice) -> NDArray[np.generic]:
        bands = np.stack([_read(path, grid, rows) for path in files.values()])
        clear = np.isin(_read(classes, grid, rows), CLEAR)
        return np.where(clear, bands, 0).astype(np.uint16)

    return Staged(
        name=folder.name.removesuffix(".SAFE"),
        time=time,
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
    path = _inside(folder / METADATA, folder)
    if not path.is_file():
        raise InputError(f"{folder.name} has no {METADATA}; want a level-2A product (L1C is not corrected)")
    if path.stat().st_size > LARGEST_XML:
        raise InputError(f"{path.name} is too large, want at most {LARGEST_XML >> 20} MiB; fetch the product again")
    content = path.read_bytes()
    # NUL: UTF-16, in which a declaration would go unseen; products come in UTF-8
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content:
        raise InputError(f"{path.name} declares entities or is not in UTF-8, as no product is; fetch it again")
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - no entity can be declared
    except (ElementTree.ParseError, LookupError, ValueError, RecursionError) as error:
        raise InputError(f"{folder.name}/{METADATA} is damaged ({error}); fetch it again") from error


def _inside(path: Path, folder: Path) -> Path:
    """Return a path of a product, unless a link leads out of it.

    Raises:
        InputError: if one does.
    """
    try:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path.name} of {folder.name} cannot be followed ({error!s:.100}); fetch it again") from error
    if not is_inside:
        raise InputError(f"{path.name} of {folder.name} is a link that leads out of the product; copy the file there")
    return path


def _text(root: ElementTree.Element, tag: str, folder: Path) -> str:
    found = {element.text.strip() for element in root.iter(tag) if element.text and element.text.strip()}
    if not found:
        raise InputError(f"{folder.name}/{METADATA} lacks {tag}; fetch it again")
    if len(found) > 1:
        raise InputError(f"{folder.name}/{METADATA} gives {tag} as {' and '.join(sorted(found))[:100]}, want one")
    return found.pop()


def _number(root: ElementTree.Element, tag: str, folder: Path, largest: float) -> float:
    """A number above 0."""
    return _as_number(_text(root, tag, folder), f"{folder.name}/{METADATA} gives {tag} as", 0.0, largest)


def _as_number(text: str, what: str, above: float, largest: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not above < number <= largest:
        raise InputError(f"{what} {text[:40]!r}, want a number above {above:g}, at most {largest:g}; fetch it again")
    return number


def _time(stamp: str, folder: Path) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(stamp)
    except ValueError as error:
        raise InputError(f"{folder.name} starts at {stamp[:40]!r}, want an ISO 8601 time; fetch it again") from error
    return real_time(in_utc(found, folder.name), folder.name)


def in_utc(time: datetime.datetime, name: str) -> datetime.datetime:
    """A time in UTC, its zone taken away; one without a zone is in UTC already.

    Raises:
        InputError: if it lies beyond the calendar.
    """
    try:
        return time.astimezone(datetime.UTC).replace(tzinfo=None) if time.tzinfo else time
    except OverflowError as error:
        raise InputError(f"{name} is of {time.isoformat()}, which is no date; set it right") from error


def _offset(root: ElementTree.Element, folder: Path, baseline: float) -> float:
    """The offset that is added before scaling; baselines before 4.00 have none."""
    offsets: dict[str, set[float]] = {}
    for element in root.iter("BOA_ADD_OFFSET"):
        where = f"{folder.name}/{METADATA} gives a BOA_ADD_OFFSET as"
        value = _as_number(element.text or "", where, -LARGEST_QUANTIFICATION, LARGEST_QUANTIFICATION)
        offsets.setdefault(element.get("band_id", ""), set()).add(value)
    if baseline < BASELINE_WITH_OFFSET:
        if offsets:
            raise InputError(
                f"{folder.name} is of baseline {baseline:05.2f}, which knows no offset, but names BOA_ADD_OFFSET; "
                "fetch it again"
            )
        return 0.0
    if not offsets:
        raise InputError(f"{folder.name} is of baseline {baseline:05.2f} but names no BOA_ADD_OFFSET; fetch it again")
    wanted = [str(index) for index, name in enumerate(BAND_IDS) if name in WAVELENGTHS_NM]
    lacking = [BAND_IDS[int(index)] for index in wanted if index not in offsets]
    used = set().union(*(offsets.get(index, set()) for index in wanted))
    if lacking or len(used) != 1:
        told = f"none of {lacking[0]}" if lacking else f"several, {sorted(used)}"
        raise InputError(f"{folder.name} has several offsets or none of some bands ({told}); want one for all bands")
    return used.pop()


def _file(folder: Path, band: str, metres: int) -> Path:
    name = re.sub(r"^B(\d)$", r"B0\1", band)
    found = sorted(folder.glob(f"GRANULE/*/IMG_DATA/R{metres}m/*_{name}_{metres}m.jp2"))
    if len(found) != 1:
        raise InputError(f"{folder.name} has {len(found)} files of {name} at {metres} m, want one; fetch it again")
    return _inside(found[0], folder)


def _check_names(paths: list[Path], folder: Path, time: datetime.datetime) -> None:
    """Check that files are of one tile and one time, that of the product."""
    first: re.Match[str] | None = None
    for path in paths:
        match = FILE.fullmatch(path.stem)
        first = first or match
        if match is None or first is None or match["tile"] != first["tile"] or match["date"] != first["date"]:
            raise InputError(
                f"{path.name} of {folder.name} is of another tile or date than {paths[0].name}; fetch it again"
            )
    if first is not None and first["date"]:
        day = _time(first["date"], folder)
        if not -A_DAY <= time - day <= 2 * A_DAY:
            raise InputError(f"{paths[0].name} is not of {time:%Y-%m-%d}, the date of {folder.name}; fetch it again")


@contextmanager
def _open(path: Path) -> "Iterator[DatasetReader]":
    rasterio, whole = load_rasterio(), path.absolute()
    with rasterio.Env(**ENVIRONMENT), damage_named(path.name), rasterio.open(whole, driver="JP2OpenJPEG") as dataset:
        yield dataset


def _check_on(path: Path, grid: Grid, dtype: str) -> None:
    """Check that a band lies on the product's grid, at its resolution or coarser by a whole number.

    Raises:
        InputError: if it does not, or is not one band of this type.
    """
    with _open(path) as dataset:
        if (dataset.count, dataset.dtypes[0]) != (1, dtype) or max(dataset.shape) > LARGEST_SIDE:
            raise InputError(
                f"{path.name} has {dataset.count} bands of {dataset.dtypes[0]}, {dataset.width} x {dataset.height} "
                f"pixels; want one of {dtype}, at most {LARGEST_SIDE} a side; fetch it again"
            )
        transform, crs = tuple(dataset.transform)[:6], dataset.crs.to_wkt() if dataset.crs is not None else ""
        own = Grid(width=dataset.width, height=dataset.height, transform=transform, crs=crs)
        if not times_coarser(own, grid):
            raise InputError(f"{path.name} does not lie on the product's 10 m grid; fetch it again")


def _read(path: Path, grid: Grid, rows: slice) -> NDArray[np.generic]:
    """Rows of the fine grid (y, x) of a band, coarser pixels repeated."""
    window_of = load_rasterio().windows.Window.from_slices
    with _open(path) as dataset:
        ratio, whole = grid.width // dataset.width, slice(0, dataset.width)
        return fine_rows(lambda coarse: dataset.read(1, window=window_of(coarse, whole)), ratio, rows)
