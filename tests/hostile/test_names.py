"""Names that are taken, that lead elsewhere, that are no text, or that would write on a terminal what is not so."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mainstem.apps.region_sets import keep_upload
from mainstem.core.errors import MainstemError
from mainstem.core.files import new_folder
from tests.hostile.harness import run_call, run_cli

TABLE = "sample,target,group,licence,rain [mm]\na,1,x,CC0-1.0,2\nb,2,y,CC0-1.0,3\n"
YIELDS = b"adm_id,harvest_year,yield\nNL1,2019,8.0\nNL1,2020,8.4\n"


@pytest.mark.parametrize("name", ["crop-yield", "template"])
def test_an_adapter_takes_no_name_that_is_taken(tmp_path, name):
    (tmp_path / "t.csv").write_text(TABLE)
    run_cli("new-adapter", name, "--data", "t.csv", cwd=tmp_path).refused("taken", name)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def package(path: Path) -> None:
    path.with_suffix("").mkdir()


@pytest.mark.parametrize(("file", "spoil"), [
    ("adapters/soil.py", dangling), ("tests/adapters/test_soil.py", dangling), ("adapters/soil.py", package)
])  # fmt: skip
def test_an_adapter_replaces_no_link_and_stands_beside_no_package(tmp_path, file, spoil):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / file).parent.mkdir(parents=True)
    spoil(tmp_path / file)
    run_cli("new-adapter", "soil", "--data", "t.csv", cwd=tmp_path).refused("exists already")
    assert not [path for path in tmp_path.rglob("*.py") if path.is_file()]


@pytest.fixture
def uploads(tmp_path, monkeypatch) -> Path:
    """The folder of users' own sets, empty."""
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "v1" / "uploads"
    folder.mkdir(parents=True)
    return folder


def left(uploads: Path, tmp_path: Path) -> None:
    place = uploads / ".two.part" / "wheat" / "NL"
    place.mkdir(parents=True)
    (place / "ndvi_wheat_NL.csv").write_text("of another set")


def led(uploads: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (uploads / ".two.part").symlink_to(tmp_path / "elsewhere")


@pytest.mark.parametrize("spoil", [left, led])
def test_an_upload_holds_its_own_files_alone(uploads, tmp_path, spoil: Callable[[Path, Path], None]):
    spoil(uploads, tmp_path)
    kept = keep_upload("two", {"yield_wheat_NL.csv": YIELDS})
    assert kept.folder == uploads / "two"
    assert not kept.folder.is_symlink()
    assert [path.name for path in kept.folder.rglob("*.csv")] == ["yield_wheat_NL.csv"]
    assert not list(tmp_path.glob("elsewhere/*"))


def test_two_uploads_of_one_name_do_not_mix(uploads):
    with new_folder(uploads / "two") as other:
        (other / "theirs").touch()
        with pytest.raises(MainstemError, match="another"):
            keep_upload("two", {"yield_wheat_NL.csv": YIELDS})
    assert [path.name for path in (uploads / "two").iterdir()] == ["theirs"]
    with pytest.raises(MainstemError, match="exists already"):
        keep_upload("two", {"yield_wheat_NL.csv": YIELDS})
    (uploads / "three").symlink_to("nowhere")
    with pytest.raises(MainstemError, match="exists already"):
        keep_upload("three", {"yield_wheat_NL.csv": YIELDS})
    assert os.readlink(uploads / "three") == "nowhere"


RECORD = {
    "adapter": "soil", "task": "soil", "data": "t", "simulated": False, "adapter_sha256": "a" * 64,
    "trunk_sha256": "b" * 64, "held_out": {"rmse": 1.0}, "seconds": 1.0, "seed": 0, "spec": {},
}  # fmt: skip
ESCAPES = "\x1b]0;owned\x07 \x1b[2J \x9b2J \u202e \r \x08"
FORGED = "b\x1b[2Jx\nmainstem: ok"


def is_plain(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.fixture
def run(tmp_path) -> Path:
    """A folder that is listed as a run."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text(json.dumps(RECORD))
    (tmp_path / "run" / "card.md").write_text("# soil\n")
    return tmp_path / "run"


def test_a_card_of_3_gib_is_refused_before_it_is_read(run):
    os.truncate(run / "card.md", 3 << 30)
    outcome = run_cli("runs", "show", run).refused("card.md", "1 MiB")
    assert outcome.seconds < 5
    assert outcome.peak_mib < 1024


def test_a_card_moves_no_cursor(run):
    (run / "card.md").write_text(f"# soil{ESCAPES}\n| a | {ESCAPES} |\n")
    outcome = run_cli("runs", "show", run).taken()
    assert is_plain(outcome.text)
    assert [line[:5] for line in outcome.out.splitlines()] == ["# soi", "| a |", ""]


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_folder_s_name_forges_no_line(run, is_damaged):
    run.rename(run.with_name(FORGED))
    if is_damaged:
        (run.with_name(FORGED) / "record.json").write_text("{}")
    outcome = run_cli("runs", "list", run.parent).sound()
    assert is_plain(outcome.text)
    assert len(outcome.text.splitlines()) == 1
    run_cli("runs", "show", run.with_name(f"{FORGED} not")).refused("no run folder")


def test_what_is_fetched_or_written_is_named_in_one_line(tmp_path):
    (tmp_path / FORGED).mkdir()
    (tmp_path / "t.csv").write_text(TABLE)
    outcome = run_cli("new-adapter", "soil", "--data", "t.csv", "--to", FORGED, cwd=tmp_path).taken()
    assert len(outcome.out.splitlines()) == 2
    outcome = run_cli("doctor", env={"MAINSTEM_HOME": str(tmp_path / FORGED)}).sound()
    assert is_plain(outcome.text)
    assert "mainstem: ok" not in outcome.text.splitlines()


NO_TEXT = "caf\udce9.csv"  # the byte E9, Latin-1's e with an acute accent


def test_a_file_whose_name_is_no_text_is_refused_before_work(run, tmp_path):
    (tmp_path / NO_TEXT).write_text(TABLE)
    out = tmp_path / "out.csv"
    run_cli("predict", "crop-yield", NO_TEXT, "--run", run, "--out", out, cwd=tmp_path).refused("UTF-8", "rename")
    run_cli("finetune", "template.py", "--data", NO_TEXT, "--out", "new", cwd=tmp_path).refused("UTF-8", "rename")
    run_cli("runs", "list", f"--json={NO_TEXT}").refused("UTF-8")
    run_call("mainstem.data.table:read_samples", tmp_path / NO_TEXT).refused("UTF-8", "rename")
    assert not out.exists()
    assert not (tmp_path / "new").exists()


def test_a_name_in_any_script_is_taken(tmp_path):
    (tmp_path / "café-地.csv").write_text(TABLE)
    run_call("mainstem.data.table:read_samples", tmp_path / "café-地.csv").taken()
