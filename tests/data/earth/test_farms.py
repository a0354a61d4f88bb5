"""Simulated farms: the same number the same farm, what is seen follows what grows, and files as real sources come."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rio_cogeo

from mainstem.data.earth.farms import BANDS, SOIL, cut_fields, simulate_farm, smooth_field, write_farm
from mainstem.data.earth.scenes import open_scenes


@pytest.fixture(scope="module")
def farm():
    return simulate_farm(5)


def test_one_number_gives_one_farm_and_another_another(farm):
    again, other = simulate_farm(5), simulate_farm(6)
    np.testing.assert_array_equal(farm.reflectance, again.reflectance)
    np.testing.assert_array_equal(farm.yield_t_ha, again.yield_t_ha)
    assert np.nanmean(np.abs(farm.yield_t_ha - other.yield_t_ha)) > 0.1


def test_fields_fill_the_farm_but_for_tracks_and_yields_are_theirs_alone(farm):
    fields = cut_fields(np.random.default_rng(0), 96)
    assert 0.7 < (fields >= 0).mean() < 0.95
    assert (np.bincount(fields[fields >= 0]) >= 18 * 18).all()
    assert np.isnan(farm.yield_t_ha[farm.fields < 0]).all()
    inside = farm.yield_t_ha[farm.fields >= 0]
    assert np.isfinite(inside).all()
    assert 1 < inside.min() < inside.max() < 16  # t/ha of maize in Europe


def test_a_smooth_field_has_the_length_it_was_asked_for():
    rng = np.random.default_rng(0)
    near = [np.mean(field[:, :-5] * field[:, 5:]) for field in (smooth_field(rng, 96, 2), smooth_field(rng, 96, 12))]
    assert near[1] > 0.8 > near[0]


def greenness_and_yield(farm) -> float:
    """Correlation over a farm's pixels of mean NDVI from June on with yield."""
    red, infrared = farm.reflectance[:, BANDS.index("B4")], farm.reflectance[:, BANDS.index("B8")]
    ndvi = ((infrared - red) / (infrared + red))[farm.days > 160]
    inside = farm.fields >= 0
    return float(np.corrcoef(np.nanmean(ndvi[:, inside], axis=0), farm.yield_t_ha[inside])[0, 1])


def test_seen_reflectance_goes_from_soil_to_canopy_and_greener_fields_yield_more(farm):
    red, infrared = BANDS.index("B4"), BANDS.index("B8")
    ndvi = (farm.reflectance[:, infrared] - farm.reflectance[:, red]) / (
        farm.reflectance[:, infrared] + farm.reflectance[:, red]
    )
    inside = farm.fields >= 0
    early, summer = ndvi[farm.days < 115][:, inside], ndvi[(farm.days > 200) & (farm.days < 230)][:, inside]
    assert np.nanmean(early) < 0.35
    assert np.nanmean(summer) > 0.6
    assert np.mean([greenness_and_yield(simulate_farm(number)) for number in (2, 3, 7)]) > 0.25
    bare = np.nanmedian(farm.reflectance[:, :, farm.fields < 0], axis=(0, 2))
    assert ((bare > 0.6 * SOIL) & (bare < 1.2 * SOIL)).all()  # tracks grow nothing: soil, dry or wet
    assert 0.05 < np.isnan(farm.reflectance).mean() < 0.6


@pytest.mark.long
def test_files_hold_what_was_simulated(farm, tmp_path):
    paths = write_farm(farm, tmp_path)
    scenes = open_scenes(paths)
    assert scenes.is_simulated
    assert [channel.name for channel in scenes.channels] == list(BANDS)
    with rasterio.open(paths[3]) as source:
        stored = source.read().astype(float)
    values = np.where(stored == 0, np.nan, stored * scenes.scales[3][:, None, None] + scenes.offsets[3][:, None, None])
    np.testing.assert_allclose(values, farm.reflectance[3], atol=1e-4)
    fields = gpd.read_file(tmp_path / "fields.gpkg")
    with rasterio.open(tmp_path / "yield.tif") as source:
        np.testing.assert_array_equal(source.read(1), farm.yield_t_ha)
        assert source.tags()["SIMULATED"] == "yes"
        assert fields.crs == source.crs
    means = [farm.yield_t_ha[farm.fields == number].mean() for number in fields["field"]]
    np.testing.assert_allclose(fields["yield_t_ha"], means, rtol=1e-3)
    np.testing.assert_allclose(fields.area / 100, np.bincount(farm.fields[farm.fields >= 0]))
    assert len(pd.read_csv(tmp_path / "weather.csv")) == 365
    assert len(pd.read_csv(tmp_path / "management.csv")) == len(fields)
    assert all(rio_cogeo.cog_validate(str(path), strict=False)[0] for path in (*paths, tmp_path / "yield.tif"))
