"""A user's own recording with what goes with it, and the public trials where they are not on this machine yet."""

from collections.abc import Callable

import streamlit as st

from mainstem.apps.robotics import bring_trials
from mainstem.dashboards.robotics.reads import MOST_FILES, MOST_MB, Brought, check_bounds, take_own
from mainstem.dashboards.shell import mistakes_as_lines, plain
from mainstem.dashboards.uploads import contents_of
from mainstem.data.catalogue import is_pulled
from mainstem.data.robot.mounting import WANTED
from mainstem.data.robot.reading import READ

TAKEN = "recordings brought"  # session key: how often this user has opened a file


def bring_own(on_opened: Callable[[str], None]) -> None:
    """Take a recording, and say where it is kept."""
    taken = st.session_state.get(TAKEN, 0)
    with st.popover("Open", icon=":material/upload_file:", key=f"bring {taken}", help="Open a recording of your own"):
        st.markdown(
            f"A recording of your own: {plain(READ)}. It is kept in a folder of this machine's temporary files that "
            "only this user account can read, and deleted when this session ends. Nothing leaves this machine."
        )
        with mistakes_as_lines("The recording"):
            brought = _brought(taken)
            if brought is not None:
                with st.spinner("Reading"):
                    name = take_own(brought)
                st.session_state[TAKEN] = taken + 1
                on_opened(name)
                st.rerun()
        if not is_pulled("broad") and st.button("Bring the public trials, 34 MB", icon=":material/download:"):
            with mistakes_as_lines("The trials"), st.spinner("Fetching"):
                bring_trials()
                st.rerun()


def _brought(taken: int) -> Brought | None:
    """Ask for a file or a folder, where its sensors are mounted, and what a self-check found; None until all is given.

    Contents are copied only then, and only of as much as may be taken.
    """
    is_folder = st.toggle("A folder (a ROS 2 bag, a LeRobot set)", key=f"is folder {taken}")
    if is_folder:
        given = st.file_uploader(
            plain(f"Folder, {MOST_FILES:,} files and {MOST_MB} MB at most"), accept_multiple_files="directory",
            key=f"folder {taken}",
        )  # fmt: skip
    else:
        file = st.file_uploader("File", key=f"recording {taken}")
        given = [] if file is None else [file]
    episode = st.number_input("Episode, of a LeRobot set", 0, None, None, key=f"episode {taken}") if is_folder else None
    mounting = st.file_uploader(
        "Where sensors are mounted, if the recording does not say", key=f"mounting {taken}", max_upload_size=1,
        help=f"A YAML file as of predict --extrinsics: {plain(WANTED)}",
    )  # fmt: skip
    assumes = st.checkbox("Take sensors of unknown mounting for the body's own frame", key=f"identity {taken}")
    verified = st.file_uploader(
        "What robot selfcheck --out wrote of these sensors", key=f"verified {taken}", max_upload_size=1
    )
    if not st.button("Open it", type="primary", disabled=not given):
        return None
    check_bounds(len(given), sum(file.size for file in given))
    return Brought(
        files=contents_of(given),
        is_folder=is_folder,
        extrinsics=None if mounting is None else mounting.getvalue(),
        assumes_identity=assumes,
        verified=None if verified is None else verified.getvalue(),
        episode=episode,
    )
