"""An order computed place by place is a permutation, looks drawn at random, and costs nothing to enter anywhere."""

import time
import tracemalloc
from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mainstem.core import loader
from mainstem.core.loader import order
from mainstem.core.permutation import Permutation

FALSE_ALARM = 1e-4  # of each statistic below, were permutations drawn at random; seeds are fixed, so none is by chance


@settings(deadline=None)
@given(num=st.integers(1, 5000), seed=st.integers(0, 2**63), epoch=st.integers(0, 1000))
def test_every_sample_stands_at_one_place(num, seed, epoch):
    found = Permutation(num=num, seed=seed, epoch=epoch).at(np.arange(num))
    assert np.array_equal(np.sort(found), np.arange(num))


@settings(deadline=None)
@given(num=st.integers(10**6, 2**62), data=st.data())
def test_no_two_of_a_great_many_places_share_a_sample(num, data):
    places = np.array(data.draw(st.lists(st.integers(0, num - 1), min_size=2, max_size=200, unique=True)))
    found = Permutation(num=num, seed=data.draw(st.integers(0, 2**32))).at(places)
    assert len(np.unique(found)) == len(places)
    assert found.min() >= 0
    assert found.max() < num


@pytest.mark.parametrize("num", [0, -1, 2**62 + 1])
def test_no_samples_or_too_many_have_no_order(num):
    with pytest.raises(ValueError, match="want 1 to"):
        Permutation(num=num, seed=0)


@settings(deadline=None)
@given(num=st.integers(2, 3000), seed=st.integers(0, 100), sizes=st.tuples(st.integers(40, 300), st.integers(40, 300)))
def test_a_place_s_sample_hangs_on_nothing_else(num, seed, sizes):
    permutation = Permutation(num=num, seed=seed, epoch=3)
    whole = permutation.at(np.arange(num))
    for size in sizes:
        parts = [permutation.at(np.arange(start, min(start + size, num))) for start in range(0, num, size)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_samples_of_two_neighbouring_places_are_any_two():
    num, seeds = 12, range(4000)
    pairs = np.array([Permutation(num=num, seed=seed).at(np.array([0, 1])) for seed in seeds])
    counts = np.bincount(pairs[:, 0] * num + pairs[:, 1], minlength=num * num).reshape(num, num)
    assert not counts.diagonal().any()
    assert stats.chisquare(counts[~np.eye(num, dtype=bool)]).pvalue > FALSE_ALARM


@pytest.mark.parametrize("told", ["seed", "epoch"])
def test_seeds_and_epochs_have_nothing_to_do_with_one_another(told):
    num, places = 2_000_003, np.arange(100_000)
    one, other = (Permutation(num=num, **{"seed": 7, told: value}).at(places) for value in (7, 8))
    assert abs(stats.spearmanr(one, other).statistic) * np.sqrt(len(places)) < stats.norm.isf(FALSE_ALARM / 2)
    assert (one == other).sum() <= stats.poisson.isf(FALSE_ALARM, len(places) / num)


def test_an_order_shows_no_trend_no_steps_and_no_clusters():
    num = 2_000_003
    found = Permutation(num=num, seed=1).at(np.arange(num))
    assert abs(stats.spearmanr(found, np.arange(num)).statistic) * np.sqrt(num) < stats.norm.isf(FALSE_ALARM / 2)
    steps = np.diff(found) % num  # an affine permutation has one alone
    assert stats.chisquare(np.bincount(steps * 1000 // num, minlength=1000)).pvalue > FALSE_ALARM
    parts = np.stack([np.bincount(part * 50 // num, minlength=50) for part in np.array_split(found, 50)])
    assert stats.chi2_contingency(parts).pvalue > FALSE_ALARM
    assert stats.chi2_contingency(parts, lambda_="log-likelihood").pvalue < 1 - FALSE_ALARM  # nor is it too even


@pytest.mark.parametrize("num", [12, 14, 5000])
def test_a_computed_order_goes_on_at_any_batch(num, monkeypatch):
    monkeypatch.setattr(loader, "MOST_DRAWN", 0)
    monkeypatch.setattr(loader, "COMPUTED_AT_ONCE", 64)
    steps = -(-num // 4)
    every = [rows.tolist() for rows in islice(order(3, num, 4), 4 * steps)]
    for epoch in range(3):
        assert sorted(chain.from_iterable(every[epoch * steps : (epoch + 1) * steps])) == list(range(num))
    for first in (0, 1, steps - 1, steps, 2 * steps + 1):
        assert [rows.tolist() for rows in islice(order(3, num, 4, first), 3)] == every[first : first + 3]
    other = list(chain.from_iterable(rows.tolist() for rows in islice(order(3, num, 6), -(-num // 6))))
    assert other == list(chain.from_iterable(every[:steps]))  # more processes, larger batches: the same samples in turn


def test_small_sets_keep_the_order_that_they_had(monkeypatch):
    drawn = next(order(3, 1000, 10)).tolist()
    monkeypatch.setattr(loader, "MOST_DRAWN", 0)
    assert next(order(3, 1000, 10)).tolist() != drawn


def test_an_order_of_a_hundred_million_is_entered_anywhere_within_100_ms_and_64_mb():
    next(order(0, 10**8, 256))
    tracemalloc.start()
    try:
        for first in np.random.default_rng(0).integers(0, 20 * 10**8 // 256, 20).tolist():
            start = time.process_time()
            assert len(next(order(1, 10**8, 256, first))) == 256
            assert time.process_time() - start <= 0.1
        assert tracemalloc.get_traced_memory()[1] <= 64e6
    finally:
        tracemalloc.stop()
