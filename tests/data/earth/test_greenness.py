"""Greenness over a season: known means, gaps, and a doubt that covers what leaving dates out does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.data.earth.greenness import Gaps, common_season, half_width, ndvi, relative_greenness

DAYS = np.arange(0.0, 200.0, 10.0)


def test_ndvi_of_known_bands():
    red, infrared = np.array([0.1, 0.2, 0.0, np.nan, -0.2]), np.array([0.5, 0.2, 0.0, 0.3, 0.1])
    np.testing.assert_allclose(ndvi(red, infrared), [2 / 3, 0.0, np.nan, np.nan, np.nan])


def hump(days, peak=100.0):
    return 0.2 + 0.6 * np.exp(-(((days - peak) / 40) ** 2))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=20, max_size=20), st.floats(0.2, 1.2))
def test_a_season_like_the_map_s_has_its_level_whatever_is_hidden(hidden, level):
    shown = np.array([1.0] * 30 + [level])[:, None] * hump(DAYS)
    season = common_season(shown[:30], DAYS)
    values = np.where(hidden, np.nan, shown[30])[None]
    found = relative_greenness(values, DAYS, season, Gaps(fewest=2, longest_days=1e9, least_share=0.0))
    if np.isfinite(values).sum() >= 2:
        assert found.mean[0] == pytest.approx(level)
    else:
        assert np.isnan(found.mean[0])


def test_where_all_is_seen_it_is_the_mean_over_time_against_the_map_s():
    values = np.random.default_rng(0).uniform(0.2, 0.8, (50, len(DAYS)))
    season = common_season(values, DAYS)
    np.testing.assert_allclose(season.curve, values.mean(0))
    means = np.trapezoid(values, DAYS, axis=1)
    np.testing.assert_allclose(relative_greenness(values, DAYS, season).mean, means / means.mean())


def test_a_series_seen_too_rarely_too_late_or_with_a_long_gap_tells_nothing():
    series = np.full((30, len(DAYS)), 0.5)
    series[0, 3:] = np.nan
    series[1, :10] = np.nan
    series[2, 5:14] = np.nan
    found = relative_greenness(series, DAYS, common_season(series, DAYS))
    np.testing.assert_array_equal(np.isfinite(found.mean)[:4], [False, False, False, True])
    np.testing.assert_array_equal(found.num_seen[:4], [3, 10, 11, 20])


@pytest.mark.parametrize(("first", "last"), [(0, 190), (40, 190), (0, 140), (40, 170)])
@pytest.mark.parametrize("spread_days", [0.0, 8.0])
def test_ends_in_cloud_move_no_mean_and_the_interval_holds_what_they_hide(first, last, spread_days):
    """Half of the pixels show no date before `first` and after `last`."""
    generator = np.random.default_rng(0)
    peaks = 100 + spread_days * generator.normal(size=(800, 1))
    levels = 1 + 0.15 * generator.normal(size=(800, 1))
    truth = levels * hump(DAYS, peaks)
    values = truth + generator.normal(0, 0.02, truth.shape)
    values[:400, (first > DAYS) | (last < DAYS)] = np.nan
    found = relative_greenness(values, DAYS, common_season(values, DAYS))
    whole = np.trapezoid(truth, DAYS, axis=1)
    off = (found.mean - whole / whole.mean())[:400]
    assert np.isfinite(off).all()
    assert abs(off.mean()) < 0.01
    assert (np.abs(off) <= half_width(found, 0.9)[:400]).mean() > 0.85


def test_the_interval_holds_the_mean_without_noise_through_gaps():
    generator = np.random.default_rng(0)
    values = hump(DAYS) + generator.normal(0, 0.05, (2000, len(DAYS)))
    values[generator.random(values.shape) < 0.3] = np.nan
    found = relative_greenness(values, DAYS, common_season(values, DAYS), Gaps(longest_days=200))
    known = np.isfinite(found.mean)
    inside = np.abs(found.mean - 1)[known] <= half_width(found, 0.9)[known]
    assert known.mean() > 0.9
    assert inside.mean() > 0.85


def test_a_date_that_shows_the_greener_half_alone_is_no_green_date():
    levels = np.repeat([0.5, 1.5], 50)[:, None]
    values = levels * hump(DAYS)
    values[:50, 7] = np.nan
    season = common_season(values, DAYS)
    np.testing.assert_allclose(season.curve, hump(DAYS), rtol=1e-5)
    np.testing.assert_allclose(relative_greenness(values, DAYS, season).mean, levels[:, 0], rtol=1e-5)


def test_a_date_that_no_pixel_shows_changes_nothing():
    values = np.random.default_rng(1).random((30, len(DAYS)))
    more = np.insert(np.insert(values, 7, np.nan, axis=1), 0, np.nan, axis=1)
    days = np.insert(np.insert(DAYS, 7, 65.0), 0, -60.0)
    one, other = (relative_greenness(v, d, common_season(v, d)) for v, d in ((values, DAYS), (more, days)))
    assert np.isfinite(one.mean).all()
    np.testing.assert_allclose(one.mean, other.mean)
    np.testing.assert_allclose(one.error, other.error)


def test_where_no_pixel_is_seen_at_both_ends_the_season_is_shorter():
    values = np.tile(hump(DAYS), (40, 1))
    values[:20, :2], values[20:, -6:] = np.nan, np.nan
    season = common_season(values, DAYS)
    assert np.isfinite(season.curve).sum() >= 14
    np.testing.assert_allclose(relative_greenness(values, DAYS, season).mean, 1.0)


def test_nothing_is_told_of_nothing():
    for values in (np.full((5, len(DAYS)), np.nan), np.zeros((0, len(DAYS)))):
        season = common_season(values, DAYS)
        assert np.isnan(season.curve).all()
        assert np.isnan(relative_greenness(values, DAYS, season).mean).all()
