"""The database under a review store: SQLite in WAL mode with every commit on the disk, or PostgreSQL; one writer.

What goes wrong there is one line that says what to do.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from mainstem.apps.review_chain import Row
from mainstem.apps.review_tables import LAYOUT, REVIEWS, STORED, VERSION_TABLE
from mainstem.core.errors import InputError
from mainstem.core.plain import one_line

WAIT_S = 30.0  # for another writer, whose turn takes some milliseconds
CHUNK = 2000  # rows fetched at once
MUTEX = 0x6D61696E7374656D  # "mainstem": number of the advisory lock that writers of one PostgreSQL database share
CLOCK = {
    "sqlite": "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    "postgresql": """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
}
ADVICE = {  # SQLite's names of errors, and classes of SQLSTATE (PostgreSQL manual, appendix A), by their beginning
    "SQLITE_BUSY": "is locked by another program; close what holds it, then try again",
    "SQLITE_LOCKED": "is locked by another program; close what holds it, then try again",
    "SQLITE_READONLY": "cannot be written: the disk or the file is read-only; name a place that may be written",
    "SQLITE_CANTOPEN": "cannot be opened; check that its folder is there and may be written",
    "SQLITE_FULL": "cannot be written: the disk is full; free space, then try again",
    "SQLITE_IOERR": "cannot be read or written: the disk fails; check it, then restore a backup",
    "SQLITE_CORRUPT": "is damaged; restore a backup",
    "SQLITE_NOTADB": "is no SQLite database; check the path",
    "SQLITE_CONSTRAINT": "refuses the record; run: mainstem review verify",
    "55P03": "is locked by another writer; try again, or see pg_locks for who holds it",
    "53": "cannot be written: the server's disk or memory is full; free some, then try again",
    "25006": "is read-only: it is a standby; name the primary server",
    "42501": "does not allow this to this user; grant SELECT and INSERT on reviews",
    "28": "refuses this user; check name and password in the address",
    "3D": "is not there; create it, or check its name in the address",
    "23": "refuses the record; run: mainstem review verify",
    "XX": "is damaged; restore a backup",
}


class Database:
    """Where rows are kept; connections are made on first use."""

    def __init__(self, url: str) -> None:
        self.url = _checked_url(url)
        self.name = self.url.render_as_string(hide_password=True)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = self._make_engine()

    def _make_engine(self) -> Engine:
        if not self.is_sqlite:
            return create_engine(self.url, isolation_level="REPEATABLE READ", connect_args={"connect_timeout": 10})
        engine = create_engine(self.url, connect_args={"timeout": WAIT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One unchanging view of the rows.

        Raises:
            InputError: if the database cannot be read.
        """
        with self._told_plainly(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only transaction that writes; committed at the block's end.

        Raises:
            InputError: if the database cannot be written, or another writer keeps it too long.
        """
        level = {} if self.is_sqlite else {"isolation_level": "READ COMMITTED"}  # sees what the last writer committed
        with self._told_plainly(), self._engine.connect() as plain:
            connection = plain.execution_options(is_writer=True, **level)
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(text(f"SET LOCAL lock_timeout = {int(1000 * WAIT_S)}"))
                    connection.execute(select(func.pg_advisory_xact_lock(MUTEX)))
                yield connection

    def is_file_missing(self) -> bool:
        """True where this is an SQLite database without a file, which reading would make."""
        return self.path is not None and not self.path.exists()

    def begin_file(self) -> None:
        """Have a new SQLite database write ahead (WAL), so that readers and the writer do not wait for each other."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._told_plainly(), self._engine.connect() as connection:
                connection.execution_options(is_outside=True).exec_driver_sql("PRAGMA journal_mode = WAL")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or ""
            for start, advice in ADVICE.items():
                if code.startswith(start):
                    raise InputError(f"the review store {self.name} {advice}") from error
            said = one_line(error.orig) if error.orig is not None else one_line(error)
            raise InputError(f"the review store {self.name} cannot be used ({said}); check its address") from error


def _checked_url(url: str) -> URL:
    """Return an address that names a file of SQLite or a database of PostgreSQL.

    Raises:
        InputError: if it does not.
    """
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise InputError("the review store's address is none; give sqlite:///FILE or postgresql://HOST/NAME") from error
    if found.get_backend_name() == "sqlite":
        if not found.database or found.database == ":memory:" or found.query:
            raise InputError("a review store needs a file; give sqlite:///FILE")
        return found
    if found.get_backend_name() != "postgresql":
        raise InputError(f"got a review store in {found.get_backend_name()}, want sqlite:///FILE or postgresql://...")
    return found.set(drivername="postgresql+psycopg")


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")  # damaged text can be named, too
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("is_outside"):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("is_writer") else "BEGIN")


def layout_of(connection: Connection) -> str | None:
    """Return the layout of a store; None where there is none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return str(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")))  # noqa: S608 - a constant


def is_taken(connection: Connection) -> bool:
    """True where there is a store, or a table that one would need."""
    return not {REVIEWS.name, VERSION_TABLE}.isdisjoint(inspect(connection).get_table_names())


def check_layout(found: str | None, name: str) -> None:
    """Check that this program knows a store's layout.

    Raises:
        InputError: if it does not.
    """
    if found not in (None, LAYOUT):
        raise InputError(f"{name} has the layout {found}, this program knows {LAYOUT}; update mainstem")


def migrate(connection: Connection) -> None:
    """Bring a store to the newest layout, inside the transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "mainstem.apps:review_migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def clock(connection: Connection) -> str:
    """Return the database's time, UTC."""
    return str(connection.scalar(text(CLOCK[connection.dialect.name])))


def head(connection: Connection) -> Row | None:
    """Return the newest row; None of an empty store."""
    return _first(connection, select(*STORED).order_by(REVIEWS.c.num.desc()).limit(1))


def row_of(connection: Connection, num: int) -> Row | None:
    """Return the row of a number; None where there is none."""
    return _first(connection, select(*STORED).where(REVIEWS.c.num == num))


def _first(connection: Connection, wanted: Any) -> Row | None:  # noqa: ANN401 - a select
    found = connection.execute(wanted).first()
    return None if found is None else Row(*found)


def rows_of(connection: Connection, after: int = -1, until: int | None = None) -> Iterator[Row]:
    """Return rows by number, fetched in chunks."""
    wanted = select(*STORED).where(REVIEWS.c.num > after).order_by(REVIEWS.c.num)
    if until is not None:
        wanted = wanted.where(REVIEWS.c.num <= until)
    for chunk in connection.execute(wanted, execution_options={"yield_per": CHUNK}).partitions():
        yield from map(Row._make, chunk)


def add_rows(connection: Connection, rows: Sequence[Row]) -> None:
    """Append rows."""
    connection.execute(insert(REVIEWS).inline(), [row._asdict() for row in rows])
