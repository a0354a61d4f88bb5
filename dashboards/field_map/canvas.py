"""The field page's canvas: one map or two side by side, the scene's date, and fields drawn by hand."""

from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.dashboards.components.fieldmap import Geometry, fieldmap
from mainstem.dashboards.components.find import Place, found_on_map
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.editing import asked_drawing, take_drawing
from mainstem.dashboards.field_map.layers import NDVI, colour_fields
from mainstem.dashboards.shell import (
    follow_address,
    mistakes_as_lines,
    note_in_address,
    open_panel,
    plain,
    put_in_address,
)


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two maps that can lie side by side.

    Attributes:
        key: of the canvas.
        date: name in the address of the scene's date, and the place among the dates that it has unless it is given.
        layer: name in the address of the layer, and what it is unless it is given.
    """

    key: str
    date: tuple[str, int]
    layer: tuple[str, str]


LEFT = Side(key="fields", date=("date", -1), layer=("layer", ""))
RIGHT = Side(key="fields_right", date=("other", 0), layer=("other_layer", NDVI))


def show_maps(
    board: FieldBoard, geometry: Geometry, chosen: str, place: Place | None, bar: DeltaGenerator
) -> None:  # fmt: skip
    """Draw one map, or two side by side; what is asked of them stands in `bar`, and `place` is what was found."""
    follow_address("compare", [True, False], False)
    bar.toggle(
        "Compare", key="compare", help="Two maps side by side, each with a date and layer of its own.",
        on_change=note_in_address, args=("compare",),
    )  # fmt: skip
    if len(board.table):
        follow_address("outside", [True, False], False)
        bar.toggle(
            "Outside", key="outside", help="Pixels of tracks, margins and woods too, which are no crop.",
            on_change=note_in_address, args=("outside",),
        )  # fmt: skip
    left = st.container()
    if st.session_state["compare"]:
        left, right = st.columns(2)
    with left:
        drawn = show_side(LEFT, board, geometry, (chosen, place), bar)
    if st.session_state["compare"]:
        with right:
            show_side(RIGHT, board, geometry, (chosen, place), bar)
    if drawn:
        with mistakes_as_lines("The drawing"):
            take_drawing(board, drawn, LEFT.key)


def show_side(
    side: Side, board: FieldBoard, geometry: Geometry, sought: tuple[str, Place | None], bar: DeltaGenerator
) -> str:
    """Draw one map, its date in `bar` where its layer has one; return what was just drawn by hand.

    `sought` is the chosen field, and what was found on the map.
    """
    name, otherwise = side.layer
    shown = str(st.query_params.get(name, otherwise))
    chosen, place = sought
    is_outside = not len(board.table) or bool(st.session_state.get("outside"))
    date = choose_date(board, side.date, bar, is_asked=shown == NDVI)
    content = replace(
        colour_fields(board, date, chosen, shown, is_outside), is_drawable=side is LEFT, link="compare",
        found=found_on_map(place), drawing=asked_drawing(board) if side is LEFT else ("", 0),
        view=str(st.query_params.get("view", "")),
    )  # fmt: skip
    if shown and shown not in content.told:
        st.caption(f"No layer {plain(shown, 60)} on this map.")
    return fieldmap(
        geometry, content, side.key, open_field, lambda title: note_layer(side, title),
        (lambda view: put_in_address("view", view)) if side is LEFT else None,
    )  # fmt: skip


def note_layer(side: Side, title: str) -> None:
    """Write into the address which layer a side shows."""
    name, otherwise = side.layer
    put_in_address(name, None if title == otherwise else title)


def choose_date(board: FieldBoard, asked_as: tuple[str, int], bar: DeltaGenerator, *, is_asked: bool) -> str:
    """Return a scene's date, and let the user choose it where it is asked; "" where no scene is kept."""
    dates, (name, place) = list(board.dates), asked_as
    if not dates:
        return ""
    asked = follow_address(name, dates, dates[place])
    if asked:
        st.caption(f"No scene of {plain(asked, 60)}.")
    if is_asked and len(dates) > 1:
        bar.select_slider(
            "NDVI on", dates, key=name, on_change=note_in_address, args=(name,), width=220, label_visibility="collapsed"
        )
    return str(st.session_state[name])


def choose_field(name: str) -> None:
    """Choose a field for the whole page, wherever that was done."""
    put_in_address("field", name)


def open_field(name: str) -> None:
    """Choose a field on the map, and have its panel open."""
    choose_field(name)
    open_panel("field")
