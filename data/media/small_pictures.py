"""The small pictures that are kept of what a file shows, and that everything is compared by."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.pictures import read_picture
from mainstem.data.media.videos import read_frames, video_facts

SIDE, QUALITY = 256, 90  # pixels, and of JPEG: encoders here see 224 pixels
EVERY_S = 5.0  # between a video's keyframes
MOST_FRAMES = 500  # of a video: of one longer than 40 minutes they lie further apart
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """A small picture: of a still, or of an instant of a video, in a shot.

    Attributes:
        picture: as JPEG.
        time_s: None of a still, as are the shot's ends.
    """

    picture: bytes
    time_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None

    def pixels(self) -> Pixels:
        """Return the pixels (y, x, 3)."""
        return decoded(self.picture)


def keyframes(path: Path) -> Iterator[Shown]:
    """Yield a video's frame every few seconds, or further apart where it is long.

    Raises:
        InputError: if it is no video, damaged, or beyond the bounds.
    """
    seconds = video_facts(path).seconds
    every_s = max(EVERY_S, seconds / MOST_FRAMES if isfinite(seconds) else EVERY_S)
    for num, frame in enumerate(read_frames(path, every_s, SIDE)):
        if num == MOST_FRAMES:
            return
        end_s = min(frame.time_s + every_s, max(seconds, frame.time_s))
        yield Shown(time_s=frame.time_s, start_s=frame.time_s, end_s=end_s, picture=encoded(frame.pixels))


def shown_in(path: Path) -> list[Shown]:
    """Small pictures of a still or a video, one at least.

    Raises:
        InputError: if it is neither, or damaged.
    """
    kind = kind_of(path)
    if kind == "image":
        return [Shown(picture=encoded(read_picture(path, SIDE).pixels))]
    found = list(keyframes(path)) if kind == "video" else []
    if not found:
        raise InputError(f"{plain(path.name)} shows no picture; name a still or a video")
    return found


def encoded(pixels: Pixels) -> bytes:
    """A picture (y, x, 3) as JPEG, SIDE pixels long at most."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def decoded(data: bytes) -> Pixels:
    """The pixels (y, x, 3) of a JPEG that `encoded` wrote."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))
