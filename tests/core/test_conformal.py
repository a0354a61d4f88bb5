"""Calibration against oracles (crepes, MAPIE) and against data with a known answer."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from crepes import ConformalRegressor
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.regression import SplitConformalRegressor
from sklearn.linear_model import LinearRegression

from mainstem.core.conformal import Calibration
from mainstem.core.errors import CalibrationError
from mainstem.core.quantiles import cases_needed, group_quantile
from mainstem.core.targets import Classes

LEVELS = [0.5, 0.8, 0.9]


def grouped_scores(num_groups: int, size: int, group_spread: float, seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (num_groups, size)) + rng.normal(0, group_spread, (num_groups, 1))
    return scores.ravel(), tuple(np.repeat([f"{2000 + year}" for year in range(num_groups)], size).tolist())


def each_its_own(count: int) -> tuple[str, ...]:
    """As many groups as cases."""
    return tuple(f"case {row}" for row in range(count))


def conformal_quantile(scores: np.ndarray, level: float) -> float:
    """The ceil((n + 1) * level)-th smallest score: split conformal (Lei et al. 2018, algorithm 2)."""
    return float(np.sort(scores)[math.ceil(round((len(scores) + 1) * level, 9)) - 1])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [23, 100, 998])
def test_the_quantile_is_that_of_crepes(level, count):
    residuals = np.random.default_rng(count).normal(size=count)
    oracle = ConformalRegressor().fit(residuals=residuals).predict_int(np.zeros(1), confidence=level)[0, 1]
    assert group_quantile(np.abs(residuals), np.array(each_its_own(count)), level) == pytest.approx(oracle)


@pytest.mark.parametrize("level", LEVELS)
def test_the_interval_is_that_of_mapie(level):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1))
    y = 2 * x[:, 0] + rng.normal(size=300)
    model = LinearRegression().fit(x[:100], y[:100])
    oracle = SplitConformalRegressor(model, confidence_level=level, prefit=True).conformalize(x[100:], y[100:])
    point, bounds = oracle.predict_interval(np.array([[0.3]]))
    ours = Calibration(scores=y[100:] - model.predict(x[100:]), groups=each_its_own(200), population="")
    half = ours.half_width(level)
    assert [point[0] - half, point[0] + half] == pytest.approx(bounds.ravel().tolist())


@pytest.mark.parametrize(("level", "count"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_too_few_cases_are_refused_with_the_number_needed(level, count):
    assert cases_needed(level) == count
    group_quantile(np.arange(count, dtype=float), np.array(each_its_own(count)), level)
    with pytest.raises(CalibrationError, match=f"at least {count}"):
        group_quantile(np.arange(count - 1, dtype=float), np.array(each_its_own(count - 1)), level)


def test_the_quantile_of_one_case_a_group_is_the_plain_conformal_one():
    scores = np.random.default_rng(0).normal(size=40) ** 2
    groups = np.array([f"g{row}" for row in range(40)])
    for level in LEVELS:
        assert group_quantile(scores, groups, level) == conformal_quantile(scores, level)


def test_each_group_counts_once_however_many_cases_it_has():
    scores = np.concatenate([np.zeros(1000), np.arange(1.0, 20.0)])
    groups = np.array(["large"] * 1000 + [f"small {row}" for row in range(19)])
    assert group_quantile(scores, groups, 0.5) == 10.0  # of 20 groups and one to come, 11 lie at or below 10


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_a_new_group_is_covered_on_average_where_the_plain_quantile_falls_short(spread):
    ours, plain = [], []
    for seed in range(120):
        scores, groups = grouped_scores(13, 60, spread, seed)
        calibration = Calibration(scores=scores[:-60], groups=groups[:-60], population="")
        new = np.abs(scores[-60:])
        ours.append(np.mean(new <= calibration.half_width(0.9)))
        plain.append(np.mean(new <= conformal_quantile(np.abs(scores[:-60]), 0.9)))
    assert np.mean(ours) >= 0.9
    assert np.mean(ours) >= np.mean(plain)


def test_below_nine_groups_the_largest_error_seen_is_the_width_and_nothing_is_claimed():
    scores, groups = grouped_scores(8, 50, 1.0, 0)
    few = Calibration(scores=scores, groups=groups, population="")
    assert few.claim(0.9).state == "none"
    assert "on average, not guaranteed: 8 groups, want 9" in few.claim(0.9).reason
    assert few.claim(0.8).state == "stated"
    assert few.half_width(0.9) == np.abs(scores).max()
    assert few.half_width(0.8) < few.half_width(0.9)


def test_a_later_group_is_claimed_only_where_later_groups_were_predicted_from_earlier_ones():
    scores, groups = grouped_scores(12, 50, 1.0, 0)
    plain = Calibration(scores=scores, groups=groups, population="counties")
    assert plain.is_later("2012")
    assert not plain.is_later("2005")
    assert not plain.is_later("a farm")
    assert plain.claim(0.9, later="2012").state == "none"
    assert "later than all groups" in plain.claim(0.9, later="2012").reason
    forward = replace(plain, forward=tuple(f"{year}" for year in range(2006, 2012)), reach=2015.0)
    told = forward.claim(0.9, later="2012").population
    assert "2000 to 2011" in told
    assert "6 of them predicted from earlier ones alone, claims to 2015" in told
    assert "at least 90% on average" in told
    assert "further ahead than was judged" in forward.claim(0.9, later="2016").reason


def gappy(num_groups: int, size: int, seed: int, worse: float) -> Calibration:
    """Whole cases, and as many that lack soil, whose errors are `worse` times as large while scales say the same."""
    scores, groups = grouped_scores(num_groups, size, 0.3, seed)
    lacking, _ = grouped_scores(num_groups, size, 0.3, seed + 1000)
    return Calibration(
        scores=np.concatenate([scores, worse * lacking]), groups=groups + groups, population="",
        patterns=("",) * len(scores) + ("soil",) * len(scores), streams=("history", "soil"),
        scale_of={"": 1.0, "soil": 1.0},
    )  # fmt: skip


def test_what_lacks_more_is_covered_by_its_own_errors_and_never_narrower():
    wide, sure = gappy(20, 200, 0, 3.0), gappy(20, 200, 0, 0.3)
    assert wide.half_width(0.9, "soil") > 2.5 * wide.half_width(0.9)
    assert sure.half_width(0.9, "soil") == sure.half_width(0.9)
    fresh, _ = grouped_scores(200, 50, 0.3, 77)
    assert 0.88 <= np.mean(np.abs(3 * fresh) <= wide.half_width(0.9, "soil")) <= 0.95
    assert wide.half_widths(0.9, ["soil", ""]).tolist() == [wide.half_width(0.9, "soil"), wide.half_width(0.9)]
    smaller = replace(wide, scale_of={"": 1.0, "soil": 0.1})
    assert 0.1 * smaller.half_width(0.9, "soil") >= smaller.half_width(0.9)  # in the target's unit


def test_nothing_is_claimed_for_gaps_that_calibration_never_saw():
    calibration = gappy(20, 50, 0, 1.0)
    assert calibration.claim(0.9, "soil").state == "stated"
    unseen = calibration.claim(0.9, "history")
    assert unseen.state == "none"
    assert "lacked history" in unseen.reason
    assert calibration.half_width(0.9, "history + soil") >= calibration.half_width(0.9, "soil")


def test_gaps_stay_as_much_wider_as_they_were_where_new_labels_have_none():
    old = gappy(20, 100, 0, 3.0)
    fresh, groups = grouped_scores(12, 50, 0.3, 9)
    new = Calibration(scores=fresh, groups=groups, population="", scale_of={"": 1.0}, least=old.ratios(0.9))
    assert new.half_width(0.9, "soil") == pytest.approx(old.ratios(0.9)["soil"] * new.half_width(0.9))
    later = Calibration(
        scores=fresh, groups=tuple(f"{int(name) + 100}" for name in groups), population="", patterns=("",) * len(fresh)
    )
    kept = old.with_groups(later, 12)
    assert set(kept.patterns) == {""}
    assert kept.half_width(0.9, "soil") > 2.5 * kept.half_width(0.9)


def lacking_rain(num_groups: int, first: int, scale: float, pattern: str = "rain") -> Calibration:
    """Cases that all lack something, of a scale of their own, later than those of `grouped_scores`."""
    scores, _ = grouped_scores(num_groups, 20, 0.3, first)
    groups = tuple(str(first + row // 20) for row in range(len(scores)))
    return Calibration(
        scores=scores, groups=groups, population="", patterns=(pattern,) * len(scores), scale_of={pattern: scale}
    )


def told(calibration: Calibration, pattern: str, scale: float) -> float:
    """Half width at 90 % in the target's unit, of cases of the scale that is theirs."""
    return calibration.half_width(0.9, pattern) * scale


