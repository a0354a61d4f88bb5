"""The archivist's page: what an archive holds that answers, why, which files are copies, where a file comes from."""

from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.jobs import find_job
from mainstem.apps.media.archives import Archive, is_name, one_file, picture_of, text_of
from mainstem.apps.media.jobs import index_job
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import InputError
from mainstem.dashboards.components.pictures import Act, Sheet, pictures
from mainstem.dashboards.media import asking
from mainstem.dashboards.media.board import (
    MOST_EXCERPT,
    NOT_FOR,
    Shown,
    asked_words,
    doubts,
    nothing_words,
    status_line,
    tiles_of,
    unseen_words,
)
from mainstem.dashboards.media.choosing import choose_archive, offer_index, show_indexing
from mainstem.dashboards.media.copies import show_copies
from mainstem.dashboards.media.detail import show_file
from mainstem.dashboards.media.reads import archives, found_in, load_ahead, open_archive, stand_in
from mainstem.dashboards.media.selection import selection_of, show_selection
from mainstem.dashboards.media.words_beside import offer_undo
from mainstem.dashboards.shell import (
    FOLDED,
    Desk,
    choose,
    lay_desk,
    mistakes_as_lines,
    note_in_address,
    open_panel,
    plain,
    put_in_address,
    recall,
    say_in_vain,
    say_status,
)
from mainstem.data.media.description import BUILT_IN

IN_ADDRESS = ("archive", "show", "group", "file", "t", "look", "panel", *asking.IN_ADDRESS)
OF_ARCHIVE = ("group", "file", "t", *asking.PICKED, "below", "n")  # in the address; of no other archive
SHOWN = ("Search", "Copies")
OF_SEARCH = {"file": "File", "selected": "Selected"}  # panels
OF_COPIES = {"groups": "Groups", "evidence": "Evidence"}
OWN_DATA = "your own data"
ACTS = (Act(name="like", label="like", letter="l"), Act(name="unlike", label="not like", letter="u"))
STYLE = """<style>
@media (min-width: 901px) { .st-key-desk { --canvas-height: calc(100dvh - 8.25rem); } }
.st-key-desk-bar { flex-wrap: nowrap; }
.st-key-desk-bar > :has(> .st-key-media-tools) { flex: 1 1 auto; }
.st-key-media-archive, .st-key-media-tools { gap: 0.4rem; }
.st-key-desk-dock [data-testid="stVideo"] { max-height: 44vh; }
.st-key-desk-dock [data-testid="stImage"] img { max-height: 56vh; object-fit: contain; width: auto; }
@media (max-width: 900px) { .st-key-desk-bar { flex-wrap: wrap; } }
@media (max-width: 640px) {  /* the first picture stands within 250 px: rows of controls scroll instead of breaking */
  .st-key-desk-top { flex-wrap: nowrap; }
  .st-key-desk-top > :has(> .st-key-desk-status) { flex: 1 1 0; min-width: 0; }
  .st-key-desk-status { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none; }
  .st-key-desk-status > * { flex: 0 0 auto; width: auto; }
  .st-key-desk-status p, .st-key-desk-status h1 { white-space: nowrap; }
  .st-key-media-archive, .st-key-media-tools { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none; }
  .st-key-media-archive > *, .st-key-media-tools > * { flex-shrink: 0; }
  .st-key-media-archive button, .st-key-media-tools button { min-height: 2.1rem; padding-block: 0.1rem; }
  .stTextInput [data-testid="stTextInputRootElement"] { height: 2.1rem; min-height: 2.1rem; }
  .st-key-desk:has(.st-key-media-file) .st-key-desk-body > :has(> .st-key-desk-dock) { order: -1; }
  .st-key-media-found p {
    display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; line-height: 1.3;
  }
}
</style>"""


def show_media() -> None:
    """Lay the page out: the grid fills it, what is shown and what is asked stand above, a file is docked beside it."""
    st.html(STYLE)
    recall("media", IN_ADDRESS)
    known = archives()
    desk, name, shown = lay_panels(known), "", SHOWN[0]
    coming = st.query_params.get("archive", "")
    is_coming = is_name(coming) and coming not in known and find_job(index_job(coming)) is not None
    slot = desk.vain.empty() if is_coming else None
    vain = desk.vain if slot is None else slot.container()
    row = desk.bar.container(key="media-archive", horizontal=True, width="content")
    with row, mistakes_as_lines("The list of archives"):
        name = choose_archive(known, vain, (*OF_ARCHIVE, "panel")) if known else ""
        shown = choose(
            partial(st.segmented_control, "Show", label_visibility="collapsed"), "show", SHOWN, desk.vain, "panel"
        )
        offer_index(known.get(name), choose_other)
    if slot is not None:
        slot.empty()  # it will be here soon: nothing is asked for in vain
    with desk.vain, mistakes_as_lines("The archives being indexed"):
        if is_name(coming or name):
            show_indexing(coming or name)
    if not known:
        say_status(
            desk.status, "Media", origin="origin unknown", training="origin unknown", adapter="no index",
            not_for=NOT_FOR,
        )  # fmt: skip
        with desk.canvas:
            show_empty()
        return
    archive = known[name]
    origin = archive.origin or OWN_DATA
    say_status(
        desk.status, archive.words(), origin=origin, training=origin, adapter=compared_by(archive), not_for=NOT_FOR
    )
    with desk.canvas, mistakes_as_lines("The archive"):
        search = open_archive(archive.name, str(archive.root))
        if shown == "Copies":
            show_copies(search, archive, desk)
        else:
            show_search(search, archive, desk)
    load_ahead()


