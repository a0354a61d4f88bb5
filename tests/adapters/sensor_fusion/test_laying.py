"""Sensors with clocks of their own on one clock: each reading once, holes of their length, nothing made up."""

import numpy as np
import pytest

from mainstem.adapters.sensor_fusion.laying import lay
from mainstem.adapters.sensor_fusion.trials import read_trial
from mainstem.core.errors import InputError
from mainstem.data.robot.recording import CHANNELS, Recording, Sensor

NAMES = ("gyroscope", "accelerometer", "magnetometer")


def recording(**times: np.ndarray) -> Recording:
    """Sensors that tell their kind's number and which reading it is."""
    sensors = {}
    for name, stamps in times.items():
        values = np.column_stack([np.arange(len(stamps)), np.full(len(stamps), NAMES.index(name)), stamps])
        sensors[name] = Sensor(kind=name, times=stamps, values=values, channels=CHANNELS[name])
    return Recording(name="made", sensors=sensors)


def test_one_clock_stays_as_it_is():
    times = np.arange(50) / 200
    laid = lay(recording(gyroscope=times, accelerometer=times, magnetometer=times))
    np.testing.assert_array_equal(laid.times, times)
    np.testing.assert_array_equal(laid.samples[:, [0, 3, 6]], np.repeat(np.arange(50.0)[:, None], 3, 1))
    np.testing.assert_allclose(laid.steps_s, 1 / 200, rtol=1e-9)
    np.testing.assert_array_equal(laid.rows, np.arange(50))
    assert laid.num_filled == 0


def test_a_slower_clock_is_used_once_at_the_sample_after_it():
    laid = lay(recording(gyroscope=np.arange(10) * 0.01, magnetometer=np.array([0.005, 0.035, 0.07])))
    told = np.flatnonzero(np.isfinite(laid.samples[:, 6]))
    assert told.tolist() == [1, 4, 7]  # the last at its own stamp
    assert laid.samples[told, 6].tolist() == [0, 1, 2]
    assert np.isnan(laid.samples[:, 3:6]).all()


def test_several_readings_between_two_samples_are_told_as_their_mean():
    laid = lay(recording(gyroscope=np.arange(5) * 0.1, accelerometer=np.arange(9) * 0.05))
    assert laid.samples[:, 3].tolist() == [0.0, 1.5, 3.5, 5.5, 7.5]


def test_jittered_clocks_keep_every_reading_and_their_own_steps():
    rng = np.random.default_rng(0)
    times = np.arange(1000) / 100 + rng.uniform(-0.004, 0.004, 1000)
    other = np.arange(400) / 40 + rng.uniform(-0.002, 0.002, 400)
    laid = lay(recording(gyroscope=times, accelerometer=other))
    np.testing.assert_array_equal(laid.times, times)
    np.testing.assert_array_equal(np.diff(times), laid.steps_s[1:])
    told = np.flatnonzero(np.isfinite(laid.samples[:, 3]))
    late = other[other <= times[-1]]
    assert len(told) == len(late)  # none of two between two samples here
    stamps = laid.samples[told, 5]
    assert (times[told] >= stamps - 1e-6).all()
    assert (times[told[told > 0] - 1] < stamps[told > 0]).all()


def test_a_hole_of_the_clock_becomes_samples_of_nothing_while_others_speak():
    times = np.concatenate([np.arange(10) * 0.01, 0.5 + np.arange(10) * 0.01])
    laid = lay(recording(gyroscope=times, accelerometer=np.arange(60) * 0.01))
    assert len(laid.times) == 60
    np.testing.assert_allclose(laid.steps_s, 0.01, rtol=1e-6)
    assert np.isnan(laid.samples[10:50, 0]).all()
    assert np.isfinite(laid.samples[:, 3]).all()
    assert laid.num_filled == 40
    np.testing.assert_allclose(laid.times[laid.rows], times)


def test_two_and_a_half_steps_are_no_hole_yet():
    times = np.concatenate([np.arange(10) * 0.01, 0.1149 + np.arange(10) * 0.01])
    assert len(lay(recording(gyroscope=times)).times) == 20
    assert len(lay(recording(gyroscope=times + np.where(np.arange(20) < 10, 0, 0.0003))).times) == 22


def test_a_clock_that_starts_late_and_ends_early_leaves_what_others_tell():
    laid = lay(recording(gyroscope=1 + np.arange(50) * 0.01, accelerometer=np.arange(300) * 0.01))
    assert laid.times[0] == pytest.approx(0)
    assert laid.times[-1] >= 2.99 - 1e-6
    assert np.isfinite(laid.samples[:, 3]).sum() == 300
    assert np.isfinite(laid.samples[:, 0]).sum() == 50


def test_what_no_such_sensor_can_have_told_is_absent():
    told = recording(gyroscope=np.arange(10) * 0.01)
    told.sensors["gyroscope"].values[3, 1] = 1e30
    assert np.flatnonzero(np.isnan(lay(told).samples[:, 0])).tolist() == [3]


def test_without_a_gyroscope_another_gives_the_clock():
    laid = lay(recording(accelerometer=np.arange(5) * 0.1, magnetometer=np.arange(3) * 0.2))
    assert laid.clock == "accelerometer"
    assert np.isnan(laid.samples[:, :3]).all()
    assert np.flatnonzero(np.isfinite(laid.samples[:, 6])).tolist() == [0, 2, 4]


def test_stamps_that_go_back_and_infinity_are_not_used():
    found = recording(gyroscope=np.array([0.0, 0.1, 0.1, 0.05, np.nan, 0.2]))
    found.sensors["gyroscope"].values[1] = np.inf
    laid = lay(found)
    assert laid.rows.tolist() == [0, 1, -1, -1, -1, 2]
    assert laid.times.tolist() == [0.0, 0.1, 0.2]
    assert np.isfinite(laid.samples[:, 0]).tolist() == [True, False, True]


def test_a_stamp_of_another_clock_is_refused_and_so_is_nothing():
    with pytest.raises(InputError, match="split"):
        lay(recording(gyroscope=np.array([0.0, 0.001, 0.002, 1e9])))
    with pytest.raises(InputError, match="split"):
        lay(recording(gyroscope=np.array([0.0, 0.001, 0.002]), accelerometer=np.array([0.0, 1e9])))
    with pytest.raises(InputError, match="no gyroscope"):
        lay(recording())


def test_a_trial_with_a_hole_keeps_its_truth_beside_its_readings(tmp_path):
    times = np.concatenate([np.arange(10) * 0.01, 0.5 + np.arange(10) * 0.01])
    quat = np.tile([1.0, 0, 0, 0], (20, 1))
    path = tmp_path / "01_rotation.npz"
    np.savez(path, gyr=np.ones((20, 3)), acc=np.full((20, 3), 5.0), times=times, quat=quat, movement=np.ones(20))
    trial = read_trial(path)
    assert len(trial) == 60
    assert trial.scored.sum() == np.isfinite(trial.quat[:, 0]).sum() == 20
    assert np.isfinite(trial.samples[trial.scored, :6]).all()
    laid = lay(recording(gyroscope=times))
    assert len(laid.samples) == len(laid.steps_s) == 60
