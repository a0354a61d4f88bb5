"""mainstem media duplicates: groups, what links them, what is refused; and every file is as it was."""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.data.media.scenes import scene, voice
from tests.data.media.test_prints_sounds import saved
from tests.hostile.harness import run_cli

from mainstem.apps.media.duplicates import (
    SAME_BYTES,
    Duplicates,
    Link,
    _joined,
    _tree,
    find_duplicates,
    known_duplicates,
    lines_of,
)
from mainstem.apps.media.index import IndexOptions
from mainstem.core.errors import InputError
from mainstem.data.media.prints import By, Printed, print_file

HERE = IndexOptions(workers=0)  # read in this process


@pytest.fixture(autouse=True)
def own_home(home):
    """A home of each test's own."""


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


@pytest.mark.long
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
    told = find_duplicates(folder, options=HERE).told()
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
    found = find_duplicates(folder, options=HERE)
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


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that are fingerprinted from here on."""
    found: list[str] = []

    def counted(path: Path, kind: By) -> Iterator[Printed]:
        found.append(path.name)
        return print_file(path, kind)

    monkeypatch.setattr("mainstem.apps.media.prints.print_file", counted)
    return found


def clip(path: Path, frames: list[np.ndarray], samples: np.ndarray | None) -> None:
    """Write a video of 16 frames a second, and its sound of 8 kHz."""
    with av.open(str(path), "w") as container:
        shown = container.add_stream("libx264", rate=16, options={"crf": "18"})
        shown.height, shown.width, shown.pix_fmt = *frames[0].shape[:2], "yuv420p"
        heard = container.add_stream("aac", rate=8000, layout="mono") if samples is not None else None
        for pixels in frames:
            container.mux(shown.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(shown.encode(None))
        if heard is not None and samples is not None:
            for start in range(0, len(samples) - 1024, 1024):
                block = samples[None, start : start + 1024].astype(np.float32)
                piece = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                piece.sample_rate, piece.pts = 8000, start
                container.mux(heard.encode(piece))
            container.mux(heard.encode(None))


def told_of(found: Duplicates) -> dict:
    """What is told of copies, but for when."""
    return {name: value for name, value in found.told().items() if name not in ("when", "num_printed")}


def test_a_second_run_decodes_nothing_and_a_later_one_what_is_new(folder, tmp_path, decoded):
    mine = Path(shutil.copytree(folder, tmp_path / "mine"))
    first = find_duplicates(mine, options=HERE)
    assert len(decoded) == first.num_printed == 7  # of nine files of media two are the same bytes, and one is damaged
    second = find_duplicates(mine, options=HERE)
    assert (len(decoded), second.num_printed) == (7, 0)
    assert told_of(second) == told_of(first)
    assert told_of(known_duplicates(mine)) == told_of(first)
    (mine / "b.jpg").rename(mine / "older" / "b moved.jpg")
    (mine / "a cropped.jpg").unlink()
    scene(2).transpose(Image.Transpose.ROTATE_180).save(mine / "c.png")
    third = find_duplicates(mine, options=HERE)
    assert decoded[7:] == ["c.png"]
    assert told_of(known_duplicates(mine)) == told_of(third) != told_of(first)
    again = known_duplicates(mine)
    assert known_duplicates(mine) is again
    names = [{path.name for path in group} for group in third.groups]
    assert {"a.jpg", "a turned.png", "a again.jpg"} in names
    assert {"b moved.jpg", "c.png"} in names
    (link,) = [link for links in third.evidence for link in links if link.second.name == "c.png"]
    assert link.match.transform == "rotated by 180 degrees"


def test_a_run_that_is_killed_goes_on_where_it_was(folder, tmp_path, decoded, monkeypatch):
    whole = told_of(find_duplicates(folder, options=HERE))
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "other"))
    monkeypatch.setattr("mainstem.apps.media.prints.COMMIT_FILES", 2)
    child = os.fork()
    if not child:
        seen = []
        monkeypatch.setattr(
            "mainstem.apps.media.prints.print_file",
            lambda path, kind: os.kill(os.getpid(), signal.SIGKILL) if len(seen) == 5 else seen.append(path) or
            print_file(path, kind),
        )  # fmt: skip
        find_duplicates(folder, options=HERE)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    decoded.clear()
    assert told_of(find_duplicates(folder, options=HERE)) == whole
    assert len(decoded) == 7 - 4


def test_fingerprints_of_another_version_are_computed_anew(folder, decoded, monkeypatch):
    first = find_duplicates(folder, options=HERE)
    monkeypatch.setattr("mainstem.apps.media.prints.VERSION", "next")
    second = find_duplicates(folder, options=HERE)
    assert len(decoded) == 14
    assert told_of(second) == told_of(first)
    assert find_duplicates(folder, options=HERE).num_printed == 0


def test_a_sound_that_ends_early_is_refused_once_and_read_again_where_asked(tmp_path, decoded):
    place = tmp_path / "sounds"
    place.mkdir()
    saved(place, "whole", voice(1))
    container = (place / "whole.wav").read_bytes()
    (place / "broken.wav").write_bytes(container[:60])
    first = find_duplicates(place, options=HERE)
    assert set(first.refused) == {place / "broken.wav"}
    decoded.clear()
    assert set(find_duplicates(place, options=HERE).refused) == {place / "broken.wav"}
    assert decoded == []
    find_duplicates(place, options=IndexOptions(workers=0, retry=True))
    assert decoded == ["broken.wav"]


def test_a_shared_sound_track_is_evidence_of_its_own_and_joins_no_pictures(tmp_path):
    place = tmp_path / "clips"
    place.mkdir()
    said = np.concatenate([voice(1), voice(2)])
    saved(place, "speech", said)
    for name, first in {"one": 0, "other": 20}.items():
        frames = [np.asarray(scene(first + part, (256, 160))) for part in range(6) for _ in range(16)]
        clip(place / f"{name}.mp4", frames, said)
    shutil.copy(place / "one.mp4", place / "one again.mp4")
    clip(place / "silent.mp4", frames, None)
    found = find_duplicates(place, options=HERE)
    assert [[path.name for path in group] for group in found.groups] == [
        ["one again.mp4", "one.mp4"],
        ["other.mp4", "silent.mp4"],
    ]
    pairs = {frozenset((link.first.name, link.second.name)) for link in found.same_sound}
    assert pairs == {
        frozenset(pair)
        for pair in (("one again.mp4", "other.mp4"), ("one again.mp4", "speech.wav"), ("other.mp4", "speech.wav"))
    }
    lines = [line for line in lines_of(found) if line.startswith("same sound, which joins no group: ")]
    assert len(lines) == 3
    assert len(found.told()["same_sound"]) == 3
