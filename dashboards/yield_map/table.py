"""The yield map's table twin: the layer's own order, harvests beside forecasts, and no download but the page's."""

import pandas as pd
import streamlit as st

from mainstem.apps.hindsight import worst
from mainstem.dashboards.components.find import Place
from mainstem.dashboards.components.tables import choice_table
from mainstem.dashboards.shell import plain, put_in_address
from mainstem.dashboards.yield_map.board import ranked
from mainstem.dashboards.yield_map.controls import Controls
from mainstem.dashboards.yield_map.layers import LESS_HARVEST, place_of, title_region

LIST_PX = 660  # at most
AMOUNTS = ("value", "low", "high", "width", "expected", "past", "observed", "error")  # columns in the unit of yields
TITLES = {
    "value": "forecast",
    "expected": "past alone",
    "past": "past average",
    "observed": "harvest",
    "inside": "ended",
}
ICONS = {"inside": "✓ inside", "above": "▲ above", "below": "▼ below", "": ""}
BEFORE = ["region", "claim", "value", "low", "high", "width", "below", "expected"]
ENDED = ["observed", "error", "inside"]


def show_table(name: str, table: pd.DataFrame, controls: Controls, chosen: str, place: Place | None) -> None:
    """Show the map's table twin in the order of its layer, of a state alone where one was found.

    A row that is chosen in it is chosen for the page.
    """
    if place is not None and len(place.regions) > 1:
        table, name = table[table["region"].isin(place.regions)], f"{name} {place.name}"
    layer = str(st.query_params.get("layer", ""))
    rows = in_order(table, layer)
    st.caption(plain(order_words(rows, layer)))
    regions = [str(region) for region in rows["region"]]
    choice_table(
        shown_table(rows, controls, layer), regions, chosen, choose_region, f"{name} {layer} {controls}", LIST_PX
    )


def is_by_error(table: pd.DataFrame, layer: str) -> bool:
    """True where rows go by how far forecasts missed: where that is the layer, and any harvest is known."""
    return layer == LESS_HARVEST and bool(table["error"].notna().any())


def in_order(table: pd.DataFrame, layer: str) -> pd.DataFrame:
    """The rows in the layer's order: the largest errors first, or regions without a claim, then the lowest."""
    return worst(table, len(table)) if is_by_error(table, layer) else ranked(table, list(table.columns))


def order_words(rows: pd.DataFrame, layer: str) -> str:
    """Say what comes first."""
    if is_by_error(rows, layer):
        return "The worst forecasts first: the largest differences from the harvest, whichever their sign."
    return "Regions without a claim first, then those furthest below expectation."


def shown_table(rows: pd.DataFrame, controls: Controls, layer: str) -> pd.DataFrame:
    """The columns that the page shows, in its unit; harvests where any is known, first where rows go by errors."""
    unit = controls.unit
    columns = [*BEFORE, *(ENDED if rows["observed"].notna().any() else ())]
    if is_by_error(rows, layer):
        columns = ["region", "value", "observed", "error", "low", "high", "inside"]
        columns += [column for column in BEFORE if column not in columns]
    shown = rows[columns].copy()
    shown["region"] = [title_region(str(region)) for region in rows["region"]]
    shown["below"] = shown["below"].round(3)
    for column in set(AMOUNTS) & set(columns):
        shown[column] = unit.convert(shown[column].astype(float)).round(2)
    if "inside" in shown:
        shown["inside"] = [ICONS[place_of(row)] for row in rows.itertuples()]
    titles = {name: TITLES.get(name, name) for name in columns}
    titles |= {name: f"{titles[name]}, {unit.name}" for name in AMOUNTS if name in columns}
    titles["below"] = f"below {unit.convert(controls.threshold_t_ha):.1f} {unit.name}, chance"
    return shown.rename(columns=titles)


def choose_region(region: str) -> None:
    """Choose a region for the whole page."""
    put_in_address("region", region)
