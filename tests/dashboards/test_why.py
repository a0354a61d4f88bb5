"""Why a forecast is as it is: known normals, parts that add up to it, and an alarm that names what it heard."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from mainstem.apps.hindsight import held_out
from mainstem.apps.why import Reading, heard_by_alarm, parts_of, season_features, season_inputs, shapley
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.dashboards.yield_map.axes import SeasonAxis
from mainstem.dashboards.yield_map.controls import YieldUnit
from mainstem.dashboards.yield_map.why import input_rows, odd_words, part_rows, part_words, weight_words

T_HA = YieldUnit(name="t/ha", crop="maize")


def county(year: int, **values: float) -> Sample:
    """A county's season of one or more crop phases."""
    streams: dict[str, Stream] = {}
    for name, value in values.items():
        quantity, phase = name.split("_")
        channel = Channel(name=f"avg{quantity}p{phase}", unit="mm")
        streams[f"phase{phase}"] = Stream(kind="scalar", values=np.array([value]), channels=(channel,))
    source = Provenance(
        data="made", item=f"IA_A {year}", group=str(year), facts={"region": "IA_A", "year": float(year)}
    )
    return Sample(streams=streams, target=8.0, source=source)


def test_channels_are_read_as_agronomists_call_them():
    assert Reading.of("avgPRECp3") == Reading(group="rain", what="rain", phase="flowering", order=3)
    assert Reading.of("Z+TMAXp1").what == "ten-day spells of unusually high highest temperature"
    assert Reading.of("Z+TMAXp1").group == "heat"
    assert Reading.of("ndvi").group == Reading.of("fpar").group == "canopy"
    assert Reading.of("own column").what == Reading.of("own column").group == "own column"
    assert Reading.of("avgPRECp9").phase == ""


def test_a_season_is_compared_with_the_regions_own_earlier_ones():
    rain = {2000: 10.0, 2001: 12.0, 2002: 14.0, 2003: 16.0, 2004: 18.0, 2006: 900.0}
    others = [county(year, PREC_3=value) for year, value in rain.items()]
    (row,) = season_inputs(county(2005, PREC_3=4.0), others, 0).itertuples()
    assert (row.what, row.when, row.seasons, row.normal) == ("rain", "flowering", 5, 14.0)
    assert row.spread == pytest.approx(np.std(list(rain.values())[:5], ddof=1))
    assert row.away == pytest.approx((4.0 - 14.0) / (row.spread * np.sqrt(1.2)))  # the mean is of five seasons alone
    assert row.chance == pytest.approx(0.045, abs=0.001)  # 2 * (1 - F(2.887)) of Student's t with four degrees
    (early,) = season_inputs(county(2001, PREC_3=12.0), others, 0).itertuples()  # too few before it: all others
    assert early.seasons == 5
    assert early.normal == pytest.approx((10 + 14 + 16 + 18 + 900) / 5)
    (few,) = season_inputs(county(2001, PREC_3=12.0), others[:3], 0).itertuples()
    assert np.isnan(few.away)


def test_what_was_not_known_at_a_lead_is_not_shown():
    others = [county(year, PREC_1=10.0 + year % 3, PREC_4=5.0) for year in range(2000, 2008)]
    whole = season_inputs(county(2008, PREC_1=30.0, PREC_4=9.0), others, 0)
    assert set(whole["when"]) == {"planting", "yield formation"}
    assert set(season_inputs(county(2008, PREC_1=30.0, PREC_4=9.0), others, 1)["when"]) == {"planting"}
    assert np.isnan(whole.set_index("when").loc["yield formation", "away"])  # it never varied


def test_shapley_values_add_up_and_know_the_answers():
    def value(known: frozenset[str]) -> float:  # an addition, and a bonus of 6 for heat with rain
        return 2.0 * ("rain" in known) - 1.0 * ("heat" in known) + 6.0 * ({"rain", "heat"} <= known)

    players = ["heat", "nothing", "rain"]
    worth = {frozenset(some): value(frozenset(some)) for n in range(4) for some in combinations(players, n)}
    assert shapley(worth, players) == pytest.approx({"heat": 2.0, "nothing": 0.0, "rain": 5.0})


@pytest.mark.parametrize("lead", [0, 3])
def test_parts_add_up_to_the_forecast_both_ways(board, lead):
    sample = board.samples("2022", "SIM28")[0]
    parts = parts_of(board.fitted, sample, lead)
    told = board.issued("2022", lead, "SIM28").mean[0]
    assert parts.forecast == pytest.approx(told, abs=1e-4)
    assert parts.past + parts.plain + parts.trunk == pytest.approx(told, abs=1e-4)
    assert parts.without + sum(parts.inputs.values()) == pytest.approx(told, abs=1e-4)
    assert parts.weights["plain"] + parts.weights["trunk"] <= 1 + 1e-9
    rows = part_rows(parts, T_HA)
    assert rows["high"].iloc[-2] == pytest.approx(told, abs=1e-4)
    words = part_words(parts, T_HA)
    assert f"the forecast is {told:.2f}" in words
    (season,) = re.findall(r"season adds ([-+][0-9]+\.[0-9]+)", words)
    rest = re.findall(r"say beside it ([-+][0-9]+\.[0-9]+)", words) or ["0"]
    assert parts.past + float(season) + float(rest[0]) == pytest.approx(told, abs=0.02)  # what is said adds up
    assert "add up to the forecast" in weight_words(parts, T_HA)


