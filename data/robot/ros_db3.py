"""ROS 2 bags in SQLite (.db3), read row by row. Source: rosbag2_storage_sqlite3, schemas 1 to 4."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from mainstem.core.errors import InputError
from mainstem.core.schema import printable
from mainstem.data.robot.ros_records import (
    MOST_BYTES,
    Allowance,
    DamageError,
    Lost,
    Named,
    Raw,
    Topic,
    standard_type,
    unpack_zstd,
)

MAGIC = b"SQLite format 3\0"
LANGUAGES: dict[str, Literal["msg", "idl"]] = {"ros2msg": "msg", "ros2idl": "idl"}
SMALLEST_ROW = 4  # bytes that a row takes in a file at least, so that no file claims endless rows
STEPS = 50_000  # of SQLite's machine between two looks at how much was asked of it
MOST_STEPS_A_BYTE = 1_000


def scan(path: Path, lost: Lost, named: Named, is_packed: bool = False) -> Iterator[Raw]:
    """Yield the messages in the order of the file.

    Args:
        path: of the .db3 file.
        lost: counts what cannot be read.
        named: gets the topics.
        is_packed: whether each message is packed by zstd, as a bag's metadata.yaml says.

    Raises:
        InputError: if it is no bag.
    """
    if path.with_name(f"{path.name}-wal").exists():
        lost["the recorder's last writes are in a -wal file, which is not read"] += 1
    size = path.stat().st_size
    if (wanted := _stated_size(path)) > size:
        lost[f"cut off at byte {size} of {wanted}"] += 1
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as database:
        try:
            _restrict(database, size)
            topics = _topics(database, path.name)
            named.update(dict.fromkeys(topics.values()))
            yield from _rows(database, topics, size, is_packed, lost)
        except (sqlite3.Error, OverflowError, MemoryError, UnicodeDecodeError) as error:  # the last of its own messages
            lost[f"rows from where SQLite says: {printable(error)}"] += 1


def _stated_size(path: Path) -> int:
    """Bytes that the file says it has (sqlite.org/fileformat2, section 1.3): pages that lack are read as empty."""
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or head[24:28] != head[92:96]:  # the number of pages is of an older version
        return 0
    page_size = int.from_bytes(head[16:18], "big")
    return int.from_bytes(head[28:32], "big") * (65_536 if page_size == 1 else page_size)


def _restrict(database: sqlite3.Connection, size: int) -> None:
    """Let a foreign file run none of its code, ask for no large value and not for long."""
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    left = [20 + size * MOST_STEPS_A_BYTE // STEPS]

    def count() -> bool:
        left[0] -= 1
        return left[0] < 0

    database.set_progress_handler(count, STEPS)


def _topics(database: sqlite3.Connection, name: str) -> dict[int, Topic]:
    """Topics by their numbers.

    Raises:
        InputError: if the file has not the tables of a bag, or they are not plain ones.
    """
    made = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    if not all(str(made.get(table)).upper().startswith("CREATE TABLE") for table in ("topics", "messages")):
        raise InputError(f"{name} is an SQLite file without the tables of a ROS 2 bag; give a .db3 of ros2 bag")
    texts: dict[str, tuple[str, str]] = {}
    if "message_definitions" in made:
        found = database.execute("SELECT topic_type, encoding, encoded_message_definition FROM message_definitions")
        texts = {str(kind): (str(language), str(text)) for kind, language, text in found}
    topics = {}
    for number, topic, kind, encoding in database.execute("SELECT id, name, type, serialization_format FROM topics"):
        language, text = texts.get(str(kind), ("", ""))
        topics[number] = Topic(
            name=str(topic),
            type=standard_type(str(kind)),
            encoding=str(encoding),
            definition=text if language in LANGUAGES else "",
            language=LANGUAGES.get(language, "msg"),
        )
    return topics


def _rows(
    database: sqlite3.Connection, topics: dict[int, Topic], size: int, is_packed: bool, lost: Lost
) -> Iterator[Raw]:
    allowance = Allowance(size)
    for index, (number, stamp, data) in enumerate(database.execute("SELECT topic_id, timestamp, data FROM messages")):
        if index > size // SMALLEST_ROW:
            lost["rows beyond what the file can hold"] += 1
            return
        if number not in topics or not isinstance(stamp, int) or not isinstance(data, bytes):
            lost["message of an unknown topic"] += 1
            continue
        try:
            yield topics[number], stamp, unpack_zstd(data, allowance) if is_packed else data
        except DamageError as error:
            lost[str(error)] += 1
