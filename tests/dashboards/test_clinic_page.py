"""The clinician's page as its users see it: the order, a blind read, decisions by keys, files of one's own, no name."""

import sqlite3
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom import dcmread
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.apps.clinic import clinic_folder, keep_files, known_studies
from mainstem.apps.clinic_demo import write_phantom
from mainstem.core.errors import InputError
from mainstem.dashboards.clinic.reads import review_store
from mainstem.dashboards.components import tables
from tests.dashboards.browser import opened, served
from tests.dashboards.clinic_made import made_clinic

PAGE = Path(dashboards.__file__).parent / "clinic" / "page.py"
CANARY = "CANARYNAME"


@pytest.fixture
def clinic(home) -> dict[str, str]:
    return made_clinic(home)


def run(**address: str) -> AppTest:
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    for name, value in address.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def said_on(page: AppTest) -> str:
    parts = [one.value for kind in (page.markdown, page.caption, page.info, page.warning, page.error) for one in kind]
    return "\n".join(map(str, parts)).replace("\\", "").replace(":small[]", "")


def test_the_urgent_study_is_open_and_the_header_says_what_it_is(clinic):
    page = run()
    said = said_on(page)
    assert "4 of 4 to read: 1 finding, 1 unsure, 1 not predicted, 1 nothing found." in said
    assert "# Sure" in said
    for part in ("simulated", "diagnostics pneumonia 1", "research use only, not a medical device"):
        assert part in said
    table = page.dataframe[0].value
    assert table["study"].tolist() == ["Sure", "Both", "Head", "Normal"]


def test_an_address_older_than_what_was_chosen_since_changes_nothing(clinic):
    page = run(study=clinic["Both"])
    page.session_state["left at"]["clinic"]["study"] = clinic["Head"]  # as a turn keeps it
    page.run()
    assert "# Head" in said_on(page)
    assert page.query_params["study"] == clinic["Head"]


def test_a_choice_repeated_of_a_table_that_began_anew_is_not_taken(monkeypatch):
    row = SimpleNamespace(selection=SimpleNamespace(rows=[1]))
    kept = {tables.TIMES: 2, "list 1": row, "list 2": row}
    monkeypatch.setattr(tables, "st", SimpleNamespace(session_state=kept))
    taken: list[str] = []
    tables._choose("list 1", "list", ("a", "b"), taken.append)
    assert taken == []
    tables._choose("list 2", "list", ("a", "b"), taken.append)
    assert taken == ["b"]


def test_a_search_narrows_the_list_and_says_when_nothing_is_left(clinic):
    assert run(search="unsure").dataframe[0].value["study"].tolist() == ["Both"]
    assert "No study matches" in said_on(run(search="zebra"))


def test_a_blind_list_shows_no_state_and_a_wrong_address_is_said(clinic):
    page = run(blind="True")
    assert set(page.dataframe[0].value["state"]) == {"◌ model hidden", "○ not predicted"}
    assert "There is no such study here" in said_on(run(study="0123"))


def test_without_a_study_the_page_says_what_to_do(home):
    assert "run `mainstem demo`" in said_on(run())


def test_files_of_one_s_own_lose_their_names(tmp_path):
    kept = keep_files(tmp_path, {"DOE^JOHN.dcm": b"x", "1 DOE JANE.NII.GZ": b"y", "doe.ZIP": b"z"})
    assert sorted(path.name for path in kept.iterdir()) == ["00000.dcm", "00001.nii.gz", "00002.zip"]
    with pytest.raises(InputError, match="got 0 files"):
        keep_files(tmp_path, {})


def test_a_damaged_study_is_named_by_its_number_alone(clinic):
    (clinic_folder() / clinic["Head"] / "study.json").write_text('{"id": "x"}')
    with pytest.raises(InputError, match=f"{clinic['Head']}/study.json is damaged"):
        known_studies(clinic_folder())


def canvas_of(page):
    canvas = page.locator("canvas[data-seen='1']")
    canvas.wait_for(timeout=120_000)
    return canvas


def panel(page) -> str:
    return page.locator(".reader-panel").inner_text()


def wait_panel(page, text: str) -> None:
    page.locator(".reader-panel").filter(has_text=text).wait_for(timeout=30_000)


@pytest.mark.long
@pytest.mark.browser
def test_a_reader_opens_blind_overrides_with_a_reason_and_goes_on_by_keys(clinic, home, chromium, monkeypatch):
    with served(home) as address, opened(chromium, 1440) as (page, outside):
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(f"{address}/clinic?blind=True&study={clinic['Sure']}")
        canvas = canvas_of(page)
        box = canvas.bounding_box()
        assert box["width"] * box["height"] >= 0.6 * 1440 * 900
        assert box["y"] + box["height"] <= 900
        assert "research use only, not a medical device" in page.locator(".st-key-desk-status").inner_text()
        assert "96%" not in page.locator("body").inner_text() + panel(page)
        assert page.locator(".reader-overlays button").count() == 0
        canvas.press("o")
        page.get_by_label("What you see", exact=True).fill("opacity, right lower field")
        page.get_by_label("Your sign", exact=True).fill("ab")
        page.get_by_role("button", name="Record, and show the model").click()
        wait_panel(page, "Calibrated probability: pneumonia 96%, normal 4%")
        assert "Claim stated" in panel(page)
        assert page.locator(".reader-overlays button").count() == 1
        canvas_of(page).press("x")
        canvas_of(page).press("o")
        record = page.get_by_role("button", name="Record: overridden")
        record.click()
        page.get_by_text("an override needs a reason").wait_for()
        page.get_by_label("Reason", exact=True).press("ArrowDown")
        page.get_by_label("Reason", exact=True).press("Enter")
        page.get_by_label("Your finding", exact=True).fill("normal")
        page.get_by_label("Your finding", exact=True).press("Tab")
        record.click()
        wait_panel(page, "Decided: overridden")
        page.get_by_text("✎ overridden").first.wait_for(state="attached")
        canvas_of(page).press("n")
        page.wait_for_url(lambda url: clinic["Sure"] not in url)
        assert set(page.url.split("?")[1].replace("study=", "").replace("blind=", "").split("&")) <= {
            *clinic.values(),
            "True",
        }
        assert outside == []
    monkeypatch.setenv("MAINSTEM_HOME", str(home))
    store = review_store()
    assert store.verify().ok
    (database,) = home.glob("v1/review/*.db")
    with sqlite3.connect(database) as connection:
        bodies = [row[0] for row in connection.execute("select body from reviews order by num")][1:]
    assert len(bodies) == 2
    assert '"decision":"defer"' in bodies[0]
    assert '"prediction":false' in bodies[0]
    for part in (
        '"decision":"override"',
        '"first_read":"opacity, right lower field"',
        '"reason_code":"missed_finding"',
        '"user":"ab"',
    ):
        assert part in bodies[1]


