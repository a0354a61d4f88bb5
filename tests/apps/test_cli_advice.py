"""The commands of advice: what they say, and that nothing is written unsigned."""

import json
from pathlib import Path

import geopandas as gpd
import pytest
from click.testing import Result
from shapely.geometry import box
from typer.testing import CliRunner

from mainstem.apps.cli_fields import fields_app
from mainstem.core.errors import InputError

RULE = "product: lime\nmin: 0 t/ha\nmax: 4 t/ha\nzone 1: 1 t/ha; zone 2: 3 t/ha\n"


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    shapes = [box(500_000 + 100 * k, 5_400_000, 500_100 + 100 * k, 5_400_200) for k in range(2)]
    table = gpd.GeoDataFrame(
        {"field": ["a"] * 2, "zone": [1, 2], "claim": ["none"] * 2, "reason": ["no better than chance"] * 2},
        geometry=shapes,
        crs="EPSG:32633",
    )
    table.to_file(tmp_path / "zones.gpkg")
    (tmp_path / "rule.txt").write_text(RULE)
    return tmp_path / "zones.gpkg"


def run(zones: Path, *more: str) -> Result:
    folder = zones.parent
    arguments = ["rates", str(zones), "--rule", str(folder / "rule.txt"), "--out", str(folder / "out"), *more]
    return CliRunner().invoke(fields_app, arguments, catch_exceptions=True)


def test_an_unsigned_rule_says_what_each_field_would_get_and_writes_nothing(zones: Path) -> None:
    told = run(zones)
    assert told.stdout.startswith("field a: 4.0")
    assert "2.00 t/ha on average" in told.stdout
    assert isinstance(told.exception, InputError)
    assert "not signed, nothing was written" in str(told.exception)
    assert not (zones.parent / "out").exists()


def test_a_signed_rule_is_written_and_doubtful_zones_are_said(zones: Path) -> None:
    told = run(zones, "--signed-by", "A. Farmer")
    assert "no better than chance" in told.stdout
    assert "signed by A. Farmer" in told.stdout
    assert (zones.parent / "out" / "isoxml-v3-zones" / "TASKDATA" / "TASKDATA.XML").is_file()
    again = run(zones, "--signed-by", "A. Farmer")
    assert "exists already" in str(again.exception)


def test_json_is_one_object_and_nothing_else(zones: Path) -> None:
    told = run(zones, "--signed-by", "A. Farmer", "--json")
    assert json.loads(told.stdout)["fields"][0]["mean"] == pytest.approx(2, abs=1e-3)
