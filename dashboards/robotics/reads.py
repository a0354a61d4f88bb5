"""What the robotics page reads: recordings and estimates, each once for as long as its faults stay the same."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import streamlit as st

from mainstem.apps.robotics import Choice, Door, Opened, choices, used_of, with_truth
from mainstem.apps.robotics_filters import healths, told_of, vqf
from mainstem.core.errors import ArtifactError, InputError, MissingExtraError
from mainstem.dashboards.robotics.board import Estimates
from mainstem.data.robot.checking import check_recording
from mainstem.data.robot.faults import Fault, inject
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.reading import read_recording

T = TypeVar("T")
OWN = "own recordings"  # session key: by name, the path of a file that the user opened
MOST_OPEN = 4
MOST_FILES, MOST_MB = 1000, 500  # of a folder: the browser sends them all before any is read
log = logging.getLogger(__name__)


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


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What a user gives: a file, or a folder's files by their paths in it, and what goes with it; None where nothing.

    `extrinsics` and `verified` are contents; `episode` is of a LeRobot set.
    """

    files: Mapping[str, bytes]
    is_folder: bool = False
    extrinsics: bytes | None = None
    assumes_identity: bool = False
    verified: bytes | None = None
    episode: int | None = None


def take_own(brought: Brought) -> str:
    """Keep a user's recording for the session, and read it once; return the name that it goes by.

    Raises:
        InputError: if it cannot be read, or what goes with it is of another recording.
    """
    folder = Path(tempfile.mkdtemp(dir=session_folder()))
    try:
        path = _written(folder / "recording", brought)
        door = Door(
            extrinsics=_kept(folder / "extrinsics.yaml", brought.extrinsics),
            assumes_identity=brought.assumes_identity,
            verified=_kept(folder / "selfcheck.json", brought.verified),
        )
        opened = replace(with_truth(read_recording(path, episode=brought.episode)), door=door)
        opened.recording.span_s()
        if door.extrinsics or door.verified:
            used_of(opened)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    own = own_choices()
    title = next(name for name in (f"own {path.name}{again}" for again in _agains()) if name not in own)
    own[title] = Choice(name=title, title=title, open=lambda: opened)
    return title


def _agains() -> Iterator[str]:
    """What tells recordings of one name apart."""
    yield ""
    yield from (f" ({number})" for number in count(2))


def check_bounds(num_files: int, num_bytes: int) -> None:
    """Refuse more than a page takes.

    Raises:
        InputError: if there are too many files, or too large ones.
    """
    if num_files > MOST_FILES or num_bytes > MOST_MB << 20:
        raise InputError(
            f"got {num_files:,} files of {num_bytes >> 20:,} MB, want {MOST_FILES:,} and {MOST_MB:,} MB at most; give "
            "a part of the recording"
        )


def _written(folder: Path, brought: Brought) -> Path:
    """Write what was brought into a folder, and return what is to be read."""
    for name, content in brought.files.items():
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or ".." in parts or PurePosixPath(name).is_absolute():
            raise InputError(f"{name!r:.80} is no name in a folder; rename it")
        path = folder.joinpath(*(parts if brought.is_folder else parts[-1:]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    tops = list(folder.iterdir())
    return tops[0] if len(tops) == 1 else folder


def _kept(path: Path, content: bytes | None) -> Path | None:
    if content is not None:
        path.write_bytes(content)
    return None if content is None else path


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


@st.cache_resource(show_spinner="Examining the recording", max_entries=MOST_OPEN, scope="session")
def examine(_opened: Opened, name: str) -> tuple[Finding, ...]:
    """Return what the doctor finds in a recording."""
    assert name
    return check_recording(_opened.recording)


@st.cache_resource(
    show_spinner="Estimating (the first time, filters are compiled: minutes)", max_entries=MOST_OPEN, scope="session"
)
def estimate(_opened: Opened, name: str, fault: str, is_smoothed: bool) -> tuple[Opened, Estimates, tuple[str, ...]]:
    """Return the recording with a fault, what is told of it, and why some of that cannot be had.

    Raises:
        InputError: if the recording cannot have the fault.
    """
    assert name
    opened = _opened
    if fault:
        recording = inject(opened.recording, Fault.of_text(fault, opened.recording))
        opened = replace(opened, recording=recording)
    why: list[str] = []
    used = _tried("The choice of sensors", lambda: used_of(_opened, opened.recording), why)
    sensors = None if used is None or not used.recording.sensors else used.recording
    health = _tried("The sensors' health", lambda: healths(opened.recording, sensors), why) or {}
    if sensors is None:
        return opened, Estimates(health=health, used=used), tuple(why)
    own, path = _tried("Our estimate", lambda: told_of(sensors, is_smoothed), why) or (None, None)
    classical = _tried("VQF's estimate", lambda: vqf(sensors), why)
    return opened, Estimates(own=own, classical=classical, path=path, health=health, used=used), tuple(why)


def _tried(what: str, ask: Callable[[], T | None], why: list[str]) -> T | None:
    """What is asked for, and None with a reason more where it cannot be had."""
    try:
        return ask()
    except (ArtifactError, InputError, MissingExtraError) as error:
        why.append(str(error))
    except (ArithmeticError, np.linalg.LinAlgError, ValueError) as error:
        log.exception("%s failed", what)
        why.append(
            f"{what} left the numbers that can be computed with ({type(error).__name__}: {error!s:.100}): a value "
            "of the file or a fault's size is far from what sensors measure; the doctor names such values"
        )
    return None
