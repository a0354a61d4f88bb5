"""What the media page reads: archives, searches, files; each held for as long as it stays the same, and bounded."""

import hashlib
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

import streamlit as st

from mainstem.apps.media.archives import Archive, browse, known_archives, picture_of
from mainstem.apps.media.previews import metadata_of, picture_preview, played
from mainstem.apps.media.query import Query
from mainstem.apps.media.relevance import load_runs
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import InputError
from mainstem.core.files import file_stat
from mainstem.data.media.small_pictures import SIDE
from mainstem.data.media.texts import read_text

MOST_OPEN, MOST_HELD = 2, 16
PREVIEW_PX = 1280
DRAWN_S = 1.0  # after which a page that was just made is on the screen
MOST_TEXT = 20_000  # letters of a text


@st.cache_resource(scope="session", show_spinner=False, max_entries=MOST_OPEN)
def open_archive(name: str, root: str) -> MediaSearch:
    """Open an archive's index for this session; it is closed once neither the session nor a page that runs holds it.

    Raises:
        InputError: if it has none.
    """
    assert name
    search = MediaSearch(Path(root))
    weakref.finalize(search.catalogue, search.catalogue.db.close)
    return search


@st.cache_resource(show_spinner=False)
def load_ahead() -> threading.Timer:
    """Load, once for all and beside the pages, what the first search would wait for; a page is drawn before that."""
    loading = threading.Timer(DRAWN_S, load_runs, (Query().level,))
    loading.daemon = True
    loading.start()
    return loading


def archives() -> dict[str, Archive]:
    """The archives of this machine by name."""
    return {archive.name: archive for archive in known_archives()}


@st.cache_resource(
    scope="session", on_release=lambda folder: shutil.rmtree(folder, ignore_errors=True), show_spinner=False
)
def session_folder() -> Path:
    """A folder of this session and of this user of the machine alone; it is deleted when the session ends."""
    return Path(tempfile.mkdtemp(prefix="mainstem-media-"))


def stand_in(search: MediaSearch, path: str) -> Path:
    """Return the small picture that the index holds of a file, as a file of its name: it is decoded without danger.

    Raises:
        InputError: if the index holds none.
    """
    picture = picture_of(search.catalogue, path)
    if picture is None:
        raise InputError(f"{path} shows no picture that others could be like; take it away")
    return _kept(Path(path).name, picture)


def take_own(name: str, content: bytes) -> Path:
    """Keep a user's own picture for the session, small, and return its file.

    Raises:
        InputError: if it cannot be read.
    """
    given = _kept(Path(name).name, content)
    picture, _ = picture_preview(given, SIDE)
    given.write_bytes(picture)
    return given


def _kept(name: str, content: bytes) -> Path:
    folder = session_folder() / hashlib.sha256(content).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    path = folder / (name.replace("\0", "")[-100:] or "picture")
    path.write_bytes(content)
    return path


def found_in(search: MediaSearch, query: Query) -> dict[str, Any]:
    """What an archive answers; its first files where nothing is asked.

    Raises:
        InputError: if what is asked is none.
    """
    if query.text.strip() or query.like or query.unlike or query.filters.given():
        return search.search(query)
    return browse(search.catalogue, query.limit)


@st.cache_data(show_spinner="Reading the picture", max_entries=MOST_HELD)
def _preview(path: str, stat: tuple[int, ...]) -> tuple[bytes, list[str]]:
    assert stat
    return picture_preview(Path(path), PREVIEW_PX)


def preview(path: Path) -> tuple[bytes, list[str]]:
    """A picture as JPEG, and what was done for it.

    Raises:
        InputError: if it cannot be read.
    """
    return _preview(str(path), file_stat(path))


@st.cache_data(show_spinner=False, max_entries=4)
def _played(path: str, kind: str, stat: tuple[int, ...]) -> tuple[bytes, str]:
    assert stat
    return played(Path(path), kind)


def to_play(path: Path, kind: str) -> tuple[bytes, str]:
    """Bytes for a player, and their type.

    Raises:
        InputError: if no browser plays them, or they are too many.
    """
    return _played(str(path), kind, file_stat(path))


def said_of(path: Path) -> dict[str, Any]:
    """What a file and its sidecars say of it, read anew each time: it may have just been written."""
    return metadata_of(path)


def text_in(path: Path) -> str:
    """The beginning of a text.

    Raises:
        InputError: if it is too long to be read.
    """
    return read_text(path).text[:MOST_TEXT]
