"""Departures of single samples, against p-values worked out by hand."""

import numpy as np
import pytest

from mainstem.core.departures import Departures


def p_value(fitted: Departures, value: float, place: int = 0) -> float:
    return float(fitted.p_values(np.array([[value]]), np.array([place]))[0])


def test_cases_and_samples_are_measured_alike_each_by_groups_that_are_not_its_own():
    """Three groups of 0, 2 and 4: squares of cases are 2, 0 and 2, that of a sample is (3/4) (x - 2)^2 / 4.

    The case of 0 departs by 3 from the mean of the others, which itself errs by half a case's variance: 3 / sqrt(1.5).
    Squared departures are 6, 0 and 6 thus. The spread of the others is sqrt((0 + 6) / 2), that of all sqrt(12 / 3),
    and the mean of all errs by a third of a case's variance. A sample is as far as the farthest cases at
    2 + sqrt(32 / 3) = 5.266.
    """
    fitted = Departures.fit(np.array([[0.0], [2.0], [4.0]]), ["a", "b", "c"], np.zeros(3, np.intp))
    assert p_value(fitted, 5.2) == pytest.approx(3 / 4)  # the two farthest cases, and itself, of four
    assert p_value(fitted, 5.3) == pytest.approx(1 / 4)
    assert p_value(fitted, -1.2) == pytest.approx(3 / 4)
    assert p_value(fitted, -1.3) == pytest.approx(1 / 4)


def test_a_group_of_many_cases_counts_once_among_the_others():
    """One group of 100 cases far out, and nine of a single case: a tenth of the groups lies beyond, not most cases."""
    features = np.concatenate([np.full(100, 10.0), np.linspace(-1, 1, 9)])[:, None]
    groups = ["many"] * 100 + [f"one {row}" for row in range(9)]
    fitted = Departures.fit(features, groups, np.zeros(109, np.intp))
    own = 10 / 109  # the sample counts as much as a case does on average
    assert p_value(fitted, 6.0) == pytest.approx((1 + own) / (10 + own))
    assert p_value(fitted, 1.0) > 0.5  # the mean of groups' means, 1; that of cases is 9


def test_a_departure_counts_less_where_few_groups_told_what_is_normal():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(20, 20))
    groups = np.repeat([f"{year}" for year in range(20)], 20).tolist()
    features = np.concatenate([known.ravel(), [-1.0, 0.0, 1.0]])[:, None]
    places = np.concatenate([np.tile(np.arange(1, 21), 20), [0, 0, 0]])
    fitted = Departures.fit(features, [*groups, "0", "1", "2"], places)
    of_many = p_value(fitted, float(known[:, 4].mean()) + 2.0, 5)
    assert p_value(fitted, 2.0) > of_many  # at place 0, whose normal of three groups is 0
