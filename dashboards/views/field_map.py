"""The agronomist's fields: which to visit, how sure the map is, how each grew, and files to take along."""

import json
from collections.abc import Mapping
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
    FIELDS,
    THRESHOLD_T_HA,
    FieldBoard,
    ensure_demo,
    keep_inputs,
    known_maps,
    load_field_board,
    make_map,
    maps_folder,
)
from mainstem.apps.field_edits import REPLACED, add_field, import_fields
from mainstem.apps.field_exports import field_bytes
from mainstem.apps.map_files import NOTES
from mainstem.core.errors import InputError
from mainstem.dashboards.components.fieldmap import (
    HATCHED,
    Geometry,
    Layer,
    MapContent,
    Raster,
    fieldmap,
    pack_geometry,
)
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
    times = [path.stat().st_mtime_ns for path in map(folder.joinpath, ("map.tif", NOTES, FIELDS)) if path.is_file()]
    return "-".join(map(str, times))


def choose_map() -> str:
    """Let the user choose a map, or make one of their own scenes; "" where there is none yet."""
    with st.popover("Use my data", icon=":material/upload_file:"):
        bring_own()
    names = known_maps()
    if not names:
        st.info("No map yet. A simulated farm takes about a minute and a half.", icon=":material/map:")
        if st.button("Make it now", type="primary"):
            with_progress(ensure_demo)
        return ""
    asked = follow_address("map", names, names[0])
    st.selectbox("Farm and season", names, key="map", on_change=note_in_address, args=("map", "field", "date", "other"))
    name = str(st.session_state["map"])
    if asked:
        st.warning(f"There is no map {plain(asked, 60)} here; shown is {plain(name, 60)}.", icon=":material/warning:")
    return name


def with_progress(work: Any) -> None:  # noqa: ANN401 - the work returns the map's name
    """Do long work under a bar, then show the map that came of it."""
    bar = st.progress(0.0, "starting")

    def report(stage: str, share: float) -> None:
        bar.progress(min(max(share, 0.0), 1.0), f"{plain(stage)} ({share:.0%})")

    with mistakes_as_lines("The map"):
        put_in_address("map", work(report))
        for outdated in ("field", "date", "other"):
            put_in_address(outdated, None)
        st.rerun()


def bring_own() -> None:
    """Take the user's scenes, weather and fields."""
    st.markdown(
        "**Scenes**: GeoTIFFs of one grid, one a date, bands named (*B2 ... B12*) with unit and scale. **Weather**: a "
        "CSV (*date, temperature_c, rain_mm, radiation_mj_m2*) or AgERA5/ERA5-Land NetCDF. **Fields**: GeoJSON, "
        "GeoPackage, zipped Shapefile or KML, columns *sowing* and *crop* help. *soil.tif* (cm/m) if you have it. SAFE "
        "folders, STAC items and Zarr go through `mainstem map`. Nothing leaves this machine."
    )
    name = st.text_input("Name of the map", placeholder="my farm 2026", max_chars=40)
    threshold = st.number_input("Chance of less than, t/ha", 0.0, 20.0, THRESHOLD_T_HA, 0.5)
    crop = st.text_input(
        "Crop", placeholder="maize", max_chars=40, help="Of fields that do not say theirs in a column crop."
    )
    kinds = ["tif", "tiff", "csv", "nc", "geojson", "json", "gpkg", "zip", "kml"]
    files = st.file_uploader("Files", type=kinds, accept_multiple_files=True)
    if st.button("Map these", disabled=not (name and files), type="primary"):
        with mistakes_as_lines("The upload"):
            keep_inputs(name, contents_of(files))
            with_progress(lambda report: make_map(name, threshold, report, crop))


def contents_of(files: Any) -> dict[str, bytes]:  # noqa: ANN401 - Streamlit's uploads
    """Names and contents of uploaded files.

    Raises:
        InputError: if two have one name.
    """
    contents = {file.name: file.getvalue() for file in files}
    if len(contents) != len(files):
        raise InputError("two of the files have the same name; rename one")
    return contents


