"""Health of sensors: motions made here, whose faults are known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.corruptions import CORRUPTIONS, corrupt
from mainstem.adapters.sensor_fusion.health import judge_health, step_health
from mainstem.adapters.sensor_fusion.health_acting import without_the_guilty
from mainstem.adapters.sensor_fusion.health_learning import tail_limit
from mainstem.adapters.sensor_fusion.health_limits import HealthLimits
from mainstem.adapters.sensor_fusion.health_scoring import evaluate_health, poisson_interval
from mainstem.adapters.sensor_fusion.health_state import (
    ABSENT,
    BIASED,
    HEALTHY,
    NOISY,
    SATURATED,
    SKEWED,
    STUCK,
    begin_health,
)  # fmt: skip
from mainstem.adapters.sensor_fusion.scoring import Trial
from mainstem.core import rotations
from mainstem.core.errors import ArtifactError

Array = NDArray[np.float64]
RATE_HZ = 200.0
LIMITS = HealthLimits(
    stuck_s=(0.1, 0.1, 0.1),
    saturated_s=(0.06, 0.06, 0.06),
    noisy=(6.0, 6.0, 6.0),
    biased=(300.0, 300.0, 300.0),
    skewed=(300.0, 300.0, 300.0),
    rough_rest=(0.02, 0.1, 0.6),
    rough_share=(0.0, 0.0, 0.0),
)
EARTH_FIELD, GRAVITY = np.array([0.0, 20.0, -40.0]), 9.80665
LAG_S = 0.014
START, END = 2400, 3200  # of faults, in samples


def made_trial(seconds: float = 20.0, seed: int = 0) -> Trial:
    """A sensor that turns about all axes at about 1 rad/s and shakes at 0.5 m/s2, with noise of ordinary size."""
    rng, num, step = np.random.default_rng(seed), round(seconds * RATE_HZ), 1 / RATE_HZ
    times = np.arange(num) * step
    rates = 1.2 * np.stack([np.sin(1.1 * times + 1), np.sin(1.7 * times), np.cos(1.4 * times)], 1)
    quat = np.empty((num, 4))
    quat[0] = [1.0, 0.0, 0.0, 0.0]
    turns = rotations.exp(rates * step)
    for index in range(1, num):
        quat[index] = rotations.multiply(quat[index - 1], turns[index])
    push = 0.5 * np.sin(9 * times)[:, None] * np.array([1.0, 0.3, 0.2]) + np.array([0.0, 0.0, GRAVITY])
    late = np.maximum(np.arange(num) - round(LAG_S * RATE_HZ), 0)
    told = np.concatenate(
        [
            rates + rng.normal(0, 0.005, (num, 3)),
            rotations.rotate(rotations.conjugate(quat), push) + rng.normal(0, 0.03, (num, 3)),
            rotations.rotate(rotations.conjugate(quat[late]), EARTH_FIELD) + rng.normal(0, 0.3, (num, 3)),
        ],
        axis=1,
    )
    return Trial(
        name="made", kind="made", samples=told, steps_s=np.full(num, step), quat=quat, scored=np.ones(num, bool)
    )


TRIAL = made_trial()


def codes_of(samples: Array) -> NDArray[np.int8]:
    return judge_health(samples, TRIAL.steps_s, LIMITS)


def spoiled(sensor: int, values: Array) -> Array:
    """The trial's samples with other values (END - START, 3) of a sensor."""
    samples = TRIAL.samples.copy()
    samples[START:END, 3 * sensor : 3 * sensor + 3] = values
    return samples


def part(sensor: int, shift: int = 0) -> Array:
    return TRIAL.samples[START - shift : END - shift, 3 * sensor : 3 * sensor + 3]


def test_healthy_sensors_are_called_healthy() -> None:
    assert (codes_of(TRIAL.samples) == HEALTHY).all()


@pytest.mark.parametrize("sensor", range(3))
def test_absence_is_named_within_a_tenth_of_a_second_and_ends_at_once(sensor: int) -> None:
    codes = codes_of(spoiled(sensor, np.full((END - START, 3), np.nan)))
    assert (codes[START + 20 : END, sensor] == ABSENT).all()
    assert codes[END, sensor] == HEALTHY
    assert (codes[:, [i for i in range(3) if i != sensor]] == HEALTHY).all()


@pytest.mark.parametrize("sensor", range(3))
def test_a_stuck_sensor_is_named_and_no_other(sensor: int) -> None:
    codes = codes_of(spoiled(sensor, np.repeat(part(sensor)[:1], END - START, axis=0)))
    assert (codes[START + 22 : END, sensor] == STUCK).all()
    assert (codes[START:END, [i for i in range(3) if i != sensor]] == HEALTHY).all()


@pytest.mark.parametrize(("sensor", "size"), [(0, 0.5), (1, 3.0), (2, 20.0)])
def test_a_bias_is_named_within_a_second_and_ends_with_it(sensor: int, size: float) -> None:
    codes = codes_of(spoiled(sensor, part(sensor) + size * np.array([0.6, -0.64, 0.48])))
    assert (codes[START : START + 200, sensor] == BIASED).any()
    assert (codes[START:END, [i for i in range(3) if i != sensor]] == HEALTHY).all()
    assert codes[END + 400, sensor] == HEALTHY


@pytest.mark.parametrize(("sensor", "size"), [(0, 2.0), (1, 10.0), (2, 20.0)])
def test_noise_is_named(sensor: int, size: float) -> None:
    codes = codes_of(spoiled(sensor, part(sensor) + np.random.default_rng(1).normal(0, size, part(sensor).shape)))
    assert (codes[START : START + 100, sensor] == NOISY).any()


