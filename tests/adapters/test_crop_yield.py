"""Crop yield: the shared contract, anchors and departures with known answers, and skill where truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.anchors import Anchor, RegionYears, fit_anchor
from mainstem.adapters.crop_yield.baselines import baselines, region_row
from mainstem.adapters.crop_yield.seasons import DAY_S, LEADS, Climatology, cut_back, lead_of
from mainstem.adapters.crop_yield.steps import Steps
from mainstem.core.baselines import feature_matrix
from mainstem.core.evaluation import rmse
from mainstem.core.fit import fit
from mainstem.core.preparation import stream_means
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.task import Recipe
from mainstem.data.earth.simulate import simulate_regions

NDVI = (Channel(name="ndvi", unit="1"),)


@pytest.fixture(scope="module")
def regions():
    return simulate_regions(3)


def known(rows: list[tuple[str, int, float, float]]) -> RegionYears:
    regions, years, recent, yields = zip(*rows, strict=True)
    return RegionYears(
        region=np.array(regions),
        year=np.array(years, float),
        recent=np.array(recent, float),
        yields=np.array(yields, float),
    )


def test_a_regions_average_leaves_its_own_year_out():
    past = known([("a", 2000, np.nan, 4.0), ("a", 2001, 4.0, 6.0), ("b", 2000, np.nan, 9.0), ("b", 2001, 9.0, 9.0)])
    anchor = Anchor(kind="average", known=past)
    assert anchor(past).tolist() == [6.0, 4.0, 9.0, 9.0]
    later = known([("a", 2005, np.nan, np.nan), ("c", 2005, np.nan, np.nan)])
    assert anchor(later).tolist() == [5.0, 7.0]  # an unknown region gets the mean of all


def test_trends_go_on_where_they_led():
    rows = [
        (region, year, np.nan, base + slope * (year - 2000))
        for region, base, slope in (("a", 5, 0.1), ("b", 8, 0.3))
        for year in range(2000, 2010)
    ]
    later = known([("a", 2012, np.nan, np.nan), ("b", 2012, np.nan, np.nan)])
    own = Anchor(kind="trend", known=known(rows))(later)
    assert own == pytest.approx([6.2, 11.6])
    common = Anchor(kind="common-trend", known=known(rows))(later)
    assert common == pytest.approx([5.45 + 0.2 * 7.5, 9.35 + 0.2 * 7.5])


def test_recent_adds_the_common_drift():
    past = known([("a", 2001, 4.0, 5.0), ("b", 2001, 8.0, 9.0)])
    assert Anchor(kind="recent", known=past)(known([("a", 2002, 6.0, np.nan)])).tolist() == [7.0]


def test_the_kind_that_predicts_best_is_chosen():
    rng = np.random.default_rng(0)
    flat = [(f"r{r}", year, np.nan, r + rng.normal(0, 0.1)) for r in range(8) for year in range(2000, 2014)]
    rising = [(name, year, recent, value + 0.5 * (year - 2000)) for name, year, recent, value in flat]
    assert fit_anchor(known(flat), "any").kind == "average"
    assert fit_anchor(known(flat), "later").kind == "average"  # without a history "recent" is one mean for all
    assert fit_anchor(known(rising), "later").kind in ("trend", "common-trend")


def make_sample(region: str, year: int, level: float, steps: int = 30) -> Sample:
    series = Stream(
        kind="series", values=np.full((steps, 1), level), channels=NDVI, times=np.arange(steps) * 10 * DAY_S
    )
    facts = {"region": region, "year": float(year), "crop": "maize", "country": "NL", "season_end_day": 300.0}
    return Sample(
        streams={"ndvi": series},
        target=8.0,
        source=Provenance(data="d", item=f"{region} {year}", group=str(year), facts=facts),
    )


def test_departures_are_from_the_normal_of_a_regions_other_seasons():
    samples = [make_sample("a", 2000, 1.0), make_sample("a", 2001, 3.0), make_sample("b", 2000, 10.0)]
    new = [make_sample("a", 2005, 5.0), make_sample("c", 2000, 1.0)]
    departed = dict(Climatology.fit(samples).departures([*samples, *new])["ndvi"].streams())
    assert departed[0].values[:, 0].tolist() == [-2.0] * 30
    assert departed[1].values[:, 0].tolist() == [2.0] * 30
    assert not np.abs(departed[2].values).any()  # of a region's only season nothing is known
    assert departed[3].values[:, 0].tolist() == [3.0] * 30
    assert 4 not in departed


def test_a_season_departs_alike_in_training_and_when_it_is_new():
    samples = [make_sample("a", year, float(year % 7)) for year in range(2000, 2008)]
    whole, without = Climatology.fit(samples), Climatology.fit(samples[:-1])
    known, new = (found.departures(samples[-1:])["ndvi"].values for found in (whole, without))
    assert known == pytest.approx(new)
    early = whole.departures([cut_back(samples[-1], 2)])["ndvi"].values
    assert early == pytest.approx(new[: len(early)])


def test_many_samples_steps_come_apart_as_they_were_and_average_as_one_by_one():
    rng = np.random.default_rng(0)
    samples = []
    for number in range(40):
        steps = int(rng.integers(1, 30))
        values = np.where(rng.random((steps, 2)) < 0.3, np.nan, rng.normal(size=(steps, 2)))
        stream = Stream(
            kind="series", values=values, channels=(*NDVI, Channel(name="rain", unit="mm")),
            times=np.sort(rng.choice(370, steps, replace=False)) * DAY_S, valid=rng.random((steps, 2)) < 0.9,
        )  # fmt: skip
        has = number % 5 > 0
        samples.append(replace(make_sample("a", 2000, 1.0), streams={"weather": stream} if has else {}))
    steps = Steps.of(samples, "weather", range(1, 40))
    assert steps is not None
    assert steps.rows.tolist() == [row for row in range(1, 40) if row % 5]
    sums, counts = steps.binned(steps.bins(10 * DAY_S, 37), 37)
    for place, (row, stream) in enumerate(steps.streams()):
        whole = samples[row].streams["weather"]
        np.testing.assert_array_equal(stream.values, np.where(whole.observed(), whole.values, np.nan))
        np.testing.assert_array_equal(stream.times, whole.times)
        seen = np.isfinite(stream.values)
        assert seen.sum(0).tolist() == counts[place].sum(0).tolist()
        np.testing.assert_allclose(sums[place].sum(0), np.nansum(stream.values, 0), atol=1e-12)
        here = (whole.times // (10 * DAY_S)).clip(0, 36) == 3
        assert counts[place, 3].tolist() == seen[here].sum(0).tolist()
    np.testing.assert_array_equal(steps.means(), stream_means([samples[row] for row in steps.rows], {"weather": 2}))
    assert Steps.of(samples, "weather", [0, 5]) is None


@pytest.mark.parametrize("lead", range(LEADS))
def test_a_season_cut_back_shows_nothing_later_and_says_how_early_it_is(lead):
    sample = make_sample("a", 2000, 1.0)
    cut = cut_back(sample, lead)
    assert cut.streams["ndvi"].times.max() < 300 * DAY_S - lead * 30.4 * DAY_S
    assert lead_of(cut) == lead
    assert sample.streams["ndvi"].values.shape == (30, 1)


def test_phases_are_cut_from_the_last():
    streams = {f"phase{n}": Stream(kind="scalar", values=np.ones(1), channels=NDVI) for n in range(5)}
    sample = replace(make_sample("a", 2000, 1.0), streams=streams)
    assert set(cut_back(sample, 2).streams) == {"phase0", "phase1", "phase2"}
    assert lead_of(cut_back(sample, 3)) == 3


@pytest.mark.long
def test_where_truth_is_known_the_season_beats_the_past(regions):
    train, test = regions.training(), [s for s in regions.samples if s.source.group in regions.test_groups]
    config = replace(TASK.config, num_folds=2, training=replace(TASK.config.training, epochs=3, batch_size=64))
    made = fit(TASK, regions, train, Recipe(config=config))
    truth = np.array([sample.target for sample in test])
    early = [cut_back(sample, 4) for sample in test]
    whole, before = (made.ensemble.outputs(*asked)["mean"] for asked in ((test, "lead0"), (early, "lead4")))
    past = np.mean([member.preparation(test)[1] for member in made.ensemble.members], axis=0)
    found = made.judged["lead0"]
    error = rmse(found.truth, found.told["mean"])
    assert error < 0.8 * rmse(found.truth, found.raw["past"])
    assert error <= rmse(found.truth, found.told["without_trunk"])  # the trunk is let in where it pays
    assert rmse(truth, whole) < 0.8 * rmse(truth, past)
    assert rmse(truth, whole) < rmse(truth, before)


def past(history: Stream, year: float, target: float = 0.0) -> Sample:
    source = Provenance(data="made", item=f"a {year:g}", group=f"{year:g}", facts={"region": "a", "year": year})
    return Sample(streams={"history": history}, target=target, source=source)


def test_a_history_of_something_else_is_no_history_of_yields():
    values = np.array([[1.0, 50.0], [np.nan, 60.0], [3.0, 70.0]])
    channels = (Channel(name="dose", unit="mg"), Channel(name="pulse", unit="1/min"))
    stream = Stream(kind="series", values=values, channels=channels, times=np.arange(3.0))
    assert feature_matrix([past(stream, 2000.0)], region_row)[0].tolist() == [2.0, 60.0, 2000.0]  # channels, by month
    yields = replace(stream, values=values[:, :1], channels=(Channel(name="yield", unit="t/ha"),))
    nothing = replace(yields, values=np.empty((0, 1)), times=np.empty(0))
    shown = feature_matrix([past(yields, 2000.0), past(nothing, 2001.0)], region_row)
    assert shown.shape == (2, 5)  # year, three lags and their mean
    assert np.nanmax(shown[0]) == 2000.0
    assert np.isnan(shown[1]).sum() == 4


def test_a_region_has_its_own_average_and_trend_and_a_new_one_those_of_all():
    none = Stream(kind="series", values=np.empty((0, 1)), channels=(Channel(name="yield", unit="t/ha"),),
                  times=np.empty(0))  # fmt: skip
    train = [past(none, year, 2.0 + (year - 2000)) for year in (2000.0, 2001.0, 2002.0, 2003.0)]
    ahead = past(none, 2005.0)
    other = replace(ahead, source=replace(ahead.source, facts={"region": "b", "year": 2005.0}))
    found = baselines(train, [ahead, other], 0)
    assert list(found) == ["average", "trend", "ridge", "random_forest", "gradient_boosting"]
    assert found["average"].tolist() == [3.5, 3.5]
    assert found["trend"] == pytest.approx([7.0, 7.0])
