"""Attitudes as users have them: by the run that ships, of arrays, and of streams however they are cut."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.sensor_fusion.test_attitude import RATE, made

from mainstem.adapters import find_task, shipped_runs
from mainstem.adapters.sensor_fusion.motion_evaluation import coverage_of, evaluate_attitudes, paired, refuse_learned
from mainstem.adapters.sensor_fusion.motion_stream import AttitudeStream
from mainstem.adapters.sensor_fusion.motion_track import Attitudes, tell_attitudes
from mainstem.adapters.sensor_fusion.names import SENSORS
from mainstem.adapters.sensor_fusion.rivals import RIVALS, of_force_and_field, smooth_vqf
from mainstem.adapters.sensor_fusion.scoring import Trial, angles_between, errors_of
from mainstem.adapters.sensor_fusion.windows import CHANNELS, is_missing, moments, stride
from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.core.fitted import load_run
from mainstem.core.progress import silent
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.core.streaming import run_stream
from mainstem.core.task import DataRequest, TrackAsk

SOURCE = Provenance(data="made in the test", item="piece", simulated=True)


@pytest.fixture(scope="module")
def fitted():
    return load_run(shipped_runs("sensor-fusion")["motion"], find_task("sensor-fusion", "motion"))


@pytest.fixture(scope="module")
def readings():
    samples, steps, truth = made(seconds=12, seed=4)
    samples[1400:1600, :3] = np.nan
    samples[2000:2100, 6:] = np.nan
    return samples, steps, truth


def pieces(samples, cuts):
    bounds = [0, *sorted(cuts), len(samples)]
    for start, stop in itertools.pairwise(bounds):
        part = samples[start:stop]
        times = (np.arange(start, stop) + 1) / RATE
        streams = {
            name: Stream(kind="series", values=part[:, 3 * i : 3 * i + 3], channels=CHANNELS[name], times=times)
            for i, name in enumerate(SENSORS)
        }
        yield [Sample(streams=streams, target=None, source=SOURCE)] if stop > start else []


def test_attitudes_are_told_with_balls_that_grow_in_silence_and_health(fitted, readings):
    samples, steps, truth = readings
    told = tell_attitudes(samples, steps, fitted, 0.9)
    errors = rotations.angle_between(told.quat, truth)
    assert told.radius_rad[: stride(RATE) - 1].min() == np.pi  # the trunk was not asked yet
    assert told.radius_rad[1500:1600].mean() > 2 * told.radius_rad[1200:1400].mean()
    assert (errors <= told.radius_rad)[400:].mean() > 0.9
    assert (told.health[1420:1600, 0] == 1).all()  # absent within 0.1 s
    assert (told.health[1420:1600, 1:] != 1).all()
    assert (told.health[2020:2100, 2] == 1).all()
    smoothed = tell_attitudes(samples, steps, fitted, 0.9, is_smoothed=True)
    assert (rotations.angle_between(smoothed.quat, truth)[400:] ** 2).mean() < (errors[400:] ** 2).mean()


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(1, 1900), max_size=8, unique=True))
def test_how_a_stream_is_cut_changes_nothing(fitted, readings, cuts):
    samples, steps = readings[0][:1900], readings[1][:1900]
    whole = tell_attitudes(samples, steps, fitted, 0.9)
    *_, (state, prediction) = run_stream(AttitudeStream(fitted, RATE), pieces(samples, cuts))
    assert np.allclose(prediction.region.centre, whole.quat[-1], atol=1e-5)
    assert prediction.region.radius_rad == pytest.approx(whole.radius_rad[-1], rel=1e-3)
    assert len(state.waiting) + len(state.recent) < 200  # memory does not grow with the stream


def without_north(seconds, bias=(0.0, 0.0, 0.0)):
    """Readings without a magnetometer, of a gyroscope with a bias; at rest for 2 s, then turning."""
    samples, steps, truth = made(seconds=seconds, seed=4)
    samples[:, :3] += bias
    samples[:, 6:] = np.nan
    return samples, steps, truth


def test_without_a_magnetometer_headings_count_from_the_first_and_a_bias_is_learned_at_rest(fitted):
    samples, steps, truth = without_north(60, bias=(0.002, -0.003, 0.008))
    told = tell_attitudes(samples, steps, fitted, 0.9)
    heading = rotations.multiply(truth[:1], rotations.conjugate(told.quat[:1]))[0]
    turn = np.array([np.cos(np.arctan2(heading[3], heading[0])), 0, 0, np.sin(np.arctan2(heading[3], heading[0]))])
    errors = rotations.angle_between(rotations.multiply(np.broadcast_to(turn, told.quat.shape), told.quat), truth)
    assert np.degrees(errors[-200:].mean()) < 6  # 0.008 rad/s alone would be 27 degrees
    assert (errors <= told.radius_rad)[400:].mean() > 0.9
    assert told.radius_rad[-1] > told.radius_rad[600]  # nothing tells the heading, so its doubt grows


def test_a_stream_without_a_magnetometer_tells_what_the_whole_does(fitted):
    samples, steps, _ = without_north(8)
    whole = tell_attitudes(samples, steps, fitted, 0.9)
    stream = AttitudeStream(fitted, RATE, has_north=False)
    *_, (_, prediction) = run_stream(stream, pieces(samples, [333, 901]))
    assert np.allclose(prediction.region.centre, whole.quat[-1], atol=1e-5)
    assert prediction.region.radius_rad == pytest.approx(whole.radius_rad[-1], rel=1e-3)


@pytest.mark.parametrize(("column", "value"), [(1, 300.0), (0, 1e300), (4, 1e30), (8, -1e200), (2, np.inf)])
def test_what_no_sensor_can_say_turns_nothing(fitted, column, value):
    samples, steps, truth = made(seconds=8, seed=4)
    whole = tell_attitudes(samples, steps, fitted, 0.9)
    samples[900, column] = value
    told = tell_attitudes(samples, steps, fitted, 0.9)
    assert np.degrees(rotations.angle_between(told.quat, truth)[800:].max()) < 5
    assert (told.health == whole.health).mean() > 0.999


def test_a_kept_state_can_be_gone_on_from_twice(fitted, readings):
    stream = AttitudeStream(fitted, RATE)
    first, second = list(pieces(readings[0][:800], [503]))
    kept, _ = stream.step(stream.init_state(), first)
    one, two = stream.step(kept, second)[1], stream.step(kept, second)[1]
    assert np.array_equal(one.region.centre, two.region.centre)


def test_the_trunk_is_asked_every_quarter_of_a_second_at_most():
    for rate in (30.0, 100.0, 285.7, 1000.0):
        at = moments(round(10 * rate), rate)
        assert np.diff(at).min() / rate >= 0.25 - 1e-9
        assert np.diff(at).max() / rate <= 0.25 + 0.035


def test_a_slow_sensor_is_not_missing_between_its_readings():
    slow = np.full((100, 3), np.nan)
    slow[::20] = 1.0
    assert not is_missing(slow, 200.0)
    assert is_missing(np.concatenate([slow, np.full((80, 3), np.nan)]), 200.0)
    assert is_missing(np.full((100, 3), np.nan), 200.0)


def test_plain_filters_find_the_attitude_too(readings):
    samples, _, truth = made(seconds=15, seed=4)
    gone = {name: follow(samples, RATE) for name, follow in RIVALS.items()}
    gone["offline"] = smooth_vqf(samples, RATE)
    for name, quat in gone.items():
        assert np.degrees(rotations.angle_between(quat, truth))[1500:].max() < 12, name
    silent = {name: follow(readings[0], RATE) for name, follow in RIVALS.items()}
    assert all(np.isfinite(quat[400:]).all() for quat in silent.values())


def test_force_and_field_alone_tell_an_attitude_at_rest():
    turned = rotations.exp(np.array([[0.4, -0.3, 2.0]]))
    force = rotations.rotate(rotations.conjugate(turned), np.array([[0.0, 0.0, 9.81]]))
    field = rotations.rotate(rotations.conjugate(turned), np.array([[0.0, 16.0, -42.0]]))
    told = of_force_and_field(np.concatenate([np.zeros((1, 3)), force, field], 1))
    assert rotations.angle_between(told, turned)[0] < 1e-9


def test_errors_have_known_parts_and_coverage_counts_samples_that_are_scored():
    truth = np.tile([1.0, 0, 0, 0], (4, 1))
    told = rotations.exp(np.array([[0, 0, 0.1], [0.2, 0, 0], [0, 0, 0], [0, 0, 3.0]]))
    assert np.allclose(angles_between(told, truth)[:2], [[0.1, 0.1, 0], [0.2, 0, 0.2]], atol=1e-9)
    trial = Trial(
        name="t", kind="k", samples=np.zeros((4, 9)), steps_s=np.full(4, 0.01), quat=truth,
        scored=np.array([True, True, True, False]),
    )  # fmt: skip
    assert errors_of(told, trial)[0] == pytest.approx(np.degrees(np.sqrt((0.01 + 0.04) / 3)))
    assert np.isnan(errors_of(told, trial, np.zeros(4, bool))).all()
    attitudes = Attitudes(
        quat=told, covariance=np.zeros((4, 3, 3)), radius_rad=np.array([0.05, 0.3, 0.3, 0.0]), health=np.zeros((4, 3))
    )
    assert coverage_of(attitudes, trial, np.ones(4, bool)) == pytest.approx(2 / 3)


def test_a_difference_of_one_trial_has_no_interval():
    assert paired(np.array([1.5])) == {"value": 1.5, "low": None, "high": None}
    found = paired(np.array([1.0, 1.2, 0.8, 1.1]))
    assert found["low"] < found["value"] < found["high"]
    assert found["low"] > 0.8


def run_cli(*arguments):
    code = "from mainstem.apps.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_arrays_in_arrays_out(tmp_path, readings):
    samples, _, truth = readings
    given_path, out = tmp_path / "trial.npz", tmp_path / "est.npz"
    np.savez(given_path, gyr=samples[:, :3], acc=samples[:, 3:6], mag=samples[:, 6:], rate=RATE)
    done = run_cli("predict", "sensor-fusion", given_path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "not verified on this" in done.stdout
    assert "gyroscope: absent for" in done.stdout
    with np.load(out) as told:
        assert told["quat"].shape == (len(samples), 4)
        assert told["radius90_rad"].shape == (len(samples),)
        assert told["health"].shape == (len(samples), 3)
        assert np.degrees(rotations.angle_between(told["quat"], truth))[600:1400].max() < 5
    before = given_path.read_bytes()
    again = run_cli("predict", "sensor-fusion", given_path, "--out", given_path)
    assert again.returncode == 2
    assert len(again.stderr.strip().splitlines()) == 1
    assert given_path.read_bytes() == before


@pytest.mark.long
def test_rows_without_an_attitude_are_counted_and_a_free_heading_is_said(tmp_path, readings):
    samples = readings[0][:600]
    times = np.arange(600) / RATE
    times[::3] = np.nan
    np.savez(tmp_path / "t.npz", gyr=samples[:, :3], acc=samples[:, 3:6], times=times)
    done = run_cli("predict", "sensor-fusion", tmp_path / "t.npz", "--out", tmp_path / "o.npz")
    assert done.returncode == 0, done.stderr
    assert "400 attitudes in" in done.stdout
    assert "200 of 600 rows left out" in done.stdout
    assert "no magnetometer: headings count from where it headed first" in done.stdout
    with np.load(tmp_path / "o.npz") as told:
        assert np.isfinite(told["quat"]).all(1).sum() == 400
        assert "not verified on this" in str(told["note"])
        assert "not for protective functions" in str(told["note"])


def test_a_run_is_not_scored_on_what_it_learned_from(fitted):
    still = np.zeros((4, 9))
    trial = Trial(
        name="02_undisturbed_slow_rotation_B", kind="rotation", samples=still, steps_s=np.full(4, 0.01),
        quat=np.tile([1.0, 0, 0, 0], (4, 1)), scored=np.ones(4, bool),
    )  # fmt: skip
    with pytest.raises(InputError, match="the run learned from 02_undisturbed_slow_rotation_B"):
        refuse_learned(fitted, [trial], "broad")
    refuse_learned(fitted, [replace(trial, name="mine")], "own set")


def test_trials_of_ones_own_are_scored_by_a_run(tmp_path):
    samples, steps, truth = made(seconds=5)
    gyr, acc, mag = np.split(samples, 3, axis=1)
    np.savez(tmp_path / "walk.npz", gyr=gyr, acc=acc, mag=mag, quat=truth, rate=1 / steps[0])
    ask = TrackAsk(request=DataRequest(data=str(tmp_path)))
    with pytest.raises(InputError, match="score a run on it: --run RUN"):
        evaluate_attitudes(find_task("sensor-fusion", "motion"), ask, silent)
