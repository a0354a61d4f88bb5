"""Requests to the one worker process that opens foreign files; what ends it is an error of the file that did."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.child import Child, ChildEndedError, child_of
from mainstem.data.medical.archives import MOST_BYTES, Place, is_zip, places_below

IDLE = 15.0  # times its processor time that a request may wait for
PIXELS_S = 1e6  # of JPEG 2000 a second at the slowest, on one core
MOST_ANSWER = MOST_BYTES + (1 << 20)  # bytes: a copy of a file is seldom longer than it


@dataclass(frozen=True)
class Limits:
    """Processor time that a request may take: for any file, and for so many bytes of one a second beyond."""

    seconds: float
    bytes_s: float


READING = Limits(1.0, 20e6)
LISTING = Limits(5.0, 20e6)  # a zip of the most entries takes two


class Worker(Child):
    """The process of one process's own."""

    def answer(
        self, do: str, place: Place, rest: Mapping[str, Any], pixels: int = 0, limits: Limits = READING
    ) -> tuple[Any, NDArray[Any] | None]:
        """Return an answer, and its array where it has one.

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
        try:
            told, body = self.ask(request, seconds * IDLE, 2)
        except ChildEndedError as error:
            raise InputError(
                f"{place.name}: reading it took more time or memory than it may, or broke its decoder ({error}); "
                "it is damaged, ask for it again"
            ) from None
        head = json.loads(told)
        if "refused" in head:
            raise InputError(f"{place.name}: {head['refused']}")
        array = None if "dtype" not in head else np.frombuffer(bytearray(body), head["dtype"]).reshape(head["shape"])
        return head, array


def worker() -> Worker:
    """This process's worker.

    Raises:
        MissingExtraError: if pydicom is not installed.
    """
    if find_spec("pydicom") is None:
        raise MissingExtraError("pydicom", "medical")
    return child_of(Worker, "mainstem.data.medical.dicom_worker", MOST_ANSWER)


def list_places(path: Path) -> list[Place]:
    """Every file of a file, folder or zip, by name.

    Raises:
        InputError: if there is nothing at the path, or it is a zip that is refused.
    """
    if not (path.is_file() and is_zip(path)):
        return places_below(path)
    told, _ = worker().answer("list", Place(path=path, name=path.name), {}, limits=LISTING)
    return [Place(path=path, member=name, name=name, refusal=refusal) for name, refusal in told["entries"]]
