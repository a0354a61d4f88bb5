"""ROS 1 bags, format 2.0, read record by record. Source: wiki.ros.org/Bags/Format/2.0."""

import struct
from collections.abc import Iterator, Mapping
from io import BytesIO

from mainstem.core.errors import InputError
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

MAGIC = b"#ROSBAG V2.0\n"
MESSAGE, BAG, CHUNK, CONNECTION = 2, 3, 5, 7  # values of the header field "op"
Header = Mapping[bytes, bytes]


def scan(source: Bounded, lost: Lost, named: Named) -> Iterator[Raw]:
    """Yield the messages in the order of the file, noting its topics and what is lost.

    Raises:
        InputError: if it is encrypted.
    """
    source.file.seek(len(MAGIC))
    topics = _indexed_topics(source, lost)
    source.file.seek(len(MAGIC))
    allowance = Allowance(source.size)
    for header, data in _records(source, lost):
        if _number(header, b"op", "<B") != CHUNK:
            yield from _message(header, data, topics, lost)
            continue
        try:
            compression = header.get(b"compression", b"").decode("ascii", "replace")
            is_plain = compression == "none"  # of which the beginning is read, too, where the end was cut off
            content = data if is_plain else unpack(data, compression, _number(header, b"size", "<I"), allowance)
        except DamageError as error:
            lost[str(error)] += 1
            continue
        for inner, body in _records(Bounded(BytesIO(content), len(content)), lost):
            if _number(inner, b"op", "<B") != MESSAGE:
                allowance.waste()
            yield from _message(inner, body, topics, lost)
    named.update(dict.fromkeys(topics.values()))


def _indexed_topics(source: Bounded, lost: Lost) -> dict[int, Topic]:
    """Connections that the index at the file's end names, for messages whose own stand in a damaged chunk."""
    header, _ = next(_records(source, lost), ({}, b""))
    if header.get(b"encryptor"):
        raise InputError("the bag is encrypted; decrypt it first (rosbag decrypt)")
    at = _number(header, b"index_pos", "<Q")
    topics: dict[int, Topic] = {}
    if not len(MAGIC) < at < source.size:
        lost[NO_INDEX] += 1
        return topics
    source.file.seek(at)
    for inner, data in _records(source, Lost()):
        if _number(inner, b"op", "<B") != CONNECTION:
            break
        for _ in _message(inner, data, topics, Lost()):
            pass
    return topics


def _message(header: Header, data: bytes, topics: dict[int, Topic], lost: Lost) -> Iterator[Raw]:
    """The message that a record is, if it is one; connections are noted."""
    kind, number = _number(header, b"op", "<B"), _number(header, b"conn", "<I")
    if kind == CONNECTION:
        try:
            told = _fields(data)
        except DamageError as error:
            lost[str(error)] += 1
            return
        text = {name: value.decode("utf-8", "replace") for name, value in told.items()}
        topics[number] = Topic(
            name=header.get(b"topic", b"").decode("utf-8", "replace"),
            type=standard_type(text.get(b"type", "")),
            encoding="ros1",
            definition=text.get(b"message_definition", ""),
        )
    elif kind == MESSAGE:
        stamp = header.get(b"time", b"")
        if number not in topics or len(stamp) != 8:
            lost["message of an unknown topic"] += 1
            return
        seconds, rest = struct.unpack("<II", stamp)
        yield topics[number], seconds * 10**9 + rest, data


def _records(source: Bounded, lost: Lost) -> Iterator[tuple[Header, bytes]]:
    """Header and data of each record, to the end or to where lengths no longer fit; the last data may be cut off."""
    while not source.is_at_end():
        head = b""
        try:
            head = source.read(struct.unpack("<I", source.read(4))[0])
            data = source.read(struct.unpack("<I", source.read(4))[0])
        except DamageError as error:
            lost[str(error)] += 1
            data = source.rest() if head else b""
            source.file.seek(source.size)
        if not head:
            return
        try:
            header = _fields(head)
        except DamageError as error:
            lost[str(error)] += 1
        else:
            yield header, data


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Fields of a header, name=value each behind its length."""
    found, at = {}, 0
    while at < len(head):
        length = int.from_bytes(head[at : at + 4], "little")
        name, sign, value = head[at + 4 : at + 4 + length].partition(b"=")
        if not sign or at + 4 + length > len(head):
            raise DamageError("record with a damaged header")
        found[name] = value
        at += 4 + length
    return found


def _number(header: Header, name: bytes, form: str) -> int:
    """A whole number of the header; -1 where it has none."""
    value = header.get(name, b"")
    return int(struct.unpack(form, value)[0]) if len(value) == struct.calcsize(form) else -1
