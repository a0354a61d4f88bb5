"""STAC items of optical scenes: local assets beside the item, or fetched over https from hosts that the user allows."""

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.stream import Channel
from mainstem.data.inputs import CLEAR, WAVELENGTHS_NM, Staged, canonical
from mainstem.data.raster import Source, describe, read_window

LARGEST_ASSET, CHUNK_BYTES, TIMEOUT_S = 4 << 30, 1 << 20, 60
CLASSIFICATION = ("scl", "SCL")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A host that is allowed may not send us to one that is not."""

    def redirect_request(self, *arguments: Any) -> None:  # noqa: ANN401 - urllib's signature
        """Follow nothing."""


def open_item(path: Path, folder: Path, allowed_hosts: Sequence[str] = ()) -> Staged:
    """Read an item's reflectance bands and scene classification; assets from the network are kept in `folder`.

    Scale and offset are those of `raster:bands`; an item that says that the offset was applied
    (`earthsearch:boa_offset_applied`) has none left.

    Raises:
        InputError: if the item is damaged, lacks date, bands, scale or classification, or an asset's host is not
            allowed.
    """
    try:
        import pystac
    except ImportError as error:
        raise MissingExtraError("pystac", "maps") from error
    try:
        item = pystac.Item.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, pystac.STACError, pystac.STACTypeError) as error:
        raise InputError(f"{path.name} is no STAC item ({error!s:.200}); give an item's .json") from error
    if item.datetime is None:
        raise InputError(f"item {item.id} has no datetime; a composite's date is not guessed")
    assets = {canonical(key): asset for key, asset in item.assets.items()}
    names = [name for name in WAVELENGTHS_NM if name in assets]
    classes = next((item.assets[key] for key in CLASSIFICATION if key in item.assets), None)
    if not names or classes is None:
        lacking = "a reflectance band" if not names else "its scene classification (scl)"
        raise InputError(f"item {item.id} lacks {lacking}; it has {', '.join(item.assets)}")
    scalings = {name: _scaling(item, assets[name]) for name in names}
    if len(set(scalings.values())) != 1:
        raise InputError(f"the bands of item {item.id} have several scales or offsets; want one")
    place = (path.parent, folder, tuple(allowed_hosts))
    sources = {name: describe(_local(assets[name].href, *place)) for name in names}
    finest = min(sources.values(), key=lambda source: source.grid.transform[0])
    mask = describe(_local(classes.href, *place))

    def read(rows: slice) -> NDArray[np.generic]:
        bands = np.stack([_on(source, finest, rows) for source in sources.values()])
        clear = np.isin(_on(mask, finest, rows), CLEAR)
        return np.where(clear, bands, 0).astype(finest.dtype)

    scale, offset = scalings[names[0]]
    return Staged(
        name=item.id,
        time=item.datetime.replace(tzinfo=None),
        grid=finest.grid,
        channels=tuple(Channel(name=name, unit="1", wavelength_nm=WAVELENGTHS_NM[name]) for name in names),
        dtype=finest.dtype,
        nodata=0,
        scale=scale,
        offset=offset,
        read=read,
        tags={"STAC_ID": item.id},
    )


def _scaling(item: Any, asset: Any) -> tuple[float, float]:  # noqa: ANN401 - pystac's
    """Scale and offset of an asset, by STAC 1.0's raster extension or STAC 1.1's bands."""
    for name in ("raster:bands", "bands"):
        bands = asset.extra_fields.get(name) or [{}]
        band = bands[0]
        scale, offset = (band.get(key, band.get(f"raster:{key}")) for key in ("scale", "offset"))
        if scale is not None:
            applied = item.properties.get("earthsearch:boa_offset_applied") is True
            return float(scale), 0.0 if applied else float(offset or 0.0)
    raise InputError(f"an asset of item {item.id} names no scale (raster:bands); reflectance is not guessed")


def _on(source: Source, finest: Source, rows: slice) -> NDArray[np.generic]:
    """Rows of the finest grid (y, x), coarser pixels repeated."""
    ratio = round(source.grid.transform[0] / finest.grid.transform[0])
    grid = source.grid
    if (grid.width * ratio, grid.height * ratio) != (finest.grid.width, finest.grid.height) or (
        grid.crs != finest.grid.crs or (grid.transform[2], grid.transform[5]) != _corner(finest)
    ):
        raise InputError(f"{source.path.name} does not lie on the grid of {finest.path.name}; warp it first")
    first, last = rows.start // ratio, -(-rows.stop // ratio)
    values = read_window(source, slice(first, last), slice(0, grid.width))[0].repeat(ratio, 0).repeat(ratio, 1)
    found: NDArray[np.generic] = values[rows.start - first * ratio : rows.stop - first * ratio]
    return found


def _corner(source: Source) -> tuple[float, float]:
    return source.grid.transform[2], source.grid.transform[5]


def _local(href: str, beside: Path, folder: Path, allowed_hosts: tuple[str, ...]) -> Path:
    """An asset's file: beside the item, or fetched."""
    parts = urllib.parse.urlsplit(href)
    if not parts.scheme:
        path = (beside / href).resolve()
        if not path.is_relative_to(beside.resolve()):
            raise InputError(f"asset {href} lies outside the item's folder; move it beside the item")
        return path
    if parts.scheme != "https" or parts.hostname not in allowed_hosts:
        raise InputError(f"asset {href:.200} is on a host that is not allowed; add --allow-host {parts.hostname}")
    path = folder / "assets" / parts.hostname / parts.path.lstrip("/").replace("/", "_")
    if not path.is_file():
        _fetch(href, path)
    return path


def _fetch(href: str, path: Path) -> None:
    """Download an asset, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with urllib.request.build_opener(NoRedirect).open(href, timeout=TIMEOUT_S) as source, part.open("wb") as target:
            while chunk := source.read(CHUNK_BYTES):
                target.write(chunk)
                if target.tell() > LARGEST_ASSET:  # what a server says of the length binds nobody
                    raise InputError(f"asset {href} is larger than {LARGEST_ASSET >> 30} GiB; fetch it by other means")
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot fetch {href} ({error}); check the network") from error
    finally:
        part.unlink(missing_ok=True)
