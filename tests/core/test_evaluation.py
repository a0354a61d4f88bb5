"""Metrics have known answers; the bootstrap pairs whole groups."""

import numpy as np
import pytest

from mainstem.core.evaluation import (
    drop_streams,
    median_over_groups,
    nrmse_percent,
    paired_difference,
    pooled,
    r2,
    rmse,
)
from mainstem.core.stream import Channel, Provenance, Sample, Stream

TRUTH = np.array([8.0, 10.0, 12.0, 10.0])


def test_metrics_of_a_known_error():
    predicted = TRUTH + np.array([1.0, -1.0, 1.0, -1.0])
    assert rmse(TRUTH, predicted) == pytest.approx(1.0)
    assert nrmse_percent(TRUTH, predicted) == pytest.approx(10.0)
    assert r2(TRUTH, predicted) == pytest.approx(1 - 4 / 8)


def test_the_median_over_groups_ignores_one_bad_year():
    truths = [TRUTH, TRUTH, TRUTH]
    predictions = [TRUTH + 1, TRUTH + 1, TRUTH + 100]
    assert median_over_groups(rmse)(truths, predictions) == pytest.approx(1.0)
    assert pooled(rmse)(truths, predictions) > 50


def test_a_model_that_is_always_better_has_an_interval_below_zero():
    rng = np.random.default_rng(0)
    truth = rng.normal(10, 2, 600)
    groups = [str(2000 + index % 12) for index in range(600)]
    difference = paired_difference(
        pooled(rmse), truth, truth + rng.normal(0, 1, 600), truth + rng.normal(0, 2, 600), groups, num_draws=300
    )
    assert difference.low < difference.value < difference.high < 0


def test_a_model_equal_to_the_baseline_differs_by_nothing():
    groups = ["a", "a", "b", "b"]
    difference = paired_difference(pooled(rmse), TRUTH, TRUTH + 1, TRUTH + 1, groups, num_draws=50)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_gaps_are_drawn_by_seed_and_never_empty_a_sample():
    channels = (Channel(name="a", unit="1"),)
    streams = {name: Stream(kind="scalar", values=np.ones(1), channels=channels) for name in "abc"}
    samples = [Sample(streams=streams, target=1.0, source=Provenance(data="d", item=str(i))) for i in range(400)]
    once, again, other = (drop_streams(samples, seed) for seed in (0, 0, 1))
    assert [set(s.streams) for s in once] == [set(s.streams) for s in again] != [set(s.streams) for s in other]
    assert all(sample.streams for sample in once)
    assert 0.65 < np.mean([len(sample.streams) / 3 for sample in once]) < 0.75
