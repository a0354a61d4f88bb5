"""Pairs agree in their digit, share nothing between training and test, and miss what they are asked to miss."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from tests.adapters.media.made_words import RATE, word, write_pairs, write_wave

from mainstem.core.errors import InputError
from mainstem.core.stream import Provenance
from mainstem.data.media.digit_pairs import Written, open_digit_pairs, pairs_of
from mainstem.data.media.spoken_digits import sample_of

OF = Provenance(data="spoken-digits", item="", licence="CC BY-SA 4.0")


@pytest.fixture(scope="module")
def spoken():
    """Of each digit 8 recordings, 5 of which test."""
    short = [word(digit, 0, 0)[: RATE // 10].astype(np.float32) for digit in range(10)]
    return [sample_of(short[digit], f"{digit}_anna_{index}", OF) for digit in range(10) for index in range(8)]


@pytest.fixture(scope="module")
def written():
    return Written.read()


def pairs(spoken, written, missing):
    found = list(pairs_of(spoken, written, OF, missing))
    return [[pair for pair in found if (pair.source.part == "test") == is_test] for is_test in (False, True)]


def test_what_is_asked_to_miss_does_and_nothing_of_the_test(spoken, written):
    training, tested = pairs(spoken, written, 0.8)
    assert Counter(tuple(sorted(pair.streams)) for pair in training) == {
        ("picture",): 12,
        ("sound",): 12,
        ("picture", "sound"): 6,
    }
    assert all(len(pair.streams) == 2 for pair in tested)
    assert len(tested) == 899


def test_pairs_agree_in_their_digit_and_are_the_same_whatever_misses(spoken, written):
    whole, tested = pairs(spoken, written, 0.0)
    for pair in whole + tested:
        place = int(pair.source.item.rpartition(" ")[2])
        assert written.labels[place] == pair.target == int(pair.source.item[0])
        assert np.array_equal(pair.streams["picture"].values[0], written.ink[place])
    again, _ = pairs(spoken, written, 1.0)
    assert [pair.source.item for pair in again] == [pair.source.item for pair in whole]
    assert all(len(pair.streams) == 1 for pair in again)


def test_no_picture_and_no_recording_is_in_training_and_test(spoken, written):
    training, tested = pairs(spoken, written, 0.9)
    places, recordings = ([pair.source.item.split(", picture ")[part] for pair in training] for part in (1, 0))
    assert len(set(places)) == len(places)
    assert len(set(recordings)) == len(recordings)
    assert not set(places) & {pair.source.item.split(", picture ")[1] for pair in tested}
    assert not {pair.source.group for pair in training} & {pair.source.group for pair in tested}
    assert {pair.source.group.split("_")[2] for pair in tested} == set("01234")


def test_files_of_one_name_belong_together(tmp_path):
    found = open_digit_pairs(str(write_pairs(tmp_path / "pairs", num_speakers=2)))
    assert Counter(tuple(sorted(sample.streams)) for sample in found.samples) == {
        ("sound",): 14,
        ("picture",): 13,
        ("picture", "sound"): 13,
    }
    assert all(sample.target == int(sample.source.item[0]) for sample in found.samples)


def test_a_picture_of_any_size_is_shown_as_it_was_learned(tmp_path, written):
    large = np.kron((written.ink[3] * 255).astype(np.uint8), np.ones((5, 5), np.uint8))
    Image.fromarray(large).save(tmp_path / "a.png")
    found = open_digit_pairs(str(tmp_path / "a.png")).samples[0]
    assert np.abs(found.streams["picture"].values[0] - written.ink[3]).max() < 0.02
    assert found.target is None


def test_what_is_no_digit_is_refused(tmp_path):
    with pytest.raises(InputError, match="want digit-pairs"):
        open_digit_pairs("digit-pair")
    with pytest.raises(InputError, match="from 0 to 1"):
        open_digit_pairs("digit-pairs", missing=2.0)
    write_wave(tmp_path / "7_anna_0.wav", word(7, 0, 0))
    write_wave(tmp_path / "7_anna_0.WAV", word(7, 0, 0))
    with pytest.raises(InputError, match="two files of sound"):
        open_digit_pairs(str(tmp_path))
