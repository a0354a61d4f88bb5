"""A combine's harvest on the field page: brought with a unit picker, and what its cleaning took out, counted."""

import streamlit as st

from mainstem.apps.fields.harvest_maps import KINDS, keep_logs, read_counts, said_on_page
from mainstem.apps.page_jobs import start_harvest
from mainstem.core.errors import InputError
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.shell import plain
from mainstem.dashboards.uploads import contents_of, say_missing
from mainstem.data.earth.harvests.cleaning import RULES

AS_TOLD = "as the file tells"
PICKED = {
    "yield": (AS_TOLD, "t/ha", "kg/ha", "dt/ha", "lb/ac", "bu/ac"), "swath": (AS_TOLD, "m", "cm", "ft", "in"),
    "distance": (AS_TOLD, "m", "cm", "ft", "in"),
}  # fmt: skip


def bring_harvest(uploads: int) -> str:
    """Take a combine's logs, and begin to map them; return the map's name once that is begun, else "".

    Raises:
        InputError: if the logs cannot be read as they are; the line says what to pick or type.
    """
    st.markdown(
        "**Logs** of one field and season: CSV, Parquet, GeoPackage or a zipped Shapefile of points. No unit is "
        "guessed: pick those that the columns' names do not tell. Of ISOXML give *TASKDATA.XML* and all *TLG* files: "
        "each field becomes a map. Nothing leaves this machine."
    )
    name = st.text_input("Name of the harvest", placeholder="home 2026", max_chars=40, key=f"harvest name {uploads}")
    crop = st.text_input("Crop", placeholder="wheat", max_chars=40, help="bu/ac count its bushel.")
    columns = st.columns(len(PICKED))
    picked = {
        quantity: column.selectbox(f"Unit of {plain(quantity)}", choices, key=f"unit of {quantity}")
        for (quantity, choices), column in zip(PICKED.items(), columns, strict=True)
    }
    options = st.text_input(
        "Other units and columns", placeholder="--unit time=d --column yield=Ertrag", max_chars=500,
        help="As a message asks for them.",
    )  # fmt: skip
    kinds = [kind.removeprefix(".") for kind in KINDS]
    files = st.file_uploader("Logs", type=kinds, accept_multiple_files=True, key=f"harvest files {uploads}")
    border = st.file_uploader(
        "Borders of the fields, if you have them", ["geojson", "json", "gpkg", "zip", "kml"],
        key=f"harvest borders {uploads}", help="Means are then theirs; without, that of what was cut.",
    )  # fmt: skip
    say_missing(name=name, files=bool(files))
    if not st.button("Map the harvest", disabled=not (name and files), type="primary"):
        return ""
    units = {quantity: "" if unit == AS_TOLD else unit for quantity, unit in picked.items()}
    borders = contents_of([border] if border is not None else [])
    with st.spinner("Reading the logs"):
        keep_logs(name, contents_of(files), said_on_page(units, options, crop), borders)
        start_harvest(name)
    return name


def show_counts(board: FieldBoard) -> None:
    """Say how many records were kept, and what each rule took out; the map's layer shows where."""
    try:
        counts, notes = read_counts(board.folder)
    except InputError as error:
        st.caption(plain(error, 300))
        return
    kept, read = counts.get("kept", 0), counts.get("read", 0)
    st.markdown(f"**{kept:,} of {read:,} records kept**; {counts.get('corrected', 0):,} corrected for width")
    for rule, what in RULES.items():
        if counts.get(rule):
            st.markdown(f"- {counts[rule]:,} **{plain(rule)}**: {plain(what)}")
    for note in notes:
        st.caption(plain(note, 300))
