"""Finding a place by name or code on the yield page: a region or a state, and the part of the map that shows it."""

from collections.abc import Iterable, Mapping

from mainstem.dashboards.components.find import Place, search_place
from mainstem.dashboards.shell import open_panel, put_in_address
from mainstem.dashboards.yield_map.layers import US_COUNTY, title_region
from mainstem.data.earth.outlines import STATES


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

    def open_found(found: Place) -> None:
        if len(found.regions) == 1:
            put_in_address("region", found.regions[0])
            open_panel("region")

    return search_place(places, "Find a county, state or code", open_found)
