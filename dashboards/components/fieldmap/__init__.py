"""A map of polygons on a canvas: geometry is sent once under its key, colours on every change."""

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mainstem.core.errors import InputError

FOLDER = Path(__file__).parent
SENT = "fieldmap_sent"  # session key: geometry keys that the browser holds
HATCHED = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Polygons packed for the browser: the first `regions` carry colours, the rest is background.

    Attributes:
        ids: a name a region, in the order of the colours.
        ends: (rings,) uint32, index after each ring's last vertex.
        owners: (rings,) uint32, the polygon that each ring belongs to.
        xy: (vertices, 2) float32, projected metres.
    """

    ids: tuple[str, ...]
    ends: NDArray[np.uint32]
    owners: NDArray[np.uint32]
    xy: NDArray[np.float32]
    key: str

    @property
    def num_polygons(self) -> int:
        """Number of polygons, background included."""
        return int(self.owners.max()) + 1 if len(self.owners) else 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """Pixels under the regions: (y, x) uint8, 0 nothing, 1-255 along the layer's ramp; bounds in the geometry's CRS.

    `bounds` are left, bottom, right, top.
    """

    pixels: NDArray[np.uint8]
    bounds: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One way to colour the regions: rgba (regions, 4) uint8, and its legend; a raster takes the place of the fill."""

    rgba: NDArray[np.uint8]
    title: str
    low: str
    high: str
    ramp: Sequence[str]
    raster: Raster | None = None
    is_claimed: bool = True  # False where it shows what was measured: no claim of the model's is made of it


@dataclass(frozen=True, kw_only=True, eq=False)
class MapContent:
    """What the regions show: the map's name, layers to switch between, flags (regions,), a label a region."""

    name: str
    layers: Sequence[Layer]
    flags: NDArray[np.uint8]
    labels: Sequence[str]
    selected: str = ""
    is_drawable: bool = False
    is_beside: bool = False  # lies beside a map that can be drawn on, at its height
    shown: str = ""  # title of the layer to begin with, the first unless given
    told: tuple[str, ...] = ()  # titles of layers that the page is told of when they are chosen or left
    bounds: tuple[float, float, float, float] | None = None  # left, bottom, right, top of the view; else the regions'


def pack_geometry(frame: Any, background: Any, crs: str) -> Geometry:  # noqa: ANN401 - GeoDataFrames
    """Project outlines and pack their rings; each polygon's holes follow its shell (even-odd fill).

    Raises:
        InputError: if an outline cannot be projected.
    """
    ends, owners, parts, total = [], [], [], 0
    shapes = list(frame.to_crs(crs).geometry)
    if background is not None:
        shapes += list(background.to_crs(crs).geometry)
    for owner, shape in enumerate(shapes):
        for polygon in getattr(shape, "geoms", [shape]):
            for ring in (polygon.exterior, *polygon.interiors):
                points = np.asarray(ring.coords, np.float32).reshape(len(ring.coords), -1)[:-1, :2]
                if not len(points):
                    continue
                total += len(points)
                ends.append(total)
                owners.append(owner)
                parts.append(points)
    xy = np.concatenate(parts) if parts else np.zeros((0, 2), np.float32)
    if not np.isfinite(xy).all():
        raise InputError(f"an outline lies outside what {crs} can show; check its coordinates and CRS")
    key = hashlib.sha256(xy.tobytes() + json.dumps([crs, *frame.index]).encode()).hexdigest()[:16]
    return Geometry(
        ids=tuple(frame.index), ends=np.array(ends, np.uint32), owners=np.array(owners, np.uint32), xy=xy, key=key
    )


def pack(geometry: Geometry, content: MapContent, with_geometry: bool) -> bytes:
    """Return the payload that fieldmap.js reads; its first lines say how it is laid out."""
    colours = b"".join(layer.rgba.tobytes() for layer in content.layers)
    pixels = b"".join(layer.raster.pixels.tobytes() for layer in content.layers if layer.raster is not None)
    header = {
        "key": geometry.key, "regions": len(geometry.ids), "polygons": geometry.num_polygons,
        "stamp": hashlib.sha256(colours + pixels + content.flags.tobytes()).hexdigest()[:12],
        "rings": len(geometry.ends) if with_geometry else 0, "ids": geometry.ids, "labels": list(content.labels),
        "layers": [
            {"title": layer.title, "low": layer.low, "high": layer.high, "ramp": list(layer.ramp),
             "raster": _raster(layer.raster), "claimed": layer.is_claimed}
            for layer in content.layers
        ],
        "selected": content.selected,
        "drawable": content.is_drawable,
        "beside": content.is_beside,
        "shown": content.shown,
        "told": list(content.told),
        "map": content.name, "bounds": None if content.bounds is None else list(content.bounds),
        "aria": f"Map of {len(geometry.ids)} regions. Arrows pan, plus and minus zoom, n and p choose the next and "
        "previous region; the table below holds the same values.",
    }  # fmt: skip
    text = json.dumps(header, allow_nan=False).encode()
    parts = [struct.pack("<I", len(text)), text, b"\0" * (-(4 + len(text)) % 4)]
    parts += [colours, content.flags.tobytes(), b"\0" * (-len(content.flags) % 4)]
    parts += [pixels, b"\0" * (-len(pixels) % 4)]
    if with_geometry:
        parts += [geometry.ends.tobytes(), geometry.owners.tobytes(), geometry.xy.tobytes()]
    return b"".join(parts)


def _raster(raster: Raster | None) -> dict[str, Any] | None:
    if raster is None:
        return None
    height, width = raster.pixels.shape
    return {"width": width, "height": height, "bounds": list(raster.bounds)}


def fieldmap(
    geometry: Geometry,
    content: MapContent,
    key: str,
    on_selected: Callable[[str], None],
    on_layer: Callable[[str], None] | None = None,
) -> str:
    """Draw the map; call `on_selected` with the region that is chosen on it; return what was just drawn by hand.

    `on_layer` is called with the title of a layer in `content.told` that is chosen, with "" where one is left. What is
    drawn comes as JSON with the map's name and the corners [[x, y], ...], once; "" if nothing was.
    """
    mount = st.components.v2.component(
        "mainstem_fieldmap",
        html=(FOLDER / "fieldmap.html").read_text(),
        css=(FOLDER / "fieldmap.css").read_text(),
        js=(FOLDER / "fieldmap.js").read_text(),
    )
    state = st.session_state.get(key) or {}
    held: set[str] = st.session_state.setdefault(SENT, set())
    request = str(state.get("wanted") or "")  # the browser lacks it, e.g. after the page was loaded again
    lost = request.startswith(geometry.key) and request not in held
    payload = pack(geometry, content, with_geometry=geometry.key not in held or lost)
    held |= {geometry.key, request}

    def choose() -> None:
        chosen = (st.session_state.get(key) or {}).get("selected")
        if chosen in geometry.ids:
            on_selected(chosen)

    def note_layer() -> None:
        if on_layer is not None:
            on_layer(str((st.session_state.get(key) or {}).get("layer") or ""))

    result = mount(
        key=key,
        data=payload,
        height="content",
        on_selected_change=choose,
        on_layer_change=note_layer,
        on_wanted_change=lambda: None,
        on_drawn_change=lambda: None,
    )
    return str(result.drawn or "")
