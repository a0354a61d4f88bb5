"""The catalogue pulls what it names and nothing else."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mainstem.core.errors import InputError
from mainstem.data import catalogue


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    """A mirror with one set of one file, and an empty home."""
    content = b"x\n1\n2\n"
    file = catalogue.DataFile(
        name="a.csv", upstream="a.csv", size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    fields = dict.fromkeys(("title", "repository", "commit", "licence", "attribution", "scale"), "-")
    known = catalogue.DataSet(name="made", folder="made", known_faults=(), files=(file,), **fields)
    monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"made": known})
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    (tmp_path / "mirror" / "made").mkdir(parents=True)
    (tmp_path / "mirror" / "made" / "a.csv").write_bytes(content)
    return tmp_path / "mirror"


def test_pull_verify_prune(mirror):
    assert catalogue.verify("made") == ["a.csv"]
    folder = catalogue.pull("made", mirror)
    assert (folder / "a.csv").read_bytes() == b"x\n1\n2\n"
    assert catalogue.verify("made") == []
    assert catalogue.prune("made") == 1
    assert catalogue.verify("made") == ["a.csv"]


def test_a_part_is_pulled_alone(mirror, monkeypatch):
    whole = catalogue.find_data_set("made")
    lacking = replace(whole.files[0], name="b.csv")
    monkeypatch.setattr(catalogue, "find_data_set", lambda name: replace(whole, files=(*whole.files, lacking)))
    folder = catalogue.pull("made", mirror, only=("a.csv",))
    assert [path.name for path in folder.iterdir()] == ["a.csv"]
    assert not catalogue.is_pulled("made")
    with pytest.raises(InputError, match=r"no file made/b.csv"):
        catalogue.pull("made", mirror)


def test_a_foreign_file_is_refused_and_leaves_nothing(mirror):
    (mirror / "made" / "a.csv").write_bytes(b"x\n1\n3\n")
    with pytest.raises(InputError, match="sha256"):
        catalogue.pull("made", mirror)
    assert list(catalogue.data_home().rglob("*.*")) == []


def test_a_damaged_copy_is_replaced(mirror):
    folder = catalogue.pull("made", mirror)
    (folder / "a.csv").write_bytes(b"broken")
    assert catalogue.verify("made") == ["a.csv"]
    assert (catalogue.pull("made", mirror) / "a.csv").read_bytes() == b"x\n1\n2\n"


def test_a_mirror_without_the_file_and_an_unknown_name_say_what_to_do(mirror):
    (mirror / "made" / "a.csv").unlink()
    with pytest.raises(InputError, match="check the mirror"):
        catalogue.pull("made", mirror)
    with pytest.raises(InputError, match="did you mean 'made'"):
        catalogue.find_data_set("mad")


def test_every_entry_names_licence_attribution_and_hashes():
    for data_set in catalogue.read_catalogue().values():
        assert data_set.licence
        assert data_set.attribution
        assert all(len(file.sha256) == 64 and file.size > 0 for file in data_set.files)


def test_a_listing_says_where_each_file_lies_upstream():
    broad = {file.name: file.upstream for file in catalogue.read_catalogue()["broad"].files}
    assert broad["21_undisturbed_fast_combined.npz"] == ""
    assert broad["LICENSE"] == "LICENSE"
    assert broad["trials.json"] == "data_mat/trials.json"
    car = {file.name: file.upstream for file in catalogue.read_catalogue()["comma2k19-example"].files}
    assert car["README.md"] == "README.md"
    assert car["global_pose/frame_times"].endswith("/40/global_pose/frame_times")


@pytest.mark.mirror
@pytest.mark.parametrize(
    "name",
    [
        *("us-maize", "nl-maize", "es-maize", "us-counties", "ct-head-ge"),
        *(
            "broad",
            "husky",
            "px4-logs",
            "robot-failures",
            "wall-following",
            "comma2k19-example",
            "icub-walk",
            "plaza-uwb",
            *("spoken-digits", "pdq", "tmk-video", "c2pa-samples", "librispeech-mini"),
        ),
    ],
)
def test_the_real_sets_pull_from_the_mirror(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    catalogue.pull(name)
    assert catalogue.verify(name) == []