@pytest.mark.parametrize("num_later", [3, 12])
@pytest.mark.parametrize("scale", [0.25, 4.0])
@pytest.mark.parametrize("window", [0, 9])
def test_gaps_that_appended_labels_show_first_are_never_narrower_than_whole_samples(scale, num_later, window):
    scores, groups = grouped_scores(12, 30, 0.5, 0)
    whole = Calibration(scores=scores, groups=groups, population="", scale_of={"": 1.0})
    both = whole.with_groups(lacking_rain(num_later, 2012, scale), window)
    assert both.scale_of["rain"] == scale
    for pattern, own in (("rain", scale), ("rain + soil", min(scale, 1.0))):
        assert told(both, pattern, own) >= told(both, "", 1.0) > 0
    if num_later > 9 and not window:
        assert told(both, "rain", scale) == pytest.approx(
            max(told(both, "", 1.0), told(lacking_rain(12, 2012, 1), "rain", scale))
        )


def test_scales_of_gaps_are_those_of_all_cases_kept():
    first, second = lacking_rain(12, 2000, 1.0), lacking_rain(4, 2012, 3.0)
    assert first.with_groups(second).scale_of == {"rain": pytest.approx((12 * 1 + 4 * 3) / 16)}
    assert first.with_groups(second, 8).scale_of == {"rain": pytest.approx(2.0)}
    assert first.with_groups(second, 4).scale_of == {"rain": 3.0}
    other = first.with_groups(lacking_rain(9, 2012, 3.0, "soil"), 9)
    assert other.scale_of == {"rain": 1.0, "soil": 3.0}  # no case that lacks rain is left: as it was known