def raster_of(values: NDArray[np.float32], low: float, high: float, board: FieldBoard) -> Raster:
    """Scale values (y, x) to 1-255 between low and high, 0 where missing."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.where(np.isfinite(values), 1 + np.rint(np.nan_to_num(share) * 254), 0).astype(np.uint8)
    return Raster(pixels=pixels, bounds=board.bounds)


def layers_of(board: FieldBoard, date: str) -> list[Layer]:
    """Every layer that the map can be coloured by: fields first, then pixels; the scales are the map's own."""
    unit = "%" if "percent" in board.tags["UNITS"] else board.tags["UNITS"]
    what = "vigour" if unit == "%" else "yield"
    table, bands = board.table, board.bands
    nothing = np.zeros((len(table), 4), np.uint8)

    def fields(title: str, values: NDArray[np.float64], ends: tuple[float, float], palette: str) -> Layer:
        return Layer(
            rgba=colours(values, *ends, palette), title=title, low=f"{ends[0]:.1f}", high=f"{ends[1]:.1f} {unit}",
            ramp=ramp(palette),
        )  # fmt: skip

    def pixels(title: str, values: NDArray[np.float32], ends: tuple[float, float], palette: str, text: str) -> Layer:
        low, high = ends
        return Layer(
            rgba=nothing, title=title, low=f"{low:.2g}", high=f"{high:.2g} {text}".strip(), ramp=ramp(palette),
            raster=raster_of(values, low, high, board),
        )  # fmt: skip

    width = bands["upper"] - bands["lower"]
    level_ends, width_ends = board.scale(bands["mean"]), board.scale(width)
    found = []
    if len(table):
        means, widths = (table[name].to_numpy(np.float64) for name in ("mean", "upper"))
        widths = widths - table["lower"].to_numpy(np.float64)
        found.append(fields(f"{what} by field", means, level_ends, SEQUENTIAL))
        found.append(fields("interval by field", widths, board.scale(width, board.mean_factor), DOUBT))
    found.append(pixels(f"{what} by pixel", bands["mean"], level_ends, SEQUENTIAL, unit))
    found.append(pixels("interval by pixel", width, width_ends, DOUBT, unit))
    found += [
        pixels(name, values, (0.0, 1.0), DOUBT, "") for name, values in bands.items() if name.startswith("probability")
    ]
    if date:
        found.append(pixels("NDVI", board.ndvi[board.dates.index(date)], (0.0, 0.9), SEQUENTIAL, f"on {date}"))
        found.append(pixels("share of dates in cloud", 1 - board.clear_share, (0.0, 1.0), DOUBT, ""))
    return found


def words_of(row: Any, unit: str) -> str:  # noqa: ANN401 - a named tuple
    """A field's value, interval and claim in words."""
    if not np.isfinite(row.mean):
        return f"{VISIT} ({row.seen_share:.0%} of it is known)"
    text = f"{row.mean:.1f} {unit}, {row.level:.0%} between {row.lower:.1f} and {row.upper:.1f}"
    return text if row.claim == "stated" else f"{text}; claim {row.claim}"


def content_of(board: FieldBoard, date: str, selected: str, *, is_left: bool = True) -> MapContent:
    """What the map shows."""
    unit = board.tags["UNITS"]
    claims = board.table["claim"].to_numpy()
    return MapContent(
        name=board.name,
        bounds=board.bounds,
        layers=layers_of(board, date),
        flags=np.where(claims != "stated", HATCHED, 0).astype(np.uint8),
        labels=[f"{row.field}: {words_of(row, unit)}" for row in board.table.itertuples()],
        selected=selected,
        is_drawable=is_left,
        shown="" if is_left else "NDVI",
    )


def show_maps(board: FieldBoard, geometry: Geometry, chosen: str) -> None:
    """Draw one map, or two side by side."""
    follow_address("compare", [True, False], False)
    left, right = st.columns([1, 2], vertical_alignment="center")
    left.toggle(
        "Compare two maps", key="compare", help="Side by side, each with a date and layer of its own.",
        on_change=note_in_address, args=("compare",),
    )  # fmt: skip
    is_double = bool(st.session_state["compare"])
    sides = st.columns(2) if is_double else [st.container()]
    with sides[0] if is_double else right:
        date = choose_date(board, "date", -1)
    with sides[0]:
        content = content_of(board, date, chosen)
        drawn = fieldmap(geometry, content, "fields", choose_field)
    if is_double:
        with sides[1]:
            content = content_of(board, choose_date(board, "other", 0), chosen, is_left=False)
            fieldmap(geometry, content, "fields_right", choose_field)
    if drawn:
        with mistakes_as_lines("The drawing"):
            take(board, drawn)


def choose_date(board: FieldBoard, name: str, otherwise: int) -> str:
    """Let the user choose a scene's date; "" where no scene is kept."""
    dates = list(board.dates)
    if not dates:
        return ""
    asked = follow_address(name, dates, dates[otherwise])
    if asked:
        st.caption(f"No scene of {plain(asked, 60)}.")
    if len(dates) == 1:
        return dates[0]
    return str(st.select_slider("NDVI on", dates, key=name, on_change=note_in_address, args=(name,)))


def choose_field(name: str) -> None:
    """Choose a field for the whole page, wherever that was done."""
    put_in_address("field", name)