def lay_panels(known: Mapping[str, Archive]) -> Desk:
    """Lay the desk of what the address asks for: a file that it names is open, and copies come with their list."""
    if st.query_params.get("show") == "Copies":
        return lay_desk(OF_COPIES)
    if st.query_params.get("file") and not st.query_params.get("panel"):
        open_panel("file")
    archive = known.get(st.query_params.get("archive", ""), next(iter(known.values()), None))
    num = len(selection_of(archive).found) if archive else 0
    return lay_desk({**OF_SEARCH, "selected": f"Selected ({num})" if num else "Selected"}, FOLDED)


def choose_other(name: str) -> None:
    """Show another archive."""
    put_in_address("archive", name)
    for other in OF_ARCHIVE:
        put_in_address(other, None)


def compared_by(archive: Archive) -> str:
    """Say which model compares an archive's pictures."""
    with mistakes_as_lines("The model"):
        from mainstem.apps.media.embedding import model_of

        model = model_of(open_archive(archive.name, str(archive.root)).catalogue)
        by = "edges and colours" if model is not None and model.name == BUILT_IN else model and model.name
        return f"pictures by {by}" if by else "no pictures compared"
    return "model unknown"


def show_empty() -> None:
    """Say what to do where there is no archive."""
    st.info(
        "No archive is indexed on this machine yet. Index a folder above, or run `mainstem media index FOLDER`; "
        "`mainstem demo` brings public pictures, videos and speech to look at.",
        icon=":material/photo_library:",
    )


def show_search(search: MediaSearch, archive: Archive, desk: Desk) -> None:
    """Search an archive, and show what is found."""
    with desk.bar, st.container(key="media-tools", horizontal=True):
        text = asking.search_box()
        filters = asking.filters_asked(desk.vain)
        own = asking.bring_picture()
        asking.show_picked(lambda path: PurePosixPath(path).name)
    files = {name: [stand_in(search, path) for path in asking.picked(name)] for name in asking.PICKED}
    files["like"] += own
    with st.spinner("Searching; at first what judges relevance is loaded"):
        told = found_in(search, asking.query_of(text, filters, files))
    words = asked_words(text, filters.given(), *([str(path) for path in files[name]] for name in asking.PICKED))
    st.container(key="media-found").caption(
        f"{plain(status_line(told, words), 600)} {plain(unseen_words(told, text))}",
        help=plain(doubts(told), 1200),
    )
    offer_undo(archive)
    by_path = {result["path"]: result for result in told["results"]}
    opened = opened_file(search, by_path, desk.vain)
    with mistakes_as_lines("The results"):
        if told["results"]:
            show_grid(search, archive, told, words, opened["path"] if opened else "")
        else:
            lines = nothing_words(told, text, filters.given())
            st.info(f"{plain(lines[0], 600)}", icon=":material/search_off:")
            for line in lines[1:]:
                st.caption(plain(line, 600))
        show_more(told)
    if desk.dock is None:
        return
    with desk.dock, mistakes_as_lines("The panel"):
        if desk.panel == "selected":
            show_selection(search, archive, by_path)
        elif opened:
            with st.container(key="media-file"):
                show_file(search, archive, opened, desk.vain)
        else:
            st.info("No file is open: press a picture, or Enter on one.", icon=":material/photo_library:")


def opened_file(
    search: MediaSearch, shown: Mapping[str, Mapping[str, Any]], vain: DeltaGenerator
) -> Mapping[str, Any] | None:
    """Return the file that the address names, as it was found where it was; None where it names none that there is."""
    path = st.query_params.get("file", "")
    if path in shown:
        return shown[path]
    try:
        return one_file(search.catalogue, path) if path else None
    except InputError:
        say_in_vain(vain, "file", path, "no file")
        return None


def show_grid(search: MediaSearch, archive: Archive, told: Mapping[str, Any], words: str, chosen: str) -> None:
    """Show results as pictures with why they were found."""
    shown = [
        Shown(
            result=one, picture=picture_of(search.catalogue, one["path"], one["frame"]),
            excerpt="" if one["kind"] in ("image", "video") else text_of(search.catalogue, one["path"], MOST_EXCERPT),
        )
        for one in told["results"]
    ]  # fmt: skip
    selected, by_path = selection_of(archive), {one["path"]: one for one in told["results"]}
    pictures(
        Sheet(name=f"{archive.name}{words}", tiles=tiles_of(shown), opened=chosen, acts=ACTS,
              marked=tuple(path for path in by_path if path in selected.found), revision=selected.revision,
              aria=f"{len(shown)} results; arrows move, Enter opens"),
        "media grid", on_act, lambda marked: selected.take(by_path, marked),
    )  # fmt: skip


def on_act(name: str, path: str) -> None:
    """Do what was asked for at a result."""
    if name == "open":
        put_in_address("file", path)
        put_in_address("t", None)
        open_panel("file")
    else:
        asking.pick(name, path)


def show_more(told: Mapping[str, Any]) -> None:
    """Offer more results, and those that are judged irrelevant."""
    row = st.container(horizontal=True, vertical_alignment="center")
    num = len(told["results"])
    if num < min(told["num_found"], asking.MOST):
        row.button("More", icon=":material/expand_more:", on_click=put_in_address, args=("n", 2 * asking.num_asked()))
    if told["num_irrelevant"] or st.query_params.get("all"):
        st.session_state["all"] = st.query_params.get("all") == "True"
        row.toggle("Show what is judged irrelevant", key="all", on_change=note_in_address, args=("all",))


with mistakes_as_lines("The page"):
    show_media()
