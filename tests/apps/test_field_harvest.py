"""A combine's log by the command: a map with its doubt, what was taken out, field means, labels for calibrate."""

import json
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from shapely.geometry import box
from tests.data.earth.harvest_logs import plant, write_log
from tests.hostile.harness import run_cli

from mainstem.apps.fields.harvest import HarvestSpec, harvest, lines_of
from mainstem.apps.fields.harvest_files import BANDS, lay_labels, write_harvest, write_labels
from mainstem.apps.map_notes import read_notes
from mainstem.core.errors import ArtifactError, InputError
from mainstem.data.earth.farm_folders import open_farm_folders
from mainstem.data.earth.farms import simulate_farm, write_farm
from mainstem.data.earth.harvests.cleaning import RULES, clean
from mainstem.data.earth.harvests.columns import Reading
from mainstem.data.earth.harvests.grids import field_mean, grid_yield
from mainstem.data.earth.harvests.points import HarvestPoints


def test_the_command_maps_a_log_keeps_what_it_took_out_and_says_how_much(tmp_path):
    case = plant("spikes", seed=7)
    log, out = write_log(tmp_path / "log.csv", case.points), tmp_path / "out"
    done = run_cli("fields", "harvest", str(log), "--crop", "wheat", "--out", str(out), "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)["harvests"][0]
    assert told["counts"]["read"] == len(case.points)
    points = gpd.read_file(out / "points.gpkg")
    assert (points["removed_by"] == "").sum() == told["counts"]["kept"]
    assert set(points["removed_by"]) - {""} <= set(RULES)
    truth = np.nanmean(case.right_t_ha)
    field = told["fields"][0]
    assert field["mean"] == pytest.approx(truth, rel=0.03)
    assert field["lower"] < field["mean"] < field["upper"]
    with rasterio.open(out / "map.tif") as raster:
        assert raster.descriptions == BANDS
        mean = raster.read(1)
        assert raster.tags()["UNITS"] == "t/ha"
        taken = raster.read(5)
    assert np.nanmean(mean) == pytest.approx(field["mean"], rel=0.01)
    counts = told["counts"]
    assert np.nanmean(taken) == pytest.approx(1 - counts["kept"] / counts["read"], abs=0.05)
    assert set(read_notes(out).tags["RULES"].split(", ")) == set(RULES)  # pages open it as a map


def test_what_nobody_told_is_asked_for_in_one_line(tmp_path):
    log = write_log(tmp_path / "log.csv", plant("none").points.where(np.arange(300)))
    log.write_text(log.read_text().replace("yield_t_ha", "yield").replace("swath_m", "swath"))
    done = run_cli("fields", "harvest", str(log), "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert "pass --unit UNIT for 'yield'" in done.err
    assert "pass --unit swath=UNIT for 'swath'" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_cell_s_interval_holds_the_truth_nine_times_in_ten():
    case = plant("none", seed=2)
    cleaned = clean(case.points)
    found = grid_yield(cleaned)
    truth = grid_yield(replace(cleaned, yield_t_ha=case.truth_t_ha), grid=found.grid)
    lower, upper = found.interval()
    both = np.isfinite(found.mean) & np.isfinite(truth.mean)
    inside = ((truth.mean >= lower) & (truth.mean <= upper))[both].mean()
    assert both.sum() > 500
    assert 0.85 <= inside <= 1.0
    mean = field_mean(found)
    assert mean.lower <= np.nanmean(truth.mean) <= mean.upper


def test_means_of_fields_given_are_theirs_and_a_field_half_cut_says_nothing(tmp_path):
    case = plant("none", seed=1)
    cleaned = clean(case.points)
    left, right = cleaned.x.min(), cleaned.x.max()
    middle, low, high = (left + right) / 2, cleaned.y.min(), cleaned.y.max()
    shapes = [box(left, low, middle, high), box(right - 20, low, right + 300, high)]
    gpd.GeoDataFrame({"name": ["west <b>", "mostly elsewhere"]}, geometry=shapes, crs="EPSG:32632").to_file(
        tmp_path / "fields.gpkg"
    )
    log = write_log(tmp_path / "log.csv", case.points)
    found = harvest(HarvestSpec(paths=(log,), said=Reading(crop="wheat"), fields=tmp_path / "fields.gpkg"))[0]
    west = cleaned.kept & (cleaned.x < middle)
    assert found.table["mean"][0] == pytest.approx(cleaned.yield_t_ha[west].mean(), rel=0.02)
    assert np.isnan(found.table["mean"][1])
    assert any("cannot say" in line for line in lines_of(found))
    write_harvest([found], tmp_path / "out")
    with pytest.raises(ArtifactError, match="out"):
        write_harvest([found], tmp_path / "out")  # it is not overwritten
    assert gpd.read_file(tmp_path / "out" / "fields.geojson")["crop"].tolist() == ["wheat", "wheat"]


@pytest.mark.long
def test_a_harvest_becomes_the_labels_of_a_farm(tmp_path):
    simulated = simulate_farm(3, side=48)
    write_farm(simulated, tmp_path / "farm")
    (tmp_path / "farm" / "yield.tif").unlink()
    log = write_log(tmp_path / "log.csv", driven_over(simulated))
    found = harvest(HarvestSpec(paths=(log,), said=Reading(crop="maize")))
    path = write_labels(lay_labels(found, tmp_path / "farm"), tmp_path / "farm")
    with rasterio.open(path) as raster:
        mean = raster.read(1)
    both = np.isfinite(mean) & np.isfinite(simulated.yield_t_ha)
    assert both.mean() > 0.6
    assert np.corrcoef(mean[both], simulated.yield_t_ha[both])[0, 1] > 0.9
    samples = open_farm_folders(tmp_path / "farm").samples
    assert sum(sample.target is not None for sample in samples) > 50
    with pytest.raises(InputError, match=r"farm holds yield\.tif already"):
        lay_labels(found, tmp_path / "farm")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no scene"):
        lay_labels(found, empty)


def test_a_farm_that_takes_no_labels_is_told_before_anything_is_written(tmp_path):
    log, out = write_log(tmp_path / "log.csv", plant("none").points), tmp_path / "out"
    (tmp_path / "empty").mkdir()
    write_farm(simulate_farm(3, side=16), tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "yield.tif").unlink()
    for farm, told in (("empty", "holds no scene"), ("elsewhere", "lies outside the scenes"), ("none", "is no folder")):
        done = run_cli(
            "fields", "harvest", str(log), "--crop", "wheat", "--out", str(out), "--farm", str(tmp_path / farm)
        )
        assert done.code == 2
        assert told in done.err
        assert not out.exists()


def driven_over(farm) -> HarvestPoints:
    """A log of a combine that drove over a simulated farm, pass by pass of 10 m."""
    a, _, east, _, _, north = farm.grid.transform
    columns, steps = np.arange(farm.grid.width), np.arange(0, farm.grid.height * 10, 2.0)
    x = np.repeat(east + a * (columns + 0.5), len(steps))
    y = north - np.concatenate([steps if column % 2 == 0 else steps[::-1] for column in columns])
    row, column = ((north - y) / 10).astype(int), ((x - east) / 10).astype(int)
    grain = farm.yield_t_ha[row.clip(0, farm.grid.height - 1), column]
    to = Transformer.from_crs(farm.grid.crs, "EPSG:4326", always_xy=True)
    longitude, latitude = to.transform(x, y)
    untold, num = np.full(len(x), np.nan), len(x)
    is_cut = np.isfinite(grain)
    return HarvestPoints(
        longitude=longitude, latitude=latitude, yield_t_ha=np.where(is_cut, grain, 0.0), time_s=np.arange(num) * 1.0,
        interval_s=untold, moisture_pct=untold, swath_m=np.where(is_cut, 10.0, 0.0), distance_m=np.full(num, 2.0),
        speed_m_s=untold, heading_deg=untold, flow_kg_s=untold, machine=np.zeros(num, np.int64), row=np.arange(num),
    )  # fmt: skip
