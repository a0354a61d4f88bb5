"""A user's own recording, and the public trials where they are not on this machine yet."""

from collections.abc import Callable

import streamlit as st

from mainstem.apps.robotics import bring_trials
from mainstem.dashboards.robotics.reads import take_own
from mainstem.dashboards.shell import mistakes_as_lines, plain
from mainstem.data.catalogue import is_pulled
from mainstem.data.robot.reading import READ

TAKEN = "recordings brought"  # session key: how often this user has opened a file


def bring_own(on_opened: Callable[[str], None]) -> None:
    """Take a file, and say where it is kept."""
    taken = st.session_state.get(TAKEN, 0)
    with st.popover("Open", icon=":material/upload_file:", key=f"bring {taken}", help="Open a recording of your own"):
        st.markdown(
            f"A recording of your own: {plain(READ)}. It is kept in a folder of this machine's temporary files that "
            "only this user account can read, and deleted when this session ends. Nothing leaves this machine."
        )
        file = st.file_uploader("File", key=f"recording {taken}")
        if st.button("Open it", type="primary", disabled=file is None) and file is not None:
            with mistakes_as_lines("The file"), st.spinner("Reading"):
                name = take_own(file.name, file.getvalue())
                st.session_state[TAKEN] = taken + 1
                on_opened(name)
                st.rerun()
        if not is_pulled("broad") and st.button("Bring the public trials, 34 MB", icon=":material/download:"):
            with mistakes_as_lines("The trials"), st.spinner("Fetching"):
                bring_trials()
                st.rerun()
