"""Either stream alone tells a digit, both tell it better, and training with streams missing keeps to what is there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.adapters.media.made_words import word, write_pairs

from mainstem.adapters import find_task
from mainstem.adapters.media.digit_pairs import TASK, VIEWS, Pairs, baselines, complete, otherwise, restore, view_of
from mainstem.apps.evaluate import evaluate
from mainstem.apps.evaluation_text import describe
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.stream import Provenance, Sample
from mainstem.core.task import DataRequest, FitConfig
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig
from mainstem.data.media.digit_pairs import open_digit_pairs, picture_stream
from mainstem.data.media.spoken_digits import sample_of

OF = Provenance(data="made", item="")

QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=3, steps_per_token=4, num_gap_draws=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return open_digit_pairs(str(write_pairs(tmp_path_factory.mktemp("pairs"), num_speakers=6)))


@pytest.fixture(scope="module")
def fitted(made):
    return Pairs.fit(made.samples, "any")


def test_views_keep_the_stream_that_is_left(made):
    for sample in made.samples:
        assert VIEWS[view_of(sample)](sample).streams.keys() == sample.streams.keys()
        assert all(view(sample).streams for view in VIEWS.values())
    whole = next(sample for sample in made.samples if len(sample.streams) == 2)
    assert [view_of(view(whole)) for view in VIEWS.values()] == list(VIEWS)


def test_witnesses_are_added_and_a_missing_one_says_nothing(made, fitted):
    whole = [sample for sample in made.samples if len(sample.streams) == 2]
    both, sound, picture = (
        fitted.fallback([view(sample) for sample in whole], np.zeros(len(whole))) for view in VIEWS.values()
    )
    assert np.allclose(np.exp(both).sum(1), 1)
    added = sound + picture
    assert np.allclose(both, added - np.log(np.exp(added).sum(1, keepdims=True)))


def test_it_is_kept(made, fitted):
    again = restore(*fitted.state())
    offset = np.zeros(len(made.samples))
    assert np.array_equal(again.fallback(made.samples, offset), fitted.fallback(made.samples, offset))


def test_a_peer_that_sees_both_streams_errs_less_than_either_alone_and_tells_what_has_one():
    random = np.random.default_rng(0)
    digits = np.tile(np.arange(10), 20)

    def sample(row: int, digit: int) -> Sample:
        ink = np.zeros((8, 8), np.float32)  # the sound tells the pair of digits, the ink which of the two
        ink[:, 4 * (digit % 2) : 4 * (digit % 2) + 4] = 1
        sound = sample_of(word(digit // 2, row % 3, row).astype(np.float32), "word", OF).streams
        streams = {**sound, "picture": picture_stream(ink + random.normal(0, 0.3, (8, 8)).astype(np.float32))}
        return Sample(streams=streams, target=float(digit), source=OF)

    samples = [sample(row, int(digit)) for row, digit in enumerate(digits)]
    train, test, truth = samples[:120], samples[120:], digits[120:]
    found = {name: (told == truth).mean() for name, told in baselines(train, test, 0).items()}
    assert max(found["svm_sound"], found["svm_picture"]) < 0.7
    assert found["svm_both"] > 0.8
    for view, name in (("sound alone", "svm_sound"), ("picture alone", "svm_picture")):
        told = baselines(train, [VIEWS[view](one) for one in test], 0)
        assert (told["svm_both"] == told[name]).mean() > 0.7


def test_a_stream_that_nobody_shows_is_refused(made):
    with pytest.raises(InputError, match="no sample has a sound"):
        Pairs.fit([VIEWS["picture alone"](sample) for sample in made.samples if "picture" in sample.streams], "any")


def test_what_is_missing_stays_missing_when_a_batch_is_changed():
    pictures = torch.rand(4, 1, 1, 8, 8)
    sounds = torch.rand(4, 40, 32)
    pictures[0], sounds[1] = torch.nan, torch.nan
    patches = Patches(parts={"picture.values": pictures, "mel.values": sounds})
    changed, _ = otherwise(patches, torch.zeros(4), torch.Generator().manual_seed(0))
    assert changed["picture.values"].isnan().flatten(1).all(1).tolist() == [True, False, False, False]
    assert changed["mel.values"].isnan().flatten(1).all(1).tolist() == [False, True, False, False]
    assert changed["picture.values"][1:].isfinite().all()


def test_a_set_s_name_stands_for_the_task_whose_own_it_is():
    assert find_task("media", data="digit-pairs") is TASK
    assert find_task("media", data="spoken-digits").task == "spoken-digits"
    assert find_task("media", data="own.wav").task == "spoken-digits"
    assert find_task("media", "spoken-digits", "digit-pairs").task == "spoken-digits"


def test_it_is_compared_with_complete_pairs_unless_it_has_them():
    request = DataRequest(data="digit-pairs")
    assert complete(request)["complete_pairs"].option("missing") == "0"
    assert not complete(replace(request, options={"missing": "0"}))
    with pytest.raises(InputError, match="want a share"):
        complete(replace(request, options={"missing": "much"}))


@pytest.mark.long
def test_an_evaluation_tells_what_missing_streams_cost(made, monkeypatch):
    monkeypatch.setattr("mainstem.adapters.media.voices.EPOCHS", 1)
    monkeypatch.setattr("mainstem.adapters.media.digit_pairs.EPOCHS", 1)
    is_test = {sample.source.group for sample in made.samples if sample.source.group.endswith("_1")}
    whole = [
        replace(sample, source=replace(sample.source, part="test" if sample.source.group in is_test else ""))
        for sample in made.samples
    ]

    def read(request):
        kept = [
            sample for sample in whole if request.option("missing") or sample.source.part or view_of(sample) != "whole"
        ]
        return replace(made, samples=tuple(kept))

    task = replace(TASK, read=read)
    spec = EvaluationSpec(fit=FitSpec(config=QUICK, trunk=None), workers=1)
    told = evaluate(task, DataRequest(data="made", i_have_the_rights=True), spec)
    assert told["n"] == 60
    assert told["known_failures"] == list(TASK.known_failures)
    assert all(failure in describe(told, TASK.target) for failure in TASK.known_failures)
    assert {"complete_pairs", "svm_sound", "svm_picture", "svm_both"} <= told["baselines"].keys()
    difference = told["metrics"]["accuracy"] - told["baselines"]["complete_pairs"]["accuracy"]
    assert told["difference"]["complete_pairs"]["value"] == pytest.approx(difference)
    assert set(told["by_lead"]) == set(VIEWS)
    alone = told["by_lead"]["sound alone"]
    difference = alone["accuracy"] - alone["baselines"]["complete_pairs"]["accuracy"]
    assert alone["difference"]["complete_pairs"]["value"] == pytest.approx(difference)
