"""Yield of pixels: the growth model's known answers, the shared contract, and what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.adapters.crop_yield.growth import NUM_DAYS, Seasons, derive, grow
from mainstem.adapters.crop_yield.pixel import TASK, GrowthPreparation
from mainstem.apps.figures import report_means
from mainstem.apps.scoring import score
from mainstem.core.evaluation import r2_within
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.folds import targets_of
from mainstem.core.means import mean_view
from mainstem.core.testing import QUICK, check_task
from mainstem.data.earth.farm_sets import farm_pixels, simulated_farms
from mainstem.data.earth.farms import simulate_farm

DAYS = np.arange(NUM_DAYS)


def seasons(ndvi=0.95, rain=10.0, capacity=140.0, temperature=18.0) -> Seasons:
    """One pixel of constant weather, sown on day 120."""
    weather = np.tile([temperature, rain, 20.0, 5.0], (1, NUM_DAYS, 1))
    return Seasons(
        ndvi=np.full((1, NUM_DAYS), ndvi), weather=weather, sowing=np.array([120.0]), capacity_mm=np.array([capacity])
    )


def test_a_wet_full_canopy_grows_by_light_alone_until_it_is_ripe():
    growth = grow(seasons())
    days = int(np.ceil(1500 / (18.0 - 8.0))) - 1  # of less than 1,500 degree days
    assert growth.sums[0, 0] == pytest.approx(3.3 * 0.5 * 20.0 * days)
    assert growth.sums[0, 2::2] == pytest.approx(np.full(3, growth.sums[0, 0]))  # no capacity lacks water
    assert growth.sums[0, 3::2] == pytest.approx(np.zeros(3))


def test_drought_costs_more_on_a_thin_soil():
    dry = grow(seasons(rain=1.0))
    thin, middle, deep = dry.sums[0, 2::2]
    assert thin < middle < deep < grow(seasons()).sums[0, 2]
    supply = dry.daily["supply"][:, 0]
    assert supply[0] == 1.0
    assert np.all(np.diff(supply[:150]) <= 1e-12)  # a full bucket, drunk empty


def test_bare_soil_grows_nothing_and_what_is_unknown_stays_unknown():
    assert grow(seasons(ndvi=0.1)).sums[0, 0] == 0
    assert np.isnan(grow(seasons(ndvi=np.nan)).sums).all()


def growth_against_yield(*worlds: str) -> float:
    """Correlation over the pixels of eight farms."""
    farms = [(number, simulate_farm(number, worlds=worlds)) for number in range(600, 608)]
    samples = [sample for number, farm in farms for sample in farm_pixels(farm, number)]
    return float(np.corrcoef(grow(Seasons.read(samples)).sums[:, 4], targets_of(samples))[0, 1])


def test_growth_of_the_simulator_s_own_pixels_follows_their_yield_less_where_biology_differs():
    assert growth_against_yield("fixed") > 0.75
    assert 0.2 < growth_against_yield() < growth_against_yield("fixed")


def test_it_keeps_the_contract(tmp_path):
    source = simulated_farms(range(700, 703), ())
    check_task(TASK, replace(source, samples=tuple(derive(source.samples[::4]))), tmp_path)


def test_a_pixel_without_weather_or_scenes_is_predicted_by_the_mean_and_field_means_have_their_own_intervals(tmp_path):
    source = simulated_farms(range(700, 708), range(5000, 5002))
    raw = source.training()
    train = derive(raw)
    assert {sample.source.group for sample in train}.isdisjoint(source.test_groups)
    preparation = GrowthPreparation.fit(train, "any")
    for missing in ("weather", "pixel"):
        streams = {name: stream for name, stream in raw[0].streams.items() if name != missing}
        _, offset = preparation(derive([replace(raw[0], streams=streams)]))
        assert offset[0] == pytest.approx(preparation.mean)
    artifact, judged = fit_and_save(TASK, source, train, FitSpec(config=replace(QUICK, num_folds=4)), tmp_path)
    assert set(artifact.calibration) == {"whole", mean_view("whole")}
    assert len(artifact.calibration[mean_view("whole")].scores) == len({s.source.facts["field"] for s in train})
    assert r2_within(judged["whole"].truth, judged["whole"].told["mean"], judged["whole"].groups) > 0.2
    calibration = artifact.calibration["whole"]
    held = replace(calibration, scores=np.tile(calibration.scores, 2), patterns=None,
                   groups=(*calibration.groups, *(f"more {name}" for name in calibration.groups)))  # fmt: skip
    told = held.claim(0.9).population
    num_fields = len({sample.source.facts["field"] for sample in train})
    assert told.startswith("simulations alone, nothing real: simulated-farms, ")
    assert f"of {num_fields} simulated fields; 16 simulated farms held out whole; at least 90%" in told
    assert "over new simulated farms" in told
    test = derive([sample for sample in source.samples if sample.source.group in source.test_groups])
    means = score(TASK, artifact, test, 0.9).means
    told = report_means(means, TASK.mean_of, 0.9)
    assert told["n"] == len({sample.source.facts["field"] for sample in test})
    assert told["pixels_per_field"] == 36  # as good as all of a field, which a map averages; training had four
    truth = {
        f"farm-{number}/{field}": farm.yield_t_ha[farm.fields == field].mean()
        for number in (5000, 5001)
        for farm in [simulate_farm(number)]
        for field in range(len(farm.management))
    }
    away = np.sort(means.judged.truth) - np.sort([*truth.values()])
    assert np.sqrt(np.mean(away**2)) < 0.3  # t/ha; four pixels lie some 0.6 away
