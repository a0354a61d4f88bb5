"""`mainstem map`: a run over dated scenes equals the run on each pixel, and says what it is."""

import datetime
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from tests.hostile.harness import run_cli

from mainstem.adapters.fuel_moisture import TASK
from mainstem.apps.finetune import finetune
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_files import merge_map
from mainstem.apps.map_models import MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.core.devices import Compute
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_fitted
from mainstem.core.predict import predict
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig
from mainstem.data.earth.pixels import UNITS, open_pixels
from mainstem.data.earth.raster import Grid
from mainstem.data.earth.scenes import open_scenes, pixel_samples, places

BANDS = ("B4", "B8", "B11", "temperature_2m")
DATES = ("2019-05-01", "2019-05-31", "2019-06-30")
QUICK = FitConfig(training=TrainingConfig(epochs=1, trunk="lora", lora_rank=2), num_folds=2)


def write_scene(folder: Path, date: str, values: np.ndarray, names=BANDS, units=None, **more: object) -> Path:
    """Write (band, y, x) in the channels' units as a scene of a place in Utah."""
    path = folder / f"scene_{date}.tif"
    count, height, width = values.shape
    profile = {
        "driver": "GTiff", "crs": "EPSG:32612", "transform": rasterio.Affine(20, 0, 450_000, 0, -20, 4_400_000),
        "count": count, "height": height, "width": width, "dtype": values.dtype, "nodata": np.nan, **more,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
        target.descriptions = names
        target.units = units or [UNITS.get(name, "1") for name in names]
    return path


def scene_values(seed: int, height: int = 30, width: int = 44) -> np.ndarray:
    rng = np.random.default_rng(seed)
    reflectance = rng.uniform([0.02, 0.15, 0.1], [0.1, 0.4, 0.3], (height, width, 3)).transpose(2, 0, 1)
    warmth = np.full((1, height, width), 12.0 + 5 * seed)
    return np.concatenate([reflectance, warmth]).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    if "MAINSTEM_MIRROR" not in os.environ:
        pytest.skip("MAINSTEM_MIRROR is not set")
    folder = tmp_path_factory.mktemp("runs") / "moisture"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(tmp_path_factory.mktemp("home")))
        source = open_pixels("fuel-moisture")
        finetune(TASK, replace(source, samples=source.samples[:200]), FitSpec(config=QUICK, trunk="presto"), folder)
    return folder


@pytest.fixture
def scenes(tmp_path) -> list[Path]:
    """Three dates; a corner is cloudy once, and a strip is never seen."""
    paths = []
    for seed, date in enumerate(DATES):
        values = scene_values(seed)
        values[:, 25:] = np.nan
        if seed == 1:
            values[:, :8, :8] = np.nan
        paths.append(write_scene(tmp_path, date, values))
    return paths


@pytest.mark.long
@pytest.mark.mirror
def test_a_map_equals_the_run_on_each_pixel(run, scenes, tmp_path):
    done = map_scenes(TASK, run, scenes[::-1], tmp_path / "map", MapSpec(below=(100.0,)))
    with rasterio.open(done["map"]) as found:
        values, tags = found.read(), found.tags()
        assert found.descriptions == ("mean", "lower", "upper", "probability below 100")
        assert found.crs.to_epsg() == 32612
    assert np.isnan(values[:, 25:]).all()
    mean, lower, upper, chance = values[:, :25]
    assert np.isfinite(values[:, :25]).all()
    assert (lower < mean).all()
    assert (mean < upper).all()
    assert ((chance >= 0) & (chance <= 1)).all()
    dated = open_scenes(scenes)
    rows, columns = np.array([0, 3, 20]), np.array([0, 40, 7])
    stored = np.stack([rasterio.open(source.path).read() for source in dated.sources])[:, :, rows, columns]
    samples = pixel_samples(dated, np.moveaxis(stored, -1, 0), rows, columns, "x")
    alone = predict(load_fitted(run, TASK.target, TASK.restore), samples, TASK.view_of, 0.9, (100.0,))
    wanted = np.array([(p.value, p.region.low, p.region.high, p.probabilities["below 100"]) for p in alone])
    np.testing.assert_allclose(values[:, rows, columns].T, wanted, atol=2e-3)
    quick = map_scenes(
        TASK, run, scenes, tmp_path / "quick", MapSpec(below=(100.0,), compute=Compute(precision="bfloat16"))
    )
    with rasterio.open(quick["map"]) as found:
        moved = np.abs(found.read()[:, :25] - values[:, :25])
    assert (moved[:3] <= 0.01 * (upper - lower)).all()
    assert moved[:3].max() > 0
    assert (tags["UNITS"], tags["TRAINING"]) == ("percent", "real")
    assert "National Fuel Moisture" in tags["ATTRIBUTION"]
    assert tags["CLAIM"] == done["claim"] == "none"
    assert "scenes lack VV, VH, B2" in done["reason"]  # and nobody calibrated without


