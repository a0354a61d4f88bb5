"""Greenness over a season: known means, gaps, and a doubt that covers what leaving dates out does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.data.earth.greenness import Gaps, half_width, integrate, ndvi

DAYS = np.arange(0.0, 200.0, 10.0)


def test_ndvi_of_known_bands():
    red, infrared = np.array([0.1, 0.2, 0.0, np.nan, -0.2]), np.array([0.5, 0.2, 0.0, 0.3, 0.1])
    np.testing.assert_allclose(ndvi(red, infrared), [2 / 3, 0.0, np.nan, np.nan, np.nan])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=18, max_size=18), st.floats(-0.5, 0.9), st.floats(-2e-3, 2e-3))
def test_a_line_has_the_mean_of_its_seen_ends_whatever_is_hidden_between(hidden, start, slope):
    line = start + slope * DAYS
    values = np.where([False, *hidden, False], np.nan, line)[None]
    found = integrate(values, DAYS, Gaps(fewest=2, longest_days=1e9))
    assert found.mean[0] == pytest.approx((line[0] + line[-1]) / 2)


def test_a_series_seen_too_rarely_too_late_or_with_a_long_gap_tells_nothing():
    series = np.full((4, len(DAYS)), 0.5)
    series[0, 3:] = np.nan
    series[1, :10] = np.nan
    series[2, 5:14] = np.nan
    found = integrate(series, DAYS)
    np.testing.assert_array_equal(np.isfinite(found.mean), [False, False, False, True])
    np.testing.assert_array_equal(found.num_seen, [3, 10, 11, 20])


def test_the_interval_holds_the_mean_without_noise():
    generator = np.random.default_rng(0)
    truth = 0.2 + 0.6 * np.exp(-(((DAYS - 100) / 40) ** 2))
    values = truth + generator.normal(0, 0.05, (2000, len(DAYS)))
    values[generator.random(values.shape) < 0.3] = np.nan
    found = integrate(values, DAYS, Gaps(longest_days=200))
    whole = integrate(truth[None], DAYS).mean[0]
    known = np.isfinite(found.mean)
    inside = np.abs(found.mean - whole)[known] <= half_width(found, 0.9)[known]
    assert known.mean() > 0.9
    assert inside.mean() > 0.85


def test_a_date_that_no_pixel_shows_changes_nothing():
    values = np.random.default_rng(1).random((5, len(DAYS)))
    more = np.insert(values, 7, np.nan, axis=1)
    both = integrate(values, DAYS), integrate(more, np.insert(DAYS, 7, 65.0))
    np.testing.assert_allclose(both[0].mean, both[1].mean)
    np.testing.assert_allclose(both[0].error, both[1].error)
