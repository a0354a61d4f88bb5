"""An archive's index: only what changed is read, a share that is away is kept, and a kill harms nothing."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.apps.media.archives import HERE, archive, content_of, indexed, picture, said, sound, states, tree

from mainstem.apps.media import reading as media_reading
from mainstem.apps.media import scan as media_scan
from mainstem.apps.media.archives import note_archive
from mainstem.apps.media.catalogue import Catalogue, index_home
from mainstem.apps.media.index import IndexOptions, index_folder, lines_of
from mainstem.apps.media.readers import read_files
from mainstem.apps.media.reading import Job
from mainstem.apps.media.tables import LAYOUT, SCHEMA, Read
from mainstem.core.errors import ArtifactError, InputError
from mainstem.data.hearing import hearing
from mainstem.data.media.searched import FIELDS


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    return archive(tmp_path / "archive")


def test_a_second_run_reads_nothing_and_nothing_is_written_into_the_archive(root):
    before = tree(root)
    first = indexed(root)
    assert first["kinds"] == {"image": 5, "sound": 1, "text": 1}
    assert first["states"] == {"present": 7, "sidecar": 3}
    assert first["embedded"] == 5
    held = content_of(root)
    second = indexed(root)
    assert (second["read"], second["embedded"], second["unchanged"]) == (0, 0, 10)
    assert content_of(root) == held
    assert tree(root) == before


def test_what_is_new_edited_moved_copied_and_gone_is_known_for_that(root):
    indexed(root)
    held = content_of(root)
    (root / "day0" / "photo0.jpg").rename(root / "renamed.jpg")
    shutil.copy(root / "day1" / "photo1.jpg", root / "elsewhere.jpg")
    (root / "day1" / "photo1.jpg").unlink()
    shutil.copy(root / "day0" / "photo2.jpg", root / "copy.jpg")
    picture(root / "day0" / "photo4.jpg", 40)
    (root / "minutes.txt").unlink()
    told = indexed(root)
    assert told["moved"] == {"renamed.jpg": "day0/photo0.jpg", "elsewhere.jpg": "day1/photo1.jpg"}
    assert (told["new"], told["changed"], told["gone"], told["embedded"]) == (2, 1, 1, 1)
    now = content_of(root)
    assert now["renamed.jpg"][2] == held["day0/photo0.jpg"][2]
    assert now["renamed.jpg"][4] == held["day0/photo0.jpg"][4]
    assert now["copy.jpg"][2:5] == now["day0/photo2.jpg"][2:5]
    assert "minutes.txt" not in now
    catalogue = Catalogue(root, is_read_only=True)
    edited = catalogue.db.execute("SELECT edited_from FROM files WHERE path = 'day0/photo4.jpg'").fetchone()[0]
    assert edited == held["day0/photo4.jpg"][2]
    assert catalogue.db.execute("SELECT count(*) FROM contents").fetchone()[0] == len(
        {row[2] for row in now.values() if row[2]}
    )
    catalogue.close()


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that are decoded from here on."""
    found: list[str] = []

    looked_at = media_reading._looked_at

    def counted(path: Path, read: Read) -> Read:
        found.append(path.name)
        return looked_at(path, read)

    monkeypatch.setattr(media_reading, "_looked_at", counted)
    return found


def test_known_bytes_are_not_decoded_again_wherever_they_lie(root, decoded, tmp_path):
    indexed(root)
    first = sorted(decoded)
    assert len(first) == 7
    held = content_of(root)
    shutil.copy(root / "day0" / "photo0.jpg", root / "copy.jpg")
    shutil.copy(root / "day1" / "photo1.jpg", tmp_path / "away.jpg")
    (root / "day1" / "photo1.jpg").unlink()
    shutil.copy(tmp_path / "away.jpg", root / "elsewhere.jpg")
    picture(root / "day0" / "photo2.jpg", 60)
    assert indexed(root)["moved"] == {"elsewhere.jpg": "day1/photo1.jpg"}
    assert sorted(decoded[7:]) == ["photo1.jpg.json", "photo2.jpg"]  # the first speaks of nothing any more
    now = content_of(root)
    assert now["copy.jpg"][2:5] == held["day0/photo0.jpg"][2:5]
    assert now["elsewhere.jpg"][2:5] == held["day1/photo1.jpg"][2:5]


def test_what_an_older_reader_read_is_read_again_and_nothing_else(root, decoded, monkeypatch):
    indexed(root)
    held = content_of(root)
    decoded.clear()
    monkeypatch.setitem(media_reading.READERS, "image", media_reading.READERS["image"] + 1)
    told = indexed(root)
    assert sorted(decoded) == [f"photo{seed}.jpg" for seed in range(5)]
    assert (told["read"], told["reread"], told["unchanged"], told["embedded"]) == (5, 5, 10, 5)
    assert content_of(root) == held
    assert (indexed(root)["read"], len(decoded)) == (0, 5)
    (root / "odd.bin").write_bytes(bytes(range(256)))
    indexed(root)
    monkeypatch.setitem(media_reading.READERS, "sound", 99)  # it may know what nobody knew
    assert indexed(root)["reread"] == 2


