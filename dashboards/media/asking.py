"""What is asked of an archive: the search box, filters and pictures that show what is wanted; kept in the address."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.media.query import EMBARGO, KINDS, OPTED, Filters, Query
from mainstem.core.errors import InputError
from mainstem.dashboards.media.reads import take_own
from mainstem.dashboards.shell import choose, mistakes_as_lines, note_in_address, plain, put_in_address

ANY = "any"
WORDS = ("credit", "rights", "below")
DATES = ("since", "until")
PICKED = ("like", "unlike")
FILTERS = ("kind", "optout", "embargo", *DATES, *WORDS)
IN_ADDRESS = ("q", *FILTERS, *PICKED, "n", "all")
FIRST, MOST, LONGEST = 60, 960, 300  # results shown at first and at most; letters of a word in the address
MOST_PICKED = 8
OWN, TAKEN = "media own picture", "media pictures brought"  # session keys


def search_box() -> str:
    """Have the user type words; return them."""
    st.session_state["q"] = st.query_params.get("q", "")[:LONGEST]
    asked: str = st.text_input(
        "Search", key="q", placeholder='Search: bridge "golden gate" harb* -night', label_visibility="collapsed",
        on_change=note_in_address, args=("q", "n"),
    )  # fmt: skip
    return asked


def filters_asked(vain: DeltaGenerator) -> Filters:
    """Have the user set filters; return them."""
    num = sum(name in st.query_params for name in FILTERS)
    count = f" ({num})" if num else ""
    with st.popover(f"Filters{count}", icon=":material/filter_list:"):
        kind = choose(partial(st.segmented_control, "Kind"), "kind", (ANY, *KINDS), vain, "n")
        st.caption("When it was taken; what has no date is left out where one is given")
        columns = st.columns(2)
        for column, name, label in zip(columns, DATES, ("Since", "Until"), strict=True):
            with column:
                _text(name, label, "2024-05-31")
        _text("credit", "Words of the credit", "agency")
        _text("rights", "Words of the rights", "CC BY")
        _text("below", "Below the folder", "2024/spring")
        opted = choose(
            partial(st.segmented_control, "Said of text and data mining"), "optout", (ANY, *OPTED), vain, "n"
        )
        held = choose(partial(st.segmented_control, "Embargo"), "embargo", (ANY, *EMBARGO), vain, "n")
        if num:
            st.button("Take all filters away", icon=":material/filter_list_off:", on_click=_take_away)
    given = {name: st.query_params.get(name, "")[:LONGEST] or None for name in (*DATES, *WORDS)}
    chosen = {"kind": kind, "opt_out": opted, "embargo": held}
    return Filters(**given, **{name: None if value == ANY else value for name, value in chosen.items()})


def _text(name: str, label: str, example: str) -> None:
    st.session_state[name] = st.query_params.get(name, "")[:LONGEST]
    st.text_input(plain(label), key=name, placeholder=example, on_change=note_in_address, args=(name, "n"))


def _take_away() -> None:
    for name in FILTERS:
        put_in_address(name, None)


def picked(name: str) -> list[str]:
    """Paths that the address names under "like" or "unlike"."""
    return [unquote(path) for path in st.query_params.get(name, "").split(",") if path][:MOST_PICKED]


def pick(name: str, path: str) -> None:
    """Take a file for one that shows what is wanted ("like"), or what is not ("unlike")."""
    for other in PICKED:
        kept = [one for one in picked(other) if one != path]
        _put(other, [*kept, path][-MOST_PICKED:] if other == name else kept)
    put_in_address("n", None)


def drop(name: str, path: str) -> None:
    """Take a file for nothing any more."""
    _put(name, [one for one in picked(name) if one != path])


def _put(name: str, paths: Sequence[str]) -> None:
    put_in_address(name, ",".join(path.replace("%", "%25").replace(",", "%2C") for path in paths))


def num_asked() -> int:
    """How many results the address asks for."""
    told = st.query_params.get("n", "")
    return min(max(int(told), FIRST), MOST) if told.isdecimal() and len(told) < 6 else FIRST


def show_picked(named: Callable[[str], str]) -> None:
    """Say which pictures are asked with, each to be taken away."""
    for name, word, icon in (("like", "like", "thumb_up"), ("unlike", "not like", "thumb_down")):
        for path in picked(name):
            st.button(
                f"{plain(word)} {plain(named(path), 60)}", key=f"{name} {path}", icon=f":material/{icon}:",
                on_click=drop, args=(name, path), help="Take it away",
            )  # fmt: skip


def bring_picture() -> list[Path]:
    """Have the user give a picture of their own that shows what is wanted; return it, where there is one."""
    taken = st.session_state.get(TAKEN, 0)
    with st.popover("By picture", icon=":material/image_search:", key=f"by picture {taken}"):
        st.markdown(
            "A picture of your own that shows what is wanted. It is kept in a folder of this machine's temporary files "
            "that only this user account can read, and deleted when this session ends. Nothing leaves this machine."
        )
        file = st.file_uploader("Picture", key=f"picture {taken}")
        if st.button("Search by it", type="primary", disabled=file is None) and file is not None:
            with mistakes_as_lines("The picture"):
                st.session_state[OWN] = take_own(file.name, file.getvalue())
                st.session_state[TAKEN] = taken + 1
                st.rerun()
    own: Path | None = st.session_state.get(OWN)
    if own is None or not own.is_file():
        return []
    st.button(
        f"like your {plain(own.name, 60)}", icon=":material/thumb_up:", help="Take it away", key="own picture",
        on_click=lambda: st.session_state.pop(OWN, None),
    )  # fmt: skip
    return [own]


def query_of(text: str, filters: Filters, files: dict[str, list[Path]]) -> Query:
    """Put what is asked together.

    Raises:
        InputError: if what is not wanted is named without what is.
    """
    if files["unlike"] and not files["like"]:
        raise InputError("one picture is not wanted, and none is; press Like at one that shows what is wanted, too")
    return Query(
        text=text, like=files["like"], unlike=files["unlike"], filters=filters, limit=num_asked(),
        with_irrelevant=st.query_params.get("all") == "True",
    )  # fmt: skip
