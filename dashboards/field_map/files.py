"""Files of the field page: what can be taken along, and fields that are brought."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from mainstem.apps.field_exports import field_bytes
from mainstem.apps.fields.harvest_files import POINTS
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.edits import REPLACED, import_fields, put_back
from mainstem.dashboards.shell import mistakes_as_lines, plain

LEFT_OUT = "fields left out"  # session key: the map, the file brought last, and what of it was left out
SIMPLIFIED = "fields with fewer corners"  # session key: the map, and what was done to the file brought last
MOST_TOLD, MOST_NAMED = 20, 3
EXPORTS = {
    "gpkg": ("GeoPackage", "application/geopackage+sqlite3"),
    "geojson": ("GeoJSON", "application/geo+json"),
    "shp.zip": ("Shapefile", "application/zip"),
    "csv": ("CSV", "text/csv"),
}


def show_downloads(board: FieldBoard) -> None:
    """Files to take along, with the columns that the user's own fields brought."""
    row, stem = st.container(horizontal=True), file_stem(board)
    row.download_button(
        "Map (COG)", (board.folder / "map.tif").read_bytes, f"{stem}_map.tif", "image/tiff; application=geotiff",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    if (board.folder / POINTS).is_file():
        row.download_button(
            "Records", (board.folder / POINTS).read_bytes, f"{stem}_{POINTS}", EXPORTS["gpkg"][1],
            icon=":material/download:", on_click="ignore", help="Every record of the log: its yield, removed by what.",
        )  # fmt: skip
    for kind, (title, mime) in EXPORTS.items() if len(board.table) else ():
        row.download_button(
            title, partial(field_bytes, board.table, kind), f"{stem}_fields.{kind}", mime,
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    if len(board.table):
        st.caption(
            "Every file has your own columns too. A Shapefile's names hold ten letters: its *fields.columns.txt* says "
            "what longer ones became."
        )


def file_stem(board: FieldBoard) -> str:
    """How the names of a map's files begin: which map, what it holds, of which season, and the unit."""
    year, unit = board.tags["DATES"][:4], board.tags["UNITS"].replace("/", "-")
    what = "vigour_percent" if "percent" in unit else f"yield_{unit}"
    season = [] if year in board.name else [year]
    return "_".join([board.name, *season, what]).replace(" ", "-")


def show_lost(board: FieldBoard) -> None:
    """Offer to put back the fields that were drawn or brought and are not on the map any more."""
    if not board.lost:
        return
    st.warning(
        f"Kept, but not on the map any more: {plain(_few(board.lost))}. It was made anew, or a program took them away.",
        icon=":material/warning:",
    )
    if st.button("Put them back", icon=":material/restore:"):
        with mistakes_as_lines("Putting back"):
            put_back(board)
            st.rerun()


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"fields {', '.join(names[:MOST_NAMED])}{more}"


def show_left_out(board: FieldBoard) -> None:
    """Say which fields were left out when the map was made, and of the file brought last, and why; whose corners are
    fewer than that file's."""
    of_map, simplified = st.session_state.get(SIMPLIFIED, ("", ""))
    if simplified and of_map == board.name:
        st.info(plain(simplified, 400), icon=":material/polyline:")
    name, file, lines = st.session_state.get(LEFT_OUT, ("", "", []))
    told = [*((one, "the file that the map was made with") for one in board.left_out)]
    told += [(line, file) for line in lines if name == board.name]
    if not told:
        return
    st.warning(f"Left out: {len(told)} field{'s' * (len(told) > 1)}; all others are shown.", icon=":material/warning:")
    for line, where in told[:MOST_TOLD]:
        st.markdown(f"- {plain(line)}: {plain(where, 120)}")
    if len(told) > MOST_TOLD:
        st.caption(f"and {len(told) - MOST_TOLD:d} more, which *notes.json* beside the map lists.")


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
                brought = import_fields(board, file.name, file.getvalue(), replace=is_replacing)
                st.session_state[LEFT_OUT] = (board.name, file.name, [str(one) for one in brought.left_out])
                st.session_state[SIMPLIFIED] = (board.name, brought.simplified)
                st.rerun()
