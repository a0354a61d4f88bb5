"""The agronomist's page: which regions to look at, how sure the forecast is, and how it came about."""

import pandas as pd
import streamlit as st

from mainstem.apps.export import geopackage_bytes
from mainstem.apps.region_sets import RegionChoice
from mainstem.apps.yield_board import YieldBoard, hindsight, ranked, worth
from mainstem.dashboards.components.fieldmap import Geometry, fieldmap
from mainstem.dashboards.components.tables import choice_table
from mainstem.dashboards.shell import header, mistakes_as_lines, origin_of, plain, put_in_address
from mainstem.dashboards.views.yield_choice import choose_set, offer_training
from mainstem.dashboards.views.yield_controls import Controls, choose_controls
from mainstem.dashboards.views.yield_layers import colour_regions
from mainstem.dashboards.views.yield_reads import key_of, predict_season, read_board, read_outlines
from mainstem.dashboards.views.yield_region import show_region
from mainstem.data.outlines import Outlines
from mainstem.data.tabular import csv_bytes

MOST_REASONS = 4  # of missing claims that are told apart above the map; the table has them all


def show_yields() -> None:
    """Lay the page out: choices in the sidebar, map and table on the left, the chosen region on the right."""
    choice = None
    with st.sidebar, mistakes_as_lines("The list of regions"):
        choice = choose_set()
    if choice is not None:
        with mistakes_as_lines(f"The set {choice.name}"):
            show_set(choice)


def show_set(choice: RegionChoice) -> None:
    """Show what was understood of a region set, and the set itself once it has a model."""
    for note in choice.notes():
        st.warning(plain(note), icon=":material/table_view:")
    if not choice.is_trained():
        st.header("Crop yield", anchor=False)
        offer_training(choice)
        return
    key = key_of(choice)
    board = read_board(key)
    manifest = board.artifact.manifest
    with st.sidebar:
        controls = choose_controls(board)
    header(
        f"{board.crop().capitalize()} yield {controls.season}",
        origin=origin_of(sample.source.simulated for sample in board.source.samples),
        training=origin_of([manifest.simulated]), adapter=f"{manifest.adapter} {manifest.version}",
        not_for="trading or insurance",
    )  # fmt: skip
    table = predict_season(key, controls.season, controls.lead, controls.level, controls.threshold_t_ha)
    outlines, geometry = None, None
    with mistakes_as_lines("The outlines"):
        outlines, geometry = read_outlines(key)
    attribution = "; ".join(filter(None, (board.source.attribution, outlines.attribution if outlines else "")))
    chosen, asked = find_chosen(board, table)
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_claims(board, table, controls.season)
        with mistakes_as_lines("The map"):
            show_map(choice.name, table, geometry, controls, chosen)
        show_table(choice.name, table, controls, chosen)
        show_downloads(table, outlines, attribution)
        unmatched = outlines.unmatched if outlines else ()
        with st.expander(f"Regions without an outline: {len(unmatched)}"):
            st.text(", ".join(unmatched) or "Every region found its outline.")
        if attribution:
            st.caption(f"Data: {plain(attribution, 1000)}")
    with right:
        if asked:
            st.warning(f"There is no region {plain(asked, 120)} in this set.", icon=":material/warning:")
        else:
            with mistakes_as_lines("The region"):
                show_region(key, table, chosen, controls)


def find_chosen(board: YieldBoard, table: pd.DataFrame) -> tuple[str, str]:
    """Return the region that the address names, or the first of the table; and what it names in vain."""
    asked = str(st.query_params.get("region", ""))
    if asked:
        return (asked, "") if asked in board.regions() else ("", asked)
    return str(ranked(table, ["region"])["region"].iloc[0]), ""


def show_claims(board: YieldBoard, table: pd.DataFrame, season: str) -> None:
    """Say what may be claimed of this season, how it fared, and whether the model is worth anything at all."""
    doubtful = table[table["claim"] != "stated"]
    for (claim, reasons), rows in list(doubtful.groupby(["claim", "reasons"], sort=False))[:MOST_REASONS]:
        st.warning(
            f"Claim {plain(claim, 40)} in {len(rows)} of {len(table)} regions: {plain(reasons)}",
            icon=":material/warning:",
        )
    if len(doubtful) < len(table):
        population = str(table.loc[table["claim"] == "stated", "claim_for"].iloc[0])
        st.caption(f"Claim stated in {len(table) - len(doubtful)} of {len(table)} regions: {plain(population)}")
    if board.is_trained_on(season):
        st.warning(f"The model was trained on {plain(season, 40)}: this is no forecast.", icon=":material/warning:")
    elif told := hindsight(table):
        st.caption(plain(told))
    is_worth, sentence = worth(board)
    if is_worth:
        st.caption(plain(sentence))
    else:
        st.info(plain(sentence), icon=":material/info:")


def show_map(name: str, table: pd.DataFrame, geometry: Geometry | None, controls: Controls, chosen: str) -> None:
    """Draw the map."""
    if geometry is None:
        st.info("This set has no outlines or centres; add location_CROP_COUNTRY.csv for a map.", icon=":material/map:")
        return
    fieldmap(geometry, colour_regions(name, table, geometry, controls, chosen), "map", choose_region)


def show_table(name: str, table: pd.DataFrame, controls: Controls, chosen: str) -> None:
    """Show the map's table twin; a row that is chosen in it is chosen for the page."""
    columns = ["region", "value", "low", "high", "width", "expected", "below", "observed", "claim"]
    shown = ranked(table, columns).copy()
    for column in ("value", "low", "high", "width", "expected", "observed"):
        shown[column] = controls.unit.convert(shown[column].astype(float)).round(2)
    shown["below"] = shown["below"].round(3)
    st.caption(
        f"Values in {plain(controls.unit.name)}; regions without a claim first, then those furthest below expectation."
    )
    choice_table(shown, "region", chosen, choose_region, f"{name} {controls}")


def show_downloads(table: pd.DataFrame, outlines: Outlines | None, attribution: str) -> None:
    """Offer the table and the map as files, with the attribution of what they are made of."""
    out = table.assign(attribution=attribution)
    left, right = st.columns(2)
    # on_click="ignore": a rerun after one download would swallow the click on the next
    left.download_button(
        "CSV, t/ha", csv_bytes(out), "yields.csv", "text/csv", icon=":material/download:", on_click="ignore"
    )
    if outlines is not None:
        right.download_button(
            "GeoPackage, t/ha", lambda: geopackage_bytes(out, outlines.frame, "yields"), "yields.gpkg",
            "application/geopackage+sqlite3", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def choose_region(region: str) -> None:
    """Choose a region for the whole page, wherever that was done."""
    put_in_address("region", region)


with mistakes_as_lines("The page"):
    show_yields()
