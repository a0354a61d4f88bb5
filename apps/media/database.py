"""SQLite as a catalogue uses it: whatever goes wrong in the file is one line that says what to do."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import quote

from mainstem.core.errors import ArtifactError, InputError, MainstemError
from mainstem.core.plain import one_line, plain

WAIT_S = 30.0  # for another process that writes
KEPT = "the index keeps what was committed last"
ADVICE = {  # SQLite's names of errors by their beginning; others are damage
    "SQLITE_FULL": f"cannot be written: its disk is full; {KEPT}: free space, then run the same command again",
    "SQLITE_IOERR": f"cannot be read or written: its disk is full or fails; {KEPT}: free space or mend the disk, then "
    "run the same command again",
    "SQLITE_BUSY": "is locked by another process; wait for it, then run the same command again",
    "SQLITE_READONLY": "cannot be written; check the rights of its folder",
    "SQLITE_CANTOPEN": "cannot be opened; check the rights of its folder",
    "SQLITE_NOMEM": "needs more memory than there is; end other programs, then run the same command again",
}
ODD = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError, OverflowError)
Values: TypeAlias = Any  # sequences, or mappings by name, of what SQLite stores


def damaged(place: Path, why: object) -> ArtifactError:
    """What is said of an index that holds what was never written there."""
    return ArtifactError(f"the index {place} is damaged ({plain(why)}); delete it and index again")


@contextmanager
def intact(place: Path) -> Iterator[None]:
    """Around what takes apart values that an index holds: where they are of another form it is damaged.

    Raises:
        ArtifactError: saying so.
    """
    try:
        yield
    except MainstemError:
        raise
    except ODD as error:
        raise damaged(place, one_line(error)) from error


class _Cursor(sqlite3.Cursor):
    """A cursor whose errors are ours; wrong arguments, which are no error of the file, stay as they are."""

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DataError, sqlite3.NotSupportedError, sqlite3.ProgrammingError):
            raise
        except UnicodeDecodeError as error:
            raise damaged(self.connection.place, one_line(error)) from error  # type: ignore[attr-defined]
        except sqlite3.DatabaseError as error:
            raise told_plainly(self.connection.place, error) from error  # type: ignore[attr-defined]

    def execute(self, sql: str, values: Values = (), /) -> Self:
        with self._told():
            return super().execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Values], /) -> Self:
        with self._told():
            return super().executemany(sql, values)

    def fetchone(self) -> Any:  # noqa: ANN401 - as sqlite3 types it
        with self._told():
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with self._told():
            return super().fetchall()

    def __next__(self) -> Any:  # noqa: ANN401 - as sqlite3 types it
        with self._told():
            return super().__next__()


class _Connection(sqlite3.Connection):
    """A connection whose errors are ours, and name its folder."""

    place = Path()

    def execute(self, sql: str, values: Values = (), /) -> sqlite3.Cursor:
        return self.cursor(_Cursor).execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Values], /) -> sqlite3.Cursor:
        return self.cursor(_Cursor).executemany(sql, values)


def told_plainly(place: Path, error: sqlite3.Error) -> MainstemError:
    """The error as one line about its file."""
    name = str(getattr(error, "sqlite_errorname", ""))
    advice = next((words for start, words in ADVICE.items() if name.startswith(start)), "")
    return InputError(f"the index {place} {advice}") if advice else damaged(place, one_line(error))


def connect(path: Path, *, is_read_only: bool = False) -> sqlite3.Connection:
    """Open a database, without transactions that are begun unasked.

    Raises:
        InputError: if it cannot be opened.
    """
    name = f"file:{quote(os.fsencode(path))}?mode={'ro' if is_read_only else 'rwc'}"
    try:
        db = sqlite3.connect(
            name, timeout=WAIT_S, isolation_level=None, check_same_thread=False, factory=_Connection, uri=True
        )
    except sqlite3.Error as error:
        raise told_plainly(path.parent, error) from error
    db.place = path.parent
    db.row_factory = sqlite3.Row
    return db
