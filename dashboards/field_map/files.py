"""Files of the field page: what can be taken along, and fields that are brought."""

from functools import partial

import streamlit as st

from mainstem.apps.field_exports import field_bytes
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.edits import REPLACED, import_fields
from mainstem.dashboards.shell import mistakes_as_lines, plain

EXPORTS = {
    "gpkg": ("GeoPackage", "application/geopackage+sqlite3"),
    "geojson": ("GeoJSON", "application/geo+json"),
    "shp.zip": ("Shapefile", "application/zip"),
    "csv": ("CSV", "text/csv"),
}


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
