"""The agronomist's page: which regions to look at, how sure the forecast is, and how it came about."""

import re
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
    hindsight,
    load_board,
    outlines_of,
    past_yields,
    ranked,
    region_story,
    season_series,
    season_table,
    worth,
)  # fmt: skip
from mainstem.core.errors import InputError
from mainstem.dashboards.components.fieldmap import HATCHED, Geometry, Layer, MapContent, fieldmap, pack_geometry
from mainstem.dashboards.components.tables import choice_table
from mainstem.dashboards.palette import colours, ramp
from mainstem.dashboards.shell import (
    follow_address,
    header,
    mistakes_as_lines,
    note_in_address,
    origin_of,
    plain,
    put_in_address,
    show_error,
)
from mainstem.data.outlines import Outlines
from mainstem.data.tabular import csv_bytes

LEVELS = (0.5, 0.8, 0.9)
MOST_REASONS = 4  # of missing claims that are told apart above the map; the table has them all
HIGHEST_T_HA = 20.0  # of the threshold's slider
LAYERS = {
    "yield": ("value", "viridis"),
    "against expectation": ("gap", "brbg"),
    "interval width": ("width", "cividis"),
    "chance below threshold": ("below", "cividis"),
}
US_CRS = "EPSG:5070"  # NAD83 / Conus Albers, equal-area; other sets are drawn in their own UTM zone


US_COUNTY = re.compile(r"^([A-Z]{2})_(?=[A-Z])")  # IA_STORY


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What the user chose in the sidebar, and the crop; the threshold is in t/ha."""

    crop: str
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
    by_name = {choice.name: choice for choice in offered}
    names = list(by_name)
    asked = follow_address("set", names, names[0])
    st.selectbox(
        "Regions", names, format_func=lambda name: by_name[name].title, key="set", on_change=note_in_address,
        args=("set", "season", "region", "unit"),
    )  # fmt: skip
    chosen = by_name[str(st.session_state["set"])]
    if asked:
        st.warning(
            f"There is no set {plain(asked, 60)} here; shown is {plain(chosen.title, 120)}.", icon=":material/warning:"
        )
    return chosen


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
        with mistakes_as_lines("The upload"):
            contents = {file.name: file.getvalue() for file in files}
            if len(contents) != len(files):
                raise InputError("two of the files have the same name; rename one")
            put_in_address("set", keep_upload(name, contents).name)
            for outdated in ("season", "region", "unit"):
                put_in_address(outdated, None)
            st.rerun()


def train_first(choice: RegionChoice) -> bool:
    """Offer to fit the set's model where there is none yet, with progress; True where there is one to show."""
    if choice.is_trained():
        return True
    damage = choice.damage()
    outdated = choice.outdated()
    if damage:
        show_error(f"The model of these regions cannot be read: {damage}")
    elif outdated:
        st.warning(f"{plain(outdated)} It takes one to three minutes on two cores.", icon=":material/model_training:")
    else:
        st.info(
            "No model of these regions yet. Training takes one to three minutes on two cores.",
            icon=":material/model_training:",
        )
    if st.button("Train it anew" if damage or outdated else "Train it now", type="primary"):
        bar = st.progress(0.0, "starting")

        def report(stage: str, share: float) -> None:
            bar.progress(min(max(share, 0.0), 1.0), f"{plain(stage)} ({share:.0%})")

        with mistakes_as_lines("The training"):
            choice.train(report)
            st.rerun()
    return False


def in_units(values: Any, unit: str, crop: str) -> Any:  # noqa: ANN401 - number, Series or array
    """Convert t/ha to the unit that was chosen."""
    return values if unit == "t/ha" else bushels_per_acre(1.0, crop) * values


