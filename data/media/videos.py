"""Video as upright pictures of square pixels with the seconds at which they are shown, one at a time.

Times are those of the frames themselves, never a count divided by a rate: rates vary. They are told from the file's
own first instant, which need not be 0. Nothing is held but the frame that is shown.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.opening import Opened, decoded, opened

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.sidedata.sidedata import SideData
    from av.video.reformatter import VideoReformatter

NOW = 1e-6  # s; times are whole ticks of a clock, and floats of them are not
LONGEST_PIXEL = 8  # times its other side, of formats that are not of square pixels
HDR = {16: "PQ", 18: "HLG"}  # ITU-T H.273, table 3
UPRIGHT = (1, 0, 0, 1)
# Signs of a display matrix's a, b, c, d (ISO/IEC 14496-12, 6.2.2: x' = a x + c y, y' = b x + d y, y downwards), and
# the quarters to the left and whether to mirror first that do the same
TURNS = {
    UPRIGHT: (0, False), (0, 1, -1, 0): (3, False), (-1, 0, 0, -1): (2, False), (0, -1, 1, 0): (1, False),
    (-1, 0, 0, 1): (0, True), (1, 0, 0, -1): (2, True), (0, 1, 1, 0): (1, True), (0, -1, -1, 0): (3, True),
}  # fmt: skip
Turn = tuple[int, bool]


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
    """What a video is, of which its length is checked against its packets.

    Attributes:
        seconds: from the file's first instant to the end of its last frame.
        size: (width, height) as it is shown: upright, of square pixels.
        frame_rate: frames a second on average, as the file says; 0 where it does not.
        has_sound: whether it has a sound track.
        notes: what was found, a sentence each.
    """

    seconds: float
    size: tuple[int, int]
    frame_rate: float
    has_sound: bool
    notes: tuple[str, ...] = ()


def video_facts(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> VideoFacts:
    """Tell a video's length, size and rate; its first frame is decoded, its last packets are read.

    Raises:
        InputError: if it is no video, no frame of it can be decoded, or it is beyond the bounds.
    """
    with opened(path, bounds) as file:
        stream = _shown(file, path)
        first = next((cast("VideoFrame", frame) for frame in decoded(file, stream, path)), None)
        if first is None:
            raise _empty(path, bounds)
        size = _size(first, stream, None)
        seconds, said_s = _end_s(file, stream), _said_s(file, stream)
        _check_time(seconds, path, bounds)
        notes = []
        if said_s and abs(said_s - seconds) > max(0.5, 0.02 * seconds):
            notes.append(f"it says that it lasts {said_s:.1f} s and holds {seconds:.1f} s; it may be cut off")
        if (light := HDR.get(first.color_trc)) is not None:
            notes.append(f"its light is {light}, which is shown without tone mapping")
        return VideoFacts(
            seconds=seconds,
            size=size[::-1] if _turn(first)[0] % 2 else size,
            frame_rate=float(stream.average_rate or 0),
            has_sound=file.heard is not None,
            notes=tuple(notes),
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
        every_s: seconds; a frame that is shown longer is not repeated.
        longest_side: pixels that a frame is made smaller to.
        keys_only: decode key frames alone, which is several times faster.
        bounds: that the file is kept within.

    Raises:
        InputError: if it is no video, damaged, or beyond the bounds.
    """
    with opened(path, bounds) as file:
        from av.video.reformatter import VideoReformatter

        stream = _shown(file, path)
        if keys_only:
            stream.codec_context.skip_frame = "NONKEY"
        showing = _Showing(stream, longest_side, bounds.pixels, VideoReformatter())
        due, num = -np.inf, 0
        for time_s, frame in _timed(file, stream, path, bounds):
            num += 1
            if time_s >= due - NOW:
                yield Frame(time_s, showing.pixels(frame))
                due = -np.inf if every_s is None else every_s * (1 + (time_s + NOW) // every_s)
        if not num:
            raise _empty(path, bounds)


def _timed(file: Opened, stream: "VideoStream", path: Path, bounds: Bounds) -> Iterator[tuple[float, "VideoFrame"]]:
    """Frames and when they are shown; one without a time is taken to follow the one before at the file's rate."""
    time_s, step_s = 0.0, float(1 / (stream.average_rate or Fraction(25)))
    for num, frame in enumerate(decoded(file, stream, path)):
        if num >= bounds.frames:
            raise InputError(f"{plain(path.name)} holds more than {bounds.frames} frames; split it")
        told = frame.time if frame.pts is not None else None
        time_s = told - file.start_s if told is not None else time_s + step_s * (num > 0)
        _check_time(time_s, path, bounds)
        yield time_s, cast("VideoFrame", frame)


def _check_time(time_s: float, path: Path, bounds: Bounds) -> None:
    if time_s > bounds.seconds:
        raise InputError(f"{plain(path.name)} holds more than {bounds.seconds:g} s of video; split it")


def _shown(file: Opened, path: Path) -> "VideoStream":
    if file.shown is None:
        raise InputError(f"{plain(path.name)} has no moving picture; name a video")
    return file.shown


def _empty(path: Path, bounds: Bounds) -> InputError:
    return InputError(
        f"{plain(path.name)} holds no frame of at most {bounds.pixels} pixels that can be decoded; copy it again"
    )


@dataclass(frozen=True)
class _Showing:
    """How a video's frames become pictures: one converter for all of them, as making one costs more than it does."""

    stream: "VideoStream"
    longest_side: int | None
    most_pixels: int
    converter: "VideoReformatter"

    def pixels(self, frame: "VideoFrame") -> NDArray[np.uint8]:
        width, height = _size(frame, self.stream, self.longest_side)
        if width * height > self.most_pixels:
            raise InputError(f"its frames show {width} x {height} pixels, want at most {self.most_pixels}")
        scaling = "BICUBIC" if width >= frame.width else "BILINEAR"
        shown = self.converter.reformat(frame, width, height, "rgb24", interpolation=scaling, threads=1)
        quarters, is_mirrored = _turn(frame)
        pixels = cast("NDArray[np.uint8]", shown.to_ndarray())
        return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if is_mirrored else pixels, quarters))


