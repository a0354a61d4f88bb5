"""A user's own studies: files, a folder's files or a zip, kept for the session; and the demonstration where none is."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from mainstem.apps.clinic_jobs import own_job
from mainstem.apps.jobs import failure_of, find_job, forget_failure, stop
from mainstem.core.errors import InputError
from mainstem.dashboards.clinic.reads import has_studies, take_own, taken_own
from mainstem.dashboards.shell import mistakes_as_lines, plain

TAKEN = "studies brought"  # session key: how often this user has opened files
READING = "studies being read"  # session key: the folder of those that are, until they are open
REFUSED = "files refused"  # session key
MOST_SAID, EVERY_S = 5, 1.0


def bring_own() -> None:
    """Take files, say where they are kept, and begin to read them; `wait_for_own` opens them."""
    taken = st.session_state.get(TAKEN, 0)
    with st.popover("Open studies of my own", icon=":material/upload_file:", key=f"bring {taken}"):
        st.markdown(
            "DICOM files, a folder's files (choose them all) or a zip, or NIfTI volumes. They are kept in a folder of "
            "this machine's temporary files that only this user account can read, and deleted when this session ends. "
            "Names in them are shown nowhere, names of files here alone, until they are opened. Nothing leaves this "
            "machine."
        )
        files = st.file_uploader("Files", accept_multiple_files=True, key=f"study files {taken}")
        if st.button("Open", type="primary", disabled=not files or READING in st.session_state):
            with mistakes_as_lines("The files"):
                contents = {f"{number} {file.name}": file.getvalue() for number, file in enumerate(files)}
                st.session_state[READING] = take_own(contents)
                st.session_state[TAKEN] = taken + 1
                st.rerun()
    refused = st.session_state.get(REFUSED, [])
    if refused:
        count = "1 file was" if len(refused) == 1 else f"{len(refused)} files were"
        st.warning(f"{count} refused: {plain('; '.join(dict.fromkeys(refused[:MOST_SAID])))}")


def wait_for_own(on_opened: Callable[[str], None]) -> None:
    """Open the files that were read beside the pages, or say how far that is; `on_opened` is given the first study.

    Raises:
        InputError: if none can be read, or the reading was ended.
    """
    folder: Path | None = st.session_state.get(READING)
    if folder is None:
        return
    job = own_job(folder)
    if find_job(job) is not None:
        st.fragment(watch, run_every=EVERY_S)(job)
        return
    del st.session_state[READING]
    said, failed = taken_own(folder), failure_of(job)
    if said is None:
        forget_failure(job)
        raise InputError(f"the files were not opened: {failed or 'the reading ended early; open them again'}")
    found, st.session_state[REFUSED] = said
    on_opened(found[0].id)
    st.rerun()


def watch(job: str) -> None:
    """Say how far the reading of a user's files is, offer to stop it, and draw the page anew once it has ended."""
    found = find_job(job)
    if found is None:
        st.rerun()
    st.progress(min(max(found.share, 0.0), 1.0), plain(found.describe()))
    if st.button("Stop", key=f"stop {job}", icon=":material/stop_circle:"):
        with mistakes_as_lines("The stop"):
            stop(job)
            st.rerun()


def offer_demo() -> None:
    """Say how to come by studies where there is none."""
    from mainstem.dashboards.waiting import is_being_made  # late: it loads torch, which takes seconds

    if is_being_made(has_studies):
        return
    st.info("No study yet: run `mainstem demo`, or open studies of your own beside this.", icon=":material/radiology:")
