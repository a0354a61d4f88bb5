"""The address of a page: the one place that remembers what is chosen, in links, between pages and after a reload."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mainstem.dashboards.shell.texts import plain

T = TypeVar("T")
LEFT = "left at"  # session key: by page, what its address says


def follow_address(name: str, offered: Sequence[T], default: T) -> str:
    """Set the widget `name` to what the address says, before it is drawn; return what the address asks for in vain.

    The address is the one place that remembers: what is chosen anywhere is written to it, and read from it.
    """
    asked = st.query_params.get(name)
    by_text = {str(option): option for option in offered}
    st.session_state[name] = default if asked is None else by_text.get(asked, default)
    return "" if asked is None or asked in by_text else asked


def choose(
    widget: Callable[..., object],
    name: str,
    offered: Sequence[T],
    vain: DeltaGenerator,
    *outdated: str,
    default: T | None = None,
    told: Callable[[T], str] = str,
) -> T:
    """Have one of Streamlit's widgets, given with its label, choose among what is offered, and the address follow it.

    `default` is chosen unless the address names another, the first unless given; `outdated` are names in the address
    that another choice makes meaningless; `told` says an option in words.
    """
    usual = offered[0] if default is None else default
    asked = follow_address(name, offered, usual)
    widget(options=offered, format_func=told, key=name, on_change=note_in_address, args=(name, *outdated))
    chosen: T = usual if st.session_state[name] is None else st.session_state[name]
    say_in_vain(vain, name, asked, told(chosen))
    return chosen


def recall(page: str, names: Sequence[str]) -> None:
    """Have the address of a page say what the page shows, which the session knows best.

    It is asked when the page is opened, and when the user goes back or on in the browser: what it says at any other
    time may be older than what was chosen since, as a message of the browser carries the address it was sent under. A
    page that is opened anew, and is asked for nothing, shows what it last showed this user: links between the pages
    carry no address of their own.
    """
    left: dict[str, dict[str, str]] = st.session_state.setdefault(LEFT, {})
    asked = {name: str(st.query_params[name]) for name in names if name in st.query_params}
    ran = get_script_run_ctx()
    is_here, is_back = st.session_state.get("page") == page, ran is not None and ran.is_history_navigation
    if page not in left or is_back or (asked and not is_here):
        left[page] = asked
    st.session_state["page"] = page
    for name in names:
        _mirror(name, left[page].get(name))


def say_in_vain(where: DeltaGenerator, name: str, asked: str, shown: str) -> None:
    """Warn of what the address asks for in vain, and say what is shown instead."""
    if asked:
        where.warning(
            f"There is no {plain(name)} {plain(asked, 60)} here; shown is {plain(shown, 120)}.",
            icon=":material/warning:",
        )


def note_in_address(name: str, *outdated: str) -> None:
    """Write the widget's value into the address, and drop the names that it makes meaningless."""
    put_in_address(name, st.session_state.get(name))
    for other in outdated:
        put_in_address(other, None)


def put_in_address(name: str, value: object) -> None:
    """Write a value into the address, or drop it where there is none, and keep it for `recall`."""
    told = None if value is None or value == "" else str(value)
    kept = st.session_state.setdefault(LEFT, {}).setdefault(st.session_state.get("page", ""), {})
    if told is None:
        kept.pop(name, None)
    else:
        kept[name] = told
    _mirror(name, told)


def _mirror(name: str, told: str | None) -> None:
    """Have the address say this, and send nothing where it does."""
    if told is None and name in st.query_params:
        del st.query_params[name]
    elif told is not None and st.query_params.get(name) != told:
        st.query_params[name] = told
