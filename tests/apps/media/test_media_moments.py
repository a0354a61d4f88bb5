"""Words of transcripts are found at the time at which they are said."""

import csv
import json
import re
from pathlib import Path

import pytest
from tests.apps.media.archives import indexed, sound
from tests.data.media.made_media import film
from tests.hostile.harness import run_cli

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.exports import write_results
from mainstem.apps.media.moments import moments
from mainstem.apps.media.query import Query
from mainstem.apps.media.results import lines_of
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import ArtifactError, InputError
from mainstem.data.media.transcripts import Cue
from mainstem.data.media.words import read_query

SAID = """1
00:00:01,000 --> 00:00:02,500
Good evening from the harbour

2
00:00:02,500 --> 00:00:04,000
Good evening from the harbour
the mayor opens

3
00:00:04,000 --> 00:00:05,500
the bridge at the harbour

4
01:00:00,000 --> 01:00:01,000
harbour once more, after the end
"""


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    """A video of 8 s and a sound of 6 s, each with a transcript."""
    folder = tmp_path / "archive"
    folder.mkdir()
    film(folder / "news.mp4", [number / 5 for number in range(40)])
    (folder / "news.srt").write_text(SAID)
    sound(folder / "talk.wav", 6.0)
    (folder / "talk.en.vtt").write_text("WEBVTT\n\n00:03.250 --> 00:05.000\n<v Ann>Taxes on fishing\n")
    indexed(folder)
    return folder


def ask(root: Path, text: str) -> dict:
    search = MediaSearch(root)
    told = search.search(Query(text=text, with_irrelevant=True))
    search.close()
    return told


@pytest.mark.parametrize(
    ("text", "path", "time_s", "end_s", "said"),
    [
        ("evening", "news.mp4", 1.0, 2.5, "Good evening from the harbour"),
        ("mayor", "news.mp4", 2.5, 4.0, "the mayor opens"),
        ('"opens the bridge"', "news.mp4", 2.5, 4.0, "the mayor opens"),  # it begins there
        ("harbour bridge", "news.mp4", 4.0, 5.5, "the bridge at the harbour"),  # both, before either
        ("fish*", "talk.wav", 3.25, 5.0, "Taxes on fishing"),
    ],
)
def test_a_hit_in_a_transcript_says_the_time(root, text, path, time_s, end_s, said):
    told = ask(root, text)
    (one,) = told["results"]
    assert (one["path"], one["time_s"], one["shot_s"]) == (path, time_s, [time_s, end_s])
    assert (one["said"][0]["time_s"], one["said"][0]["text"]) == (time_s, said)
    assert any(f"said at 0:0{time_s:.0f}" in line or f"said at 0:0{time_s:.1f}" in line for line in lines_of(told))


def test_the_tile_is_the_keyframe_of_that_time(root):
    (one,) = ask(root, "bridge")["results"]
    catalogue = Catalogue(root, is_read_only=True)
    start_s, end_s = catalogue.db.execute("SELECT start_s, end_s FROM frames WHERE id = ?", (one["frame"],)).fetchone()
    catalogue.close()
    assert start_s <= 4.0 < end_s


def test_every_time_is_told_but_those_after_the_end(root):
    (one,) = ask(root, "harbour")["results"]
    assert [said["time_s"] for said in one["said"]] == [1.0, 4.0]


def test_a_hit_elsewhere_has_no_time(root):
    (one,) = ask(root, "news")["results"]
    assert (one["time_s"], one["said"]) == (None, [])


def test_a_transcript_that_is_changed_or_moved_keeps_its_times(root):
    (root / "old").mkdir()
    for name in ("news.mp4", "news.srt"):
        (root / name).rename(root / "old" / name)
    (root / "talk.en.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nTaxes\n")
    indexed(root)
    assert [one["time_s"] for one in ask(root, "mayor")["results"]] == [2.5]
    assert [one["time_s"] for one in ask(root, "taxes")["results"]] == [1.0]
    (root / "talk.en.vtt").unlink()
    indexed(root)
    assert ask(root, "taxes")["results"] == []


@pytest.mark.long
def test_a_table_and_an_edit_list_begin_at_what_is_said(root, home, tmp_path):
    env = {"MAINSTEM_HOME": str(home)}
    film(root / "slow.mp4", [number / 5 for number in range(40)], (96, 60))
    (root / "slow.srt").write_text(SAID)
    indexed(root)
    given = ["media", "search", "archive", "bridge", "--all", "--csv", "out.csv", "--edl", "out.edl"]
    outcome = run_cli(*given, "--json", cwd=tmp_path, env=env)
    assert outcome.code == 0, outcome.text
    told = json.loads(outcome.out)
    assert told["written"] == ["out.csv", "out.edl"]
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert [(row["path"], float(row["at_s"]), row["said"]) for row in rows] == [
        (one["path"], 4.0, "the bridge at the harbour") for one in told["results"]
    ]
    assert [row["rights"] for row in rows] == ["not stated"] * 2
    events = [line for line in (tmp_path / "out.edl").read_text("utf-8").splitlines() if line[:3].isdigit()]
    rate = float(re.search(r"FRAME RATE: (\S+)", (tmp_path / "out.edl").read_text("utf-8"))[1])
    for event in events:
        seconds, frames = (int(part) for part in event.split()[4].split(":")[2:])
        assert seconds + frames / rate == pytest.approx(4.0, abs=1 / rate)
    assert len(events) == 2
    search = MediaSearch(root)
    sounds = [{**one, "kind": "sound"} for one in told["results"]]
    for results, given, why in (
        (told["results"], (tmp_path / "out.csv", None), "nothing is written over"),
        (told["results"], (None, root / "out.edl"), "where nothing is written"),
        (sounds, (None, tmp_path / "of-sound.edl"), "is of videos"),
    ):
        with pytest.raises(InputError, match=why):
            write_results(search.catalogue, results, *given)
    search.close()


def test_damaged_times_are_told_as_damage(root):
    catalogue = Catalogue(root)
    catalogue.db.execute("UPDATE cues SET said = '[[\"soon\"]]'")
    catalogue.close()
    with pytest.raises(ArtifactError, match="damaged"):
        ask(root, "mayor")


def test_of_many_cues_the_first_of_those_with_most_words():
    cues = [Cue(float(number), number + 1.0, f"word{number} here") for number in range(50)]
    found = moments(read_query("here word7 nowhere"), cues)
    assert [one.time_s for one in found] == [7.0, 0.0, 1.0, 2.0, 3.0]
    assert found[0].terms == ("here", "word7")