def test_gaps_stay_as_much_wider_however_often_labels_without_any_are_appended():
    calibration = replace(gappy(20, 100, 0, 3.0), scale_of={"": 2.0, "soil": 0.5})
    before = calibration.ratios(0.9)["soil"]
    for first in range(2100, 2160, 12):
        fresh, groups = grouped_scores(12, 50, 0.3, first)
        later = Calibration(
            scores=fresh, groups=tuple(str(first + int(name) - 2000) for name in groups), population="",
            scale_of={"": 2.0},
        )  # fmt: skip
        calibration = calibration.with_groups(later, 12)
        assert calibration.ratios(0.9)["soil"] == pytest.approx(before)


def test_new_labels_without_gaps_leave_their_scales_and_widths_what_they_were_of_whole_ones():
    old = replace(gappy(20, 100, 0, 1.0), scale_of={"": 1.0, "soil": 0.25})
    fresh, groups = grouped_scores(12, 50, 0.3, 9)
    plain = Calibration(scores=fresh, groups=groups, population="", scale_of={"": 2.0})
    new = plain.knowing_gaps_of(old, 0.9)
    assert new.half_width(0.9) == plain.half_width(0.9)
    assert told(new, "soil", 0.5) == pytest.approx(old.ratios(0.9)["soil"] * told(new, "", 2.0))
    assert told(new, "soil", 0.5) >= told(new, "", 2.0)


def test_below_nine_groups_too_nobody_is_surer_for_knowing_less():
    scores, groups = grouped_scores(6, 20, 0.3, 0)
    few = Calibration(
        scores=np.concatenate([scores, 0.5 * scores]), groups=groups + groups, population="",
        patterns=("",) * len(scores) + ("soil",) * len(scores), scale_of={"": 1.0, "soil": 0.1},
    )  # fmt: skip
    assert told(few, "", 1.0) == np.abs(scores).max()
    assert told(few, "soil", 0.1) == pytest.approx(told(few, "", 1.0))


