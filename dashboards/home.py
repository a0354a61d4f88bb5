"""The way in: one tile a domain, and the pages behind them."""

from pathlib import Path

import streamlit as st

from mainstem.core.errors import MainstemError
from mainstem.dashboards.shell import STYLE, mistakes_as_lines, plain, recall, show_jobs

PAGES = Path(__file__).parent
MOST_LISTED = 5


def show_home() -> None:
    """Show the tiles."""
    recall("home", ())
    st.title("Mainstem")
    st.markdown("Predictions from any data stream, each with its interval, its origin and what may be claimed of it.")
    made = st.container()
    first, second, third, fourth, fifth = st.columns(5)
    with first.container(border=True, height="stretch"):
        st.subheader(":material/agriculture: Crop yield", anchor=False)
        st.markdown(
            "Which regions to look at: yield by county or region, the interval, the chance of falling under a "
            "threshold, and the forecast through the season. Real US counties, simulated regions, or your own."
        )
        regions = st.container()
        st.page_link(yield_page, label="Open the yield map", icon=":material/map:")
    with second.container(border=True, height="stretch"):
        st.subheader(":material/grid_on: Fields", anchor=False)
        st.markdown(
            "Which fields to visit: yield of every pixel and field from a season of satellite scenes, with intervals, "
            "NDVI by date and clouds. A simulated farm and real scenes to look at, or scenes, borders and harvests of "
            "your own."
        )
        maps = st.container()
        st.page_link(field_page, label="Open the field map", icon=":material/grid_on:")
    with third.container(border=True, height="stretch"):
        st.subheader(":material/radiology: Clinic", anchor=False)
        st.markdown(
            "Which study to read next: slices in 16 bits, what calibrated models say of them and what they refuse to, "
            "and decisions kept in a signed record. Research use only, not a medical device."
        )
        studies = st.container()
        st.page_link(clinic_page, label="Open the worklist", icon=":material/radiology:")
    with fourth.container(border=True, height="stretch"):
        st.subheader(":material/precision_manufacturing: Robotics", anchor=False)
        st.markdown(
            "Which sensor lies: every stream under one cursor, attitude and path with their doubt, and what a fault "
            "does to both. A simulated cart, public logs, or your own. Not for protective functions."
        )
        recordings = st.container()
        st.page_link(robotics_page, label="Open the recordings", icon=":material/precision_manufacturing:")
    with fifth.container(border=True, height="stretch"):
        st.subheader(":material/photo_library: Media", anchor=False)
        st.markdown(
            "What an archive holds that answers, and why: search that may say nothing, copies through edits, shots, "
            "provenance. Public pictures, videos and speech, or a folder of yours. Originals stay untouched."
        )
        archives = st.container()
        st.page_link(media_page, label="Open the archives", icon=":material/photo_library:")
    with st.container(border=True):
        st.subheader(":material/model_training: Research and the command line", anchor=False)
        st.page_link(research_page, label="Runs, data sets, an adapter for your table", icon=":material/monitoring:")
        st.code(
            "mainstem finetune crop-yield --data PATH --crop wheat --country NL --out runs/mine\n"
            "mainstem predict crop-yield PATH --crop wheat --country NL --run runs/mine --out yields.csv\n"
            "mainstem new-adapter my-sensor --data table.csv",
            language=None,
        )
        st.caption("An adapter for a table of your own takes minutes: docs/new-adapter.md.")
    with made, mistakes_as_lines("The demonstration"):
        show_making()
    with regions, mistakes_as_lines("The list of regions"):
        show_held(region_titles())
    with maps, mistakes_as_lines("The list of maps"):
        show_held(map_titles())
    with studies, mistakes_as_lines("The list of studies"):
        show_held(study_titles())
    with recordings, mistakes_as_lines("The list of recordings"):
        show_held(recording_titles())
    with archives, mistakes_as_lines("The list of archives"):
        show_held(archive_titles())


def show_making() -> None:
    """Say how far the demonstration is, and whatever else is being made."""
    from mainstem.apps.jobs import find_jobs  # here and below: torch takes seconds, the tiles are shown before
    from mainstem.dashboards.waiting import is_being_made

    for job in find_jobs():
        is_being_made(lambda: False, job.name)


def region_titles() -> list[str]:
    """The region sets on this machine."""
    from mainstem.apps.region_sets import choices

    return [choice.title for choice in choices()]


def map_titles() -> list[str]:
    """The maps on this machine, and what the notes of each say of its scenes and its model."""
    from mainstem.apps.field_maps import known_maps, maps_folder
    from mainstem.apps.map_notes import read_notes

    titles = []
    for name in known_maps():
        try:
            tags = read_notes(maps_folder() / name).tags
        except MainstemError:
            titles.append(f"{name} (damaged)")
        else:
            model = "no model" if tags["TRAINING"] == "none" else f"model of {tags['TRAINING']} data"
            titles.append(f"{name} ({tags.get('INPUTS', 'unknown')} scenes, {model})")
    return titles


def study_titles() -> list[str]:
    """The demonstration's studies on this machine, by what they are."""
    from mainstem.apps.clinic import clinic_folder, known_studies

    kinds = [study.title.rstrip(" 0123456789") for study in known_studies(clinic_folder())]
    return [f"{kinds.count(kind)} of {kind}" for kind in dict.fromkeys(kinds)]


def recording_titles() -> list[str]:
    """The recordings on this machine, public and simulated."""
    from mainstem.apps.robotics import choices

    return [choice.title for choice in choices()]


def archive_titles() -> list[str]:
    """The archives that were indexed on this machine."""
    from mainstem.apps.media.archives import known_archives

    return [archive.words() for archive in known_archives()]


def show_held(titles: list[str]) -> None:
    """List what is on this machine."""
    if titles:
        more = [f"{len(titles) - MOST_LISTED} more"] if len(titles) > MOST_LISTED else []
        st.caption(f"On this machine: {plain('; '.join([*titles[:MOST_LISTED], *more]), 600)}")


home_page = st.Page(show_home, title="Mainstem", icon=":material/home:", default=True)
field_page = st.Page(PAGES / "field_map" / "page.py", title="Fields", url_path="field_map", icon=":material/grid_on:")
clinic_page = st.Page(PAGES / "clinic" / "page.py", title="Clinic", url_path="clinic", icon=":material/radiology:")
yield_page = st.Page(
    PAGES / "yield_map" / "page.py", title="Crop yield", url_path="yield_map", icon=":material/agriculture:"
)
robotics_page = st.Page(
    PAGES / "robotics" / "page.py", title="Robotics", url_path="robotics", icon=":material/precision_manufacturing:"
)
media_page = st.Page(PAGES / "media" / "page.py", title="Media", url_path="media", icon=":material/photo_library:")
research_page = st.Page(
    PAGES / "research" / "page.py", title="Research", url_path="research", icon=":material/monitoring:"
)
# said before the pages are: their named icons would be fetched from outside to stand in the window's title
st.set_page_config(page_title="Mainstem", page_icon=str(Path(__file__).parent / "favicon.svg"), layout="wide")
pages = [home_page, yield_page, field_page, clinic_page, robotics_page, media_page, research_page]
page = st.navigation(pages, position="top")
if page is not home_page:
    st.set_page_config(page_title=f"{page.title} - Mainstem")
st.html(STYLE)
with mistakes_as_lines("The list of jobs"):
    show_jobs()
with mistakes_as_lines("The page"):
    page.run()