def take(board: FieldBoard, drawn: str) -> None:
    """Add what was drawn on the map.

    Raises:
        InputError: if it is no field.
    """
    try:
        told = json.loads(drawn)
        name, corners = told["map"], told["corners"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("the drawing did not arrive whole; draw it again") from error
    if name == board.name:  # else the map was changed meanwhile
        choose_field(add_field(board, corners))
        st.rerun()


def show_claim(board: FieldBoard) -> None:
    """Say what may be claimed of the map."""
    tags = board.tags
    if tags["CLAIM"] != "stated":
        st.warning(f"Claim {plain(tags['CLAIM'], 40)}: {plain(tags['CLAIM_REASON'])}", icon=":material/warning:")
    for problem in board.problems:
        show_error(problem)


def show_training(tags: Mapping[str, str]) -> None:
    """Say what the model has learnt from."""
    if tags["TRAINING"] == "simulated":
        st.caption(
            "The model was trained on simulated farms alone. On real scenes it shows relative vigour, never t/ha, "
            "until `mainstem calibrate` has seen 20 harvested fields of your own."
        )
    st.caption(f"Model trained on: {plain(tags['ATTRIBUTION'], 1000)}")


def show_list(board: FieldBoard, unit: str, chosen: str) -> None:
    """The map's table twin, fields to visit first; a row that is chosen in it is chosen for the page."""
    if not len(board.table):
        st.info("No fields yet: draw one on the map, or bring a file below.", icon=":material/polyline:")
        return
    shown = pd.DataFrame(board.table.drop(columns="geometry"))[
        ["field", "mean", "lower", "upper", "area_ha", "seen_share", "claim", "reason"]
    ].round(2)
    shown["seen_share"] = [f"{share:.0%}" if np.isfinite(share) else "" for share in shown["seen_share"]]
    shown = shown.rename(columns={"area_ha": "area, ha", "seen_share": "seen"})
    count = f"{len(shown)} field{'s' * (len(shown) > 1)}"
    st.caption(f"{count}; mean, lower and upper in {plain(unit)}. Those to visit first, then from the lowest mean.")
    choice_table(shown, "field", chosen, choose_field, f"fields of {board.name} {len(shown)}")


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
    """Take fields from a file, beside the map's own or, where the user asks for it, in their place."""
    with st.expander("Other fields for this map"):
        file = st.file_uploader(
            "GeoJSON, GeoPackage, zipped Shapefile or KML", ["geojson", "json", "gpkg", "zip", "kml"]
        )
        count = len(board.table)
        is_replacing = count > 0 and st.checkbox(
            f"Replace the {count} field{'s' * (count > 1)} of the map, drawn ones too",
            help=f"They are kept in {plain(REPLACED)} beside the map.",
        )
        if file is not None and st.button("Replace the fields" if is_replacing else "Add these fields"):
            with mistakes_as_lines("The file"):
                import_fields(board, file.name, file.getvalue(), replace=is_replacing)
                st.rerun()


def show_field(board: FieldBoard, name: str, unit: str) -> None:
    """Show a field's value, its interval and its season."""
    row = next(row for row in board.table.itertuples() if row.field == name)
    st.subheader(f"Field {plain(name, 120)}", anchor=False)
    st.markdown(f"**{plain(words_of(row, unit))}**")
    st.caption(f"{row.area_ha:.2f} ha. {plain(row.reason)}")
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
    st.caption(f"Last seen {plain(last)}; over the season's {len(series)} scenes {cloud:.0%} of it was under cloud.")


def show_page() -> None:
    """Lay the page out: map and list on the left, the chosen field on the right."""
    name = ""
    with st.sidebar, mistakes_as_lines("The list of maps"):
        name = choose_map()
    if name:
        with mistakes_as_lines(f"The map {name}"):
            show_map_of(name)


def show_map_of(name: str) -> None:
    """Show a map, its fields and what can be done with them."""
    stamp = stamp_of(name)
    board = board_of(name, stamp)
    unit = board.tags["UNITS"]
    what = "Vigour" if "percent" in unit else "Yield"
    header(
        f"{what} of fields, {name} {board.tags['DATES'][:4]}", origin=origin_of(board.origins()),
        training="real data" if board.tags["TRAINING"] == "real" else board.tags["TRAINING"],
        adapter=board.tags["ADAPTER"], not_for="trading or insurance",
    )  # fmt: skip
    chosen, asked = chosen_field(board)
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_claim(board)
        with mistakes_as_lines("The drawn map"):
            show_maps(board, geometry_of(name, stamp), chosen)
        with mistakes_as_lines("The list of fields"):
            show_list(board, unit, chosen)
        show_downloads(board)
        show_import(board)
        show_training(board.tags)
    with right:
        if asked:
            st.warning(f"There is no field {plain(asked, 120)} on this map.", icon=":material/warning:")
        elif chosen:
            with mistakes_as_lines("The field"):
                show_field(board, chosen, unit)


def chosen_field(board: FieldBoard) -> tuple[str, str]:
    """Return the field that the address names, or the first; and what it names in vain."""
    known = board.table["field"].tolist()
    asked = str(st.query_params.get("field", ""))
    if asked:
        return (asked, "") if asked in known else ("", asked)
    return (known[0] if known else ""), ""


with mistakes_as_lines("The page"):
    show_page()
