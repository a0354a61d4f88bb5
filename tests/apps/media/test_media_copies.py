"""A search with a file: its very bytes and its copies come first and are called so; a sound is found by its sound."""

import contextlib
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.apps.media.archives import HERE, indexed, picture
from tests.data.media.scenes import scene, voice
from tests.data.media.test_prints_sounds import saved

from mainstem.apps.media.duplicates import find_duplicates
from mainstem.apps.media.query import Filters, Query
from mainstem.apps.media.results import lines_of
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import InputError

TURN, FLIP = Image.Transpose.ROTATE_270, Image.Transpose.FLIP_LEFT_RIGHT


@pytest.fixture
def root(tmp_path, home) -> Path:
    """Scenes, of which one lies there turned, flipped, cropped and twice; and two voices, of which one is cut."""
    place = tmp_path / "archive"
    place.mkdir()
    for seed in range(1, 5):
        scene(seed).save(place / f"scene{seed}.png")
    shutil.copy(place / "scene1.png", place / "again.png")
    scene(1).transpose(TURN).save(place / "turned.jpg")
    scene(1).transpose(FLIP).save(place / "flipped.jpg")
    scene(1).crop((120, 80, 360, 240)).save(place / "cropped.jpg", quality=92)
    picture(place / "blocks.jpg", 7)
    saved(place, "speech", voice(1))
    saved(place, "other", voice(2))
    indexed(place)
    return place


def ask(root: Path, **given: object) -> dict:
    with contextlib.closing(MediaSearch(root)) as search:
        return search.search(Query(**given))


def first(told: dict) -> dict[str, str]:
    """What is called a copy, and the words, in order."""
    return {one["path"]: one["copy"]["words"] for one in told["results"] if one["copy"]}


@pytest.mark.parametrize("is_inside", [True, False])
def test_copies_come_before_what_is_alike_and_say_how_they_were_made(root, tmp_path, is_inside):
    find_duplicates(root, options=HERE)
    asked = root / "scene1.png"
    if not is_inside:
        asked = tmp_path / "scene1.jpg"
        scene(1).save(asked, quality=92)
    told = ask(root, like=(asked,))
    copies = first(told)
    own = next(path for path in copies if path in ("scene1.png", "again.png"))
    assert set(copies) == {own, "turned.jpg", "flipped.jpg", "cropped.jpg"}
    assert [one["path"] for one in told["results"][:4]] == list(copies)
    assert next(iter(copies)) == own or not is_inside
    assert copies[own] == ("same bytes" if is_inside else "a copy")
    for name, turned in {
        "turned.jpg": "rotated by",
        "flipped.jpg": "mirrored left to right",
        "cropped.jpg": "shows",
    }.items():
        assert turned in copies[name]
    lines = [line for line in lines_of(told) if any(f"  {path}  " in line for path in copies)]
    assert all(line.split()[0] in ("same", "copy") and "%" not in line for line in lines)
    assert told["copies"] == ""


def test_the_very_bytes_are_called_so_before_anybody_looked_for_copies(root, tmp_path):
    asked = Path(shutil.copy(root / "scene2.png", tmp_path / "mine.png"))
    told = ask(root, like=(asked,))
    assert first(told) == {"scene2.png": "same bytes"}
    assert told["results"][0]["path"] == "scene2.png"
    assert told["results"][0]["relevance"] == []
    assert "mainstem media duplicates" in told["copies"]
    assert "same bytes" in next(line for line in lines_of(told) if "scene2.png" in line)
    assert told["copies"] in list(lines_of(told))


def test_a_file_of_the_archive_is_not_read_for_its_bytes_while_it_is_as_it_was(root, monkeypatch):
    read: list[str] = []
    digest = hashlib.file_digest
    monkeypatch.setattr("hashlib.file_digest", lambda file, name: read.append(file.name) or digest(file, name))
    assert first(ask(root, like=(root / "scene2.png",))) == {"scene2.png": "same bytes"}
    assert read == []
    scene(3).save(root / "scene2.png")
    assert first(ask(root, like=(root / "scene2.png",))) == {"scene3.png": "same bytes"}
    assert read == [str(root / "scene2.png")]


def test_filters_and_what_is_not_wanted_hold_for_copies_too(root):
    find_duplicates(root, options=HERE)
    asked = (root / "scene1.png",)
    assert first(ask(root, like=asked, filters=Filters(kind="sound"))) == {}
    assert first(ask(root, like=asked, unlike=(root / "turned.jpg",))) == {}


def test_a_sound_is_found_by_its_sound_or_the_command_is_named(root, tmp_path):
    cut = saved(tmp_path, "cut", 0.5 * voice(1)[8_000:40_000])
    with pytest.raises(InputError, match=r"cut\.wav is a sound.*mainstem media duplicates"):
        ask(root, like=(cut,))
    assert first(ask(root, like=(root / "speech.wav",))) == {"speech.wav": "same bytes"}
    find_duplicates(root, options=HERE)
    told = ask(root, like=(cut,))
    assert [one["path"] for one in told["results"]] == ["speech.wav"]
    assert first(told)["speech.wav"].startswith("same sound, at the same speed")
    assert ask(root, like=(saved(tmp_path, "third", voice(3)),))["nothing_found"]
    both = ask(root, like=(cut, root / "scene2.png"))
    assert {path: words[:4] for path, words in first(both).items()} == {"scene2.png": "same", "speech.wav": "same"}
    assert np.isfinite([one["score"] or 0.0 for one in both["results"]]).all()
