"""What the readers of bags share: topics, messages as bytes, pieces unpacked within bounds, and what was lost.

Bags are read from front to back, by their records alone and without their index, so that one whose recorder was
killed, or whose end or middle is damaged, still gives what is whole in it; rosbags' own readers need a whole index.
Messages themselves are decoded by rosbags.
"""

import bz2
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from mainstem.core.errors import InputError, MissingExtraError

NO_INDEX = "no index, as a recorder that was stopped, or a cut, leaves it"
MOST_BYTES = 256 << 20  # of one record or unpacked chunk: recorders write chunks of about 1 MiB, large messages alone


FREE_BYTES = 256 << 20  # that any file may unpack to
MOST_RATIO = 200  # of what a larger one unpacks to: numbers pack to a tenth, a black camera's pictures to a hundredth
FREE_RECORDS = 1_000_000  # that are of no use, as are as many more as the file has bytes


@dataclass(frozen=True, kw_only=True)
class Topic:
    """What a file says of one topic.

    Attributes:
        name: as "/imu/data".
        type: of its messages, in ROS 2's spelling, as "sensor_msgs/msg/Imu"; "" where the file names none.
        encoding: of its messages: "ros1", "cdr", or another word of the file's.
        definition: the type's text; "" where the file has none.
        language: of the definition.
    """

    name: str
    type: str
    encoding: str
    definition: str = ""
    language: Literal["msg", "idl"] = "msg"


Raw = tuple[Topic, int, bytes]  # a topic, when the recorder got the message (ns since 1970), and the message
Lost = Counter[str]  # what could not be read: how often
Named = dict[Topic, None]  # topics that a file names, in its order, those without a message too


class DamageError(Exception):
    """A piece of a file that cannot be read; the readers count it and go on."""


class Allowance:
    """What one file may still ask for: bytes to unpack, and records that are of no use."""

    def __init__(self, size: int) -> None:
        self.bytes_left = max(FREE_BYTES, MOST_RATIO * size)
        self.records_left = FREE_RECORDS + size

    def unpack(self, count: int) -> None:
        """Count bytes that were unpacked.

        Raises:
            InputError: if they are more than any recording's.
        """
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise InputError(
                f"the bag unpacks to more than {MOST_RATIO} times its size, as no recording does; it is refused"
            )

    def waste(self) -> None:
        """Count a record that tells nothing that is read.

        Raises:
            InputError: if they are more than any recording's.
        """
        self.records_left -= 1
        if self.records_left < 0:
            raise InputError("the bag holds more records of no use than any recording does; it is refused")


def unpack(data: bytes, compression: str, size: int, allowance: Allowance) -> bytes:
    """Return a chunk's content.

    Raises:
        DamageError: if it is damaged, or is not of the size that it claims.
        InputError: if the file has unpacked to more than it may.
        MissingExtraError: if the library that unpacks it is not installed.
    """
    if size > MOST_BYTES:
        raise DamageError(f"chunk that claims more than {MOST_BYTES >> 20} MiB")
    try:
        found = _unpacked(data, compression, size + 1)
    except ImportError as error:
        raise MissingExtraError(error.name or compression, "robot") from error
    except (OSError, ValueError, EOFError, RuntimeError) as error:
        raise DamageError(f"chunk that cannot be unpacked ({compression or 'plain'})") from error
    allowance.unpack(len(found))
    if len(found) != size:
        raise DamageError("chunk of another size than it claims")
    return found


def _unpacked(data: bytes, compression: str, most: int) -> bytes:
    """At most so many bytes of what was packed."""
    if compression in ("", "none"):
        return data
    if compression == "bz2":
        return bz2.BZ2Decompressor().decompress(data, most)
    if compression == "lz4":
        from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

        return bytes(LZ4FrameDecompressor().decompress(data, max_length=most))
    if compression == "zstd":
        import zstandard

        try:
            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                return reader.read(most)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
    raise DamageError(f"chunk packed as {compression[:20]!r}, which is not known")


def unpack_zstd(data: bytes, allowance: Allowance) -> bytes:
    """Return a message that was packed alone, of a size that is not told before.

    Raises:
        DamageError: if it is damaged, or grows beyond MOST_BYTES.
        InputError: if the file has unpacked to more than it may.
    """
    try:
        found = _unpacked(data, "zstd", MOST_BYTES + 1)
    except ImportError as error:
        raise MissingExtraError("zstandard", "robot") from error
    except ValueError as error:
        raise DamageError("message that cannot be unpacked") from error
    allowance.unpack(len(found))
    if len(found) > MOST_BYTES:
        raise DamageError(f"message that unpacks to more than {MOST_BYTES >> 20} MiB")
    return found


@dataclass(frozen=True)
class Bounded:
    """A file of a known size, read piece by piece; no claimed length asks for more than is there."""

    file: BinaryIO
    size: int

    def read(self, count: int) -> bytes:
        """Return so many bytes.

        Raises:
            DamageError: if there are fewer, or they are more than MOST_BYTES.
        """
        at = self.file.tell()
        if count > self.size - at:
            raise DamageError(f"cut off at byte {at} of {self.size}, {count} are claimed there")
        if count > MOST_BYTES:
            raise DamageError(f"record of more than {MOST_BYTES >> 20} MiB at byte {at}")
        return self.file.read(count)

    def rest(self) -> bytes:
        """Return what is left, where it is at most MOST_BYTES."""
        left = self.size - self.file.tell()
        return self.file.read(left) if left <= MOST_BYTES else b""

    def skip(self, count: int) -> None:
        """Go on by so many bytes.

        Raises:
            DamageError: if there are fewer.
        """
        at = self.file.tell()
        if count > self.size - at:
            raise DamageError(f"cut off at byte {at} of {self.size}, {count} are claimed there")
        self.file.seek(count, 1)

    def is_at_end(self) -> bool:
        """True where nothing is left."""
        return self.file.tell() >= self.size


def standard_type(name: str) -> str:
    """Return a type's name in ROS 2's spelling: "sensor_msgs/Imu" is "sensor_msgs/msg/Imu"."""
    parts = name.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else name


def told(lost: Lost) -> Iterator[str]:
    """Say what was lost, the most frequent first."""
    for what, count in lost.most_common(8):
        yield what if count == 1 else f"{what} ({count} times)"
