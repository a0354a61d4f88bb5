"""A user's own studies: files, a folder's files or a zip, kept for the session; and the demonstration where none is."""

from collections.abc import Callable

import streamlit as st

from mainstem.dashboards.clinic.reads import has_studies, take_own
from mainstem.dashboards.shell import mistakes_as_lines, plain

TAKEN = "studies brought"  # session key: how often this user has opened files
REFUSED = "files refused"  # session key
MOST_SAID = 5


def bring_own(on_opened: Callable[[str], None]) -> None:
    """Take files, and say where they are kept."""
    taken = st.session_state.get(TAKEN, 0)
    with st.popover("Open studies of my own", icon=":material/upload_file:", key=f"bring {taken}"):
        st.markdown(
            "DICOM files, a folder's files (choose them all) or a zip, or NIfTI volumes. They are kept in a folder of "
            "this machine's temporary files that only this user account can read, and deleted when this session ends. "
            "Names in them are shown nowhere, names of files here alone, until they are opened. Nothing leaves this "
            "machine."
        )
        files = st.file_uploader("Files", accept_multiple_files=True, key=f"study files {taken}")
        if st.button("Open", type="primary", disabled=not files):
            with mistakes_as_lines("The files"), st.spinner("Reading, and asking the models"):
                contents = {f"{number} {file.name}": file.getvalue() for number, file in enumerate(files)}
                found, st.session_state[REFUSED] = take_own(contents)
                st.session_state[TAKEN] = taken + 1
                on_opened(found[0].id)
                st.rerun()
    refused = st.session_state.get(REFUSED, [])
    if refused:
        count = "1 file was" if len(refused) == 1 else f"{len(refused)} files were"
        st.warning(f"{count} refused: {plain('; '.join(dict.fromkeys(refused[:MOST_SAID])))}")


def offer_demo() -> None:
    """Say how to come by studies where there is none."""
    from mainstem.dashboards.waiting import is_being_made  # late: it loads torch, which takes seconds

    if is_being_made(has_studies):
        return
    st.info("No study yet: run `mainstem demo`, or open studies of your own beside this.", icon=":material/radiology:")
