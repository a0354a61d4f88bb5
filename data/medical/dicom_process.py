"""Requests to the one worker process that opens foreign files; what ends it is an error of the file that did."""

import atexit
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.medical.archives import MOST_BYTES, Place, is_zip, places_below

START_S = 120.0  # to load the libraries, on a machine that is busy
IDLE = 15.0  # times its processor time that a request may wait for
PIXELS_S = 1e6  # of JPEG 2000 a second at the slowest, on one core
MOST_ANSWER = MOST_BYTES + (1 << 20)  # bytes: a copy of a file is seldom longer than it
CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Processor time that a request may take: for any file, and for so many bytes of one a second beyond."""

    seconds: float
    bytes_s: float


READING = Limits(1.0, 20e6)
LISTING = Limits(5.0, 20e6)  # a zip of the most entries takes two


class _Ended(Exception):
    """The worker ended, or did not answer in time."""


@dataclass(eq=False)
class Worker:
    """One process, started when it is first asked and anew after it was ended."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    process: "subprocess.Popen[bytes] | None" = None
    is_ready: bool = False

    def ask(
        self, do: str, place: Place, rest: Mapping[str, Any], pixels: int = 0, limits: Limits = READING
    ) -> tuple[Any, NDArray[Any] | None]:
        """An answer, and its array where it has one.

        Args:
            do: one of `dicom_worker.DO`.
            place: of the file that the request is about.
            rest: further arguments, as JSON.
            pixels: that are to be decoded, which adds to the limit of time.
            limits: of the time beside them.

        Raises:
            InputError: if the file is gone, refused, or ended the worker.
        """
        try:
            num_bytes = min(place.path.stat().st_size, MOST_BYTES)
        except OSError as error:
            raise InputError(f"{place.name}: gone since it was listed; list it again") from error
        seconds = limits.seconds + num_bytes / limits.bytes_s + pixels / PIXELS_S
        request = {"do": do, "path": str(place.path.absolute()), "member": place.member, "seconds": seconds, **rest}
        with self.lock:
            try:
                head, body = self._ask(json.dumps(request).encode() + b"\n", seconds * IDLE)
            except _Ended as error:
                self.end()
                raise InputError(
                    f"{place.name}: reading it took more time or memory than it may, or broke its decoder ({error}); "
                    "it is damaged, ask for it again"
                ) from None
        if "refused" in head:
            raise InputError(f"{place.name}: {head['refused']}")
        array = None if "dtype" not in head else np.frombuffer(body, head["dtype"]).reshape(head["shape"])
        return head, array

    def _ask(self, line: bytes, seconds: float) -> tuple[Any, bytearray]:
        if self.process is None or self.process.poll() is not None:
            self.start()
        assert self.process is not None
        assert self.process.stdin is not None
        if not self.is_ready:
            self._read(time.monotonic() + START_S)
            self.is_ready = True
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except OSError as error:
            raise _Ended("ended") from error
        return self._read(time.monotonic() + seconds)

    def start(self) -> None:
        """Start the process; it loads its libraries while this one goes on."""
        # the folders that this process imports from; none of them is the current one unless it is here, too
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mainstem.data.medical.dicom_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self.is_ready = False

    def end(self) -> None:
        """End the process, and start the next one at once."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
        self.process = None

    def _read(self, until: float) -> tuple[Any, bytearray]:
        """One answer: a line of JSON, and as many bytes as it says."""
        held = bytearray()
        while (end := held.find(b"\n")) < 0:
            held += self._some(until)
        head = json.loads(bytes(held[:end]))
        del held[: end + 1]
        if not 0 <= head["bytes"] <= MOST_ANSWER:
            raise _Ended("too large an answer")
        while len(held) < head["bytes"]:
            held += self._some(until)
        return head, held

    def _some(self, until: float) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            if not selector.select(max(0.0, until - time.monotonic())):
                raise _Ended("out of time")
        data = os.read(descriptor, CHUNK)
        if not data:
            code = self.process.wait()
            raise _Ended(f"signal {-code}" if code < 0 else f"exit {code}")
        return data


_workers: dict[int, Worker] = {}  # by process: a forked one has its own


def worker() -> Worker:
    """This process's worker.

    Raises:
        MissingExtraError: if pydicom is not installed.
    """
    from importlib.util import find_spec

    if os.getpid() not in _workers:
        if find_spec("pydicom") is None:
            raise MissingExtraError("pydicom", "medical")
        _workers[os.getpid()] = Worker()
    return _workers[os.getpid()]


def list_places(path: Path) -> list[Place]:
    """Every file of a file, folder or zip, by name.

    Raises:
        InputError: if there is nothing at the path, or it is a zip that is refused.
    """
    if not (path.is_file() and is_zip(path)):
        return places_below(path)
    told, _ = worker().ask("list", Place(path=path, name=path.name), {}, limits=LISTING)
    return [Place(path=path, member=name, name=name, refusal=refusal) for name, refusal in told["entries"]]


@atexit.register
def _stop() -> None:
    if os.getpid() in _workers:
        _workers[os.getpid()].stop()
