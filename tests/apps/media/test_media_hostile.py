"""Sidecars, folders, disks and indexes that are damaged or hostile: one file is refused, nothing is freed or lost."""

import contextlib
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apps.media.archives import HERE, archive, content_of, indexed, picture, said, sound, states

from mainstem.apps.media.catalogue import Catalogue, index_home
from mainstem.apps.media.duplicates import find_duplicates
from mainstem.apps.media.index import IndexOptions, lines_of
from mainstem.apps.media.query import Filters, Query
from mainstem.apps.media.results import lines_of as found_lines
from mainstem.apps.media.scan import _stamped
from mainstem.apps.media.search import MediaSearch
from mainstem.apps.media.tables import SCHEMA, Read, Stamp
from mainstem.core.errors import ArtifactError, InputError, MainstemError


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    return archive(tmp_path / "archive")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """An archive that is indexed once, and its whole index."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(folder / "home"))
        indexed(archive(folder / "archive"))
        return folder, (index_home(folder / "archive") / "catalogue.db").read_bytes()


@pytest.fixture
def whole(once: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """That archive, with its index as it was."""
    folder, data = once
    monkeypatch.setenv("MAINSTEM_HOME", str(folder / "home"))
    for left in index_home(folder / "archive").glob("catalogue.db*"):
        left.unlink()
    (index_home(folder / "archive") / "catalogue.db").write_bytes(data)
    return folder / "archive"


def ask(root: Path, text: str = "", **given: object) -> dict:
    with contextlib.closing(MediaSearch(root)) as search:
        return search.search(Query(text=text, with_irrelevant=True, **given))


def paths(told: dict) -> set[str]:
    return {one["path"] for one in told["results"]}


@contextlib.contextmanager
def as_anybody() -> Iterator[None]:
    """Without root's right to read and list everything (capabilities 1 and 2 of Linux), in this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    fewer = (ctypes.c_uint32 * 6)(*before)
    fewer[0] &= ~0b110
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


def test_letters_that_are_none_cost_nothing(root):
    raw = dict.fromkeys(("captured", "embargo", "opt_out", "tdm_reservation"), "\udc80 2020")
    raw["credit"] = "\ud800 Wire"
    said(root / "day1" / "photo3.jpg", **raw, keywords=["\ud800 dog"])
    told = indexed(root)
    assert told["kinds"] == {"image": 5, "sound": 1, "text": 1}
    assert paths(ask(root, "wire")) == {"day1/photo3.jpg"}
    json.dumps(ask(root, "wire"), ensure_ascii=False).encode()


def test_what_cannot_be_written_is_refused_by_name_and_its_batch_goes_on(root):
    from mainstem.apps.media.index import _commit
    from mainstem.apps.media.scan import Scan

    stamp = Stamp(size=1, mtime_ns=1, inode=1, device=1, beside="")
    held = [
        Read(path=name, sha256=name, kind="image", facts={"width": 1}, told={"rights": rights})
        for name, rights in (("a.jpg", "ours"), ("b.jpg", "\ud800"), ("c.jpg", "ours"))
    ]
    catalogue = Catalogue(root)
    _commit(catalogue, held, (Scan(new=dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), stamp)), {}), {})
    catalogue.close()
    assert states(root) == {"a.jpg": "present", "b.jpg": "refused", "c.jpg": "present"}


UNREAD = {
    "cut": '{"embargo": "2099-01-0',
    "twice": '{"embargo": "2099-01-01", "embargo": ""}',
    "deep": '{"embargo": ' + "[" * 200_000,
    "empty": "",
}


def test_what_a_sidecar_says_is_held_where_it_cannot_be_read(root, tmp_path):
    names = [*UNREAD, "link", "pipe"]
    for number, name in enumerate(names):
        picture(root / f"{name}.jpg", 50 + number)
    for name, text in UNREAD.items():
        (root / f"{name}.jpg.json").write_text(text)
    (tmp_path / "elsewhere.json").write_text('{"embargo": "2099-01-01"}')
    (root / "link.jpg.json").symlink_to(tmp_path / "elsewhere.json")
    os.mkfifo(root / "pipe.jpg.json")
    told = indexed(root)
    wanted = {f"{name}.jpg" for name in names}
    assert set(told["unread"]) == wanted
    assert all(any(line.startswith("held") and name in line for line in lines_of(told)) for name in wanted)
    assert paths(ask(root, filters=Filters(embargo="held"))) == wanted
    assert not wanted & paths(ask(root, filters=Filters(embargo="free")))
    assert paths(ask(root, filters=Filters(opt_out="unclear"))) == wanted
    one = ask(root, filters=Filters(embargo="held"), limit=1)
    assert one["results"][0]["embargo"]["until"] is None
    assert "cannot be read" in one["results"][0]["notes"][0]
    assert any("nobody knows when" in line for line in found_lines(one))
    assert any("cannot be read" in line for line in found_lines(one))
    (root / "cut.jpg.json").write_text("{}")
    assert set(indexed(root)["unread"]) == wanted - {"cut.jpg"}
    assert "cut.jpg" in paths(ask(root, filters=Filters(embargo="free")))


