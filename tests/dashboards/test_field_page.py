"""The field page in Chromium: layers, ranking, drawing by hand and by keys, files, a phone's width."""

import json
import time
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pytest

from mainstem.adapters.crop_yield.leads import derive_all
from mainstem.adapters.crop_yield.pixel import TASK
from mainstem.apps.field_maps import DEMO, INPUT
from mainstem.apps.finetune import finetune
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_models import MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.core.finetuning import FitSpec
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig
from mainstem.data.earth.farm_sets import simulated_farms
from mainstem.data.earth.farms import simulate_farm, write_farm
from tests.dashboards.browser import opened, recolour_ms, served

QUICK = FitConfig(training=TrainingConfig(epochs=1, batch_size=128), num_folds=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A MAINSTEM_HOME with one map of a simulated farm, made by a model of few farms."""
    home = tmp_path_factory.mktemp("home")
    source = simulated_farms(range(4), ())
    source = replace(source, samples=tuple(derive_all(source.samples)))
    run = home / "v1" / "runs" / "crop-yield-pixel"
    finetune(TASK, source, FitSpec(config=QUICK), run)
    folder = home / "v1" / "maps" / DEMO
    scenes = write_farm(simulate_farm(9001, side=64), folder / INPUT)
    given = folder / INPUT
    files = ContextSpec(weather=(given / "weather.csv",), soil=given / "soil.tif", fields=given / "fields.gpkg")
    map_scenes(TASK, run, scenes, folder, MapSpec(context=files, below=(8.0,), is_by_date=True))
    return home


def opened_map(page, address):
    page.goto(f"{address}/field_map")
    canvas = page.locator("canvas[data-stamp]").first
    canvas.wait_for(timeout=90_000)
    return canvas


@pytest.mark.long
@pytest.mark.browser
def test_an_agronomist_finds_the_fields_to_visit_draws_one_and_takes_files_along(home, chromium):
    folder = home / "v1" / "maps" / DEMO
    with served(home) as address, opened(chromium) as (page, outside):
        canvas = opened_map(page, address)
        assert "simulated" in page.locator(".st-key-desk-status").inner_text()
        for layer in ("yield by pixel", "NDVI", "share of dates in cloud", "yield by field"):
            assert recolour_ms(page, layer) < 5000
        assert canvas.get_attribute("data-rasters") == "5"
        asked = page.locator("[data-testid=stSlider]")
        asked.wait_for(state="detached")  # a date is asked where the layer has one, and only there
        page.get_by_role("button", name="NDVI", exact=True).click()
        asked.wait_for()
        page.wait_for_url(lambda address: "layer=NDVI" in address)
        recolour_ms(page, "yield by field")
        asked.wait_for(state="detached")
        page.wait_for_selector("text=Since the last scene")  # the first panel says what to visit
        canvas.focus()
        canvas.press("n")
        page.wait_for_selector("text=t/ha, 90%")
        page.wait_for_selector("text=Each point is made of scenes and weather up to its date alone")
        page.wait_for_selector("text=whose farm was held out, forecasts known until 19 Jun erred by")
        before = len(gpd.read_file(folder / "fields.gpkg"))
        canvas.press("d")
        for keys in (("+", "+", "Space"), ("ArrowRight", "Space"), ("ArrowDown", "Space")):
            for key in keys:
                canvas.press(key)
        hint = page.locator(".fieldmap-hint")
        assert "closed" in hint.inner_text()  # length and area while it is drawn
        assert " ha" in hint.inner_text()
        canvas.press("Enter")
        page.wait_for_selector("h3:has-text('Field drawn 1')", timeout=60_000)
        assert len(gpd.read_file(folder / "fields.gpkg")) == before + 1
        page.get_by_text("Files", exact=True).click()
        for label, suffix in (("GeoJSON", "geojson"), ("Shapefile", "shp.zip"), ("CSV", "csv"), ("Map (COG)", "tif")):
            with page.expect_download() as download:
                page.locator("[data-testid=stDownloadButton]").filter(has_text=label).locator("button").click()
            assert download.value.suggested_filename.endswith(suffix)
            assert download.value.path().stat().st_size > 500
        page.get_by_text("Compare", exact=True).click()
        page.locator("canvas[data-stamp]").nth(1).wait_for(timeout=30_000)
        assert outside == []


def fields(folder: Path) -> dict[str, float]:
    """Area in hectares by name, as GIS reads it."""
    table = gpd.read_file(folder / "fields.gpkg")
    return dict(zip(table["field"], table["area_ha"], strict=True))


def draw(canvas, *moves: str) -> None:
    """Set corners by keys, from the middle on."""
    for key in ("Space", *(key for move in moves for key in (move, "Space")), "Enter"):
        canvas.press(key)


@pytest.mark.long
@pytest.mark.browser
def test_fields_are_named_altered_deleted_found_and_undone_by_keys_alone(home, chromium):
    folder = home / "v1" / "maps" / DEMO
    with served(home) as address, opened(chromium) as (page, _):
        canvas = opened_map(page, address)
        canvas.focus()
        for key in ("+", "+", "+", "+", "d"):
            canvas.press(key)
        naming = page.locator(".fieldmap-naming input")
        canvas.press("Shift+Tab")
        naming.focus()
        page.keyboard.type("Long <b>acre</b>")
        page.keyboard.press("Enter")  # back to the map
        draw(canvas, "ArrowRight", "ArrowDown", "ArrowLeft")
        page.wait_for_selector("h3:has-text('Field Long <b>acre</b>')")
        area = fields(folder)["Long <b>acre</b>"]
        open_editing(page)
        page.get_by_label("Name", exact=True).fill("Long acre")
        page.get_by_label("Name", exact=True).press("Enter")
        page.wait_for_selector("h3:has-text('Field Long acre')")
        settle(page)  # the buttons below may still be those of the name before
        assert fields(folder)["Long acre"] == area
        open_editing(page)
        page.get_by_role("button", name="Cut away").press("Enter")
        page.wait_for_selector("text=Cancel: part to cut from Long acre")
        canvas.press("+")
        canvas.press("+")
        draw(canvas, "ArrowRight", "ArrowUp", "ArrowLeft")  # a corner of it
        wait_for(lambda: fields(folder).get("Long acre", area) < area * 0.95)
        settle(page)
        page.get_by_role("button", name="Delete").press("Enter")
        wait_for(lambda: "Long acre" not in fields(folder))
        page.get_by_role("button", name="Undo").wait_for()
        for _ in range(2):
            before = fields(folder)
            page.get_by_role("button", name="Undo").press("Enter")
            wait_for(lambda before=before: fields(folder) != before)
            settle(page)
        assert fields(folder)["Long acre"] == pytest.approx(area)
        page.reload()
        page.locator("canvas[data-stamp]").first.wait_for()
        page.get_by_role("button", name="Redo").press("Enter")
        wait_for(lambda: fields(folder)["Long acre"] < area * 0.95)
        find = page.get_by_role("combobox", name="Find")
        find.fill("long")
        find.press("Enter")
        page.wait_for_url(lambda address: "place=Long+acre" in address and "field=Long+acre" in address)


def settle(page) -> None:
    """Wait until the page's server has nothing more to draw."""
    page.wait_for_timeout(500)
    page.wait_for_selector('[data-test-script-state="notRunning"]', state="attached")


def open_editing(page) -> None:
    """Open what can be done to the chosen field, unless it is open."""
    name = page.get_by_label("Name", exact=True)
    if not name.is_visible():
        page.locator("summary", has_text="Name and outline").press("Enter")
        name.wait_for()


def wait_for(is_so, seconds: float = 60.0) -> None:
    """Wait until the page's server has done something."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.long
@pytest.mark.browser
def test_the_field_page_fits_a_phone(home, chromium):
    with served(home) as address, opened(chromium, 400) as (page, outside):
        opened_map(page, address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert outside == []


@pytest.mark.long
@pytest.mark.browser
def test_an_agronomist_s_own_files_are_mapped_and_wrong_ones_named(home, chromium, tmp_path):
    own = tmp_path / "own"
    scenes = write_farm(simulate_farm(9002, side=64), own)
    with served(home) as address, opened(chromium) as (page, _):
        opened_map(page, address)
        page.get_by_role("button", name="My data").click()
        page.get_by_label("Name of the map").fill("my farm")
        page.get_by_label("Name of the map").press("Tab")
        chooser = page.locator("[data-testid=stPopoverBody] input[type=file]")
        chooser.set_input_files([str(path) for path in scenes])
        page.get_by_role("button", name="Map these").click()
        page.wait_for_selector("text=got no weather")
        chooser.set_input_files(str(own / "weather.csv"))
        page.wait_for_timeout(1500)
        page.get_by_role("button", name="Map these").click()
        page.wait_for_selector("text=Yield of fields, my farm", timeout=120_000)
        page.wait_for_selector("text=No fields yet: draw one on the map")
        canvas = page.locator("canvas[data-stamp]").first
        canvas.wait_for(timeout=60_000)
        canvas.focus()
        for key in ("d", "Space", "ArrowRight", "Space", "ArrowDown", "Space", "Enter"):
            canvas.press(key)
        page.wait_for_selector("h3:has-text('Field drawn 1')", timeout=60_000)
    notes = json.loads((home / "v1" / "maps" / "my farm" / "notes.json").read_text())
    assert notes["tags"]["INPUTS"] == "simulated"
