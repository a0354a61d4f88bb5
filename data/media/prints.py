"""Fingerprints of a file by its kind, as bytes to be kept, and the index that each is looked up in.

A new fingerprint is asked with: turned, mirrored, faster and slower. What is kept is the fingerprint as it is.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.media.prints_matches import Match
from mainstem.data.media.prints_parts import Parts
from mainstem.data.media.prints_pictures import PicturePrint
from mainstem.data.media.prints_videos import VideoPrint

By = Literal["image", "sound", "video"]
# Of all that prints_*.py compute, and of how two are compared. Whoever changes what they tell counts it up: what is
# kept of older ones is then computed anew.
VERSION = "1"
PLAIN = "too plain to be told from others; only its bytes were compared"
SHORT = "too short, or too plain, to be told from others; only its bytes were compared"
WHOLE_BYTES = 256  # of a picture's fingerprint, in which the hash of the whole stands
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One fingerprint of a file.

    Attributes:
        by: what it is of; a video's sound track has one of its own.
        asked: with which others are found.
        kept: with which others find it, as bytes.
        why: it tells nothing; "" where it does.
    """

    by: By
    asked: Any
    kept: bytes
    why: str


class Prints(Protocol):
    """Fingerprints by the number in which they were added."""

    def find(self, asked: Any) -> dict[int, Match]:  # noqa: ANN401 - each kind's own
        """Say of which of them a new one is a copy, or they of it, by their numbers."""

    def add(self, kept: Any) -> None:  # noqa: ANN401 - each kind's own
        """Add one."""


def print_file(path: Path, kind: By) -> Iterator[Printed]:
    """Yield the fingerprint of a file, and of a video its sound track's.

    Raises:
        InputError: if the file cannot be read.
    """
    if kind == "image":
        yield _of_picture(path)
    elif kind == "sound":
        yield _of_sound(path)
    else:
        yield _of_video(path)
        try:
            yield _of_sound(path)
        except InputError:  # it has none, or a damaged one: its frames are what it is compared by
            return


def _of_picture(path: Path) -> Printed:
    from mainstem.data.media.pictures import read_picture
    from mainstem.data.media.prints_pictures import SIDE, is_plain, print_picture

    found = print_picture(read_picture(path, SIDE).pixels)
    parts = found.parts
    kept = packed(found.hashes[:1], np.array([found.quality]), parts.places, np.array(parts.size), parts.codes)
    return Printed(by="image", asked=found, kept=kept, why=PLAIN if is_plain(found) else "")


def _of_sound(path: Path) -> Printed:
    from mainstem.data.media.prints_sound_index import is_telling, joined
    from mainstem.data.media.prints_sounds import sound_pieces

    pieces = list(sound_pieces(path))
    words = joined(pieces)
    return Printed(by="sound", asked=pieces, kept=packed(words), why="" if is_telling(words) else SHORT)


def _of_video(path: Path) -> Printed:
    from mainstem.data.media.prints_videos import FEWEST_FRAMES, print_video

    found = print_video(path)
    kept = packed(found.hashes[:, :1], found.tells)
    return Printed(by="video", asked=found, kept=kept, why="" if found.tells.sum() >= FEWEST_FRAMES else PLAIN)


def new_prints(by: By) -> Prints:
    """An index of fingerprints of one kind, empty."""
    if by == "image":
        from mainstem.data.media.prints_picture_index import PictureIndex

        return PictureIndex()
    if by == "sound":
        from mainstem.data.media.prints_sound_index import SoundIndex

        return SoundIndex()
    from mainstem.data.media.prints_videos import VideoIndex

    return VideoIndex()


def kept_print(by: By, data: bytes) -> Any:  # noqa: ANN401 - each kind's own
    """A fingerprint that was kept.

    Raises:
        ValueError: if these bytes are none.
    """
    arrays = unpacked(data)
    if by == "sound":
        return arrays[0].astype(np.uint32, copy=False)
    if by == "video":
        return VideoPrint(hashes=arrays[0], tells=arrays[1].astype(bool, copy=False))
    hashes, quality, places, size, codes = arrays
    parts = Parts(places=places, size=(int(size[0]), int(size[1])), codes=codes, mirrored=codes[:0])
    return PicturePrint(hashes=hashes, quality=int(quality[0]), parts=parts)


def kept_whole(beginning: bytes) -> NDArray[np.uint8]:
    """The hash (32,) of a whole picture, by the first WHOLE_BYTES of its fingerprint; what is too plain is like none.

    Raises:
        ValueError: if these bytes are none.
    """
    return np.frombuffer(beginning, np.uint8, 32, beginning.index(b"\n") + 1)


def packed(*arrays: Array) -> bytes:
    """Arrays as bytes: a line that says of which types and shapes they are, then their values."""
    head = json.dumps([(array.dtype.str, array.shape) for array in arrays]).encode() + b"\n"
    return head + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def unpacked(data: bytes) -> list[Array]:
    """Arrays that `packed` wrote, read-only.

    Raises:
        ValueError: if it did not.
    """
    place, found = data.index(b"\n") + 1, []
    for kind, shape in json.loads(data[: place - 1]):
        dtype = np.dtype(kind)
        count = int(np.prod(shape))
        found.append(np.frombuffer(data, dtype, count, place).reshape(shape))
        place += count * dtype.itemsize
    return found
