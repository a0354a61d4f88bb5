"""The agronomist's page: which regions to look at, how sure the forecast is, and how it came about."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from mainstem.apps.export import geopackage_bytes
from mainstem.apps.region_sets import RegionChoice, choices, keep_upload
from mainstem.apps.yield_board import (
    POUNDS_PER_BUSHEL,
    YieldBoard,
    bushels_per_acre,
    data_age,
    load_board,
    outlines_of,
    past_yields,
    ranked,
    region_story,
    season_series,
    season_table,
    worth,
)  # fmt: skip
from mainstem.core.errors import MainstemError
from mainstem.dashboards.components.fieldmap import HATCHED, Geometry, Layer, MapContent, fieldmap, pack_geometry
from mainstem.dashboards.palette import colours, ramp
from mainstem.dashboards.shell import header, mistakes_as_lines
from mainstem.data.outlines import Outlines
from mainstem.data.tabular import csv_bytes

LEVELS = (0.5, 0.8, 0.9)
LAYERS = {
    "yield": ("value", "viridis"),
    "against expectation": ("gap", "brbg"),
    "interval width": ("width", "cividis"),
    "chance below threshold": ("below", "cividis"),
}
US_CRS = "EPSG:5070"  # NAD83 / Conus Albers, equal-area; other sets are drawn in their own UTM zone


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What the user chose in the sidebar; the threshold is in t/ha."""

    season: str
    level: float
    unit: str
    lead: int
    threshold: float


@st.cache_resource(show_spinner="Reading the model and its regions", max_entries=4)
def board_of(name: str, run: str, sha256: str) -> YieldBoard:
    """Read a board once for all sessions; `sha256` renews it when the run changes."""
    assert sha256
    choice = next(choice for choice in choices() if choice.name == name)
    return load_board(choice.read(), Path(run))


@st.cache_resource(show_spinner="Reading outlines", max_entries=4)
def map_of(name: str, run: str, sha256: str) -> tuple[Outlines | None, Geometry | None]:
    """Read and pack a set's outlines once for all sessions."""
    choice = next(choice for choice in choices() if choice.name == name)
    outlines = outlines_of(board_of(name, run, sha256).source, folder=choice.folder)
    if outlines is None:
        return None, None
    crs = US_CRS if outlines.background is not None else str(outlines.frame.estimate_utm_crs())
    return outlines, pack_geometry(outlines.frame, outlines.background, crs)


@st.cache_data(show_spinner="Predicting", max_entries=64)
def table_of(name: str, run: str, sha256: str, season: str, lead: int, level: float, threshold: float) -> pd.DataFrame:
    """Predict a season once for all sessions."""
    table = season_table(board_of(name, run, sha256), season, lead, level, threshold)
    table["gap"] = table["value"] - table["expected"]
    return table


@st.cache_data(show_spinner=False, max_entries=256)
def story_of(name: str, run: str, sha256: str, region: str, season: str, level: float) -> pd.DataFrame:
    """Predict a region through the season once for all sessions."""
    return region_story(board_of(name, run, sha256), region, season, level)


def choose_set() -> RegionChoice:
    """Let the user choose a region set, or bring one."""
    offered = choices()
    with st.popover("Use my data", icon=":material/upload_file:"):
        bring_own()
    names = [choice.name for choice in offered]
    wanted = st.session_state.pop("brought", None)
    if wanted in names:
        st.session_state["region_set"] = wanted
    titles = {choice.name: choice.title for choice in offered}
    name = st.selectbox("Regions", names, format_func=titles.__getitem__, key="region_set")
    return offered[names.index(name)]


def bring_own() -> None:
    """Take the user's CY-Bench files."""
    st.markdown(
        "Your own regions as CSV files in [CY-Bench](https://github.com/WUR-AI/AgML-CY-Bench)'s layout: "
        "`yield_CROP_COUNTRY.csv` with *adm_id, harvest_year, yield* in t/ha is needed; *ndvi, fpar, soil, "
        "crop_calendar* and *location* files help. Leave the yield of the season to forecast empty. "
        "The files stay on this machine."
    )
    name = st.text_input("Name of the set", placeholder="my farms 2026", max_chars=40)
    files = st.file_uploader("CSV files", type="csv", accept_multiple_files=True)
    if st.button("Keep these files", disabled=not (name and files), type="primary"):
        try:
            kept = keep_upload(name, {file.name: file.getvalue() for file in files})
        except MainstemError as error:
            st.error(str(error), icon=":material/error:")
        else:
            st.session_state["brought"] = kept.name
            st.rerun()


