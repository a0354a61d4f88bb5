"""Which archive the page shows; and a folder of this machine that becomes one, indexed beside the pages."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.jobs import STOPPED, failure_of, forget_failure
from mainstem.apps.media.archives import Archive, archive_name
from mainstem.apps.media.jobs import index_job, start_index
from mainstem.core.errors import InputError
from mainstem.dashboards.shell import choose, mistakes_as_lines, plain, show_error
from mainstem.dashboards.waiting import is_being_made

FOLDER = "media folder"  # session key: of the text box


def choose_archive(known: dict[str, Archive], vain: DeltaGenerator, outdated: tuple[str, ...]) -> str:
    """Have the user choose an archive; return its name."""
    return choose(
        partial(st.selectbox, "Archive", label_visibility="collapsed", width=240), "archive", list(known), vain,
        *outdated, told=lambda name: known[name].words(),
    )  # fmt: skip


def offer_index(archive: Archive | None, on_started: Callable[[str], None]) -> None:
    """Offer to index a folder, and the archive anew."""
    with st.popover("Index", icon=":material/folder_open:", help="Index a folder of this machine, or this one anew"):
        st.markdown(
            "A folder on the machine that serves this page. It is read, never written to: the index lies below "
            "MAINSTEM_HOME. Nothing leaves this machine."
        )
        text = st.text_input("Folder", key=FOLDER, placeholder="/srv/archive").strip()
        if st.button("Index it", type="primary", disabled=not text):
            with mistakes_as_lines("The folder"):
                on_started(_begin(Path(text)))
                st.rerun()
        if archive is not None and not archive.damage:
            st.caption(f"Shown: {plain(archive.root)}")
            if st.button("Bring its index up to date", icon=":material/sync:"):
                start_index(archive.root)
                st.rerun()


def _begin(folder: Path) -> str:
    """Begin to index a folder; return its archive's name.

    Raises:
        InputError: if there is none.
    """
    if not folder.is_absolute() or not folder.is_dir():
        raise InputError(f"{folder} is no folder of this machine; give its whole path, as /srv/archive")
    start_index(folder)
    return archive_name(folder)


def show_indexing(name: str) -> None:
    """Say how far the index of an archive is, and why it failed."""
    job = index_job(name)
    if said := failure_of(job):
        if said == STOPPED:
            st.info("Indexing was stopped; what was read is kept. Go on with Index.", icon=":material/stop_circle:")
        else:
            show_error(f"The folder was not indexed: {said}")
        if st.button("Seen", key=f"seen {job}", icon=":material/check:"):
            forget_failure(job)
            st.rerun()
    is_being_made(lambda: False, job)
