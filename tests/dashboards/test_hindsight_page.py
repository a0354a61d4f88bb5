"""Hindsight, why and files in a browser: clicks counted, downloads read, narrow screens and axe."""

import re
from pathlib import Path

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from mainstem.apps.region_sets import choices
from tests.dashboards.browser import FLAGS, served
from tests.dashboards.test_desk import RULES

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
PANELS = ".st-key-desk-panels"


@pytest.fixture(scope="module")
def looked_home(simulated_home) -> Path:
    """The simulated regions, with what their model says of past seasons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(simulated_home))
        (choice,) = choices()
        choice.look_back()
    return simulated_home


def settled(page: Page) -> None:
    page.wait_for_timeout(500)
    page.wait_for_selector('[data-test-script-state="notRunning"]', state="attached")


def faults(page: Page) -> list[tuple[str, str]]:
    """What axe finds once nothing is fading any more."""
    settled(page)
    page.wait_for_timeout(3000)
    found = Axe().run(page, options=RULES).response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:120]) for one in found]


@pytest.mark.long
def test_the_worst_forecasts_of_a_season_are_three_clicks_away_and_files_say_what_they_hold(
    looked_home, chromium, tmp_path
):
    with served(looked_home) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{address}/yield_map")
        page.locator("canvas[data-stamp]").first.wait_for()
        settled(page)
        page.get_by_label("Season").first.click()  # 1
        page.get_by_role("option", name="2021").click()  # 2
        page.wait_for_url(re.compile("season=2021"))
        page.locator(PANELS).get_by_text("Hindsight", exact=True).click()  # 3
        page.get_by_text("The 10 worst forecasts of 2021").wait_for()
        page.locator("[data-testid=stDataFrame]").first.wait_for()
        settled(page)
        table = page.locator("[data-testid=stDataFrame]").first
        table.hover()
        button = page.get_by_label("Download as CSV")
        assert button.count()
        assert not button.locator("visible=true").count()
        assert page.locator(".vega-embed svg, .vega-embed canvas").count() >= 2
        page.get_by_role("button", name="On the map").click()
        page.wait_for_url(re.compile("layer=forecast"))
        assert faults(page) == []
        page.locator(PANELS).get_by_text("Why", exact=True).click()
        page.get_by_text("The past alone says").wait_for()
        settled(page)
        assert faults(page) == []
        page.locator(PANELS).get_by_text("Files", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV, t/ha").click()
        assert download.value.suggested_filename == "maize-yield-forecasts_simulated-maize_2021_lead0_90pct_t-ha.csv"
        written = pd.read_csv(download.value.path())
        assert len(written) == 64
        assert written["licence"].notna().all()
        assert (written["threshold"] > 0).all()
        page.set_viewport_size({"width": 400, "height": 800})
        for panel in ("Hindsight", "Why", "Region"):
            page.locator(PANELS).get_by_text(panel, exact=True).click()
            settled(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), panel
        browser.close()
