"""The archivist's page: what an archive holds that answers, why, which files are copies, where a file comes from."""

from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.media.archives import Archive, is_name, one_file, picture_of, text_of
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
    choose,
    header,
    mistakes_as_lines,
    note_in_address,
    plain,
    put_in_address,
    recall,
    say_in_vain,
)
from mainstem.data.media.description import BUILT_IN

IN_ADDRESS = ("archive", "show", "group", "file", "t", "look", *asking.IN_ADDRESS)
OF_ARCHIVE = ("group", "file", "t", *asking.PICKED, "below", "n")  # in the address; of no other archive
SHOWN = ("Search", "Copies")
OWN_DATA = "your own data"
ACTS = (Act(name="like", label="like", letter="l"), Act(name="unlike", label="not like", letter="u"))
STYLE = """<style>
.stMainBlockContainer { padding: 4.2rem 1rem 1rem; }
.stMainBlockContainer h1 { font-size: 1.15rem; padding: 0; }
.stMainBlockContainer h3 { font-size: 1rem; padding: 0; overflow-wrap: anywhere; }
.stMainBlockContainer [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
.stMainBlockContainer .stVerticalBlock { gap: 0.4rem; }
.stMainBlockContainer [data-testid="stVideo"] { max-height: 44vh; }
.stMainBlockContainer [data-testid="stImage"] img { max-height: 56vh; object-fit: contain; width: auto; }
@media (max-width: 640px) {  /* the first picture stands within 250 px: rows of controls scroll instead of breaking */
  .stAppHeader { height: 2.6rem; min-height: 2.6rem; }
  .stMainBlockContainer { padding: 2.7rem 0.6rem 0.6rem; }
  .stMainBlockContainer h1 { font-size: 1rem; }
  .st-key-desk-status { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none; margin-block: -0.3rem; }
  .st-key-desk-status > * { flex: 0 0 auto; width: auto; }
  .st-key-desk-status p { white-space: nowrap; }
  .stMainBlockContainer .stHorizontalBlock:has(> .stColumn) { gap: 0.3rem; }
  .st-key-media-archive, .st-key-media-tools {
    flex-wrap: nowrap; gap: 0.4rem; overflow-x: auto; scrollbar-width: none;
  }
  .st-key-media-archive > *, .st-key-media-tools > * { flex-shrink: 0; }
  .st-key-media-archive > :has(.stSelectbox) { flex: 1 1 9rem; width: 9rem; min-width: 9rem; }
  .st-key-media-archive button, .st-key-media-tools button { min-height: 2.1rem; padding-block: 0.1rem; }
  .stTextInput [data-testid="stTextInputRootElement"] { height: 2.1rem; min-height: 2.1rem; }
  .stColumn:has(.st-key-media-file) { order: -1; }
  .st-key-media-file .stHorizontalBlock:has(> .stColumn) { flex-wrap: nowrap; }
  .st-key-media-file .stColumn { flex: 0 1 auto; width: auto; min-width: 2rem; }
  .st-key-media-found p {
    display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; line-height: 1.3;
  }
}
</style>"""


def show_media() -> None:
    """Lay the page out: what is shown and what is asked on two lines, the grid under them, a file beside it."""
    st.html(STYLE)
    recall("media", IN_ADDRESS)
    vain, slot = st.container(), st.empty()
    title, controls = st.columns([3, 2], vertical_alignment="center")
    known = archives()
    with controls:
        row = st.container(horizontal=True, vertical_alignment="bottom", key="media-archive")
    with row, mistakes_as_lines("The list of archives"):
        shown = choose(partial(st.segmented_control, "Show", label_visibility="collapsed"), "show", SHOWN, vain)
        name = choose_archive(known, slot.container(), OF_ARCHIVE) if known else ""
        offer_index(known.get(name), choose_other)
    coming = st.query_params.get("archive", name)
    if is_name(coming) and show_indexing(coming):
        slot.empty()  # it will be here soon
    if not known:
        with title:
            header("Media", origin="origin unknown", training="origin unknown", adapter="no index", not_for=NOT_FOR)
        show_empty()
        return
    archive = known[name]
    with title:
        origin = archive.origin or OWN_DATA
        header(archive.words(), origin=origin, training=origin, adapter=compared_by(archive), not_for=NOT_FOR)
    with mistakes_as_lines("The archive"):
        search = open_archive(archive.name, str(archive.root))
        if shown == "Copies":
            show_copies(search, archive)
        else:
            show_search(search, archive, vain)
    load_ahead()


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


def show_search(search: MediaSearch, archive: Archive, vain: DeltaGenerator) -> None:
    """Search an archive, and show what is found."""
    asked, row = st.columns([3, 2])
    with asked:
        text = asking.search_box()
    with row, st.container(horizontal=True, key="media-tools"):
        filters = asking.filters_asked(vain)
        tools = st.container()
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
    with tools:
        show_selection(search, archive, by_path)
    opened = opened_file(search, by_path, vain)
    chosen = opened["path"] if opened else ""
    if opened:
        grid, beside = st.columns([19, 11])
    else:
        grid, beside = st.container(), None
    with grid, mistakes_as_lines("The results"):
        if told["results"]:
            show_grid(search, archive, told, words, chosen)
        else:
            lines = nothing_words(told, text, filters.given())
            st.info(f"{plain(lines[0], 600)}", icon=":material/search_off:")
            for line in lines[1:]:
                st.caption(plain(line, 600))
        show_more(told)
    if beside is not None and opened:
        with beside, st.container(key="media-file"), mistakes_as_lines("The file"):
            show_file(search, archive, opened, vain)


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
