"""Words are told by what was said, not by loudness, silence or microphone; and sets claim no more than was seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.adapters.media.made_words import RATE, word, write_words

from mainstem.adapters import shipped_runs
from mainstem.adapters.media import TASK
from mainstem.adapters.media.log_mel import band_centres_hz, filters, in_steps, log_mel, spectra, spoken
from mainstem.adapters.media.picture_net import STEPS, otherwise_said
from mainstem.adapters.media.voices import Voices, copies_of, other_voices, restore, silence, sound_features
from mainstem.apps.evaluate import evaluate
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_run
from mainstem.core.task import DataRequest, FitConfig
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig
from mainstem.data.media.spoken_digits import open_spoken_digits

QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2, steps_per_token=4)


def picture(samples):
    return log_mel(spoken(spectra(samples, RATE)))[0]


def test_a_tone_lies_in_the_band_of_its_frequency():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    energies = 10 * np.log10(spectra(tone, RATE) @ filters(1.0).T + 1e-9).mean(0)
    assert abs(band_centres_hz()[energies.argmax()] - 1000) < 60


def test_a_longer_tract_s_tone_lies_where_a_usual_one_s_does():
    low, usual = (np.sin(2 * np.pi * hz * np.arange(RATE) / RATE) for hz in (800, 1000))
    assert (spectra(low, RATE) @ filters(0.8).T).mean(0).argmax() == (spectra(usual, RATE) @ filters(1.0).T).mean(
        0
    ).argmax()


def test_loudness_microphone_and_silence_change_nothing():
    said = word(4, 0, 0)
    silent = np.concatenate([np.zeros(RATE // 2), said, np.zeros(RATE // 2)])
    assert np.allclose(picture(said), picture(0.05 * said), atol=1e-6)
    assert len(picture(silent)) <= len(picture(said)) + 2
    through = np.convolve(said, [1.0, 0.3])[: len(said)]
    assert np.abs(in_steps(picture(through), STEPS) - in_steps(picture(said), STEPS)).mean() < 0.5


def test_steps_are_even_from_the_first_frame_to_the_last():
    ramp = np.arange(11.0)[:, None] * np.ones(3)
    assert np.allclose(in_steps(ramp, 5)[:, 0], [0, 2.5, 5, 7.5, 10])
    assert np.allclose(in_steps(ramp[:1], 4), 0)


def test_what_others_might_have_said_stays_a_word_and_is_drawn_by_the_seed():
    shown = torch.from_numpy(in_steps(picture(word(2, 1, 0)), STEPS)).float()[None].repeat(64, 1, 1) / 4.34
    first, again, other = (otherwise_said(shown, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first == 0).any(1).all(1).sum() < 64  # not all is hidden
    assert torch.corrcoef(torch.stack([first.mean(0).flatten(), shown[0].flatten()]))[0, 1] > 0.8
    aims, patches = torch.zeros(64), Patches(parts={"mel.values": shown, "mel.times": torch.zeros(64, STEPS)})
    moved, kept = other_voices(patches, aims, torch.Generator().manual_seed(0))
    assert torch.equal(kept, aims)
    assert moved["mel.values"].shape == shown.shape


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return open_spoken_digits(str(write_words(tmp_path_factory.mktemp("words"), num_speakers=3, each=6)))


def test_the_network_tells_words_of_a_speaker_that_it_never_heard_and_is_kept(made, monkeypatch):
    monkeypatch.setattr("mainstem.adapters.media.voices.EPOCHS", 8)
    train = [sample for sample in made.samples if sample.source.group != "speaker1"]
    test = [sample for sample in made.samples if sample.source.group == "speaker1"]
    voices = Voices.fit(train, "any")
    told = voices.fallback(test, np.zeros(len(test)))
    assert np.allclose(np.exp(told).sum(1), 1)
    assert (told.argmax(1) == [sample.target for sample in test]).mean() > 0.6
    assert np.array_equal(restore(*voices.state()).fallback(test, np.zeros(len(test))), told)
    assert np.isfinite(voices.features(test)).all()


def test_features_tell_loudness_and_length(made):
    found = sound_features(made.samples[:2])
    values = made.samples[0].streams["sound"].values[:, 0]
    assert found[0, 0] == pytest.approx(len(values) / RATE)
    assert found[0, 1] == pytest.approx(10 * np.log10((values.astype(float) ** 2).mean()), abs=0.01)
    assert np.allclose((10 ** (found[:, 2:] / 10)).sum(1), 1)


def test_silence_is_no_word(made):
    quiet = made.samples[0].streams["sound"]
    streams = {"sound": replace(quiet, values=np.full_like(quiet.values, 1e-5))}
    assert silence([made.samples[0], replace(made.samples[0], streams=streams)]).tolist() == [0.0, np.inf]


def test_copies_are_of_other_tracts(made):
    copies = copies_of(made.samples[:1])[0].astype(float)
    assert copies.shape[0] == 9
    assert np.abs(copies[0] - copies[4]).mean() > 2 * np.abs(copies[3] - copies[4]).mean() > 0


@pytest.mark.long
def test_an_evaluation_on_the_official_split_also_leaves_every_speaker_out(tmp_path, monkeypatch):
    monkeypatch.setattr("mainstem.adapters.media.voices.EPOCHS", 2)
    folder = write_words(tmp_path / "words", num_speakers=4)
    source = open_spoken_digits(str(folder))

    parted = tuple(
        replace(sample, source=replace(sample.source, part="test" if "_0." in sample.source.item else ""))
        for sample in source.samples
    )
    task = replace(TASK, read=lambda request: replace(source, samples=parted))
    spec = EvaluationSpec(fit=FitSpec(config=QUICK, trunk=None), workers=1)
    told = evaluate(task, DataRequest(data=str(folder), i_have_the_rights=True), spec)
    assert told["n"] == 40
    assert told["unseen"]["n"] == 80
    assert set(told["unseen"]["by_group"]) == {f"speaker{number}" for number in range(4)}
    assert told["metrics"]["unseen_speaker_accuracy"] == told["unseen"]["metrics"]["accuracy"]
    assert "unseen_speaker_accuracy" in told["baselines"]["svm_log_mel"]
    hits = round(40 * told["metrics"]["accuracy"])
    interval = told["exact_intervals"]["accuracy"]["model"]
    assert interval["low"] <= hits / 40 <= interval["high"]
    assert {found["claim"] for found in told["unseen"]["coverage"]["by_group"].values()} == {"none"}
    assert told["unseen"]["coverage"]["mean_width"] < 10


@pytest.mark.long
@pytest.mark.mirror
def test_the_shipped_run_tells_the_official_test_and_says_its_licence():
    fitted = load_run(shipped_runs("media")["spoken-digits"], TASK)
    source = open_spoken_digits("spoken-digits")
    tested = [source.samples[row] for row in source.split().test.tolist()]
    told = fitted.outputs(tested, "whole")["probabilities"].argmax(1)
    assert (told == [sample.target for sample in tested]).mean() >= 0.99
    assert fitted.manifest.licence == "CC BY-SA 4.0"
