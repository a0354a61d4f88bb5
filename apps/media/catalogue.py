"""What is known of an archive's files: one SQLite file below MAINSTEM_HOME, never in the archive.

Contents go by sha256, so that a file that moved, or lies there twice, is one content; files are the paths at which
contents lie. Everything is written in transactions of SQLite's write-ahead log: a process that is killed at any point
leaves what was last committed, whole. Numbers of files and frames are never given twice, so that what was derived from
a frame that is gone is known to be stale.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from mainstem.apps.media.database import connect, damaged, intact
from mainstem.apps.media.moments import put_cues
from mainstem.apps.media.tables import FILE, LAYOUT, SCHEMA, SIDECAR, Entry, Read, Stamp
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import home
from mainstem.core.plain import one_line, plain
from mainstem.data.hearing import note
from mainstem.data.media.said import WORDS, day_of
from mainstem.data.media.searched import FIELDS
from mainstem.data.media.words import words_of

TOLD_BY_USERS = ("note", "model asked")  # what is kept under these names no file of the archive tells


def index_home(folder: Path) -> Path:
    """Where the index of a folder lives: MAINSTEM_HOME/media/HASH of the folder's path.

    Raises:
        InputError: if MAINSTEM_HOME lies in the folder, into which nothing is ever written.
    """
    root, ours = Path(os.path.realpath(folder)), Path(os.path.realpath(home()))
    if ours.is_relative_to(root):
        raise InputError(f"MAINSTEM_HOME ({ours}) lies in {root}, where nothing is ever written; set it elsewhere")
    return ours / "media" / hashlib.sha256(os.fsencode(root)).hexdigest()[:20]


class Catalogue:
    """The catalogue of one folder; opened for reading alone, it is never changed."""

    def __init__(self, folder: Path, *, is_read_only: bool = False) -> None:
        """Open it, and make it where it is new and may be.

        Raises:
            InputError: if it is to be read and there is none.
            ArtifactError: if the file is damaged or of another layout.
        """
        self.root = Path(os.path.realpath(folder))
        self.home = index_home(folder)
        path = self.home / FILE
        if is_read_only and not path.is_file():
            raise InputError(f"{plain(folder)} has no index; run mainstem media index {plain(folder)}")
        self.home.mkdir(0o700, parents=True, exist_ok=True)  # captions under embargo are in it
        self.db = connect(path)
        if not is_read_only and self._layout() not in ("", LAYOUT) and self.root.is_dir():
            self._begin_anew()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-65536"):
            self.db.execute(f"PRAGMA {pragma}")
        if is_read_only:
            self.db.execute("PRAGMA query_only=ON")
        elif not self._layout():
            self._make()
        self._check(folder)

    def _layout(self) -> str:
        """The layout of the tables; "" where there are none, or a kill left them without what tells of them."""
        has_any = self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone()
        return self.told("layout") if has_any else ""

    def _begin_anew(self) -> None:
        """Drop tables of another version: all that they hold is read from the archive again.

        What they told of shares that are offline now stays in FILE.before.
        """
        before, kept = self.home / f"{FILE}.before", {name: self.told(name) for name in TOLD_BY_USERS}
        before.unlink(missing_ok=True)
        self.db.execute("VACUUM INTO ?", (os.fspath(before),))
        with self.writing():
            for kind in ("CREATE VIRTUAL%", "CREATE TABLE%"):  # a virtual one takes its own along
                asked = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE ? AND name NOT LIKE 'sqlite%'"
                for (name,) in self.db.execute(asked, (kind,)).fetchall():
                    self.db.execute(f'DROP TABLE "{name}"')
        self._make()
        for name, value in kept.items():
            if value:
                self.tell(name, value)
        note(f"the index of {plain(self.root)} was of another version and is made again; it stays in {before.name}")

    def _make(self) -> None:
        with self.writing():
            for statement in SCHEMA.split(";"):
                self.db.execute(statement)
            self.tell("layout", LAYOUT)
            self.tell("root", str(self.root).encode("utf-8", "backslashreplace").decode())

    def _check(self, folder: Path) -> None:
        layout = self._layout()
        if not layout:
            raise InputError(f"{plain(folder)} has no index; run mainstem media index {plain(folder)}")
        if layout != LAYOUT:
            raise ArtifactError(
                f"the index {self.home} is of another version; run mainstem media index {plain(folder)}"
            )

    def close(self) -> None:
        """Close it."""
        self.db.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All that the block writes, or none of it."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:  # SQLite has taken some back itself, where a disk is full
                self.db.execute("ROLLBACK")
            raise

    def version(self) -> int:
        """A number that is another once anybody changed what is here."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0]) * 1_000_003 + self.db.total_changes

    def told(self, name: str) -> str:
        """Return what is kept under a name; "" where nothing is."""
        row = self.db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def tell(self, name: str, value: str) -> None:
        """Keep something under a name."""
        self.db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def entries(self) -> dict[str, Entry]:
        """Return every file that is known, by path."""
        rows = self.db.execute(
            "SELECT f.id, path, content, coalesce(sha256, '') AS sha256, size, mtime_ns, inode, device, beside, state, "
            "f.kind, why, f.reader FROM files f LEFT JOIN contents c ON c.id = f.content"
        )
        with intact(self.home):
            return {inside(row["path"], self.home): _entry(row) for row in rows}

    def not_understood(self) -> dict[str, dict[str, list[str]]]:
        """By file and sidecar what stands in those sidecars of present files that was not understood."""
        asked = "SELECT path, told FROM files WHERE told LIKE '%\"unknown\"%' AND state != 'refused' ORDER BY path"
        told = {plain(path): told_of(text, self.home).get("unknown") for path, text in self.db.execute(asked)}
        return {path: unknown for path, unknown in told.items() if unknown}

    def sha256_of(self, path: Path, told: os.stat_result) -> str:
        """The hash of a file of the folder that is as it was when it was read; "" of others."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.root):
            return ""
        row = self.db.execute(
            "SELECT sha256 FROM contents WHERE id = (SELECT content FROM files WHERE path = ? AND size = ? "
            "AND mtime_ns = ? AND inode = ?)",
            (
                os.fsencode(real.relative_to(self.root)).decode(errors="replace"),
                told.st_size,
                told.st_mtime_ns,
                told.st_ino,
            ),
        ).fetchone()
        return "" if row is None else str(row[0])

    def whys(self) -> dict[str, tuple[str, str]]:
        """State of the files of which something could not be read, and why, by path."""
        rows = self.db.execute("SELECT path, state, why FROM files WHERE why != '' ORDER BY path")
        return {str(path): (str(state), str(why)) for path, state, why in rows}

    def counts(self, of: Literal["state", "kind"]) -> dict[str, int]:
        """How many files are in each state, or how many of each kind can be found."""
        there = "" if of == "state" else "WHERE state IN ('present', 'offline')"
        return dict(self.db.execute(f"SELECT {of}, count(*) FROM files {there} GROUP BY {of}").fetchall())  # noqa: S608

    def frame(self, number: int) -> sqlite3.Row | None:
        """Content of a frame and when it is shown; None of one that is gone."""
        row: sqlite3.Row | None = self.db.execute(
            "SELECT content, time_s, start_s, end_s FROM frames WHERE id = ?", (number,)
        ).fetchone()
        return row

    def put_or_refuse(self, read: Read, stamp: Stamp, edited_from: str = "") -> None:
        """Write what was read of a file, or, where that cannot be written, that it is refused."""
        self.db.execute("SAVEPOINT file")
        try:
            self.put(read, stamp, edited_from)
        except (ValueError, TypeError, OverflowError, sqlite3.InterfaceError, sqlite3.DataError) as error:
            self.db.execute("ROLLBACK TO file")
            why = f"what was read of it cannot be kept ({plain(one_line(error))}); leave it out"
            self.put(Read(path=read.path, sha256="", kind="", refused=why, reader=read.reader), stamp)
        self.db.execute("RELEASE file")

    def put(self, read: Read, stamp: Stamp, edited_from: str = "") -> None:
        """Write what was read of a file, inside a transaction: its content, its frames, its words."""
        content = self._content(read)
        told = read.told
        values = (
            content, stamp.size, stamp.mtime_ns, stamp.inode, stamp.device, stamp.beside,
            _state(read), read.refused or "; ".join(told.get("unread", ())), edited_from, json.dumps(told), read.kind,
            day_of(told.get("captured") or "") or "", told.get("credit") or "", told.get("rights") or "",
            (told.get("opt_out") or {}).get("state", ""), _until(told.get("embargo")), read.reader,
        )  # fmt: skip
        columns = (
            "content", "size", "mtime_ns", "inode", "device", "beside", "state", "why", "edited_from", "told", "kind",
            "captured", "credit", "rights", "opt_out", "embargo", "reader",
        )  # fmt: skip
        marks = ", ".join("?" * len(columns))
        changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "edited_from")
        changed += ", edited_from = coalesce(nullif(excluded.edited_from, ''), edited_from)"
        row = self.db.execute(
            f"INSERT INTO files (path, {', '.join(columns)}) VALUES (?, {marks}) "  # noqa: S608 - names of our own
            f"ON CONFLICT (path) DO UPDATE SET {changed} RETURNING id",
            (read.path, *values),
        ).fetchone()
        self._put_words(int(row[0]), read)
        put_cues(self.db, int(row[0]), read.cues)

    def _put_words(self, file: int, read: Read) -> None:
        self.db.execute("DELETE FROM words WHERE rowid = ?", (file,))
        if _state(read) == "present":
            marks = ", ".join("?" * (len(FIELDS) + 1))
            texts = [" ".join(words_of(read.texts.get(name, ""))) for name in FIELDS]
            self.db.execute(f"INSERT INTO words (rowid, {', '.join(FIELDS)}) VALUES ({marks})", (file, *texts))  # noqa: S608

    def _content(self, read: Read) -> int | None:
        if not read.sha256:
            return None
        found = self.db.execute("SELECT id, refused, reader FROM contents WHERE sha256 = ?", (read.sha256,)).fetchone()
        if found is not None and (read.refused or (not found["refused"] and found["reader"] == read.reader)):
            return int(found["id"])
        row = self.db.execute(
            "INSERT INTO contents (sha256, kind, facts, refused, reader) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (sha256) DO UPDATE SET kind = excluded.kind, facts = excluded.facts, refused = '', "
            "reader = excluded.reader RETURNING id",
            (read.sha256, read.kind, json.dumps(read.facts), read.refused, read.reader),
        ).fetchone()
        self.db.execute("DELETE FROM frames WHERE content = ?", (row[0],))  # that an older reader saw
        self.db.executemany(
            "INSERT INTO frames (content, time_s, start_s, end_s, picture) VALUES (?, ?, ?, ?, ?)",
            [(row[0], one.time_s, one.start_s, one.end_s, one.picture) for one in read.frames],
        )
        return int(row[0])

    def restamp(self, path: str, stamp: Stamp) -> None:
        """Note that a file was seen again as it was, inside a transaction."""
        self.db.execute(
            "UPDATE files SET size = ?, mtime_ns = ?, inode = ?, device = ?, beside = ?, "
            "state = CASE WHEN state = 'offline' THEN 'present' ELSE state END WHERE path = ?",
            (stamp.size, stamp.mtime_ns, stamp.inode, stamp.device, stamp.beside, path),
        )

    def move(self, old: str, new: str) -> None:
        """Note that a file lies elsewhere now, inside a transaction; its number, and what is known of it, stay."""
        self.db.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM files WHERE path = ?)", (new,))
        self.db.execute("DELETE FROM files WHERE path = ?", (new,))
        self.db.execute("UPDATE files SET path = ?, moved_from = ? WHERE path = ?", (new, old, old))

    def set_offline(self, paths: Iterable[str]) -> None:
        """Note that files cannot be reached now, inside a transaction."""
        marks = [(path,) for path in paths]
        self.db.executemany("UPDATE files SET state = 'offline' WHERE path = ? AND state = 'present'", marks)

    def forget(self, paths: Sequence[str]) -> None:
        """Forget files that are gone, and contents that lie nowhere any more, inside a transaction."""
        marks = [(path,) for path in paths]
        self.db.executemany("DELETE FROM words WHERE rowid IN (SELECT id FROM files WHERE path = ?)", marks)
        self.db.executemany("DELETE FROM files WHERE path = ?", marks)
        self.forget_contents()

    def forget_contents(self) -> None:
        """Forget contents that lie nowhere any more, and with them frames and vectors, inside a transaction."""
        self.db.execute("DELETE FROM contents WHERE id NOT IN (SELECT content FROM files WHERE content IS NOT NULL)")


def known_content(index: Path, sha256: str) -> tuple[str, str]:
    """Kind and reader of a content that a catalogue, by its file, holds as sound; "" of one that it does not."""
    with closing(connect(index, is_read_only=True)) as db:
        row = db.execute("SELECT kind, reader FROM contents WHERE sha256 = ? AND refused = ''", (sha256,)).fetchone()
    return ("", "") if row is None else (str(row["kind"]), str(row["reader"]))


def inside(path: object, place: Path) -> str:
    """Return a path below the folder as it is.

    Raises:
        ArtifactError: if it leads out of it, which nothing that was indexed does.
    """
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise damaged(place, f"{path!r} is no path in its folder")
    return path


def told_of(text: str, place: Path) -> dict[str, Any]:
    """What is kept of what a file says of itself.

    Raises:
        ArtifactError: if it is of another form than `reading.plain_metadata`'s.
    """
    with intact(place):
        told: dict[str, Any] = json.loads(text)
        embargo, opted, notes = told.get("embargo"), told.get("opt_out"), told.get("notes")
        is_sound = (
            isinstance(told, dict)
            and all(told.get(name) is None or isinstance(told[name], str) for name in WORDS)
            and (embargo is None or (isinstance(embargo, dict) and isinstance(embargo["words"], str)))
            and (opted is None or (isinstance(opted, dict) and isinstance(opted["state"], str)))
            and (notes is None or (isinstance(notes, list) and all(isinstance(note, str) for note in notes)))
            and all(isinstance(words, list) for words in told.get("unknown", {}).values())
        )
        if not is_sound:
            raise ValueError("what is said of a file is of another form")
        return told


def _entry(row: sqlite3.Row) -> Entry:
    stamp = Stamp(**{name: row[name] for name in ("size", "mtime_ns", "inode", "device", "beside")})
    return Entry(
        id=row["id"],
        path=row["path"],
        content=row["content"],
        sha256=row["sha256"],
        stamp=stamp,
        state=row["state"],
        kind=row["kind"],
        why=row["why"],
        reader=row["reader"],
    )


def _state(read: Read) -> str:
    if read.refused:
        return "refused"
    return "present" if read.kind not in ("", SIDECAR) else read.kind or "skipped"


def _until(embargo: dict[str, Any] | None) -> str:
    """When an embargo ends, ISO 8601 UTC, "9999" where no date can be read, "" where there is none."""
    return "" if not embargo else str(embargo.get("until") or "9999")