def content_of(name: str, table: pd.DataFrame, geometry: Geometry, controls: Controls, selected: str) -> MapContent:
    """Colour the regions of the set `name` by every layer; regions without a row are grey."""
    unit, crop = controls.unit, controls.crop
    by_region = table.set_index("region").reindex(geometry.ids)
    labels = [
        label_of(str(region), row, controls) for region, row in zip(geometry.ids, by_region.itertuples(), strict=True)
    ]
    return MapContent(
        name=name,
        layers=[
            layer_of(by_region[column].to_numpy(np.float64), title, unit, crop) for title, (column, _) in LAYERS.items()
        ],
        flags=np.where(by_region["claim"].isin(["withdrawn", "none"]).to_numpy(), HATCHED, 0).astype(np.uint8),
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


def label_of(region: str, row: Any, controls: Controls) -> str:  # noqa: ANN401 - a named tuple
    """One region in words."""
    if pd.isna(row.claim):
        return f"{region}: no data in {controls.season}"
    return f"{region}: {words_of(row, controls.unit, controls.crop)}"


def words_of(row: Any, unit: str, crop: str) -> str:  # noqa: ANN401 - a named tuple
    """A region's value, interval and claim in words, or why there is none."""
    if not np.isfinite(row.value):
        return f"no forecast: {row.reasons}"
    value, low, high = (in_units(number, unit, crop) for number in (row.value, row.low, row.high))
    doubt = f", {row.level:.0%} between {low:.1f} and {high:.1f}" if np.isfinite(low + high) else ", no interval"
    text = f"{value:.1f} {unit}{doubt}"
    return text if row.claim == "stated" else f"{text}; claim {row.claim}"


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


def show_region(key: tuple[str, str, str], table: pd.DataFrame, region: str, controls: Controls) -> None:
    """Show a region's curve through the season, its past and its data's age."""
    board = board_of(*key)
    crop, season, unit = board.crop(), controls.season, controls.unit
    row: Any = next(table[table["region"] == region].itertuples(), None)
    title = US_COUNTY.sub(r"\1, ", region)
    st.subheader(plain(title, 120), anchor=False)
    past = past_yields(board, region)
    past = past[past["year"] <= int(season)]
    if row is None:
        st.info(f"No data for {plain(title, 120)} in {plain(season, 40)}.", icon=":material/info:")
        st.altair_chart(past_chart(past, None, season, unit, crop), width="stretch")
        return
    st.markdown(f"**{plain(words_of(row, unit, crop))}**")
    if row.reasons and np.isfinite(row.value):
        st.caption(f":material/info: {plain(row.reasons)}")
    if np.isfinite(row.observed):
        st.caption(plain(outcome_of(row, unit, crop)))
    story = story_of(*key, region, season, controls.level)
    dated = bool(len(season_series(board, region, season)))
    step = "months before the season's end" if dated else "crop phases still to come"
    st.altair_chart(story_chart(story, row, unit, crop, step), width="stretch")
    st.altair_chart(past_chart(past, row, season, unit, crop), width="stretch")
    series = season_series(board, region, season)
    if dated:
        st.altair_chart(
            alt.Chart(series).mark_line(point=True).encode(
                x=alt.X("date:T", title=None), y=alt.Y("value:Q", title=None), row=alt.Row("stream:N", title=None)
            ).properties(height=70).resolve_scale(y="independent"),
            width="stretch",
        )  # fmt: skip
    st.caption(f"Data: {plain(data_age(board, region, season))}.")


def outcome_of(row: Any, unit: str, crop: str) -> str:  # noqa: ANN401 - a named tuple
    """Say how a region's harvest ended against its interval."""
    harvested = f"Harvested: {in_units(row.observed, unit, crop):.1f} {unit}"
    if not np.isfinite(row.low + row.high):
        return f"{harvested}."
    side = "above" if row.observed > row.high else "below" if row.observed < row.low else "inside"
    return f"{harvested}, {side} the interval."


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
    """The region's harvests, and this season's interval beside them where there is one."""
    known = past.assign(yield_=in_units(past["yield"].astype(float), unit, crop))
    axis = alt.X("year:Q", axis=alt.Axis(format="d", tickMinStep=1), title=None, scale=alt.Scale(zero=False))
    drawn = alt.Chart(known).mark_line(point=True, color="#555").encode(
        x=axis, y=alt.Y("yield_:Q", title=unit, scale=alt.Scale(zero=False)), tooltip=["year", "yield_"]
    )  # fmt: skip
    title = "Past harvests"
    if row is not None and np.isfinite(row.value):
        numbers = {name: [in_units(getattr(row, name), unit, crop)] for name in ("value", "low", "high")}
        now = alt.Chart(pd.DataFrame({"year": [int(season)], **numbers})).encode(x=axis)
        drawn += now.mark_rule(strokeWidth=6, opacity=0.35, color="#1f6f43").encode(y="low:Q", y2="high:Q")
        drawn += now.mark_point(size=80, filled=True, color="#1f6f43").encode(y="value:Q")
        title = "Past harvests; forecast in green"
    chart: alt.LayerChart = drawn.properties(height=170, title=title)
    return chart


def show_table(
    name: str,
    table: pd.DataFrame,
    outlines: Outlines | None,
    attribution: str,
    controls: Controls,
    chosen: str,
) -> None:
    """Show the map's table twin with its downloads; a row that is chosen in it is chosen for the page."""
    unit, crop = controls.unit, controls.crop
    columns = ["region", "value", "low", "high", "width", "expected", "below", "observed", "claim"]
    shown = ranked(table, columns).copy()
    for column in ("value", "low", "high", "width", "expected", "observed"):
        shown[column] = in_units(shown[column].astype(float), unit, crop).round(2)
    shown["below"] = shown["below"].round(3)
    st.caption(f"Values in {plain(unit)}; regions without a claim first, then those furthest below expectation.")
    choice_table(shown, "region", chosen, choose_region, f"{name} {controls}")
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


def choose_controls(board: YieldBoard) -> Controls:
    """Offer season, interval, unit, lead and threshold; all but the threshold are kept in the address."""
    crop = board.crop()
    seasons = list(board.seasons())
    asked = follow_address("season", seasons, seasons[0])
    st.selectbox("Season", seasons, key="season", on_change=note_in_address, args=("season",))
    season = str(st.session_state["season"])
    if asked:
        st.warning(
            f"There is no season {plain(asked, 40)} here; shown is {plain(season, 40)}.", icon=":material/warning:"
        )
    follow_address("level", LEVELS, LEVELS[-1])
    level = st.select_slider(
        "Interval", LEVELS, format_func=lambda value: f"{value:.0%}", key="level", on_change=note_in_address,
        args=("level",),
    )  # fmt: skip
    units = ["t/ha", "bu/ac"] if crop in POUNDS_PER_BUSHEL else ["t/ha"]
    follow_address("unit", units, units[0])
    unit = st.segmented_control("Unit", units, key="unit", on_change=note_in_address, args=("unit",)) or units[0]
    leads = list(range(5))
    follow_address("lead", leads, leads[0])
    lead = st.selectbox("Known at", leads, format_func=lead_name, key="lead", on_change=note_in_address, args=("lead",))
    return Controls(
        crop=crop, season=season, level=level, unit=unit, lead=lead, threshold=choose_threshold(board, unit, crop)
    )


def choose_threshold(board: YieldBoard, unit: str, crop: str) -> float:
    """Offer the threshold, t/ha, from the middle of the known yields."""
    known = [float(sample.target) for sample in board.source.labelled() if sample.target is not None]
    middle = float(np.clip(np.median(known), 0.0, HIGHEST_T_HA)) if known else HIGHEST_T_HA / 2
    factor = float(in_units(1.0, unit, crop))
    threshold = st.slider(
        f"Threshold, {plain(unit)}", 0.0, HIGHEST_T_HA * factor, middle * factor, 0.1 * factor, format="%.1f",
        key=f"threshold {unit}",
    )  # fmt: skip
    return float(threshold) / factor


def show_map(name: str, table: pd.DataFrame, geometry: Geometry | None, controls: Controls, chosen: str) -> None:
    """Draw the map."""
    if geometry is None:
        st.info("This set has no outlines or centres; add location_CROP_COUNTRY.csv for a map.", icon=":material/map:")
        return
    fieldmap(geometry, content_of(name, table, geometry, controls, chosen), "map", choose_region)


def show_page() -> None:
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
    if not train_first(choice):
        return
    key = (choice.name, str(choice.run()), run_stamp(choice))
    board = board_of(*key)
    crop, manifest = board.crop(), board.artifact.manifest
    with st.sidebar:
        controls = choose_controls(board)
    header(
        f"{crop.capitalize()} yield {controls.season}",
        origin=origin_of(sample.source.simulated for sample in board.source.samples),
        training=origin_of([manifest.simulated]), adapter=f"{manifest.adapter} {manifest.version}",
        not_for="trading or insurance",
    )  # fmt: skip
    table = table_of(*key, controls.season, controls.lead, controls.level, controls.threshold)
    outlines, geometry = None, None
    with mistakes_as_lines("The outlines"):
        outlines, geometry = map_of(*key)
    attribution = "; ".join(filter(None, (board.source.attribution, outlines.attribution if outlines else "")))
    chosen, asked = chosen_region(board, table)
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_claims(board, table, controls.season)
        with mistakes_as_lines("The map"):
            show_map(choice.name, table, geometry, controls, chosen)
        show_table(choice.name, table, outlines, attribution, controls, chosen)
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


def chosen_region(board: YieldBoard, table: pd.DataFrame) -> tuple[str, str]:
    """Return the region that the address names, or the first of the table; and what it names in vain."""
    asked = str(st.query_params.get("region", ""))
    if asked:
        return (asked, "") if asked in board.regions() else ("", asked)
    return str(ranked(table, ["region"])["region"].iloc[0]), ""


def lead_name(lead: int) -> str:
    """Say in words how early a forecast is."""
    return "whole season" if lead == 0 else f"{lead} month{'s' if lead > 1 else ''} or phases before"


def run_stamp(choice: RegionChoice) -> str:
    """A run's time stamp and size: renews caches when it is calibrated or trained again."""
    stat = (choice.run() / "adapter.safetensors").stat()
    return f"{stat.st_mtime_ns}-{stat.st_size}"


with mistakes_as_lines("The page"):
    show_page()
