"""Whether known truths speak against a stated coverage."""

import math

import numpy as np
import pytest

from mainstem.core.contradiction import chance_of_so_few, chance_of_so_many_below, chance_of_such_groups


@pytest.mark.parametrize(("inside", "num", "level"), [(3, 5, 0.9), (0, 4, 0.5), (17, 20, 0.8)])
def test_the_chance_of_so_few_is_the_binomial_tail(inside, num, level):
    tail = sum(math.comb(num, k) * level**k * (1 - level) ** (num - k) for k in range(inside + 1))
    assert chance_of_so_few(inside, num, level) == pytest.approx(tail)


def test_no_case_and_no_group_contradict_nothing():
    assert chance_of_so_few(0, 0, 0.9) == 1.0
    assert chance_of_such_groups([], 0.9) == 1.0
    assert chance_of_such_groups([1.0] * 30, 0.9) == 1.0


def test_groups_whose_cases_err_together_are_rarely_called_a_contradiction_and_bad_ones_are():
    rng = np.random.default_rng(0)
    together = (rng.random((2000, 12)) < 0.9).astype(float)  # a whole season inside, or none of it
    wrongly = np.mean([chance_of_such_groups(row.tolist(), 0.9) < 0.05 for row in together])
    assert wrongly <= 0.05
    assert chance_of_such_groups([0.3] * 12, 0.9) < 0.001
    assert chance_of_such_groups([0.3], 0.9) > 0.05  # one season proves nothing


def test_signs_tell_what_a_bound_on_the_mean_of_few_seasons_cannot():
    seasons = [0.31, 0.42, 0.38, 0.45, 0.4, 0.47, 0.33]  # all of seven below a half
    assert chance_of_so_many_below(seasons, 0.5) == pytest.approx(0.5**7)
    assert chance_of_such_groups(seasons, 0.5) > 0.3
    assert chance_of_so_many_below([0.95, 0.85], 0.9) == pytest.approx(0.75)
    assert chance_of_so_many_below([], 0.9) == chance_of_so_many_below([0.9], 0.9) == 1.0