@pytest.mark.parametrize(("sensor", "words"), [(0, [BIASED, SKEWED]), (1, [SKEWED]), (2, [SKEWED])])
def test_a_delay_is_laid_on_the_sensor_that_is_late(sensor: int, words: list[int]) -> None:
    """A gyroscope's delay turns force and field alike as a bias does while the rate changes steadily."""
    codes = codes_of(spoiled(sensor, part(sensor, shift=round(0.15 * RATE_HZ))))
    assert np.isin(codes[START:END, sensor], words).any()
    assert (codes[START:END, [i for i in range(3) if i != sensor]] == HEALTHY).all()


def test_a_range_that_ends_is_named() -> None:
    codes = codes_of(np.concatenate([np.clip(TRIAL.samples[:, :3], -0.8, 0.8), TRIAL.samples[:, 3:]], axis=1))
    assert (codes[:, 0] == SATURATED).mean() > 0.1
    assert not np.isin(codes[:, 0], [ABSENT, NOISY]).any()


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 4000), max_size=6), kind=st.sampled_from(CORRUPTIONS), sensor=st.integers(0, 2))
def test_how_a_stream_is_cut_changes_nothing(cuts: list[int], kind: str, sensor: int) -> None:
    samples = corrupt(TRIAL, kind, sensor, 4, 0).samples  # type: ignore[arg-type]
    state, told = begin_health(), []
    for rows in np.split(np.arange(len(samples)), sorted(cuts)):
        before = state.tobytes()
        after, codes = step_health(state, samples[rows], TRIAL.steps_s[rows], LIMITS)
        assert state.tobytes() == before
        state = after
        told.append(codes)
    np.testing.assert_array_equal(np.concatenate(told), codes_of(samples))


@settings(max_examples=10, deadline=None)
@given(cut=st.integers(1, 3999), value=st.floats(-100, 100))
def test_what_comes_later_changes_no_code(cut: int, value: float) -> None:
    changed = TRIAL.samples.copy()
    changed[cut:] = value
    np.testing.assert_array_equal(codes_of(changed)[:cut], codes_of(TRIAL.samples)[:cut])


def test_a_slow_sensor_is_not_absent_between_its_readings() -> None:
    samples = TRIAL.samples.copy()
    samples[np.arange(len(samples)) % 20 != 0, 6:] = np.nan  # ten readings a second
    codes = codes_of(samples)
    assert (codes[200:, 2] != ABSENT).all()
    samples[START:END, 6:] = np.nan
    assert (codes_of(samples)[START + 80 : END, 2] == ABSENT).all()


def test_readings_of_sensors_at_fault_are_taken_for_nothing() -> None:
    codes = np.array([[HEALTHY, STUCK, BIASED], [SATURATED, SKEWED, NOISY]], np.int8)
    heard = np.isfinite(without_the_guilty(np.ones((2, 9)), codes)).reshape(2, 3, 3).all(2)
    assert heard.tolist() == [[True, False, True], [False, True, True]]


def test_limits_travel_by_json() -> None:
    assert HealthLimits.from_json(LIMITS.to_json()) == LIMITS
    with pytest.raises(ArtifactError, match="none"):
        HealthLimits.from_json({**LIMITS.to_json(), "noisy": [1.0, float("nan"), 1.0]})
    with pytest.raises(ArtifactError, match="names"):
        HealthLimits.from_json({})


def test_a_limit_lies_where_the_tail_says() -> None:
    """Of a Pareto law with index 2, a share p lies beyond p ** -0.5."""
    values = (1 - np.random.default_rng(0).random(4000)) ** -0.5
    assert tail_limit(values, 1e-5, 0.1) == pytest.approx(1e-5**-0.5, rel=0.7)
    assert tail_limit(np.zeros(100), 1e-5, 0.1) == 0.1


def test_evaluation_counts_spans_and_false_namings() -> None:
    told = evaluate_health([TRIAL], {"made": LIMITS}, seed=3, severities=[3])
    faults, healthy = told["faults"], told["healthy"]
    assert isinstance(faults, dict)
    assert isinstance(healthy, dict)
    assert faults["dropout"]["gyroscope"]["3"]["share_within"] == 1.0
    assert faults["dropout"]["gyroscope"]["3"]["spans"] == 1
    assert faults["dropout"]["gyroscope"]["3"]["already_named"] == 0
    assert healthy["accelerometer"]["namings"] == 0
    assert healthy["accelerometer"]["hours"] == pytest.approx(20 / 3600)


def test_a_sensor_that_was_named_before_its_fault_began_is_not_named_in_time() -> None:
    """A gyroscope that any noise is too much for is noisy all the time: its faults are never found."""
    told = evaluate_health([TRIAL], {"made": replace(LIMITS, noisy=(0.01, 6.0, 6.0))}, seed=3, severities=[3])
    faults = told["faults"]
    assert isinstance(faults, dict)
    assert faults["dropout"]["gyroscope"]["3"] == {"spans": 0, "already_named": 1}
    assert faults["stuck"]["accelerometer"]["3"]["another_sensor_first_share"] == 1.0


def test_a_count_of_none_has_the_interval_of_three_over_time() -> None:
    low, high = poisson_interval(0, 1.0)
    assert low == 0.0
    assert high == pytest.approx(3.689, abs=1e-3)


def test_a_fault_spares_other_sensors_and_what_lies_outside_its_spans() -> None:
    for kind in CORRUPTIONS:
        found = corrupt(replace(TRIAL), kind, 1, 5, 7)
        np.testing.assert_array_equal(found.samples[:, [0, 1, 2, 6, 7, 8]], TRIAL.samples[:, [0, 1, 2, 6, 7, 8]])
        np.testing.assert_array_equal(found.samples[~found.when], TRIAL.samples[~found.when])
        assert found.when.any()
        assert not np.array_equal(found.samples[found.when], TRIAL.samples[found.when])
