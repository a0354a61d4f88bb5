"""Backups of a review store, and how one is restored: verified whole, and never over anything that is there.

A backup is a copy of the SQLite file, or an export: JSON lines, a header and then each record as it is stored, so that
either can be restored into either database. It holds no key: those have copies of their own.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from mainstem.apps.review import KEYS, ReviewStore, code_version
from mainstem.apps.review_anchors import AnchorFile, anchor_files
from mainstem.apps.review_chain import Row, Verified, canonical, linked, verify_rows
from mainstem.apps.review_database import Database, add_rows, clock, head, is_taken, migrate, rows_of
from mainstem.apps.review_keys import Keys, Signer, keys_of
from mainstem.core.errors import InputError
from mainstem.core.files import scratch, sync_file, sync_folder, write_whole

FORMAT = "mainstem reviews 1"
CHUNK = 1000  # rows
LONGEST_LINE = 1 << 18  # bytes; a body has a quarter at most, and its quotes double


def back_up(store: ReviewStore, out: Path) -> int:
    """Write a backup that can be taken while others write: a copy of an SQLite file, else an export.

    Returns:
        Number of the newest record in it.

    Raises:
        InputError: if the user may not, `out` exists, or the store is not as it was written.
        OSError: if it cannot be written.
    """
    store.allow("backup")
    return export(store, out) if store.database.path is None else _copy_sqlite(store, store.database.path, out)


def _copy_sqlite(store: ReviewStore, source: Path, out: Path) -> int:
    _check_new(out)
    with scratch(out) as folder:
        part = folder / "reviews.db"
        try:
            with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(part)) as there:
                here.backup(there)
                there.execute("PRAGMA journal_mode = DELETE")  # one file, which a read-only disk can hold
        except sqlite3.Error as error:
            raise InputError(f"{out} cannot be written ({error}); free space, or name another place") from error
        num = _check_backup(part, store.keys, out)
        sync_file(part)
        _put(part, out)
    return num


def export(store: ReviewStore, out: Path) -> int:
    """Write the chain as JSON lines, and return the number of its newest record.

    Raises:
        InputError: if the user may not, `out` exists, or the store is not as it was written.
        OSError: if it cannot be written.
    """
    store.allow("export")
    _check_new(out)
    with scratch(out) as folder:
        part = folder / "reviews.jsonl"
        with store.database.reading() as connection:
            last = head(connection)
            if last is None:
                raise InputError(f"{store.database.name} lost its records; restore a backup")
            write_whole(part, _lines(last, rows_of(connection)))
        num = _check_backup(part, store.keys, out)
        _put(part, out)
    return num


def _lines(last: Row, rows: Iterable[Row]) -> Iterator[bytes]:
    yield canonical({"format": FORMAT, "num": last.num, "hash": last.hash}).encode() + b"\n"
    for row in rows:
        yield json.dumps(row._asdict(), sort_keys=True).encode() + b"\n"


def _check_new(out: Path) -> None:
    if os.path.lexists(out):
        raise InputError(f"{out} is there, and no backup is ever overwritten; name another file")


def _put(part: Path, out: Path) -> None:
    """Give a file its name, unless that was taken meanwhile."""
    try:
        os.link(part, out)
    except FileExistsError:
        _check_new(out)
    sync_folder(out.parent)


def _check_backup(part: Path, keys: Keys, out: Path) -> int:
    found = verify_rows(lambda: rows_in(part), list, keys)
    if not found.ok:
        raise InputError(f"{out} was not written: {found.why}")
    return found.num


def rows_in(source: Path) -> Iterator[Row]:
    """Return the records of a backup, not yet verified.

    Raises:
        InputError: if it is none, or was cut short.
        OSError: if it cannot be read.
    """
    with source.open("rb") as file:
        is_sqlite = file.read(16) == b"SQLite format 3\x00"  # SQLite, "Database File Format", section 1.3
    return _sqlite_rows(source) if is_sqlite else _exported_rows(source)


def _sqlite_rows(source: Path) -> Iterator[Row]:
    address = f"{source.absolute().as_uri()}?mode=ro"
    wanted = "SELECT num, previous, body, hash, signature FROM reviews ORDER BY num"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            yield from map(Row._make, connection.execute(wanted))
    except sqlite3.Error as error:
        raise InputError(f"{source} is no backup of reviews ({error}); take another copy") from error


def _exported_rows(source: Path) -> Iterator[Row]:
    row: Row | None = None
    with source.open("rb") as file:
        header = _object(source, 1, file.readline(LONGEST_LINE))
        if header.get("format") != FORMAT:
            raise InputError(f"{source} is no export of reviews (want {FORMAT!r}); take another file")
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=2):
            found = _object(source, number, line)
            if set(found) != set(Row._fields) or not _is_typed(found):
                raise InputError(f"line {number} of {source} is no record: it was changed; take another copy")
            row = Row._make(found[name] for name in Row._fields)
            yield row
    if row is None or [row.num, row.hash] != [header.get("num"), header.get("hash")]:
        raise InputError(f"{source} does not end where its first line says: it was cut or changed; take another copy")


def _is_typed(found: dict[str, Any]) -> bool:
    return all(type(value) is (int if name == "num" else str) for name, value in found.items())


def _object(source: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not line.endswith(b"\n"):
        raise InputError(f"line {number} of {source} is no JSON object: it was changed or cut; take another copy")
    return found


def restore(source: Path, url: str, home: Path, *, accept_loss: bool = False) -> Verified:
    """Restore a backup into an empty place.

    Args:
        source: a copy of an SQLite store, or an export.
        url: where to; nothing may be there.
        home: with the store's keys and anchors.
        accept_loss: restore although the anchors know later records or lack; they are set aside, and the chain says so.

    Raises:
        InputError: if the backup is not as it was written, or anything is there.
        OSError: if something cannot be read or written.
    """
    signer, keys = keys_of(home / KEYS)
    if keys is None:
        raise InputError(f"{home / KEYS} holds no key of the store; restore the keys first")
    files = anchor_files(home)
    found = verify_rows(lambda: rows_in(source), lambda: [file.reel(file.size()) for file in files], keys)
    alone = verify_rows(lambda: rows_in(source), list, keys)
    if not alone.ok:
        raise InputError(f"{source} was not restored: {alone.why}; take another backup")
    if not found.ok and not accept_loss:
        raise InputError(f"{source} was not restored: {found.why}; take a newer backup, or accept it by --accept-loss")
    _replay(source, Database(url), keys)
    if not found.ok:
        _write_loss(Database(url), _set_aside(files, alone.num), signer)
    store = ReviewStore.open(url, home)
    for file in store.anchors:
        store.anchor_file(file.path)
    return store.verify()


def _replay(source: Path, database: Database, keys: Keys) -> None:
    """Append a backup's records to a new store, all or none."""
    is_new = database.is_file_missing()
    try:
        database.begin_file()
        with database.writing() as connection:
            if is_taken(connection):
                raise InputError(f"{database.name} holds reviews, and nothing is ever overwritten; name another")
            migrate(connection)
            rows = rows_in(source)
            while chunk := list(islice(rows, CHUNK)):
                add_rows(connection, chunk)
            found = verify_rows(lambda: rows_of(connection), list, keys)
            if not found.ok:
                raise InputError(f"{source} was not restored: {found.why}; it changed meanwhile, try again")
    except BaseException:
        database.close()
        if database.path is not None and is_new:
            for end in ("", "-wal", "-shm"):  # this process has just made them
                Path(f"{database.path}{end}").unlink(missing_ok=True)
        raise
    database.close()


def _set_aside(files: Iterable[AnchorFile], num: int) -> int:
    """Rename anchors of records that are lost, and return the newest they knew."""
    known = -1
    for file in files:
        with suppress(OSError, InputError):
            known = max(known, file.last())
        if file.path.exists():
            aside = file.path.with_name(f"{file.path.name}.lost-after-{num}")
            _check_new(aside)
            file.path.rename(aside)
    return known


def _write_loss(database: Database, known: int, signer: Signer | None) -> None:
    """Have the chain say what was lost."""
    if signer is None:
        return
    said = {"kind": "loss", "known": known, "code": code_version()}
    with database.writing() as connection:
        last = head(connection)
        body = canonical({**said, "when": clock(connection)})
        add_rows(connection, [linked(last, body, signer)])
    database.close()