def test_a_sidecar_that_may_be_read_again_is_read_again(root):
    sidecar = said(root / "day1" / "photo3.jpg", title="Bridge")
    sidecar.chmod(0)
    with as_anybody():
        assert set(indexed(root)["unread"]) == {"day1/photo3.jpg"}
        sidecar.chmod(0o600)
        assert not indexed(root, IndexOptions(workers=0, retry=True))["unread"]
    assert paths(ask(root, "bridge")) == {"day1/photo3.jpg", "day1/photo1.jpg"}


def test_a_folder_that_cannot_be_listed_is_offline_and_nothing_of_it_is_forgotten(root):
    indexed(root)
    held = content_of(root)
    (root / "day1").chmod(0)
    with as_anybody():
        told = indexed(root)
        assert (told["gone"], told["states"]["offline"]) == (0, 2)
        assert "cannot be listed" in told["refused"]["day1"]
        (root / "day1").chmod(0o400)  # names are told, and nothing else of the files
        assert indexed(root)["gone"] == 0
        (root / "day1").chmod(0o700)
        assert indexed(root)["returned"] == 2
        root.chmod(0)
        told = indexed(root)
        assert "cannot be listed" in told["offline"]
        root.chmod(0o700)
    indexed(root)
    assert content_of(root) == held


def test_many_files_of_one_beginning_are_told_in_linear_time_and_one_more_changes_none(root):
    seen = root.stat()
    files = [(f"2024.05.31-{number:05}.jpg", seen) for number in range(6000)]
    files += [("2024.05.31-00007.jpg.json", seen)]
    start = time.process_time()
    before = dict(_stamped(files))
    assert time.process_time() - start < 3
    after = dict(_stamped([*files, ("2024.05.31-99999.jpg", seen), ("2024.05.31-00003.json", seen)]))
    assert {path for path in before if before[path] != after[path]} == {"2024.05.31-00003.jpg"}
    assert before["2024.05.31-00007.jpg"].beside
    assert not before["2024.05.31-00008.jpg"].beside


