"""Metrics have known answers; intervals of paired differences cover what they say."""

import numpy as np
import pytest
from scipy import stats

from mainstem.core.evaluation import (
    compare_all,
    mean_over_groups,
    mean_over_seeds,
    median_over_groups,
    nrmse_percent,
    paired_difference,
    pooled,
    r2,
    r2_within,
    rmse,
)
from mainstem.core.gaps import drop_streams
from mainstem.core.stream import Channel, Provenance, Sample, Stream

TRUTH = np.array([8.0, 10.0, 12.0, 10.0])


def test_metrics_of_a_known_error():
    predicted = TRUTH + np.array([1.0, -1.0, 1.0, -1.0])
    assert rmse(TRUTH, predicted) == pytest.approx(1.0)
    assert nrmse_percent(TRUTH, predicted) == pytest.approx(10.0)
    assert r2(TRUTH, predicted) == pytest.approx(1 - 4 / 8)


def test_r2_within_groups_counts_nothing_of_what_tells_groups_apart():
    groups = ("a", "a", "b", "b")
    truth, apart = np.array([1.0, 3.0, 11.0, 13.0]), np.array([2.0, 2.0, 12.0, 12.0])
    assert r2(truth, apart) > 0.95
    assert r2_within(truth, apart, groups) == pytest.approx(0.0)
    assert r2_within(truth, truth + np.array([5.0, 5.0, -3.0, -3.0]), groups) == pytest.approx(
        1.0
    )  # a group's own bias
    assert r2_within(truth, np.array([1.5, 2.5, 11.5, 12.5]), groups) == pytest.approx(0.75)
    assert np.isnan(r2_within(truth, apart, ("a", "b", "c", "d")))


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
        pooled(rmse), truth, truth + rng.normal(0, 1, 600), truth + rng.normal(0, 2, 600), groups
    )
    assert difference.low < difference.value < difference.high < 0
    assert difference.verdict() == "better"
    assert difference.verdict(lower_is_better=False) == "worse"
    assert difference.to_dict()["num_groups"] == 12


def test_a_model_equal_to_the_baseline_differs_by_nothing():
    groups = ["a", "a", "b", "b"]
    difference = paired_difference(pooled(rmse), TRUTH, TRUTH + 1, TRUTH + 1, groups)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert difference.verdict() == "not distinguishable"


def test_one_group_says_nothing_of_others():
    difference = paired_difference(pooled(rmse), TRUTH, TRUTH + 1, TRUTH + 2, ["a"] * 4)
    assert (difference.value, difference.low, difference.high) == (pytest.approx(-1), None, None)
    assert difference.verdict() == "not distinguishable"


def test_the_interval_of_a_mean_over_groups_is_students_of_their_own_differences():
    groups, errors = ["a", "b", "c"], np.array([1.0, 2.0, 4.0])
    found = paired_difference(mean_over_groups(rmse), np.zeros(3), errors, np.ones(3), groups)
    assert found.by_group == pytest.approx({"a": 0.0, "b": 1.0, "c": 3.0})
    ends = stats.ttest_1samp([0.0, 1.0, 3.0], 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((4 / 3, ends.low, ends.high))


def test_seeds_are_averaged_before_the_interval_is_drawn():
    truth, groups = np.zeros(3), ["a", "b", "c"]
    # a group is bad in one seed and good in the other: by group, on average over seeds, nothing differs
    seeds = np.array([[1.0, 3.0, 1.0], [3.0, 1.0, 3.0]])
    found = paired_difference(mean_over_groups(rmse), truth, seeds, np.full((2, 3), 2.0), groups)
    assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0))


