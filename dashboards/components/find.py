"""Finding a place of a map by name: what can be found, the search above the map, and the part of it that is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from mainstem.dashboards.shell import put_in_address

PLACE = "place"  # name in the address, and of the widget
TIMES = "places found"  # session key: how often something was found


@dataclass(frozen=True, kw_only=True)
class Place:
    """What can be found: a name, what it is called in the list, and its regions."""

    name: str
    title: str
    regions: tuple[str, ...]


def search_place(places: Mapping[str, Place], hint: str, on_found: Callable[[Place], None]) -> Place | None:
    """Offer a search by name; return what is found, or what the address names.

    `hint` says what can be found; `on_found` is called before the page is drawn anew.
    """
    asked = str(st.query_params.get(PLACE, ""))
    st.session_state[PLACE] = asked if asked in places else None

    def note() -> None:
        found = places.get(str(st.session_state[PLACE]))
        put_in_address(PLACE, found.name if found else None)
        put_in_address("view", None)
        st.session_state[TIMES] = st.session_state.get(TIMES, 0) + 1
        if found:
            on_found(found)

    st.selectbox(
        "Find", list(places), format_func=lambda name: places[name].title, key=PLACE, on_change=note, index=None,
        placeholder=hint, label_visibility="collapsed", width=230,
    )  # fmt: skip
    return places.get(asked)


def found_on_map(place: Place | None) -> tuple[tuple[str, ...], int] | None:
    """What the map is to zoom to, as `MapContent.found`."""
    return None if place is None else (place.regions, int(st.session_state.get(TIMES, 0)))
