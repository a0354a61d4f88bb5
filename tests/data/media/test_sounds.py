import struct
import wave

import av
import numpy as np
import pytest
from tests.data.media.made_media import film, fine_or_one_line, tone

from mainstem.core.errors import InputError
from mainstem.data.hearing import hearing
from mainstem.data.media.bounds import Bounds
from mainstem.data.media.sounds import read_blocks, read_sound


def raw(path, samples: np.ndarray, rate: int, form: int = 1, channels: int = 1):
    """A WAV by hand, with whatever its header is to say."""
    body = samples.tobytes()
    width = samples.dtype.itemsize
    head = struct.pack("<HHIIHH", form, channels, rate, rate * width * channels, width * channels, 8 * width)
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + head
        + b"data" + struct.pack("<I", len(body)) + body
    )  # fmt: skip
    return path


def test_samples_are_those_of_the_file(tmp_path):
    sound = read_sound(tone(tmp_path / "a.wav"), 16_000)
    with wave.open(str(tmp_path / "a.wav")) as file:
        values = np.frombuffer(file.readframes(16_000), np.int16)
    assert np.array_equal(sound.samples, (values / 32_768).astype(np.float32))
    assert (sound.rate, sound.channels, sound.seconds, sound.start_s, sound.notes) == (16_000, 1, 1.0, 0.0, ())


def test_channels_are_their_mean(tmp_path):
    both = read_sound(tone(tmp_path / "a.wav", channels=2), 16_000)
    one = read_sound(tone(tmp_path / "b.wav"), 16_000)
    assert both.channels == 2
    assert np.allclose(both.samples, one.samples / 2, atol=1e-6)


def test_another_rate_keeps_the_pitch(tmp_path):
    sound = read_sound(tone(tmp_path / "a.wav", rate=48_000, hertz=1000), 8000)
    spectrum = np.abs(np.fft.rfft(sound.samples[:8000]))
    assert spectrum.argmax() == 1000
    assert len(sound.samples) == 8000


@pytest.mark.parametrize("block_s", [0.1, 0.33, 5.0])
def test_blocks_are_the_whole(tmp_path, block_s):
    path = tone(tmp_path / "a.wav", rate=44_100)
    whole = read_sound(path, 16_000).samples
    blocks = list(read_blocks(path, 16_000, block_s))
    assert np.array_equal(np.concatenate(blocks), whole)
    assert {len(block) for block in blocks[:-1]} <= {round(16_000 * block_s)}
    assert 0 < len(blocks[-1]) <= round(16_000 * block_s)


def test_numbers_that_are_none_and_too_loud_are_kept_within_bounds(tmp_path):
    path = raw(tmp_path / "a.wav", np.array([0.5, np.nan, np.inf, -7.0] * 100, np.float32), 16_000, form=3)
    assert np.unique(read_sound(path, 16_000).samples).tolist() == [-1.0, 0.0, 0.5, 1.0]


def test_a_video_s_sound_is_read_and_one_without_says_so(tmp_path):
    assert read_sound(film(tmp_path / "a.mp4", [0, 0.5, 1.0], sound_s=0.0), 16_000).seconds == pytest.approx(
        1.0, abs=0.1
    )
    with pytest.raises(InputError, match="no sound track"):
        read_sound(film(tmp_path / "b.mp4", [0, 0.5]), 16_000)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_a_sound_may_begin_later_than_its_video(tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", [0, 0.5, 1.0], sound_s=0.7)
    assert read_sound(path, 16_000).start_s == pytest.approx(0.7, abs=0.07)  # AAC has 64 ms of its own before it


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (2_000_000_000, 1), (16_000, 255)])
def test_a_header_that_would_make_hours_of_nothing_is_refused(tmp_path, rate, channels):
    path = raw(tmp_path / "a.wav", np.zeros(255 * 4, np.int16), rate, channels=channels)
    with pytest.raises(InputError, match=r"^a\.wav[^\n]*$"):
        read_sound(path, 16_000)


def test_what_is_longer_than_the_bounds_is_refused_whatever_it_says(tmp_path):
    path = tone(tmp_path / "a.wav", seconds=3)
    with pytest.raises(InputError, match="more than 2 s"):
        read_sound(path, 16_000, Bounds(seconds=2))
    with pytest.raises(InputError, match="read it in blocks"):
        read_sound(path, 16_000, Bounds(memory=1 << 16))
    assert sum(map(len, read_blocks(path, 16_000, bounds=Bounds(memory=1 << 16)))) == 48_000


def test_a_length_that_lies_is_said(tmp_path):
    with av.open(str(tmp_path / "a.flac"), "w") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        for num in range(4):
            noise = np.random.default_rng(num).integers(-9999, 9999, (1, 16_000)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, num * 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = (tmp_path / "a.flac").read_bytes()
    assert read_sound(tmp_path / "a.flac", 16_000).notes == ()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    with hearing():
        sound = read_sound(tmp_path / "a.flac", 16_000)
    assert 1 < sound.seconds < 3
    assert "says that it lasts 4.0 s" in sound.notes[0]


@pytest.mark.parametrize(
    "head", [b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3\x03\0\0\0\0\0\0", b"\xff\xfb\x90\x64", b"caff"]
)
def test_what_only_begins_like_a_sound_is_refused_in_one_line(tmp_path, head):
    (tmp_path / "a.wav").write_bytes(head + bytes(range(256)) * 20)
    with pytest.raises(InputError, match=r"^a\.wav[^\n]*$"), hearing():
        read_sound(tmp_path / "a.wav", 16_000)


def test_damaged_bytes_give_sound_or_one_line(tmp_path):
    random = np.random.default_rng(0)
    clean = np.frombuffer(film(tmp_path / "a.mp4", [0, 0.5, 1.0], sound_s=0.0).read_bytes(), np.uint8)
    for _ in range(40):
        data = clean.copy()
        data[random.integers(8, len(data), 20)] = random.integers(0, 256, 20)
        (tmp_path / "b.mp4").write_bytes(data.tobytes())
        with fine_or_one_line():
            assert np.abs(read_sound(tmp_path / "b.mp4", 8000, Bounds(seconds=60)).samples).max() <= 1
