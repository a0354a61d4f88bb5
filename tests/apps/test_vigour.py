"""Vigour of scenes without a model: known greenness, real open series, and what cannot be told."""

import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import xarray as xr
from shapely.geometry import box
from typer.testing import CliRunner

from mainstem.apps.cli import app
from mainstem.apps.field_maps import ensure_real, known_maps
from mainstem.dashboards.field_map.board import load_field_board

DAYS = np.arange("2021-04-01", "2021-10-01", 15, dtype="datetime64[D]").astype("datetime64[ns]")


def scenes(path, greenness, hidden=None, noise=0.0):
    """A cube of 8 x 8 pixels whose NDVI is `greenness` (y, x) times a hump over the season."""
    hump = np.sin(np.linspace(0.3, np.pi - 0.3, len(DAYS)))
    index = hump[:, None, None] * greenness
    index = index + noise * np.random.default_rng(0).normal(size=index.shape)
    red = np.full_like(index, 0.1)
    infrared = red * (1 + index) / (1 - index)
    if hidden is not None:
        red[hidden], infrared[hidden] = np.nan, np.nan
    bands = {"B4": red, "B8": infrared}
    cube = xr.Dataset(
        {name: (("time", "y", "x"), values.astype(np.float32), {"units": "1"}) for name, values in bands.items()},
        {"time": DAYS, "y": 4_600_000 - 10.0 * np.arange(8), "x": 500_000 + 10.0 * np.arange(8)},
        {"crs": "EPSG:32631"},
    )
    cube.to_netcdf(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["fields", "vigour", *map(str, arguments), "--json"])


def test_vigour_is_percent_of_the_map_s_mean(tmp_path):
    greenness = np.tile(np.where(np.arange(8) < 4, 0.4, 0.6), (8, 1))
    done = run(scenes(tmp_path / "a.nc", greenness, noise=0.01), "--out", tmp_path / "map")
    told = json.loads(done.stdout)
    assert (told["claim"], told["units"]) == ("none", "percent of this map's mean")
    with rasterio.open(told["map"]) as found:
        mean, lower, upper = found.read()
        assert found.tags()["TRAINING"] == "none"
    np.testing.assert_allclose(mean[:, [0, 7]], [[80.0, 120.0]] * 8, atol=4)
    assert (lower < mean).all()
    assert (mean < upper).all()


def test_pixels_whose_season_begins_or_ends_in_cloud_are_not_taken_for_greener(tmp_path):
    greenness = np.random.default_rng(0).uniform(0.4, 0.6, (8, 8))
    hidden = np.zeros((len(DAYS), 8, 8), bool)
    hidden[:2, 2:4], hidden[-3:, 4:6], hidden[4, 2, 2] = True, True, True
    done = run(scenes(tmp_path / "a.nc", greenness, hidden), "--out", tmp_path / "map")
    with rasterio.open(json.loads(done.stdout)["map"]) as found:
        mean, lower, upper = found.read()
    np.testing.assert_allclose(mean, 100 * greenness / greenness.mean(), rtol=1e-4)
    assert (lower <= mean).all()
    assert (mean <= upper).all()


def test_the_map_s_mean_is_of_its_fields_alone(tmp_path):
    greenness = np.full((8, 8), 0.3)
    greenness[2:4, 2:4] = 0.6
    corner = 500_000 + 10 * 2 - 5, 4_600_000 - 10 * 4 + 5
    shape = box(*corner, corner[0] + 20, corner[1] + 20)
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[shape], crs="EPSG:32631").to_file(tmp_path / "fields.gpkg")
    given = "--fields", tmp_path / "fields.gpkg"
    done = run(scenes(tmp_path / "a.nc", greenness), *given, "--out", tmp_path / "map")
    with rasterio.open(json.loads(done.stdout)["map"]) as found:
        mean = found.read(1)
    np.testing.assert_allclose(mean[[2, 0], [2, 0]], [100.0, 50.0], rtol=1e-4)


def test_too_few_dates_and_missing_bands_are_said(tmp_path):
    hidden = np.zeros((len(DAYS), 8, 8), bool)
    hidden[3:] = True
    done = run(scenes(tmp_path / "a.nc", np.full((8, 8), 0.5), hidden), "--out", tmp_path / "map")
    assert "no pixel is seen often enough" in str(done.exception)
    xr.open_dataset(scenes(tmp_path / "b.nc", np.full((8, 8), 0.5))).drop_vars("B8").to_netcdf(tmp_path / "c.nc")
    assert "lack B8" in str(run(tmp_path / "c.nc", "--out", tmp_path / "other").exception)
    assert "between 0 and 1" in str(run(tmp_path / "b.nc", "--out", tmp_path / "third", "--level", "90").exception)


@pytest.mark.long
@pytest.mark.mirror
def test_real_series_are_maps_marked_real(home):
    assert set(ensure_real()) <= set(known_maps())
    field = load_field_board("Castilla y Leon")
    assert field.origins() == (False,)
    assert len(field.dates) == 33
    assert field.table["area_ha"].tolist() == pytest.approx([23.2], abs=0.1)
    assert field.table["mean"].tolist() == pytest.approx([100.0], abs=1.0)
    series = field.season("1").set_index("date")["ndvi"]
    assert series["2019-05-02"] > 0.7  # winter cereal: green in May, stubble in August
    assert series["2019-08-15"] < 0.25
    assert "Copernicus" in load_field_board("Belgium").tags["ATTRIBUTION"]
