"""Names that are taken, that lead elsewhere, that are no text, or that would write on a terminal what is not so."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mainstem.apps.region_sets import keep_upload
from mainstem.core.errors import MainstemError
from mainstem.core.files import new_folder
from tests.hostile.harness import run_cli

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
