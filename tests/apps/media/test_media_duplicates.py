"""mainstem media duplicates: groups, what links them, what is refused; and every file is as it was."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from tests.data.media.scenes import scene, voice
from tests.data.media.test_prints_sounds import saved
from tests.hostile.harness import run_cli

from mainstem.apps.media.duplicates import SAME_BYTES, Link, _joined, _tree, find_duplicates, lines_of
from mainstem.core.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two pictures, copies of one of them, two voices and a cut of one, a text, and a damaged picture."""
    place = tmp_path_factory.mktemp("archive")
    (place / "older").mkdir()
    scene(1).save(place / "a.jpg", quality=90)
    (place / "older" / "a again.jpg").write_bytes((place / "a.jpg").read_bytes())
    scene(1).rotate(90, expand=True).save(place / "a turned.png")
    scene(1).crop((100, 60, 380, 250)).save(place / "a cropped.jpg")
    scene(2).save(place / "b.jpg")
    saved(place, "first", voice(1))
    saved(place, "first cut", voice(1)[12_000:40_000])
    saved(place, "second", voice(2))
    (place / "notes.txt").write_text("what was said\n")
    (place / "broken.jpg").write_bytes((place / "b.jpg").read_bytes()[:900])
    return place


def state(folder: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


def test_copies_are_grouped_with_what_links_them_and_nothing_is_changed(folder, tmp_path):
    before = state(folder)
    done = run_cli("media", "duplicates", str(folder), "--json", cwd=tmp_path)
    told = json.loads(done.out)
    names = [{os.path.relpath(path, folder) for path in group} for group in told["groups"]]
    assert {"a.jpg", "a turned.png", "a cropped.jpg", "older/a again.jpg"} in names
    assert {"first.wav", "first cut.wav"} in names
    assert len(names) == 2
    assert state(folder) == before
    assert done.code == 1
    assert [os.path.basename(path) for path in told["refused"]] == ["broken.jpg"]
    assert "broken.jpg" in done.err
    assert [os.path.basename(path) for path in told["left_out"]] == ["notes.txt"]


def test_evidence_stands_beside_its_group_and_names_both_files(folder):
    told = find_duplicates(folder).told()
    assert len(told["evidence"]) == len(told["groups"])
    for group, links in zip(told["groups"], told["evidence"], strict=True):
        assert all({link["first"], link["second"]} <= set(group) for link in links)
        assert all(link["false_match_rate"] and link["transform"] for link in links)
    links = [link for links in told["evidence"] for link in links]
    ways = {link["transform"] for link in links}
    assert "none" in ways
    assert any("rotated" in way for way in ways)
    (cut,) = [link for link in links if link["offset_s"] is not None]
    assert abs(cut["offset_s"]) == pytest.approx(1.5, abs=0.03)


def test_people_are_shown_one_link_a_copy_and_each_rate_once(folder):
    found = find_duplicates(folder)
    lines = list(lines_of(found))
    assert sum(" against " in line for line in lines) == sum(len(group) - 1 for group in found.groups)
    assert sum(len(links) for links in found.evidence) > sum(len(group) - 1 for group in found.groups)
    rates = [line for line in lines if line.startswith("by chance: ")]
    assert len(rates) == len(set(rates)) == 3  # bytes, parts, sound
    assert not any("by chance" in line for line in lines if line.startswith(" "))


def test_a_tree_of_links_holds_all_files_together():
    a, b, c, d = map(Path, "abcd")
    links = [Link(a, b, SAME_BYTES), Link(a, c, SAME_BYTES), Link(b, c, SAME_BYTES), Link(c, d, SAME_BYTES)]
    assert _tree(links) == [links[0], links[1], links[3]]
    assert _joined(_tree(links)) == _joined(links) == [[a, b, c, d]]


def test_files_that_only_a_third_links_are_one_group():
    a, b, c, d, e = map(Path, "abcde")
    assert _joined([Link(b, c, SAME_BYTES), Link(d, e, SAME_BYTES), Link(a, b, SAME_BYTES)]) == [[a, b, c], [d, e]]


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        find_duplicates(tmp_path / "absent")
