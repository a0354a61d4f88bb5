"""LeRobot sets in their own layout: one episode a recording, names kept, units never guessed."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mainstem.core.errors import InputError
from mainstem.data.robot.checking import check_recording
from mainstem.data.robot.lerobot import read_lerobot

FPS = 50
MOTORS = ["shoulder", "elbow"]
LENGTHS = (30, 20)


def features() -> dict:
    scalar = {"dtype": "int64", "shape": [1], "names": None}
    return {
        "observation.state": {"dtype": "float32", "shape": [2], "names": {"motors": MOTORS}},
        "action": {"dtype": "float32", "shape": [2], "names": MOTORS},
        "next.reward": {"dtype": "float32", "shape": [1], "names": None},
        "observation.images.top": {"dtype": "video", "shape": [480, 640, 3], "names": ["height", "width", "channels"]},
        "observation.grid": {"dtype": "float32", "shape": [2, 2], "names": None},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), scalar),
    }


def write(folder: Path, stamped: float = FPS, **changes: object) -> Path:
    """A set of two episodes in one shard, as lerobot 0.4 lays it out."""
    (folder / "meta" / "episodes" / "chunk-000").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "chunk-000").mkdir(parents=True, exist_ok=True)
    info = {
        "codebase_version": "v3.0", "robot_type": "so101", "total_episodes": 2, "total_frames": 50, "fps": FPS,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features(), **changes,
    }  # fmt: skip
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    episodes = {
        "episode_index": [0, 1], "length": list(LENGTHS), "tasks": [["lift"], ["lift"]], "data/chunk_index": [0, 0],
        "data/file_index": [0, 0], "dataset_from_index": [0, 30], "dataset_to_index": [30, 50],
    }  # fmt: skip
    parquet.write_table(pa.table(episodes), folder / "meta/episodes/chunk-000/file-000.parquet")
    frame = np.concatenate([np.arange(length) for length in LENGTHS])
    episode = np.repeat([0, 1], LENGTHS)
    state = np.stack([frame, 100 * episode], axis=1).astype(np.float32)
    columns = {
        "observation.state": pa.FixedSizeListArray.from_arrays(pa.array(state.ravel()), 2),
        "action": pa.array((state + 1).tolist(), pa.list_(pa.float32())),
        "next.reward": pa.array(frame.astype(np.float32)),
        "observation.grid": pa.array([[[0.0, 0.0]] * 2] * 50),
        "timestamp": pa.array((frame / stamped).astype(np.float32)),
        "frame_index": frame, "episode_index": episode, "index": np.arange(50), "task_index": np.zeros(50, np.int64),
    }  # fmt: skip
    parquet.write_table(pa.table(columns), folder / "data/chunk-000/file-000.parquet")
    return folder


def test_one_episode_is_a_recording_of_named_channels(tmp_path):
    found = read_lerobot(write(tmp_path / "set"), episode=1)
    state, action = found.sensors["observation.state"], found.sensors["action"]
    assert (state.kind, [channel.name for channel in state.channels]) == ("other", MOTORS)
    assert {channel.unit for channel in (*state.channels, *action.channels)} == {"unstated"}
    np.testing.assert_array_equal(state.values, [[i, 100] for i in range(20)])
    np.testing.assert_array_equal(action.values, state.values + 1)
    np.testing.assert_allclose(state.times, np.arange(20) / FPS, atol=1e-6)
    assert found.sensors["next.reward"].values.shape == (20, 1)
    assert set(found.skipped) == {"observation.images.top", "observation.grid"}
    assert found.faults == ()
    assert {finding.what for finding in check_recording(found)} == {"rate", "unit missing"}


def test_which_episode_has_to_be_said_unless_there_is_one(tmp_path):
    folder = write(tmp_path / "set")
    with pytest.raises(InputError, match="2 episodes, 0 to 1; say which"):
        read_lerobot(folder)
    with pytest.raises(InputError, match="no episode 7"):
        read_lerobot(folder, episode=7)
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    parquet.write_table(parquet.read_table(path).slice(0, 1), path)
    assert len(read_lerobot(folder).sensors["action"].times) == 30


def test_frames_that_come_at_another_rate_than_is_said_are_a_finding(tmp_path):
    (fault,) = read_lerobot(write(tmp_path / "set", stamped=25), episode=0).faults
    assert (fault.what, fault.state) == ("rate", "bad")
    assert "50 frames a second are said" in fault.words


CASES = {
    "old": ({"codebase_version": "v2.1"}, "want v3.0"),
    "path outside": ({"data_path": "../{chunk_index}"}, "keeps its frames in"),
    "format attack": ({"data_path": "{chunk_index.__class__}"}, "keeps its frames in"),
    "no rate": ({"fps": 0}, "frames a second"),
    "rate of text": ({"fps": "fast"}, "no description"),
    "other width": ({"features": {"action": {"dtype": "float32", "shape": [3], "names": None}}}, "other lengths"),
    "missing column": ({"features": {"effort": {"dtype": "float32", "shape": [3], "names": None}}}, "lacks the column"),
    "no shape": ({"features": {"action": {"dtype": "float32"}}}, "has the shape"),
    "features of none": ({"features": 3}, "no description"),
    "features in a list": ({"features": []}, "no description"),
    "no features": ({"features": {}}, "no feature of numbers"),
    "a scalar for two": ({"features": {"next.reward": {"dtype": "float32", "shape": [2]}}}, "single numbers"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), CASES.values(), ids=CASES)
def test_sets_that_contradict_themselves_are_refused_in_one_line(tmp_path, change, words):
    with pytest.raises(InputError) as raised:
        read_lerobot(write(tmp_path / "set", **change), episode=0)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_and_outside_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no meta"):
        read_lerobot(tmp_path)
    folder = write(tmp_path / "set")
    data = folder / "data/chunk-000/file-000.parquet"
    data.rename(tmp_path / "elsewhere.parquet")
    with pytest.raises(InputError, match="is missing"):
        read_lerobot(folder, episode=0)
    data.symlink_to(tmp_path / "elsewhere.parquet")
    with pytest.raises(InputError, match="leads outside"):
        read_lerobot(folder, episode=0)


@pytest.mark.parametrize(
    "name", ["meta/info.json", "meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet"]
)
def test_every_cut_and_every_flipped_bit_is_read_or_refused(tmp_path, name):
    path = write(tmp_path / "set") / name
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    broken = [whole[:length] for length in random.integers(0, len(whole), 15)]
    for at, bit in zip(random.integers(0, len(whole), 60), random.integers(0, 8, 60), strict=True):
        broken.append(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    refused = 0
    for data in broken:
        path.write_bytes(data)
        try:
            read_lerobot(tmp_path / "set", episode=0)
        except InputError:
            refused += 1
    assert refused > 15
