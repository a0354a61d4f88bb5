"""Zones of files: rasters of several grids, one bad field beside a good one, hostile names, every file opened."""

import csv
import json
import re
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from scipy import ndimage
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box

from mainstem.apps.fields.rates import make_rates
from mainstem.apps.fields.report import _zone_rows
from mainstem.apps.fields.zone_tables import read_zones
from mainstem.apps.fields.zones import make_zones, read_seasons
from mainstem.core.errors import InputError
from mainstem.data.earth.rate_rules import sign
from mainstem.data.earth.zones import ZoneSpec

X, Y = 500_000, 5_400_000
HOSTILE = "@SUM(1+1)|<b>"


def raster(path: Path, cell: float, crs: str = "EPSG:32633", scale: float = 1.0, unit: str = "t/ha") -> Path:
    """Yields that rise to the east in three steps, with some noise, 400 m a side."""
    side = round(400 / cell)
    rise = np.repeat([0.0, 1.0, 2.0], [side // 3, side // 3, side - 2 * (side // 3)])
    noise = np.random.default_rng([side, *path.stem.encode()]).normal(size=(side, side))
    values = (scale * (6 + rise + 0.3 * noise)).astype(np.float32)
    corner, step = (X, Y + 400), (cell, cell)
    if crs == "EPSG:4326":
        west, south, east, north = gpd.GeoSeries([box(X, Y, X + 400, Y + 400)], crs=32633).to_crs(4326).total_bounds
        corner, step = (west, north), ((east - west) / side, (north - south) / side)
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=1, dtype="float32", nodata=float("nan"), crs=crs,
        transform=from_origin(*corner, *step),
    ) as target:  # fmt: skip
        target.write(values, 1)
        target.units = (unit,)
        target.update_tags(UNITS=unit, ATTRIBUTION=f"grower {path.stem}", TRAINING="none")
    return path


def fields_file(folder: Path) -> Path:
    inside = Polygon([(X + 21, Y + 33), (X + 371, Y + 25), (X + 366, Y + 362), (X + 30, Y + 371)])
    shapes = [inside, box(X + 9000, Y, X + 9100, Y + 100)]
    gpd.GeoDataFrame({"name": [HOSTILE, "away"]}, geometry=shapes, crs="EPSG:32633").to_file(folder / "fields.gpkg")
    return folder / "fields.gpkg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zones")
    paths = [
        raster(folder / "yield_2019.tif", 10),
        raster(folder / "vigour_2021.tif", 5, scale=12, unit="%"),
        raster(folder / "yield_2022.tif", 8, "EPSG:4326"),
    ]
    make_zones(paths, fields_file(folder), folder / "out", ZoneSpec(num_zones=3, least_ha=0.1))
    return folder


def test_zones_fill_the_field_and_say_how_they_did(made: Path) -> None:
    found = gpd.read_file(made / "out" / "zones.gpkg")
    assert found.geometry.is_valid.all()
    table = found.to_crs(32633)
    field = gpd.read_file(made / "fields.gpkg").geometry.iloc[0]
    assert table["zone"].tolist() == [1, 2, 3]
    assert table.geometry.area.sum() == pytest.approx(field.area, rel=1e-4)
    assert table["level_pct"].is_monotonic_increasing
    assert table["judged"].tolist() == [3, 3, 3]
    assert (table["above"].iloc[0], table["above"].iloc[2]) == (0, 3)
    stays = f"; {table['stable_pct'].iloc[2]:.0f}% of it stays in it whichever is left out"
    assert table["words"].iloc[2] == "above the field's mean in 3 of 3 seasons that it was drawn without" + stays
    assert set(table["claim"]) == {"stated"}
    assert (table["stable_pct"] > 50).all()
    assert table["seen_pct_2019"].tolist() == [100] * 3
    assert table["mean_2019"].iloc[0] == pytest.approx(6, abs=0.2)
    assert table["mean_2021"].iloc[2] == pytest.approx(96, abs=3)
    assert table["units"].iloc[0] == "%; t/ha"
    assert "grower yield_2019" in table["attribution"].iloc[0]
    facts = json.loads((made / "out" / "zones.json").read_text())
    assert [season["name"] for season in facts["seasons"]] == ["2019", "2021", "2022"]
    assert [one["drawn"] for one in facts["fields"]] == [True, False]
    assert "shows nothing" in facts["fields"][1]["why"] or "cells" in facts["fields"][1]["why"]


