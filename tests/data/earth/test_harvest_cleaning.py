"""Harvests cleaned: planted faults found, good records kept, and what nobody can tell left as it is."""

from dataclasses import replace

import numpy as np
import pytest
from tests.data.earth.harvest_logs import HEADER_M, NUM_PASSES, STAGED_PASS_NOISE, plant, without

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests import logs
from mainstem.data.earth.harvests.cleaning import RULES, Cleaned, Limits, clean
from mainstem.data.earth.harvests.delay import delayed, find_delay
from mainstem.data.earth.harvests.logs import open_log, passes
from mainstem.data.earth.harvests.points import HarvestPoints

MOST_LOST, LEAST_SETTLED = 0.05, 0.95  # what issue 16 asks for


@pytest.fixture(scope="module")
def sound() -> Cleaned:
    return clean(plant("none").points)


@pytest.mark.parametrize(("kind", "lag_s"), [("lag", 3), ("lag", 12), ("swath", 0), ("spikes", 0), ("stop", 0)])
def test_planted_faults_are_taken_out_or_mended_and_good_records_stay(kind, lag_s):
    planted = plant(kind, seed=3, lag_s=lag_s)
    found = clean(planted.points)
    assert planted.settled(planted.points.yield_t_ha, np.ones(len(found.points), bool)) < 0.9  # there was a fault
    assert planted.settled(found.yield_t_ha, found.kept) >= LEAST_SETTLED
    assert planted.lost(found.kept) <= MOST_LOST
    if kind == "lag":
        assert found.found["delay"] == pytest.approx(lag_s)


@pytest.mark.parametrize("kind", ["none", "spikes"])
def test_records_of_a_pass_that_errs_as_a_whole_are_no_outliers(kind):
    planted = plant(kind, seed=1003, pass_noise=STAGED_PASS_NOISE)
    found = clean(planted.points)
    assert planted.lost(found.kept) <= 0.025  # 2.6 % more went while a record answered for its whole pass
    if kind == "spikes":
        assert planted.settled(found.yield_t_ha, found.kept) >= 0.99


def test_strips_that_overlap_side_by_side_are_not_taken_for_a_narrower_header():
    planted = plant("swath", seed=1011)  # passes 3 and 4 both run half over stubble
    found = clean(planted.points)
    half = planted.is_faulty & (planted.points.swath_m == HEADER_M)
    is_right = np.abs(found.yield_t_ha / planted.right_t_ha - 1) <= 0.1
    assert (is_right | ~found.kept)[half].mean() >= LEAST_SETTLED
    assert found.kept[half].mean() > 0.4  # mended, not thrown away


def test_a_sound_harvest_stays_and_every_record_is_accounted_for(sound):
    counts = sound.counts()
    assert plant("none").lost(sound.kept) <= 0.03
    assert counts["read"] == counts["kept"] + sum(counts[name] for name in RULES)
    assert sum(flags.astype(int) for flags in sound.removed.values()).max() == 1  # none is taken out twice
    assert (sound.rule_of()[~sound.kept] != "").all()
    assert sound.found["delay"] == 0


def test_a_rule_that_is_left_out_takes_nothing(sound):
    found = clean(plant("spikes").points, Limits(skip=("outlier", "bounds", "inlier")))
    assert found.counts()["outlier"] == found.counts()["bounds"] == 0
    with pytest.raises(InputError, match="got the rule 'magic' to leave out"):
        Limits(skip=("magic",))


def test_grain_that_was_weighed_later_is_moved_with_its_mass():
    log = open_log(plant("lag", lag_s=5).points)
    sound = open_log(plant("none").points)
    number = passes(log, log.points.swath_m > 0)
    moved, right = delayed(log, 5.0), sound.points.yield_t_ha
    inside = (number >= 0) & np.isfinite(moved)
    assert inside.sum() > 0.99 * (number >= 0).sum()
    assert moved[inside] == pytest.approx(right[inside], rel=1e-6)


def test_passes_are_those_that_were_driven(sound):
    log = open_log(plant("none").points)
    number = passes(log, log.points.swath_m > 0)
    long = [one for one in np.unique(number[number >= 0]) if (number == one).sum() > 100]
    assert len(long) == NUM_PASSES


def test_a_log_in_another_order_than_driven_has_no_delay_and_says_so():
    points = plant("lag").points
    shuffled = replace(without(points, "time_s"), interval_s=np.ones(len(points))).where(
        np.random.default_rng(0).permutation(len(points))
    )
    log = open_log(shuffled)
    assert not log.is_orderly
    assert "machine's order" in find_delay(log, passes(log, shuffled.swath_m > 0)).reason
    assert any("no delay, ramp" in note for note in clean(shuffled).notes)


@pytest.mark.parametrize("untold", [("swath_m", "flow_kg_s"), ("time_s",), ("moisture_pct", "flow_kg_s", "interval_s")])
def test_logs_that_tell_less_are_cleaned_all_the_same(untold):
    planted = plant("spikes", seed=5)
    found = clean(without(planted.points, *untold))
    assert planted.settled(found.yield_t_ha, found.kept) >= LEAST_SETTLED
    assert planted.lost(found.kept) <= 2 * MOST_LOST


@pytest.mark.parametrize("count", [1, 3, 40])
def test_a_handful_of_records_does_not_break_it(count):
    found = clean(plant("none").points.where(np.arange(count)))
    assert found.counts()["read"] == count
    with pytest.raises(InputError, match="no record of the harvest has a place and a yield"):
        clean(found.points.where(np.arange(0)))


def test_places_far_off_and_infinite_yields_are_taken_out():
    points: HarvestPoints = plant("none").points
    longitude, grain = points.longitude.copy(), points.yield_t_ha.copy()
    longitude[100], grain[200], grain[300] = np.nan, np.nan, 1e6
    found = clean(replace(points, longitude=longitude, yield_t_ha=grain))
    assert not found.kept[[100, 200, 300]].any()


@pytest.mark.parametrize("step", [0.0, 0.5, 1.0])
def test_yields_that_are_all_alike_or_told_in_coarse_steps_are_no_outliers(step):
    points = plant("none").points
    coarse = np.round(points.yield_t_ha / step) * step if step else np.full(len(points), 8.0)
    found = clean(replace(points, yield_t_ha=np.where(points.swath_m > 0, coarse, 0.0)))
    counts = found.counts()
    assert counts["outlier"] + counts["inlier"] + counts["bounds"] <= 0.05 * counts["kept"]


def test_a_log_that_is_worked_on_in_parts_is_cleaned_the_same(monkeypatch):
    points = plant("spikes", seed=3).points
    whole = clean(points)
    monkeypatch.setattr(logs, "PAIRS_AT_ONCE", 5_000)
    parts = clean(points)
    assert (whole.rule_of() == parts.rule_of()).all()
    np.testing.assert_array_equal(whole.yield_t_ha, parts.yield_t_ha)
