"""Relevance: pairs of a user's own, what of them is refused, and what the runs that ship rule out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.adapters.media.made_relevance import blocks

from mainstem.adapters import find_task, shipped_runs
from mainstem.adapters.media.relevance import LIKENESS
from mainstem.apps.media.relevance import Judged, Runs, _learned, _stated, judge
from mainstem.core.errors import InputError
from mainstem.core.fitted import load_run
from mainstem.core.task import DataRequest
from mainstem.data.media.description import DIM, describe, own_sha256
from mainstem.data.media.made_pairs import _edited
from mainstem.data.media.relevance_pairs import likeness_of


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for seed in range(3):
        Image.fromarray(blocks(seed)).save(tmp_path / f"p{seed}.png")
    (tmp_path / "p0.txt").write_text("the old bridge at night", encoding="utf-8")
    with Image.open(tmp_path / "p1.png") as image:
        ImageEnhance.Brightness(image).enhance(1.1).save(tmp_path / "asked.jpg")
    lines = ["query,path,relevant", "old bridge,p0.png,yes", "old bridge,p1.png,no", "night,p0.png,1"]
    lines += [f"asked.jpg,p{seed}.png,{'yes' if seed == 1 else 'no'}" for seed in range(3)]
    (tmp_path / "PAIRS.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "PAIRS.csv"


def test_pairs_of_words_and_of_pictures_are_read_apart(pairs):
    words = find_task("media", "relevance").read(DataRequest(data=str(pairs)))
    assert [sample.target for sample in words.samples] == [1.0, 1.0]
    assert {sample.source.group for sample in words.samples} == {"old bridge", "night"}
    assert set(words.refused) == {"old bridge | p1.png", "asked.jpg"}
    alike = find_task("media", "likeness").read(DataRequest(data=str(pairs)))
    assert [sample.target for sample in alike.samples] == [0.0, 1.0, 0.0]
    cosines = [sample.streams["likeness"].values[0] for sample in alike.samples]
    assert int(np.argmax(cosines)) == 1
    assert {sample.source.facts["model"] for sample in alike.samples} == {own_sha256()}


@pytest.mark.parametrize(
    ("text", "why"),
    [("a,b\n1,2", "no column"), ("query,path,relevant\nx,p0.png,maybe", "line 2"), ("query,path,relevant\n", "0 pairs"),
     ("query,path,relevant\nx,../secret,yes", "below the CSV")],
)  # fmt: skip
def test_pairs_that_cannot_be_read_are_refused_by_line(tmp_path, text, why):
    (tmp_path / "PAIRS.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=why):
        find_task("media", "relevance").read(DataRequest(data=str(tmp_path / "PAIRS.csv")))


def test_a_description_stands_edits_and_tells_pictures_apart():
    every = [describe(blocks(seed)) for seed in range(8)]
    assert every[0].shape == (DIM,)
    assert np.linalg.norm(every[0]) == pytest.approx(1, abs=1e-5)
    image = Image.fromarray(blocks(0))
    edited = describe(np.asarray(ImageEnhance.Contrast(image.resize((70, 50))).enhance(0.8)))
    cosines = [float(edited @ one) for one in every]
    assert int(np.argmax(cosines)) == 0
    assert cosines[0] > 0.95 > max(cosines[1:])
    assert np.isfinite(describe(np.zeros((5, 9, 3), np.uint8))).all()


@pytest.mark.parametrize("side", [1, 20, 62, 63])
def test_pictures_of_any_size_are_edited(side):
    pixels = np.full((side, side, 3), 90, np.uint8)
    assert all(_edited(pixels, np.random.default_rng(seed)).ndim == 3 for seed in range(60))


@pytest.mark.mirror
def test_the_built_in_description_finds_every_edit_before_anything_unrelated():
    """The 11 edits of pdq's photograph beside its 7 others and the four of c2pa."""
    import os

    from mainstem.data.media.pictures import read_picture

    root = Path(os.environ["MAINSTEM_MIRROR"]) / "media"
    whole = describe(read_picture(root / "pdq/bridge-mods/aaa-orig.jpg", 256).pixels)

    def cosines(pattern: str) -> list[float]:
        return [float(whole @ describe(read_picture(path, 256).pixels)) for path in sorted(root.glob(pattern))]

    edits = cosines("pdq/bridge-mods/[b-z]*.jpg")
    others = cosines("pdq/reg-test-input/labelme-subset/*.jpg") + cosines("c2pa/[ACEP]*.jpg") + cosines("c2pa/e*.jpg")
    assert len(edits) == 11
    assert min(edits) > 0.98 > 0.9 > max(others)


def test_both_runs_ship_and_rule_out_what_answers_little():
    assert {"relevance", "likeness"} <= set(shipped_runs("media"))
    usual = np.random.default_rng(0).normal(0.6, 0.1, 200).astype(np.float32)
    features = [likeness_of(cosine, usual) for cosine in (0.99, 0.6)]
    judged, told = judge("likeness", features, own_sha256(), "a picture", (Runs(), 0.9))
    assert judged[0].is_shown
    assert judged[0].classes == ("relevant",)
    assert not judged[1].is_shown
    assert told["learned_from"] == "archive-pairs"
    assert judged[0].claim in ("stated", "withdrawn")
    assert judged[0].claim == "stated" or "unlike" in judged[0].reason


def test_the_summary_says_of_how_many_files_something_is_stated_and_what_taught_it():
    usual = np.random.default_rng(0).normal(0.6, 0.1, 200).astype(np.float32)
    judged, told = judge("likeness", [likeness_of(0.99, usual)] * 3, own_sha256(), "a picture", (Runs(), 0.9))
    states = [one.claim for one in judged]
    assert ("at most 10%" in told["words"]) == ("stated" in states)
    assert all(f"nothing for {states.count(state)}: " in told["words"] for state in {*states} - {"stated"})
    assert "16 pictures" in told["words"]
    assert "one pool of transcripts" in _learned("words", told["learned_from"], load_run(Path(told["run"]), LIKENESS))


def test_the_summary_states_for_what_is_stated_alone():
    judged = [
        Judged(probability=0.9, classes=("relevant",), claim=claim, reason=reason, by="words")
        for claim, reason in (("stated", ""), ("withdrawn", "unlike"), ("withdrawn", "unlike"))
    ]
    told = _stated(judged, 0.9)
    assert "for 1 of 3 files" in told
    assert "at most 10%" in told
    assert told.endswith("nothing for 2: unlike")
    assert _stated(judged[1:], 0.9) == "nothing for 2: unlike"


def test_likeness_by_another_model_is_not_judged():
    judged, _ = judge("likeness", [likeness_of(0.6, np.full(9, 0.1, np.float32))], "other", "q", (Runs(), 0.9))
    assert judged[0].probability is None
    assert judged[0].is_shown
    assert "model" in judged[0].reason


def test_what_is_not_judged_is_shown():
    assert Judged(probability=None, classes=(), claim="none", reason="", by="words").is_shown
    assert not Judged(probability=0.1, classes=("irrelevant",), claim="stated", reason="", by="words").is_shown
