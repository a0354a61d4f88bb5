"""Yield of pixels: the growth model's known answers, the shared contract, and what is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.hostile.harness import run_cli

from mainstem.adapters import shipped_runs
from mainstem.adapters.crop_yield.growth import LEADS, NUM_DAYS, Seasons, days_known, derive, grow
from mainstem.adapters.crop_yield.leads import VIEWS, as_known, derive_all, known_at
from mainstem.adapters.crop_yield.pixel import TASK, GrowthPreparation
from mainstem.apps.figures import report_means
from mainstem.apps.finetune import is_fitted
from mainstem.apps.scoring import score
from mainstem.core.cases import Cases
from mainstem.core.errors import InputError
from mainstem.core.evaluation import r2_within
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.fitted import load_run
from mainstem.core.folds import targets_of
from mainstem.core.means import mean_view
from mainstem.core.stream import Sample
from mainstem.core.testing import QUICK
from mainstem.data.earth.farm_sets import farm_pixels, simulated_farms
from mainstem.data.earth.farms import simulate_farm, write_farm

DAYS, DAY_S = np.arange(NUM_DAYS), 86_400.0


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


def test_pixels_together_grow_as_each_alone_and_as_interpolation_says():
    samples = farm_pixels(simulate_farm(600), 600)
    rng = np.random.default_rng(0)
    dates = np.unique(np.concatenate([sample.streams["pixel"].times for sample in samples]))
    shown = []
    for row, sample in enumerate(samples):
        pixel = sample.streams["pixel"]
        values = np.full((len(dates), pixel.values.shape[1]), np.nan)
        values[np.searchsorted(dates, pixel.times)] = pixel.values
        values[rng.random(len(dates)) < (1.0 if row == 3 else 0.4)] = np.nan
        kept = {name: stream for name, stream in sample.streams.items() if name != "soil" or row % 2}
        shown.append(replace(sample, streams={**kept, "pixel": replace(pixel, values=values, times=dates)}))
    together, alone = derive(Cases.of(shown)), derive(shown)
    assert isinstance(together, Cases)
    for found, wanted in zip(together, alone, strict=True):
        assert set(found.streams) == set(wanted.streams)
        for name, stream in wanted.streams.items():
            np.testing.assert_allclose(found.streams[name].values, stream.values, rtol=1e-9)
    pixel = shown[0].streams["pixel"]
    red, near_infrared = (pixel.values[:, [c.name for c in pixel.channels].index(name)] for name in ("B4", "B8"))
    ndvi = (near_infrared - red) / (near_infrared + red)
    seen = np.isfinite(ndvi)
    wanted = np.interp(DAYS, pixel.times[seen] // 86_400, ndvi[seen])
    np.testing.assert_allclose(Seasons.read(shown[:1]).ndvi[0], wanted, rtol=1e-12)
    assert np.isnan(alone[3].streams["sums"].values).all()


def spoilt(sample: Sample, lead: int, rng: np.random.Generator) -> Sample:
    """The sample with garbage in all scenes and weather after the day at which a lead is known."""
    streams = dict(sample.streams)
    for name in ("pixel", "weather"):
        is_later = streams[name].times >= days_known(lead) * DAY_S
        garbage = rng.uniform(0, 50, streams[name].values.shape)
        streams[name] = replace(streams[name], values=np.where(is_later[:, None], garbage, streams[name].values))
    return replace(sample, streams=streams)


def cut(sample: Sample, num_days: int) -> Sample:
    """The sample with the scenes and the weather of the first days of the year alone."""
    streams = dict(sample.streams)
    for name in ("pixel", "weather"):
        kept = streams[name].times < num_days * DAY_S
        streams[name] = replace(streams[name], values=streams[name].values[kept], times=streams[name].times[kept])
    return replace(sample, streams=streams)


@pytest.mark.parametrize("lead", range(LEADS))
def test_a_view_knows_nothing_of_scenes_and_weather_after_its_day(lead):
    raw, rng = farm_pixels(simulate_farm(601), 601)[:12], np.random.default_rng(lead)
    garbage = [spoilt(sample, lead, rng) for sample in raw]
    known = [as_known(sample, lead) for sample in derive_all(raw)]
    for others in (
        [as_known(sample, lead) for sample in derive_all(garbage)],
        known_at(garbage, VIEWS[lead]),
        derive([cut(sample, days_known(lead)) for sample in raw]),  # as it is in the middle of a season
        derive([cut(sample, min(days_known(lead) + 29, 365)) for sample in raw]),  # until the next lead's day
    ):
        for one, other in zip(known, others, strict=True):
            assert set(one.streams) == set(other.streams) == {"growth", "sums", "soil", "management"}
            assert TASK.view_of(other) == VIEWS[lead]
            np.testing.assert_allclose(other.streams["growth"].values, one.streams["growth"].values, rtol=1e-12)
            np.testing.assert_allclose(other.streams["sums"].values, one.streams["sums"].values, rtol=1e-12)
            assert other.streams["growth"].times[-1] == (days_known(lead) - 10) * DAY_S


def test_the_canopy_is_held_level_after_the_last_clear_date_and_sums_only_grow():
    (sample,) = farm_pixels(simulate_farm(601), 601)[:1]
    for lead in range(LEADS):
        found = Seasons.read([sample], days_known(lead))
        assert found.ndvi.shape == (1, days_known(lead))
        last = int(sample.streams["pixel"].times[sample.streams["pixel"].times < days_known(lead) * DAY_S][-1] // DAY_S)
        assert np.ptp(found.ndvi[0, last:]) < 1e-12
    sums = np.array([as_known(derive_all([sample])[0], lead).streams["sums"].values for lead in range(LEADS)])
    assert (np.diff(sums[:, 1]) < 0).all()  # degree days, of which NDVI knows nothing


def test_samples_known_to_different_days_keep_their_own_lead_and_earlier_views_alone():
    raw = farm_pixels(simulate_farm(601), 601)[:3]
    mixed = [cut(raw[0], 200), raw[1], cut(raw[2], 240)]
    assert [TASK.view_of(sample) for sample in derive(mixed)] == ["lead3", "lead0", "lead2"]
    found = derive_all(mixed)
    views = [[TASK.view_of(view(sample)) for view in TASK.views.values()] for sample in found]
    assert views[0] == ["lead3", "lead3", "lead3", "lead3", "lead4"]
    assert views[1] == list(VIEWS)
    preparation = GrowthPreparation.fit(derive_all(farm_pixels(simulate_farm(602), 602)), "any")
    _, together = preparation(derive(mixed))
    for sample, offset in zip(mixed, together, strict=True):
        assert preparation(derive([sample]))[1][0] == offset
    with pytest.raises(InputError, match="derive it at each lead"):
        as_known(derive(raw)[0], 1)


def growth_against_yield(*worlds: str) -> float:
    """Correlation over the pixels of eight farms."""
    farms = [(number, simulate_farm(number, worlds=worlds)) for number in range(600, 608)]
    samples = [sample for number, farm in farms for sample in farm_pixels(farm, number)]
    return float(np.corrcoef(grow(Seasons.read(samples)).sums[:, 4], targets_of(samples))[0, 1])


@pytest.mark.long
def test_growth_of_the_simulator_s_own_pixels_follows_their_yield_less_where_biology_differs():
    assert growth_against_yield("fixed") > 0.75
    assert 0.2 < growth_against_yield() < growth_against_yield("fixed")


@pytest.mark.long
def test_a_pixel_without_weather_or_scenes_is_predicted_by_the_mean_and_field_means_have_their_own_intervals(tmp_path):
    source = simulated_farms(range(700, 708), range(5000, 5002))
    raw = source.training()
    train = derive_all(raw)
    assert {sample.source.group for sample in train}.isdisjoint(source.test_groups)
    preparation = GrowthPreparation.fit(train, "any")
    for missing in ("weather", "pixel"):
        streams = {name: stream for name, stream in raw[0].streams.items() if name != missing}
        _, offset = preparation(derive([replace(raw[0], streams=streams)]))
        assert offset[0] == pytest.approx(preparation.mean[0])
    artifact, judged = fit_and_save(TASK, source, train, FitSpec(config=replace(QUICK, num_folds=4)), tmp_path)
    assert set(artifact.calibration) == {*VIEWS, *map(mean_view, VIEWS)}
    for view in VIEWS:
        assert len(artifact.calibration[mean_view(view)].scores) == len({s.source.facts["field"] for s in train})
    errors = artifact.manifest.training["mean_errors"]
    assert (errors["of"], errors["n"]) == ("field", len({s.source.facts["field"] for s in train}))
    assert list(errors["rmse"]) == list(VIEWS)
    assert 0.3 < errors["average"] < 5
    assert 0.3 < errors["rmse"]["lead0"] < 5  # t/ha; a ridge of eight farms errs by more the earlier it is asked
    assert all(error > 0.3 for error in errors["rmse"].values())
    assert r2_within(judged["lead0"].truth, judged["lead0"].told["mean"], judged["lead0"].groups) > 0.2
    calibration = artifact.calibration["lead0"]
    held = replace(calibration, scores=np.tile(calibration.scores, 2), patterns=None,
                   groups=(*calibration.groups, *(f"more {name}" for name in calibration.groups)))  # fmt: skip
    told = held.claim(0.9).population
    num_fields = len({sample.source.facts["field"] for sample in train})
    assert told.startswith("simulations alone, nothing real: simulated-farms, ")
    assert f"of {num_fields} simulated fields; 16 simulated farms held out whole; at least 90%" in told
    assert "over new simulated farms" in told
    test = derive_all([sample for sample in source.samples if sample.source.group in source.test_groups])
    means = score(TASK, artifact, test, 0.9).means
    told = report_means(means, TASK.grouping.mean_of, 0.9)
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


@pytest.mark.long
def test_the_run_of_the_package_is_of_this_version_and_maps_without_being_named(tmp_path):
    """One that a newer version cannot read has to be trained again: `mainstem finetune crop-yield --task pixel`."""
    (shipped,) = shipped_runs("crop-yield").values()
    assert is_fitted(TASK, shipped)
    manifest = load_run(shipped, TASK).manifest
    assert manifest.simulated
    assert manifest.licence == "CC0-1.0"
    assert str(Path.home()) not in (shipped / "record.json").read_text()
    write_farm(simulate_farm(9002), tmp_path)
    scenes = sorted(tmp_path.glob("*_S2_*.tif"))
    asked = ("--weather", tmp_path / "weather.csv", "--out", tmp_path / "map")
    run_cli("map", "crop-yield", *scenes, *asked, limit_s=300).taken()
    with rasterio.open(tmp_path / "map" / "map.tif") as found:
        assert found.tags()["UNITS"] == "t/ha"
        assert np.isfinite(found.read(1)).mean() > 0.9
    done = run_cli("predict", "crop-yield", "us-maize", "--out", tmp_path / "p.csv")
    done.refused("no run of crop-yield, task regional, comes with the package; train one")
