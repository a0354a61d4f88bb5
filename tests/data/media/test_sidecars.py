import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.media.made_media import packet, save, tone

from mainstem.core.errors import InputError
from mainstem.data.media.bounds import Bounds
from mainstem.data.media.metadata import read_metadata
from mainstem.data.media.sidecar_writing import FIELDS, sidecar_path, write_sidecar
from mainstem.data.media.sidecars import is_sidecar, sidecars_of


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_sidecars_are_found_by_name_and_stem_the_most_believed_first(tmp_path):
    path = tone(tmp_path / "a.b.wav")
    names = ["a.b.wav.json", "a.b.wav.xmp", "a.b.json", "a.b.xmp", "a.b.srt", "a.b.en.vtt", "a.b.TXT"]
    for name in [*names, "a.json", "a.bc.json", "b.wav.json", ".a.b.json", "a.b.wav.json.part"]:
        (tmp_path / name).touch()
    assert [found.name for found in sidecars_of(path)] == names
    assert all(is_sidecar(tmp_path / name) for name in names)
    assert not is_sidecar(tmp_path / "b.wav.json")
    assert not is_sidecar(path)


@pytest.mark.parametrize("name", ["a.jpg.supplemental-metadata.json", "a.jpg.supplem.json", "a.jpg.s.json"])
def test_google_s_cut_names(tmp_path, name):
    path = save(tmp_path / "a.jpg")
    told = {"title": "a.jpg", "description": "A dog", "photoTakenTime": {"timestamp": "1717252200"}}
    write(tmp_path / name, json.dumps(told))
    found = read_metadata(path)
    assert (found.title, found.caption, found.captured) == (None, "A dog", "2024-06-01T14:30:00+00:00")
    assert found.origin["caption"] == f"sidecar {name}"


def test_a_text_beside_no_media_is_a_text_of_its_own(tmp_path):
    write(tmp_path / "notes.txt", "notes")
    write(tmp_path / "notes.py", "print()")
    assert not is_sidecar(tmp_path / "notes.txt")
    write(tmp_path / "notes.txt.json", '{"title": "Notes"}')
    assert read_metadata(tmp_path / "notes.txt").title == "Notes"


def test_a_sidecar_written_now_is_found_now(tmp_path):
    path = save(tmp_path / "a.jpg")
    os.utime(tmp_path, (1e9, 1e9))
    assert sidecars_of(path) == []
    assert sidecars_of(path) == []
    write(tmp_path / "a.xmp", packet("<dc:title>Dog</dc:title>"))
    assert read_metadata(path).title == "Dog"


def test_a_sidecar_is_taken_before_the_file(tmp_path):
    path = save(tmp_path / "a.jpg", xmp=packet("<dc:title>Dog</dc:title><dc:description>A dog</dc:description>"))
    write(tmp_path / "a.xmp", packet("<dc:title>Cat</dc:title>"))
    assert read_metadata(path).title == "Cat"
    write(tmp_path / "a.jpg.json", '{"title": "Fox"}')
    found = read_metadata(path)
    assert (found.title, found.caption) == ("Fox", "A dog")
    assert found.origin == {"title": "sidecar a.jpg.json", "caption": "xmp"}
    assert found.notes == ("title: sidecar a.jpg.json is shown; it is otherwise in sidecar a.xmp and xmp",)


def test_every_field_of_json(tmp_path):
    path = save(tmp_path / "a.jpg")
    told = {
        "headline": "Dog", "description_text": "A dog", "byline": "Ann", "creditline": "AP",
        "keywords": ["dog", "noai"], "embargoed": "2025-03-20T12:00Z", "tdm-reservation": 0, "transcript": "Woof",
        "usageterms": "TDM reserved",
    }  # fmt: skip
    write(tmp_path / "a.jpg.json", json.dumps(told))
    found = read_metadata(path)
    assert (found.title, found.caption, found.creator, found.credit) == ("Dog", "A dog", "Ann", "AP")
    assert (found.rights, found.keywords, found.transcript) == ("TDM reserved", ("dog", "noai"), "Woof")
    assert found.embargo.until.isoformat() == "2025-03-20T12:00:00+00:00"
    assert found.opt_out.state == "reserved"
    assert set(found.opt_out.words) == {"tdm:reservation: 0", "keyword: noai", "usageterms: TDM reserved"}


