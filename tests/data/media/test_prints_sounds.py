"""Fingerprints of sound: cuts, noise and speed are found where they are, and other voices are not."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile
from tests.data.media.scenes import voice

from mainstem.data.media.prints_sound_index import SoundIndex, is_telling, joined
from mainstem.data.media.prints_sounds import HOP_S, PIECE_S, sound_pieces

RATE = 8000


def saved(folder: Path, name: str, samples: np.ndarray, rate: int = RATE) -> Path:
    path = folder / f"{name}.wav"
    wavfile.write(path, rate, samples.astype(np.float32))
    return path


@pytest.fixture
def index(tmp_path) -> SoundIndex:
    """Four voices."""
    found = SoundIndex()
    for seed in range(4):
        assert found.look_up(sound_pieces(saved(tmp_path, f"{seed}", voice(seed)))) == {}
    return found


def test_a_cut_is_found_at_its_place(index, tmp_path):
    cut = saved(tmp_path, "cut", 0.3 * voice(2)[round(1.137 * RATE) : round(4.137 * RATE)])
    found = index.look_up(sound_pieces(cut))
    assert set(found) == {2}
    assert found[2].offset_s == pytest.approx(1.137, abs=2 * HOP_S)
    assert "same speed" in found[2].transform


def test_a_sound_under_noise_is_found(index, tmp_path):
    clean = voice(1)
    noise = np.random.default_rng(0).normal(0, np.sqrt((clean**2).mean() / 100), len(clean))
    assert set(index.look_up(sound_pieces(saved(tmp_path, "noise", clean + noise)))) == {1}


@pytest.mark.parametrize("rate", [8400, 7600])
def test_a_faster_or_slower_copy_is_found_and_its_speed_told(index, tmp_path, rate):
    found = index.look_up(sound_pieces(saved(tmp_path, "fast", voice(3), rate)))
    assert set(found) == {3}
    assert f"{rate / RATE:.4g} times the speed, pitch moved alike" in found[3].transform


def test_a_long_recording_holds_a_short_one(index, tmp_path):
    before = voice(50, PIECE_S + 5.0)
    found = index.look_up(sound_pieces(saved(tmp_path, "long", np.concatenate([before, voice(0), voice(51)]))))
    assert set(found) == {0}
    assert found[0].offset_s == pytest.approx(-(PIECE_S + 5.0), abs=2 * HOP_S)


def test_silence_and_scraps_match_nothing(index, tmp_path):
    for name, samples in {"silence": np.zeros(5 * RATE), "scrap": voice(0)[: RATE * 6 // 10]}.items():
        assert index.look_up(sound_pieces(saved(tmp_path, name, samples))) == {}
        assert not is_telling(joined(sound_pieces(tmp_path / f"{name}.wav")))


def test_the_pieces_of_a_long_sound_join_without_a_gap(tmp_path):
    samples = voice(7, 2.2 * PIECE_S)
    pieces = list(sound_pieces(saved(tmp_path, "long", samples)))
    words = [len(piece.words()) for piece in pieces]
    assert [piece.start for piece in pieces] == [0, words[0], words[0] + words[1]][: len(pieces)]
    assert len(pieces) > 1
