"""The desk in a browser: how much of the window the canvas has, what a link brings back, and WCAG 2.1 AA."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from mainstem.apps.media.jobs import find_copies
from tests.dashboards.browser import FLAGS, served
from tests.dashboards.clinic_made import made_clinic
from tests.dashboards.made import small_map
from tests.dashboards.media_made import made_archive

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
SETTLED_MS = 1_000  # that a canvas stays where it is, on a busy machine
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
CANVAS = "canvas[data-stamp]"
CANVASES = f"{CANVAS}, canvas[data-seen='1'], .pictures-sheet"


@pytest.fixture(scope="module")
def desk_home(simulated_home, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(simulated_home))
        small_map(simulated_home, "farm", ["a", "b", "c"])
        made_clinic(simulated_home)
        find_copies(made_archive(tmp_path_factory.mktemp("desk") / "archive"), lambda stage, share: None)
    return simulated_home


@pytest.fixture(scope="module")
def pages(desk_home, chromium) -> Iterator[tuple[str, object]]:
    with served(desk_home) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield address, browser
        browser.close()


def opened(pages, path: str, width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
    address, browser = pages
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(WAIT_MS)
    page.goto(address + path)
    page.wait_for_selector("h1")
    page.wait_for_selector('[data-test-script-state="notRunning"]', state="attached")
    return page


def share(page: Page) -> float:
    """Share of the window that the canvas covers, as far as it is in sight, once it has found its place."""
    canvas, size = page.locator(CANVASES).first, page.viewport_size
    canvas.wait_for()
    before, box = None, canvas.bounding_box()
    while box != before:
        page.wait_for_timeout(SETTLED_MS)
        before, box = box, canvas.bounding_box()
    width = min(box["x"] + box["width"], size["width"]) - max(box["x"], 0)
    height = min(box["y"] + box["height"], size["height"]) - max(box["y"], 0)
    return float(width * height / (size["width"] * size["height"]))


@pytest.mark.long
@pytest.mark.parametrize(("width", "height", "least"), [(1440, 900, 0.60), (1280, 800, 0.55)])
@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("/yield_map", "Region"), ("/field_map?map=farm", "Visit"), ("/clinic", "Worklist"),
        ("/media?show=Copies", "Groups"),
    ],
)  # fmt: skip
def test_the_canvas_is_the_page(pages, path, first, width, height, least):
    page = opened(pages, path, width, height)
    assert share(page) >= least
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight + 40")
    page.locator(".st-key-desk-panels").get_by_text(first, exact=True).click()  # pressed again, the panel folds
    page.wait_for_url(re.compile("panel=none"))
    page.wait_for_selector(".st-key-desk-dock", state="detached")
    page.wait_for_timeout(500)
    assert share(page) >= least + 0.15
    page.close()


@pytest.mark.long
@pytest.mark.parametrize(("width", "height", "least"), [(1440, 900, 0.60), (1280, 800, 0.55)])
@pytest.mark.parametrize(
    "path", ["/yield_map?panel=hindsight", "/yield_map?panel=why", "/yield_map?panel=list", "/field_map?panel=list"]
)
def test_no_panel_takes_the_canvas_its_share_and_all_of_it_is_in_sight(pages, path, width, height, least):
    page = opened(pages, path, width, height)
    assert share(page) >= least
    box = page.locator(CANVAS).first.bounding_box()
    assert box["y"] + box["height"] <= height
    page.close()


@pytest.mark.long
@pytest.mark.parametrize(("width", "height", "least"), [(1440, 900, 0.60), (1280, 800, 0.55)])
def test_the_pictures_have_the_page_until_one_is_opened(pages, width, height, least):
    page = opened(pages, "/media", width, height)
    assert share(page) >= least + 0.10
    assert page.locator(".st-key-desk-dock").count() == 0
    page.locator(".pictures-open").first.click()
    page.wait_for_url(re.compile("panel=file"))
    page.locator(".st-key-media-file").wait_for()
    page.locator(".st-key-close-file button").first.click()
    page.locator(".st-key-desk-dock").wait_for(state="detached")
    assert "file=" not in page.url
    page.close()


@pytest.mark.long
def test_a_link_brings_the_desk_back_on_a_server_that_was_started_again(desk_home, pages):
    _, browser = pages
    with served(desk_home) as address:
        page = opened((address, browser), "/yield_map")
        page.locator(CANVAS).first.press("n")
        page.wait_for_url(re.compile("region="))
        page.get_by_role("button", name="interval width").click()
        page.wait_for_url(re.compile("layer=interval"))
        page.locator(".st-key-desk-panels").get_by_text("List", exact=True).click()
        page.wait_for_url(re.compile("panel=list"))
        page.locator(CANVAS).first.press("+")
        page.wait_for_url(re.compile("view="))
        link, old = page.url.removeprefix(address), address
        page.close()
    with served(desk_home) as address:
        assert address != old
        page = opened((address, browser), link)
        page.locator(CANVAS).first.wait_for()
        page.wait_for_selector("[data-testid=stDataFrame]")
        assert page.get_by_role("button", name="interval width").get_attribute("aria-pressed") == "true"
        page.wait_for_timeout(1500)
        assert page.url.removeprefix(address) == link
        page.close()


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    [
        "/", "/yield_map", "/yield_map?panel=list", "/yield_map?panel=claims", "/yield_map?panel=files",
        "/yield_map?panel=hindsight", "/yield_map?panel=why",
        "/field_map?map=farm", "/field_map?map=farm&panel=list", "/field_map?map=farm&panel=files", "/clinic",
        "/clinic?panel=data", "/robotics", "/robotics?panel=fault", "/media", "/media?file=bridge.png",
        "/media?panel=selected", "/media?show=Copies", "/media?show=Copies&panel=evidence", "/research",
        "/research?panel=data", "/research?panel=adapter",
    ],
)  # fmt: skip
def test_every_page_keeps_to_wcag(pages, path, scheme):
    page = opened(pages, path, scheme=scheme)
    page.wait_for_timeout(3000)
    found = Axe().run(page, options=RULES).response["violations"]
    assert [(one["id"], one["nodes"][0]["target"], one["nodes"][0]["html"][:120]) for one in found] == []
    page.close()