def test_every_file_opens_and_no_name_runs(made: Path) -> None:
    with (made / "out" / "zones.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["field"] for row in rows} == {"'" + HOSTILE}
    assert len(gpd.read_file(made / "out" / "zones.geojson")) == 3
    assert set(gpd.read_file(f"zip://{made / 'out' / 'zones.shp.zip'}")["zone"]) == {1, 2, 3}
    with rasterio.open(made / "out" / "zones.tif") as found:
        values = found.read(1)
        assert sorted(np.unique(values[np.isfinite(values)])) == [1, 2, 3]


def test_zones_become_rates(made: Path, tmp_path: Path) -> None:
    (tmp_path / "rule.txt").write_text(
        f'product: p\nmin: 0 t/ha\nmax: 3 t/ha\nzone 1: 1 t/ha\nzone 2: 2 t/ha\nfield "{HOSTILE}" zone 3: 3 t/ha\n'
    )
    done = make_rates(made / "out" / "zones.gpkg", tmp_path / "rule.txt", sign("A. Farmer"), tmp_path / "out")
    (field,) = done["fields"]
    assert field["mean"] == pytest.approx(2, abs=0.05)
    assert list(field["means"].values()) == pytest.approx([field["mean"]] * 6, rel=1e-3)


def hidden(path: Path, columns: slice, rows: slice = slice(None)) -> Path:
    """A raster with some of its cells left without a value."""
    with rasterio.open(path, "r+") as target:
        values = target.read(1)
        values[rows, columns] = np.nan
        target.write(values, 1)
    return path


def test_land_that_one_season_saw_has_no_claim_and_unseen_land_no_zone(tmp_path: Path) -> None:
    first, second = raster(tmp_path / "2019.tif", 10), raster(tmp_path / "2021.tif", 8)
    hidden(first, slice(0, 16))  # zone 1, in the west, is of 2021 alone
    hidden(first, slice(28, 40), slice(0, 12))
    hidden(second, slice(35, 50), slice(0, 15))
    done = make_zones([first, second], fields_file(tmp_path), tmp_path / "out", ZoneSpec(num_zones=3))
    table = gpd.read_file(tmp_path / "out" / "zones.gpkg")
    assert table["zone"].tolist() == [0, 1, 2, 3]
    unseen = box(X + 280 + 20, Y + 280 + 20, X + 400, Y + 400).intersection(
        gpd.read_file(tmp_path / "fields.gpkg").geometry.iloc[0]
    )
    assert table.to_crs(32633).geometry.iloc[0].area == pytest.approx(unseen.area, rel=0.1)
    assert table["judged"].tolist() == [0, 0, 2, 2]
    assert table["claim"].tolist()[:2] == ["none", "none"]
    assert "fewer than two" in table["reason"].iloc[1]
    assert "fewer than two" not in table["reason"].iloc[2]
    assert table["seen_pct_2019"].iloc[1] < 20
    assert "fewer than two seasons saw half of it" in table["words"].iloc[1]
    told = done["fields"][0]
    assert told["claim"] == "none"
    assert told["reason"].endswith("not judged, as fewer than two seasons saw half of it: zone 1")
    assert told["seen"]["1"]["2019"] < 20
    (field,), _ = read_zones(tmp_path / "out" / "zones.gpkg")
    assert field.claim == "none"
    assert "zone 1 is not judged" in field.reason
    assert [row[3] for row in _zone_rows(field)[1]] == [
        "",
        "unknown",
        *(f"{field.stable_pct[zone]:.0f} %" for zone in (2, 3)),
    ]


def test_zones_whose_land_moves_have_no_claim(tmp_path: Path) -> None:
    paths = []
    for year, seed in ((2019, 1), (2021, 2)):
        path = raster(tmp_path / f"{year}.tif", 10)
        with rasterio.open(path, "r+") as target:
            rough = np.random.default_rng(seed).normal(size=(40, 40))
            noise = ndimage.gaussian_filter(rough, 1.5)
            target.write((target.read(1) * 0.25 + 2.5 * noise / noise.std()).astype(np.float32) + 5, 1)
        paths.append(path)
    done = make_zones(paths, fields_file(tmp_path), tmp_path / "out", ZoneSpec(num_zones=7, smooth_m=5))
    told = done["fields"][0]
    assert told["stable_pct"] < 50
    assert told["claim"] == "none"
    assert "of the median zone's land stays in its zone" in told["reason"]


def test_seasons_told_twice_and_fields_elsewhere_are_refused(tmp_path: Path) -> None:
    first, second = raster(tmp_path / "a_2019.tif", 10), raster(tmp_path / "b_2019.tif", 10)
    parts = rf"{tmp_path.name}/a_2019\.tif and {tmp_path.name}/b_2019\.tif are both of 2019, and overlap"
    with pytest.raises(InputError, match=parts):
        make_zones([first, second], fields_file(tmp_path), tmp_path / "out", ZoneSpec())
    away = gpd.GeoDataFrame({"name": ["z"]}, geometry=[box(X + 9000, Y, X + 9100, Y + 100)], crs="EPSG:32633")
    away.to_file(tmp_path / "away.gpkg")
    with pytest.raises(InputError, match=re.escape("no zones of any field: 'z'")):
        make_zones([first], tmp_path / "away.gpkg", tmp_path / "out", ZoneSpec())
    assert not (tmp_path / "out").exists()


def test_rasters_of_one_season_that_lie_apart_are_one(tmp_path: Path) -> None:
    whole = {year: raster(tmp_path / f"{year}.tif", 10) for year in (2019, 2021)}
    for side in ("west", "east"):
        (tmp_path / "harvest" / side).mkdir(parents=True)
        part = shutil.copy(whole[2021], tmp_path / "harvest" / side / "map.tif")
        hidden(part, slice(20, 40) if side == "west" else slice(0, 20))
        with rasterio.open(part, "r+") as target:
            target.update_tags(DATES="2021-08-01")
    fields = fields_file(tmp_path)
    (one, two), both = read_seasons([whole[2019], tmp_path / "harvest"]), []
    assert (one.name, two.name, len(two.paths)) == ("2019", "2021", 2)
    for number, seasons in enumerate(([whole[2019], whole[2021]], [whole[2019], tmp_path / "harvest"])):
        make_zones(seasons, fields, tmp_path / f"out{number}", ZoneSpec(num_zones=3))
        both.append(gpd.read_file(tmp_path / f"out{number}" / "zones.gpkg"))
    assert both[0]["area_ha"].tolist() == both[1]["area_ha"].tolist()
    told = json.loads((tmp_path / "out1" / "zones.json").read_text())["seasons"][1]
    assert told["file"] == "east/map.tif, west/map.tif"
    with pytest.raises(InputError, match=r"holds no map\.tif, and no folder in it does"):
        read_seasons([tmp_path / "out1"])


def tagged(path: Path, dates: str) -> Path:
    with rasterio.open(path, "r+") as target:
        target.update_tags(DATES=dates)
    return path


def test_a_season_is_the_year_of_its_last_date_then_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "v" / "2019").mkdir(parents=True)
    winter = tagged(raster(tmp_path / "v" / "map.tif", 5), "2018-10-15, 2019-03-02, 2019-06-20")
    harvest = raster(tmp_path / "yield_2019.tif", 10)
    (season,) = read_seasons([winter, harvest])  # one season, and no second
    assert (season.name, len(season.paths)) == ("2019", 2)
    with pytest.raises(InputError, match="both of 2019, and overlap"):
        make_zones([winter, harvest], fields_file(tmp_path), tmp_path / "out", ZoneSpec())
    told = [raster(tmp_path / "v" / name, 10) for name in ("2019/a.tif", "2018_2019.tif", "made_2020.tif")]
    assert [season.name for season in read_seasons(told)] == ["2018_2019", "2019", "2020"]