def test_hidden_inputs_add_nothing(board):
    sample = board.samples("2022", "SIM28")[0]
    bare = replace(sample, streams={name: stream for name, stream in sample.streams.items() if name == "history"})
    parts = parts_of(board.fitted, bare, 0)
    assert parts.inputs == {}
    assert "Nothing of the season is known" in part_words(parts, T_HA)


def test_the_alarm_names_the_input_that_was_moved(board):
    season = board.samples("2022")
    features = season_features(board.fitted, season, 0)
    quiet = heard_by_alarm(board.fitted, season, "SIM28", 0, features)
    assert list(zip(quiet["stream"], quiet["channel"], strict=True)) == [("fpar", "fpar"), ("ndvi", "ndvi")]
    moved = []
    for sample in season:
        ndvi = sample.streams["ndvi"]
        moved.append(replace(sample, streams={**sample.streams, "ndvi": replace(ndvi, values=ndvi.values - 0.5)}))
    loud = heard_by_alarm(board.fitted, moved, "SIM28", 0, season_features(board.fitted, moved, 0)).set_index("stream")
    assert loud.loc["ndvi", "is_heard"]
    assert not loud.loc["fpar", "is_heard"]
    assert loud.loc["ndvi", "season_away"] < -5
    assert loud.loc["ndvi", "region_away"] < -5
    assert loud["share"].sum() == pytest.approx(1.0)
    shown = held_out(board.fitted, "2010")
    assert shown is not None
    assert all("2010" not in alarm.groups for alarm in shown.alarm.values())


def test_what_the_alarm_ranks_is_what_it_heard():
    rng = np.random.default_rng(0)
    groups = [str(2000 + number) for number in range(12) for _ in range(6)]
    places = [f"R{number}" for _ in range(12) for number in range(6)]
    features = rng.normal(size=(72, 3)) + rng.normal(size=(12, 3)).repeat(6, 0)
    alarm = ShiftAlarm.fit(features, groups, places, "region")
    own = rng.normal(size=(6, 3)) + np.array([0, 5, np.nan])
    heard = alarm.heard(own, places[:6])
    assert np.isnan(heard[2])
    assert abs(heard[1]) > abs(heard[0])
    apart = alarm.departures(own, places[:6])
    assert (apart[:, 1] > 0).mean() > 0.5
    assert np.isnan(apart[:, 2]).all()


def test_odd_inputs_are_named_and_listed_oddest_first():
    rows = [("heat", "mean temperature", "flowering", 3.456, True), ("rain", "rain", "planting", -2.5, False),
            ("canopy", "FAPAR", "vegetative", 0.1, False)]  # fmt: skip
    inputs = pd.DataFrame(rows, columns=["group", "what", "when", "away", "is_heard"]).assign(
        stream=["a", "b", "c"], channel="x", unit="1", value=1.0, normal=1.0, spread=1.0, season_away=1.0, share=0.5
    )
    inputs["chance"] = [0.001, 0.015, 0.9]  # three inputs are asked for 0.05 / 3 each
    words = odd_words(inputs)
    assert words.startswith("mean temperature, flowering: +3.46 SD; rain, planting: -2.50 SD.")
    usual = odd_words(inputs.assign(chance=[0.02, 0.3, 0.9]))
    assert usual.startswith("None of its 3 inputs is odder")
    assert "the furthest is mean temperature, flowering: +3.46 SD" in usual
    assert "raised, by 1 of 3 inputs" in words
    assert input_rows(inputs)["input"].tolist() == ["mean temperature", "rain", "FAPAR"]
    assert input_rows(inputs)["alarm"].tolist() == ["◆ heard", "", ""]
    assert "alarm was quiet" in odd_words(inputs.assign(is_heard=False))
    assert "mean temperature, flowering: beyond +5 SD" in odd_words(inputs.assign(away=[24.4, -2.5, 0.1]))


def test_charts_of_a_region_share_one_axis(board):
    dated = SeasonAxis.of(board.samples("2022", "SIM28")[0], "2022")
    assert dated.at(0) - dated.at(2) == pd.Timedelta(days=2 * 365.25 / 12)
    scales = [dated.x(name, is_last=name == "b").to_dict()["scale"] for name in "ab"]
    assert scales[0] == scales[1]
    phases = SeasonAxis.of(county(2005, PREC_3=4.0), "2005")
    assert [phases.at(lead) for lead in (4, 1, 0)] == ["before planting", "flowering", "yield formation"]
    assert phases.middle_of(3) == "flowering"
