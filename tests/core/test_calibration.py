"""Calibration against oracles (crepes, MAPIE) and against data with a known answer."""

import json

import numpy as np
import pytest
from crepes import ConformalRegressor
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.regression import SplitConformalRegressor
from sklearn.linear_model import LinearRegression

from mainstem.core.calibration import (
    ClassSetCalibration,
    IntervalCalibration,
    ShiftAlarm,
    cases_needed,
    conformal_quantile,
)
from mainstem.core.errors import CalibrationError

LEVELS = [0.5, 0.8, 0.9]


def grouped_scores(num_groups: int, size: int, group_spread: float, seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (num_groups, size)) + rng.normal(0, group_spread, (num_groups, 1))
    return scores.ravel(), tuple(np.repeat([f"{2000 + year}" for year in range(num_groups)], size).tolist())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [23, 100, 998])
def test_the_quantile_is_that_of_crepes(level, count):
    residuals = np.random.default_rng(count).normal(size=count)
    oracle = ConformalRegressor().fit(residuals=residuals).predict_int(np.zeros(1), confidence=level)[0, 1]
    assert conformal_quantile(np.abs(residuals), level) == pytest.approx(oracle)


@pytest.mark.parametrize("level", LEVELS)
def test_the_interval_is_that_of_mapie(level):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1))
    y = 2 * x[:, 0] + rng.normal(size=300)
    model = LinearRegression().fit(x[:100], y[:100])
    oracle = SplitConformalRegressor(model, confidence_level=level, prefit=True).conformalize(x[100:], y[100:])
    point, bounds = oracle.predict_interval(np.array([[0.3]]))
    ours = IntervalCalibration(scores=y[100:] - model.predict(x[100:]), groups=None, population="")
    interval = ours.interval(float(point[0]), 1.0, level)
    assert [interval.low, interval.high] == pytest.approx(bounds.ravel().tolist())


@pytest.mark.parametrize(("level", "count"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_too_few_cases_are_refused_with_the_number_needed(level, count):
    assert cases_needed(level) == count
    conformal_quantile(np.arange(count, dtype=float), level)
    with pytest.raises(CalibrationError, match=f"at least {count}"):
        conformal_quantile(np.arange(count - 1, dtype=float), level)


def test_new_groups_are_covered_where_the_plain_quantile_falls_short():
    corrected, plain = [], []
    for seed in range(30):
        scores, groups = grouped_scores(13, 60, 1.0, seed)
        calibration = IntervalCalibration(scores=scores[:-60], groups=groups[:-60], population="")
        new = np.abs(scores[-60:])
        corrected.append(np.mean(new <= calibration.interval(0, 1, 0.9).high))
        plain.append(np.mean(new <= conformal_quantile(np.abs(scores[:-60]), 0.9)))
    assert 0.88 <= np.mean(corrected) <= 0.94
    assert np.mean(corrected) >= np.mean(plain)


def test_coverage_by_group_is_near_the_level():
    scores, groups = grouped_scores(12, 300, 0.5, 3)
    coverage = IntervalCalibration(scores=scores, groups=groups, population="").coverage_by_group(0.9)
    assert len(coverage) == 12
    assert 0.88 <= np.mean(list(coverage.values())) <= 0.93


@settings(max_examples=50, deadline=None)
@given(mean=st.floats(-50, 50), scale=st.floats(0.01, 20), seed=st.integers(0, 20))
def test_intervals_are_nested_and_ordered(mean, scale, seed):
    scores, groups = grouped_scores(5, 30, 0.5, seed)
    calibration = IntervalCalibration(scores=scores, groups=groups, population="")
    inner, middle, outer = (calibration.interval(mean, scale, level) for level in LEVELS)
    assert outer.low <= middle.low <= inner.low <= inner.high <= middle.high <= outer.high


def test_probabilities_rise_with_the_threshold_and_know_the_normal():
    scores = np.random.default_rng(0).normal(size=5000)
    calibration = IntervalCalibration(scores=scores, groups=None, population="")
    found = [calibration.probability_below(threshold, 10, 2) for threshold in (6, 8, 10, 12)]
    assert found == sorted(found)
    assert found == pytest.approx([0.023, 0.159, 0.5, 0.841], abs=0.02)


def test_without_groups_no_coverage_is_claimed():
    calibration = IntervalCalibration(scores=np.arange(50.0), groups=None, population="fields")
    assert calibration.claim(0.9).state == "none"
    stated = IntervalCalibration(scores=np.arange(50.0), groups=tuple("ab" * 25), population="fields").claim(0.9)
    assert stated.state == "stated"
    assert "fields; 2 groups" in stated.population


def test_calibration_comes_back_from_its_state():
    scores, groups = grouped_scores(4, 20, 0.3, 0)
    calibration = IntervalCalibration(scores=scores, groups=groups, population="maize")
    plain, arrays = calibration.state()
    again = IntervalCalibration.restore(json.loads(json.dumps(plain)), arrays)
    assert again.interval(1, 2, 0.9) == calibration.interval(1, 2, 0.9)


def test_each_class_is_covered_and_a_rare_one_refused():
    rng = np.random.default_rng(0)
    truth = rng.choice(2, 4000, p=[0.95, 0.05])
    sure = np.clip(rng.normal(np.where(truth == 1, 0.5, 0.15), 0.2), 0.001, 0.999)
    probabilities = np.column_stack([1 - sure, sure])
    calibration = ClassSetCalibration.fit(probabilities[:2000], truth[:2000], ["healthy", "rare"])
    for index, name in enumerate(["healthy", "rare"]):
        held = probabilities[2000:][truth[2000:] == index]
        assert np.mean([name in calibration.region(row, 0.9) for row in held]) >= 0.83
    few = ClassSetCalibration.fit(probabilities[:20], np.r_[np.zeros(19, int), 1], ["healthy", "rare"])
    with pytest.raises(CalibrationError, match="'rare' has 1 calibration cases, want 9"):
        few.region(probabilities[0], 0.9)


def test_the_alarm_fires_on_a_shifted_year_and_stays_quiet_on_others():
    rng = np.random.default_rng(0)
    quiet, shifted = [], []
    for _ in range(10):
        years = rng.normal(0, 1, (60, 1, 6)) + rng.normal(0, 1, (60, 50, 6))
        alarm = ShiftAlarm.fit(years[:20].reshape(-1, 6), np.repeat([f"{year}" for year in range(20)], 50).tolist())
        quiet += [not alarm.fires(year) for year in years[20:]]
        shifted += [alarm.fires(year + 5) for year in years[20:]]
    assert 0.72 <= np.mean(quiet) <= 0.88  # one in five ordinary years may be called strange
    assert all(shifted)
    assert ShiftAlarm.restore(*alarm.state()).p_value(years[30]) == alarm.p_value(years[30])
    with pytest.raises(CalibrationError, match="at least 5"):
        ShiftAlarm.fit(np.zeros((8, 2)), list("aabbccdd"))


def test_the_alarms_p_value_is_uniform_on_exchangeable_years():
    rng = np.random.default_rng(1)
    values = [ShiftAlarm(means=rng.normal(size=(9, 4))).p_value(rng.normal(size=(1, 4))) for _ in range(600)]
    for share in (0.1, 0.3, 0.6):
        assert abs(np.mean(np.array(values) <= share + 1e-9) - share) < 0.06
