"""Spoken digits keep their samples as they were recorded, their speakers apart, and the official test unlearned."""

import numpy as np
import pytest
from tests.adapters.media.made_words import RATE, word, write_wave, write_words

from mainstem.core.errors import InputError
from mainstem.data.media.spoken_digits import DIGITS, open_spoken_digits


def test_names_of_files_tell_digit_and_speaker(tmp_path):
    found = open_spoken_digits(str(write_words(tmp_path / "words")))
    assert len(found.samples) == 60
    assert found.classes == DIGITS
    assert {sample.source.group for sample in found.samples} == {"speaker0", "speaker1", "speaker2"}
    assert [sample.target for sample in found.samples[:7]] == [0, 0, 0, 0, 0, 0, 1]


def test_a_sound_is_kept_as_it_was_sampled(tmp_path):
    samples = word(3, 1, 0)
    found = open_spoken_digits(str(write_wave(tmp_path / "3_anna_7.wav", samples))).samples[0]
    stream = found.streams["sound"]
    assert np.abs(stream.values[:, 0] - samples).max() < 1e-4
    assert np.allclose(np.diff(stream.times), 1 / RATE)
    assert (found.target, found.source.group, found.source.item) == (3, "anna", "3_anna_7.wav")


def test_another_rate_is_resampled(tmp_path):
    seconds = np.arange(16_000) / 16_000
    path = write_wave(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * seconds), 16_000)
    found = open_spoken_digits(str(path)).samples[0]
    values = found.streams["sound"].values[:, 0]
    assert abs(len(values) - RATE) < 80
    assert np.abs(np.fft.rfft(values)).argmax() * RATE / len(values) == pytest.approx(440, abs=2)
    assert found.target is None
    assert found.source.group is None


def test_what_is_no_digit_s_sound_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"long\.wav"):
        open_spoken_digits(str(write_wave(tmp_path / "long.wav", np.zeros(RATE * 6))))
    with pytest.raises(InputError, match=r"short\.wav lasts"):
        open_spoken_digits(str(write_wave(tmp_path / "short.wav", np.zeros(100))))
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.wav").write_text("no sound")
    with pytest.raises(InputError, match="holds no sound file"):
        open_spoken_digits(str(tmp_path / "text"))
    with pytest.raises(InputError, match="want spoken-digits"):
        open_spoken_digits("spoken-digit")


@pytest.mark.mirror
def test_the_real_set_has_its_official_test_and_six_speakers():
    found = open_spoken_digits("spoken-digits")
    split = found.split()
    tested = [found.samples[row] for row in split.test.tolist()]
    assert (len(found.samples), len(tested), len(found.training())) == (1500, 300, 1200)
    assert {sample.source.item.split("_")[2] for sample in tested} == set("01234")
    assert len({sample.source.group for sample in found.samples}) == 6
    assert found.licence == "CC BY-SA 4.0"