def train_first(choice: RegionChoice) -> None:
    """Fit the set's model where there is none yet, with progress; the page stops here until that is done."""
    if choice.is_trained():
        return
    st.info(
        "No model of these regions yet. Training takes one to three minutes on two cores.",
        icon=":material/model_training:",
    )
    if st.button("Train it now", type="primary"):
        bar = st.progress(0.0, "starting")

        def report(stage: str, share: float) -> None:
            bar.progress(share, f"{stage} ({share:.0%})")

        with mistakes_as_lines():
            choice.train(report)
        st.rerun()
    st.stop()


def in_units(values: Any, unit: str, crop: str) -> Any:  # noqa: ANN401 - number, Series or array
    """Convert t/ha to the unit that was chosen."""
    return values if unit == "t/ha" else bushels_per_acre(1.0, crop) * values


def content_of(table: pd.DataFrame, geometry: Geometry, unit: str, crop: str, selected: str) -> MapContent:
    """Colour the regions by every layer; regions without a row are grey."""
    by_region = table.set_index("region").reindex(geometry.ids)
    labels = [
        label_of(str(region), row, unit, crop) for region, row in zip(geometry.ids, by_region.itertuples(), strict=True)
    ]
    return MapContent(
        layers=[
            layer_of(by_region[column].to_numpy(np.float64), title, unit, crop) for title, (column, _) in LAYERS.items()
        ],
        flags=np.where((by_region["claim"] == "withdrawn").to_numpy(), HATCHED, 0).astype(np.uint8),
        labels=labels,
        selected=selected,
    )


def layer_of(values: NDArray[np.float64], title: str, unit: str, crop: str) -> Layer:
    """Colour one column: chances from 0 to 1, gaps evenly around zero, all else between its 2nd and 98th percentile."""
    column, palette = LAYERS[title]
    if column == "below":
        return Layer(rgba=colours(values, 0.0, 1.0, palette), title=title, low="0 %", high="100 %", ramp=ramp(palette))
    values = in_units(values, unit, crop)
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    if column == "gap":
        high = max(abs(low), abs(high), 1e-9)
        low = -high
    rgba = colours(values, low, high, palette)
    return Layer(rgba=rgba, title=title, low=f"{low:.1f}", high=f"{high:.1f} {unit}", ramp=ramp(palette))


def label_of(region: str, row: Any, unit: str, crop: str) -> str:  # noqa: ANN401 - a named tuple
    """One region in words."""
    if not np.isfinite(row.value):
        return f"{region}: no data this season"
    value, low, high = (in_units(number, unit, crop) for number in (row.value, row.low, row.high))
    text = f"{region}: {value:.1f} {unit}, {row.level:.0%} between {low:.1f} and {high:.1f}"
    return text if row.claim == "stated" else f"{text}; coverage not claimed"


def show_claims(board: YieldBoard, table: pd.DataFrame) -> None:
    """Say what may be claimed of this season, and whether the model is worth anything at all."""
    withdrawn = table[table["claim"] == "withdrawn"]
    if len(withdrawn):
        st.warning(
            f"Coverage is not claimed this season: {withdrawn['reasons'].iloc[0]}. Values are shown hatched; "
            "`mainstem calibrate` with local labels restores the claim.",
            icon=":material/warning:",
        )
    is_worth, sentence = worth(board)
    if is_worth:
        st.caption(sentence)
    else:
        st.info(sentence, icon=":material/info:")


