"""MCAP files, read record by record with the mcap library's records. Source: mcap.dev/spec, version 0."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from mainstem.data.robot.ros_records import (
    NO_INDEX,
    Allowance,
    Bounded,
    DamageError,
    Lost,
    Named,
    Raw,
    Topic,
    standard_type,
    unpack,
)

if TYPE_CHECKING:
    from mcap.records import Channel, Chunk, Schema

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END, FOOTER = 0x03, 0x04, 0x05, 0x06, 0x0F, 0x02  # opcodes
INNER = (SCHEMA, CHANNEL, MESSAGE)  # what a chunk may hold
MESSAGE_HEAD = struct.Struct("<HIQQ")
FOOTER_BYTES = 9 + 20 + len(MAGIC)
LANGUAGES: dict[str, Literal["msg", "idl"]] = {"ros1msg": "msg", "ros2msg": "msg", "ros2idl": "idl", "omgidl": "idl"}


@dataclass
class Known:
    """Schemas and topics that were read so far, by their numbers, and what the file may still ask for."""

    named: Named
    allowance: Allowance
    schemas: dict[int, "Schema"] = field(default_factory=dict)
    topics: dict[int, Topic] = field(default_factory=dict)

    def note(self, kind: int, record: Any) -> None:  # noqa: ANN401 - one of the library's records
        """Keep what a record says of schemas and topics."""
        if kind == SCHEMA:
            self.schemas[record.id] = record
        elif kind == CHANNEL:
            self.topics[record.id] = self._topic(record)
            self.named.setdefault(self.topics[record.id])

    def _topic(self, channel: "Channel") -> Topic:
        schema = self.schemas.get(channel.schema_id)
        if schema is None:
            return Topic(name=channel.topic, type="", encoding=channel.message_encoding)
        return Topic(
            name=channel.topic,
            type=standard_type(schema.name),
            encoding=channel.message_encoding,
            definition=schema.data.decode("utf-8", "replace") if schema.encoding in LANGUAGES else "",
            language=LANGUAGES.get(schema.encoding, "msg"),
        )


def scan(source: Bounded, lost: Lost, named: Named) -> Iterator[Raw]:
    """Yield the messages in the order of the file, noting its topics and what is lost."""
    known = Known(named, Allowance(source.size))
    if not _read_summary(source, known):
        lost[NO_INDEX] += 1
    source.file.seek(len(MAGIC))
    yield from _messages(source, known, (*INNER, CHUNK), lost)


def _read_summary(source: Bounded, known: Known) -> bool:
    """Note the topics that the index at the end names, for messages whose own stand in a damaged chunk."""
    source.file.seek(max(source.size - FOOTER_BYTES, 0))
    footer = source.file.read(FOOTER_BYTES)
    if len(footer) < FOOTER_BYTES or footer[0] != FOOTER or not footer.endswith(MAGIC):
        return False
    at = int.from_bytes(footer[9:17], "little")
    if len(MAGIC) < at < source.size:
        source.file.seek(at)
        for _ in _messages(source, known, INNER, Lost()):
            pass
    return True


def _messages(source: Bounded, known: Known, wanted: tuple[int, ...], lost: Lost) -> Iterator[Raw]:
    for kind, data in _records(source, wanted, lost):
        try:
            if kind == MESSAGE:
                yield _message(data, known)
                continue
            if kind == CHUNK:
                content = _content(_parsed(kind, data), known.allowance)
                yield from _messages(Bounded(BytesIO(content), len(content)), known, INNER, lost)
            elif kind in wanted:
                known.note(kind, _parsed(kind, data))
        except DamageError as error:
            lost[str(error)] += 1
        known.allowance.waste()


def _message(data: bytes, known: Known) -> Raw:
    """A message record: channel, sequence, time that it was logged and published, and the message (mcap.dev/spec)."""
    if len(data) < MESSAGE_HEAD.size:
        raise DamageError("record that is shorter than its kind")
    channel, _, logged_ns, _ = MESSAGE_HEAD.unpack_from(data)
    if channel not in known.topics:
        raise DamageError("message of an unknown topic")
    return known.topics[channel], logged_ns, data[MESSAGE_HEAD.size :]


def _records(source: Bounded, wanted: tuple[int, ...], lost: Lost) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each record, to the end of the data or to where lengths no longer fit; none of unwanted ones.

    The last may be cut off.
    """
    while not source.is_at_end():
        kind, data = DATA_END, b""
        try:
            kind, length = struct.unpack("<BQ", source.read(9))
            if kind in wanted:
                data = source.read(length)
            else:
                source.skip(length)
        except DamageError as error:
            lost[str(error)] += 1
            data = source.rest()
            source.file.seek(source.size)
        if kind in (DATA_END, FOOTER):
            return
        yield kind, data


def _parsed(kind: int, data: bytes) -> Any:  # noqa: ANN401 - one of the library's records
    """A schema, channel or chunk.

    Raises:
        DamageError: if it is shorter than it must be, or its text is none.
    """
    from mcap.data_stream import ReadDataStream
    from mcap.exceptions import McapError
    from mcap.records import Channel, Chunk, Schema

    stream = ReadDataStream(BytesIO(data))
    try:
        if kind == CHUNK:
            return Chunk.read(stream)
        return Schema.read(stream) if kind == SCHEMA else Channel.read(stream)
    except (McapError, struct.error, ValueError, OverflowError) as error:
        raise DamageError("record that is shorter than its kind") from error


def _content(chunk: "Chunk", allowance: Allowance) -> bytes:
    """What a chunk holds.

    Raises:
        DamageError: if it cannot be unpacked, or its checksum is another.
        InputError: if the file has unpacked to more than it may.
    """
    if not chunk.compression and len(chunk.data) < chunk.uncompressed_size:
        return chunk.data  # cut off, which was noted: its beginning is read
    content = unpack(chunk.data, chunk.compression, chunk.uncompressed_size, allowance)
    if chunk.uncompressed_crc and zlib.crc32(content) != chunk.uncompressed_crc:
        raise DamageError("chunk whose checksum differs")
    return content