def test_one_group_of_a_pattern_is_claimed_without_a_word_on_how_others_did():
    """Half of the scores of a new group lie within the largest of one other, on average: nothing more is known."""
    scores, groups = grouped_scores(12, 20, 0.3, 0)
    patterns = tuple("" if group == "2003" else "soil" for group in groups)
    calibration = Calibration(scores=scores, groups=groups, population="maize", patterns=patterns)
    assert calibration.coverage_by_group(0.9) == {}
    assert calibration.coverage_by_group(0.9, "never seen") == {}
    assert set(calibration.coverage_by_group(0.9, "soil")) == set(groups) - {"2003"}
    claim = calibration.claim(0.5)
    assert (claim.state, claim.population) == (
        "stated", "maize; 1 groups held out whole, 2003 to 2003; at least 50% on average over new groups",
    )  # fmt: skip


@pytest.mark.parametrize("reason", ["", "nobody knows"])
def test_what_has_no_ground_is_not_claimed_and_comes_back_so_from_its_state(reason):
    scores, groups = grouped_scores(12, 20, 0.3, 0)
    calibration = Calibration(scores=scores, groups=groups, population="maize", unfounded=reason)
    again = Calibration.restore(*calibration.state())
    assert again.claim(0.9).reason == reason
    assert again.claim(0.9).state == ("none" if reason else "stated")
    fresh = Calibration(scores=scores, groups=tuple(f"{int(name) + 100}" for name in groups), population="")
    assert again.with_groups(fresh).unfounded == reason  # of the old ones some are left
    assert not again.with_groups(fresh, 12).unfounded


def test_later_labels_are_added_and_a_window_keeps_the_last_groups():
    scores, groups = grouped_scores(12, 30, 0.5, 0)
    old = Calibration(scores=scores, groups=groups, population="old", forward=("2011",))
    new = Calibration(
        scores=np.array([5.0, 6.0, 7.0]), groups=("2011", "2012", "2012"), population="new", forward=("2012",)
    )
    both = old.with_groups(new)
    assert len(both.scores) == 11 * 30 + 3
    assert both.forward == ("2011", "2012")
    last = old.with_groups(new, 2)
    assert set(last.groups) == {"2011", "2012"}
    assert last.scores.tolist() == [5.0, 6.0, 7.0]
    assert old.with_groups(new, 9).groups[0] == "2004"


def test_after_later_labels_claims_reach_as_far_as_was_judged_and_count_what_was_predicted_ahead():
    scores, groups = grouped_scores(12, 30, 0.5, 0)
    ahead = tuple(f"{year}" for year in range(2006, 2012))
    old = Calibration(scores=scores, groups=groups, population="old", forward=ahead, reach=2013.0)
    fresh, _ = grouped_scores(2, 30, 0.5, 1)
    new = Calibration(
        scores=fresh, groups=("2012",) * 30 + ("2013",) * 30, population="new", forward=("2013",), reach=2014.0
    )
    for both in (old.with_groups(new), replace(old, reach=2014.0).with_groups(replace(new, reach=2013.0))):
        assert both.forward == (*ahead, "2013")  # 2012 was not predicted from earlier groups, nor those before 2006
        assert both.claim(0.9, later="2014").state == "stated"
        assert both.claim(0.9, later="2015").state == "none"


def test_groups_that_left_the_window_are_none_predicted_ahead():
    scores, groups = grouped_scores(12, 30, 0.5, 0)
    old = Calibration(
        scores=scores, groups=groups, population="old", forward=tuple(f"{year}" for year in range(2000, 2006)),
        reach=2030.0,
    )  # fmt: skip
    fresh, _ = grouped_scores(1, 30, 0.5, 1)
    new = Calibration(scores=fresh, groups=("2012",) * 30, population="new", forward=("2012",), reach=2030.0)
    last = old.with_groups(new, 9)  # 2004 to 2012
    assert last.forward == ("2004", "2005", "2012")
    assert last.claim(0.9, later="2013").state == "none"  # three of nine, where half are wanted