def show_region(key: tuple[str, str, str], table: pd.DataFrame, region: str, controls: Controls) -> None:
    """Show a region's curve through the season, its past and its data's age."""
    board = board_of(*key)
    crop, season, unit = board.crop(), controls.season, controls.unit
    row = next(table[table["region"] == region].itertuples(), None)
    st.subheader(region.replace("_", ", "), anchor=False)
    if row is None:
        st.markdown("No data for this region in this season.")
        return
    words = label_of(region, row, unit, crop).split(": ", 1)[-1]
    st.markdown(f"**{words}**")
    if row.reasons:
        st.caption(f":material/info: {row.reasons!s}")
    story = story_of(*key, region, season, controls.level)
    dated = bool(len(season_series(board, region, season)))
    step = "months before the season's end" if dated else "crop phases still to come"
    st.altair_chart(story_chart(story, row, unit, crop, step), width="stretch")
    past = past_yields(board, region)
    past = past[past["year"] <= int(season)]
    st.altair_chart(past_chart(past, row, season, unit, crop), width="stretch")
    series = season_series(board, region, season)
    if dated:
        st.altair_chart(
            alt.Chart(series).mark_line(point=True).encode(
                x=alt.X("date:T", title=None), y=alt.Y("value:Q", title=None), row=alt.Row("stream:N", title=None)
            ).properties(height=70).resolve_scale(y="independent"),
            width="stretch",
        )  # fmt: skip
    st.caption(f"Data: {data_age(board, region, season)}.")


def story_chart(story: pd.DataFrame, row: Any, unit: str, crop: str, step: str) -> alt.LayerChart:  # noqa: ANN401
    """How the forecast and its interval moved through the season."""
    table = story.assign(**{name: in_units(story[name], unit, crop) for name in ("value", "low", "high")})
    base = alt.Chart(table).encode(x=alt.X("lead:O", sort="descending", title=step))
    axis = alt.Y("low:Q", title=unit, scale=alt.Scale(zero=False))
    drawn = base.mark_area(opacity=0.25, color="#1f6f43").encode(y=axis, y2="high:Q")
    drawn += base.mark_line(point=True, color="#1f6f43").encode(y="value:Q", tooltip=["lead", "value", "low", "high"])
    expected = alt.Chart(pd.DataFrame({"expected": [in_units(row.expected, unit, crop)]}))
    drawn += expected.mark_rule(strokeDash=[5, 4], color="#6b6b6b").encode(y="expected:Q")
    chart: alt.LayerChart = drawn.properties(height=190, title="Forecast by lead; dashed: past alone")
    return chart


def past_chart(past: pd.DataFrame, row: Any, season: str, unit: str, crop: str) -> alt.LayerChart:  # noqa: ANN401
    """The region's harvests, and this season's interval beside them."""
    known = past.assign(yield_=in_units(past["yield"], unit, crop))
    now = pd.DataFrame(
        {
            "year": [int(season)],
            **{name: [in_units(getattr(row, name), unit, crop)] for name in ("value", "low", "high")},
        }
    )
    axis = alt.X("year:Q", axis=alt.Axis(format="d", tickMinStep=1), title=None, scale=alt.Scale(zero=False))
    drawn = alt.Chart(known).mark_line(point=True, color="#555").encode(
        x=axis, y=alt.Y("yield_:Q", title=unit, scale=alt.Scale(zero=False)), tooltip=["year", "yield_"]
    )  # fmt: skip
    drawn += (
        alt.Chart(now).mark_rule(strokeWidth=6, opacity=0.35, color="#1f6f43").encode(x=axis, y="low:Q", y2="high:Q")
    )
    drawn += alt.Chart(now).mark_point(size=80, filled=True, color="#1f6f43").encode(x=axis, y="value:Q")
    chart: alt.LayerChart = drawn.properties(height=170, title="Past harvests; this season in green")
    return chart


def show_table(table: pd.DataFrame, outlines: Outlines | None, attribution: str, unit: str, crop: str) -> str:
    """Show the map's table twin with its downloads; return the region chosen in it."""
    shown = ranked(table, ["region", "value", "low", "high", "width", "expected", "below", "observed", "claim"]).copy()
    for name in ("value", "low", "high", "width", "expected", "observed"):
        shown[name] = in_units(shown[name].astype(float), unit, crop).round(2)
    shown["below"] = shown["below"].round(3)
    st.caption(f"Values in {unit}; regions without a claim first, then those furthest below expectation.")
    event = st.dataframe(shown, hide_index=True, on_select="rerun", selection_mode="single-row", key="twin", height=300)
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
    rows = event.selection.rows if event else []
    return str(shown["region"].iloc[rows[0]]) if rows else ""