def test_a_disk_that_is_full_is_named_and_the_index_keeps_its_last_commit(root):
    indexed(root)
    held = content_of(root)
    for number in range(8):
        picture(root / f"more{number}.jpg", 70 + number)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 10, before[1]))
    try:
        with pytest.raises(InputError, match=r"keeps what was committed last") as caught:
            indexed(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(index_home(root)) in str(caught.value)
    assert content_of(root) == held
    assert indexed(root)["new"] == 8


DAMAGE = [
    "UPDATE about SET value = '{' WHERE name = 'model'",
    "UPDATE about SET value = '[]' WHERE name = 'model'",
    """UPDATE about SET value = '{"name": 7}' WHERE name = 'model'""",
    "UPDATE files SET told = 'x'",
    "UPDATE files SET told = '[]'",
    """UPDATE files SET told = '{"opt_out": 5}'""",
    """UPDATE files SET told = '{"embargo": "x"}'""",
    """UPDATE files SET told = '{"notes": 5}'""",
    "UPDATE contents SET facts = '7'",
    "UPDATE contents SET facts = '" + "[" * 5000 + "'",
    "UPDATE vectors SET vector = x'0001'",
    "UPDATE vectors SET vector = 'words'",
    "UPDATE frames SET time_s = 'noon'",
    "UPDATE files SET embargo = x'00'",
    "UPDATE files SET path = '../secret.jpg' WHERE path = 'day0/photo0.jpg'",
    "UPDATE files SET path = '/etc/passwd' WHERE path = 'day0/photo0.jpg'",
    "UPDATE files SET path = 'day0/../../x' WHERE path = 'day0/photo0.jpg'",
    "UPDATE files SET path = x'ff00' WHERE path = 'day0/photo0.jpg'",
    "DROP TABLE frames",
    "DROP TABLE words",
]


@pytest.mark.parametrize("sql", DAMAGE, ids=lambda sql: sql[:60])
def test_an_index_that_was_edited_by_hand_is_said_to_be_damaged(whole, sql):
    asked = whole / "day0" / "photo0.jpg"
    with contextlib.closing(sqlite3.connect(index_home(whole) / "catalogue.db")) as db, db:
        db.execute(sql)
    said_so = []
    for doing in (
        lambda: ask(whole, "harbour"),
        lambda: ask(whole, like=(asked,)),
        lambda: ask(whole, filters=Filters(kind="image")),
        lambda: indexed(whole, IndexOptions(workers=0, retry=True)),
    ):
        try:
            told = doing()
        except ArtifactError as error:
            said_so.append(str(error))
        else:
            assert not {"../secret.jpg", "/etc/passwd", "day0/../../x"} & paths({"results": [], **told})
            list(found_lines(told) if "results" in told else lines_of(told))
    assert said_so
    assert all("delete it and index again" in words for words in said_so)


def test_codes_that_lie_elsewhere_are_not_opened(whole, tmp_path):
    catalogue = Catalogue(whole)
    model = json.loads(catalogue.told("model"))["sha256"]
    (tmp_path / "elsewhere").write_bytes(b"no codes")
    catalogue.tell("approximate", json.dumps({"file": "../" * 9 + str(tmp_path / "elsewhere"), "model": model,
                                              "num": 1, "last": 0}))  # fmt: skip
    catalogue.close()
    with pytest.raises(ArtifactError, match="damaged"):
        ask(whole, like=(whole / "day0" / "photo0.jpg",))


def test_bytes_that_are_damaged_anywhere_are_said(whole):
    file = index_home(whole) / "catalogue.db"
    data, drawn = file.read_bytes(), random.Random(0)
    for _ in range(12):
        damaged = bytearray(data)
        for _ in range(40):
            place = drawn.randrange(0, len(damaged) - 64)
            damaged[place : place + 64] = drawn.randbytes(64)
        file.write_bytes(damaged)
        for doing in (lambda: ask(whole, "harbour"), lambda: indexed(whole)):
            with contextlib.suppress(MainstemError):
                doing()
        for left in file.parent.glob("catalogue.db-*"):
            left.unlink()


def test_a_kill_while_an_index_is_made_leaves_none_that_is_of_another_version(root):
    child = os.fork()
    if not child:
        Catalogue.tell = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        Catalogue(root)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with pytest.raises(InputError, match="has no index"):
        MediaSearch(root)
    assert indexed(root)["kinds"]["image"] == 5
    shutil.rmtree(index_home(root))
    index_home(root).mkdir()
    with contextlib.closing(sqlite3.connect(index_home(root) / "catalogue.db")) as db:
        db.executescript(SCHEMA)  # as kills of earlier versions left it
    assert indexed(root)["kinds"]["image"] == 5


def test_a_file_without_rights_costs_no_copies(root):
    shutil.copy(root / "day0" / "photo0.jpg", root / "copy.jpg")
    (root / "day1" / "photo1.jpg").chmod(0)
    (root / "closed").mkdir(0)
    with as_anybody():
        found = find_duplicates(root, options=HERE)  # processes that root starts may read everything
    assert [{path.name for path in group} for group in found.groups] == [{"photo0.jpg", "copy.jpg"}]
    assert {path.name for path in found.refused} == {"photo1.jpg", "closed"}


def test_a_text_beside_a_damaged_picture_is_named(root):
    whole = (root / "day0" / "photo0.jpg").read_bytes()
    (root / "report.jpg").write_bytes(whole[: len(whole) // 3])
    (root / "report.txt").write_text("The dam holds.\n")
    sound(root / "report.wav")
    told = indexed(root, HERE)
    assert "report.txt" in told["refused"]["report.jpg"]


def test_only_dates_are_compared_as_dates(root):
    for number, captured in enumerate(["yesterday", "2024-05-31T10:00:00", "9999", "2024-W01-1", "2024-06-01x"]):
        said(picture(root / f"dated{number}.jpg", 80 + number), captured=captured)
    indexed(root)
    assert paths(ask(root, filters=Filters(since="2020-01-01"))) == {"dated1.jpg"}
    assert paths(ask(root, filters=Filters(since="20240531", until="2024-05-31"))) == {"dated1.jpg"}
    assert ask(root, "dated0")["results"][0]["captured"] == "yesterday"


@pytest.mark.parametrize("below", ["day1", "./day1", "day1/", "day0/../day1", "{root}/day1"])
def test_below_is_a_folder_of_the_archive_however_it_is_written(root, below):
    indexed(root)
    below = below.format(root=root)
    assert paths(ask(root, filters=Filters(below=below))) == {"day1/photo1.jpg", "day1/photo3.jpg"}


@pytest.mark.parametrize("below", ["day7", "..", "/etc", "day1/photo1.jpg", "day*", ""])
def test_below_no_folder_of_the_archive_is_refused(root, below):
    indexed(root)
    with pytest.raises(InputError, match="--below"):
        ask(root, filters=Filters(below=below))