def _size(frame: "VideoFrame", stream: "VideoStream", longest_side: int | None) -> tuple[int, int]:
    """(width, height) before it is turned, of square pixels, and not longer than asked for."""
    ratio = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, LONGEST_PIXEL) <= ratio <= LONGEST_PIXEL:
        ratio = Fraction(1)
    width, height = round(frame.width * ratio), frame.height
    scale = 1.0 if longest_side is None else min(1.0, longest_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _turn(frame: "VideoFrame") -> Turn:
    """Quarters to the left after mirroring or not; of angles between quarters nothing is turned."""
    data = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    if data is None:
        return TURNS[UPRIGHT]
    a, b, _, c, d = struct.unpack("=9i", bytes(data)[:36])[:5]
    return TURNS.get((_sign(a), _sign(b), _sign(c), _sign(d)), TURNS[UPRIGHT])


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _said_s(file: Opened, stream: "VideoStream") -> float:
    """Seconds that a file says of itself; 0 where it does not."""
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - file.start_s
    return (file.container.duration or 0) / 1e6


def _end_s(file: Opened, stream: "VideoStream") -> float:
    """Seconds to the end of the last frame that is in the file: sought where it says its end is, or else found."""
    from av import FFmpegError

    found = 0.0
    for target_s in (_said_s(file, stream), 0.0):
        try:
            file.container.seek(int((target_s + file.start_s) * 1e6))
            found = max((_packet_end_s(packet) for packet in file.container.demux(stream)), default=0.0)
        except FFmpegError:
            continue
        if found > 0:
            break
    return max(0.0, found - file.start_s)


def _packet_end_s(packet: "Packet[VideoStream]") -> float:
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)