def test_frames_of_a_file_that_is_read_at_last_are_there_once(root, monkeypatch):
    monkeypatch.setattr(media_reading, "read_metadata", lambda path: (_ for _ in ()).throw(OSError("away")))
    assert indexed(root)["states"]["refused"] == 7
    monkeypatch.undo()
    monkeypatch.setenv("MAINSTEM_HOME", str(root.parent / "home"))
    indexed(root, IndexOptions(workers=0, retry=True))
    catalogue = Catalogue(root, is_read_only=True)
    assert catalogue.db.execute("SELECT count(*) FROM frames").fetchone()[0] == 5
    catalogue.close()


def test_an_index_of_other_fields_is_of_another_version(root):
    first = indexed(root)
    note_archive(root, "Town", "real data", "CC0")
    for fields in (FIELDS[:-1], (*FIELDS, "colour")):
        assert hashlib.sha256(SCHEMA.replace(", ".join(FIELDS), ", ".join(fields)).encode()).hexdigest()[:12] != LAYOUT
    catalogue = Catalogue(root)
    catalogue.tell("layout", "2")
    catalogue.close()
    with pytest.raises(ArtifactError, match="another version; run mainstem media index"):
        Catalogue(root, is_read_only=True)
    with hearing() as notes:
        assert indexed(root)["new"] == first["new"] > 0
    assert "was of another version and is made again" in notes[0]
    assert indexed(root)["new"] == 0
    assert (index_home(root) / "catalogue.db.before").is_file()
    catalogue = Catalogue(root, is_read_only=True)
    assert json.loads(catalogue.told("note"))["title"] == "Town"
    catalogue.close()


def test_an_index_of_another_version_of_an_offline_archive_is_kept(root):
    indexed(root)
    catalogue = Catalogue(root)
    catalogue.tell("layout", "2")
    catalogue.close()
    root.rename(root.with_name("away"))
    with pytest.raises(ArtifactError, match="another version"):
        indexed(root)
    assert not (index_home(root) / "catalogue.db.before").exists()


