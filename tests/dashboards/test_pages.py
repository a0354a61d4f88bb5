"""The pages as users see them: with Chromium on simulated and real regions, and without it where JavaScript is idle."""

import re
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.adapters.crop_yield import TASK
from mainstem.apps.doctor import examine
from mainstem.apps.finetune import finetune
from mainstem.apps.region_sets import choices, keep_upload
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.task import DataRequest
from mainstem.dashboards.palette import NO_DATA, colours
from mainstem.dashboards.yield_map.board import region_story, season_table, worth
from mainstem.data.catalogue import pull
from mainstem.data.earth.crops import bushels_per_acre
from tests.dashboards.browser import opened, recolour_ms, served
from tests.dashboards.made import QUICK

PAGES = Path(dashboards.__file__).parent


@pytest.fixture(scope="module")
def counties_home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("counties")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(home))
        pull("us-counties")
        source = TASK.read(DataRequest(data="us-maize"))
        some = replace(source, samples=source.samples[::5])  # enough to draw every county by
        finetune(TASK, some, FitSpec(config=QUICK), choices()[0].run())
    return home


def test_bushels_are_the_crops_own():
    assert bushels_per_acre(1.0, "maize") == pytest.approx(15.93, abs=0.005)  # 62.77 kg/ha a bu/ac
    assert bushels_per_acre(1.0, "wheat") == pytest.approx(14.87, abs=0.005)  # 67.25 kg/ha a bu/ac
    with pytest.raises(KeyError):
        bushels_per_acre(1.0, "cassava")


def test_a_season_has_every_region_with_its_doubt(board):
    season = board.seasons()[0]
    assert season == "2023"
    table = season_table(board, season, 0, 0.9, 7.0)
    assert len(table) == 64
    assert (table["low"] < table["value"]).all()
    assert table["below"].between(0, 1).all()
    narrow = season_table(board, season, 0, 0.5, 7.0)
    assert (narrow["width"] < table["width"]).all()
    assert table["simulated"].all()


def test_a_story_runs_from_early_to_late(board):
    story = region_story(board, "SIM00", board.seasons()[0], 0.8)
    assert story["lead"].tolist() == [4, 3, 2, 1, 0]
    assert (story["low"] <= story["value"]).all()


def test_a_model_that_adds_nothing_is_called_so(board):
    from dataclasses import replace

    figures = {"held_out_rmse": 1.0, "offset_rmse": 1.0, "gate": 0.0}
    is_worth, sentence = worth(replace(board, record={"held_out": figures}))
    assert not is_worth
    assert "adds nothing" in sentence


def test_colours_are_even_and_gaps_are_grey():
    rgba = colours(np.array([0.0, 0.5, 1.0, np.nan]), 0.0, 1.0, "viridis")
    assert rgba[:, 3].tolist() == [255] * 4
    assert tuple(rgba[3, :3]) == NO_DATA
    assert tuple(rgba[0, :3]) == (0x44, 0x01, 0x54)


@pytest.mark.long
@pytest.mark.parametrize("address", [{"level": "0.95"}, {"lead": "99"}, {"unit": "kg"}, {"level": "<b>", "lead": "-1"}])
def test_the_page_says_what_its_address_asks_for_in_vain(board, address):
    page = AppTest.from_file(str(PAGES / "yield_map" / "page.py"), default_timeout=60)
    for name, value in address.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    said = "\n".join(warning.value for warning in page.warning).replace("\\", "")
    for name, value in address.items():
        (line,) = [line for line in said.splitlines() if line.startswith(f"There is no {name} ")]
        assert value in line
        assert "shown is" in line


