"""Files of sound and video opened by FFmpeg: by the one demuxer that their first bytes ask for, and no other file.

FFmpeg reads what Python hands it, from a file opened for reading alone: it opens no file, no address and no playlist
itself, whatever a header says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import plain
from mainstem.data.hearing import note
from mainstem.data.media.bounds import Bounds, reading
from mainstem.data.media.signatures import demuxer, head_of

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer

MOST_STREAMS = 64
PROBED = {  # bytes and microseconds that are enough for what is read here; and no address or other file is ever opened
    "probesize": str(8 << 20),
    "analyzeduration": "5000000",
    "protocol_whitelist": "none",
}
MATROSKA = "matroska,webm"
FIRST_PACKETS = 64  # among which every stream that begins with the file has one
MOST_BROKEN = 1000  # packets in a row that cannot be decoded


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
    options = {"max_pixels": str(bounds.pixels)}  # for the decoders that look for streams
    with path.open("rb") as file, reading(path, "sound or video"):
        start_s = _first_s(path, options) if name == MATROSKA else None
        with av.open(file, "r", name, options, PROBED, metadata_errors="replace") as container:
            yield _checked(container, path, bounds, start_s)


def _first_s(path: Path, options: dict[str, str]) -> float | None:
    """The first time among a Matroska's first packets: FFmpeg takes that of the last stream to begin for it."""
    import av

    with path.open("rb") as file, av.open(file, "r", MATROSKA, options, PROBED, metadata_errors="replace") as container:
        packets = islice(container.demux(), FIRST_PACKETS)
        return min(
            (float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None and packet.time_base),
            default=None,
        )


def _checked(container: "InputContainer", path: Path, bounds: Bounds, start_s: float | None) -> Opened:
    if len(container.streams) > MOST_STREAMS:
        raise InputError(f"{plain(path.name)} says {len(container.streams)} streams, want at most {MOST_STREAMS}")
    shown = next((stream for stream in container.streams.video if not _is_cover(stream)), None)
    heard = next(iter(container.streams.audio), None)
    if shown is not None and shown.width * shown.height > bounds.pixels:
        raise InputError(
            f"{plain(path.name)} has frames of {shown.width} x {shown.height} pixels, want at most {bounds.pixels}; "
            "make it smaller"
        )
    if shown is not None:
        shown.codec_context.options = {"max_pixels": str(bounds.pixels)}  # of frames larger than the header says
    if start_s is None:
        start_s = float(Fraction(container.start_time or 0, 1_000_000))
    return Opened(container, shown, heard, start_s)


def _is_cover(stream: "VideoStream") -> bool:
    """True for a still picture that belongs to a sound, as its cover."""
    return bool(stream.disposition & stream.disposition.attached_pic)


def decoded(file: Opened, stream: "VideoStream | AudioStream", path: Path) -> Iterator["VideoFrame | AudioFrame"]:
    """Yield the frames of a stream; packets that cannot be decoded are skipped, and counted in a note at the end.

    Raises:
        InputError: if more than MOST_BROKEN of them stand in a row.
    """
    num_broken, in_a_row = 0, 0
    for packet in _packets(file, stream):
        frames = None if packet is None else _frames(packet)
        if frames is None:
            num_broken, in_a_row = num_broken + 1, in_a_row + 1
            if in_a_row > MOST_BROKEN:
                raise InputError(f"{plain(path.name)}: {in_a_row} packets in a row cannot be decoded; copy it again")
            continue
        in_a_row = 0
        yield from frames
    if num_broken:
        note(f"{plain(path.name)}: {num_broken} of its packets are damaged and were left out")


def _packets(file: Opened, stream: "VideoStream | AudioStream") -> "Iterator[Packet[Any] | None]":
    """Packets of a stream; None last where the file ends in damage."""
    from av import FFmpegError

    try:
        yield from file.container.demux(stream)
    except FFmpegError:
        yield None


def _frames(packet: "Packet[Any]") -> "list[Any] | None":
    """A packet's frames; None where it cannot be decoded."""
    from av import FFmpegError

    try:
        return list(packet.decode())
    except FFmpegError:
        return None
