"""Finding a place by name or code on the yield page: a region or a state, and the part of the map that shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import streamlit as st

from mainstem.dashboards.shell import open_panel, put_in_address
from mainstem.dashboards.yield_map.layers import US_COUNTY, title_region
from mainstem.data.earth.outlines import STATES

PLACE = "place"  # name in the address, and of the widget
TIMES = "places found"  # session key: how often something was found


@dataclass(frozen=True, kw_only=True)
class Place:
    """What can be found: a name, what it is called in the list, and its regions."""

    name: str
    title: str
    regions: tuple[str, ...]


def list_places(regions: Iterable[str], codes: Mapping[str, str]) -> dict[str, Place]:
    """List all regions and, of US counties, their states; `codes` are official ones by region, as FIPS."""
    states: dict[str, list[str]] = {}
    single = []
    for region in sorted(regions):
        found = US_COUNTY.match(region)
        state = found[1] if found else ""
        if state in STATES:
            states.setdefault(state, []).append(region)
        more = ", ".join(filter(None, (STATES.get(state, ""), codes.get(region, ""))))
        title = f"{title_region(region)} ({more})" if more else title_region(region)
        single.append(Place(name=region, title=title, regions=(region,)))
    whole = [
        Place(name=state, title=f"{STATES[state]} ({state}), {len(members)} counties", regions=tuple(members))
        for state, members in states.items()
    ]
    return {place.name: place for place in (*whole, *single)}


def choose_place(places: Mapping[str, Place]) -> Place | None:
    """Offer a search by name or code; return what is found, or what the address names."""
    asked = str(st.query_params.get(PLACE, ""))
    st.session_state[PLACE] = asked if asked in places else None

    def note() -> None:
        found = places.get(str(st.session_state[PLACE]))
        put_in_address(PLACE, found.name if found else None)
        put_in_address("view", None)
        st.session_state[TIMES] = st.session_state.get(TIMES, 0) + 1
        if found and len(found.regions) == 1:
            put_in_address("region", found.regions[0])
            open_panel("region")

    st.selectbox(
        "Find", list(places), format_func=lambda name: places[name].title, key=PLACE, on_change=note, index=None,
        placeholder="Find a county, state or code", label_visibility="collapsed", width=230,
    )  # fmt: skip
    return places.get(asked)


def leave_place(region: str, places: Mapping[str, Place]) -> None:
    """Forget the place that was found once a region outside of it is chosen."""
    found = places.get(str(st.query_params.get(PLACE, "")))
    if found and region not in found.regions:
        put_in_address(PLACE, None)


def found_on_map(place: Place | None) -> tuple[tuple[str, ...], int] | None:
    """What the map is to zoom to, as `MapContent.found`."""
    return None if place is None else (place.regions, int(st.session_state.get(TIMES, 0)))
