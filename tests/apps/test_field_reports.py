"""Reports: one page a field or region, in words, with hostile names, long texts and nothing known."""

import datetime
import re
import shutil
import subprocess
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import Point, box

from mainstem.apps.field_exports import areas_ha
from mainstem.apps.fields.harvest import METHOD, NO_CLAIM
from mainstem.apps.fields.report import field_pages, make_reports
from mainstem.apps.fields.report_pages import age, claim_in_words, in_words, interval_in_words, span
from mainstem.apps.fields.report_regions import region_pages
from mainstem.apps.fields.zone_tables import read_zones
from mainstem.core.errors import InputError

X, Y = 500_000, 5_400_000
HOSTILE = "../<b>\u4e2d & =cmd"


def made_map(folder: Path) -> Path:
    """What mainstem map leaves of fields, as far as reports read it."""
    values = np.tile(np.linspace(4, 9, 60, dtype=np.float32), (60, 1))
    with rasterio.open(
        folder / "map.tif", "w", driver="GTiff", width=60, height=60, count=1, dtype="float32", nodata=float("nan"),
        crs="EPSG:32633", transform=from_origin(X, Y + 600, 10, 10),
    ) as target:  # fmt: skip
        target.write(values, 1)
    common = {
        "units": "t/ha", "level": 0.9, "training": "simulated", "attribution": "A " * 400, "licence": "CC0-1.0",
        "dates": "2021-04-14, 2021-10-06", "adapter": "crop-yield pixel 3", "adapter_sha256": "ab" * 32,
        "crop": "maize",
    }  # fmt: skip
    rows = {
        "field": ["a", HOSTILE, "unseen"],
        "area_ha": [4.0, 3.0, 1.0],
        "seen_share": [1.0, 0.8, 0.1],
        "mean": [8.12, 5.04, np.nan],
        "lower": [6.9, 2.1, np.nan],
        "upper": [9.4, 7.7, np.nan],
        "claim": ["stated", "withdrawn", "none"],
        "reason": ["", "inputs unlike any of the calibration", "cannot say: visit"],
        **{name: [value] * 3 for name, value in common.items()},
    }
    shapes = [
        box(X + 20, Y + 20, X + 220, Y + 220),
        Point(X + 400, Y + 400).buffer(100),
        box(X + 5, Y + 5, X + 9, Y + 9),
    ]
    gpd.GeoDataFrame(rows, geometry=shapes, crs="EPSG:32633").to_file(folder / "fields.gpkg")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_map(tmp_path_factory.mktemp("map"))


def pages_of(path: Path) -> int:
    return sum(int(found) for found in re.findall(rb"/Count (\d+)", path.read_bytes()))


def test_values_come_in_words_with_interval_and_claim(folder: Path) -> None:
    pages = field_pages(folder)
    first, second, third = pages.values()
    assert (first.value, first.interval) == ("8.1 t/ha", "90 % between 6.9 and 9.4 t/ha")
    assert first.claim.startswith("Claim: 90 of 100 simulated cases")
    assert (first.mark, dict(first.facts)["Among the map's fields"]) == ("SIMULATED", "1 of 2, highest first")
    assert (
        second.claim
        == "Claim: withdrawn (inputs unlike any of the calibration). Read it as a ranking, not as an amount."
    )
    assert second.pictures[0].is_doubtful
    assert not first.pictures[0].is_doubtful
    assert (third.value, third.interval) == ("Cannot say: visit", "")
    assert [row[0] for row in first.rows] == ["a", "unseen", second.title.removeprefix("Field ")]
    assert second.title == f"Field {HOSTILE}"
    assert first.pictures[0].ends == second.pictures[0].ends


