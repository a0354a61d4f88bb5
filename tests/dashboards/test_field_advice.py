"""Advice on the field page: zones of two seasons on the map, a rule that is signed as it was shown, files, reports."""

import io
import json
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from mainstem.apps.field_maps import maps_folder
from mainstem.apps.fields.map_advice import (
    BEFORE,
    ZONES,
    draw_map_zones,
    find_rates,
    find_seasons,
    is_as_shown,
    keep_rule,
    make_map_rates,
    one_a_season,
    preview_rates,
    read_verdicts,
    report_bytes,
    zip_folder,
)
from mainstem.apps.fields.report import field_pages
from mainstem.core.errors import InputError
from mainstem.dashboards.field_map.board import load_field_board
from mainstem.dashboards.field_map.layers import list_layers
from mainstem.dashboards.field_map.reads import stamp_of
from tests.dashboards.browser import opened, served
from tests.dashboards.made import small_map

RULE = "product: urea 46 %\nmin: 0 kg/ha\nmax: 200 kg/ha\n" + "".join(
    f"zone {zone}: {40 * zone} kg/ha\n" for zone in range(1, 6)
)
FIELDS = ("north", "south")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Two seasons of one farm, and a farm elsewhere whose map cannot be read."""
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    small_map(tmp_path / "home", "farm 2021", FIELDS)
    small_map(tmp_path / "home", "farm 2020", FIELDS, least=5.0, DATES="2020-05-01")
    (small_map(tmp_path / "home", "broken") / "map.tif").write_bytes(b"II*\0 no map")
    return tmp_path / "home"


def test_zones_of_two_seasons_are_kept_and_shown_and_the_former_are_not_lost(home):
    assert find_seasons("farm 2021") == [("farm 2020", "2020")]
    small_map(home, "farm 2020 again", FIELDS, DATES="2020-06-01")
    small_map(home, "farm of the same year", FIELDS)
    assert one_a_season("farm 2021", find_seasons("farm 2021")) == ["farm 2020 again"]  # which draw without a refusal
    before = stamp_of("farm 2021")
    assert "zones" not in [layer.title for layer in list_layers(load_field_board("farm 2021"), "")]
    draw_map_zones("farm 2021", ["farm 2020"], 3)
    folder = maps_folder() / "farm 2021"
    assert stamp_of("farm 2021") != before  # or the page would go on with the map it has
    assert set(read_verdicts(folder)) == set(FIELDS)
    board = load_field_board("farm 2021")
    layer = next(layer for layer in list_layers(board, "") if layer.title == "zones")
    drawn = gpd.read_file(folder / ZONES / "zones.gpkg").to_crs(board.crs)
    assert not layer.is_claimed
    assert layer.ends == (1.0, float(drawn["zone"].max()))
    north = drawn[drawn["field"] == "north"]
    own = np.array([area.area for area in north.geometry]) / north.geometry.area.sum()
    rows, columns = slice(1, 9), slice(1, 9)  # the first square of `small_map`
    seen = [float((board.zones[rows, columns] == zone).mean()) for zone in north["zone"]]
    np.testing.assert_allclose(seen, own, atol=0.12)  # an edge within a pixel
    assert np.isnan(board.zones[0]).all()
    draw_map_zones("farm 2021", [], 0)
    assert (folder / BEFORE / "zones.gpkg").is_file()
    assert [one["name"] for one in json.loads((folder / ZONES / "zones.json").read_bytes())["seasons"]] == ["2021"]
    assert not [path for path in folder.iterdir() if path.name.startswith(".zones")]


def test_what_cannot_be_drawn_is_refused_and_leaves_what_there_was(home):
    draw_map_zones("farm 2021", [], 0)
    kept = (maps_folder() / "farm 2021" / ZONES / "zones.gpkg").read_bytes()
    for others, message in ((["gone"], "no map 'gone'"), (["farm 2021"], "both of 2021")):
        with pytest.raises(InputError, match=message):
            draw_map_zones("farm 2021", others, 0)
    with pytest.raises(InputError, match="no field"):
        draw_map_zones("broken", [], 0)
    assert (maps_folder() / "farm 2021" / ZONES / "zones.gpkg").read_bytes() == kept


def test_a_rule_is_signed_as_it_was_shown_or_not_at_all(home):
    draw_map_zones("farm 2021", ["farm 2020"], 3)
    folder = maps_folder() / "farm 2021"
    with pytest.raises(InputError, match="no rule"):
        preview_rates(folder)
    keep_rule(folder, RULE)
    shown = preview_rates(folder)
    assert (shown.unit, [row[0] for row in shown.rows]) == ("kg/ha", list(FIELDS))
    keep_rule(folder, RULE.replace("zone 1: 40", "zone 1: 140"))
    with pytest.raises(InputError, match="changed since they were signed"):
        make_map_rates(folder, "A. Farmer", shown.seal)
    keep_rule(folder, RULE)
    assert is_as_shown(folder, shown)
    with pytest.raises(InputError, match="type the name"):
        make_map_rates(folder, "?", shown.seal)
    assert find_rates(folder) == []
    made = make_map_rates(folder, "A. Farmer", shown.seal)
    assert find_rates(folder) == [made]
    packed = zipfile.ZipFile(io.BytesIO(zip_folder(made)))
    names = [name.split("/", 1)[1] for name in packed.namelist()]
    assert {"rule.txt", "rates.csv", "isoxml-v4-zones/TASKDATA/TASKDATA.XML", "geotiff/field_001.tif"} <= set(names)
    told = json.loads(packed.read(f"{made.name}/rates.json"))
    assert [one["mean"] for one in told["fields"]] == pytest.approx([row[2] for row in shown.rows], abs=1e-4)


def test_reports_have_a_page_a_field(home):
    folder = maps_folder() / "farm 2021"
    draw_map_zones("farm 2021", [], 0)
    assert report_bytes(folder, "2026-01-01").count(b"/Type /Page\n") == len(FIELDS)
    assert report_bytes(folder, "2026-01-01", ["south"]).count(b"/Type /Page\n") == 1
    with pytest.raises(InputError, match="none of the fields"):
        report_bytes(folder, "2026-01-01", ["west"])


@pytest.mark.parametrize(("inputs", "mark"), [("simulated", "SIMULATED"), ("real", "REAL")])
def test_a_report_says_what_the_scenes_are_where_no_model_spoke(home, inputs, mark):
    folder = small_map(home, f"vigour {inputs}", FIELDS, TRAINING="none", INPUTS=inputs)
    assert {page.mark for page in field_pages(folder).values()} == {mark}


def test_damaged_zones_are_told_and_the_map_is_shown(home):
    draw_map_zones("farm 2021", [], 0)
    folder = maps_folder() / "farm 2021"
    (folder / ZONES / "zones.json").write_text('{"fields": [1]}')
    with pytest.raises(InputError, match="draw the zones again"):
        read_verdicts(folder)
    (folder / ZONES / "zones.gpkg").write_bytes(b"no zones")
    board = load_field_board("farm 2021")
    assert len(board.table) == len(FIELDS)
    assert any("zones.gpkg" in problem for problem in board.problems)


@pytest.mark.long
@pytest.mark.browser
def test_a_consultant_takes_zones_a_signed_rule_and_a_report_from_the_page(home, chromium):
    with served(home) as address, opened(chromium) as (page, _):
        page.set_default_timeout(90_000)
        page.goto(f"{address}/field_map?map=farm+2021&field=south&panel=advice")
        with page.expect_download() as report:
            page.get_by_role("button", name="Field south").click()
        assert Path(report.value.path()).read_bytes().startswith(b"%PDF")
        page.get_by_role("button", name="Draw zones", exact=True).last.click()
        page.wait_for_selector("text=Rates by your own rule", timeout=90_000)
        page.get_by_role("textbox", name="Rule").fill(RULE)
        page.get_by_role("textbox", name="Rule").press("Control+Enter")
        page.get_by_role("button", name="What each field gets").click()
        page.get_by_label("Your name signs it").fill("A. Farmer")
        page.get_by_label("Your name signs it").press("Enter")
        page.get_by_role("button", name="Sign and write").click()
        with page.expect_download(timeout=90_000) as rates:
            page.get_by_role("button", name="Rates of").click(timeout=90_000)
        packed = zipfile.ZipFile(rates.value.path())
        name = next(name for name in packed.namelist() if name.endswith("geotiff/field_002.tif"))
        with rasterio.open(io.BytesIO(packed.read(name))) as found:
            assert found.tags()["SIGNED"] == "A. Farmer"
