"""The attitude filter on sensors whose truth is known, made in the test by physics, not by the filter itself."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mainstem.adapters.sensor_fusion import compiled
from mainstem.adapters.sensor_fusion.attitude import GRAVITY, NO_HEADING, apart, begin, move
from mainstem.adapters.sensor_fusion.settings import Settings, stored_settings
from mainstem.adapters.sensor_fusion.track import follow, smooth
from mainstem.adapters.sensor_fusion.trials import KINDS
from mainstem.core import rotations
from mainstem.core.errors import ArtifactError

RATE = 200.0
FIELD = np.array([0.0, 16.0, -42.0])  # uT, east, north, up
SETTINGS = Settings(gyr_late=0.0, lag=0.0, lag_doubt=0.001)


def made(seconds=20.0, seed=0, iron=(0, 0, 0), first=(0.3, -0.2, 1.0), speed=1.0):
    """A sensor that turns about axes that wander, and its readings; it stays where it is."""
    rng = np.random.default_rng(seed)
    num = round(seconds * RATE)
    times = np.arange(num) / RATE
    phases, paces = rng.uniform(0, 6, (3, 3)), rng.uniform(0.3, 2.0, (3, 3))
    rates = speed * np.sin(paces[None] * times[:, None, None] + phases[None]).sum(1)
    rates[: round(2 * RATE)] = 0
    turned, now = [], Rotation.from_rotvec(first)
    for rate in rates:
        now = now * Rotation.from_rotvec(rate / RATE)
        turned.append(now.as_quat())
    truth = Rotation.from_quat(np.array(turned))
    gyr = rates + 0.002 * RATE**0.5 * rng.normal(size=(num, 3)) * 0.1
    acc = truth.inv().apply([0, 0, GRAVITY]) + 0.05 * rng.normal(size=(num, 3))
    mag = truth.inv().apply(FIELD) + np.asarray(iron) + 0.5 * rng.normal(size=(num, 3))
    quat = truth.as_quat()[:, [3, 0, 1, 2]]
    return np.concatenate([gyr, acc, mag], 1), np.full(num, 1 / RATE), quat


def error_deg(told, truth):
    return np.degrees(rotations.angle_between(told, truth))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_attitude_is_found_and_kept(seed):
    samples, steps, truth = made(seed=seed)
    track = follow(samples, steps, SETTINGS)
    errors = error_deg(track.quat, truth)[400:]
    assert np.sqrt((errors**2).mean()) < 1.0
    doubts = np.degrees(np.sqrt(np.trace(track.covariance, axis1=1, axis2=2)))[400:]
    assert (errors < 4 * doubts).mean() > 0.99


def test_turning_the_world_turns_what_is_told():
    samples, steps, truth = made()
    other, _, turned = made(
        first=tuple((Rotation.from_rotvec([0.5, 0, 0]) * Rotation.from_rotvec([0.3, -0.2, 1])).as_rotvec())
    )
    for readings, reference in ((samples, truth), (other, turned)):
        assert error_deg(follow(readings, steps, SETTINGS).quat, reference)[400:].max() < 4


def test_a_silent_gyroscope_is_bridged_and_doubted():
    samples, steps, truth = made(speed=0.4)
    gap = slice(2000, 2200)
    samples[gap, :3] = np.nan
    track = follow(samples, steps, SETTINGS)
    doubt = np.sqrt(np.trace(track.covariance, axis1=1, axis2=2))
    assert doubt[gap].max() > 2 * doubt[1900:2000].max()
    assert doubt[2600:].mean() < 1.5 * doubt[1900:2000].mean()
    errors = error_deg(track.quat, truth)
    assert errors[gap].max() < 25
    assert errors[2600:].max() < 3
    frozen = rotations.angle_between(np.repeat(truth[1999:2000], 200, 0), truth[gap])
    assert errors[gap].mean() < np.degrees(frozen).mean()  # better than to stand still


@pytest.mark.parametrize(("lost", "most"), [(slice(3, 6), 5), (slice(6, 9), 5)])
def test_a_silent_accelerometer_or_magnetometer_hardly_matters(lost, most):
    samples, steps, truth = made()
    samples[1500:2000, lost] = np.nan
    assert error_deg(follow(samples, steps, SETTINGS).quat, truth)[400:].max() < most


def test_without_a_magnetometer_the_heading_counts_from_the_first_in_growing_doubt():
    samples, steps, truth = made()
    samples[:, 6:] = np.nan
    track = follow(samples, steps, SETTINGS)
    doubts = np.sqrt(track.covariance[:, 2, 2])
    told = rotations.multiply(track.quat, rotations.conjugate(truth))
    drift = 2 * np.arctan2(told[:, 3], told[:, 0])
    assert doubts[100] < doubts[-1] < 0.2
    assert (np.abs(drift - drift[100]) < 4 * doubts)[100:].all()


def test_a_field_that_comes_later_opens_the_heading_before():
    samples, steps, truth = made()
    samples[:2000, 6:] = np.nan
    track = follow(samples, steps, SETTINGS)
    assert track.covariance[1000, 2, 2] > (0.9 * NO_HEADING) ** 2
    assert error_deg(track.quat, truth)[2400:].max() < 4


def test_the_tilt_is_told_without_a_magnetometer():
    samples, steps, truth = made()
    samples[:, 6:] = np.nan
    track = follow(samples, steps, SETTINGS)
    assert track.covariance[-1, :2, :2].max() < 0.05**2
    assert np.degrees(rotations.residual_angles(track.quat, truth)["inclination"])[400:].max() < 3


def test_without_an_accelerometer_nothing_is_claimed():
    samples, steps, _ = made()
    samples[:, 3:6] = np.nan
    track = follow(samples, steps, SETTINGS)
    assert (np.diagonal(track.covariance, axis1=1, axis2=2) > NO_HEADING**2 * 0.99).all()
    assert np.isfinite(track.quat).all()


def test_the_field_that_the_body_carries_is_learned():
    samples, steps, truth = made(iron=(15, -10, 5), seconds=40, speed=2.0)
    known = SETTINGS._replace(iron=10.0)
    late = slice(6000, None)
    assert np.sqrt((error_deg(follow(samples, steps, known).quat, truth)[late] ** 2).mean()) < 4.0
    plain = follow(samples, steps, SETTINGS._replace(iron=0.01, iron_walk=1e-6, odd_limit=1e9)).quat
    assert np.sqrt((error_deg(plain, truth)[late] ** 2).mean()) > 8.0


def test_smoothing_agrees_with_the_causal_track_where_both_have_seen_all():
    samples, steps, truth = made(seconds=30)
    samples[3000:3300, :3] = np.nan
    causal, whole = follow(samples, steps, SETTINGS), smooth(samples, steps, SETTINGS)
    assert np.allclose(whole.quat[-1], causal.quat[-1], atol=1e-4)
    assert np.allclose(whole.covariance[-1], causal.covariance[-1])
    late = slice(400, None)
    assert (error_deg(whole.quat, truth)[late] ** 2).mean() < (error_deg(causal.quat, truth)[late] ** 2).mean()


def test_later_samples_change_nothing_before_them():
    samples, steps, _ = made()
    whole = follow(samples, steps, SETTINGS)
    part = follow(samples[:1503], steps[:1503], SETTINGS)
    assert np.array_equal(part.quat, whole.quat[:1503])
    assert np.array_equal(part.covariance, whole.covariance[:1503])


def test_states_move_apart_by_the_errors_they_were_moved_by():
    state = begin(SETTINGS, True)
    errors = np.random.default_rng(0).normal(size=27) * 0.1
    assert np.allclose(apart(state, move(state, errors, state.covariance)), errors)


def test_compiled_rotations_are_those_of_numpy():
    rng = np.random.default_rng(0)
    for scale in (1.0, 1e-9, 0.0):
        vector, other = rng.normal(size=(2, 3)) * scale
        one, two = rotations.exp(vector), rotations.exp(other)
        assert np.allclose(compiled.exp(vector), one, atol=1e-15)
        assert np.allclose(compiled.multiply(one, two), rotations.multiply(one, two))
        assert np.allclose(compiled.log(one), rotations.log(one))
        assert np.allclose(compiled.to_matrix(one), rotations.to_matrix(one))
        assert np.allclose(compiled.rotate(one, other), rotations.rotate(one, other))
        assert np.allclose(compiled.skew(other), rotations.skew(other))


def test_the_stored_settings_name_each_kind_that_was_left_out():
    for kind in ("all", *KINDS):
        assert stored_settings(kind).speed > 0
    with pytest.raises(ArtifactError, match="no settings were learned without 'nothing'"):
        stored_settings("nothing")
    with pytest.raises(ArtifactError, match="other names"):
        Settings.from_json({"gyr": 1.0})
    with pytest.raises(ArtifactError, match="a value that is none"):
        Settings.from_json({**Settings().to_json(), "gyr": float("nan")})
