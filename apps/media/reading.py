"""What is read of one file for the index: its hash, what it is, what is said of it, and small pictures of it.

It is done in processes of their own, since decoders of strangers' files may end theirs, and within a time: a file that
takes longer is refused. Small pictures are kept, so that a change of model reads no file again, nor needs the share.
"""

import dataclasses
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from mainstem.apps.media.catalogue import known_content
from mainstem.apps.media.tables import SIDECAR, Read
from mainstem.apps.media.walk import is_beside
from mainstem.core.errors import InputError
from mainstem.core.plain import one_line, plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.metadata import Metadata, read_metadata
from mainstem.data.media.searched import searched_cues, searched_texts
from mainstem.data.media.sidecars import sidecars_of

MOST_S, BYTES_A_S = 60.0, 1 << 20  # a file may take a minute, and a second a MiB
# Of what is read here of each kind. Whoever changes what a reader tells counts its number up: what an older one read is
# read again at the next index.
READERS = {"image": 2, "video": 2, "sound": 2, "text": 2, SIDECAR: 2}


def reader_of(kind: str) -> str:
    """Version of what reads a kind; of all readers where no reader knew the file, which another may."""
    return str(READERS[kind]) if kind in READERS else ".".join(map(str, READERS.values()))


@dataclass(frozen=True)
class Job:
    """One file to read below a folder.

    Attributes:
        sha256, kind: where its bytes are known, and its metadata alone changed.
        index: a catalogue's file, which knows contents that need not be decoded again; None: nothing is known.
    """

    root: Path
    path: str
    sha256: str = ""
    kind: str = ""
    index: Path | None = None


class _TooLong(BaseException):
    """A file took longer than it may; no reader of damaged blocks takes it for one of theirs."""


def read_file(job: Job) -> Read:
    """Read one file; what is wrong with it is in the result."""
    found = _read_file(job)
    return dataclasses.replace(found, reader=reader_of(found.kind))


def _read_file(job: Job) -> Read:
    path = job.root / job.path
    found = Read(path=job.path, sha256=job.sha256, kind=job.kind)
    try:
        with within(path):
            if not job.sha256:
                if is_beside(path):
                    return dataclasses.replace(found, kind=SIDECAR)
                found = dataclasses.replace(found, sha256=_sha256(path))
                known = _known_kind(job.index, found.sha256) if job.index else ""
                found = dataclasses.replace(found, kind=known or kind_of(path) or "")
                found = found if known else _looked_at(path, found)
            return _with_words(path, found) if found.kind else found
    except Exception as error:  # whatever one file brings about costs that file alone
        return dataclasses.replace(found, refused=plain(one_line(error)) + _unsearched(path))


def _known_kind(index: Path, sha256: str) -> str:
    """Kind of a content that a catalogue holds as it would be read now; "" of another."""
    kind, reader = known_content(index, sha256)
    return kind if reader == reader_of(kind) else ""


def _unsearched(path: Path) -> str:
    """What lies beside a file that is refused, and is searched with it alone."""
    try:
        names = [plain(sidecar.name) for sidecar in sidecars_of(path)]
    except OSError:
        return ""
    return f"; nor is searched what speaks of it: {', '.join(names)}" if names else ""


@contextmanager
def within(path: Path) -> Iterator[None]:
    """Bound the time in which one file is read.

    Raises:
        InputError: if it takes longer.
        OSError: if it is not there.
    """
    seconds = MOST_S + path.stat().st_size / BYTES_A_S

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLong(f"reading it took more than {seconds:.0f} s; cut it, or leave it out")

    if threading.current_thread() is not threading.main_thread():  # signals go to the main one alone
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    if multiprocessing.parent_process() is not None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 2 * seconds)  # ends a reader whose decoder never comes back to Python
    try:
        yield
    except _TooLong as error:
        raise InputError(str(error)) from error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        found = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError("it changed while it was read; index again once it rests")
    return found


def _looked_at(path: Path, found: Read) -> Read:
    """What the file shows, and the facts of it."""
    if found.kind == "image":
        from mainstem.data.media.pictures import read_picture
        from mainstem.data.media.small_pictures import SIDE, Shown, encoded

        picture = read_picture(path, SIDE)
        facts = {"width": picture.size[0], "height": picture.size[1], "format": picture.format, "notes": picture.notes}
        return dataclasses.replace(found, facts=facts, frames=(Shown(picture=encoded(picture.pixels)),))
    if found.kind == "video":
        from mainstem.data.media.small_pictures import keyframes
        from mainstem.data.media.videos import video_facts

        told = video_facts(path)
        frames = tuple(keyframes(path))
        if not frames:
            raise InputError(f"{plain(path.name)} shows no frame that can be decoded; copy it again")
        return dataclasses.replace(found, facts=dataclasses.asdict(told), frames=frames)
    if found.kind == "sound":
        return dataclasses.replace(found, facts=_sound_facts(path))
    return found


def _sound_facts(path: Path) -> dict[str, Any]:
    from mainstem.data.media.opening import opened

    with opened(path, DEFAULT_BOUNDS) as file:
        seconds = (file.container.duration or 0) / 1e6
        heard = file.heard
        return {"seconds": seconds, "rate": heard.rate if heard else 0, "channels": heard.channels if heard else 0}


def _with_words(path: Path, found: Read) -> Read:
    """What is said of the file, and in it where it is a text."""
    told = read_metadata(path)
    text = ""
    if found.kind == "text":
        from mainstem.data.media.texts import read_text

        text = read_text(path).text
    texts = searched_texts(found.path, told, text)
    return dataclasses.replace(found, told=plain_metadata(told), texts=texts, cues=searched_cues(told))


def plain_metadata(told: Metadata) -> dict[str, Any]:
    """Metadata in plain JSON types, without the transcript, which words are searched in."""
    found = dataclasses.asdict(dataclasses.replace(told, transcript=None, cues=(), origin={}))
    if told.embargo is not None:
        found["embargo"] = {
            "until": told.embargo.until.isoformat() if told.embargo.until else None, "words": told.embargo.words
        }  # fmt: skip
    return {**{name: value for name, value in found.items() if value}, "origin": dict(told.origin)}
