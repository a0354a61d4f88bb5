"""The agronomist's fields: which to visit, how sure the map is, how each grew, and files to take along."""

import json
from functools import partial
from typing import Any

import altair as alt
import geopandas as gpd
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from shapely.geometry import box

from mainstem.apps.field_board import (
    THRESHOLD_T_HA,
    FieldBoard,
    add_field,
    ensure_demo,
    import_fields,
    keep_inputs,
    known_maps,
    load_field_board,
    make_map,
    maps_folder,
)
from mainstem.apps.field_exports import field_bytes
from mainstem.core.errors import MainstemError
from mainstem.dashboards.components.fieldmap import (
    HATCHED,
    Choice,
    Geometry,
    Layer,
    MapContent,
    Raster,
    fieldmap,
    pack_geometry,
)
from mainstem.dashboards.palette import colours, ramp
from mainstem.dashboards.shell import header, mistakes_as_lines

EXPORTS = {
    "gpkg": ("GeoPackage", "application/geopackage+sqlite3"),
    "geojson": ("GeoJSON", "application/geo+json"),
    "shp.zip": ("Shapefile", "application/zip"),
    "csv": ("CSV", "text/csv"),
}
VISIT = "cannot say: visit"
SEQUENTIAL, DOUBT = "viridis", "cividis"


@st.cache_resource(show_spinner="Reading the map", max_entries=4)
def board_of(name: str, stamp: str) -> FieldBoard:
    """Read a map once for all sessions; `stamp` renews it when it or its fields change."""
    assert stamp
    return load_field_board(name)


@st.cache_resource(show_spinner=False, max_entries=4)
def geometry_of(name: str, stamp: str) -> Geometry:
    """Pack a map's fields once for all sessions."""
    board = board_of(name, stamp)
    return pack_geometry(board.table.set_index("field"), None if len(board.table) else frame_of(board), board.crs)


def frame_of(board: FieldBoard) -> gpd.GeoDataFrame:
    """The map's own border, to look at where there is no field yet."""
    return gpd.GeoDataFrame(geometry=[box(*board.bounds)], crs=board.crs)


def stamp_of(name: str) -> str:
    """When map and fields last changed."""
    folder = maps_folder() / name
    times = [path.stat().st_mtime_ns for path in (folder / "map.tif", folder / "fields.gpkg") if path.is_file()]
    return "-".join(map(str, times))


def choose_map() -> str:
    """Let the user choose a map, or make one of their own scenes."""
    with st.popover("Use my data", icon=":material/upload_file:"):
        bring_own()
    names = known_maps()
    if not names:
        st.info("No map yet. A simulated farm takes about a minute and a half.", icon=":material/map:")
        if st.button("Make it now", type="primary"):
            with_progress(ensure_demo)
        st.stop()
    wanted = st.session_state.pop("made", None)
    if wanted in names:
        st.session_state["map_name"] = wanted
    return str(st.selectbox("Farm and season", names, key="map_name"))


def with_progress(work: Any) -> Any:  # noqa: ANN401 - what the work returns
    """Do long work under a bar, then show the page anew."""
    bar = st.progress(0.0, "starting")

    def report(stage: str, share: float) -> None:
        bar.progress(min(share, 1.0), f"{stage} ({share:.0%})")

    with mistakes_as_lines():
        st.session_state["made"] = work(report)
    st.rerun()


def bring_own() -> None:
    """Take the user's scenes, weather and fields."""
    st.markdown(
        "**Scenes**: GeoTIFFs of one grid, one a date, bands named (*B2 ... B12*) with unit and scale. **Weather**: a "
        "CSV (*date, temperature_c, rain_mm, radiation_mj_m2*) or AgERA5/ERA5-Land NetCDF. **Fields**: GeoJSON, "
        "GeoPackage, zipped Shapefile or KML, a column *sowing* helps. *soil.tif* (cm/m) if you have it. SAFE folders, "
        "STAC items and Zarr go through `mainstem map`. Nothing leaves this machine."
    )
    name = st.text_input("Name of the map", placeholder="my farm 2026", max_chars=40)
    threshold = st.number_input("Chance of less than, t/ha", 0.0, 20.0, THRESHOLD_T_HA, 0.5)
    kinds = ["tif", "tiff", "csv", "nc", "geojson", "json", "gpkg", "zip", "kml"]
    files = st.file_uploader("Files", type=kinds, accept_multiple_files=True)
    if st.button("Map these", disabled=not (name and files), type="primary"):
        with mistakes_as_lines():
            keep_inputs(name, {file.name: file.getvalue() for file in files})
        with_progress(lambda report: make_map(name, threshold, report))


