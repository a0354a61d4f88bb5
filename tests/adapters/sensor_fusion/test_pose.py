"""The pose filter on drives whose truth is known: biases found, doubt honest, cuts without effect."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from tests.adapters.sensor_fusion.made_drives import Array, Drive, Faults

from mainstem.adapters.sensor_fusion.planar import named, planar, range_error, speed_error
from mainstem.adapters.sensor_fusion.pose_filter import Start, init_state, lateness, pose_at, step
from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.pose_readings import model_of, readings_of
from mainstem.adapters.sensor_fusion.pose_smoothing import filtered, smooth
from mainstem.adapters.sensor_fusion.pose_state import NAMED, PoseModel, PoseState, from_yaw
from mainstem.adapters.sensor_fusion.turns import matrix_of, skew, turned_by
from mainstem.core import rotations
from mainstem.data.robot.recording import CHANNELS, Recording, Sensor

ALL = ("gyroscope", "accelerometer", "wheel", "turn", "gnss")
KNOWN = Start(position=(0.0, 0.0, 0.0), yaw_rad=0.0, position_m=0.05, yaw_deviation_rad=0.01)
STEADY = Noise(gnss_wander=0.05)


def straight(seconds: float, speed: float = 1.0, yaw: float = 0.0) -> Drive:
    number = round(seconds / 0.05)
    return Drive(speed=np.full(number, speed), rate=np.zeros(number), start=(0.0, 0.0, yaw))


def square(seconds: float) -> Drive:
    """Sides of 8 s, corners of 2 s."""
    number = round(seconds / 0.05)
    is_corner = (np.arange(number) * 0.05) % 10 >= 8
    return Drive(speed=np.full(number, 1.0), rate=np.where(is_corner, np.pi / 4, 0.0))


def run(
    model: PoseModel, drive: Drive, faults: Faults, kinds: tuple[str, ...], start: Start | None = KNOWN
) -> PoseState:
    return step(model, init_state(model, start), drive.readings(faults, kinds))[0]


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_plain_floats_turn_as_the_core_does(vector: list[float], parts: list[float]) -> None:
    attitude = rotations.normalise(np.array(parts) + np.array([2.0, 0, 0, 0]))
    turn = np.array(vector)
    assert np.allclose(turned_by(attitude, turn), rotations.multiply(attitude, rotations.exp(turn)), atol=1e-12)
    assert np.allclose(matrix_of(attitude), rotations.to_matrix(attitude), atol=1e-12)
    assert np.allclose(skew(turn), rotations.skew(turn))


def test_a_straight_drive_at_constant_speed_ends_where_it_must() -> None:
    drive = straight(20)
    state = run(PoseModel(noise=STEADY), drive, Faults(), ALL)
    places, _ = drive.truth()
    assert np.allclose(pose_at(PoseModel(noise=STEADY), state, np.array([20.0])).position[0, :2], places[-1], atol=0.05)


@pytest.mark.parametrize(
    "kinds", [("gyroscope", "wheel"), ("wheel", "turn"), ("gyroscope", "accelerometer", "wheel", "turn")]
)
def test_a_circle_closes_without_gnss(kinds: tuple[str, ...]) -> None:
    drive = Drive(speed=np.full(800, 1.0), rate=np.full(800, 2 * np.pi / 40))  # 40 s, radius 6.4 m
    model = PoseModel()
    pose = pose_at(model, run(model, drive, Faults(), kinds), np.array([40.0]))
    values, covariance = planar(pose)
    assert np.hypot(*values[0, :2]) < 0.1
    assert abs(np.angle(np.exp(1j * values[0, 2]))) < 0.01
    assert covariance.shape == (1, 3, 3)


def test_wheels_scaled_wrong_are_found_with_their_interval() -> None:
    drive = straight(120, speed=5.0)
    model = PoseModel(noise=STEADY)
    state = run(model, drive, Faults(wheel_scale=-0.02, gnss_m=0.3), ALL)
    found = speed_error(model, state, 5.0)
    assert found.low < -0.1 < found.high
    assert found.high < -0.05
    assert found.unit == "m/s"


def test_a_gyroscopes_bias_is_found_with_its_interval() -> None:
    model = PoseModel(noise=STEADY)
    state = run(model, square(120), Faults(gyroscope_bias=0.01, gnss_m=0.2), ("gyroscope", "wheel", "gnss"))
    found = named(model, state)["gyroscope bias z"]
    assert found.low < 0.01 < found.high
    assert found.high - found.low < 0.005


def test_a_bias_of_ranges_is_found_in_a_square_of_beacons() -> None:
    corners = {
        name: np.array([*place, np.nan])
        for name, place in zip("abcd", [(-9, -9), (15, -9), (15, 15), (-9, 15)], strict=True)
    }
    drive = replace(square(200), beacons=corners)
    model = PoseModel(beacons=corners)
    state = run(model, drive, Faults(range_bias=2.8, range_m=0.2), ("gyroscope", "wheel", "range"))
    found = range_error(model, state, 15.0)
    assert found.low < 2.8 < found.high
    assert found.low > 1.5
    places, _ = drive.truth()
    assert np.linalg.norm(pose_at(model, state, np.array([200.0])).position[0, :2] - places[-1]) < 0.5


def test_the_heading_is_found_of_a_path_and_fixes() -> None:
    drive = straight(60, yaw=2.3)
    state = run(PoseModel(noise=STEADY), drive, Faults(gnss_m=0.3), ALL, start=None)
    values, covariance = planar(pose_at(PoseModel(noise=STEADY), state, np.array([60.0])))
    assert values[0, 2] == pytest.approx(2.3, abs=3 * np.sqrt(covariance[0, 2, 2]) + 1e-3)
    assert np.sqrt(covariance[0, 2, 2]) < 0.05


def test_sensors_mounted_askew_tell_the_same_by_their_extrinsics() -> None:
    drive = square(30)
    pose_matrix = np.eye(4)
    pose_matrix[:3, :3] = rotations.to_matrix(rotations.exp(np.array([np.pi / 2, 0.3, -1.0])))
    gyroscope = np.array([[0, 0, rate] for rate in drive.rate])
    wheel = np.column_stack([drive.speed, np.full((len(drive.speed), 2), np.nan)])
    straight_on, askew = (
        Recording(
            name="made",
            sensors={
                "gyro": Sensor(
                    kind="gyroscope", times=drive.times[:-1], values=values, channels=CHANNELS["gyroscope"], frame="imu"
                ),
                "wheel": Sensor(kind="wheel", times=drive.times[:-1], values=wheel, channels=CHANNELS["wheel"]),
            },
            extrinsics={"imu": extrinsic},
        )
        for values, extrinsic in ((gyroscope, np.eye(4)), (gyroscope @ pose_matrix[:3, :3], pose_matrix))
    )
    ends = []
    for recording in (straight_on, askew):
        model = model_of(recording)
        ends.append(step(model, init_state(model, KNOWN), readings_of(recording))[1])
    assert np.allclose(ends[0].position, ends[1].position, atol=1e-9)
    assert np.allclose(ends[0].attitude, ends[1].attitude, atol=1e-9)


def test_a_lever_of_the_antenna_is_taken_off() -> None:
    drive = square(60)
    lever = np.array([1.0, 0.5, 0.0])
    moved = [
        replace(reading, value=reading.value + rotations.rotate(from_yaw(yaw), lever))
        if reading.kind == "gnss"
        else reading
        for reading in drive.readings(Faults(), ("gyroscope", "wheel", "gnss"))
        for yaw in [float(np.interp(reading.time, drive.times, drive.truth()[1]))]
    ]
    model = PoseModel(noise=STEADY, levers={"gnss": lever})
    _, pose = step(model, init_state(model, KNOWN), moved)
    place = [np.interp(pose.times[0], drive.times, drive.truth()[0][:, axis]) for axis in (0, 1)]
    assert np.allclose(pose.position[0, :2], place, atol=0.1)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=6))
def test_how_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    readings = square(10).readings(Faults(gnss_m=0.3, gyroscope_rad_s=0.01), ALL)
    model = PoseModel()
    whole, _ = step(model, init_state(model), readings)
    state = init_state(model)
    edges = [0, *sorted(min(cut, len(readings)) for cut in cuts), len(readings)]
    for low, high in pairwise(edges):
        state = step(model, state, readings[low:high])[0]
        if np.isfinite(state.time):
            pose_at(model, state, np.array([state.time + 1.0]))  # a query must leave no trace
    assert np.array_equal(state.mean, whole.mean)
    assert np.array_equal(state.attitude, whole.attitude)
    assert np.array_equal(state.covariance, whole.covariance)


def test_smoothing_agrees_with_the_filter_at_the_end_and_is_surer_before() -> None:
    drive = square(40)
    readings = drive.readings(Faults(gnss_m=0.5, gyroscope_rad_s=0.01), ALL)
    model, times = PoseModel(noise=STEADY), np.arange(1.0, 40.0, 1.0)
    times = np.append(times, readings[-1].time + 0.2)
    ahead_only, both = (track(model, readings, times, KNOWN) for track in (filtered, smooth))
    assert np.allclose(both.position[-1], ahead_only.position[-1], atol=1e-6)
    assert np.allclose(both.attitude[-1], ahead_only.attitude[-1], atol=1e-8)
    assert np.allclose(both.covariance[-1], ahead_only.covariance[-1], rtol=1e-3, atol=1e-9)
    spread = [np.trace(track.covariance[:-1, :2, :2], axis1=1, axis2=2) for track in (both, ahead_only)]
    assert (spread[0] <= spread[1] + 1e-9).all()
    truth = np.stack([np.interp(times, drive.times, drive.truth()[0][:, axis]) for axis in (0, 1)], -1)
    rms = [np.sqrt(np.mean((track.position[:-1, :2] - truth[:-1]) ** 2)) for track in (both, ahead_only)]
    assert rms[0] < rms[1]


def test_silence_grows_the_doubt_and_more_of_it_more() -> None:
    drive = square(20)
    readings = [r for r in drive.readings(Faults(gnss_m=0.3), ALL) if r.kind != "gnss" or r.time < 10]
    model = PoseModel(noise=STEADY)
    state, pose = step(model, init_state(model, KNOWN), readings)
    later = pose_at(model, state, state.time + np.array([0.5, 1.0, 3.0, 10.0]))
    heard = step(model, init_state(model, KNOWN), drive.readings(Faults(gnss_m=0.3), ALL))[1]
    spread = np.array([np.trace(c[:2, :2]) for c in (heard.covariance[0], pose.covariance[0], *later.covariance)])
    assert (np.diff(spread) > 0).all()
    assert later.covariance[-1, 5, 5] > 100 * pose.covariance[0, 5, 5]  # the heading, without any gyroscope


def test_a_second_without_the_gyroscope_is_known_to_be_one() -> None:
    drive = square(20)
    model = PoseModel(noise=STEADY)
    kinds = ("gyroscope", "wheel", "gnss")
    readings = drive.readings(Faults(gnss_m=0.3), kinds)
    gap = [r for r in readings if not (r.kind == "gyroscope" and 18.2 < r.time < 19.2)]
    whole, holed = (step(model, init_state(model, KNOWN), some)[0] for some in (readings, gap))
    yaw = [np.sqrt(state.covariance[8, 8]) for state in (whole, holed)]
    assert yaw[1] > 3 * yaw[0]
    error = np.abs(
        np.angle(np.exp(1j * (planar(pose_at(model, holed, np.array([20.0])))[0][0, 2] - drive.truth()[1][-1])))
    )
    assert error < 3 * yaw[1]


def test_a_sensor_that_lies_is_refused_and_named() -> None:
    readings = square(40).readings(Faults(gnss_m=0.3), ALL)
    lying = [
        replace(reading, value=reading.value + 40.0) if reading.kind == "gnss" and 20 < reading.time < 24 else reading
        for reading in readings
    ]
    model = PoseModel(noise=STEADY)
    state, pose = step(model, init_state(model, KNOWN), lying)
    assert state.tallies["gnss"].refused >= 9
    assert not any(tally.refused for name, tally in state.tallies.items() if not name.startswith("gnss"))
    honest = step(model, init_state(model, KNOWN), readings)[1]
    assert np.linalg.norm(pose.position - honest.position) < 1.0


def test_late_readings_are_counted_and_not_used() -> None:
    readings = straight(10).readings(Faults(), ALL)
    model = PoseModel()
    state, pose = step(model, init_state(model, KNOWN), readings)
    late = [replace(reading, time=reading.time - 5) for reading in readings[-3:]]
    after, same = step(model, state, late)
    assert sum(lateness(after).values()) == 3
    assert np.array_equal(pose.position, same.position)


def test_nothing_but_fixes_gives_a_place_and_no_heading() -> None:
    model = PoseModel(has_wheels=False, noise=STEADY)
    _, pose = step(model, init_state(model), straight(20).readings(Faults(gnss_m=0.3), ("gnss",)))
    assert np.allclose(pose.position[0, :2], [pose.times[0], 0], atol=1.0)
    assert np.sqrt(pose.covariance[0, 5, 5]) > 3


@pytest.mark.long
def test_noise_of_ranges_is_learned_from_innovations() -> None:
    corners = {
        name: np.array([*place, np.nan])
        for name, place in zip("abcd", [(-9, -9), (15, -9), (15, 15), (-9, 15)], strict=True)
    }
    drive = replace(square(150), beacons=corners)
    model = PoseModel(beacons=corners)
    quiet, noisy = (
        run(model, drive, Faults(range_m=deviation), ("gyroscope", "wheel", "range")).tallies["range"].scale
        for deviation in (0.1, 1.5)
    )
    assert quiet < 0.5
    assert noisy > 2


def _wander(number: int, deviation: float, lasting_s: float, rng: np.random.Generator) -> Array:
    """An Ornstein-Uhlenbeck process (number, 3) at 20 Hz."""
    decay = np.exp(-0.05 / lasting_s)
    found = np.empty((number, 3))
    found[0] = deviation * rng.normal(size=3)
    for index in range(1, number):
        found[index] = decay * found[index - 1] + deviation * np.sqrt(1 - decay**2) * rng.normal(size=3)
    return found


@pytest.mark.parametrize("number", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_the_doubt_is_as_large_as_the_errors_over_many_drives(number: int) -> None:
    noise = Noise(gnss_wander=1.0, gnss_wander_s=20.0, wheel_lasting_s=0.0, wheel_fraction=0.0, silent_speed=0.3)
    model, drive = PoseModel(noise=noise, adapts=False), square(12)
    places, headings = drive.truth()
    squares = []
    for seed in range(number):
        rng = np.random.default_rng(seed)
        faults = Faults(
            wheel_scale=noise.wheel_scale_prior * rng.normal(),
            gyroscope_bias=noise.gyroscope_bias_prior * rng.normal(),
            gnss_m=0.5,
            wheel_m_s=noise.wheel_speed,
            gyroscope_rad_s=noise.gyroscope_rad_rts / np.sqrt(0.05),
        )
        start = Start(position=(*rng.normal(size=2), 0.0), yaw_rad=0.1 * rng.normal())
        wander = _wander(len(drive.speed), 1.0, 20.0, rng) * np.array([1, 1, 0])
        readings = drive.readings(faults, ("gyroscope", "wheel", "gnss"), seed=seed, wander=wander)
        _, pose = step(model, init_state(model, start), readings)
        values, covariance = planar(pose)
        error = values[0] - [*places[-2], headings[-2]]
        error[2] = np.angle(np.exp(1j * error[2]))
        squares.append(error @ np.linalg.solve(covariance[0], error))
    low, high = chi2.ppf([0.001, 0.999], 3 * number) / number
    assert low < np.mean(squares) < high


def test_every_named_value_has_an_interval() -> None:
    model = PoseModel(beacons={"a": np.zeros(3)})
    found = named(model, init_state(model, KNOWN))
    assert set(NAMED) <= set(found)
    assert all(estimate.low < estimate.high for estimate in found.values())
