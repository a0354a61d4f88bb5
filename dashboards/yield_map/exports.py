"""The yield page's files: every row says what it holds, of when, by which model, under which licence and for where."""

import pandas as pd
import streamlit as st

from mainstem.apps.export import geopackage_bytes, whole_numbers
from mainstem.dashboards.yield_map.board import YieldBoard
from mainstem.dashboards.yield_map.controls import Controls, name_lead
from mainstem.dashboards.yield_map.known import data_span
from mainstem.dashboards.yield_map.layers import US_COUNTY, place_of
from mainstem.data.earth.outlines import Outlines
from mainstem.data.spreadsheets import csv_bytes

DIGITS = 4  # of yields, t/ha: 0.1 kg
YIELDS = ("value", "low", "high", "width", "low_issued", "high_issued", "observed", "error", "expected", "past", "gap")
NAMES = {"observed": "harvest", "error": "forecast_less_harvest", "inside": "harvest_ended", "past": "past_average",
         "expected": "past_alone", "gap": "against_past_alone", "below": "chance_below_threshold",
         "is_doubted": "season_contradicts_level", "adapter": "model", "adapter_sha256": "model_sha256"}  # fmt: skip
FIRST = ("item", "region", "state", "county", "fips", "crop", "country", "year", "lead", "known_at", "data_from",
         "data_until", "value", "low", "high", "level", "units", "width", "threshold", "below")  # fmt: skip


def export_table(board: YieldBoard, table: pd.DataFrame, outlines: Outlines | None, controls: Controls) -> pd.DataFrame:
    """Return a season's table as files hold it: yields in t/ha, chances and coverages 0-1, dates as ISO 8601.

    What the page shows, and in each row its place, lead, threshold, level, dates, model and licence.
    """
    out = whole_numbers(table).drop(columns="units", errors="ignore")
    for name in set(YIELDS) & set(out.columns):
        out[name] = out[name].astype(float).round(DIGITS)
    out["inside"] = [place_of(row) for row in table.itertuples()]
    out["season_coverage"] = out["season_coverage"].round(DIGITS)
    regions = [str(region) for region in table["region"]]
    counties = [US_COUNTY.match(region) for region in regions]
    spans = data_span(board, controls.season, table["lead"].tolist())
    known = "" if outlines is None or "fips" not in outlines.frame else outlines.frame["fips"]
    more = {
        "units": "t/ha", "threshold": controls.threshold_t_ha, "known_at": [name_lead(lead) for lead in table["lead"]],
        "data_from": [first for first, _ in spans], "data_until": [last for _, last in spans],
        "shown_as": board.shown_as(controls.season), "provenance": board.provenance_of(controls.season),
        "state": [found[1] if found else "" for found in counties],
        "county": [region[found.end() :].replace("_", " ") if found else "" for region, found in
                   zip(regions, counties, strict=True)],
        "fips": "" if isinstance(known, str) else known.reindex(regions).fillna("").to_numpy(),
    }  # fmt: skip
    out = out.assign(**more)
    if outlines is not None and outlines.attribution:
        out["attribution"] = [f"{own}; {outlines.attribution}".strip("; ") for own in out["attribution"]]
    first = [name for name in FIRST if name in out]
    return out[[*first, *(name for name in out if name not in first)]].rename(columns=NAMES)


def file_name(board: YieldBoard, name: str, controls: Controls) -> str:
    """Say what a file holds: crop, set, season, lead and level; how the season is shown where it is no forecast."""
    kind = "held-out-yields" if board.is_trained_on(controls.season) else "yield-forecasts"
    said = f"{board.crop()}-{kind}_{name}_{controls.season}_lead{controls.lead}_{controls.level:.0%}_t-ha"
    return said.replace(" ", "-").replace("%", "pct")


def show_downloads(
    board: YieldBoard, name: str, table: pd.DataFrame, outlines: Outlines | None, controls: Controls
) -> None:
    """Offer the table and the map as files, with the attribution of what they are made of."""
    file, left_and_right = file_name(board, name, controls), st.columns(2)
    # on_click="ignore": a rerun after one download would swallow the click on the next
    left_and_right[0].download_button(
        "CSV, t/ha", lambda: csv_bytes(export_table(board, table, outlines, controls)), f"{file}.csv", "text/csv",
        icon=":material/download:", on_click="ignore", help="Every row: place, lead, threshold, level, model, licence.",
    )  # fmt: skip
    if outlines is not None:
        left_and_right[1].download_button(
            "GeoPackage, t/ha",
            lambda: geopackage_bytes(export_table(board, table, outlines, controls), outlines.frame, "yields"),
            f"{file}.gpkg", "application/geopackage+sqlite3", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


__all__ = ["export_table", "file_name", "show_downloads"]
