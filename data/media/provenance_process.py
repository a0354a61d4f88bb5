"""The process that parses foreign manifests: what ends it is an error of the file that did."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.child import Child, ChildEndedError, child_of

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
        except ChildEndedError:
            raise InputError(f"{path}: {BEYOND}") from None
        found: dict[str, Any] = json.loads(told)
        if "refused" in found:
            raise InputError(f"{path}: {found['refused']}")
        return found


def worker() -> Worker:
    """This process's worker.

    Raises:
        MissingExtraError: if c2pa-python is not installed.
    """
    if find_spec("c2pa") is None:
        raise MissingExtraError("c2pa-python", "media")
    return child_of(Worker, "mainstem.data.media.provenance_worker", MOST_ANSWER)
