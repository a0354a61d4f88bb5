"""What is kept around the store of reviews: anchors, keys, pseudonyms, backups, and its administrator's commands."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.apps.reviews import ADMIN, READER, REVIEW, begun, some_review
from tests.hostile.harness import run_cli
from typer.testing import CliRunner

from mainstem.apps import review_verification
from mainstem.apps.cli import app
from mainstem.apps.review import ReviewStore
from mainstem.apps.review_anchors import ANCHORS, AnchorFile
from mainstem.apps.review_backup import back_up, export, restore
from mainstem.apps.review_database import rows_of
from mainstem.apps.review_keys import load_keys, new_signer
from mainstem.apps.review_pseudonyms import Pseudonyms
from mainstem.apps.review_roles import User
from mainstem.core.errors import InputError


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch):
    monkeypatch.setattr(review_verification, "GRACE_S", 0.2)


def bodies(store: ReviewStore) -> list[str]:
    with store.database.reading() as connection:
        return [row.body for row in rows_of(connection)]


# Anchors


def test_each_record_is_anchored_in_every_copy(url, tmp_path, monkeypatch):
    copies = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    monkeypatch.setenv(ANCHORS, os.pathsep.join(map(str, copies)))
    store = begun(url, tmp_path / "home", 3)
    texts = {path.read_text() for path in [tmp_path / "home" / "anchors.jsonl", *copies]}
    assert len(texts) == 1  # the further copies took over what was before them
    assert [json.loads(line)["num"] for line in texts.pop().splitlines()] == [0, 1, 2, 3]
    copies[0].write_text("".join(copies[0].read_text().splitlines(keepends=True)[:2]))
    found = store.verify()
    assert (found.ok, found.is_behind, found.anchored) == (False, True, 1)
    assert "lack their anchors" in found.why
    store.record(REVIEW)  # its writer takes over what lacks
    assert store.verify().anchored == 4


def test_anchors_of_every_third_record(url, tmp_path):
    store = ReviewStore.open(url, tmp_path / "home", anchor_every=3).as_user(READER)
    for number in range(7):
        store.record(some_review(number))
    lines = (tmp_path / "home" / "anchors.jsonl").read_text().splitlines()
    assert [json.loads(line)["num"] for line in lines] == [0, 3, 6]
    found = store.verify()
    assert (found.ok, found.num, found.anchored) == (True, 7, 6)
    assert store.as_user(ADMIN).anchor() == 7
    assert store.verify().anchored == 7


def test_a_record_whose_anchor_cannot_be_written_is_kept_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv(ANCHORS, "/dev/full")
    store = ReviewStore.open(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home").as_user(READER)
    done = store.record(REVIEW)
    assert "review 1 is stored, but its anchor is not in /dev/full" in done.warning
    assert len(store.history(REVIEW.study)) == 1
    monkeypatch.setenv(ANCHORS, str(tmp_path / "gone" / "a.jsonl"))
    assert "No such file" in begun_again(tmp_path).record(REVIEW).warning
    monkeypatch.delenv(ANCHORS)
    assert begun_again(tmp_path).verify().ok


def begun_again(tmp_path) -> ReviewStore:
    return ReviewStore.open(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home").as_user(READER)


def test_nothing_is_written_after_a_tail_that_was_cut(tmp_path):
    url, home = f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home"
    begun(url, home, 2)
    shutil.copy(tmp_path / "r.db", tmp_path / "old.db")
    shutil.copy(tmp_path / "r.db-wal", tmp_path / "old.db-wal")
    begun(url, home, 2).database.close()
    old = ReviewStore.open(f"sqlite:///{tmp_path / 'old.db'}", home).as_user(READER)
    with pytest.raises(InputError, match="knows record 4, and the store ends at 2: nothing was written"):
        old.record(REVIEW)
    found = old.verify()
    assert (found.ok, found.first_bad, found.num) == (False, 3, 2)
    with pytest.raises(InputError, match="nothing was anchored"):
        old.as_user(ADMIN).anchor()


def test_no_store_is_begun_in_the_home_of_one_that_is_gone(url, tmp_path):
    backup = tmp_path / "backup"
    back_up(begun(f"sqlite:///{tmp_path / 'gone.db'}", tmp_path / "home", 2).as_user(ADMIN), backup)
    with pytest.raises(InputError, match=r"knows reviews, and .* has none; restore a backup"):
        ReviewStore.open(url, tmp_path / "home")
    assert restore(backup, url, tmp_path / "home").num == 2  # as it is told
    with pytest.raises(InputError, match="anchor_every=0"):
        ReviewStore.open(f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "other", anchor_every=0)
    assert begun(f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "other", 1).verify().ok


def test_half_a_line_that_a_failing_disk_left_is_found_and_mended(url, tmp_path):
    store = begun(url, tmp_path / "home", 2)
    path = tmp_path / "home" / "anchors.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    found = store.verify()
    assert not found.ok
    assert "line 3 of" in found.why
    store.record(REVIEW)
    assert store.verify().ok
    assert len(path.read_text().splitlines()) == 4


def test_an_auditor_verifies_with_a_public_key_and_anchors_of_their_own(url, tmp_path):
    store = begun(url, tmp_path / "home", 2).as_user(ADMIN)
    auditor = new_signer(tmp_path / "auditor")
    assert store.anchor(auditor, tmp_path / "audit.jsonl") == 2
    begun(url, tmp_path / "home", 1)
    assert store.anchor(auditor, tmp_path / "audit.jsonl") == 3
    assert store.anchor(auditor, tmp_path / "audit.jsonl") == 3
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["num"] for line in lines] == [2, 3, 3]
    assert all(line["when"].endswith("Z") for line in lines)
    public = [path for folder in ("auditor", "home/keys") for path in (tmp_path / folder).glob("*.pub.pem")]
    begun(url, tmp_path / "home", 1)
    found = store.verify(load_keys(public), [tmp_path / "audit.jsonl"])
    assert (found.ok, found.num, found.anchored) == (True, 4, 3), found.why  # the auditor comes again tomorrow
    found = store.verify(anchors=[tmp_path / "audit.jsonl"])
    assert "signed by none of the keys" in found.why


# Keys


@pytest.mark.parametrize("text", ["", "no key", "rsa", "secret"])
def test_a_wrong_key_is_one_line(tmp_path, text):
    folder = tmp_path / "home" / "keys"
    folder.mkdir(parents=True)
    path = folder / "signing.pem"
    if text == "rsa":
        subprocess.run(["openssl", "genrsa", "-out", path, "1024"], check=True, capture_output=True)
    elif text == "secret":
        command = ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret", "-out", path]
        subprocess.run(command, check=True, capture_output=True)
    else:
        path.write_text(text)
    with pytest.raises(InputError, match="openssl genpkey -algorithm ed25519") as caught:
        ReviewStore.open(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no public key in PEM"):
        load_keys([path])


def test_the_signing_key_is_this_user_s_alone(tmp_path):
    begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home")
    assert (tmp_path / "home" / "keys" / "signing.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home" / "keys").stat().st_mode & 0o777 == 0o700


# Pseudonyms


def test_a_pseudonym_is_the_same_each_time_and_tells_nothing_alike(tmp_path):
    of = Pseudonyms(tmp_path).of
    assert of("P1", "study", "1.2.3") == of("P1", "study", "1.2.3") == Pseudonyms(tmp_path).of("P1", "study", "1.2.3")
    others = [of("P1", "series", "1.2.3"), of("P1", "study", "1.2.4"), of("P2", "study", "1.2.3")]
    others.append(Pseudonyms(tmp_path / "elsewhere").of("P1", "study", "1.2.3"))
    assert len({of("P1", "study", "1.2.3"), *others}) == 5
    names = [str(path) for path in tmp_path.rglob("*")]
    assert not [name for name in names if "P1" in name.removeprefix(str(tmp_path))]
    with pytest.raises(InputError, match="name the patient"):
        of("", "study", "1.2.3")
    (next(tmp_path.glob("??/*.key"))).write_bytes(b"short")
    with pytest.raises(InputError, match="is damaged"):
        [of(patient, "study", "1.2.3") for patient in ("P1", "P2")]


def test_a_patient_s_key_is_destroyed_and_the_chain_stays_whole(url, tmp_path):
    store = begun(url, tmp_path / "home")
    mine, theirs = (store.pseudonyms.of(patient, "study", "1.2.3") for patient in ("P1", "P2"))
    for study in (mine, theirs, mine):
        store.record(replace(REVIEW, study=study))
    keys = {path: path.read_bytes() for path in (tmp_path / "home" / "pseudonyms").glob("??/*.key")}
    assert store.pseudonyms.forget("P1")
    assert not store.pseudonyms.forget("P1")
    assert sum(path.exists() for path in keys) == 1
    again = store.pseudonyms.of("P1", "study", "1.2.3")
    assert again != mine
    assert store.history(again) == ()
    assert len(store.history(store.pseudonyms.of("P2", "study", "1.2.3"))) == 1
    assert store.verify().ok
    assert store.pseudonyms.forget_all()
    assert store.pseudonyms.of("P2", "study", "1.2.3") != theirs
    assert len(store.history(theirs)) == 1
    assert store.verify().ok


def _pseudonym(folder: str) -> str:
    return Pseudonyms(Path(folder)).of("P1", "study", "1.2.3")


def test_processes_that_meet_a_patient_together_make_one_key(tmp_path):
    with get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_pseudonym, [str(tmp_path)] * 16, chunksize=1))) == 1
    assert len(list(tmp_path.glob("??/*"))) == 1  # and leave nothing else


# Backups


@pytest.mark.parametrize("write", [back_up, export])
@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
def test_a_backup_is_restored_into_either_database(url, tmp_path, write, to, request):
    store = begun(url, tmp_path / "home", 5).as_user(ADMIN)
    assert write(store, tmp_path / "backup") == 5
    assert list(tmp_path.glob(".*")) == []
    new = f"sqlite:///{tmp_path / 'new.db'}" if to == "sqlite" else fresh(request)
    assert restore(tmp_path / "backup", new, tmp_path / "home").num == 5
    assert bodies(ReviewStore.open(new, tmp_path / "home")) == bodies(store)
    begun(new, tmp_path / "home", 1)
    with pytest.raises(InputError, match="nothing is ever overwritten"):
        restore(tmp_path / "backup", new, tmp_path / "home", accept_loss=True)
    assert ReviewStore.open(new, tmp_path / "home").verify().num == 6
    with pytest.raises(InputError, match="is ever overwritten"):
        write(store, tmp_path / "backup")


def fresh(request) -> str:
    """Another empty database of the server."""
    import psycopg
    from tests.apps.conftest import DATABASES

    server, name = request.getfixturevalue("postgresql_server"), f"restored{next(DATABASES)}"
    with psycopg.connect(f"host={server} user=tester dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tester@/{name}?host={server}"


def test_a_backup_is_one_file_that_a_read_only_disk_can_hold(tmp_path):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 3).as_user(ADMIN)
    back_up(store, tmp_path / "backup.db")
    whole = (tmp_path / "backup.db").read_bytes()
    copy = ReviewStore.open_there(f"sqlite:///{tmp_path / 'backup.db'}", tmp_path / "home")
    assert copy.verify().ok
    copy.database.close()
    assert (tmp_path / "backup.db").read_bytes() == whole
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.db"]


def changed_export(text: str, way: str) -> str:
    lines = text.splitlines(keepends=True)
    match way:
        case "edited":
            lines[2] = lines[2].replace("accept", "defers")
        case "deleted":
            del lines[2]
        case "swapped":
            lines[2:4] = lines[3:1:-1]
        case "cut":
            del lines[-1]
        case "cut, and the header with it":
            last = json.loads(lines[-2])
            lines = [
                json.dumps({**json.loads(lines[0]), "num": last["num"], "hash": last["hash"]}) + "\n",
                *lines[1:-1],
            ]
        case "cut in a line":
            return text[:-30]
        case "more":
            lines.append(lines[-1])
        case "no text":
            lines[2] = lines[2].replace('"body": "', '"body": 1, "x": "')
        case "no export":
            return "PK\x03\x04" + text
        case "empty":
            return ""
    return "".join(lines)


WAYS = [
    "edited", "deleted", "swapped", "cut", "cut, and the header with it", "cut in a line", "more", "no text",
    "no export", "empty",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_an_export_that_was_changed_is_not_restored(url, tmp_path, way):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 5).as_user(ADMIN)
    export(store, tmp_path / "export")
    text = (tmp_path / "export").read_text()
    (tmp_path / "export").write_text(changed_export(text, way))
    with pytest.raises(InputError) as caught:
        restore(tmp_path / "export", url, tmp_path / "home")
    assert "\n" not in str(caught.value)
    (tmp_path / "export").write_text(text)
    assert restore(tmp_path / "export", url, tmp_path / "home").ok  # nothing was left in its place


def test_a_copy_that_was_changed_is_not_restored(tmp_path):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 5).as_user(ADMIN)
    back_up(store, tmp_path / "backup.db")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as connection, connection:
        connection.execute("DROP TRIGGER reviews_no_update")
        connection.execute("UPDATE reviews SET body = replace(body, 'accept', 'defer') WHERE num = 4")
    with pytest.raises(InputError, match="record 4 does not match its hash"):
        restore(tmp_path / "backup.db", f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "home")
    assert not list(tmp_path.glob("new.db*"))
    with pytest.raises(InputError, match="record 4 does not match its hash"):
        back_up(store_of(tmp_path / "backup.db", tmp_path), tmp_path / "second.db")
    assert not (tmp_path / "second.db").exists()


def store_of(path: Path, tmp_path: Path) -> ReviewStore:
    return ReviewStore.open_there(f"sqlite:///{path}", tmp_path / "home").as_user(ADMIN)


def test_what_an_old_backup_lost_is_said_and_accepted_by_name(url, tmp_path):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 3).as_user(ADMIN)
    export(store, tmp_path / "export")
    begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 2)
    with pytest.raises(InputError, match=r"record 4 is missing.*--accept-loss"):
        restore(tmp_path / "export", url, tmp_path / "home")
    found = restore(tmp_path / "export", url, tmp_path / "home", accept_loss=True)
    assert (found.ok, found.num) == (True, 4)
    lost = json.loads(bodies(ReviewStore.open(url, tmp_path / "home"))[-1])
    assert (lost["kind"], lost["known"]) == ("loss", 5)
    assert (tmp_path / "home" / "anchors.jsonl.lost-after-3").is_file()
    again = begun(url, tmp_path / "home", 2)
    assert again.verify().ok
    assert len(again.history(some_review(0).study)) == 2


def _limited(word: str, folder: str) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    store = store_of(Path(folder) / "r.db", Path(folder))
    try:
        {"export": export, "backup": back_up}[word](store, Path(folder) / word)
    except (InputError, OSError) as error:
        return str(error)
    return "written"


@pytest.mark.parametrize("word", ["export", "backup"])
def test_a_full_disk_leaves_no_half_backup(tmp_path, word):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 12).as_user(ADMIN)
    with get_context("fork").Pool(1) as pool:
        said = pool.apply(_limited, (word, str(tmp_path)))
    assert "File too large" in said or "free space" in said
    assert "\n" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "r.db", "r.db-shm", "r.db-wal"]
    assert store.verify().ok


def environment(tmp_path: Path) -> dict[str, str]:
    where = {"MAINSTEM_REVIEW_URL": f"sqlite:///{tmp_path / 'r.db'}", "MAINSTEM_REVIEW_HOME": str(tmp_path / "home")}
    return {**os.environ, **where}


# Read-only places


def _nobody_records(folder: str) -> str:
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        ReviewStore.open(f"sqlite:///{folder}/r.db", Path(folder) / "home").as_user(READER).record(REVIEW)
    except (InputError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "recorded"


def test_a_place_that_cannot_be_written_says_so():
    import tempfile

    with tempfile.TemporaryDirectory(prefix="reviews") as name:
        folder = Path(name)
        begun(f"sqlite:///{folder / 'r.db'}", folder / "home", 1).database.close()
        (folder / "home" / "keys" / "signing.pem").chmod(0o444)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        with get_context("fork").Pool(1) as pool:
            said = pool.apply(_nobody_records, (name,))
        folder.chmod(0o755)
        for path in folder.rglob("*"):
            path.chmod(0o755)
    assert said.startswith("InputError: the review store sqlite:///")
    assert "read-only" in said or "cannot be opened" in said


# Commands


def run(tmp_path: Path, *arguments: str, said: str | None = None):
    return CliRunner().invoke(app, ["review", *arguments], env=environment(tmp_path), input=said)


def test_the_administrator_s_commands(tmp_path):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 3)
    store.pseudonyms.of("P1", "study", "1.2.3")
    done = run(tmp_path, "verify")
    assert done.exit_code == 0
    assert "records 0 to 3 are as they were written; anchored up to 3" in done.output
    said = json.loads(run(tmp_path, "verify", "--json").stdout)
    assert said == {
        "num": 3, "ok": True, "first_bad": None, "why": "", "anchored": 3, "is_behind": False,
        "keys": list(store.keys.fingerprints()),
    }  # fmt: skip
    assert run(tmp_path, "anchor", "--to", str(tmp_path / "copy.jsonl")).exit_code == 0
    assert (tmp_path / "copy.jsonl").read_text() == (tmp_path / "home" / "anchors.jsonl").read_text()
    new_signer(tmp_path / "auditor")
    done = run(
        tmp_path, "anchor", "--key", str(tmp_path / "auditor" / "signing.pem"), "--to", str(tmp_path / "own.jsonl")
    )
    assert done.output == "anchored up to record 3\n"
    public = [str(path) for path in tmp_path.glob("*/**/*.pub.pem")]
    keys = [part for path in public for part in ("--public-key", path)]
    elsewhere = ["--home", str(tmp_path / "none"), "--anchors", str(tmp_path / "own.jsonl"), *keys]
    assert run(tmp_path, "verify", *elsewhere).exit_code == 0  # no key of the store's home is needed
    assert run(tmp_path, "export", str(tmp_path / "e.jsonl")).output.startswith("records 0 to 3 in ")
    assert run(tmp_path, "backup", str(tmp_path / "b.db")).exit_code == 0
    done = run(tmp_path, "restore", str(tmp_path / "b.db"), "--url", f"sqlite:///{tmp_path / 'new.db'}")
    assert done.output == "restored records 0 to 3\n"
    assert run(tmp_path, "forget", said="P1\n").exit_code == 0
    assert not list((tmp_path / "home" / "pseudonyms").glob("??/*.key"))
    before = store.pseudonyms.of("P2", "study", "1.2.3")
    assert "nothing is destroyed" in str(run(tmp_path, "forget", "--all", said="P2\n").exception)
    assert store.pseudonyms.of("P2", "study", "1.2.3") == before
    assert run(tmp_path, "forget", "--all", said="all\n").exit_code == 0
    assert "no secret of a site" in str(run(tmp_path, "forget", "--all", said="all\n").exception)
    assert store.pseudonyms.of("P2", "study", "1.2.3") != before


def test_verify_ends_with_one_and_names_the_record(tmp_path):
    begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 3).database.close()
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection, connection:
        connection.execute("DROP TRIGGER reviews_no_update")
        connection.execute("UPDATE reviews SET body = replace(body, 'accept', 'defer') WHERE num = 1")
    done = run(tmp_path, "verify", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["first_bad"] == 1
    assert "record 1 does not match its hash" in run(tmp_path, "verify").output


@pytest.mark.parametrize("word", ["verify", "anchor", "export", "backup", "restore", "forget"])
def test_a_mistake_is_one_line(tmp_path, word):
    arguments = [tmp_path / "none"] if word in ("export", "backup", "restore") else []
    run_cli("review", word, *arguments, env=environment(tmp_path)).refused()
    assert list(tmp_path.iterdir()) == []  # looking leaves nothing behind


def test_help_loads_no_database():
    program = (
        "import sys; import mainstem.apps.cli_review; sys.exit('sqlalchemy' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_only_an_administrator_keeps_the_store(tmp_path):
    store = begun(f"sqlite:///{tmp_path / 'r.db'}", tmp_path / "home", 1)
    for call in (back_up, export):
        with pytest.raises(InputError, match="role reader may not"):
            call(store, tmp_path / "backup")
        with pytest.raises(InputError, match="sign in first"):
            call(replace(store, user=None), tmp_path / "backup")
    research = ReviewStore.open(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "other", "research")
    assert export(research.as_user(User("p-" + "0" * 32, "researcher")), tmp_path / "export") == 0
    assert AnchorFile(tmp_path / "other" / "anchors.jsonl").last() == 0


@pytest.mark.parametrize("at", ["overwritten", "deleted"])
def test_a_key_that_is_half_destroyed_is_never_used_and_the_next_call_ends_it(tmp_path, monkeypatch, at):
    pseudonyms = Pseudonyms(folder=tmp_path)
    before = pseudonyms.of("P1", "study", "1.2.3")
    with monkeypatch.context() as patch:
        target, name = (os, "fsync") if at == "overwritten" else (Path, "unlink")
        patch.setattr(target, name, lambda *_: (_ for _ in ()).throw(OSError("I/O error")))
        with pytest.raises(OSError, match="I/O error"):
            pseudonyms.forget_all()
    assert pseudonyms.of("P1", "study", "1.2.3") != before  # of a site's secret drawn anew, not of zeros
    (site,) = tmp_path.glob("site.key")
    assert any(site.read_bytes())
    assert pseudonyms.forget_all()
    assert not list(tmp_path.glob("site*"))
    assert not pseudonyms.forget_all()


def test_a_key_of_zeros_is_no_key(tmp_path):
    pseudonyms = Pseudonyms(folder=tmp_path)
    pseudonyms.of("P1", "study", "1.2.3")
    (site,) = tmp_path.glob("site.key")
    site.write_bytes(bytes(len(site.read_bytes())))
    with pytest.raises(InputError, match="want 32 drawn ones"):
        pseudonyms.of("P1", "study", "1.2.3")
