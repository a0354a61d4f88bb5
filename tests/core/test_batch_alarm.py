"""Batches of cases without groups: drawn alike they are rarely strange, shifted they are, and order is nothing."""

import numpy as np
import pytest

from mainstem.core.batch_alarm import SHARE, batch_p_value, is_strange


def test_batches_drawn_alike_are_called_strange_no_more_often_than_is_said():
    fired = []
    for seed in range(200):
        every = np.random.default_rng(seed).normal(size=(120, 5))
        fired.append(is_strange(every[30:], every[:30]))
    assert np.mean(fired) <= SHARE + 2 * np.sqrt(SHARE / 200)


@pytest.mark.parametrize("shift", [0.5, -0.5])
def test_a_small_shift_of_all_is_seen_in_many_cases_and_not_in_few(shift):
    rng = np.random.default_rng(0)
    known, batch = rng.normal(size=(400, 5)), rng.normal(shift, size=(100, 5))
    assert is_strange(known, batch)
    assert not is_strange(known, batch[:10])  # too few to be judged together


def test_order_and_what_is_unknown_change_nothing():
    rng = np.random.default_rng(1)
    known, batch = rng.normal(size=(100, 3)), rng.normal(0.2, size=(30, 3))
    p_value = batch_p_value(known, batch)
    assert batch_p_value(known[::-1], batch[::-1]) == p_value
    gap = np.full((100, 1), np.nan)
    assert batch_p_value(np.hstack([known, gap]), np.hstack([batch, gap[:30]])) == p_value
    assert batch_p_value(gap, gap) is None


def test_a_wider_spread_is_seen_though_no_mean_moves():
    fired = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        known, batch = rng.normal(size=(400, 5)), 1.6 * rng.normal(size=(100, 5))
        fired.append(is_strange(known - known.mean(0), batch - batch.mean(0)))
    assert np.mean(fired) >= 0.9