def test_copies_and_rasters_without_a_year_have_no_claim(tmp_path: Path) -> None:
    one = raster(tmp_path / "yield_2019.tif", 10)
    copied = shutil.copy(one, tmp_path / "yield_2020.tif")
    with pytest.raises(InputError, match=r"yield_2019\.tif and .*yield_2020\.tif hold the same values"):
        read_seasons([one, tagged(copied, "2020-06-01")])
    with rasterio.open(copied, "r+") as target:
        target.write(1.02 * target.read(1) + 0.01 * np.random.default_rng(0).random((40, 40), np.float32), 1)
    fields = fields_file(tmp_path)
    first = make_zones([one, copied], fields, tmp_path / "out", ZoneSpec(num_zones=3))["fields"][0]
    assert first["claim"] == "none"
    assert first["reason"].startswith("2019 and 2020 are as alike as copies of one raster are (correlation 1.000)")
    told = [raster(tmp_path / "home.tif", 10), raster(tmp_path / "vigour.tif", 10)]
    second = make_zones(told, fields, tmp_path / "other", ZoneSpec(num_zones=3))["fields"][0]
    assert second["claim"] == "none"
    assert second["reason"].startswith("no year is known of home, vigour: whether these are other seasons cannot be")
    assert set(gpd.read_file(tmp_path / "other" / "zones.gpkg")["claim"]) == {"none"}
    alone = make_zones(told[:1], fields, tmp_path / "alone", ZoneSpec(num_zones=3))["fields"][0]
    assert alone["reason"].startswith("one season alone")


def test_a_field_across_the_antimeridian_is_named(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "2020.tif", "w", driver="GTiff", width=80, height=80, count=1, dtype="float32", crs="EPSG:32760",
        transform=from_origin(819_050, 8_118_400, 10, 10), nodata=float("nan"),
    ) as target:  # fmt: skip
        target.write(np.tile(np.arange(80, dtype=np.float32), (80, 1)), 1)
    box_m = gpd.GeoSeries([box(819_150, 8_117_700, 819_750, 8_118_300)], crs="EPSG:32760").to_crs(4326).iloc[0]
    assert box_m.bounds[2] - box_m.bounds[0] > 180  # what such a border looks like when nobody cuts it
    east = [(x if x > 0 else x + 360, y) for x, y in box_m.exterior.coords]
    whole = Polygon(east)
    halves = [whole.intersection(box(179, -20, 180, -10)), whole.intersection(box(180, -20, 181, -10))]
    cut = MultiPolygon([halves[0], translate(halves[1], -360, 0)])
    gpd.GeoDataFrame({"name": ["fiji"]}, geometry=[cut], crs=4326).to_file(tmp_path / "fields.gpkg")
    with pytest.raises(InputError, match=r"'fiji': .*antimeridian"):
        make_zones([tmp_path / "2020.tif"], tmp_path / "fields.gpkg", tmp_path / "out", ZoneSpec())