def test_a_group_that_errs_to_one_side_is_noticed_by_its_residuals():
    scores, groups = grouped_scores(19, 100, 0.3, 0)
    calibration = Calibration(scores=scores, groups=groups, population="")
    fresh = np.random.default_rng(5).normal(size=100)
    assert calibration.residual_p_value(fresh + 3, ("2030",) * 100) == 1 / 20
    assert calibration.residual_p_value(fresh, ("2030",) * 100) > 0.2


def test_coverage_by_group_is_at_the_level_or_above():
    scores, groups = grouped_scores(40, 300, 0.5, 3)
    coverage = Calibration(scores=scores, groups=groups, population="").coverage_by_group(0.9)
    assert len(coverage) == 40
    assert 0.9 <= np.mean(list(coverage.values())) <= 0.94


@settings(max_examples=50, deadline=None)
@given(num_groups=st.integers(1, 25), seed=st.integers(0, 20))
def test_intervals_are_nested(num_groups, seed):
    scores, groups = grouped_scores(num_groups, 30, 0.5, seed)
    calibration = Calibration(scores=scores, groups=groups, population="")
    inner, middle, outer = (calibration.half_width(level) for level in LEVELS)
    assert 0 < inner <= middle <= outer


def test_probabilities_rise_with_the_threshold_and_know_the_normal():
    scores = np.random.default_rng(0).normal(size=5000)
    calibration = Calibration(scores=scores, groups=each_its_own(5000), population="")
    one, two = np.array([10.0]), np.array([2.0])
    found = [float(calibration.probabilities_below(threshold, one, two)[0]) for threshold in (6, 8, 10, 12)]
    assert found == sorted(found)
    assert found == pytest.approx([0.023, 0.159, 0.5, 0.841], abs=0.02)


def test_chances_are_wider_where_intervals_are():
    wide = gappy(150, 100, 0, 3.0)
    mean, scale = np.full(2, 2.0), np.ones(2)
    whole, lacking = wide.probabilities_below(0.0, mean, scale, ["", "soil"])
    fresh, _ = grouped_scores(200, 50, 0.3, 77)
    assert whole == pytest.approx(np.mean(fresh < -2), abs=0.02)
    assert lacking == pytest.approx(np.mean(3 * fresh < -2), abs=0.04)
    assert replace(wide, widen=2.0).probabilities_below(0.0, mean, scale)[0] > whole + 0.05


def test_widening_reaches_what_was_asked_for_and_is_forgotten_where_it_is_not_needed():
    scores, groups = grouped_scores(20, 50, 0.3, 0)
    calibration = Calibration(scores=scores, groups=groups, population="")
    wider = calibration.no_narrower_than(10.0, 0.9, 2.0)
    assert 2.0 * wider.half_width(0.9) == pytest.approx(10.0)
    assert wider.no_narrower_than(0.0, 0.9, 2.0).half_width(0.9) == calibration.half_width(0.9)


def test_a_later_claim_needs_half_of_the_groups_predicted_from_earlier_ones():
    scores, groups = grouped_scores(12, 50, 1.0, 0)
    one = Calibration(scores=scores, groups=groups, population="", forward=("2011",))
    assert one.claim(0.9, later="2030").state == "none"
    half = replace(one, forward=tuple(f"{year}" for year in range(2006, 2012)), reach=2030.0)
    assert half.claim(0.9, later="2030").state == "stated"


def test_a_calibration_of_cases_that_all_lack_something_can_be_asked_for_whole_ones():
    scores, groups = grouped_scores(12, 20, 0.3, 0)
    lacking = Calibration(scores=scores, groups=groups, population="", patterns=("soil",) * len(scores))
    assert lacking.claim(0.9).state == "none"
    assert "every case of calibration lacked something" in lacking.claim(0.9).reason
    assert lacking.claim(0.9, "soil").state == "stated"
    assert lacking.half_width(0.9) == lacking.half_width(0.9, "soil")


def test_coverage_is_claimed_for_the_population_and_as_many_groups_as_there_are():
    stated = Calibration(scores=np.arange(50.0), groups=tuple("abcdefghij" * 5), population="fields").claim(0.9)
    assert stated.state == "stated"
    assert "fields; 10 groups" in stated.population