def drawn_years(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Seven years of two models' errors, with the difference of their RMSE over all years there could be."""
    common = rng.normal(size=7)
    if kind == "years err together":  # a bias a year, shared in part, and a region's own error
        ours = common[:, None] + rng.normal(size=(7, 40))
        theirs = (0.7 * common + 0.9 * rng.normal(size=7))[:, None] + 1.1 * rng.normal(size=(7, 40))
        wanted = np.sqrt(2.0) - np.sqrt(0.49 + 0.81 + 1.21)
    else:  # hard years are hard for both
        scales = np.exp(0.2 * common[:, None] + 0.1 * rng.normal(size=(7, 2)))
        ours, theirs = scales[:, :1] * rng.normal(size=(7, 40)), 1.2 * scales[:, 1:] * rng.normal(size=(7, 40))
        wanted = (1 - 1.2) * np.exp(0.04 + 0.01)
    return ours.ravel(), theirs.ravel(), np.repeat(np.arange(7), 40).astype(str), wanted


@pytest.mark.long
@pytest.mark.parametrize("kind", ["years err together", "hard for both"])
def test_over_seven_years_the_interval_covers_what_it_says(kind):
    rng, inside = np.random.default_rng(5), []
    for _ in range(1500):
        ours, theirs, years, wanted = drawn_years(rng, kind)
        found = paired_difference(pooled(rmse), np.zeros(len(ours)), ours, theirs, years.tolist())
        inside.append(found.low <= wanted <= found.high)
    assert 0.93 <= np.mean(inside) <= 0.97


def test_what_seeds_say_is_averaged_key_by_key():
    found = mean_over_seeds([{"a": 1, "b": {"c": 2.0, "d": "x"}}, {"a": 1, "b": {"c": 4.0, "d": "y"}}])
    assert found == {"a": 1, "b": {"c": 3.0, "d": "x or y"}}


def test_gaps_are_drawn_by_seed_and_never_empty_a_sample():
    channels = (Channel(name="a", unit="1"),)
    streams = {name: Stream(kind="scalar", values=np.ones(1), channels=channels) for name in "abc"}
    samples = [Sample(streams=streams, target=1.0, source=Provenance(data="d", item=str(i))) for i in range(400)]
    once, again, other = (drop_streams(samples, seed) for seed in (0, 0, 1))
    assert [set(s.streams) for s in once] == [set(s.streams) for s in again] != [set(s.streams) for s in other]
    assert all(sample.streams for sample in once)
    assert 0.65 < np.mean([len(sample.streams) / 3 for sample in once]) < 0.75


def test_of_many_comparisons_those_are_named_that_hold_together():
    found = {
        name: {"value": value, "p_value": p_value}
        for name, value, p_value in (
            ("a", -1.0, 0.001), ("b", 1.0, 0.013), ("c", -1.0, 0.024), ("d", -1.0, 0.03), ("e", 0.0, None)
        )
    }  # fmt: skip
    told = compare_all(found)
    assert (told["count"], told["better_than"], told["worse_than"]) == (5, ["a", "c", "d"], ["b"])
    found["d"]["p_value"] = 0.06
    found["c"]["p_value"] = 0.03
    assert compare_all(found)["better_than"] == ["a"]  # 0.03 is more than half of 0.05, and d hides behind c
    assert compare_all(found, lower_is_better=False)["worse_than"] == ["a"]
    assert compare_all({})["count"] == 0


def test_without_differences_few_evaluations_name_any():
    rng, named = np.random.default_rng(0), 0
    groups = [str(year) for year in range(12) for _ in range(5)]
    for _ in range(120):
        truth = rng.normal(size=60)
        model, *baselines = truth + rng.normal(size=(10, 60))
        differences = {
            str(row): paired_difference(pooled(rmse), truth, model, baseline, groups).to_dict()
            for row, baseline in enumerate(baselines)
        }
        told = compare_all(differences)
        named += bool(told["better_than"] or told["worse_than"])
    assert named / 120 <= 0.1


def test_p_value_and_interval_agree():
    truth, model, baseline = np.random.default_rng(1).normal(size=(3, 40))
    groups = [str(row % 8) for row in range(40)]
    found = paired_difference(pooled(rmse), truth, model, baseline, groups)
    at_edge = paired_difference(pooled(rmse), truth, model, baseline, groups, level=1 - found.p_value)
    assert min(abs(at_edge.low), abs(at_edge.high)) < 1e-9
