"""Larger pictures, metadata and bytes to play for a page; what decodes is a process that a bad file may end.

Nothing is kept on disk, and no file of an archive is opened for writing.
"""

import json
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.child import Child, ChildEndedError, child_of
from mainstem.data.media.bounds import check_file
from mainstem.data.media.signatures import demuxer, head_of

MOST_S = 120.0  # to read one file, on a machine that is busy, too
MOST_ANSWER = 32 << 20  # bytes
PLAYED = 64 << 20  # bytes that a browser is given of one file
PLAYABLE = {  # FFmpeg's name of a container, and what browsers call it
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "webm", "ogg": "ogg", "flac": "flac", "mp3": "mpeg",
    "wav": "wav", "aac": "aac",
}  # fmt: skip


def _reader() -> Child:
    return child_of(Child, "mainstem.apps.media.preview_worker", MOST_ANSWER)


def _asked(path: Path, longest_side: int) -> tuple[dict[str, Any], bytes]:
    """What `preview_worker` says of a file.

    Raises:
        InputError: if the file is refused, or ended the process.
    """
    try:
        told, data = _reader().ask({"path": str(path.absolute()), "longest_side": longest_side}, MOST_S, 2)
    except ChildEndedError:
        raise InputError(
            f"{plain(path.name)}: reading it took more time or memory than it may; it is damaged or hostile"
        ) from None
    found: dict[str, Any] = json.loads(told)
    if "refused" in found:
        raise InputError(str(found["refused"]))
    return found, data


def picture_preview(path: Path, longest_side: int) -> tuple[bytes, list[str]]:
    """Return a picture as JPEG, at most so long, and what was done or found, a sentence each.

    Raises:
        InputError: if it cannot be read.
    """
    told, data = _asked(path, longest_side)
    return data, list(told["notes"])


def metadata_of(path: Path) -> dict[str, Any]:
    """Return what a file and its sidecars say of it now, in plain JSON types.

    Raises:
        InputError: if it cannot be read.
    """
    return _asked(path, 0)[0]


def played(path: Path, kind: str) -> tuple[bytes, str]:
    """Return a file's bytes for a browser's player, and their type; nothing is decoded here.

    Raises:
        InputError: if they are too many, or no browser plays them.
    """
    name = PLAYABLE.get(demuxer(head_of(path)) or "")
    if name is None:
        raise InputError(f"{plain(path.name)} is of a form that browsers do not play; open it in a player of yours")
    if (found := check_file(path, 1 << 62)).st_size > PLAYED:
        raise InputError(
            f"{plain(path.name)} has {found.st_size >> 20} MiB, and a page plays {PLAYED >> 20}; open it in a player"
        )
    return path.read_bytes(), f"{'video' if kind == 'video' else 'audio'}/{name}"
