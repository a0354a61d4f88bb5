"""Which map the field page shows: one on this machine, or one made now of a simulated farm or the user's scenes."""

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.field_maps import DEMO, THRESHOLD_T_HA, keep_inputs, known_maps
from mainstem.apps.jobs import find_job, find_jobs
from mainstem.apps.page_jobs import MAP, map_job, start_map
from mainstem.core.errors import MainstemError
from mainstem.dashboards.field_map.harvest import bring_harvest
from mainstem.dashboards.shell import choose, mistakes_as_lines, plain, put_in_address
from mainstem.dashboards.uploads import contents_of, say_missing
from mainstem.dashboards.waiting import is_being_made, show_failures

OF_MAP = ("field", "date", "other", "place", "view")  # names in the address that mean nothing on another map
UPLOADS = "maps brought"  # session key: how many maps this user has brought
AWAITED = "awaited map"  # session key: name of the map that this user has begun


def choose_map(vain: DeltaGenerator) -> str:
    """Let the user choose a map, or make one of their own scenes; "" where there is none yet.

    What the address asks for in vain is said in `vain`.
    """
    uploads = st.session_state.get(UPLOADS, 0)  # another popover after each success: it would stay open over the map
    chosen, names = "", known_maps()
    if names:
        farms = partial(st.selectbox, "Farm and season", label_visibility="collapsed", width=240)
        chosen = choose(farms, "map", names, vain, *OF_MAP)
    with st.container(width="content").popover("My data", icon=":material/upload_file:", key=f"bring {uploads}"):
        bring_data(uploads)
    return chosen


def bring_data(uploads: int) -> None:
    """Take the user's scenes, or a combine's logs."""
    kinds = ("Scenes", "A harvest")
    if (
        st.segmented_control("What", kinds, default=kinds[0], key=f"kind {uploads}", label_visibility="collapsed")
        == kinds[1]
    ):
        said = st.empty()  # at the top: below the form it would lie outside of the window
        try:
            begun = bring_harvest(uploads)
        except MainstemError as error:
            said.error(plain(error), icon=":material/error:")
        else:
            if begun:
                st.session_state[UPLOADS] = uploads + 1
                st.session_state[AWAITED] = begun
                st.rerun()
    else:
        bring_scenes(uploads)


def show_making(shown: str) -> None:
    """Show how far each map is that is being made, and why those failed that were not; open what this user awaits."""
    awaited = str(st.session_state.get(AWAITED, ""))
    if awaited and find_job(map_job(awaited)) is None:
        del st.session_state[AWAITED]
        if awaited != shown and awaited in known_maps():
            open_map(awaited)
            st.rerun()
    for job in find_jobs(MAP):
        is_being_made(lambda: False, job.name)
    show_failures(MAP)


def offer_map() -> None:
    """Offer to make a map where there is none yet, and none is being made."""
    if is_being_made(lambda: bool(known_maps())) or find_jobs(MAP):
        return
    st.info("No map yet: make one of a simulated farm, or bring your own scenes.", icon=":material/map:")
    if st.button("Make it now", type="primary"):
        await_map(DEMO)


def await_map(name: str, threshold: float = THRESHOLD_T_HA, crop: str = "") -> None:
    """Begin to make a map beside the pages, and open it here once it is ready."""
    with mistakes_as_lines("The map"), st.spinner("Starting"):
        start_map(name, threshold, crop)
        st.session_state[AWAITED] = name
    st.rerun()


def open_map(name: str) -> None:
    """Have the page show a map."""
    put_in_address("map", name)
    for outdated in OF_MAP:
        put_in_address(outdated, None)


def bring_scenes(uploads: int) -> None:
    """Take the user's scenes, weather and fields."""
    st.markdown(
        "**Scenes**: GeoTIFFs of one grid, one a date, bands named (*B2 ... B12*) with unit and scale. **Weather**: a "
        "CSV (*date, temperature_c, rain_mm, radiation_mj_m2*) or AgERA5/ERA5-Land NetCDF. **Fields**: GeoJSON, "
        "GeoPackage, zipped Shapefile or KML, columns *sowing* and *crop* help. *soil.tif* (cm/m) if you have it. SAFE "
        "folders, STAC items and Zarr go through `mainstem map`. Nothing leaves this machine."
    )
    name = st.text_input("Name of the map", placeholder="my farm 2026", max_chars=40, key=f"map name {uploads}")
    threshold = st.number_input("Chance of less than, t/ha", 0.0, 20.0, THRESHOLD_T_HA, 0.5)
    crop = st.text_input(
        "Crop", placeholder="maize", max_chars=40, help="Of fields that do not say theirs in a column crop."
    )
    kinds = ["tif", "tiff", "csv", "nc", "geojson", "json", "gpkg", "zip", "kml"]
    files = st.file_uploader("Files", type=kinds, accept_multiple_files=True, key=f"map files {uploads}")
    say_missing(name=name, files=bool(files))
    if st.button("Map these", disabled=not (name and files), type="primary"):
        with mistakes_as_lines("The upload"):
            keep_inputs(name, contents_of(files))
            st.session_state[UPLOADS] = uploads + 1
            await_map(name, threshold, crop)