def raster_of(values: NDArray[np.float32], low: float, high: float, board: FieldBoard) -> Raster:
    """Scale values (y, x) to 1-255 between low and high, 0 where missing."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.where(np.isfinite(values), 1 + np.rint(np.nan_to_num(share) * 254), 0).astype(np.uint8)
    return Raster(pixels=pixels, bounds=board.bounds)


def span(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Second and 98th percentile of what is known."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    return float(low), float(high)


def layers_of(board: FieldBoard, date: str) -> list[Layer]:
    """Every layer that the map can be coloured by: fields first, then pixels."""
    unit = "%" if "percent" in board.tags["UNITS"] else board.tags["UNITS"]
    what = "vigour" if unit == "%" else "yield"
    table, bands = board.table, board.bands
    nothing = np.zeros((len(table), 4), np.uint8)

    def pixels(title: str, values: NDArray[np.float32], ends: tuple[float, float], palette: str, text: str) -> Layer:
        low, high = ends
        return Layer(
            rgba=nothing, title=title, low=f"{low:.2g}", high=f"{high:.2g} {text}".strip(), ramp=ramp(palette),
            raster=raster_of(values, low, high, board),
        )  # fmt: skip

    found = []
    low, high = span(bands["mean"][board.inside])
    if len(table):
        means = table["mean"].to_numpy(np.float64)
        rgba = colours(means, low, high, SEQUENTIAL)
        found.append(
            Layer(
                rgba=rgba, title=f"{what} by field", low=f"{low:.1f}", high=f"{high:.1f} {unit}", ramp=ramp(SEQUENTIAL)
            )
        )
        width = (table["upper"] - table["lower"]).to_numpy(np.float64)
        ends = span(width)
        rgba = colours(width, *ends, DOUBT)
        found.append(
            Layer(
                rgba=rgba,
                title="interval by field",
                low=f"{ends[0]:.1f}",
                high=f"{ends[1]:.1f} {unit}",
                ramp=ramp(DOUBT),
            )
        )
    found.append(pixels(f"{what} by pixel", bands["mean"], (low, high), SEQUENTIAL, unit))
    width = bands["upper"] - bands["lower"]
    found.append(pixels("interval by pixel", width, span(width[board.inside]), DOUBT, unit))
    found += [
        pixels(name, values, (0.0, 1.0), DOUBT, "") for name, values in bands.items() if name.startswith("probability")
    ]
    if date:
        found.append(pixels("NDVI", board.ndvi[board.dates.index(date)], (0.0, 0.9), SEQUENTIAL, f"on {date}"))
        found.append(pixels("share of dates in cloud", 1 - board.clear_share, (0.0, 1.0), DOUBT, ""))
    return found


def words_of(row: Any, unit: str) -> str:  # noqa: ANN401 - a named tuple
    """A field's value and interval in words."""
    if not np.isfinite(row.mean):
        return f"{VISIT} ({row.seen_share:.0%} of it is known)"
    text = f"{row.mean:.1f} {unit}, {row.level:.0%} between {row.lower:.1f} and {row.upper:.1f}"
    return text if row.claim == "stated" else f"{text}; coverage not claimed"


def content_of(board: FieldBoard, date: str, selected: str, *, is_left: bool = True) -> MapContent:
    """What the map shows."""
    unit = board.tags["UNITS"]
    claims = board.table["claim"].to_numpy()
    return MapContent(
        layers=layers_of(board, date),
        flags=np.where(claims == "withdrawn", HATCHED, 0).astype(np.uint8),
        labels=[f"{row.field}: {words_of(row, unit)}" for row in board.table.itertuples()],
        selected=selected,
        is_drawable=is_left,
        shown="" if is_left else "NDVI",
    )


def show_maps(board: FieldBoard, geometry: Geometry) -> str:
    """Draw one map, or two side by side, and return the field that is chosen."""
    chosen = str(st.session_state.get("field", ""))
    dates = list(board.dates)
    known = board.table["field"].tolist()
    chosen = chosen if chosen in known else (known[0] if known else "")
    compare = st.toggle("Compare two maps", key="compare", help="Side by side, each with a date and layer of its own.")
    sides = st.columns(2) if compare else [st.container()]
    with sides[0]:
        date = str(st.select_slider("NDVI on", dates, value=dates[-1], key="date")) if dates else ""
        choice = fieldmap(geometry, content_of(board, date, chosen), "fields")
    if compare:
        with sides[1]:
            other = str(st.select_slider("NDVI on", dates, value=dates[0], key="other_date")) if dates else ""
            fieldmap(geometry, content_of(board, other, chosen, is_left=False), "fields_right")
    return take(board, choice, chosen)


def take(board: FieldBoard, choice: Choice, chosen: str) -> str:
    """Act on what was done on the map."""
    if choice.drawn and choice.drawn != st.session_state.get("drawn"):
        st.session_state["drawn"] = choice.drawn
        try:
            st.session_state["field"] = add_field(board, [tuple(corner) for corner in json.loads(choice.drawn)])
        except MainstemError as error:
            st.error(str(error), icon=":material/error:")
        else:
            st.rerun()
    if choice.selected and choice.selected != st.session_state.get("clicked"):
        st.session_state["clicked"] = st.session_state["field"] = chosen = choice.selected
    return chosen


