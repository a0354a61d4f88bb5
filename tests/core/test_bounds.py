"""Intervals within what is possible: never a possible truth less, and never an impossible value."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mainstem.core.bounds import Bounds, never_narrower

NUMBER = st.floats(-1e6, 1e6)


@given(mean=NUMBER, half=st.floats(0, 1e6), share=st.floats(0, 1), lowest=NUMBER, width=st.floats(0, 1e6))
def test_a_clipped_interval_holds_every_possible_truth_that_it_held(mean, half, share, lowest, width):
    bounds = Bounds(lowest=lowest, highest=lowest + width)
    truth = min(max(mean - half + 2 * share * half, bounds.lowest), bounds.highest)
    value, low, high = (float(found[0]) for found in bounds.interval(np.array([mean]), np.array([half])))
    assert bounds.lowest <= low <= value <= high <= bounds.highest
    if mean - half <= truth <= mean + half:
        assert low <= truth <= high


@given(mean=NUMBER, half=st.floats(0, 1e6), truth=NUMBER)
def test_without_bounds_nothing_changes(mean, half, truth):
    value, low, high = Bounds().interval(np.array([mean]), np.array([half]))
    assert (value[0], low[0], high[0]) == (mean, mean - half, mean + half)


def test_gaps_stay_gaps_and_chances_know_the_bounds():
    bounds = Bounds(lowest=0.0, highest=100.0)
    assert all(np.isnan(found).all() for found in bounds.interval(np.array([np.nan]), np.array([1.0])))
    chances = np.array([0.2, 0.7])
    assert bounds.chance_below(0.0, chances).tolist() == [0.0, 0.0]
    assert bounds.chance_below(-3.0, chances).tolist() == [0.0, 0.0]
    assert bounds.chance_below(50.0, chances).tolist() == [0.2, 0.7]
    assert bounds.chance_below(100.0, chances).tolist() == [0.2, 0.7]
    assert bounds.chance_below(101.0, chances).tolist() == [1.0, 1.0]
    assert Bounds.of(*bounds.told()) == bounds
    assert Bounds().told() == (None, None)


def test_never_narrower_widens_and_skips_what_is_unknown():
    early, middle, late = np.array([1.0, 3.0, np.nan]), np.array([2.0, np.nan, 1.0]), np.array([1.5, 2.0, 2.0])
    found = never_narrower([early, middle, late])
    assert [part.tolist() for part in found] == [[2.0, 3.0, 2.0], [2.0, 2.0, 2.0], [1.5, 2.0, 2.0]]
