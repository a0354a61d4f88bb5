"""Which region set the yield page shows: those on offer, one that the user brings, and the model that each needs."""

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.page_jobs import model_job, start_training
from mainstem.apps.region_sets import REAL, SIMULATED, RegionChoice, choices, keep_upload
from mainstem.dashboards.shell import choose, mistakes_as_lines, plain, put_in_address, show_error
from mainstem.dashboards.uploads import contents_of, say_missing
from mainstem.dashboards.waiting import is_being_made, show_failure

OF_SET = ("season", "region", "unit", "place", "view")  # names in the address that mean nothing of another set
UPLOADS = "sets brought"  # session key: how many sets this user has brought


def choose_set(vain: DeltaGenerator) -> RegionChoice:
    """Let the user choose a region set, or bring one; say in `vain` that there is none of the name asked for."""
    offered = choices()
    uploads = st.session_state.get(UPLOADS, 0)  # another popover after each success: it would stay open over the map
    by_name = {choice.name: choice for choice in offered}
    sets = partial(st.selectbox, "Regions", label_visibility="collapsed", width=240)
    chosen = choose(
        sets,
        "set",
        list(by_name),
        vain,
        *OF_SET,
        told=lambda name: by_name[name].title,
    )
    with st.container(width="content").popover("My data", icon=":material/upload_file:", key=f"bring {uploads}"):
        bring_regions(uploads)
    return by_name[chosen]


def bring_regions(uploads: int) -> None:
    """Take the user's CY-Bench files."""
    st.markdown(
        "Your own regions as CSV files in [CY-Bench](https://github.com/WUR-AI/AgML-CY-Bench)'s layout: "
        "`yield_CROP_COUNTRY.csv` with *adm_id, harvest_year, yield* in t/ha is needed. Leave the yield of the season "
        "to forecast empty. Others help, named alike: `ndvi_` (*adm_id, date, ndvi*), `fpar_` (*adm_id, date, fpar* "
        "in %), `soil_` (*adm_id, awc* in cm/m, *bulk_density* in kg/dm3, *drainage_class*), `crop_calendar_` "
        "(*adm_id, eos*, last day of the season as day of the year), `location_` (*adm_id, latitude, longitude*). "
        "The files stay on this machine."
    )
    name = st.text_input("Name of the set", placeholder="my farms 2026", max_chars=40, key=f"set name {uploads}")
    files = st.file_uploader("CSV files", type="csv", accept_multiple_files=True, key=f"set files {uploads}")
    say_missing(name=name, files=bool(files))
    if st.button("Keep these files", disabled=not (name and files), type="primary"):
        with mistakes_as_lines("The upload"):
            put_in_address("set", keep_upload(name, contents_of(files)).name)
            for outdated in OF_SET:
                put_in_address(outdated, None)
            st.session_state[UPLOADS] = uploads + 1
            st.rerun()


def offer_training(choice: RegionChoice) -> None:
    """Offer to fit the model of a set that has none; it is done beside the pages, and shown here while it is."""
    if choice.name in (REAL, SIMULATED) and is_being_made(choice.is_trained):
        return
    job = model_job(choice.name)
    if is_being_made(choice.is_trained, job):
        return
    show_failure(job)
    damage = choice.damage()
    outdated = choice.outdated()
    if damage:
        show_error(f"The model of these regions cannot be read: {damage}")
    elif outdated:
        st.warning(plain(outdated), icon=":material/model_training:")
    else:
        st.info(
            "No model of these regions yet. Training says how far it is, and about how long is left.",
            icon=":material/model_training:",
        )
    if st.button("Train it anew" if damage or outdated else "Train it now", type="primary"):
        with mistakes_as_lines("The training"), st.spinner("Starting"):
            start_training(choice.name)
        st.rerun()
