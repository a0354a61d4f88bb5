"""Fingerprints of an archive's contents and what they say of one another, kept in its catalogue.

A content is decoded and looked up once: its fingerprint and its links to those before it are written together, so that
a run that ends at any point goes on where it was, and one over unchanged files decodes and compares nothing.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.database import intact
from mainstem.apps.media.readers import ENDED, in_processes
from mainstem.apps.media.reading import within
from mainstem.core.errors import InputError
from mainstem.core.plain import one_line, plain
from mainstem.core.progress import Progress
from mainstem.data.media.prints import (
    VERSION,
    WHOLE_BYTES,
    By,
    Printed,
    Prints,
    kept_print,
    kept_whole,
    new_prints,
    print_file,
)
from mainstem.data.media.prints_matches import Match

COMMIT_FILES, COMMIT_S = 64, 5.0  # contents whose fingerprints are committed together, at least this often
CHANGED = "it changed while it was read; look again once it rests"
PENDING = (  # files that are there, and whose contents have no fingerprint
    "FROM contents c JOIN files f ON f.content = c.id WHERE f.state = 'present' "
    "AND c.kind IN ('image', 'sound', 'video') AND c.id NOT IN (SELECT content FROM prints)"
)


@dataclass(frozen=True)
class Task:
    """A content to be fingerprinted, where it lies, and the size and time that it has there."""

    content: int
    kind: By
    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Outcome:
    """What came of it: fingerprints, or why there are none."""

    task: Task
    prints: tuple[Printed, ...]
    refused: str = ""


@dataclass(frozen=True)
class Linked:
    """Two contents and what was found of them by one kind of fingerprint; the second is described against the first."""

    first: int
    second: int
    by: By
    match: Match


def print_pending(catalogue: Catalogue, workers: int, retry: bool, progress: Progress) -> int:
    """Fingerprint contents that have no fingerprint yet, and look each up among the others; return how many."""
    _settle(catalogue, retry)
    tasks = _pending(catalogue)
    indexes: dict[By, PrintIndex] = {}
    held: list[Outcome] = []
    since, done = time.monotonic(), 0
    for outcome in in_processes(_printed, tasks, workers, _ended):
        held.append(outcome)
        if len(held) >= COMMIT_FILES or time.monotonic() - since > COMMIT_S:
            _commit(catalogue, held, indexes)
            done += len(held)
            held, since = [], time.monotonic()
            progress(f"fingerprint {done} of {len(tasks)}", done / len(tasks))
    _commit(catalogue, held, indexes)
    return len(tasks)


def _printed(task: Task) -> Outcome:
    """Fingerprint one content, in whatever process."""
    try:
        with within(task.path):
            prints = tuple(print_file(task.path, task.kind))
        found = task.path.stat()
        if (found.st_size, found.st_mtime_ns) != (task.size, task.mtime_ns):
            raise InputError(CHANGED)
        return Outcome(task, prints)
    except Exception as error:  # whatever one file brings about costs that file alone
        return Outcome(task, (), plain(one_line(error)))


def _ended(task: Task) -> Outcome:
    return Outcome(task, (), ENDED)


def _settle(catalogue: Catalogue, retry: bool) -> None:
    """Forget what is to be done anew: all, where fingerprints are other ones now, and what was refused, where asked."""
    with catalogue.writing() as db:
        if catalogue.told("prints") != VERSION:
            db.execute("DELETE FROM copies")
            db.execute("DELETE FROM prints")
            catalogue.tell("prints", VERSION)
        if retry:
            db.execute("DELETE FROM prints WHERE refused != ''")


def _pending(catalogue: Catalogue) -> list[Task]:
    rows = catalogue.db.execute(
        f"SELECT c.id, c.kind, min(f.path) AS path, f.size, f.mtime_ns {PENDING} GROUP BY c.id ORDER BY path"
    )
    return [Task(row["id"], row["kind"], catalogue.root / row["path"], row["size"], row["mtime_ns"]) for row in rows]


class PrintIndex:
    """The fingerprints of one kind that a catalogue keeps, to be found."""

    def __init__(self, by: By, rows: Iterator[tuple[int, object]]) -> None:
        self.prints: Prints = new_prints(by)
        self.contents: list[int] = []
        self.by = by
        for content, kept in rows:
            self.add(content, kept)

    def add(self, content: int, kept: object) -> None:
        """Add one."""
        self.prints.add(kept)
        self.contents.append(content)

    def find(self, content: int, asked: object) -> Iterator[Linked]:
        """Yield what a new one is a copy of."""
        for number, match in sorted(self.prints.find(asked).items()):
            yield Linked(self.contents[number], content, self.by, match)


def _commit(catalogue: Catalogue, held: Sequence[Outcome], indexes: dict[By, PrintIndex]) -> None:
    with catalogue.writing() as db:
        for outcome in held:
            content = outcome.task.content
            if outcome.refused:
                _keep(db, content, outcome.task.kind, b"", "", outcome.refused)
            for one in outcome.prints:
                if one.by not in indexes:
                    indexes[one.by] = PrintIndex(one.by, kept_prints(catalogue, one.by))
                if not one.why:
                    _link(db, indexes[one.by].find(content, one.asked))
                indexes[one.by].add(content, kept_print(one.by, one.kept))
                _keep(db, content, one.by, one.kept, one.why, "")


def _keep(db: sqlite3.Connection, content: int, by: By, kept: bytes, why: str, refused: str) -> None:
    db.execute("INSERT INTO prints VALUES (?, ?, ?, ?, ?)", (content, by, kept, why, refused))


def _link(db: sqlite3.Connection, found: Iterator[Linked]) -> None:
    db.executemany(
        "INSERT INTO copies VALUES (?, ?, ?, ?)",
        ((one.first, one.second, one.by, json.dumps(asdict(one.match))) for one in found),
    )


def kept_prints(catalogue: Catalogue, by: By) -> Iterator[tuple[int, object]]:
    """Yield contents, in the order in which they were added, and their fingerprints of one kind."""
    rows = catalogue.db.execute("SELECT content, print FROM prints WHERE by = ? AND refused = '' ORDER BY rowid", (by,))
    for row in rows:
        with intact(catalogue.home):
            yield int(row["content"]), kept_print(by, row["print"])


def kept_of(catalogue: Catalogue, content: int, by: By) -> Any:  # noqa: ANN401 - each kind's own
    """The fingerprint of a content; None where none is kept."""
    row = catalogue.db.execute(
        "SELECT print FROM prints WHERE content = ? AND by = ? AND refused = ''", (content, by)
    ).fetchone()
    with intact(catalogue.home):
        return None if row is None else kept_print(by, row["print"])


def kept_wholes(catalogue: Catalogue) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Contents (n,), and the hashes (n, 32) of the whole pictures that these are; their parts are not read."""
    rows = catalogue.db.execute(
        "SELECT content, substr(print, 1, ?) FROM prints WHERE by = 'image' AND refused = ''", (WHOLE_BYTES,)
    ).fetchall()
    with intact(catalogue.home):
        contents = np.array([row[0] for row in rows], np.int64)
        return contents, np.stack([kept_whole(row[1]) for row in rows]) if rows else np.zeros((0, 32), np.uint8)


