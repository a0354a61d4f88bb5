"""Files of sound and video opened by FFmpeg: by the one demuxer that their first bytes ask for, and no other file.

FFmpeg reads what Python hands it, from a file opened for reading alone: it opens no file, no address and no playlist
itself, whatever a header says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import Bounds, reading
from mainstem.data.media.kinds import demuxer, head_of

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import InputContainer

MOST_STREAMS = 64
PROBED = {"probesize": str(8 << 20), "analyzeduration": "5000000"}  # bytes, and microseconds: FFmpeg's own defaults


@dataclass(frozen=True)
class Opened:
    """A container, and the streams of it that are looked at: the first picture that moves, the first sound.

    Attributes:
        start_s: the container's first instant by its own clock; times are told from it.
    """

    container: "InputContainer"
    shown: "VideoStream | None"
    heard: "AudioStream | None"
    start_s: float


@contextmanager
def opened(path: Path, bounds: Bounds) -> Iterator[Opened]:
    """Open a file of sound or video.

    Raises:
        InputError: if it is none, is damaged, or holds more streams than MOST_STREAMS or more pixels than may be.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("PyAV", "media") from error
    name = demuxer(head_of(path, bounds))
    if name is None:
        raise InputError(f"{plain(path.name)} is neither sound nor video by its first bytes; name one")
    with (
        path.open("rb") as file,
        reading(path, "sound or video"),
        av.open(file, format=name, container_options=PROBED, metadata_errors="replace") as container,
    ):
        yield _checked(container, path, bounds)


def _checked(container: "InputContainer", path: Path, bounds: Bounds) -> Opened:
    if len(container.streams) > MOST_STREAMS:
        raise InputError(f"{plain(path.name)} says {len(container.streams)} streams, want at most {MOST_STREAMS}")
    shown = next((stream for stream in container.streams.video if not _is_cover(stream)), None)
    heard = next(iter(container.streams.audio), None)
    if shown is not None and shown.width * shown.height > bounds.pixels:
        raise InputError(
            f"{plain(path.name)} has frames of {shown.width} x {shown.height} pixels, want at most {bounds.pixels}; "
            "make it smaller"
        )
    return Opened(container, shown, heard, float(Fraction(container.start_time or 0, 1_000_000)))


def _is_cover(stream: "VideoStream") -> bool:
    """True for a still picture that belongs to a sound, as its cover."""
    return bool(stream.disposition & stream.disposition.attached_pic)