@pytest.mark.mirror
def test_what_a_map_would_not_read_is_refused(run, scenes, tmp_path):
    weather = tmp_path / "weather.csv"
    days = [datetime.date(2019, 1, 1) + datetime.timedelta(day) for day in range(365)]
    weather.write_text(
        "\n".join(["date,temperature_c,rain_mm,radiation_mj_m2", *(f"{day},12,3,14" for day in days), ""])
    )
    with pytest.raises(InputError, match="--weather would change nothing: fuel-moisture reads no weather"):
        map_scenes(TASK, run, scenes, tmp_path / "a", MapSpec(context=ContextSpec(weather=(weather,))))
    with pytest.raises(InputError, match="--crop would change nothing"):
        map_scenes(TASK, run, scenes, tmp_path / "b", MapSpec(facts={"crop": "maize"}))


@pytest.mark.long
@pytest.mark.mirror
def test_shards_from_the_command_line_give_the_same_map_and_a_stac_item(run, scenes, tmp_path):
    whole = map_scenes(TASK, run, scenes, tmp_path / "whole", MapSpec())
    for index in range(2):
        asked = ("--run", run, "--out", tmp_path / "parts", "--shard", f"{index}/2")
        run_cli("map", "crop-yield", *scenes, *asked).taken()
    assert merge_map(tmp_path / "parts").read_bytes() == Path(whole["map"]).read_bytes()
    item = pystac.Item.from_file(str(tmp_path / "parts" / "item.json"))
    assert item.properties["proj:code"] == "EPSG:32612"
    assert item.common_metadata.start_datetime.date() == datetime.date(2019, 5, 1)
    assert -112 < item.bbox[0] < item.bbox[2] < -110
    assert json.loads((tmp_path / "whole" / "item.json").read_text())["properties"]["mainstem:units"] == "percent"


@pytest.mark.long
@pytest.mark.mirror
def test_a_simulated_farm_is_written_and_mapped_from_the_command_line(run, tmp_path):
    run_cli("data", "simulate-farm", "3", "--to", tmp_path / "farm").taken()
    scenes = sorted((tmp_path / "farm").glob("*_S2_*.tif"))[:4]
    run_cli("map", "crop-yield", *scenes, "--run", run, "--out", tmp_path / "map", limit_s=300).taken()
    with rasterio.open(tmp_path / "map" / "map.tif") as found:
        assert found.shape == (96, 96)
        assert found.tags()["INPUTS"] == "simulated"
        assert np.isfinite(found.read(1)).mean() > 0.5


def test_pixel_centres_are_where_the_grid_says():
    grid = Grid(
        width=10, height=10, transform=(10.0, 0, 500_000.0, 0, -10.0, 0.0), crs=rasterio.CRS.from_epsg(32633).to_wkt()
    )
    ((latitude, longitude),) = places(grid, np.array([0]), np.array([0]))
    assert latitude == pytest.approx(-5 / 110_574, rel=2e-3)
    assert longitude == pytest.approx(15 + 5 / 111_320, abs=1e-6)


def test_whole_numbers_are_scaled_and_dates_come_from_tag_or_name(tmp_path):
    values = (1e4 * scene_values(0)[:3]).astype(np.uint16)
    path = write_scene(tmp_path, "20190501T100000", values, BANDS[:3], nodata=0)
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = [1e-4] * 3, [-0.1] * 3
    found = open_scenes([path])
    assert found.dates == (datetime.date(2019, 5, 1),)
    sample = pixel_samples(found, values[None, :, :1, 0].transpose(2, 0, 1), np.array([0]), np.array([0]), "x")[0]
    assert sample.streams["pixel"].values[0, 0] == pytest.approx(values[0, 0, 0] * 1e-4 - 0.1)


@pytest.mark.parametrize(
    ("date", "names", "units", "message"),
    [
        ("nodate", BANDS, None, "no date"),
        ("2019-05-01", ("B4", "B8", "B99", "temperature_2m"), None, "'B99'"),
        ("2019-05-01", BANDS, ["1", "1", "", "degC"], "B11 of .* no unit"),
    ],
)
def test_scenes_that_do_not_say_what_they_are_are_refused(tmp_path, date, names, units, message):
    with pytest.raises(InputError, match=message):
        open_scenes([write_scene(tmp_path, date, scene_values(0), names, units)])


def test_whole_numbers_without_a_scale_and_two_scenes_of_a_day_are_refused(tmp_path):
    path = write_scene(tmp_path, "2019-05-01", np.ones((1, 4, 4), np.uint16), ("B4",), nodata=0)
    with pytest.raises(InputError, match="without a scale"):
        open_scenes([path])
    (tmp_path / "b").mkdir()
    twice = [write_scene(folder, "2019-05-01", scene_values(0)) for folder in (tmp_path, tmp_path / "b")]
    with pytest.raises(InputError, match="two scenes are of 2019-05-01"):
        open_scenes(twice)