def test_a_changed_sidecar_is_told_again_and_the_picture_is_not_read(root, monkeypatch):
    indexed(root)
    said(root / "day1" / "photo1.jpg", caption="The mayor closes the bridge")
    monkeypatch.setattr("mainstem.apps.media.reading._sha256", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr("mainstem.apps.media.reading.is_beside", lambda path: path.suffix == ".json")
    told = indexed(root)
    assert (told["new"], told["embedded"]) == (0, 0)
    assert "closes" in str(content_of(root)["day1/photo1.jpg"])


def test_a_folder_that_is_away_is_offline_and_kept(root):
    indexed(root)
    held = content_of(root)
    away = root.with_name("away")
    root.rename(away)
    told = indexed(root)
    assert told["offline"] == "the folder is not there"
    assert told["states"] == {"offline": 7, "sidecar": 3}
    root.mkdir()
    assert indexed(root)["offline"] == "the folder is empty, where files were"
    (root / ".autofs").touch()
    assert indexed(root)["states"]["offline"] == 7
    (root / ".autofs").unlink()
    root.rmdir()
    away.rename(root)
    told = indexed(root)
    assert (told["returned"], told["read"], told["embedded"]) == (7, 0, 0)
    assert content_of(root) == held


def test_a_share_that_is_unmounted_inside_the_archive_is_offline_and_a_deleted_file_is_gone(root, monkeypatch):
    indexed(root)
    shutil.rmtree(root / "day1")
    (root / "day1").mkdir()
    real = media_scan._device_above
    monkeypatch.setattr(
        media_scan, "_device_above", lambda place, path: -7 if path.startswith("day1/") else real(place, path)
    )
    (root / "day0" / "photo2.jpg").unlink()
    told = indexed(root)
    assert told["gone"] == 1
    assert told["states"]["offline"] == 2
    assert states(root)["day1/photo3.jpg"] == "offline"
    monkeypatch.setattr(media_scan, "_device_above", real)
    assert indexed(root)["gone"] > 0  # mounted again, and they are not there
    assert "day1/photo3.jpg" not in states(root)


def test_what_cannot_be_read_is_refused_by_name_and_the_rest_goes_on(root):
    whole = (root / "day0" / "photo0.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (root / "lying.jpg").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    (root / "empty.jpg").touch()
    (root / "bomb.png").write_bytes(bomb())
    (root / "unknown.xyz").write_bytes(bytes(range(256)))
    (root / "link.jpg").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe.jpg")
    (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(whole)
    told = indexed(root)
    refused = told["refused"]
    assert {"cut.jpg", "lying.jpg", "empty.jpg", "bomb.png", "link.jpg", "pipe.jpg"} <= set(refused)
    assert any("UTF-8" in why for why in refused.values())
    assert "pixels" in refused["bomb.png"]
    assert told["kinds"]["image"] == 5
    assert states(root)["unknown.xyz"] == "skipped"
    assert indexed(root)["read"] == 0
    assert indexed(root, IndexOptions(workers=0, retry=True))["read"] == 4
    (root / "cut.jpg").write_bytes(whole)
    assert "cut.jpg" not in indexed(root)["refused"]


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few bytes, as its header says."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_what_of_sidecars_is_not_understood_is_named_in_every_run(root):
    said(root / "day0" / "photo0.jpg", Title="Harbour", title="Harbour")
    said(root / "day1" / "photo1.jpg", Title="Bridge", captured="31/05/2024")
    (root / "talk.srt").write_text("1\nxx --> yy\nTaxes will rise\n", encoding="utf-8")
    for _ in range(2):
        told = indexed(root)
        assert told["not_understood"] == {
            "day0/photo0.jpg": {"sidecar photo0.jpg.json": ["field Title"]},
            "day1/photo1.jpg": {
                "sidecar photo1.jpg.json": [
                    "field Title", "captured, which is no date as 2024-05-31 or 2024-05-31T18:00+02:00: 31/05/2024"
                ]
            },
            "talk.wav": {"sidecar talk.srt": ["1 of its blocks have no times and were skipped"]},
        }  # fmt: skip
    lines = list(lines_of(told))
    assert "not understood: field Title (sidecar photo0.jpg.json of day0/photo0.jpg and 1 more)" in lines
    assert sum(line.startswith("not understood: ") for line in lines) == 3


def test_a_file_that_takes_too_long_is_refused(root, monkeypatch):
    monkeypatch.setattr("mainstem.apps.media.reading.MOST_S", 0.05)
    monkeypatch.setattr("mainstem.apps.media.reading.kind_of", lambda path: time.sleep(5))
    told = next(read_files([Job(root, "day0/photo0.jpg")], 0))
    assert "took more than" in told.refused


def test_home_inside_the_archive_is_refused(root, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(root / "home"))
    with pytest.raises(InputError, match="nothing is ever written"):
        indexed(root)
    assert not (root / "home").exists()
    with pytest.raises(InputError, match="no such folder"):
        index_folder(root / "nowhere", HERE)


def killed_at(root: Path, processor_s: float) -> bool:
    """Index in a process of its own that ends, as by a kill, after so much processor time; True where it was killed."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends a process at once
        signal.setitimer(signal.ITIMER_PROF, processor_s)
        try:
            index_folder(root, HERE)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_often(root: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill an index at random points, change the archive in between, and hold it against one that was never killed."""
    monkeypatch.setattr("mainstem.apps.media.index.COMMIT_FILES", 2)
    monkeypatch.setattr("mainstem.apps.media.embedding.COMMIT", 1)
    monkeypatch.setattr("mainstem.apps.media.embedding.BATCH", 2)
    monkeypatch.setattr("mainstem.apps.media.store.EXACT", 3)
    indexed(root)  # imports are no part of it
    shutil.rmtree(index_home(root))
    start = time.process_time()
    indexed(root)
    whole_s = time.process_time() - start
    drawn, num_killed = random.Random(0), 0
    for number in range(times):
        shutil.rmtree(index_home(root)) if number % 3 == 0 else None
        picture(root / f"new{number % 4}.jpg", 100 + number)
        sound(root / f"new{number % 4}.wav", 0.1 + number / 100)
        num_killed += killed_at(root, max(drawn.random() * whole_s, 0.001))
        if (index_home(root) / "catalogue.db").is_file():
            catalogue = Catalogue(root)  # whole, whatever it holds
            assert catalogue.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            catalogue.close()
    indexed(root)
    held = content_of(root)
    shutil.rmtree(index_home(root))
    indexed(root)
    assert content_of(root) == held
    assert num_killed > times / 4
    assert len(list(index_home(root).glob("codes-*"))) == 1


def test_an_index_that_is_killed_again_and_again_is_whole(root, monkeypatch):
    kill_often(root, 6, monkeypatch)


@pytest.mark.slow
def test_an_index_that_is_killed_at_a_hundred_points_is_whole(root, monkeypatch):
    kill_often(root, 100, monkeypatch)


@pytest.mark.long
def test_a_reader_that_dies_costs_its_file_alone(root, monkeypatch, tmp_path):
    """Readers are killed as a decoder's fault would end them: the file is refused, and those in hand are read again."""
    jobs = [Job(root, f"day0/photo{seed}.jpg") for seed in (0, 2, 4)]
    from mainstem.apps.media import readers as media_readers

    monkeypatch.setattr(media_readers, "read_file", dying)
    found = list(read_files([*jobs[:1], Job(root, "kill"), *jobs[1:]], 2))
    assert [bool(one.refused) for one in found] == [False, True, False, False]
    assert "ended the process" in found[1].refused


def dying(job: Job):
    from mainstem.apps.media.reading import read_file

    if job.path == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return read_file(job)


def test_processes_that_never_begin_refuse_no_file(root):
    code = f"""
from pathlib import Path
from mainstem.apps.media.index import IndexOptions, index_folder
index_folder(Path({str(root)!r}), IndexOptions(workers=2))
"""  # given on standard input there is no file that a new process could begin with
    ended = subprocess.run([sys.executable, "-"], input=code, text=True, capture_output=True, check=False)
    assert "no process that reads files could be started" in ended.stderr
    assert indexed(root, IndexOptions(workers=0))["refused"] == {}
