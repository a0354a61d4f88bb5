"""Hostile names, files and requests to the pages as they are served, in Chromium: one server and browser for all."""

import csv
import http.client
import io
import socket
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.finetune import finetune
from mainstem.apps.region_sets import choices, keep_upload
from mainstem.core.finetuning import FitSpec
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig
from tests.dashboards.browser import FLAGS, is_outside, served
from tests.dashboards.made import small_map, squares
from tests.hostile.harness import Listener, listener
from tests.hostile.test_pages import NAMES

pytestmark = pytest.mark.browser
QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2)
SHOWN_LETTERS = 100
WAIT_MS = 60_000  # shared machines are slow
ROW_PX = 35  # height of a row, and of the head, of Streamlit's tables
ODD_MAP = "<b>$x$ :smile: [a](b) :red[c]"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Pages that are served, the browser, a port that nobody may connect to, and the names that try to make it so."""

    address: str
    browser: Browser
    ear: Listener
    home: Path
    fields: Sequence[str]
    regions: Sequence[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory, chromium) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("pages")
    with listener() as ear, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(home))
        patch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
        patch.setenv("STREAMLIT_SERVER_ENABLE_CORS", "false")
        image = f"![x]({ear.url}/a.png)"
        fields = [image, f'<img src="{ear.url}/b.png">', *NAMES.values(), "x" * 200]
        small_map(home, "farm", fields, ["probability below 8"], ATTRIBUTION=f"![y]({ear.url}/c.png)", CLAIM="none",
                  CLAIM_REASON=f"![z]({ear.url}/d.png)")  # fmt: skip
        small_map(home, "other", ["a", "b"], ["probability below 5"])
        small_map(home, ODD_MAP)
        small_map(home, "doubtful", ["only"], CLAIM="none")
        regions = [image, *NAMES.values(), "plain", "without 2019"]
        keep_upload("mine", region_files(regions))
        mine = choices()[0]
        finetune(TASK, mine.read(), FitSpec(config=QUICK), mine.run())
        with served(home) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            yield Place(address=address, browser=browser, ear=ear, home=home, fields=fields, regions=regions)
            browser.close()


def region_files(regions: Sequence[str]) -> dict[str, bytes]:
    yields = [(name, year, 6 + n / 10 + 0.3 * ((year * 7 + n) % 5)) for n, name in enumerate(regions)
              for year in range(2008, 2019 if name.startswith("without") else 2020)]  # fmt: skip
    places = [(name, 52 + 0.25 * (n % 4), 5 + 0.4 * (n // 4)) for n, name in enumerate(regions)]
    return {
        "yield_wheat_NL.csv": written(("adm_id", "harvest_year", "yield"), yields),
        "location_wheat_NL.csv": written(("adm_id", "latitude", "longitude"), places),
    }


def written(head: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows])
    return text.getvalue().encode()


@pytest.fixture
def page(place) -> Iterator[Page]:
    """A page that may only speak with this machine's pages."""
    page = place.browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(180_000)  # shared machines are slow
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert [url for url in asked if is_outside(url) or url.startswith(place.ear.url)] == []
    assert place.ear.connections() == 0
    page.close()


def opened(page: Page, place: Place, view: str, **address: str) -> Page:
    page.goto(f"{place.address}/{view}?{urllib.parse.urlencode(address)}")
    page.locator("canvas[data-stamp]").first.wait_for(timeout=180_000)
    return page


def waits_for_heading(page: Page, name: str) -> None:
    wanted = " ".join(name.split()).replace("\u202e", "\ufffd")[:SHOWN_LETTERS]
    page.wait_for_function("wanted => document.querySelector('h3')?.innerText.startsWith(wanted)", arg=wanted)


def click_row(page: Page, row: int) -> None:
    """Click the mark before a row of the table, and wait until the page is drawn."""
    page.wait_for_function("document.querySelectorAll('[data-testid=stDataFrame]').length === 1")
    table = page.locator("[data-testid=stDataFrame]")
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 12, box["y"] + ROW_PX * (row + 1) + ROW_PX / 2)
    page.wait_for_timeout(1000)
    page.wait_for_selector('[data-test-script-state="notRunning"]')


