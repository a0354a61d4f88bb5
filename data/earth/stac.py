"""STAC items of optical scenes: local assets beside the item, or fetched over https from hosts that the user allows."""

import datetime
import hashlib
import math
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import one_line
from mainstem.core.stream import Channel
from mainstem.core.transport import Wanted, check_address, fetch
from mainstem.data.earth.bands import CLEAR, WAVELENGTHS_NM, Staged, canonical
from mainstem.data.earth.raster import Source, describe, fine_rows, open_geotiff, read_window, times_coarser
from mainstem.data.earth.safe import BASELINE_WITH_OFFSET, in_utc
from mainstem.data.earth.scenes import STAMP, real_time
from mainstem.data.json_text import read_json

LARGEST_ITEM, LARGEST_ASSET = 16 << 20, 4 << 30
LONGEST_ID = 255
CLASSIFICATION = ("scl", "SCL")
BASELINES = ("s2:processing_baseline", "processing:version")
APPLIED = "earthsearch:boa_offset_applied"
SHA256 = "1220"  # multihash: the function's code and the digest's length in bytes, hex
FAR_DEG = 3.0  # from an item's box to the middle of its rasters: a tile of 110 km may show a corner alone
FAR = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where an item's assets may come from: the item's folder, a folder for what is fetched, and hosts."""

    beside: Path
    folder: Path
    hosts: tuple[str, ...]


def open_item(path: Path, folder: Path, allowed_hosts: Sequence[str] = ()) -> Staged:
    """Read an item's reflectance bands and scene classification; assets from the network are kept in `folder`.

    Scale and offset are those of `raster:bands`; an item that says that the offset was applied
    (`earthsearch:boa_offset_applied`) has none left.

    Raises:
        InputError: if the item is damaged, lacks date, bands, scale or classification, gives one twice, an asset is of
            elsewhere, or its host is not allowed.
    """
    item = read_item(path)
    if item.datetime is None:
        raise InputError(f"item {item.id} has no datetime; a composite's date is not guessed")
    time = real_time(in_utc(item.datetime, f"item {item.id}"), f"item {item.id}")
    assets = _bands(item)
    names = [name for name in WAVELENGTHS_NM if name in assets]
    scalings = {name: _scaling(item, assets[name]) for name in names}
    if len(set(scalings.values())) != 1:
        raise InputError(f"the bands of item {item.id} have several scales or offsets; want one")
    place = _Place(beside=path.parent, folder=folder, hosts=tuple(allowed_hosts))
    for asset in assets.values():
        _check_href(asset.href, place)  # before any is fetched
    sources = {name: describe(_local(asset, place)) for name, asset in assets.items()}
    mask = sources.pop("scl")
    finest = min(sources.values(), key=lambda source: source.grid.transform[0])
    for source in (*sources.values(), mask):
        _check_on(source, finest, is_mask=source is mask)
        _check_origin(item, source, time)

    def read(rows: slice) -> NDArray[np.generic]:
        bands = np.stack([_filled(source, _on(source, finest, rows)) for source in sources.values()])
        clear = np.isin(_on(mask, finest, rows), CLEAR)
        return np.where(clear, bands, 0).astype(finest.dtype)

    scale, offset = scalings[names[0]]
    return Staged(
        name=item.id,
        time=time,
        grid=finest.grid,
        channels=tuple(Channel(name=name, unit="1", wavelength_nm=WAVELENGTHS_NM[name]) for name in names),
        dtype=finest.dtype,
        nodata=0,
        scale=scale,
        offset=offset,
        read=read,
        tags={"STAC_ID": item.id},
        files=tuple(source.path for source in (*sources.values(), mask)),
    )


def local_assets(path: Path) -> list[Path]:
    """The files of this machine that an item names.

    Raises:
        InputError: if it is no item.
    """
    found = []
    for asset in read_item(path).assets.values():
        with suppress(OSError, ValueError, RuntimeError):  # a name that cannot be is refused when it is read
            if not urllib.parse.urlsplit(asset.href).scheme:
                found.append((path.parent / asset.href).resolve())
    return found


def read_item(path: Path) -> Any:  # noqa: ANN401 - pystac's
    """Read an item's file; every asset has an address that is a text.

    Raises:
        InputError: if it is no item.
    """
    try:
        import pystac
    except ImportError as error:
        raise MissingExtraError("pystac", "maps") from error
    try:
        if path.stat().st_size > LARGEST_ITEM:
            raise InputError(
                f"{path.name} is larger than {LARGEST_ITEM >> 20} MiB, which no item is; give an item's .json"
            )
        item = pystac.Item.from_dict(read_json(path.read_text(encoding="utf-8")))
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, pystac.STACError,
        pystac.STACTypeError,
    ) as error:  # fmt: skip
        raise InputError(f"{path.name} is no STAC item ({one_line(error)}); give an item's .json") from error
    if not (isinstance(item.id, str) and 0 < len(item.id) <= LONGEST_ID and item.id.isprintable()):
        raise InputError(
            f"{path.name} has the id {str(item.id)[:40]!r}, want 1 to {LONGEST_ID} printable letters; name it anew"
        )
    for key, asset in item.assets.items():
        if not isinstance(asset.href, str) or not isinstance(asset.extra_fields, Mapping):
            raise InputError(f"asset {key[:40]!r} of {path.name} has no href that is a text; give an item's .json")
    return item


def _bands(item: Any) -> dict[str, Any]:  # noqa: ANN401 - pystac's
    """Assets by band, and the classification as scl."""
    found: dict[str, Any] = {}
    for key, asset in item.assets.items():
        name = "scl" if key in CLASSIFICATION else canonical(key)
        if name not in (*WAVELENGTHS_NM, "scl"):
            continue
        if name in found and found[name].href != asset.href:
            raise InputError(f"item {item.id} has two assets of {name}, one called {key[:40]}; leave one")
        found[name] = asset
    if "scl" not in found or len(found) == 1:
        lacking = "a reflectance band" if "scl" in found else "its scene classification (scl)"
        raise InputError(f"item {item.id} lacks {lacking}; it has {', '.join(item.assets)[:200] or 'no asset'}")
    return found


def _scaling(item: Any, asset: Any) -> tuple[float, float]:  # noqa: ANN401 - pystac's
    """Scale and offset of an asset, by STAC 1.0's raster extension or STAC 1.1's bands."""
    applied = item.properties.get(APPLIED, False)
    if not isinstance(applied, bool):
        raise InputError(f"item {item.id} gives {APPLIED} as {str(applied)[:40]!r}, want true or false")
    for name in ("raster:bands", "bands"):
        bands = asset.extra_fields.get(name)
        if bands is None:
            continue
        if not isinstance(bands, list) or len(bands) != 1 or not isinstance(bands[0], Mapping):
            raise InputError(f"an asset of item {item.id} has {name} that are not one band; want one a file")
        scale, offset = (bands[0].get(key, bands[0].get(f"raster:{key}")) for key in ("scale", "offset"))
        if scale is not None:
            return _number(item, scale, "scale", is_positive=True), _offset(item, offset, applied)
    raise InputError(f"an asset of item {item.id} names no scale (raster:bands); reflectance is not guessed")


def _offset(item: Any, given: object, applied: bool) -> float:  # noqa: ANN401 - pystac's
    """What is added: nothing where it was; a baseline that has an offset must name it."""
    if applied:
        return 0.0
    if given is None and _baseline(item) >= BASELINE_WITH_OFFSET:
        raise InputError(
            f"item {item.id} is of baseline {_baseline(item):05.2f} but names neither an offset (raster:bands) nor "
            f"that it was applied ({APPLIED}); set one"
        )
    return 0.0 if given is None else _number(item, given, "offset", is_positive=False)


def _baseline(item: Any) -> float:  # noqa: ANN401 - pystac's
    """The processing baseline of a Sentinel-2 item, 0 where it names none."""
    told = next((item.properties[key] for key in BASELINES if key in item.properties), None)
    if told is None or not str(item.properties.get("platform", "sentinel-2")).lower().startswith("sentinel-2"):
        return 0.0
    try:
        return float(told)
    except (TypeError, ValueError) as error:
        raise InputError(f"item {item.id} names the baseline {str(told)[:40]!r}, want a number, as 05.10") from error


def _number(item: Any, value: object, what: str, is_positive: bool) -> float:  # noqa: ANN401 - pystac's
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or (is_positive and float(value) <= 0):  # type: ignore[arg-type]
        want = "a number above 0" if is_positive else "a number"
        raise InputError(f"item {item.id} gives a {what} of {str(value)[:40]!r}, want {want}; mend the item")
    return float(value)  # type: ignore[arg-type]


def _check_on(source: Source, finest: Source, is_mask: bool) -> None:
    """Check that an asset is one band on the item's grid, coarser by a whole number at most.

    Raises:
        InputError: if it is not.
    """
    name = source.path.name
    if source.num_bands != 1 or (source.dtype != finest.dtype and not is_mask):
        raise InputError(f"{name} has {source.num_bands} bands of {source.dtype}, want one of {finest.dtype}")
    if is_mask and source.dtype != "uint8":
        raise InputError(f"{name} is a classification of {source.dtype}, want uint8; convert it")
    if not times_coarser(source.grid, finest.grid):
        raise InputError(f"{name} does not lie on the grid of {finest.path.name}; warp it first")


def _check_origin(item: Any, source: Source, time: datetime.datetime) -> None:  # noqa: ANN401 - pystac's
    """Check that an asset is of the item's place and day, as far as both say.

    Raises:
        InputError: if it is of elsewhere.
    """
    from mainstem.data.earth.scenes import places

    box = item.bbox or []
    is_box = len(box) == 4 and all(isinstance(side, int | float) for side in box) and box[0] <= box[2]
    grid = source.grid
    latitude, longitude = places(grid, np.array([grid.height // 2]), np.array([grid.width // 2]))[0].tolist()
    inside = not is_box or (
        box[0] - FAR_DEG <= longitude <= box[2] + FAR_DEG and box[1] - FAR_DEG <= latitude <= box[3] + FAR_DEG
    )
    if not inside:
        raise InputError(
            f"{source.path.name} lies at {latitude:.1f}, {longitude:.1f}, not in the box of item {item.id}"
        )
    with open_geotiff(source.path) as dataset:
        stamp = dataset.tags().get("ACQUISITIONDATETIME") or ""
    if stamp:
        try:
            taken = datetime.datetime.strptime(stamp, STAMP)
        except ValueError:
            return
        if abs(taken - time) > FAR:
            raise InputError(
                f"{source.path.name} is of {taken:%Y-%m-%d}, item {item.id} of {time:%Y-%m-%d}; fetch it again"
            )


def _filled(source: Source, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Stored values, 0 where the asset's own fill value stands."""
    if source.nodata is None or source.nodata == 0:
        return values
    gone = np.isnan(values) if math.isnan(source.nodata) else values == source.nodata
    return np.where(gone, np.zeros((), values.dtype), values)