def test_an_upload_is_kept_whole_or_not_at_all(home):
    good = b"adm_id,harvest_year,yield\nNL1,2019,8.0\nNL1,2020,8.4\n"
    kept = keep_upload("my farms", {"yield_wheat_NL.csv": good})
    assert kept.folder.is_dir()
    assert "my farms" in [choice.name for choice in choices()]
    for name, files, message in (
        ("my farms", {"yield_wheat_NL.csv": good}, "exists already"),
        ("../x", {"yield_wheat_NL.csv": good}, "want letters"),
        ("b", {"../yield_wheat_NL.csv": good}, "want CY-Bench's names"),
        ("b", {"ndvi_wheat_NL.csv": b"x"}, "with its yield"),
        ("b", {"yield_wheat_NL.csv": b"adm_id,harvest_year,yeild\n1,2,3\n"}, "rename 'yeild'"),
        ("b", {"yield_wheat_NL.csv": b"adm_id,harvest_year,yield\nNL1,2019,180\nNL1,2020,170\n"}, "bu/ac"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            keep_upload(name, files)
    assert sorted(path.name for path in (home / "v1" / "uploads").iterdir()) == ["my farms"]


def test_doctor_finds_the_pages_bound_to_this_machine(home):
    findings = {finding["what"]: finding for finding in examine()}
    assert findings["dashboards"]["state"] == "ok"
    assert findings["torch"]["state"] == "ok"
    assert not [finding for finding in findings.values() if finding["state"] == "fail"]


@pytest.mark.long
@pytest.mark.browser
def test_the_simulated_page_draws_chooses_and_stays_inside(simulated_home, chromium, tmp_path):
    with served(simulated_home) as address, opened(chromium) as (page, outside):
        page.goto(address)
        page.get_by_role("link", name="Open the yield map").click()
        page.wait_for_function("document.title === 'Crop yield - Mainstem'")
        canvas = page.locator("canvas[data-stamp]")
        canvas.wait_for(timeout=60_000)
        assert canvas.get_attribute("data-polygons") == "64"
        assert "simulated" in page.locator(".st-key-desk-status").inner_text()
        box = canvas.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function("document.querySelector('h3')?.textContent.startsWith('SIM')")
        before = page.locator("h3").inner_text()
        canvas.press("n")
        page.wait_for_function("old => document.querySelector('h3').textContent !== old", arg=before)
        assert recolour_ms(page, "interval width") > 0
        page.wait_for_url(lambda url: "layer=interval" in url)
        page.get_by_role("button", name="90%, t/ha").click()
        page.get_by_text("bu/ac").click()
        page.wait_for_function("[...document.querySelectorAll('strong')].some(e => e.textContent.includes('bu/ac'))")
        page.keyboard.press("Escape")
        page.get_by_text("Files", exact=True).click()
        page.wait_for_url(lambda url: "panel=files" in url)
        page.wait_for_selector('[data-test-script-state="notRunning"]')
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV, t/ha").click()
        assert download.value.suggested_filename == "maize-yield-forecasts_simulated-maize_2023_lead0_90pct_t-ha.csv"
        written = pd.read_csv(download.value.path())
        assert written["attribution"].str.contains("Simulated by Mainstem").all()
        assert (written["lead"] == 0).all()
        assert written["chance_below_threshold"].between(0, 1).all()
        with page.expect_download() as download:
            page.get_by_role("button", name="GeoPackage, t/ha").click()
        download.value.save_as(tmp_path / "yields.gpkg")
        frame = geopandas.read_file(tmp_path / "yields.gpkg")
        assert len(frame) == 64
        assert "attribution" in frame.columns
        assert outside == []


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.mirror
def test_county_polygons_are_drawn_and_a_phone_shows_them_too(counties_home, chromium):
    with served(counties_home) as address:
        for width in (1280, 400):
            with opened(chromium, width) as (page, outside):
                page.goto(f"{address}/yield_map")
                canvas = page.locator("canvas[data-stamp]")
                canvas.wait_for(timeout=90_000)
                assert int(canvas.get_attribute("data-polygons")) > 3000
                assert "real data" in page.locator(".st-key-desk-status").inner_text()
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert outside == []
