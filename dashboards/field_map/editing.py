"""What the field page offers to do to a field: name it, alter its outline, delete it; and to undo and redo all that."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.core.errors import InputError
from mainstem.dashboards.components.fieldmap import forget_drawn
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.edits import add_field, alter_field, delete_field, redo, rename_field, undo
from mainstem.dashboards.field_map.journal import Change
from mainstem.dashboards.shell import mistakes_as_lines, open_panel, plain, put_in_address

ASKED = "asked drawing"  # session key: what the page last asked to be drawn
ACTS = {  # buttons, what the map calls it while it is drawn, and help
    "redraw": ("Redraw", "new outline of {}", "Draw the whole outline anew."),
    "add": ("Add a part", "part to add to {}", "Draw a part that belongs to the field, over its border or apart."),
    "cut": ("Cut away", "part to cut from {}", "Draw over what does not belong to the field."),
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the page asked to be drawn: an act of ACTS on a field of a map, and a number."""

    map: str
    field: str
    act: str
    number: int

    def words(self) -> str:
        """As the map says it while it is drawn."""
        return ACTS[self.act][1].format(self.field)


def asked_drawing(board: FieldBoard) -> tuple[str, int]:
    """What is to be drawn, as `MapContent.drawing`."""
    asked: Asked | None = st.session_state.get(ASKED)
    return (asked.words(), asked.number) if asked is not None and asked.map == board.name else ("", 0)


def ask_drawing(board: FieldBoard, field: str, act: str) -> None:
    """Have the map begin a drawing that alters a field."""
    before: Asked | None = st.session_state.get(ASKED)
    number = 1 if before is None else before.number + 1
    st.session_state[ASKED] = Asked(map=board.name, field=field, act=act, number=number)


def take_drawing(board: FieldBoard, drawn: str, key: str) -> None:
    """Do what was drawn on the map that is mounted as `key`: a field of its own, or what the page asked for, once.

    Raises:
        InputError: if it cannot be done.
    """
    asked: Asked | None = st.session_state.get(ASKED)
    forget_drawn(key)  # nothing of Streamlit's may stand between this and the act: it could end the run there
    try:
        told = json.loads(drawn)
        name, corners, number = told["map"], told["corners"], told["asked"]
        wanted = str(told["name"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("the drawing did not arrive whole; draw it again") from error
    if name != board.name:  # the map was changed meanwhile
        return
    if not number:
        field = add_field(board, corners, wanted)
        if not len(board.table):  # where nothing but drawings says what is a field, the next is drawn beside it
            put_in_address("outside", True)
    elif asked is not None and (asked.map, asked.number) == (name, number):
        field = asked.field
        alter_field(board, field, asked.act, corners)
    else:
        raise InputError("what this was drawn for is no longer known here; press the button again")
    put_in_address("field", field)
    open_panel("field")
    st.rerun()


def show_editing(board: FieldBoard, field: str) -> None:
    """Offer to name the field, to alter its outline and to delete it."""
    with st.expander("Name and outline", icon=":material/edit:"):
        with st.form(f"name {board.name} {field}", border=False):
            name = st.text_input("Name", field, max_chars=200)
            if st.form_submit_button("Rename", icon=":material/edit:"):
                with mistakes_as_lines("The new name"):
                    _rename(board, field, name)
        row = st.container(horizontal=True)
        for act, (title, _, help_text) in ACTS.items():
            row.button(
                title, key=f"{act} {field}", help=plain(help_text), on_click=ask_drawing, args=(board, field, act)
            )
        if row.button("Delete", key=f"delete {field}", icon=":material/delete:", help="Undo brings it back."):
            with mistakes_as_lines("The deletion"):
                delete_field(board, field)
                put_in_address("field", None)
                st.rerun()


def _rename(board: FieldBoard, field: str, name: str) -> None:
    if name.strip() == field:
        raise InputError("this is its name; type another")
    put_in_address("field", rename_field(board, field, name))
    st.rerun()


def show_undo(board: FieldBoard, bar: DeltaGenerator) -> None:
    """Offer to undo and redo what was done to the fields, where anything was."""
    acts: tuple[tuple[str, str, Callable[[FieldBoard], Change]], ...] = (
        ("Undo", board.undo[0], undo), ("Redo", board.undo[1], redo)
    )  # fmt: skip
    row = bar.container(horizontal=True, width="content", gap="xsmall")
    for title, words, act in acts:
        icon = f":material/{title.lower()}:"
        if words and row.button(title, key=title, icon=icon, help=plain(words), type="tertiary"):
            with mistakes_as_lines(title):
                fields = act(board).after["field"]
                put_in_address("field", fields.iloc[0] if len(fields) else None)
                st.rerun()