def open_panel(page: Page, title: str, shown: str) -> None:
    """Open a panel of the desk, and wait for what it shows."""
    page.locator(".st-key-desk-panels").get_by_text(title, exact=True).click()
    page.wait_for_url(lambda url: f"panel={title.lower()}" in url or title in ("Region", "Field"))
    page.wait_for_selector(f".st-key-desk-dock {shown}" if "text=" not in shown else shown)
    page.wait_for_selector('[data-test-script-state="notRunning"]')


def chosen(page: Page, name: str) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query).get(name, [""])[0]


@pytest.mark.long
def test_names_of_fields_are_shown_as_they_are(place, page):
    opened(page, place, "field_map", map="farm", panel="field")
    canvas = page.locator("canvas[data-stamp]")
    seen = set()
    for _ in place.fields:
        before = page.locator("h3").first.inner_text()
        canvas.press("n")
        page.wait_for_function("before => document.querySelector('h3').innerText !== before", arg=before)
        name = chosen(page, "field")
        waits_for_heading(page, f"Field {name}")
        seen.add(name)
    assert seen == set(place.fields)
    open_panel(page, "Claims", "text=Claim none")
    body = page.locator("[data-testid=stMain]").inner_text()
    assert f"Claim none: ![z]({place.ear.url}/d.png)" in body
    assert f"Model trained on: ![y]({place.ear.url}/c.png)" in body
    assert page.locator("[data-testid=stMain] img").count() == 0


@pytest.mark.long
def test_a_map_opens_on_its_only_field_and_hatches_a_claim_that_is_not_stated(place, page):
    opened(page, place, "field_map", map="doubtful")
    for layer in ("yield by field", "yield by pixel"):
        page.get_by_role("button", name=layer).click()
        page.wait_for_timeout(500)
        assert 0.1 < plain_share(page) < 0.9  # neither the stripes nor what is between them fills the middle


def plain_share(page: Page) -> float:
    """Share of the commonest colour in the middle of the map, of all its canvases as they are seen."""
    box = page.locator("canvas[data-stamp]").bounding_box()
    middle = {"x": box["x"] + box["width"] / 2 - 20, "y": box["y"] + box["height"] / 2 - 20, "width": 40, "height": 40}
    with Image.open(io.BytesIO(page.screenshot(clip=middle))) as shown:
        counts = [count for count, _ in shown.convert("RGB").getcolors(40 * 40)]
    return max(counts) / sum(counts)


@pytest.mark.long
def test_names_of_regions_and_maps_are_shown_as_they_are(place, page):
    for name in (place.regions[0], NAMES["emoji"], NAMES["address"], NAMES["formula"]):
        opened(page, place, "yield_map", set="mine", region=name)
        waits_for_heading(page, name)
        assert page.locator("[data-testid=stMain] img, [data-testid=stMain] .katex").count() == 0
        assert page.locator("[data-testid=stMain] a[href*='//']").count() == 0
    opened(page, place, "field_map", map=ODD_MAP)
    assert ODD_MAP in page.locator(".st-key-desk-status").inner_text()
    assert page.locator("[data-testid=stSelectbox] input").first.input_value() == ODD_MAP


@pytest.mark.long
def test_the_last_act_chooses_the_region_wherever_it_was(place, page):
    opened(page, place, "yield_map", set="mine")
    canvas = page.locator("canvas[data-stamp]")
    order = sorted(place.regions)
    canvas.press("n")
    page.wait_for_url("**region=**")
    first = chosen(page, "region")
    waits_for_heading(page, first)
    page.wait_for_selector('[data-test-script-state="notRunning"]')
    open_panel(page, "List", "[data-testid=stDataFrame]")
    click_row(page, 0)
    top = chosen(page, "region")
    click_row(page, 5)
    second = chosen(page, "region")
    assert second != top
    open_panel(page, "Region", "h3")
    waits_for_heading(page, second)
    page.wait_for_selector('[data-test-script-state="notRunning"]')
    canvas.press("n")
    third = order[(order.index(second) + 1) % len(order)]
    waits_for_heading(page, third)
    assert chosen(page, "region") == third
    canvas.press("p")
    waits_for_heading(page, second)
    page.reload()
    waits_for_heading(page, second)
    assert chosen(page, "region") == second


