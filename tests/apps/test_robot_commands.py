"""A robot's recording through the command line: predicted, read back by ROS's own tools, and checked against itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.hostile.harness import run_cli

from mainstem.core import rotations
from mainstem.data.catalogue import pull
from mainstem.data.robot.husky import FIX, IMU, IMU_POSE, WHEEL, open_husky

MAPS = ["--map", f"imu={IMU}", "--map", f"wheel={WHEEL}", "--map", f"gnss={FIX}"]
UNVERIFIED = "covariance not verified on this sensor"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run's record, a small recording of arrays, and where the Husky's sensors are mounted."""
    (tmp_path / "run").mkdir()
    record = {
        "adapter": "sensor-fusion", "task": "motion", "data": "broad", "simulated": False, "adapter_sha256": "0" * 64,
        "trunk_sha256": "0" * 64, "held_out": {}, "seconds": 1.0, "seed": 0, "spec": {},
    }  # fmt: skip
    (tmp_path / "run" / "record.json").write_text(json.dumps(record))
    acc = np.tile([0.0, 0.0, 9.81], (50, 1))
    np.savez(tmp_path / "rest.npz", gyr=np.zeros((50, 3)), acc=acc, rate=100.0)
    turn = rotations.from_matrix(IMU_POSE[:3, :3]).tolist()
    (tmp_path / "husky.yaml").write_text(
        f"imu_link: {{translation_m: {IMU_POSE[:3, 3].tolist()}, rotation_wxyz: {turn}}}\n"
        "gps: {translation_m: [0, 0, 0.4], rotation_wxyz: [1, 0, 0, 0]}\n"
    )
    return tmp_path


def predict(folder: Path, path: Path | str, *given: str):
    return run_cli("predict", "sensor-fusion", path, "--run", "run", *given, cwd=folder, limit_s=600)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--map", "imv=imu"], ["no role 'imv'", "did you mean 'imu'"]),
        (["--map", "imu=/imu/date"], ["no topic '/imu/date'", "imu"]),
        (["--map", "imu"], ["ROLE=TOPIC"]),
        (["--maps", "imu=imu"], ["did you mean --map?"]),
        (["--smooth=yes"], ["takes none"]),
        (["--verified", "husky.yaml"], ["husky.yaml"]),
    ],
)
def test_a_wrong_choice_is_refused_in_one_line(folder, given, words):
    predict(folder, "rest.npz", "--out", "est.mcap", *given).refused(*words)
    assert not (folder / "est.mcap").exists()


def test_the_recording_and_what_is_read_beside_it_are_never_written_over(folder):
    before = (folder / "rest.npz").read_bytes()
    predict(folder, "rest.npz", "--out", "rest.npz").refused("is what is read")
    (folder / "est.tum").hardlink_to(folder / "rest.npz")
    predict(folder, "rest.npz", "--out", "est.mcap").refused("is what is read")
    assert (folder / "rest.npz").read_bytes() == before
    predict(folder, "rest.npz", "--out", "est.bag").refused(".mcap or .tum or .csv")


def test_a_recording_without_places_cannot_be_checked_against_itself(folder):
    run_cli("robot", "selfcheck", "rest.npz", "--out", "check.json", cwd=folder).refused("gnss", "rest.npz")
    run_cli("robot", "selfcheck", "rest.npz", "--out", "rest.npz", cwd=folder).refused(".json")
    assert not (folder / "check.json").exists()


@pytest.mark.long
@pytest.mark.mirror
def test_the_husky_bag_is_predicted_to_a_bag_that_ros_reads(folder):
    from rosbags.highlevel import AnyReader

    bag = pull("husky") / "test1.bag"
    predict(folder, bag, *MAPS, "--out", "est.mcap").refused("imu_link", "--assume-identity")
    told = predict(folder, bag, *MAPS, "--extrinsics", "husky.yaml", "--out", "est.mcap").taken().out
    assert "imu_link: mounted as husky.yaml says" in told
    assert UNVERIFIED in told
    with AnyReader([folder / "est.mcap"]) as reader:
        counts = {topic: found.msgcount for topic, found in reader.topics.items()}
        assert counts["/mainstem/odometry"] == counts["/mainstem/imu"] > 10_000
        assert counts["/mainstem/diagnostics"] >= 1
        (connection,) = [one for one in reader.connections if one.topic == "/mainstem/odometry"]
        messages = [reader.deserialize(raw, connection.msgtype) for _, _, raw in reader.messages([connection])]
    last = messages[-1]
    assert (last.header.frame_id, last.child_frame_id) == ("map", "base_link")
    place = np.array([last.pose.pose.position.x, last.pose.pose.position.y])
    covariance = last.pose.covariance.reshape(6, 6)
    np.testing.assert_allclose(covariance, covariance.T)
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    _, truth = open_husky()
    assert np.linalg.norm(place - truth.position[-1, :2]) < 6  # a fix, which itself errs by metres
    text = np.loadtxt(folder / "est.tum")
    assert len(text) == len(messages)
    np.testing.assert_allclose(text[-1, 1:3], place, atol=1e-6)


@pytest.mark.mirror
@pytest.mark.slow
def test_a_self_check_of_the_husky_lets_predictions_say_what_it_found(folder):
    bag = pull("husky") / "test1.bag"
    mounted = [*MAPS, "--extrinsics", "husky.yaml"]
    asked = ["robot", "selfcheck", bag, *mounted, "--out", "check.json", "--json"]
    told = json.loads(run_cli(*asked, cwd=folder, limit_s=900).taken().out)
    checks = {check["sensor"]: check for check in told["checks"]}
    assert FIX in checks
    assert checks[FIX]["num_windows"] >= 3
    assert checks[FIX]["median_error"] < 10
    predicted = predict(folder, bag, *mounted, "--verified", "check.json", "--out", "est.tum").taken().out
    assert UNVERIFIED not in predicted
    assert ("did not hold" in predicted) == bool(told["doubts"])
    fewer = ["--map", f"wheel={WHEEL}", "--map", f"gnss={FIX}", "--assume-identity"]
    predict(folder, bag, *fewer, "--verified", "check.json", "--out", "est.tum").refused("selfcheck")
