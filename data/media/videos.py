"""Video as upright pictures with the seconds at which they are shown, one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.opening import opened


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        time_s: when it is shown, from the file's own first instant.
        pixels: uint8 (y, x, 3), sRGB, upright.
    """

    time_s: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What a video says of itself, checked where that is cheap.

    Attributes:
        seconds: to the end of its last frame.
        size: (width, height) as it is shown: upright, of square pixels.
        frame_rate: frames a second on average; 0 where it is not known.
        has_sound: whether it has a sound track.
        notes: what was found, a sentence each.
    """

    seconds: float
    size: tuple[int, int]
    frame_rate: float
    has_sound: bool
    notes: tuple[str, ...] = ()


def video_facts(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> VideoFacts:
    """Tell a video's length, size and rate.

    Raises:
        InputError: if it is no video, damaged, or beyond the bounds.
    """
    with opened(path, bounds) as file:
        if file.shown is None:
            raise InputError(f"{plain(path.name)} has no moving picture; name a video")
        seconds = float((file.container.duration or 0) / 1e6)
        rate = float(file.shown.average_rate or 0)
        return VideoFacts(
            seconds=seconds,
            size=(file.shown.width, file.shown.height),
            frame_rate=rate,
            has_sound=file.heard is not None,
        )


def read_frames(
    path: Path,
    every_s: float | None = None,
    longest_side: int | None = None,
    *,
    keys_only: bool = False,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[Frame]:
    """Yield a video's frames: all, or the first at or after each multiple of `every_s`.

    Args:
        path: of the video.
        every_s: seconds.
        longest_side: pixels that a frame is made smaller to.
        keys_only: decode key frames alone, which is several times faster.
        bounds: that the file is kept within.

    Raises:
        InputError: if it is no video, damaged, or beyond the bounds.
    """
    with opened(path, bounds) as file:
        if file.shown is None:
            raise InputError(f"{plain(path.name)} has no moving picture; name a video")
        if keys_only:
            file.shown.codec_context.skip_frame = "NONKEY"
        due = 0.0
        for frame in file.container.decode(file.shown):
            time_s = float(frame.time or 0) - file.start_s
            if every_s is None or time_s >= due:
                yield Frame(time_s, frame.to_ndarray(format="rgb24"))
                if every_s is not None:
                    due = every_s * (1 + time_s // every_s)