@pytest.mark.long
def test_a_region_without_data_this_season_says_so(place, page):
    opened(page, place, "yield_map", set="mine", region="without 2019")
    page.wait_for_selector("text=No data for without 2019 in 2019.")
    waits_for_heading(page, "without 2019")


@pytest.mark.long
def test_another_map_brings_its_own_layers_and_a_bad_file_costs_nothing(place, page, tmp_path):
    opened(page, place, "field_map", map="other")
    page.get_by_role("button", name="probability below 5").wait_for()
    page.locator(
        "[data-testid=stSelectbox] [role=combobox], [data-testid=stSelectbox] [data-baseweb=select]"
    ).first.click()
    page.get_by_role("option", name="farm", exact=True).click()
    page.get_by_role("button", name="probability below 8").wait_for()
    expect(page.get_by_role("button", name="probability below 5")).to_have_count(0, timeout=WAIT_MS)
    page.wait_for_function("() => new URL(location.href).searchParams.get('map') === 'farm'")
    opened(page, place, "field_map", map="other")
    open_panel(page, "Files", "text=Other fields for this map")
    page.get_by_text("Other fields for this map").click()
    chooser = page.locator("[data-testid=stExpander] input[type=file]")
    bad = tmp_path / "![x](a).geojson"
    bad.write_text('{"type": "FeatureCollection", "features": [{"type"')
    chooser.set_input_files(str(bad))
    page.get_by_role("button", name="Add these fields").click()
    page.locator("[data-testid=stAlert]").first.wait_for()
    expect(page.locator("canvas[data-stamp]")).to_have_count(1, timeout=WAIT_MS)
    good = tmp_path / "c.gpkg"
    squares(["x", "y", "c"]).iloc[2:].to_file(good, driver="GPKG")
    chooser.set_input_files(str(good))
    page.get_by_text("c.gpkg").wait_for()
    page.wait_for_timeout(500)
    page.wait_for_selector('[data-test-script-state="notRunning"]')
    page.get_by_role("button", name="Add these fields").click()
    page.wait_for_timeout(2000)
    page.wait_for_selector('[data-test-script-state="notRunning"]')
    open_panel(page, "List", "text=3 fields;")
    expect(page.locator("[data-testid=stAlert]")).to_have_count(0, timeout=WAIT_MS)


@pytest.mark.long
def test_a_bad_table_costs_nothing(place, page, tmp_path):
    opened(page, place, "yield_map", set="mine")
    page.get_by_role("button", name="My data").click()
    page.get_by_label("Name of the set").fill("bad")
    page.get_by_label("Name of the set").press("Tab")
    bad = tmp_path / "yield_wheat_NL.csv"
    bad.write_text('adm_id,harvest_year,yield\n"NL1,twenty,lots\n')
    page.locator("[data-testid=stPopoverBody] input[type=file]").set_input_files(str(bad))
    keep = page.locator("[data-testid=stPopoverBody] button", has_text="Keep these files")
    page.wait_for_function("b => !b.disabled", arg=keep.element_handle())
    keep.click()
    page.locator("[data-testid=stPopoverBody] [data-testid=stAlert]").wait_for()
    assert "Traceback" not in page.locator("body").inner_text()
    assert page.locator("canvas[data-stamp]").count() == 1
    assert not (place.home / "v1" / "uploads" / "bad").exists()


def test_the_pages_speak_with_this_machine_alone(place):
    port = urllib.parse.urlsplit(place.address).port
    for host, origin, is_taken in (
        (f"127.0.0.1:{port}", place.address, True),
        (f"127.0.0.1:{port}", "http://evil.example", False),
        (f"evil.example:{port}", f"http://evil.example:{port}", False),
    ):
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        link.request("GET", "/_stcore/stream", headers={
            "Host": host, "Origin": origin, "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        })  # fmt: skip
        assert (link.getresponse().status == 101) == is_taken, (host, origin)
        link.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only picks the address that others would use
        own = probe.getsockname()[0]
    if not own.startswith("127."):
        with pytest.raises(OSError, match=r"refused|timed out"):
            socket.create_connection((own, port), timeout=5)