def show_claim(board: FieldBoard) -> None:
    """Say what may be claimed of the map."""
    tags = board.tags
    if tags["CLAIM"] != "stated":
        st.warning(f"Coverage is not claimed: {tags['CLAIM_REASON']}.", icon=":material/warning:")
    if tags["TRAINING"] == "simulated":
        st.caption(
            "The model was trained on simulated farms alone. On real scenes it shows relative vigour, never t/ha, "
            "until `mainstem calibrate` has seen 20 harvested fields of your own."
        )


def show_list(board: FieldBoard, unit: str) -> str:
    """The map's table twin, fields to visit first; returns the one chosen in it."""
    if not len(board.table):
        st.info("No fields yet: draw one on the map, or bring a file below.", icon=":material/polyline:")
        return ""
    shown = pd.DataFrame(board.table.drop(columns="geometry"))[
        ["field", "mean", "lower", "upper", "area_ha", "seen_share", "claim", "reason"]
    ].round(2)
    shown["seen_share"] = (100 * shown["seen_share"]).round().astype(int).astype(str) + " %"
    shown = shown.rename(columns={"area_ha": "area, ha", "seen_share": "seen"})
    count = f"{len(shown)} field{'s' * (len(shown) > 1)}"
    st.caption(f"{count}; mean, lower and upper in {unit}. Those to visit first, then from the lowest mean.")
    event = st.dataframe(shown, hide_index=True, on_select="rerun", selection_mode="single-row", key="list", height=300)
    rows = event.selection.rows if event else []
    return str(shown["field"].iloc[rows[0]]) if rows else ""


def show_downloads(board: FieldBoard) -> None:
    """Files to take along."""
    row = st.container(horizontal=True)
    row.download_button(
        "Map (COG)", (board.folder / "map.tif").read_bytes, "map.tif", "image/tiff; application=geotiff",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    for kind, (title, mime) in EXPORTS.items() if len(board.table) else ():
        row.download_button(
            title, partial(field_bytes, board.table, kind), f"fields.{kind}", mime,
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def show_import(board: FieldBoard) -> None:
    """Take fields from a file."""
    with st.expander("Other fields for this map"):
        file = st.file_uploader(
            "GeoJSON, GeoPackage, zipped Shapefile or KML", ["geojson", "json", "gpkg", "zip", "kml"]
        )
        if file is not None and st.button("Use these fields"):
            with mistakes_as_lines():
                import_fields(board, file.name, file.getvalue())
            st.rerun()


def show_field(board: FieldBoard, name: str, unit: str) -> None:
    """Show a field's value, its interval and its season."""
    row = next(row for row in board.table.itertuples() if row.field == name)
    st.subheader(f"Field {name}", anchor=False)
    st.markdown(f"**{words_of(row, unit)}**")
    st.caption(f"{row.area_ha:.2f} ha. {row.reason or ''}")
    series = board.season(name)
    if not len(series):
        st.caption("No scenes are kept with this map: there is no curve.")
        return
    clear = series[series["seen"] > 0]
    everyone = board.everyone()
    axis = alt.X("date:T", title=None)
    drawn = alt.Chart(everyone).mark_line(color="#8a8a8a", strokeDash=[5, 4]).encode(
        x=axis, y=alt.Y("ndvi:Q", title="NDVI", scale=alt.Scale(domain=[0, 1]))
    )  # fmt: skip
    drawn += alt.Chart(clear).mark_line(color="#1f6f43").encode(x=axis, y="ndvi:Q")
    drawn += alt.Chart(clear).mark_circle(color="#1f6f43").encode(
        x=axis, y="ndvi:Q", size=alt.Size("seen:Q", title="share seen", scale=alt.Scale(domain=[0, 1])),
        tooltip=["date", "ndvi", "seen"],
    )  # fmt: skip
    st.altair_chart(drawn.properties(height=220, title="This field; dashed: all fields"), width="stretch")
    last = clear["date"].iloc[-1] if len(clear) else "never"
    cloud = 1 - float(series["seen"].mean())
    st.caption(f"Last seen {last}; over the season's {len(series)} scenes {cloud:.0%} of it was under cloud.")


def show_page() -> None:
    """Lay the page out: map and list on the left, the chosen field on the right."""
    with st.sidebar:
        name = choose_map()
    stamp = stamp_of(name)
    board = board_of(name, stamp)
    unit = board.tags["UNITS"]
    what = "Vigour" if "percent" in unit else "Yield"
    season = board.tags["DATES"][:4]
    header(
        f"{what} of fields, {name} {season}", simulated=board.is_simulated(), adapter=board.tags["ADAPTER"],
        not_for="trading or insurance", attribution="",
    )  # fmt: skip
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_claim(board)
        chosen = show_maps(board, geometry_of(name, stamp))
        picked = show_list(board, unit)
        if picked and picked != st.session_state.get("picked_field"):
            st.session_state["picked_field"] = st.session_state["field"] = picked
            st.rerun()
        show_downloads(board)
        show_import(board)
        st.caption(f"Data: {board.tags['ATTRIBUTION']}")
    with right:
        if len(board.table):
            known = set(board.table["field"])
            show_field(board, chosen if chosen in known else str(board.table["field"].iloc[0]), unit)


with mistakes_as_lines():
    show_page()