def test_what_is_not_understood_is_named(tmp_path):
    """Fields by other names, values of another type, times that no filter reads, parts without times."""
    path = tone(tmp_path / "a.wav")
    told = {
        "Title": "Dog", "credits": "AP", "title": {"en": "Dog"}, "keywords": ["dog", 3], "tags": 7, "date": "June 2024",
    }  # fmt: skip
    write(tmp_path / "a.wav.json", json.dumps(told))
    write(tmp_path / "a.json", '{"captured": "2024-06-01T14:30:00+02:00", "opt_out": null, "robots": "noai"}')
    write(tmp_path / "a.xmp", packet("<photoshop:ColorMode>3</photoshop:ColorMode>"))
    write(tmp_path / "a.srt", "1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\nxx --> yy\nBye\n")
    assert read_metadata(path).unknown == {
        "sidecar a.wav.json": (
            "field Title", "field credits", "title, which is no text", "keywords, which is no list of words",
            "tags, which is no list of words",
            "captured, which is no date as 2024-05-31 or 2024-05-31T18:00+02:00: June 2024",
        ),
        "sidecar a.xmp": ("nothing in it",),
        "sidecar a.srt": ("1 of its blocks have no times and were skipped",),
    }  # fmt: skip


@pytest.mark.parametrize(
    "captured", ["2024-05-31", "2024-05-31T18:00", "2024-05-31 18:00:05.5Z", "2024-05-31T18:00+02:00"]
)
def test_times_that_are_understood(tmp_path, captured):
    write(tmp_path / "a.jpg.json", json.dumps({"captured": captured}))
    found = read_metadata(save(tmp_path / "a.jpg"))
    assert (found.captured, found.unknown) == (captured, {})


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (True, "reserved"),
        (False, "allowed"),
        ("noai", "reserved"),
        ("allowed", "allowed"),
        ("ask", "unclear"),
        (3, "unclear"),
    ],
)
def test_our_own_opt_out(tmp_path, value, state):
    write(tmp_path / "a.jpg.json", json.dumps({"opt_out": value}))
    assert read_metadata(save(tmp_path / "a.jpg")).opt_out.state == state


@pytest.mark.parametrize("value", [True, 20, {"until": "2025"}, ["x"], "soon"])
def test_an_embargo_of_any_kind_is_never_dropped(tmp_path, value):
    write(tmp_path / "a.jpg.json", json.dumps({"embargo": value}))
    found = read_metadata(save(tmp_path / "a.jpg"))
    assert found.embargo.until is None
    assert "holds until one is given" in found.notes[0]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1, "a": 2}', '{"a": NaN}', "[" * 100_000, b"\xff\xfe\xff"])
def test_json_that_is_damaged_is_said(tmp_path, text):
    write(tmp_path / "a.jpg.json", text)
    found = read_metadata(save(tmp_path / "a.jpg"))
    assert found.title is None
    assert found.notes[0].startswith("sidecar a.jpg.json cannot be read")


def test_sidecars_that_are_links_or_endless_are_not_followed(tmp_path):
    path = save(tmp_path / "a.jpg")
    secret = write(tmp_path / "secret", '{"title": "secret"}')
    (tmp_path / "a.jpg.json").symlink_to(secret)
    os.mkfifo(tmp_path / "a.jpg.xmp")
    write(tmp_path / "a.json", json.dumps({"title": "x" * 1000}))
    found = read_metadata(path, Bounds(text_bytes=500))
    assert found.title is None
    assert len(found.notes) == 3


def test_transcripts(tmp_path):
    path = tone(tmp_path / "a.wav")
    write(
        tmp_path / "a.srt",
        "1\n00:00:00,500 --> 00:00:02,000\n<i>Hello</i> &amp; welcome\n\n2\n00:00:02,000 --> 00:00:03,000\nBye\n",
    )
    found = read_metadata(path)
    assert (found.transcript, found.origin["transcript"]) == ("Hello & welcome\nBye", "sidecar a.srt")
    write(tmp_path / "b.txt", "A dog")
    assert read_metadata(save(tmp_path / "b.jpg")).caption == "A dog"


