"""Land cover: EOPatch folders read as they are, grouped folds, and the real patch."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from shapely.geometry import box
from tests.hostile.harness import run_cli

from mainstem.adapters import find_task
from mainstem.adapters.land_cover import TASK, regular
from mainstem.apps.evaluate import evaluate
from mainstem.apps.finetune import finetune
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_models import MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.errors import InputError
from mainstem.core.finetuning import spec_of
from mainstem.core.task import DataRequest
from mainstem.data.earth.eopatch import open_eopatch
from mainstem.data.earth.land_cover import open_land_cover
from mainstem.data.earth.raster import describe

BOX = [[500_000, 5_000_000], [500_000, 5_000_240], [500_240, 5_000_240], [500_240, 5_000_000], [500_000, 5_000_000]]
SIDE, STEPS = 24, 14


def write_eopatch(folder: Path, seed: int = 0) -> Path:
    """A patch of three kinds of land in nine polygons and one that nobody named; a third of it under cloud."""
    rng = np.random.default_rng(seed)
    kinds = ("forest", "grassland", "water")
    season = {"forest": 0.7 + 0.1 * np.sin(np.linspace(0, 6, STEPS)), "grassland": np.linspace(0.2, 0.6, STEPS),
              "water": np.full(STEPS, -0.1)}  # fmt: skip
    ndvi, polygons, names = np.zeros((STEPS, SIDE, SIDE, 1), np.float32), [], []
    for row in range(3):
        for column in range(3):
            kind = kinds[(row + column) % 3]
            rows, columns = slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8)
            ndvi[:, rows, columns, 0] = season[kind][:, None, None]
            left, top = 500_000 + 80 * column, 5_000_240 - 80 * row
            polygons.append(box(left, top - 80, left + 80, top))
            names.append("" if (row, column) == (2, 2) else kind)
    ndvi += rng.normal(0, 0.03, ndvi.shape).astype(np.float32)
    valid = rng.random((STEPS, SIDE, SIDE, 1)) > 0.33
    for name, array in {"data/NDVI": ndvi, "mask/IS_VALID": valid}.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    days = np.datetime64("2020-01-05T10:00:00") + np.arange(STEPS) * np.timedelta64(23, "D")
    (folder / "timestamps.json").write_text(json.dumps([str(day) for day in days]))
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    (folder / "bbox.geojson").write_text(json.dumps({"crs": crs, "type": "Polygon", "coordinates": [BOX]}))
    (folder / "vector_timeless").mkdir()
    table = gpd.GeoDataFrame({"LULC_NAME": names}, geometry=polygons, crs="EPSG:32633")
    table.to_file(folder / "vector_timeless" / "LULC.gpkg")
    return folder


@pytest.fixture(scope="module")
def patch(tmp_path_factory) -> Path:
    return write_eopatch(tmp_path_factory.mktemp("patches") / "patch")


def quick():
    training = replace(TASK.config.training, epochs=4, lr_per_step=3e-3)
    return replace(TASK, config=replace(TASK.config, training=training, num_folds=4))


def test_labelled_pixels_come_with_their_polygon_and_window(patch):
    source = open_land_cover(str(patch))
    assert source.classes == ("forest", "grassland", "water")
    assert len(source.samples) == 8 * 64  # the polygon without a name is left out
    assert len({sample.source.group for sample in source.samples}) == 8
    first = source.samples[0].streams["cube"]
    assert first.values.shape[1:] == (1, 3, 3)
    assert np.isnan(first.values[:, 0, 0, :]).all()  # beyond the edge there is nothing
    assert first.times[0] == pytest.approx(4 * 86_400 + 36_000)
    cube = open_eopatch(patch)
    assert cube.grid.transform == (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_240.0)
    assert 0.25 < np.isnan(cube.values).mean() < 0.41


def test_the_forest_s_series_bridges_clouds(patch):
    source = open_land_cover(str(patch))
    rows = regular(source.samples)
    water = np.array([sample.target for sample in source.samples]) == source.classes.index("water")
    assert np.abs(rows[water] + 0.1).max() < 0.2


@pytest.mark.long
def test_it_is_evaluated_on_whole_polygons_beside_forests_then_mapped_by_the_same_command(patch, tmp_path):
    task = quick()
    found = evaluate(task, DataRequest(data=str(patch)), EvaluationSpec(fit=spec_of(task)))
    assert found["protocol"] == "grouped-folds"
    assert found["metrics"]["macro_f1"] > 0.9
    assert set(found["baselines"]) == {"commonest", "random_forest", "random_forest_balanced"}
    assert found["by_class"]["grassland"] | {"support": 128, "groups": 2} == found["by_class"]["grassland"]
    assert found["coverage"]["pooled"] > 0.8
    assert "within 30 m" in found["protocol_note"]
    assert found["difference"]["commonest"]["num_groups"] == 8
    assert 0 <= found["coverage"]["mean_over_groups"] <= 1
    source = task.read(DataRequest(data=str(patch)))
    finetune(task, source, spec_of(task), tmp_path / "run")
    done = map_scenes(task, tmp_path / "run", [patch], tmp_path / "map", MapSpec())
    asked = ("evaluate", "crop-yield", "--task", "land-cover", "--data", patch, "--protocol", "holdout")
    run_cli(*asked).refused("leaves no sample to train or to test")
    assert done["claim"] == "none"  # nobody knows whether its sets hold here
    plain = tmp_path / "fields.gpkg"
    gpd.read_file(patch / "vector_timeless" / "LULC.gpkg").to_file(plain)
    with_fields = MapSpec(context=ContextSpec(fields=plain))
    with pytest.raises(InputError, match="class, has no mean; leave --fields out"):
        map_scenes(task, tmp_path / "run", [patch], tmp_path / "b", with_fields)
    assert [Path(path).name for path in done["layers"]] == ["valid.tif", "classes.tif"]
    with rasterio.open(tmp_path / "map" / "classes.tif") as dataset:
        classes, tags = dataset.read(1), dataset.tags()
    assert [tags[f"CLASS_{index}"] for index in (1, 2, 3)] == list(source.classes)
    assert np.mean(classes[:7, :7] == 1) > 0.9
    assert np.mean(classes[9:15, 9:15] == 3) > 0.9
    assert describe(tmp_path / "map" / "map.tif").grid.transform == open_eopatch(patch).grid.transform
    assert not (tmp_path / "map" / ".scenes").exists()


@pytest.fixture(scope="module")
def scoped(patch, tmp_path_factory):
    """A task of maize alone, and its run."""
    training = replace(TASK.config.training, epochs=1)
    task = replace(
        TASK, config=replace(TASK.config, training=training, num_folds=2), scope_of=lambda samples: {"crop": ["maize"]}
    )
    run = tmp_path_factory.mktemp("runs") / "scoped"
    finetune(task, task.read(DataRequest(data=str(patch))), spec_of(task), run)
    return task, run


def test_a_map_of_classes_keeps_to_the_scope_of_training(patch, scoped, tmp_path):
    task, run = scoped
    with pytest.raises(InputError, match=r"crop is rice, .* maize alone"):
        map_scenes(task, run, [patch], tmp_path / "map", MapSpec(facts={"crop": "rice"}))
    assert not (tmp_path / "map" / "map.tif").exists()
    done = map_scenes(task, run, [patch], tmp_path / "unsaid", MapSpec())
    assert done["claim"] == "none"
    assert "nobody says what crop this is" in done["reason"]


def test_a_map_of_classes_within_its_scope_is_made(patch, scoped, tmp_path):
    task, run = scoped
    map_scenes(task, run, [patch], tmp_path / "map", MapSpec(facts={"crop": "maize"}))
    with rasterio.open(tmp_path / "map" / "map.tif") as dataset:
        assert np.isfinite(dataset.read(1)).mean() > 0.99


def test_simulations_alone_map_no_classes_of_the_real_world(patch, tmp_path):
    training = replace(TASK.config.training, epochs=1)
    task = replace(TASK, config=replace(TASK.config, training=training, num_folds=2))
    source = replace(task.read(DataRequest(data=str(patch))), simulated=True)
    finetune(task, source, spec_of(task), tmp_path / "run")
    with pytest.raises(InputError, match="simulations alone"):
        map_scenes(task, tmp_path / "run", [patch], tmp_path / "map", MapSpec())
    for option, spec in {
        "--weather": MapSpec(context=ContextSpec(weather=(weather_of(tmp_path),))),
        "--crop": MapSpec(facts={"crop": "maize"}),
    }.items():
        with pytest.raises(InputError, match=f"{option} .*leave .* out"):
            map_scenes(task, tmp_path / "run", [patch], tmp_path / "map", spec)


def weather_of(folder: Path) -> Path:
    path = folder / "weather.csv"
    rows = [f"2020-{1 + day // 28:02d}-{1 + day % 28:02d},12,3,14" for day in range(12 * 28)]
    path.write_text("\n".join(["date,temperature_c,rain_mm,radiation_mj_m2", *rows, ""]))
    return path


def test_what_a_patch_lacks_is_named(patch, tmp_path):
    with pytest.raises(InputError, match="want eolearn-ndvi or an EOPatch folder"):
        open_land_cover(str(tmp_path))
    broken = write_eopatch(tmp_path / "broken", 1)
    (broken / "mask" / "IS_VALID.npy").unlink()
    with pytest.raises(InputError, match="neither mask/IS_VALID nor mask/CLM; clouds are not guessed"):
        open_land_cover(str(broken))
    np.save(broken / "mask" / "CLM.npy", np.zeros((STEPS, SIDE, SIDE, 1), np.uint8))
    open_land_cover(str(broken))
    (broken / "timestamps.json").write_text('["2020-01-01T00:00:00"]')
    with pytest.raises(InputError, match="1 time stamps for 14 images"):
        open_land_cover(str(broken))


@pytest.mark.mirror
def test_the_real_patch_agrees_with_its_own_raster_of_land_use(home):
    source = open_land_cover("eolearn-ndvi")
    raster = np.load(Path(os.environ["MAINSTEM_MIRROR"]) / "earth/eolearn/TestEOPatch/mask_timeless/LULC.npy")[..., 0]
    numbers = {"cultivated land": 1, "forest": 2, "grassland": 3, "schrubland": 4, "artificial surface": 8}
    assert source.classes == tuple(sorted(numbers))
    agree = [
        raster[tuple(map(int, sample.source.item.split()))] == numbers[source.classes[int(sample.target)]]
        for sample in source.samples
    ]
    assert len(source.samples) == int((raster > 0).sum())
    assert np.mean(agree) > 0.999
    assert len({sample.source.group for sample in source.samples}) == 78  # of 84 named polygons; six hold no centre


def test_the_task_is_found_by_name():
    assert find_task("crop-yield", "land-cover") is TASK


@pytest.mark.long
@pytest.mark.mirror
def test_galileo_maps_in_the_trunk_s_place(patch, tmp_path, home):
    training = replace(TASK.config.training, epochs=1)
    task = replace(TASK, config=replace(TASK.config, training=training, num_folds=2))
    spec = spec_of(task, "galileo-nano", frozen=True)
    finetune(task, task.read(DataRequest(data=str(patch))), spec, tmp_path / "run")
    map_scenes(task, tmp_path / "run", [patch], tmp_path / "map", MapSpec())
    with rasterio.open(tmp_path / "map" / "map.tif") as dataset:
        assert np.abs(dataset.read().sum(0) - 1).max() < 1e-4


def test_a_place_is_known_by_what_it_shows_and_not_by_its_path(patch, tmp_path, monkeypatch):
    """Class sets are claimed of the place they were calibrated on: no other may pass for it, nor it for another."""
    copy = tmp_path / "elsewhere" / patch.name
    shutil.copytree(patch, copy)
    name = open_land_cover(str(patch)).name
    monkeypatch.chdir(copy.parent)
    assert open_land_cover(f"./{copy.name}").name == name
    assert {one.source.data for one in open_land_cover(copy.name).samples} == {name}
    values = np.load(copy / "data" / "NDVI.npy")
    values[0, 0, 0, 0] += 0.1
    np.save(copy / "data" / "NDVI.npy", values)
    assert open_land_cover(copy.name).name != name