def test_one_page_each_and_all_together(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    done = make_reports(folder, tmp_path / "out")
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["001_a.pdf", "002_b-cmd.pdf", "003_unseen.pdf", "all.pdf"]
    assert done["pages"][0]["name"] == "a"
    assert [pages_of(tmp_path / "out" / name) for name in files] == [1, 1, 1, 3]
    if shutil.which("pdftotext"):
        told = subprocess.run(
            ["pdftotext", "-layout", tmp_path / "out" / files[1], "-"], capture_output=True, text=True, check=True
        ).stdout
        assert "5.0 t/ha" in told
        assert "<b>" in told
        assert "U+4E2D" in told or "\u4e2d" in told
        assert "Read it as a ranking" in told
        assert "CC0-1.0" in told
        assert "no basis for payments" in told
    again = make_reports(folder, tmp_path / "two", only=["a"])
    assert len(again["pages"]) == 1
    assert (tmp_path / "two" / "001_a.pdf").read_bytes() == (tmp_path / "out" / "001_a.pdf").read_bytes()
    with pytest.raises(InputError, match="has no 'b'; it has 'a'"):
        make_reports(folder, tmp_path / "three", only=["b"])
    with pytest.raises(InputError, match=r"holds no map\.tif"):
        make_reports(tmp_path, tmp_path / "four")


def test_cells_without_a_value_stay_without_one_and_a_harvest_s_day_is_no_scene(tmp_path: Path) -> None:
    made_map(tmp_path)
    with rasterio.open(tmp_path / "map.tif", "r+") as target:
        values = target.read(1)
        values[:, 4:7] = np.nan  # strips that nobody drove
        values[35:36] = np.nan
        target.write(values, 1)
    table = gpd.read_file(tmp_path / "fields.gpkg")
    table["adapter"], table["dates"], table["reason"] = METHOD, "2018-07-18", NO_CLAIM
    table.to_file(tmp_path / "fields.gpkg")
    page = field_pages(tmp_path)["a"]
    drawn = page.pictures[0].raster
    assert drawn is not None
    inside = np.zeros_like(values, dtype=bool)
    inside[60 - 22 : 60 - 2, 2:22] = True
    own = values[60 - 24 : 60, 0:24]
    np.testing.assert_array_equal(drawn, np.where(inside[60 - 24 : 60, 0:24], own, np.nan))
    facts = dict(page.facts)
    assert facts["Harvested on"] == "2018-07-18"
    assert not {"Scenes", "Newest scene"} & set(facts)


def test_zones_are_as_large_as_their_files_say(tmp_path: Path) -> None:
    made_map(tmp_path)
    halves = [box(X + 20, Y + 20, X + 120, Y + 220), box(X + 120, Y + 20, X + 220, Y + 220)]
    zones = gpd.GeoDataFrame({"field": ["a"] * 2, "zone": [1, 2]}, geometry=halves, crs="EPSG:32633")
    zones.to_file(tmp_path / "zones.gpkg")
    page = field_pages(tmp_path, tmp_path / "zones.gpkg")["a"]
    told = [f"{area:.2f}" for area in areas_ha(zones)]
    assert told == ["2.00", "2.00"]
    (field,), _ = read_zones(tmp_path / "zones.gpkg")
    assert list(field.hectares.values()) == pytest.approx(areas_ha(zones), rel=1e-9)
    assert [row[1] for row in page.rows] == told


def test_a_folder_of_maps_has_a_page_a_field_of_all(tmp_path: Path) -> None:
    for name in ("PFD-2", "PFD-3"):
        (tmp_path / "silage" / name).mkdir(parents=True)
        made_map(tmp_path / "silage" / name)
    pages = field_pages(tmp_path / "silage")
    assert list(pages) == ["a", HOSTILE, "unseen", "PFD-3 a", f"PFD-3 {HOSTILE}", "PFD-3 unseen"]
    assert len({page.pictures[0].ends for page in pages.values()}) == 1
    (tmp_path / "silage" / "PFD-3" / "fields.gpkg").unlink()
    with pytest.raises(InputError, match=r"silage/PFD-3 holds no fields\.gpkg"):
        field_pages(tmp_path / "silage")


def regions(path: Path, **changes: object) -> Path:
    shapes = gpd.GeoSeries([box(10 + k, 50, 11 + k, 51) for k in range(3)] * 2, crs="EPSG:4326")
    rows = {
        "region": ["IA_ADAIR", "IA_POLK", "x"] * 2,
        "year": [2011] * 3 + [2012] * 3,
        "value": [9.0, 8.0, 7.0, 6.0, 5.0, np.nan],
        "low": [8.0, 7.0, 6.0, 5.0, 4.0, np.nan],
        "high": [10.0, 9.0, 8.0, 7.0, 6.0, np.nan],
        "level": [0.9] * 6,
        "units": ["t/ha"] * 6,
        "claim": ["stated"] * 5 + ["none"],
        "reasons": [""] * 6,
        "attribution": ["USDA"] * 6,
        **changes,
    }
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        gpd.GeoDataFrame(rows, geometry=shapes, crs=shapes.crs).to_file(path)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.gpkg"])
def test_regions_tell_the_newest_season_first(tmp_path: Path, name: str) -> None:
    pages = region_pages(regions(tmp_path / name))
    assert list(pages) == ["IA_ADAIR", "IA_POLK", "x"]
    page = pages["IA_ADAIR"]
    assert (page.title, page.value, page.interval) == ("Adair, IA", "6.0 t/ha", "90 % between 5.0 and 7.0 t/ha")
    assert [row[:2] for row in page.rows] == [["2012", "6.0"], ["2011", "9.0"]]
    assert pages["x"].value == "Cannot say"
    assert len(page.pictures) == (name == "a.gpkg")
    pytest.importorskip("reportlab")
    make_reports(tmp_path / name, tmp_path / "out")
    assert pages_of(tmp_path / "out" / "all.pdf") == 3


def test_what_the_yield_page_exports_is_told(tmp_path: Path) -> None:
    more = {
        "harvest": [9.5, 8.0, 7.0, 4.0, 5.0, 6.0], "season_contradicts_level": [False] * 3 + [True] * 3,
        "chance_below_threshold": [0.2] * 6, "threshold": [5.0] * 6, "known_at": ["two months before"] * 6,
        "fips": ["19001", "19153", ""] * 2, "model": ["crop-yield 5"] * 6, "shown_as": ["held out"] * 6,
        "data_from": ["2012-04-01"] * 6, "data_until": ["2012-07-01"] * 6,
    }  # fmt: skip
    page = region_pages(regions(tmp_path / "a.csv", **more))["IA_ADAIR"]
    facts = dict(page.facts)
    assert (facts["Harvest"], facts["FIPS"], facts["Data"]) == ("4.0 t/ha", "19001", "2012-04-01 to 2012-07-01")
    assert facts["Chance of less than 5.0 t/ha"] == "20 %"
    assert page.claim.endswith("fell outside more often than the level says.")
    assert page.mark == "HELD OUT"
    assert page.header == ["season", "value, t/ha", "interval", "harvest", "claim"]
    assert page.rows[1] == ["2011", "9.0", "8.0 to 10.0", "9.5", "stated"]
    assert "crop-yield 5" in page.origin[0]


def test_a_level_or_unit_that_nobody_tells_is_not_guessed(tmp_path: Path) -> None:
    page = region_pages(regions(tmp_path / "a.csv", level=[""] * 6, units=[""] * 6))["IA_ADAIR"]
    assert page.value == "6.0 (unit not told)"
    assert page.interval.endswith("how surely is not told")
    assert page.claim.startswith("Claim: none")


def test_tables_that_hold_no_forecasts_are_refused_by_cell(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no columns region and value"):
        region_pages(_without_value(tmp_path))
    with pytest.raises(InputError, match=r"a\.csv, row 3, column 'low': got 'x', want a number"):
        region_pages(regions(tmp_path / "a.csv", low=["1", "x", "1", "1", "1", "1"]))


def test_a_page_is_chosen_as_pages_write_its_name(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    table = regions(tmp_path / "a.csv")
    for number, name in enumerate(("IA_ADAIR", "IA, ADAIR", "Adair, IA")):
        done = make_reports(table, tmp_path / f"out{number}", only=[name])
        assert [page["name"] for page in done["pages"]] == ["IA_ADAIR"]
    assert make_reports(folder, tmp_path / "field", only=["Field a"])["pages"][0]["name"] == "a"
    with pytest.raises(InputError, match="has no 'IA'"):
        make_reports(table, tmp_path / "none", only=["IA"])


def test_crop_phases_are_named(tmp_path: Path) -> None:
    more = {"data_from": ["phase0"] * 6, "data_until": ["phase4"] * 6}
    page = region_pages(regions(tmp_path / "a.csv", **more))["IA_ADAIR"]
    assert dict(page.facts)["Data"] == "before planting to yield formation"


def _without_value(folder: Path) -> Path:
    pd.DataFrame({"region": ["a"], "yield": [1]}).to_csv(folder / "b.csv", index=False)
    return folder / "b.csv"


def test_words() -> None:
    assert [in_words(value) for value in (0.1234, 8.06, 123.4, 12_345.0, np.nan)] == [
        "0.12", "8.1", "123", "12\u202f345", "unknown",
    ]  # fmt: skip
    assert interval_in_words(np.nan, 1.0, 0.9, "t/ha") == ""
    assert claim_in_words("none", "", 0.9, False) == "Claim: none. Read it as a ranking, not as an amount."
    assert span(["2021-05-01", "2021-04-01"]) == "2021-04-01 to 2021-05-01, 2 dates"
    assert span([""]) == ""
    assert age("2021-10-06", datetime.date(2021, 10, 16)) == "10 days old on the day of this report"
    assert age("", datetime.date(2021, 10, 16)) == ""
    assert claim_in_words("none", "measured by a combine", 0.9, False) == "Measured by a combine."