def _on(source: Source, finest: Source, rows: slice) -> NDArray[np.generic]:
    """Rows of the finest grid (y, x), coarser pixels repeated."""
    ratio, whole = times_coarser(source.grid, finest.grid), slice(0, source.grid.width)
    return fine_rows(lambda coarse: read_window(source, coarse, whole)[0], ratio, rows)


def _check_href(href: str, place: _Place) -> Path | None:
    """Return the file beside the item that an asset is, or None where it has to be fetched.

    Raises:
        InputError: if it is neither beside the item nor at an allowed host.
    """
    try:
        if urllib.parse.urlsplit(href).scheme:
            check_address(href, place.hosts)
            return None
        path = (place.beside / href).resolve()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"asset {href[:100]!r} is no file name or address ({one_line(error)}); mend the item"
        ) from error
    if not path.is_relative_to(place.beside.resolve()):
        raise InputError(f"asset {href[:100]!r} lies outside the item's folder; move it beside the item")
    if not is_file:
        raise InputError(f"asset {href[:100]!r} is not there; fetch it to the item's folder")
    return path


def _local(asset: Any, place: _Place) -> Path:  # noqa: ANN401 - pystac's
    """An asset's file: beside the item, or fetched; one fetched before is kept if it is whole."""
    path = _check_href(asset.href, place)
    if path is not None:
        return path
    size, checksum = asset.extra_fields.get("file:size"), str(asset.extra_fields.get("file:checksum", ""))
    if size is not None and (not isinstance(size, int) or size < 0):
        raise InputError(f"asset {asset.href[:100]!r} has the size {str(size)[:40]!r}, want bytes; mend the item")
    wanted = Wanted(
        address=asset.href,
        hosts=place.hosts,
        size=size,
        sha256=checksum.removeprefix(SHA256) if checksum.startswith(SHA256) else "",
        largest=LARGEST_ASSET,
    )
    host = check_address(asset.href, place.hosts)
    name = f"{hashlib.sha256(asset.href.encode()).hexdigest()[:32]}.tif"  # of the whole address, query included
    path = place.folder / "assets" / host / name
    if not path.is_file() or (size is not None and path.stat().st_size != size):
        fetch(wanted, path)
    return path
