"""The review store in both databases: what is recorded, who may, what is refused, and one chain whoever writes."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from tests.apps.conftest import DATABASES
from tests.apps.reviews import ADMIN, MODEL, READER, REVIEW, TOLD, begun, study

from mainstem.apps import review_database
from mainstem.apps.review import ReviewStore
from mainstem.apps.review_database import Database, rows_of
from mainstem.apps.review_records import REASONS, Maker, Shown, Told
from mainstem.apps.review_roles import User
from mainstem.apps.review_tables import METADATA
from mainstem.core.errors import InputError
from mainstem.core.prediction import Claim, ModelRef, Prediction
from mainstem.core.stream import Provenance


def test_a_review_is_read_back_as_it_was_recorded(url, tmp_path):
    store = begun(url, tmp_path / "home")
    first = store.record(replace(REVIEW, series=study(8), instances=(study(9),), finding="normal", seconds=0.1 + 0.2))
    second = store.record(replace(REVIEW, study=study(1)))
    mended = replace(REVIEW, decision="override", reason_code="wrong_finding", corrects=1)
    third = store.record(mended)
    assert [first.num, second.num, third.num] == [1, 2, 3]
    assert store.history(REVIEW.study) == (first, third)
    assert third.review == mended
    assert first.review.seconds == 0.1 + 0.2
    assert store.latest(study(1), REVIEW.study, study(5)) == {REVIEW.study: third, study(1): second}
    assert (first.user, first.role) == ("dr-a", "reader")
    assert first.when.endswith("Z")
    assert first.when <= third.when
    again = ReviewStore.open(url, tmp_path / "home")
    assert again.as_user(READER).history(study(1)) == (second,)
    found = again.verify()
    assert (found.ok, found.num, found.anchored, found.first_bad) == (True, 3, 3, None)


def test_what_is_stored_is_what_was_hashed(url, tmp_path):
    store = begun(url, tmp_path / "home", 1)
    with store.database.reading() as connection:
        row = list(rows_of(connection))[1]
    assert '"probabilities":{"normal":1e-09,"pneumonia":0.30000000000000004}' in row.body
    assert row.body == json.dumps(json.loads(row.body), sort_keys=True, separators=(",", ":"))


def test_a_prediction_is_stored_without_its_source(tmp_path):
    source = Provenance(data="ours", item="Doe^Jane", group="Doe^Jane", licence="", attribution="")
    reference = ModelRef(adapter="a", task="t", version="1", adapter_sha256="1" * 64, trunk_sha256="2" * 64)
    told = Prediction(
        value=1.5, region=None, level=0.9, units="mL", claim=Claim(state="none", reason="few cases"),
        model=reference, source=source, probabilities={"below 2 mL": 0.75},
    )  # fmt: skip
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home")
    done = store.record(replace(REVIEW, prediction=Told.of(told), model=Maker.of(told, None)))
    assert done.review.prediction.value == 1.5
    assert done.review.prediction.claim_reason == "few cases"
    assert done.review.model.calibration_sha256 is None
    assert b"Doe" not in (tmp_path / "r.db").read_bytes() + (tmp_path / "r.db-wal").read_bytes()


@pytest.mark.parametrize(
    "act", ["UPDATE reviews SET body = body", "DELETE FROM reviews", "DELETE FROM reviews WHERE num = 1"]
)
def test_rows_are_neither_changed_nor_deleted(url, tmp_path, act):
    begun(url, tmp_path / "home", 2)
    with pytest.raises(DBAPIError, match="only ever appended"), create_engine(Database(url).url).begin() as connection:
        connection.execute(text(act))


def test_the_table_is_not_emptied_at_once(postgresql, tmp_path):
    begun(postgresql, tmp_path / "home", 1)
    engine = create_engine(Database(postgresql).url)
    for before in ("SELECT 1", "SET LOCAL session_replication_role = replica"):
        with engine.connect() as connection:
            connection.execute(text(before))
            with pytest.raises(DBAPIError, match="only ever appended"):
                connection.execute(text("TRUNCATE reviews"))


@pytest.mark.parametrize("kind", ["INSERT", "INSERT OR REPLACE"])
def test_rows_are_put_in_no_other_place(url, tmp_path, kind):
    begun(url, tmp_path / "home", 2)
    if "postgresql" in url:
        kind = "INSERT"
    for num in (1, 4):
        row = f"{kind} INTO reviews (num, previous, body, hash, signature) VALUES ({num}, '', '{{}}', '', '')"
        with pytest.raises(DBAPIError, match="only ever appended"), create_engine(Database(url).url).begin() as there:
            there.exec_driver_sql(row)


@pytest.mark.parametrize("body", ['{"decision":"override"}', '{"decision":"override","reason_code":""}'])
def test_the_database_too_refuses_an_override_without_a_reason(url, tmp_path, body):
    begun(url, tmp_path / "home")
    row = f"INSERT INTO reviews (num, previous, body, hash, signature) VALUES (1, '', '{body}', '', '')"
    with pytest.raises(DBAPIError, match="override_has_reason"), create_engine(Database(url).url).begin() as there:
        there.exec_driver_sql(row)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decision": "override"}, "an override needs a reason"),
        ({"decision": "agree"}, "decision is agree"),
        ({"reason_code": "other"}, "needs words"),
        ({"reason_code": "other", "reason_text": " \n"}, "needs words"),
        ({"reason_code": "Wrong finding"}, "reason_code"),
        ({"reason_text": "x" * 4001}, "reason_text"),
        ({"reason_text": "a\x00b"}, "reason_text"),
        ({"reason_text": "a\u202eb"}, "reason_text"),
        ({"reason_text": "a\ud800b"}, "reason_text"),
        ({"seconds": float("nan")}, "seconds"),
        ({"seconds": -1.0}, "seconds"),
        ({"pixel_sha256": "4" * 63}, "pixel_sha256"),
        ({"corrects": 1}, "none of this study"),
        ({"corrects": 99}, "none of this study"),
        ({"corrects": 0}, "corrects"),
        ({"prediction": replace(TOLD, value=float("inf"))}, "prediction.value"),
        ({"prediction": replace(TOLD, level=1.5)}, "prediction.level"),
        ({"prediction": replace(TOLD, region={"a": [float("nan")]})}, "plain finite values"),
        ({"prediction": replace(TOLD, region={"a": ["\x1b[2J"]})}, "control characters"),
        ({"prediction": replace(TOLD, region={"a": list(range(20_000))})}, "bytes"),
        ({"model": replace(MODEL, trunk_sha256="")}, "model.trunk_sha256"),
        ({"shown": Shown(prediction=True, mask=1, heatmap=False)}, "shown.mask"),
    ],
)
def test_what_is_not_whole_is_refused_in_one_line(url, tmp_path, change, said):
    store = begun(url, tmp_path / "home")
    store.record(replace(REVIEW, study=study(5)))
    with pytest.raises(InputError, match=said) as caught:
        store.record(replace(REVIEW, **change))
    assert "\n" not in str(caught.value)
    assert store.verify().num == 1


@pytest.mark.parametrize("name", ["study", "series", "instances"])
def test_an_identifier_is_refused_and_not_repeated(tmp_path, name):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home")
    value = ("Doe^Jane",) if name == "instances" else "Doe^Jane"
    with pytest.raises(InputError, match="no pseudonym") as caught:
        store.record(replace(REVIEW, **{name: value}))
    assert "Doe" not in str(caught.value)


def test_every_reason_can_be_given(tmp_path):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home")
    for code in REASONS:
        store.record(replace(REVIEW, decision="override", reason_code=code, reason_text="in words,\nand more"))
    assert store.verify().num == len(REASONS)


CLINIC = {"viewer": "read", "reader": "read review", "clinician": "read review", "admin": "read anchor"}
ALLOWED = {"clinic": CLINIC, "research": {**CLINIC, "researcher": "read review"}}


@pytest.mark.parametrize("mode", ["clinic", "research"])
@pytest.mark.parametrize("role", ["viewer", "reader", "clinician", "researcher", "admin", "root", None])
def test_roles_allow_what_is_listed_and_nothing_else(tmp_path, mode, role):
    store = ReviewStore.open(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", mode)
    user = study(3)
    if role is not None:
        store = store.as_user(User(user, role))
    acts = {
        "read": lambda: (store.history(REVIEW.study), store.latest(REVIEW.study)),
        "review": lambda: store.record(REVIEW),
        "anchor": store.anchor,
    }
    for act, call in acts.items():
        if act in ALLOWED[mode].get(role, "").split():
            call()
        else:
            with pytest.raises(InputError, match=r"sign in first|may not|want one of"):
                call()
    assert store.verify().ok  # anybody may ask


def test_a_research_store_takes_no_names(tmp_path):
    url, home = f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home"
    store = ReviewStore.open(url, home, "research")
    with pytest.raises(InputError, match="takes no names"):
        store.as_user(READER).record(REVIEW)
    known = store.as_user(User(store.pseudonyms.of("dr-a", "user", "dr-a"), "researcher"))
    with pytest.raises(InputError, match="no free text"):
        known.record(replace(REVIEW, reason_text="Mrs Doe"))
    assert known.record(replace(REVIEW, decision="override", reason_code="wrong_region")).num == 1
    with pytest.raises(InputError, match="research store, want clinic"):
        ReviewStore.open(url, home, "clinic")
    assert ReviewStore.open(url, home).mode == "research"


WRITER = """
import sys
from pathlib import Path
from tests.apps.conftest import DATABASES
from tests.apps.reviews import begun
begun(sys.argv[1], Path(sys.argv[2]), 50)
"""


@pytest.mark.long
def test_four_processes_write_one_chain(url, tmp_path):
    command = [sys.executable, "-c", WRITER, url, str(tmp_path / "home")]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]  # they begin the store together
    for writer in writers:
        said = writer.communicate(timeout=300)[1]
        assert writer.returncode == 0, said.decode()[-2000:]
    store = ReviewStore.open(url, tmp_path / "home").as_user(READER)
    found = store.verify()
    assert (found.ok, found.num, found.anchored) == (True, 200, 200), found.why
    assert len((tmp_path / "home" / "anchors.jsonl").read_text().splitlines()) == 201
    assert sum(len(store.history(study(number))) for number in range(7)) == 200


@pytest.mark.long
def test_a_store_can_be_verified_while_it_is_written(url, tmp_path):
    store = begun(url, tmp_path / "home")
    command = [sys.executable, "-c", WRITER, url, str(tmp_path / "home")]
    with subprocess.Popen(command) as writer:
        while writer.poll() is None:
            found = store.verify()
            assert found.ok, found.why
    assert store.verify().num == 50


def test_the_layout_is_what_the_tables_say(url, tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    store = begun(url, tmp_path / "home")
    with store.database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "reviews_layout"})
        assert compare_metadata(context, METADATA) == []


def test_a_layout_of_the_future_is_refused(url, tmp_path):
    store = begun(url, tmp_path / "home", 1)
    with store.database.writing() as connection:
        connection.execute(text("UPDATE reviews_layout SET version_num = 'v0009'"))
    with pytest.raises(InputError, match="has the layout v0009, this program knows v0001; update mainstem"):
        ReviewStore.open(url, tmp_path / "home")


def test_a_locked_database_says_so(url, tmp_path, monkeypatch):
    monkeypatch.setattr(review_database, "WAIT_S", 0.2)
    store = begun(url, tmp_path / "home", 1)
    with store.database.writing(), pytest.raises(InputError, match="is locked by another"):
        begun(url, tmp_path / "home", 1)
    assert store.verify().num == 1


def test_a_full_disk_says_so_and_leaves_what_was_there(tmp_path):
    url, home = f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home"
    store = begun(url, home, 1)
    with store.database.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    large = replace(REVIEW, prediction=replace(TOLD, region={"labels": ["x" * 60_000]}))  # more than a page
    with pytest.raises(InputError, match="the disk is full; free space") as caught:
        store.record(large)
    assert "\n" not in str(caught.value)
    store.database.close()
    assert begun(url, home).verify().ok


@pytest.mark.parametrize(
    "url", ["", "reviews.db", "sqlite://", "sqlite:///:memory:", "mysql://a/b", "sqlite:///a.db?mode=ro"]
)
def test_another_address_is_refused(tmp_path, url):
    with pytest.raises(InputError, match="sqlite:///FILE"):
        ReviewStore.open(url, tmp_path / "home")


def test_a_password_is_never_told(tmp_path):
    with pytest.raises(InputError, match="cannot be used") as caught:
        ReviewStore.open(f"postgresql://me:secret@/none?host={tmp_path}", tmp_path / "home")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "r.db").write_bytes(b"no database " * 1000)
    with pytest.raises(InputError, match="is no SQLite database"):
        ReviewStore.open(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home")


def test_a_home_without_the_store_s_keys_is_refused(url, tmp_path):
    begun(url, tmp_path / "home", 1)
    with pytest.raises(InputError, match="holds no key of the store"):
        ReviewStore.open(url, tmp_path / "elsewhere")
    begun(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "other")
    wrong = ReviewStore.open(url, tmp_path / "other").as_user(READER)
    with pytest.raises(InputError, match="was not signed by a key of"):
        wrong.record(REVIEW)
    found = wrong.verify()
    assert (found.ok, found.first_bad) == (False, 0)
    assert "the key is the wrong one" in found.why


def test_a_new_signing_key_is_taken_over(url, tmp_path):
    store = begun(url, tmp_path / "home", 2)
    key = tmp_path / "home" / "keys" / "signing.pem"
    key.unlink()
    reading = ReviewStore.open(url, tmp_path / "home").as_user(READER)
    with pytest.raises(InputError, match="nothing can be recorded"):
        reading.record(REVIEW)
    assert reading.verify().ok  # the public key is there
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    assert begun(url, tmp_path / "home", 2).verify().ok
    assert len(list((tmp_path / "home" / "keys").glob("*.pub.pem"))) == 2
    assert not store.verify().ok  # opened before, it believes the old key alone


def test_both_stores_keep_every_commit_on_the_disk(tmp_path):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home")
    with store.database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        with sqlite3.connect(tmp_path / "r.db", timeout=0.1) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")  # there is one writer


def test_an_administrator_judges_nothing(tmp_path):
    with pytest.raises(InputError, match="admin may not review"):
        begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home").as_user(ADMIN).record(REVIEW)


def test_a_user_who_may_only_append_can_do_nothing_else(postgresql, tmp_path):
    store = begun(postgresql, tmp_path / "home", 1)
    role = f"app{next(DATABASES)}"
    with store.database.writing() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
    address = postgresql.replace("tester@", f"{role}@")
    with pytest.raises(InputError, match="does not allow this to this user; grant SELECT and INSERT"):
        begun(address, tmp_path / "home", 1)
    with store.database.writing() as connection:
        connection.exec_driver_sql(f"GRANT SELECT, INSERT ON reviews TO {role}")
        connection.exec_driver_sql(f"GRANT SELECT ON reviews_layout TO {role}")
    assert begun(address, tmp_path / "home", 2).verify().num == 3
    engine = create_engine(Database(address).url)
    for act in (
        "UPDATE reviews SET body = '{}'", "DELETE FROM reviews", "TRUNCATE reviews", "DROP TABLE reviews",
        "DROP TRIGGER reviews_rows ON reviews", "ALTER TABLE reviews DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ):  # fmt: skip
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), engine.begin() as connection:
            connection.exec_driver_sql(act)
