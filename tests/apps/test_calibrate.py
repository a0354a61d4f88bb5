"""Local labels that adjust a model of simulations: each group is judged by a line through the others alone."""

import numpy as np
import pytest

from mainstem.apps.calibrate import LEAST_SLOPE, adjusted


def test_each_group_is_told_by_the_line_through_the_others():
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c"], [4, 3, 5])
    mean, scale = rng.normal(8, 1, 12), rng.uniform(0.5, 1.5, 12)
    truth = 1.5 * mean - 2 + rng.normal(0, 0.3, 12)
    told, width, line = adjusted(mean, scale, truth, groups.tolist())
    for group in "abc":
        held = groups == group
        slope, intercept = np.polyfit(mean[~held], truth[~held], 1)
        np.testing.assert_allclose(told[held], slope * mean[held] + intercept)
        np.testing.assert_allclose(width[held], slope * scale[held])
    np.testing.assert_allclose(line, np.polyfit(mean, truth, 1))


def test_what_holds_of_one_group_alone_does_not_flatter_it():
    """Two groups lie on a line, a third 6 t/ha above it: it is told 6 too little, whatever its own labels say."""
    mean = np.tile([6.0, 7.0, 8.0], 3)
    truth = mean + np.repeat([0.0, 0.0, 6.0], 3)
    told, _, _ = adjusted(mean, np.ones(9), truth, np.repeat(["a", "b", "odd"], 3).tolist())
    np.testing.assert_allclose((truth - told)[6:], 6.0)


def test_scales_stay_positive_where_truth_falls_as_the_model_rises():
    mean = np.tile([6.0, 7.0, 8.0], 3)
    _, width, (slope, _) = adjusted(mean, np.ones(9), -mean, np.repeat(["a", "b", "c"], 3).tolist())
    assert slope == LEAST_SLOPE
    assert width == pytest.approx(LEAST_SLOPE)
