"""A process that reads foreign files for this one: what ends it is an error of the file that did."""

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from typing import Any, TypeVar

START_S = 120.0  # to load its libraries, on a machine that is busy
ENDING_S = 5.0  # for the kernel to tell how it ended


class ChildEndedError(Exception):
    """The process ended, was too slow or told too much, as its one word says; the next is begun."""


@dataclass(eq=False)
class Child:
    """One process, started when it is first asked and anew after it was ended.

    Attributes:
        module: what it runs. It is told the number of its end of a pipe, says when it is ready, and answers one request
            in JSON after the other.
        most_answer: bytes of an answer's part, beyond which it is ended.
    """

    module: str
    most_answer: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    process: "subprocess.Popen[bytes] | None" = None
    pipe: Connection | None = None
    is_ready: bool = False

    def ask(self, request: Mapping[str, Any], seconds: float, num_parts: int = 1) -> list[bytes]:
        """Return an answer's parts.

        Raises:
            ChildEndedError: if it ended, was too slow, or told too much.
        """
        with self.lock:
            try:
                return self._ask(json.dumps(request).encode(), seconds, num_parts)
            except (OSError, EOFError) as error:
                why = self._why(error)
                self.stop()
                self._start()  # it loads its libraries while this one goes on
                raise ChildEndedError(why) from error

    def _ask(self, request: bytes, seconds: float, num_parts: int) -> list[bytes]:
        if self.process is None or self.process.poll() is not None:
            self._start()
        if not self.is_ready:
            self._part(time.monotonic() + START_S)
            self.is_ready = True
        assert self.pipe is not None
        self.pipe.send_bytes(request)
        until = time.monotonic() + seconds
        return [self._part(until) for _ in range(num_parts)]

    def _part(self, until: float) -> bytes:
        assert self.pipe is not None
        if not self.pipe.poll(max(0.0, until - time.monotonic())):
            raise TimeoutError
        return self.pipe.recv_bytes(self.most_answer)

    def _why(self, error: OSError | EOFError) -> str:
        assert self.process is not None
        if isinstance(error, TimeoutError):
            return "out of time"
        if not isinstance(error, EOFError | ConnectionError):
            return "too large an answer"
        with suppress(subprocess.TimeoutExpired):
            code = self.process.wait(ENDING_S)
            return f"signal {-code}" if code < 0 else f"exit {code}"
        return "closed its pipe"

    def _start(self) -> None:
        self.stop()
        self.pipe, theirs = Pipe()
        # the folders that this process imports from; none of them is the current one unless it is here, too
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", self.module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        theirs.close()

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None
        self.is_ready = False


Kind = TypeVar("Kind", bound=Child)
_children: dict[tuple[int, str], Child] = {}  # by process: a forked one has its own


def child_of(kind: type[Kind], module: str, most_answer: int) -> Kind:
    """This process's one child that runs a module; it ends with this process."""
    key = os.getpid(), module
    found = _children.get(key)
    if not isinstance(found, kind):
        found = _children[key] = kind(module, most_answer)
    return found


@atexit.register
def _stop() -> None:
    for (process, _), child in _children.items():
        if process == os.getpid():
            child.stop()
