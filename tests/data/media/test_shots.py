"""Shots: cuts, dissolves and fades are found where they were made; flashes, pans and zooms are none."""

import av
import numpy as np
import pytest
from tests.data.media.scenes import scene

from mainstem.data.media.shots import find_boundaries, find_shots
from mainstem.data.media.videos import Frame

RATE = 25


def pan(seed: int, num: int, speed: float = 1.0) -> np.ndarray:
    """Frames (num, 36, 64, 3) of a camera that moves over a scene."""
    still = np.asarray(scene(seed, (240, 120)))
    lefts = (np.arange(num) * speed).astype(int) % 170
    return np.stack([still[40:76, left : left + 64] for left in lefts])


def found(frames: np.ndarray) -> list[tuple[float, str]]:
    boundaries = find_boundaries(Frame(index / RATE, frame) for index, frame in enumerate(frames))
    return [((each.start_s + each.end_s) / 2, each.kind) for each in boundaries]


def test_a_cut_is_found_on_its_frame():
    assert found(np.concatenate([pan(1, 60), pan(2, 60)])) == [(60 / RATE, "cut")]


@pytest.mark.parametrize("num", [10, 20, 30])
def test_a_dissolve_is_found_about_its_middle(num):
    first, second = pan(1, 60 + num, 0.3), pan(2, 60 + num, 0.3)
    weight = np.linspace(0, 1, num)[:, None, None, None]
    blend = ((1 - weight) * first[60:] + weight * second[:num]).astype(np.uint8)
    ((at, kind),) = found(np.concatenate([first[:60], blend, second[num:]]))
    assert kind == "dissolve"
    assert at == pytest.approx((60 + num / 2) / RATE, abs=0.12)


def test_a_dissolve_between_moving_cameras_is_found():
    first, second = pan(4, 86), pan(5, 86)
    weight = np.linspace(0, 1, 26)[:, None, None, None]
    blend = ((1 - weight) * first[60:] + weight * second[:26]).astype(np.uint8)
    ((at, kind),) = found(np.concatenate([first[:60], blend, second[26:]]))
    assert kind == "dissolve"
    assert 60 / RATE < at < 86 / RATE


def test_a_fade_through_black_is_one_boundary():
    weight = np.linspace(1, 0, 20)[:, None, None, None]
    out, into = weight * pan(1, 70, 0.3)[50:], weight[::-1] * pan(2, 20, 0.3)
    black = np.zeros((5, 36, 64, 3), np.uint8)
    frames = [pan(1, 50, 0.3), out.astype(np.uint8), black, into.astype(np.uint8), pan(2, 70, 0.3)[20:]]
    ((at, kind),) = found(np.concatenate(frames))
    assert kind == "fade"
    assert at == pytest.approx(72.5 / RATE, abs=0.3)


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length):
    frames = pan(1, 100).astype(int)
    frames[50 : 50 + length] += 120
    assert found(np.clip(frames, 0, 255).astype(np.uint8)) == []


@pytest.mark.parametrize("speed", [0.5, 1.5])
def test_a_moving_camera_is_no_boundary(speed):
    assert found(pan(3, 110, speed)) == []


def test_noise_is_no_boundary():
    noise = np.random.default_rng(0).normal(0, 12, (90, 36, 64, 3))
    assert found(np.clip(pan(3, 90, 0.5) + noise, 0, 255).astype(np.uint8)) == []


def test_shots_tile_the_video(tmp_path):
    path, frames = tmp_path / "a.mp4", np.concatenate([pan(1, 30), pan(2, 40)])
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height = 64, 36
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    shots = find_shots(path)
    assert [shot.kind for shot in shots] == ["start", "cut"]
    assert shots[0].end_s == shots[1].start_s == pytest.approx(30 / RATE, abs=0.05)
    assert shots[1].end_s == pytest.approx(70 / RATE, abs=0.05)