def test_writing_changes_its_fields_and_nothing_else(tmp_path):
    path = save(tmp_path / "a.jpg")
    other = {"title": "Old", "unknown": {"x": [1, 2.5, None, "é", "\ud800"]}, "description": "kept"}
    write(tmp_path / "a.jpg.json", json.dumps(other))
    undo = write_sidecar(path, {"title": "New", "keywords": ["dog"], "embargo": "2026-01-01", "opt_out": "reserved"})
    told = json.loads((tmp_path / "a.jpg.json").read_text())
    assert told == other | {"title": "New", "keywords": ["dog"], "embargo": "2026-01-01", "opt_out": "reserved"}
    found = read_metadata(path)
    assert (found.title, found.keywords, found.opt_out.state, found.embargo.until.year) == (
        "New",
        ("dog",),
        "reserved",
        2026,
    )
    write_sidecar(path, undo)
    assert json.loads((tmp_path / "a.jpg.json").read_text()) == other


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CHANGES = st.dictionaries(
    st.sampled_from(["title", "caption", "credit", "rights", "transcript"]),
    st.none() | st.text(min_size=1).filter(str.strip),
    max_size=3,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text().filter(lambda name: name not in FIELDS), JSON, max_size=4), CHANGES)
def test_undoing_leaves_all_as_it_was(tmp_path, other, changes):
    path = save(tmp_path / "a.png")
    target = sidecar_path(path)
    target.unlink(missing_ok=True)
    if other:
        write(target, json.dumps(other))
    undo = write_sidecar(path, changes)
    told = json.loads(target.read_text()) if target.exists() else {}
    assert told == other | {name: value for name, value in changes.items() if value is not None}
    write_sidecar(path, undo)
    assert (json.loads(target.read_text()) if target.exists() else {}) == other
    assert target.exists() == bool(other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "red"}, "no field"), ({"embargo": "soon"}, "no date"), ({"opt_out": "perhaps"}, "no state"),
        ({"title": ""}, "wants words"), ({"keywords": "dog"}, "list of words"), ({"captured": "June"}, "no time"),
        ({"title": 3}, "wants words"), ({"title": "x" * 2000}, "want at most"),
    ],
)  # fmt: skip
def test_changes_that_are_none_are_refused_and_write_nothing(tmp_path, changes, words):
    path = save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=words):
        write_sidecar(path, changes, Bounds(text_bytes=1000))
    assert os.listdir(tmp_path) == ["a.jpg"]


def test_a_sidecar_that_cannot_be_read_is_left_as_it_is(tmp_path):
    path = save(tmp_path / "a.jpg")
    for text in (b"{", b"[]", path.read_bytes()):
        write(tmp_path / "a.jpg.json", text)
        with pytest.raises(InputError, match="left as it is"):
            write_sidecar(path, {"title": "x"})
        assert (tmp_path / "a.jpg.json").read_bytes() == text
    (tmp_path / "a.jpg.json").unlink()
    (tmp_path / "a.jpg.json").symlink_to(write(tmp_path / "else.json", "{}"))
    with pytest.raises(InputError, match="link"):
        write_sidecar(path, {"title": "x"})
    assert (tmp_path / "else.json").read_text() == "{}"


def test_nothing_is_written_beside_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        write_sidecar(tmp_path / "a.jpg", {"title": "x"})
    assert os.listdir(tmp_path) == []


def test_writers_side_by_side_lose_nothing(tmp_path):
    path = save(tmp_path / "a.jpg")
    names = ["title", "caption", "creator", "credit", "rights"]
    threads = [threading.Thread(target=write_sidecar, args=(path, {name: name})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads((tmp_path / "a.jpg.json").read_text()) == {name: name for name in names}
    assert sorted(os.listdir(tmp_path)) == ["a.jpg", "a.jpg.json"]
