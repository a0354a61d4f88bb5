"""The agronomist's page: which regions to look at, how sure the forecast is, and how it came about."""

from dataclasses import replace

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.hindsight import worst
from mainstem.apps.region_sets import RegionChoice
from mainstem.dashboards.components.fieldmap import Geometry, fieldmap
from mainstem.dashboards.components.find import Place, found_on_map
from mainstem.dashboards.components.tables import named_in_address
from mainstem.dashboards.shell import (
    Desk,
    lay_desk,
    mistakes_as_lines,
    open_panel,
    origin_of,
    plain,
    put_in_address,
    recall,
    say_in_vain,
    say_status,
)
from mainstem.dashboards.yield_map.board import YieldBoard, ranked
from mainstem.dashboards.yield_map.choice import choose_set, offer_training
from mainstem.dashboards.yield_map.claims import show_claims, show_standing, standing
from mainstem.dashboards.yield_map.controls import Controls, choose_controls
from mainstem.dashboards.yield_map.exports import show_downloads
from mainstem.dashboards.yield_map.find import choose_place, list_places
from mainstem.dashboards.yield_map.harvests import show_harvests
from mainstem.dashboards.yield_map.hindsight import show_hindsight
from mainstem.dashboards.yield_map.layers import LAYERS, LESS_HARVEST
from mainstem.dashboards.yield_map.reads import (
    BoardKey,
    is_trained,
    key_of,
    predict_season,
    read_board,
    read_map,
    read_outlines,
)
from mainstem.dashboards.yield_map.region import show_region
from mainstem.dashboards.yield_map.table import choose_region, show_table
from mainstem.dashboards.yield_map.why import show_why
from mainstem.data.earth.outlines import Outlines

PAGE = "yield_map"
IN_ADDRESS = ("set", "season", "region", "unit", "level", "lead", "threshold", "layer", "panel", "place", "view")
PANELS = {
    "region": "Region",
    "why": "Why",
    "list": "List",
    "hindsight": "Hindsight",
    "claims": "Claims",
    "files": "Files",
}


def show_yields() -> None:
    """Lay the page out: the map fills it, choices stand on one line above, and one panel is docked beside it."""
    recall(PAGE, IN_ADDRESS)
    desk, choice = lay_desk(PANELS), None
    with desk.bar, mistakes_as_lines("The list of regions"):
        choice = choose_set(desk.vain)
    if choice is not None:
        with mistakes_as_lines(f"The set {choice.name}"):
            show_set(choice, desk)


def show_set(choice: RegionChoice, desk: Desk) -> None:
    """Show what was understood of a region set, and the set itself once it has a model."""
    for note in choice.notes():
        desk.vain.warning(plain(note), icon=":material/table_view:")
    if not is_trained(choice):
        with desk.dock or desk.canvas:
            offer_training(choice)
        is_drawn = False
        with mistakes_as_lines("The harvests"):
            is_drawn = show_harvests(choice, desk)
        if not is_drawn:
            desk.status.markdown("# Crop yield")
        return
    key = key_of(choice)
    board = read_board(key)
    outlines, geometry = None, None
    with mistakes_as_lines("The outlines"):
        outlines, geometry = read_outlines(key)
    places = list_places(board.regions(), codes_of(outlines))
    with desk.bar:
        controls = choose_controls(board, desk.vain)
        place = choose_place(places)
    table = predict_season(key, controls.season, controls.lead, controls.level, controls.threshold_t_ha)
    attribution = "; ".join(filter(None, (board.source.attribution, outlines.attribution if outlines else "")))
    first = first_region(table, desk.panel)
    chosen, asked = named_in_address("region", board.regions(), first)
    show_status(board, table, controls, desk)
    with desk.canvas, mistakes_as_lines("The map"):
        show_map(key, geometry, controls, chosen, place, desk.vain)
    if desk.dock is None:
        return
    with desk.dock, mistakes_as_lines(f"The panel {PANELS[desk.panel]}"):
        if desk.panel == "claims":
            show_claims(key, table, controls)
            show_standing(board, table, controls)
        elif desk.panel == "list":
            show_table(choice.name, table, controls, chosen, place)
        elif desk.panel == "hindsight":
            show_hindsight(key, table, controls, chosen)
        elif desk.panel == "files":
            show_downloads(board, choice.name, table, outlines, controls)
            show_sources(outlines, attribution)
        elif asked:
            st.warning(f"There is no region {plain(asked, 120)} in this set.", icon=":material/warning:")
        elif desk.panel == "why":
            show_why(key, table, chosen, controls)
        else:
            show_region(key, table, chosen, controls)


def first_region(table: pd.DataFrame, panel: str) -> str:
    """The region that is shown unless one is chosen: the worst where these are listed, else the first of the list."""
    rows = worst(table[table["error"].notna()], 1) if panel == "hindsight" else table.iloc[:0]
    return str(next(iter(rows["region"]), next(iter(ranked(table, ["region"])["region"]), "")))


def show_status(board: YieldBoard, table: pd.DataFrame, controls: Controls, desk: Desk) -> None:
    """Say in one line what is shown, of which model, and how its claims stand."""
    manifest = board.fitted.manifest
    say_status(
        desk.status, f"{board.crop().capitalize()} yield {controls.season}",
        origin=origin_of(sample.source.simulated for sample in board.source.samples),
        training=origin_of([manifest.simulated]), adapter=f"{manifest.adapter} {manifest.version}",
        not_for="trading or insurance", state=standing(board, table, controls),
    )  # fmt: skip


def codes_of(outlines: Outlines | None) -> dict[str, str]:
    """Official codes by region, where the outlines have them."""
    if outlines is None or "fips" not in outlines.frame:
        return {}
    return {str(region): str(code) for region, code in outlines.frame["fips"].items()}


def show_sources(outlines: Outlines | None, attribution: str) -> None:
    """Say whose data are shown, and which regions could not be drawn."""
    unmatched = outlines.unmatched if outlines else ()
    with st.expander(f"Regions without an outline: {len(unmatched)}"):
        st.text(", ".join(unmatched) or "Every region found its outline.")
    if attribution:
        st.caption(f"Data: {plain(attribution, 1000)}")


def show_map(
    key: BoardKey, geometry: Geometry | None, controls: Controls, chosen: str, place: Place | None, vain: DeltaGenerator
) -> None:  # fmt: skip
    """Draw the map; its layer is kept in the address."""
    first, *others = LAYERS
    asked = str(st.query_params.get("layer", ""))
    is_known = asked in LAYERS
    say_in_vain(vain, "layer", "" if is_known else asked, first)
    if geometry is None:
        st.info("This set has no outlines or centres; add location_CROP_COUNTRY.csv for a map.", icon=":material/map:")
        return
    content = replace(
        read_map(key, controls),
        selected=chosen,
        shown=asked if is_known else first,
        told=tuple(others),
        found=found_on_map(place),
        view=str(st.query_params.get("view", "")),
    )
    fieldmap(
        geometry, content, "map", open_region, choose_layer,
        lambda view: put_in_address("view", view),
    )  # fmt: skip


def choose_layer(title: str) -> None:
    """Have the map show a layer; with how far forecasts missed, the list opens, the worst first."""
    put_in_address("layer", title)
    if title == LESS_HARVEST:
        open_panel("list")


def open_region(region: str) -> None:
    """Choose a region on the map, and have its panel open."""
    choose_region(region)
    open_panel("region")


with mistakes_as_lines("The page"):
    show_yields()
