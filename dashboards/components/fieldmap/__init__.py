"""A map of polygons on a canvas: shapes, rasters and background are sent once under their keys, colours always."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from mainstem.dashboards.components.fieldmap.blobs import sent_in_session
from mainstem.dashboards.components.fieldmap.content import HATCHED, Geometry, Layer, MapContent, Raster
from mainstem.dashboards.components.fieldmap.packing import pack, pack_geometry, parts_of

__all__ = ["HATCHED", "Geometry", "Layer", "MapContent", "Raster", "fieldmap", "forget_drawn", "pack_geometry"]

FOLDER = Path(__file__).parent
DRAWN = "drawn"  # ends the session key of what was drawn on a map and is not dealt with yet
SCRIPTS = (
    "payload.js", "shapes.js", "pixels.js", "geodesy.js", "ground.js", "tiles.js", "theme.js", "camera.js", "marks.js",
    "words.js", "wants.js", "acts.js", "fieldmap.js",
)  # fmt: skip


def fieldmap(
    geometry: Geometry,
    content: MapContent,
    key: str,
    on_selected: Callable[[str], None],
    on_layer: Callable[[str], None] | None = None,
    on_view: Callable[[str], None] | None = None,
) -> str:
    """Draw the map; call `on_selected` with the region that is chosen on it; return what was just drawn by hand.

    `on_layer` is called with the title of a layer in `content.told` that is chosen, with "" where one is left;
    `on_view` with latitude, longitude and zoom ("41.9,-93.6,3.2") once a moved map rests, with "" where it shows
    everything. What is drawn comes as JSON with the map's name, the number of `content.drawing` that it answers (0 for
    a field of the user's own beginning, with its name, "" if none was given) and the corners [[x, y], ...] in the
    geometry's CRS, until `forget_drawn`; "" if nothing was.
    """
    mount = st.components.v2.component(
        "mainstem_fieldmap",
        html=(FOLDER / "fieldmap.html").read_text(),
        css=(FOLDER / "fieldmap.css").read_text(),
        js="\n".join((FOLDER / name).read_text() for name in SCRIPTS),
    )
    request = str((st.session_state.get(key) or {}).get("wanted") or "")
    parts = parts_of(geometry, content)
    new = sent_in_session().missing(parts, key, request)

    def told(name: str) -> str:
        return str((st.session_state.get(key) or {}).get(name) or "")

    def choose() -> None:
        if told("selected") in geometry.ids:
            on_selected(told("selected"))

    def keep() -> None:  # at once: a run that the map's view interrupts would lose it
        if told("drawn"):
            st.session_state[f"{key} {DRAWN}"] = told("drawn")

    mount(
        key=key,
        data=pack(geometry, content, parts, new, tells_view=on_view is not None),
        height="content",
        on_selected_change=choose,
        on_layer_change=lambda: on_layer(told("layer")) if on_layer is not None else None,
        on_view_change=lambda: on_view(told("view")) if on_view is not None else None,
        on_wanted_change=lambda: None,
        on_drawn_change=keep,
    )
    return str(st.session_state.get(f"{key} {DRAWN}", ""))


def forget_drawn(key: str) -> None:
    """Take what was drawn on a map for dealt with; until then every run of the page is given it."""
    st.session_state.pop(f"{key} {DRAWN}", None)
