"""The public logs with truth: sensors and reference must agree where one can be computed from the other."""

import numpy as np
import pytest

from mainstem.core import rotations
from mainstem.data.robot.comma2k19 import open_comma2k19
from mainstem.data.robot.geodesy import Origin, origin_of_ecef
from mainstem.data.robot.husky import IMU_POSE, open_husky
from mainstem.data.robot.icub import from_rpy, open_icub
from mainstem.data.robot.plaza import open_plaza
from mainstem.data.robot.recording import Recording, Sensor
from mainstem.data.robot.truth import Array, Truth


def test_enu_of_a_degree_on_the_equator_is_the_length_of_a_degree() -> None:
    origin = Origin(0.0, 0.0, 0.0)
    east = origin.to_enu(np.array([[0.0, 0.001, 0.0], [0.0, 0.0, 7.0]]))
    assert east[0, 0] == pytest.approx(111.3194908, abs=1e-4)  # WGS 84: 6378137 m * pi / 180 000
    assert np.allclose(east[1], [0, 0, 7])


def test_ecef_and_geodetic_agree() -> None:
    ecef = np.array([-2712087.5, -4261670.1, 3881014.5])
    origin = origin_of_ecef(ecef)
    assert np.allclose(origin.from_ecef(ecef[None]), 0, atol=1e-6)
    moved = ecef + origin.axes().T @ np.array([3.0, -4.0, 5.0])
    assert np.allclose(origin.from_ecef(moved[None]), [[3, -4, 5]], atol=1e-6)


def test_roll_pitch_yaw_turn_as_urdf_says() -> None:
    forward = rotations.rotate(from_rpy(np.array([0.3, 0.0, np.pi / 2])), np.array([1.0, 0.0, 0.0]))
    assert np.allclose(forward, [0, 1, 0])


def _in_body(recording: Recording, sensor: Sensor) -> Array:
    return sensor.values @ recording.extrinsics[sensor.frame][:3, :3].T


def _rates(truth: Truth, apart: int) -> tuple[Array, Array]:
    """Stamps and body rates of the reference's attitude."""
    assert truth.attitude is not None
    turn = rotations.multiply(rotations.conjugate(truth.attitude[:-apart]), truth.attitude[apart:])
    steps = truth.times[apart:] - truth.times[:-apart]
    return (truth.times[apart:] + truth.times[:-apart]) / 2, rotations.log(turn) / steps[:, None]


@pytest.mark.mirror
@pytest.mark.parametrize(("open_log", "apart", "width"), [(open_comma2k19, 4, 20), (open_icub, 5, 5)])
def test_the_gyroscope_turns_as_the_reference_does(open_log, apart, width) -> None:  # type: ignore[no-untyped-def]
    recording, truth = open_log()
    sensor = recording.sensors["imu.gyroscope"]
    rates = _in_body(recording, sensor)
    times, expected = _rates(truth, apart)
    kernel = np.ones(width) / width
    seen = np.stack([np.interp(times, sensor.times, np.convolve(rates[:, i], kernel, "same")) for i in range(3)], -1)
    for axis in range(3):
        assert np.corrcoef(seen[:, axis], expected[:, axis])[0, 1] > 0.93


@pytest.mark.mirror
@pytest.mark.parametrize("open_log", [open_husky, open_comma2k19, open_icub])
def test_the_accelerometer_feels_gravity_upward(open_log) -> None:  # type: ignore[no-untyped-def]
    recording, _ = open_log()
    (sensor,) = recording.find("accelerometer").values()
    force = _in_body(recording, sensor).mean(0)
    assert force[2] == pytest.approx(9.8, abs=0.2)


@pytest.mark.mirror
def test_the_husky_turns_as_its_wheels_do() -> None:
    recording, truth = open_husky()
    gyroscope, wheels = recording.sensors["/imu/data.gyroscope"], recording.sensors["/husky_velocity_controller/odom"]
    assert np.linalg.det(IMU_POSE[:3, :3]) == pytest.approx(1)
    seen = np.interp(wheels.times, gyroscope.times, _in_body(recording, gyroscope)[:, 2])
    assert np.corrcoef(seen, wheels.values[:, 2])[0, 1] > 0.8
    assert len(truth.times) == 989
    first = np.datetime64(recording.origin.removesuffix("Z"), "ns") + round(float(gyroscope.times[0]) * 1e9)
    assert str(first).startswith("2015-05-21T19:11:37.98894")


@pytest.mark.mirror
def test_the_car_drives_forward_along_its_reference() -> None:
    _, truth = open_comma2k19()
    assert truth.position is not None
    assert truth.attitude is not None
    course = truth.position[20:] - truth.position[:-20]
    forward = rotations.rotate(truth.attitude, np.broadcast_to([1.0, 0.0, 0.0], (len(truth.times), 3)))[10:-10]
    assert (np.sum(course * forward, 1) / np.linalg.norm(course, axis=1)).min() > 0.98
    assert np.linalg.norm(np.diff(truth.position, axis=0), axis=1).sum() == pytest.approx(1012, abs=1)


@pytest.mark.mirror
def test_the_mower_rolls_its_surveyed_way_and_its_ranges_are_long() -> None:
    recording, truth = open_plaza()
    assert truth.position is not None
    wheels, uwb = recording.sensors["wheels"], recording.sensors["uwb"]
    rolled = (wheels.values[:, 0] * np.diff(np.concatenate([[0.0], wheels.times]))).sum()
    assert rolled == pytest.approx(1859, rel=0.005)
    place = np.stack([np.interp(uwb.times, truth.times, truth.position[:, i]) for i in range(2)], -1)
    beacons = np.stack([uwb.beacons[channel.name][:2] for channel in uwb.channels])
    error = uwb.values - np.linalg.norm(place[:, None] - beacons, axis=-1)
    assert np.nanmean(error) == pytest.approx(2.8, abs=0.1)
