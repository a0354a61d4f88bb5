"""What the robotics page reads: recordings and estimates, each once for as long as its faults stay the same."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import streamlit as st

from mainstem.apps.robotics import Choice, Opened, choices, on_grid, with_truth
from mainstem.apps.robotics_filters import motion, travelled, vqf
from mainstem.core.errors import ArtifactError, InputError, MissingExtraError
from mainstem.dashboards.robotics.board import Estimates
from mainstem.data.robot.faults import Fault, inject
from mainstem.data.robot.reading import read_recording

T = TypeVar("T")
OWN = "own recordings"  # session key: by name, the path of a file that the user opened
MOST_OPEN = 4


@st.cache_resource(
    scope="session", on_release=lambda folder: shutil.rmtree(folder, ignore_errors=True), show_spinner=False
)
def session_folder() -> Path:
    """A folder of this session and of this user of the machine alone; it is deleted when the session ends."""
    return Path(tempfile.mkdtemp(prefix="mainstem-robotics-"))


def own_choices() -> dict[str, Choice]:
    """Recordings that the user opened in this session, by name."""
    found: dict[str, Choice] = st.session_state.setdefault(OWN, {})
    return found


def take_own(name: str, content: bytes) -> str:
    """Keep a user's file for the session, and read it once; return the name that it goes by.

    Raises:
        InputError: if it cannot be read.
    """
    folder = Path(tempfile.mkdtemp(dir=session_folder()))
    path = folder / Path(name).name
    path.write_bytes(content)
    try:
        opened = with_truth(read_recording(path))
        opened.recording.span_s()
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    title = f"own {path.name}"
    own_choices()[title] = Choice(name=title, title=title, open=lambda: opened)
    return title


def all_choices() -> dict[str, Choice]:
    """The user's own recordings, then those of this machine, by name."""
    return {**own_choices(), **{choice.name: choice for choice in choices()}}


@st.cache_resource(show_spinner="Opening the recording", max_entries=MOST_OPEN, scope="session")
def open_choice(_choice: Choice, name: str) -> Opened:
    """Open a recording.

    Raises:
        InputError: if it cannot be read.
    """
    assert name
    return _choice.open()


@st.cache_resource(
    show_spinner="Estimating (the first time, filters are compiled: minutes)", max_entries=MOST_OPEN, scope="session"
)
def estimate(_opened: Opened, name: str, fault: str, is_smoothed: bool) -> tuple[Opened, Estimates, tuple[str, ...]]:
    """Return the recording with a fault, what filters say of it, and why one of them cannot be had.

    Raises:
        InputError: if the recording cannot have the fault.
    """
    assert name
    opened = _opened
    if fault:
        recording = inject(opened.recording, Fault.of_text(fault, opened.recording))
        opened = replace(opened, recording=recording)
    why: list[str] = []
    path = _tried(lambda: travelled(opened.recording), why)
    grid = _tried(lambda: on_grid(opened.recording), why)
    if grid is None:
        return opened, Estimates(path=path), tuple(why)
    own, classical = _tried(lambda: motion(grid, is_smoothed), why), _tried(lambda: vqf(grid), why)
    return opened, Estimates(own=own, classical=classical, path=path), tuple(why)


def _tried(ask: Callable[[], T | None], why: list[str]) -> T | None:
    """What is asked for, and None with a reason more where it cannot be had."""
    try:
        return ask()
    except (ArtifactError, InputError, MissingExtraError) as error:
        why.append(str(error))
        return None
