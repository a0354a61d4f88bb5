"""The small pictures that are kept of what a file shows, and that everything is compared by."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.pictures import read_picture
from mainstem.data.media.shots import Shot, find_shots
from mainstem.data.media.videos import read_frames

SIDE, QUALITY = 256, 90  # pixels, and of JPEG: encoders here see 224 pixels
EVERY_S, STEP_S = 5.0, 0.2  # between frames of a long shot; between frames that are looked at
MOST_FRAMES = 500  # of a video, of longer ones with frames further apart, or of every second shot, or third
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
    """Yield a frame of each of a video's shots, of long ones every few seconds one.

    Raises:
        InputError: if it is no video, damaged, or beyond the bounds.
    """
    due = _due(find_shots(path))
    for frame in read_frames(path, STEP_S, SIDE):
        while due and due[0][1].end_s <= frame.time_s:
            due.pop(0)  # a shot shorter than the step, which no frame that is looked at is of
        if due and frame.time_s >= due[0][0]:
            shot = due.pop(0)[1]
            yield Shown(
                time_s=frame.time_s, start_s=shot.start_s, end_s=shot.end_s, picture=encoded(frame.pixels)
            )  # fmt: skip


def _due(shots: Sequence[Shot]) -> list[tuple[float, Shot]]:
    """When to look at each shot: in its middle, or in the middle of its parts where it is long."""
    whole_s = sum(shot.end_s - shot.start_s for shot in shots)
    every_s = max(EVERY_S, whole_s / max(MOST_FRAMES - len(shots), 1) if len(shots) < MOST_FRAMES else whole_s)
    found: list[tuple[float, Shot]] = []
    for shot in shots[:: ceil(len(shots) / MOST_FRAMES)]:
        num = max(ceil((shot.end_s - shot.start_s) / every_s), 1)
        found += [(shot.start_s + (shot.end_s - shot.start_s) * (part + 0.5) / num, shot) for part in range(num)]
    return found


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