def choose_controls(board: YieldBoard) -> Controls:
    """Offer season, interval, unit, lead and threshold."""
    crop = board.crop()
    season = st.selectbox("Season", board.seasons(), key="season")
    level = st.select_slider("Interval", LEVELS, value=0.9, format_func=lambda value: f"{value:.0%}", key="level")
    units = ["t/ha", "bu/ac"] if crop in POUNDS_PER_BUSHEL else ["t/ha"]
    unit = st.segmented_control("Unit", units, default="t/ha", key="unit") or "t/ha"
    lead = st.selectbox("Known at", list(range(5)), format_func=lead_name, key="lead")
    middle = float(np.median([sample.target for sample in board.source.labelled()]))
    factor = float(in_units(1.0, unit, crop))
    threshold = st.slider(
        f"Threshold, {unit}", 0.0, 20.0 * factor, middle * factor, 0.1 * factor, format="%.1f", key=f"threshold {unit}"
    )
    return Controls(season=season, level=level, unit=unit, lead=lead, threshold=threshold / factor)


def show_map(table: pd.DataFrame, geometry: Geometry | None, unit: str, crop: str) -> str:
    """Draw the map; return the region that is chosen on the page."""
    chosen = str(st.session_state.get("chosen", ""))
    if geometry is None:
        st.info("This set has no outlines or centres; add location_CROP_COUNTRY.csv for a map.", icon=":material/map:")
        return chosen
    clicked = fieldmap(geometry, content_of(table, geometry, unit, crop, chosen), "map").selected
    if clicked and clicked != st.session_state.get("clicked"):
        st.session_state["clicked"] = st.session_state["chosen"] = chosen = clicked
    return chosen


def show_page() -> None:
    """Lay the page out: choices in the sidebar, map and table on the left, the chosen region on the right."""
    with st.sidebar:
        choice = choose_set()
    train_first(choice)
    key = (choice.name, str(choice.run()), run_stamp(choice))
    board = board_of(*key)
    outlines, geometry = map_of(*key)
    crop, manifest = board.crop(), board.artifact.manifest
    with st.sidebar:
        controls = choose_controls(board)
    header(
        f"{crop.capitalize()} yield {controls.season}", simulated=board.source.simulated,
        adapter=f"{manifest.adapter} {manifest.version}", not_for="trading or insurance", attribution="",
    )  # fmt: skip
    table = table_of(*key, controls.season, controls.lead, controls.level, controls.threshold)
    attribution = "; ".join(filter(None, (board.source.attribution, outlines.attribution if outlines else "")))
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_claims(board, table)
        chosen = show_map(table, geometry, controls.unit, crop)
        picked = show_table(table, outlines, attribution, controls.unit, crop)
        if picked and picked != st.session_state.get("picked"):
            st.session_state["picked"] = st.session_state["chosen"] = picked
            st.rerun()
        unmatched = outlines.unmatched if outlines else ()
        with st.expander(f"Regions without an outline: {len(unmatched)}"):
            st.write(", ".join(unmatched) or "Every region found its outline.")
        st.caption(f"Data: {attribution}")
    with right:
        known = set(table["region"])
        region = chosen if chosen in known else str(ranked(table, ["region"])["region"].iloc[0])
        show_region(key, table, region, controls)


def lead_name(lead: int) -> str:
    """Say in words how early a forecast is."""
    return "whole season" if lead == 0 else f"{lead} month{'s' if lead > 1 else ''} or phases before"


def run_stamp(choice: RegionChoice) -> str:
    """A run's time stamp and size: renews caches when it is calibrated or trained again."""
    stat = (choice.run() / "adapter.safetensors").stat()
    return f"{stat.st_mtime_ns}-{stat.st_size}"


with mistakes_as_lines():
    show_page()
