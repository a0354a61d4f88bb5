"""Larger pictures, metadata and bytes to play for a page; what decodes is a process that a bad file may end.

Nothing is kept on disk, and no file of an archive is opened for writing.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import check_file
from mainstem.data.media.signatures import demuxer, head_of

MOST_S = 120.0  # to read one file, on a machine that is busy, too
MOST_ANSWER = 32 << 20  # bytes
PLAYED = 64 << 20  # bytes that a browser is given of one file
PLAYABLE = {  # FFmpeg's name of a container, and what browsers call it
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "webm", "ogg": "ogg", "flac": "flac", "mp3": "mpeg",
    "wav": "wav", "aac": "aac",
}  # fmt: skip


@dataclass(eq=False)
class Reader:
    """One process, started when it is first asked and anew after it was ended."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    process: "subprocess.Popen[bytes] | None" = None
    pipe: Connection | None = None

    def ask(self, path: Path, longest_side: int = 0) -> tuple[dict[str, Any], bytes]:
        """What `media_preview_worker` says of a file.

        Raises:
            InputError: if the file is refused, or ended the process.
        """
        request = json.dumps({"path": str(path.absolute()), "longest_side": longest_side}).encode()
        with self.lock:
            try:
                told, data = self._ask(request)
            except (OSError, EOFError):  # it ended, was too slow, or told too much
                self.stop()
                raise InputError(
                    f"{plain(path.name)}: reading it took more time or memory than it may; it is damaged or hostile"
                ) from None
        if "refused" in told:
            raise InputError(str(told["refused"]))
        return told, data

    def _ask(self, request: bytes) -> tuple[dict[str, Any], bytes]:
        if self.process is None or self.process.poll() is not None:
            self._start()
        assert self.pipe is not None
        self.pipe.send_bytes(request)
        if not self.pipe.poll(MOST_S):
            raise TimeoutError
        told: dict[str, Any] = json.loads(self.pipe.recv_bytes(MOST_ANSWER))
        return told, self.pipe.recv_bytes(MOST_ANSWER)

    def _start(self) -> None:
        self.stop()
        self.pipe, theirs = Pipe()
        # the folders that this process imports from; none of them is the current one unless it is here, too
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "mainstem.apps.media_preview_worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment, start_new_session=True,
        )  # fmt: skip
        theirs.close()

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None


_reader = Reader()
atexit.register(_reader.stop)


def picture_preview(path: Path, longest_side: int) -> tuple[bytes, list[str]]:
    """Return a picture as JPEG, at most so long, and what was done or found, a sentence each.

    Raises:
        InputError: if it cannot be read.
    """
    told, data = _reader.ask(path, longest_side)
    return data, list(told["notes"])


def metadata_of(path: Path) -> dict[str, Any]:
    """Return what a file and its sidecars say of it now, in plain JSON types.

    Raises:
        InputError: if it cannot be read.
    """
    return _reader.ask(path)[0]


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
