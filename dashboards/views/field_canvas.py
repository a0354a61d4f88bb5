"""The field page's canvas: one map or two side by side, the scene's date, and fields drawn by hand."""

import json

import streamlit as st

from mainstem.apps.field_board import FieldBoard
from mainstem.apps.field_edits import add_field
from mainstem.core.errors import InputError
from mainstem.dashboards.components.fieldmap import Geometry, fieldmap
from mainstem.dashboards.shell import follow_address, mistakes_as_lines, note_in_address, plain, put_in_address
from mainstem.dashboards.views.field_layers import colour_fields


def show_maps(board: FieldBoard, geometry: Geometry, chosen: str) -> None:
    """Draw one map, or two side by side."""
    follow_address("compare", [True, False], False)
    left, right = st.columns([1, 2], vertical_alignment="center")
    left.toggle(
        "Compare two maps", key="compare", help="Side by side, each with a date and layer of its own.",
        on_change=note_in_address, args=("compare",),
    )  # fmt: skip
    is_double = bool(st.session_state["compare"])
    sides = st.columns(2) if is_double else [st.container()]
    with sides[0] if is_double else right:
        date = choose_date(board, "date", -1)
    with sides[0]:
        content = colour_fields(board, date, chosen)
        drawn = fieldmap(geometry, content, "fields", choose_field)
    if is_double:
        with sides[1]:
            content = colour_fields(board, choose_date(board, "other", 0), chosen, is_left=False)
            fieldmap(geometry, content, "fields_right", choose_field)
    if drawn:
        with mistakes_as_lines("The drawing"):
            take_drawing(board, drawn)


def choose_date(board: FieldBoard, name: str, otherwise: int) -> str:
    """Let the user choose a scene's date; "" where no scene is kept."""
    dates = list(board.dates)
    if not dates:
        return ""
    asked = follow_address(name, dates, dates[otherwise])
    if asked:
        st.caption(f"No scene of {plain(asked, 60)}.")
    if len(dates) == 1:
        return dates[0]
    return str(st.select_slider("NDVI on", dates, key=name, on_change=note_in_address, args=(name,)))


def choose_field(name: str) -> None:
    """Choose a field for the whole page, wherever that was done."""
    put_in_address("field", name)


def take_drawing(board: FieldBoard, drawn: str) -> None:
    """Add what was drawn on the map.

    Raises:
        InputError: if it is no field.
    """
    try:
        told = json.loads(drawn)
        name, corners = told["map"], told["corners"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("the drawing did not arrive whole; draw it again") from error
    if name == board.name:  # else the map was changed meanwhile
        choose_field(add_field(board, corners))
        st.rerun()
