"""Whatever somebody without the key does to records or anchors is found, and the first bad record is named."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.apps.tampering import ANY, Store, Tampering, is_found, verified

from mainstem.apps import review_verification
from mainstem.apps.review_anchors import AnchorFile
from mainstem.apps.review_database import Database
from mainstem.apps.review_tables import SQLITE
from mainstem.apps.review_verification import verify_store

TRIGGERS = {sql.split()[2]: sql for sql in SQLITE if sql.startswith("CREATE TRIGGER")}
COLUMNS = "num, previous, body, hash, signature"


@pytest.fixture(scope="module")
def tampering() -> Tampering:
    return Tampering()


def misses(tampering: Tampering, seeds: range) -> list[str]:
    """Which tamperings were not found, or whose first bad record was not named."""
    missed = []
    for seed in seeds:
        store = tampering.drawn(seed)
        found = verified(store, tampering.keys)
        if not is_found(found) or (store.first != ANY and store.first != found.first_bad):
            missed.append(f"{store.what}: want {store.first}, got {found}")
    return missed


def test_what_was_not_tampered_with_is_as_it_was_written(tampering):
    found = verified(tampering.store, tampering.keys)
    assert (found.ok, found.why, found.first_bad, found.num, found.anchored) == (True, "", None, 24, 24)


def test_every_way_of_tampering_is_found(tampering):
    assert misses(tampering, range(27 * 24)) == []


@pytest.mark.slow
def test_ten_thousand_tamperings_are_found(tampering):
    assert misses(tampering, range(10_000, 20_000)) == []


@pytest.fixture(scope="module")
def files(tampering, tmp_path_factory) -> Path:
    """A store on disk, with the rows of the one in memory and two copies of its anchors."""
    from tests.apps.reviews import begun

    folder = tmp_path_factory.mktemp("store")
    begun(f"sqlite:///{folder / 'reviews.db'}", folder / "home").database.close()
    write(folder, tampering.store)
    return folder


def write(folder: Path, store: Store) -> None:
    """Put other rows into a store's file, as whoever owns it can: guards dropped, and made again."""
    with closing(sqlite3.connect(folder / "reviews.db")) as connection, connection:
        for name in TRIGGERS:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM reviews")
        connection.executemany(f"INSERT INTO reviews ({COLUMNS}) VALUES (?, ?, ?, ?, ?)", store.rows)
        for sql in TRIGGERS.values():
            connection.execute(sql)
    for number, lines in enumerate(store.copies):
        (folder / f"copy{number}.jsonl").write_bytes("".join(lines).encode())


def verify_files(folder: Path, tampering: Tampering):
    database = Database(f"sqlite:///{folder / 'reviews.db'}")
    try:
        return verify_store(database, [AnchorFile(folder / f"copy{n}.jsonl") for n in range(2)], tampering.keys)
    finally:
        database.close()


def misses_on_disk(tampering: Tampering, files: Path, folder: Path, seeds: range) -> tuple[int, list[str]]:
    num, missed = 0, []
    for seed in seeds:
        store = tampering.drawn(seed)
        shutil.copytree(files, folder / str(seed), ignore=shutil.ignore_patterns("home"))
        try:
            write(folder / str(seed), store)
        except (sqlite3.IntegrityError, sqlite3.OperationalError):  # the table itself refuses: no JSON, a number twice
            shutil.rmtree(folder / str(seed))
            continue
        num += 1
        found = verify_files(folder / str(seed), tampering)
        if found.ok or store.first not in (ANY, found.first_bad):
            missed.append(f"{store.what}: want {store.first}, got {found}")
        shutil.rmtree(folder / str(seed))
    return num, missed


@pytest.fixture
def _without_grace(monkeypatch):
    monkeypatch.setattr(review_verification, "GRACE_S", 0.0)


@pytest.mark.usefixtures("_without_grace")
def test_tamperings_of_the_file_are_found(tampering, files, tmp_path):
    assert verify_files(files, tampering).ok
    num, missed = misses_on_disk(tampering, files, tmp_path, range(20_000, 20_000 + 27 * 5))
    assert missed == []
    assert num >= 100


