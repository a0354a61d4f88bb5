import struct

import av
import numpy as np
import pytest
from tests.data.media.made_media import film, fine_or_one_line, quarters, tone, turned

from mainstem.core.errors import InputError
from mainstem.data.hearing import hearing
from mainstem.data.media.bounds import Bounds
from mainstem.data.media.videos import TURNS, read_frames, video_facts

VARYING = [0.0, 0.04, 0.5, 0.52, 2.0, 2.04]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_frames_are_those_of_the_file(tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", np.arange(10) / 25)
    frames = list(read_frames(path))
    assert len(frames) == 10
    assert np.allclose([frame.time_s for frame in frames], np.arange(10) / 25, atol=0.045)
    for frame in frames:
        assert np.abs(frame.pixels[20:].astype(int) - quarters()[20:]).max() < 12
    corners = [frame.pixels[5, 5, 0] for frame in frames]
    assert np.all(np.diff(np.array(corners, int)) > 0)


def test_times_are_the_frames_own_where_the_rate_varies(tmp_path):
    frames = list(read_frames(film(tmp_path / "a.mkv", VARYING)))
    assert [frame.time_s for frame in frames] == pytest.approx(VARYING)


def test_times_are_told_from_the_file_s_first_instant(tmp_path):
    frames = list(read_frames(film(tmp_path / "a.ts", np.array(VARYING) + 100)))  # MPEG-TS starts at any clock
    assert [frame.time_s for frame in frames] == pytest.approx(VARYING, abs=1e-3)


@pytest.mark.parametrize(
    ("every_s", "wanted"), [(0.5, [0, 0.5, 2.0]), (0.04, VARYING), (0.05, [0, 0.5, 2.0]), (9, [0])]
)
def test_of_frames_the_first_at_or_after_each_step_is_shown(tmp_path, every_s, wanted):
    path = film(tmp_path / "a.mkv", VARYING)
    assert [frame.time_s for frame in read_frames(path, every_s)] == pytest.approx(wanted)


@pytest.mark.parametrize("signs", TURNS)
def test_what_is_said_to_be_turned_is_shown_upright(tmp_path, signs):
    a, b, c, d = signs
    shown = next(read_frames(turned(film(tmp_path / "a.mp4", [0, 0.04]), a, b, c, d)))
    values, (height, width) = quarters(), (60, 80)
    at = np.array([[30, 22], [60, 22], [30, 45]])
    moved = at @ np.array([[a, b], [c, d]])  # x' = a x + c y, y' = b x + d y
    moved += np.where(moved < 0, [abs(a) * width + abs(c) * height, abs(b) * width + abs(d) * height], 0)
    for (x, y), (new_x, new_y) in zip(at, moved, strict=True):
        assert np.abs(shown.pixels[new_y, new_x].astype(int) - values[y, x]).max() < 12
    facts = video_facts(tmp_path / "a.mp4")
    assert facts.size == shown.pixels.shape[1::-1]


def test_oblong_pixels_become_square(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 60, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        container.mux(stream.encode(av.VideoFrame.from_ndarray(quarters(), format="rgb24")))
        container.mux(stream.encode(None))
    assert next(read_frames(tmp_path / "a.mp4")).pixels.shape == (60, 160, 3)
    assert next(read_frames(tmp_path / "a.mp4", longest_side=40)).pixels.shape == (15, 40, 3)
    assert video_facts(tmp_path / "a.mp4").size == (160, 60)


def test_facts(tmp_path):
    facts = video_facts(film(tmp_path / "a.mp4", np.arange(50) / 25, sound_s=0.0))
    assert (facts.size, facts.has_sound, facts.notes) == ((80, 60), True, ())
    assert facts.seconds == pytest.approx(2.0, abs=0.05)
    assert facts.frame_rate == pytest.approx(25, rel=0.05)
    assert not video_facts(film(tmp_path / "b.mp4", [0, 0.04])).has_sound


def test_key_frames_alone_are_fewer(tmp_path):
    path = film(tmp_path / "a.mp4", np.arange(30) / 25)
    keys = list(read_frames(path, keys_only=True))
    assert [frame.time_s for frame in keys] == [0.0]
    assert np.array_equal(keys[0].pixels, next(read_frames(path)).pixels)


def test_a_length_that_lies_is_found_out(tmp_path):
    data = bytearray(film(tmp_path / "a.mkv", np.arange(50) / 25).read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, a double in ms (RFC 9559, 5.1.2.10)
    for said_ms in (500.0, 1e9, 3e5):
        data[at : at + 8] = struct.pack(">d", said_ms)
        (tmp_path / "a.mkv").write_bytes(data)
        facts = video_facts(tmp_path / "a.mkv")
        assert facts.seconds == pytest.approx(2.0, abs=0.05)
        assert f"says that it lasts {said_ms / 1000:.1f} s and holds 2.0 s" in facts.notes[0]


def test_what_is_beyond_the_bounds_is_refused_before_or_while_it_is_decoded(tmp_path):
    path = film(tmp_path / "a.mp4", np.arange(50) / 25)
    for bounds, words in (
        (Bounds(pixels=4000), "80 x 60 pixels"), (Bounds(frames=20), "more than 20 frames"),
        (Bounds(seconds=1), "more than 1 s"), (Bounds(bytes=100), "want at most 100"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            list(read_frames(path, bounds=bounds))
    with pytest.raises(InputError, match="more than 1 s"):
        video_facts(path, Bounds(seconds=1))


def test_frames_larger_than_the_header_says_are_not_decoded(tmp_path):
    data = bytearray(film(tmp_path / "a.mp4", [0, 0.04], size=(640, 480)).read_bytes())
    for box, offset in ((b"avc1", 28), (b"tkhd", 80)):  # 8.3.2, 12.1.3: sizes of the sample entry and of the track
        at = data.index(box) + offset
        data[at : at + (4 if box == b"avc1" else 8)] = b"\0\x10\0\x10" if box == b"avc1" else b"\0\x10\0\0\0\x10\0\0"
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(InputError, match=r"^a\.mp4[^\n]*$"), hearing():
        list(read_frames(tmp_path / "a.mp4", bounds=Bounds(pixels=10_000)))


def test_what_is_cut_off_gives_what_is_there_or_one_line(tmp_path):
    data = film(tmp_path / "a.ts", np.arange(50) / 25).read_bytes()
    (tmp_path / "a.ts").write_bytes(data[: len(data) // 2])
    with hearing():
        assert 0 < len(list(read_frames(tmp_path / "a.ts"))) < 50
    data = film(tmp_path / "a.mp4", np.arange(50) / 25).read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])  # its index stands at the end
    with pytest.raises(InputError, match=r"^a\.mp4[^\n]*$"):
        list(read_frames(tmp_path / "a.mp4"))


def test_damaged_packets_are_left_out_and_counted(tmp_path):
    path = film(tmp_path / "a.mp4", np.arange(50) / 25)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0)]
    data = bytearray(path.read_bytes())
    for at, size in places[10:13]:
        data[at : at + size] = bytes(size)
    path.write_bytes(data)
    with hearing() as heard:
        assert len(list(read_frames(path))) == 47
    assert heard == ["a.mp4: 3 of its packets are damaged and were left out"]


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(InputError, match="neither sound nor video"):
        next(read_frames(tmp_path / "a.mp4"))
    with pytest.raises(InputError, match="no moving picture"):
        next(read_frames(tone(tmp_path / "b.mp4.wav")))


def test_damaged_bytes_give_frames_or_one_line(tmp_path):
    random = np.random.default_rng(0)
    clean = np.frombuffer(film(tmp_path / "a.mp4", np.arange(8) / 25).read_bytes(), np.uint8)
    for _ in range(30):
        data = clean.copy()
        data[random.integers(8, len(data), 20)] = random.integers(0, 256, 20)
        (tmp_path / "b.mp4").write_bytes(data.tobytes())
        with fine_or_one_line():
            frames = list(read_frames(tmp_path / "b.mp4", longest_side=32, bounds=Bounds(pixels=1 << 20)))
            assert all(np.isfinite(frame.time_s) for frame in frames)
