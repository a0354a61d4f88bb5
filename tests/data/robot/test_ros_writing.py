"""Estimates written as MCAP and TUM, read back by rosbags, by mcap and by our own reader."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from mainstem.core import rotations
from mainstem.core.errors import ArtifactError, InputError
from mainstem.data.robot.estimate_messages import ERROR, OK, STALE, WARN, stamps_ns
from mainstem.data.robot.estimates import NO_PROTECTION, UNVERIFIED, Estimate, HealthChange
from mainstem.data.robot.ros import read_bag
from mainstem.data.robot.ros_writing import write_mcap, write_tum

ORIGIN = "2023-11-14T22:13:20Z"
COUNT = 50


def spread(generator: np.random.Generator) -> np.ndarray:
    factor = generator.normal(size=(COUNT, 3, 3))
    return factor @ factor.swapaxes(-1, -2)


@pytest.fixture
def estimate() -> Estimate:
    generator = np.random.default_rng(0)
    return Estimate(
        times=1.5 + 0.1 * np.arange(COUNT),
        origin=ORIGIN,
        quat=rotations.normalise(generator.normal(size=(COUNT, 4))),
        quat_covariance=spread(generator),
        position=generator.normal(size=(COUNT, 3)),
        position_covariance=spread(generator),
        velocity=generator.normal(size=(COUNT, 3)),
        health=[
            HealthChange(sensor="/imu/data.gyroscope", time_s=2.304, state="absent", reason="no reading for 0.1 s"),
            HealthChange(sensor="/fix", time_s=3.0, state="biased"),
            HealthChange(sensor="/imu/data.gyroscope", time_s=4.0, state="ok"),
        ],
    )


def messages_of(path: Path) -> dict[str, list]:
    with AnyReader([path], default_typestore=get_typestore(Stores.EMPTY)) as reader:  # of the file's own schemas alone
        found: dict[str, list] = {topic: [] for topic in reader.topics}
        for connection, stamp, raw in reader.messages():
            found[connection.topic].append((stamp, reader.deserialize(raw, connection.msgtype)))
    return found


def test_mcap_is_read_back_by_rosbags_as_it_was(estimate, tmp_path):
    path = tmp_path / "out.mcap"
    write_mcap(path, estimate)
    found = messages_of(path)
    assert set(found) == {"/mainstem/odometry", "/mainstem/imu", "/mainstem/diagnostics"}
    assert [stamp for stamp, _ in found["/mainstem/imu"]] == stamps_ns(estimate).tolist()
    for index, (stamp, imu) in enumerate(found["/mainstem/imu"]):
        assert imu.header.stamp.sec * 10**9 + imu.header.stamp.nanosec == stamp
        turn = imu.orientation
        np.testing.assert_array_equal([turn.w, turn.x, turn.y, turn.z], estimate.quat[index])
        np.testing.assert_array_equal(imu.orientation_covariance.reshape(3, 3), estimate.quat_covariance[index])
        assert imu.angular_velocity_covariance[0] == imu.linear_acceleration_covariance[0] == -1
    for index, (_, odometry) in enumerate(found["/mainstem/odometry"]):
        assert (odometry.header.frame_id, odometry.child_frame_id) == ("odom", "base_link")
        place, speed = odometry.pose.pose.position, odometry.twist.twist.linear
        np.testing.assert_array_equal([place.x, place.y, place.z], estimate.position[index])
        covariance = odometry.pose.covariance.reshape(6, 6)
        np.testing.assert_array_equal(covariance[:3, :3], estimate.position_covariance[index])
        np.testing.assert_array_equal(covariance[3:, 3:], estimate.quat_covariance[index])
        in_world = rotations.rotate(estimate.quat[index], np.array([speed.x, speed.y, speed.z]))
        np.testing.assert_allclose(in_world, estimate.velocity[index], atol=1e-12)  # told in the body's axes


def test_what_is_not_estimated_of_the_twist_is_of_a_huge_variance_and_never_nan(estimate, tmp_path):
    count = len(estimate.times)
    rate, doubt = np.full((count, 3), [np.nan, np.nan, 0.25]), np.tile(np.diag([np.nan, np.nan, 0.01]), (count, 1, 1))
    told = {
        "none": (replace(estimate, velocity=None, velocity_covariance=None), [1e6] * 6, 0.0),
        "turn": (replace(estimate, rate=rate, rate_covariance=doubt), [1e6] * 5 + [0.01], 0.25),
    }
    for name, (each, variances, turn) in told.items():
        write_mcap(tmp_path / f"{name}.mcap", each)
        for _, odometry in messages_of(tmp_path / f"{name}.mcap")["/mainstem/odometry"]:
            covariance = odometry.twist.covariance.reshape(6, 6)
            assert np.isfinite(covariance).all()
            assert np.diag(covariance).tolist() == variances
            assert (odometry.twist.twist.angular.x, odometry.twist.twist.angular.z) == (0.0, turn)
            np.testing.assert_allclose(covariance, covariance.T)


def test_mcap_is_read_back_by_our_own_reader(estimate, tmp_path):
    path = tmp_path / "out.mcap"
    write_mcap(path, estimate)
    found = read_bag(path)
    assert not found.faults
    assert found.origin == "2023-11-14T22:13:21Z"
    place = found.sensors["/mainstem/odometry.position"]
    np.testing.assert_allclose(place.times, estimate.times - 1, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(place.values, estimate.position)
    np.testing.assert_array_equal(found.sensors["/mainstem/imu.orientation"].values, estimate.quat)
    np.testing.assert_array_equal(found.sensors["/mainstem/imu.orientation"].covariance, estimate.quat_covariance)
    assert "own estimate" in found.sensors["/mainstem/imu.orientation"].source
    assert set(found.skipped) == {"/mainstem/diagnostics", "/mainstem/imu.gyroscope", "/mainstem/imu.accelerometer"}


def test_diagnostics_name_each_sensor_and_since_when(estimate, tmp_path):
    path = tmp_path / "out.mcap"
    write_mcap(path, estimate)
    arrays = messages_of(path)["/mainstem/diagnostics"]
    told = [{status.name: (int(status.level), status.message) for status in array.status} for _, array in arrays]
    gyroscope, fix = "mainstem: /imu/data.gyroscope", "mainstem: /fix"
    assert [each[gyroscope][0] for each in told] == [OK, STALE, STALE, OK]
    assert [each[fix][0] for each in told] == [OK, OK, ERROR, ERROR]
    assert told[1][gyroscope][1] == "absent since 2.30 s: no reading for 0.1 s"
    assert told[2][fix][1] == "biased since 3.00 s"
    assert all(each["mainstem: note"] == (WARN, UNVERIFIED) for each in told)
    assert [stamp - arrays[0][0] for stamp, _ in arrays] == [0, 804_000_000, 1_500_000_000, 2_500_000_000]


def test_file_is_a_whole_mcap_of_ros2_with_its_note(estimate, tmp_path):
    path = tmp_path / "out.mcap"
    write_mcap(path, estimate)
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        schemas = {schema.name: schema.encoding for schema in reader.get_summary().schemas.values()}
        assert set(schemas.values()) == {"ros2msg"}
        assert [channel.message_encoding for channel in reader.get_summary().channels.values()] == ["cdr"] * 3
        (told,) = (record.metadata for record in reader.iter_metadata())
        stamps = [message.log_time for _, _, message in reader.iter_messages(log_time_order=False)]
    assert told == {"note": UNVERIFIED, "use": NO_PROTECTION, "origin": ORIGIN, "said": ""}
    assert stamps == sorted(stamps)


def attitude(times: np.ndarray, origin: str = "") -> Estimate:
    count = len(times)
    quat = np.tile([0.5, 0.5, 0.5, 0.5], (count, 1))
    return Estimate(times=times, quat=quat, quat_covariance=np.tile(np.eye(3), (count, 1, 1)), origin=origin)


def test_attitude_alone_has_no_odometry_and_no_zero_stamp(tmp_path):
    path = tmp_path / "out.mcap"
    write_mcap(path, attitude(np.array([0.0, 0.5])))
    found = messages_of(path)
    assert set(found) == {"/mainstem/imu", "/mainstem/diagnostics"}
    assert [stamp for stamp, _ in found["/mainstem/imu"]] == [1, 500_000_000]


def test_tum_has_a_line_a_time(estimate, tmp_path):
    write_tum(tmp_path / "out.tum", estimate)
    lines = (tmp_path / "out.tum").read_text().splitlines()
    assert any(UNVERIFIED in line for line in lines[:3])
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert rows[0][0] == "1700000001.500000000"
    numbers = np.array(rows, dtype=np.float64)
    np.testing.assert_allclose(numbers[:, 1:4], estimate.position, rtol=1e-8)
    np.testing.assert_allclose(numbers[:, [7, 4, 5, 6]], estimate.quat, rtol=1e-8)


def test_tum_of_an_attitude_says_that_its_places_are_none(tmp_path):
    write_tum(tmp_path / "out.tum", attitude(np.array([-0.25, 0.5])))
    lines = (tmp_path / "out.tum").read_text().splitlines()
    assert "position is not estimated" in lines[2]
    assert lines[3] == "-0.250000000 0 0 0 0.5 0.5 0.5 0.5"


def test_nothing_is_left_where_it_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="cannot write"):
        write_mcap(tmp_path / "file" / "out.mcap", attitude(np.array([1.0])))
    with pytest.raises(InputError, match="no time"):
        write_mcap(tmp_path / "out.mcap", attitude(np.zeros(0)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_estimate_that_contradicts_itself_is_refused(estimate):
    from dataclasses import replace

    for change, words in (
        ({"quat": estimate.quat[:-1]}, "quat of"),
        ({"quat": 2 * estimate.quat}, "length 1"),
        ({"times": estimate.times[::-1]}, "go forward"),
        ({"position_covariance": None}, "without its covariance"),
    ):
        with pytest.raises(InputError, match=words):
            replace(estimate, **change)