def test_calibration_comes_back_from_its_state():
    scores, groups = grouped_scores(4, 20, 0.3, 0)
    calibration = Calibration(
        scores=scores, groups=groups, population="maize", patterns=("", "soil") * 40, streams=("soil",),
        scale_of={"": 1.0, "soil": 2.0}, forward=("2003",), widen=1.5,
    )  # fmt: skip
    plain, arrays = calibration.state()
    again = Calibration.restore(json.loads(json.dumps(plain)), arrays)
    assert again.half_width(0.9, "soil") == calibration.half_width(0.9, "soil")
    assert again.claim(0.6) == calibration.claim(0.6)


def by_class(probabilities: np.ndarray, truth: np.ndarray, names: tuple[str, ...], groups=None) -> Calibration:
    target = Classes(names=names)
    return Calibration(
        scores=target.scores({"probabilities": probabilities}, np.asarray(truth, float)),
        strata=target.strata(np.asarray(truth, float)),
        groups=tuple(groups or map(str, range(len(truth)))),
        population="",
    )


def sets(calibration: Calibration, probabilities: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    quantile = calibration.quantiles(0.9, [""] * len(probabilities), names)
    return Classes(names=names).inside({"probabilities": probabilities}, quantile)


def test_each_class_is_covered_and_a_rare_one_refused():
    rng, names = np.random.default_rng(0), ("healthy", "rare")
    truth = rng.choice(2, 4000, p=[0.95, 0.05])
    sure = np.clip(rng.normal(np.where(truth == 1, 0.5, 0.15), 0.2), 0.001, 0.999)
    probabilities = np.column_stack([1 - sure, sure])
    calibration = by_class(probabilities[:2000], truth[:2000], names)
    for index in range(2):
        held = probabilities[2000:][truth[2000:] == index]
        assert sets(calibration, held, names)[:, index].mean() >= 0.83
    few = by_class(probabilities[:20], np.r_[np.zeros(19, int), 1], names)
    assert sets(few, probabilities, names)[:, 1].all()  # one case rules nothing out


def test_class_sets_cover_new_polygons_and_rule_out_only_what_enough_polygons_show():
    rng, names = np.random.default_rng(0), ("forest", "scrub")

    def polygons(num: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
        hard = rng.normal(1.0, 1.0, (num, 1)) + rng.normal(0, 0.5, (num, 40))  # a polygon's pixels err together
        share = 1 / (1 + np.exp(-hard.ravel()))
        probabilities = np.column_stack([share, 1 - share])
        return probabilities, np.zeros(num * 40, int), np.repeat([f"p{row}" for row in range(num)], 40).tolist()

    covered = []
    for _ in range(60):
        probabilities, truth, groups = polygons(12)
        calibration = by_class(probabilities, truth, names, groups)
        assert calibration.stratum_quantiles(names, 0.9)[1] == np.inf  # no polygon shows scrub: it is never ruled out
        covered.append(float(sets(calibration, polygons(30)[0], names)[:, 0].mean()))
    assert 0.9 <= np.mean(covered) <= 0.97
    again = Calibration.restore(*calibration.state())
    assert again.strata == calibration.strata
    assert again.stratum_quantiles(names, 0.9).tolist() == calibration.stratum_quantiles(names, 0.9).tolist()


def test_a_claim_of_classes_counts_groups_and_names_their_coverage():
    rng, names = np.random.default_rng(1), ("a", "b")
    truth = rng.integers(0, 2, 600)
    sure = np.clip(rng.normal(0.7, 0.15, 600), 0.01, 0.99)
    probabilities = np.where(truth[:, None] == [[0, 1]], sure[:, None], 1 - sure[:, None])
    groups = [f"g{row // 30}" for row in range(600)]
    claim = by_class(probabilities, truth, names, groups).claim(0.9)
    assert claim.state == "stated"
    assert "20 groups held out whole" in claim.population
    assert by_class(probabilities, truth, names, ["g"] * 600).claim(0.9).state == "none"