@pytest.mark.long
@pytest.mark.browser
def test_a_name_in_a_file_is_on_no_screen_in_no_address_and_in_no_log(home, chromium, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    write_phantom(source)
    archive = tmp_path / f"{CANARY}.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(source.iterdir()):
            dataset = dcmread(path)
            for name in ("PatientName", "PatientID", "SeriesDescription", "StudyDescription", "ReferringPhysicianName"):
                setattr(dataset, name, CANARY)
            dataset.save_as(path)
            packed.write(path, f"{CANARY}/{path.name}")
        packed.writestr(f"{CANARY}.txt", CANARY)
    log = tmp_path / "log"
    with served(home, log) as address, opened(chromium, 1280) as (page, outside):
        page.goto(f"{address}/clinic")
        page.get_by_text("No study yet: run").wait_for(timeout=60_000)
        page.get_by_role("button", name="Open studies of my own").click()
        page.locator("[data-testid=stPopoverBody] input[type=file]").set_input_files(str(archive))
        page.get_by_role("button", name="Open", exact=True).click()
        canvas = canvas_of(page)
        page.locator("canvas[data-held='24']").wait_for(timeout=60_000)
        page.get_by_text("Own study 1").first.wait_for(state="attached")
        assert "no adapter predicts this" in page.locator(".st-key-desk-status").inner_text()
        page.get_by_text("Data and decisions").click()
        page.get_by_text("The list in full").wait_for()
        page.wait_for_timeout(1000)
        everything = page.evaluate("""() => { const all = (root) => root.textContent + [...root.querySelectorAll('*')]
            .map((one) => (one.shadowRoot ? all(one.shadowRoot) : '')).join(''); return all(document.body); }""")
        assert "Own study 1" in everything
        assert CANARY.lower() not in (everything + page.url + page.title()).lower()
        canvas.press("End")
        page.get_by_text("Slice 24 of 24 at 115.0 mm").wait_for()
        assert outside == []
    assert CANARY not in log.read_text()
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in kept if CANARY.encode() in path.read_bytes() or CANARY in str(path)]


@pytest.mark.long
@pytest.mark.browser
def test_the_clinic_fits_a_phone(clinic, home, chromium):
    with served(home) as address, opened(chromium, 400) as (page, outside):
        page.goto(f"{address}/clinic?study={clinic['Head']}")
        canvas = canvas_of(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert canvas.bounding_box()["y"] < 300  # below one folded row of tools
        page.get_by_role("button", name="Tools").click()
        page.get_by_role("button", name="Measure").wait_for()
        assert "Not predicted: no adapter predicts this" in panel(page)
        canvas.press("y")  # why
        wait_panel(page, "not predicted: modality is CT")
        assert outside == []


@pytest.mark.long
@pytest.mark.browser
def test_the_address_and_the_study_stay_after_a_turn(clinic, home, chromium):
    with served(home) as address, opened(chromium, 1280) as (page, _):
        page.goto(f"{address}/clinic")
        title = page.locator("h1")
        for titled in ("Both", "Head"):
            canvas_of(page).press("n")
            title.filter(has_text=titled).wait_for(timeout=30_000)
            page.wait_for_timeout(5000)  # in which the browser asks for slices, under the address that it has by then
            assert page.url.endswith(f"study={clinic[titled]}")
        page.get_by_test_id("stCheckbox").get_by_text("Blind first read").click()
        page.wait_for_url("**blind=True**")
        page.wait_for_timeout(1000)
        assert "Head" in title.inner_text()
        page.go_back()
        page.wait_for_url(lambda url: "blind" not in url)
        page.go_back()  # the one thing that the address may still say after the page is open
        title.filter(has_text="Both").wait_for(timeout=30_000)


@pytest.mark.long
@pytest.mark.browser
def test_steps_and_a_decision_in_one_breath_are_about_the_study_that_is_seen(clinic, home, chromium):
    with served(home) as address, opened(chromium, 1280) as (page, _):
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(f"{address}/clinic?study={clinic['Sure']}")
        canvas = canvas_of(page)
        for key in ("n", "n", "n", "d"):  # Sure, Both, Head, Normal; the decision comes too early
            canvas.press(key)
        page.locator(".reader-busy").filter(has_text="Defer was not taken").wait_for()
        wait_panel(page, "normal, all else ruled out")
        page.locator("canvas[data-waiting='']").wait_for(timeout=30_000)
        canvas_of(page).press("d")
        page.get_by_role("dialog").get_by_text("Normal stays on the list").wait_for(timeout=30_000)
        dock = page.locator(".st-key-desk-dock").bounding_box()
        assert dock["y"] + dock["height"] <= 800  # all controls are in sight
