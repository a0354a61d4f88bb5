"""The shift alarm: false alarms at the stated rate for any number of cases and any part of the places; its power."""

import time

import numpy as np
import pytest

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.errors import ArtifactError, CalibrationError

YEARS, PLACES, FEATURES = 19, 60, 6


def world(rng, num_years: int, year_spread: float = 0.5) -> np.ndarray:
    """Departures (year, place, feature): what a year does to all places, to a state, and to each place."""
    year = rng.normal(0, year_spread, (num_years, 1, FEATURES))
    state = np.repeat(rng.normal(0, 0.7, (num_years, 6, FEATURES)), PLACES // 6, axis=1)
    return year + state + rng.normal(0, 1, (num_years, PLACES, FEATURES))


def labels(num_years: int) -> tuple[list[str], list[str]]:
    groups = np.repeat([f"{2000 + year}" for year in range(num_years)], PLACES).tolist()
    return groups, [f"county {place}" for place in range(PLACES)] * num_years


def fitted(years: np.ndarray, places: bool = True) -> ShiftAlarm:
    groups, named = labels(len(years))
    return ShiftAlarm.fit(years.reshape(-1, FEATURES), groups, named if places else None)


def rate(num_cases: int, shift: float = 0.0, *, one_state: bool = False, places: bool = True) -> float:
    rng = np.random.default_rng([num_cases, one_state, places])
    fired = []
    for _ in range(40):
        years = world(rng, YEARS + 5)
        alarm = fitted(years[:YEARS], places)
        for year in years[YEARS:] + shift:
            rows = np.arange(10)[:num_cases] if one_state else rng.choice(PLACES, min(num_cases, PLACES), replace=False)
            named = [f"county {row}" for row in rows] if places else None
            fired.append(alarm.fires(year[rows], named))
    return float(np.mean(fired))


@pytest.mark.long
@pytest.mark.parametrize("places", [True, False])
@pytest.mark.parametrize("num_cases", [1, 3, 10, 60])
def test_ordinary_groups_of_any_size_raise_it_at_the_stated_rate(num_cases, places):
    assert abs(rate(num_cases, places=places) - ShiftAlarm.SHARE) < 0.09


def test_one_state_alone_is_compared_with_that_state_in_other_years():
    assert abs(rate(10, one_state=True) - ShiftAlarm.SHARE) < 0.09


@pytest.mark.long
def test_the_larger_the_shift_and_the_more_the_cases_the_surer_it_fires():
    assert rate(60, 2.0) > 0.95
    assert rate(60, 1.0) > rate(60, 0.0) + 0.2
    assert rate(1, 4.0) > 0.8
    assert rate(60, 1.0) >= rate(1, 1.0) - 0.05


def test_a_thousand_cases_of_groups_of_few_raise_it_at_the_stated_rate():
    rng = np.random.default_rng(3)
    fired = []
    for _ in range(150):
        sites = rng.normal(0, 1, (31, 1, 4)) + rng.normal(0, 1, (31, 8, 4))
        alarm = ShiftAlarm.fit(sites[:30].reshape(-1, 4), np.repeat([f"s{row}" for row in range(30)], 8).tolist())
        many = rng.normal(0, 1, (1, 4)) + rng.normal(0, 1, (1000, 4))
        fired.append(alarm.fires(many))
    assert abs(np.mean(fired) - ShiftAlarm.SHARE) < 0.1


def test_what_samples_lack_is_left_out_and_nothing_is_no_evidence():
    years = world(np.random.default_rng(0), YEARS + 1)
    alarm = fitted(years[:YEARS])
    lacking = years[YEARS].copy()
    lacking[:, 3:] = np.nan
    named = [f"county {place}" for place in range(PLACES)]
    assert 0 < alarm.p_value(lacking, named) <= 1
    lacking[:, :3] += 5
    assert alarm.fires(lacking, named)
    assert alarm.p_value(np.full((4, FEATURES), np.nan)) is None
    assert not alarm.fires(np.full((4, FEATURES), np.nan))


def test_a_feature_that_never_varied_and_does_now_fires():
    years = world(np.random.default_rng(0), YEARS + 1)
    years[..., 2] = 1.0
    alarm = fitted(years[:YEARS], places=False)
    assert not alarm.fires(years[:YEARS].mean(0))
    years[YEARS, :, 2] = 1.1
    assert alarm.fires(years[YEARS])


def test_the_p_value_is_uniform_on_exchangeable_groups():
    rng = np.random.default_rng(1)
    values = []
    for _ in range(600):
        alarm = ShiftAlarm.fit(rng.normal(size=(9, 4)), [f"{row}" for row in range(9)])
        values.append(alarm.p_value(rng.normal(size=(1, 4))))
    for share in (0.1, 0.3, 0.6):
        assert abs(np.mean(np.array(values) <= share + 1e-9) - share) < 0.06


def test_it_comes_back_from_its_state_and_takes_later_groups():
    years = world(np.random.default_rng(0), YEARS + 2)
    alarm = fitted(years[:YEARS])
    named = [f"county {place}" for place in range(PLACES)]
    assert ShiftAlarm.restore(*alarm.state()).p_value(years[YEARS], named) == alarm.p_value(years[YEARS], named)
    more = alarm.with_cases(years[YEARS], ["2019"] * PLACES, named)
    assert more.num_groups == YEARS + 1
    assert more.with_cases(years[YEARS], ["2019"] * PLACES, named).num_groups == YEARS + 1


def test_too_few_groups_are_refused():
    with pytest.raises(CalibrationError, match="at least 5"):
        ShiftAlarm.fit(np.zeros((8, 2)), list("aabbccdd"))


def test_an_alarm_needs_something_to_compare():
    groups = [str(year) for year in range(2000, 2020)]
    features = np.full((20, 3), np.nan)
    assert not ShiftAlarm.suffices(features, groups)
    features[3, 1] = 0.5
    assert ShiftAlarm.suffices(features, groups)
    assert not ShiftAlarm.suffices(features, ["2000"] * 20)


def test_a_place_that_few_groups_know_is_compared_as_one_never_seen():
    years = world(np.random.default_rng(0), YEARS + 1)
    groups, named = labels(YEARS)
    rare = [
        place if place != "county 0" or int(group) >= 2016 else "elsewhere"
        for group, place in zip(groups, named, strict=True)
    ]
    alarm = ShiftAlarm.fit(years[:YEARS].reshape(-1, FEATURES), groups, rare)
    assert not alarm.knows("county 0")  # of three years alone
    assert alarm.fires(np.full((1, FEATURES), 1e6), ["county 0"])


def sample_rate(shift: float, *, places: bool = True, year_spread: float = 0.0, one_feature: bool = False) -> float:
    """Share of single samples, of new years, that are called strange where each is moved by `shift` spreads."""
    rng = np.random.default_rng([int(10 * shift), places, int(10 * year_spread), one_feature])
    normal = 3 * rng.normal(0, 1, (1, PLACES, FEATURES)) * places
    found = []
    for _ in range(12):
        years = rng.normal(0, year_spread, (YEARS + 4, 1, FEATURES)) + rng.normal(0, 1, (YEARS + 4, PLACES, FEATURES))
        alarm = fitted(normal + years[:YEARS], places)
        asked = normal + years[YEARS:]
        asked[..., : 1 if one_feature else FEATURES] += shift
        named = labels(4)[1] if places else [""] * (4 * PLACES)
        found.append(alarm.strange_samples(asked.reshape(-1, FEATURES), named))
    return float(np.mean(found))


@pytest.mark.parametrize("places", [True, False])
def test_ordinary_samples_raise_it_at_the_stated_rate(places):
    assert abs(sample_rate(0.0, places=places) - ShiftAlarm.SAMPLE_SHARE) < 0.006


def test_years_with_effects_of_their_own_raise_it_not_much_oftener():
    assert sample_rate(0.0, year_spread=0.5) < 2.5 * ShiftAlarm.SAMPLE_SHARE


@pytest.mark.parametrize("places", [True, False])
def test_the_further_a_sample_departs_the_surer_it_is_called_strange(places):
    one, two, four = (sample_rate(shift, places=places) for shift in (1.0, 2.0, 4.0))
    assert one > 0.1
    assert two > 0.8
    assert four > 0.999
    assert sample_rate(4.0, places=places, one_feature=True) > 0.3


def test_what_is_ordinary_elsewhere_is_strange_at_a_place_that_never_saw_it():
    rng = np.random.default_rng(0)
    normal = np.where(np.arange(PLACES) < PLACES // 2, 0.0, 8.0)[None, :, None]
    years = normal + rng.normal(0, 1, (YEARS, PLACES, FEATURES))
    alarm, swapped = fitted(years), np.full((1, FEATURES), 8.0)
    assert alarm.strange_samples(swapped, ["county 0"]).all()
    assert not alarm.strange_samples(swapped, [f"county {PLACES - 1}"]).any()
    assert not alarm.strange_samples(swapped, ["elsewhere"]).any()  # of all cases it is none


def test_a_strange_year_of_calibration_does_not_hide_a_strange_sample():
    rng = np.random.default_rng(1)
    years = rng.normal(0, 1, (YEARS, PLACES, FEATURES))
    years[3] += 2.0
    asked = np.full((1, FEATURES), 5.0)
    assert fitted(years).strange_samples(asked, ["county 7"]).all()


def test_samples_are_judged_by_what_they_know():
    rng = np.random.default_rng(2)
    alarm = fitted(rng.normal(0, 1, (YEARS, PLACES, FEATURES)))
    asked = rng.normal(0, 1, (2000, FEATURES))
    asked[:, 2:] = np.nan
    named = [f"county {row % PLACES}" for row in range(2000)]
    assert abs(alarm.strange_samples(asked, named).mean() - ShiftAlarm.SAMPLE_SHARE) < 0.01
    assert not alarm.strange_samples(np.full((3, FEATURES), np.nan), ["county 1"] * 3).any()
    assert alarm.strange_samples(np.empty((0, FEATURES)), []).shape == (0,)


def test_a_hundred_thousand_samples_are_judged_at_once():
    rng = np.random.default_rng(3)
    alarm = fitted(rng.normal(0, 1, (YEARS, PLACES, FEATURES)))
    asked, named = rng.normal(0, 1, (100_000, FEATURES)), [f"county {row % PLACES}" for row in range(100_000)]
    start = time.process_time()
    alarm.strange_samples(asked, named)
    assert time.process_time() - start < 3


def test_a_feature_that_never_varied_at_any_place_and_does_in_a_sample_is_strange():
    rng = np.random.default_rng(4)
    years = rng.normal(0, 1, (YEARS, PLACES, FEATURES))
    years[..., 1] = 7.1 * np.arange(PLACES)
    alarm, same = fitted(years), years[0, 5:6].copy()
    assert not alarm.strange_samples(same, ["county 5"]).any()
    same[0, 1] += 0.1
    assert alarm.strange_samples(same, ["county 5"]).all()


def own_rate(moved: float = 0.0, width: int = 3) -> float:
    """Share of single samples of new years that are called strange, one of their own features moved by `moved`."""
    rng = np.random.default_rng([int(10 * moved), width])
    normal = 3 * rng.normal(0, 1, (1, PLACES, width))
    found = []
    for _ in range(12):
        years, own = rng.normal(0, 1, (YEARS + 4, PLACES, 30)), normal + rng.normal(0, 1, (YEARS + 4, PLACES, width))
        groups, named = labels(YEARS)
        alarm = ShiftAlarm.fit(years[:YEARS].reshape(-1, 30), groups, named, own=own[:YEARS].reshape(-1, width))
        own[YEARS:, :, 0] += moved
        asked = years[YEARS:].reshape(-1, 30), labels(4)[1], own[YEARS:].reshape(-1, width)
        found.append(alarm.strange_samples(*asked))
    return float(np.mean(found))


def test_own_features_are_not_diluted_and_leave_the_rate_of_ordinary_samples():
    assert abs(own_rate() - ShiftAlarm.SAMPLE_SHARE) < 0.006
    assert own_rate(5.0) > 0.9  # of one feature beside thirty-two ordinary ones


def test_own_features_that_drift_leave_the_alarm_of_a_group_as_it_was():
    years = world(np.random.default_rng(0), YEARS + 1)
    groups, named = labels(YEARS)
    drifting = np.repeat(np.arange(YEARS, dtype=float), PLACES)[:, None]
    with_own = ShiftAlarm.fit(years[:YEARS].reshape(-1, FEATURES), groups, named, own=drifting)
    county = named[:PLACES]
    assert with_own.p_value(years[YEARS], county) == fitted(years[:YEARS]).p_value(years[YEARS], county)


def test_own_features_come_back_and_an_alarm_without_any_judges_by_the_others():
    rng = np.random.default_rng(5)
    years, own = rng.normal(0, 1, (YEARS, PLACES, FEATURES)), rng.normal(0, 1, (YEARS * PLACES, 1))
    groups, named = labels(YEARS)
    alarm = ShiftAlarm.fit(years.reshape(-1, FEATURES), groups, named, own=own)
    asked, far = np.zeros((1, FEATURES)), np.full((1, 1), 9.0)
    back = ShiftAlarm.restore(*alarm.state())
    assert back.strange_samples(asked, ["county 0"], far).all()
    assert not back.strange_samples(asked, ["county 0"], 0 * far).any()
    assert back.with_cases(years[0], ["2030"] * PLACES, named[:PLACES]).strange_samples(asked, ["county 0"], far).all()
    assert not fitted(years).strange_samples(asked, ["county 0"], far).any()
    with pytest.raises(ArtifactError, match="own features"):
        back.strange_samples(asked, ["county 0"], np.zeros((1, 2)))


def test_places_that_few_groups_know_are_compared_with_such_places():
    """Their features scatter between groups four times as widely, for their normal is told from few years."""
    fired = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        groups, named, rows = [], [], []
        for year in range(YEARS + 1):
            places = [f"county {place}" for place in range(40)] + [f"rare {year} {number}" for number in range(5)]
            groups += [f"{2000 + year}"] * 45
            named += places
            rows += [
                rng.normal(0, 1, (40, FEATURES)),
                4 * rng.normal(0, 1, (1, FEATURES)) + rng.normal(0, 1, (5, FEATURES)),
            ]
        features = np.vstack(rows)
        alarm = ShiftAlarm.fit(features[:-45], groups[:-45], named[:-45])
        fired.append(alarm.fired(features[-45:], named[-45:])[-5:].all())
    assert abs(np.mean(fired) - ShiftAlarm.SHARE) < 0.12


def test_one_wild_case_of_calibration_deafens_neither_alarm():
    rng = np.random.default_rng(0)
    features, groups = rng.normal(size=(240, 2)), [str(2000 + index % 12) for index in range(240)]
    wild = features.copy()
    wild[5, 0] = 1e6
    strange = np.array([[6.0, 0.0], [0.0, 6.0]])
    for known in (features, wild):
        alarm = ShiftAlarm.fit(known, groups)
        assert alarm.strange_samples(strange, ["", ""]).all()
        assert alarm.fires(rng.normal(3, 1, size=(20, 2)))
    assert np.isnan(ShiftAlarm.fit(np.where(features > 2, np.nan, features), groups).features).any()


@pytest.mark.parametrize("sides", ["asked", "calibration", "both"])
def test_the_order_of_cases_changes_no_answer(sides):
    """A group larger than those of calibration, which differ from each other no more than their few cases scatter."""
    rng = np.random.default_rng(8)
    sizes = [20 + 3 * number for number in range(12)]
    known = np.vstack([rng.normal(0, 1, (size, FEATURES)) for size in sizes])
    groups = np.repeat([f"{2000 + number}" for number in range(12)], sizes)
    asked = rng.normal(0.12, 1, (200, FEATURES))
    asked[::7, 2] = np.nan
    found = []
    for seed in range(6):
        turned = np.random.default_rng(seed)
        rows = turned.permutation(len(known)) if sides != "asked" else np.arange(len(known))
        own = asked[turned.permutation(200)] if sides != "calibration" else asked
        alarm = ShiftAlarm.fit(known[rows], groups[rows].tolist())
        found.append(alarm.p_value(own))
    assert len(set(found)) == 1


def test_the_order_of_more_cases_than_are_kept_changes_no_answer():
    rng = np.random.default_rng(9)
    known, groups = rng.normal(0, 1, (6 * 1200, 2)), np.repeat(list("abcdef"), 1200)
    asked = rng.normal(0.05, 1, (1500, 2))
    turned = [np.random.default_rng(seed).permutation(len(known)) for seed in range(4)]
    assert len({ShiftAlarm.fit(known[rows], groups[rows].tolist()).p_value(asked) for rows in turned}) == 1
