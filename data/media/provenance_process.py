"""The process that parses foreign manifests: what ends it is an error of the file that did."""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError

START_S = 120.0  # to load the library, on a machine that is busy
READING_S, BYTES_S = 10.0, 20e6  # processor time for any file, and bytes a second beyond it
IDLE = 15.0  # times its processor time that a request may wait for
MOST_ANSWER = 8 << 20  # bytes
BEYOND = "reading it took more time or memory than it may, or broke the parser; it is damaged, get the file again"


@dataclass(eq=False)
class Worker:
    """One process, started when it is first asked and anew after it was ended."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    process: "subprocess.Popen[bytes] | None" = None
    pipe: Connection | None = None

    def ask(self, path: Path, rest: Mapping[str, Any]) -> dict[str, Any]:
        """What `provenance_worker` found in a file.

        Raises:
            InputError: if the file is refused, or ended the process.
        """
        seconds = READING_S + path.stat().st_size / BYTES_S
        request = {"path": str(path.absolute()), "seconds": seconds, **rest}
        with self.lock:
            try:
                found: dict[str, Any] = json.loads(self._ask(json.dumps(request).encode(), seconds * IDLE))
            except (OSError, EOFError):  # it ended, was too slow, or told too much
                self.stop()
                raise InputError(f"{path}: {BEYOND}") from None
        if "refused" in found:
            raise InputError(f"{path}: {found['refused']}")
        return found

    def _ask(self, request: bytes, seconds: float) -> bytes:
        if self.process is None or self.process.poll() is not None:
            self._start()
        assert self.pipe is not None
        self.pipe.send_bytes(request)
        if not self.pipe.poll(seconds):
            raise TimeoutError
        return self.pipe.recv_bytes(MOST_ANSWER)

    def _start(self) -> None:
        self.stop()
        self.pipe, theirs = Pipe()
        # the folders that this process imports from; none of them is the current one unless it is here, too
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "mainstem.data.media.provenance_worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        if not self.pipe.poll(START_S):
            raise TimeoutError
        self.pipe.recv_bytes(MOST_ANSWER)  # that it is ready

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None


_workers: dict[int, Worker] = {}  # by process: a forked one has its own


def worker() -> Worker:
    """This process's worker.

    Raises:
        MissingExtraError: if c2pa-python is not installed.
    """
    if os.getpid() not in _workers:
        if find_spec("c2pa") is None:
            raise MissingExtraError("c2pa-python", "media")
        _workers[os.getpid()] = Worker()
    return _workers[os.getpid()]


@atexit.register
def _stop() -> None:
    if os.getpid() in _workers:
        _workers[os.getpid()].stop()