@dataclass(frozen=True)
class Known:
    """A content that is known by its bytes, and whether it was looked up among the others."""

    content: int
    is_printed: bool


def content_of(catalogue: Catalogue, sha256: str) -> Known | None:
    """The content of these bytes; None where it is not known."""
    row = catalogue.db.execute(
        "SELECT id, EXISTS (SELECT 1 FROM prints WHERE content = id AND refused = '') AS is_printed FROM contents "
        "WHERE sha256 = ?",
        (sha256,),
    ).fetchone()
    return None if row is None else Known(int(row["id"]), bool(row["is_printed"]))


def num_prints(catalogue: Catalogue, by: By | None = None, *, is_lacking: bool = False) -> int:
    """How many fingerprints of a kind, or of all, are kept; or how many files that are there lack theirs."""
    if is_lacking:
        asked = f"SELECT count(*) {PENDING}"
        return int(catalogue.db.execute(asked).fetchone()[0])
    asked = "SELECT count(*) FROM prints WHERE refused = '' AND (? IS NULL OR by = ?)"
    return int(catalogue.db.execute(asked, (by, by)).fetchone()[0])


def kept_links(catalogue: Catalogue, content: int | None = None) -> list[Linked]:
    """What was found of contents, in the order in which it was; of one content alone where one is named."""
    rows = catalogue.db.execute(
        "SELECT first, second, by, match FROM copies WHERE ? IS NULL OR first = ? OR second = ? ORDER BY rowid",
        (content, content, content),
    )
    with intact(catalogue.home):
        return [Linked(row["first"], row["second"], row["by"], Match(**json.loads(row["match"]))) for row in rows]


def kept_whys(catalogue: Catalogue, column: str) -> dict[int, str]:
    """Why contents tell nothing ("why"), or could not be read ("refused"); a sound track that tells nothing is none."""
    rows = catalogue.db.execute(
        f"SELECT p.content, p.{column} FROM prints p JOIN contents c ON c.id = p.content "  # noqa: S608 - our own names
        f"WHERE p.{column} != '' AND p.by = c.kind"
    )
    return {int(content): str(why) for content, why in rows}
