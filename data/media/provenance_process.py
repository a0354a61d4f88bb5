"""The process that parses foreign manifests: what ends it is an error of the file that did."""

import atexit
import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.media.child import Child

READING_S, BYTES_S = 10.0, 20e6  # processor time for any file, and bytes a second beyond it
IDLE = 15.0  # times its processor time that a request may wait for
MOST_ANSWER = 8 << 20  # bytes
BEYOND = "reading it took more time or memory than it may, or broke the parser; it is damaged, get the file again"


class Worker(Child):
    """The process of one process's own."""

    def examine(self, path: Path, rest: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `provenance_worker` found in a file.

        Raises:
            InputError: if the file is refused, or ended the process.
        """
        seconds = READING_S + path.stat().st_size / BYTES_S
        try:
            (told,) = self.ask({"path": str(path.absolute()), "seconds": seconds, **rest}, seconds * IDLE)
        except (OSError, EOFError):
            raise InputError(f"{path}: {BEYOND}") from None
        found: dict[str, Any] = json.loads(told)
        if "refused" in found:
            raise InputError(f"{path}: {found['refused']}")
        return found


_workers: dict[int, Worker] = {}  # by process: a forked one has its own


def worker() -> Worker:
    """This process's worker.

    Raises:
        MissingExtraError: if c2pa-python is not installed.
    """
    if os.getpid() not in _workers:
        if find_spec("c2pa") is None:
            raise MissingExtraError("c2pa-python", "media")
        _workers[os.getpid()] = Worker("mainstem.data.media.provenance_worker", MOST_ANSWER)
    return _workers[os.getpid()]


@atexit.register
def _stop() -> None:
    if os.getpid() in _workers:
        _workers[os.getpid()].stop()