@pytest.mark.usefixtures("_without_grace")
def test_a_byte_changed_on_the_disk_itself_is_found(tampering, files, tmp_path):
    shutil.copytree(files, tmp_path / "store")
    path, rng = tmp_path / "store" / "reviews.db", random.Random(0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    for _ in range(60):
        row = rng.choice(tampering.store.rows)
        text = rng.choice([row.body, row.hash, row.signature]).encode()
        data, start = bytearray(whole), whole.index(text) + rng.randrange(len(text))
        data[start] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        found = verify_files(tmp_path / "store", tampering)
        assert (found.ok, found.first_bad) == (False, row.num)


@pytest.mark.slow
@pytest.mark.usefixtures("_without_grace")
def test_a_thousand_tamperings_of_the_file_are_found(tampering, files, tmp_path):
    num, missed = misses_on_disk(tampering, files, tmp_path, range(30_000, 31_200))
    assert missed == []
    assert num >= 1000


@pytest.mark.parametrize(
    "act",
    [
        "DROP TRIGGER reviews_no_update",
        "DROP TRIGGER reviews_no_delete; CREATE TRIGGER reviews_no_delete BEFORE DELETE ON reviews BEGIN SELECT 1; END",
        "DROP INDEX reviews_study",
        "DROP INDEX reviews_study; CREATE INDEX reviews_study ON reviews (study) WHERE num < 3",
        "CREATE TRIGGER more AFTER INSERT ON reviews BEGIN SELECT 1; END",
        "ALTER TABLE reviews ADD COLUMN more TEXT",
    ],
)
def test_guards_that_were_changed_are_found(tampering, files, tmp_path, act):
    shutil.copytree(files, tmp_path / "store")
    with closing(sqlite3.connect(tmp_path / "store" / "reviews.db")) as connection:
        connection.executescript(act)
    found = verify_files(tmp_path / "store", tampering)
    assert not found.ok
    assert "not as they were made" in found.why


GUARDS_OF_POSTGRESQL = [
    "ALTER TABLE reviews DISABLE TRIGGER reviews_rows",
    "ALTER TABLE reviews ENABLE REPLICA TRIGGER reviews_truncate",
    "DROP TRIGGER reviews_rows ON reviews",
    "ALTER TABLE reviews DROP CONSTRAINT override_has_reason",
    "ALTER TABLE reviews ALTER COLUMN study DROP EXPRESSION",
    "CREATE OR REPLACE FUNCTION reviews_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
]


def test_guards_of_postgresql_that_were_changed_are_found(postgresql, tmp_path):
    from tests.apps.reviews import begun

    store = begun(postgresql, tmp_path / "home", 3)
    for act in GUARDS_OF_POSTGRESQL:
        with store.database.reading() as connection:
            connection.exec_driver_sql(act)
            said = review_verification.guard_fault(connection)
            connection.rollback()
        assert "not as they were made" in said, act
    assert store.verify().ok
    with store.database.writing() as connection:  # a superuser edits a record and puts the guards back
        connection.exec_driver_sql("ALTER TABLE reviews DISABLE TRIGGER reviews_rows")
        connection.exec_driver_sql("UPDATE reviews SET body = replace(body, 'accept', 'defer') WHERE num = 1")
        connection.exec_driver_sql("ALTER TABLE reviews ENABLE ALWAYS TRIGGER reviews_rows")
    found = store.verify()
    assert (found.ok, found.first_bad) == (False, 1)


def test_a_cut_of_the_store_and_of_every_copy_of_its_anchors_is_not_found(tampering):
    """What the documents say plainly: only a copy that the thief cannot reach knows of it."""
    store = Store(tampering.store.rows[:10], [copy[:10] for copy in tampering.store.copies])
    assert not is_found(verified(store, tampering.keys))
    store.copies.append(tampering.store.copies[0][:15])  # an auditor's older copy
    assert verified(store, tampering.keys).first_bad == 10


def test_an_auditor_s_anchor_finds_what_the_key_s_owner_does(tampering):
    """Whoever holds the store's own key can write the whole anew; the auditor's key says what was there."""
    from tests.apps.tampering import made

    row = tampering.store.rows[12]
    when = "2026-11-29T12:00:00.000Z"
    line = anchor_of_auditor(tampering, row, when)
    forged = made(tampering.signer, "forged")
    assert not is_found(verified(forged, tampering.keys))
    forged.copies.append([line])
    both = type(tampering.keys)((*tampering.keys.public, *tampering.thief.keys().public))
    assert verified(forged, both).first_bad == 12
    untouched = Store(tampering.store.rows, [*tampering.store.copies, [line]])
    assert verified(untouched, both).ok
    later = Store(tampering.store.rows, [*tampering.store.copies, [line.replace("12:00", "13:00")]])
    assert "signed by none" in verified(later, both).why


def anchor_of_auditor(tampering: Tampering, row, when: str) -> str:
    from mainstem.apps.review_anchors import anchor_line

    return anchor_line(row.num, row.hash, tampering.thief.sign(row.num, row.hash, when), when)
