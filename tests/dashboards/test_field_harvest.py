"""A harvest on the field page: units asked for, logs kept or refused whole, what was taken out drawn and counted."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import box

from mainstem.apps.field_maps import known_maps, maps_folder
from mainstem.apps.fields import harvest_maps
from mainstem.apps.fields.harvest import HarvestSpec, harvest
from mainstem.apps.fields.harvest_files import TAKEN
from mainstem.apps.fields.harvest_maps import keep_logs, make_harvest, read_counts, said_on_page
from mainstem.core.errors import InputError
from mainstem.dashboards.field_map.board import load_field_board
from mainstem.dashboards.field_map.edits import import_fields, rename_field
from mainstem.dashboards.field_map.layers import list_layers
from mainstem.data.earth.harvests.cleaning import clean
from tests.dashboards.browser import opened, served
from tests.data.earth.harvest_logs import plant, write_log
from tests.data.earth.test_harvest_isoxml import TASKS, record, write


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> bytes:
    path = write_log(tmp_path_factory.mktemp("log") / "log.csv", plant("spikes", seed=7).points)
    return path.read_text().replace("yield_t_ha", "yield").replace("swath_m", "swath").encode()


def test_logs_become_a_map_that_shows_what_was_taken_out_and_counts_it(home, log):
    said = said_on_page({"yield": "t/ha", "swath": ""}, "--unit swath=m", "wheat")
    keep_logs("home 2026", {"log.csv": log}, said)
    assert known_maps() == []  # not before it is whole
    make_harvest("home 2026")
    board = load_field_board("home 2026")
    assert board.problems == ()
    assert board.table["mean"].notna().all()
    layers = {layer.title: layer for layer in list_layers(board, "")}
    assert layers[TAKEN].raster.pixels.max() > 1
    counts, notes = read_counts(board.folder)
    assert counts["outlier"] > 50
    assert counts["read"] == len(plant("spikes", seed=7).points)
    assert any("flow delay" in note for note in notes)


def test_a_field_has_one_interval_whichever_way_its_border_came(home, log, tmp_path):
    cleaned = clean(plant("spikes", seed=7).points)
    left, low, high = cleaned.x.min(), cleaned.y.min(), cleaned.y.max()
    shape = box(left + 12, low + 7, left + 0.6 * (cleaned.x.max() - left), high - 13)
    table = gpd.GeoDataFrame({"name": ["west"], "rent": [300]}, geometry=[shape], crs=cleaned.points.local_crs())
    table.to_file(tmp_path / "borders.gpkg")
    (tmp_path / "log.csv").write_bytes(log)
    said = said_on_page({"yield": "t/ha", "swath": "m"}, "", "wheat")
    spec = HarvestSpec(paths=(tmp_path / "log.csv",), said=said, fields=tmp_path / "borders.gpkg")
    told = harvest(spec)[0].table.iloc[0]
    border = (tmp_path / "borders.gpkg").read_bytes()
    keep_logs("brought after", {"log.csv": log}, said)
    make_harvest("brought after")
    import_fields(load_field_board("brought after"), "borders.gpkg", border)
    keep_logs("brought with it", {"log.csv": log}, said, {"borders.gpkg": border})
    make_harvest("brought with it")
    for name in ("brought after", "brought with it"):
        row = load_field_board(name).table.set_index("field").loc["west"]
        assert row[["mean", "lower", "upper"]].tolist() == pytest.approx(
            [told["mean"], told["lower"], told["upper"]], rel=1e-6
        )
        assert (row["crop"], row["rent"], row["reason"]) == ("wheat", 300, told["reason"])
    assert load_field_board("brought with it").table["field"].tolist() == ["west"]
    with pytest.raises(InputError, match=r"got borders 'a\.exe'"):
        keep_logs("odd", {"log.csv": log}, said, {"a.exe": border})
    (maps_folder() / "brought after" / "harvest.json").write_text("{}")
    with pytest.raises(InputError, match=r"harvest\.json or points\.gpkg .* make the map again"):
        rename_field(load_field_board("brought after"), "west", "w")


@pytest.mark.parametrize(
    ("name", "file", "options", "message"),
    [
        ("home", "log.csv", "", "pass --unit UNIT for 'yield'.*pass --unit swath=UNIT"),
        ("home", "log.csv", "--unit swath=m", "pass --unit UNIT for 'yield'"),
        ("home", "log.csv", "--magic 3", "got '--magic', want --unit swath=ft"),
        ("home", "log.csv", "--unit 'swath", "quotes do not close"),
        ("../home", "log.csv", "", "got the name '../home'"),
        ("home", "../log.csv", "--unit t/ha", "got a file named"),
        ("home", "log.exe", "--unit t/ha", "want logs as .csv"),
    ],
)
def test_what_cannot_be_read_leaves_nothing_and_says_what_to_type(home, log, name, file, options, message):
    with pytest.raises(InputError, match=message):
        keep_logs(name, {file: log}, said_on_page({}, options, "wheat"))
    assert not maps_folder().is_dir() or not list(maps_folder().glob("[!.]*"))


def test_a_harvest_that_cannot_be_mapped_leaves_its_name_free(home):
    rows = [f"{10.1 + 1e-5 * step:.6f},54.5,0.0" for step in range(40)]
    text = "\n".join(["lon,lat,yield_t_ha", *rows]).encode()
    keep_logs("empty", {"log.csv": text}, said_on_page({}, "", ""))
    with pytest.raises(InputError, match="no record of the harvest is left"):
        make_harvest("empty")
    assert not (maps_folder() / "empty").exists()


def test_names_alike_at_first_get_numbers_and_a_stop_leaves_none_behind(home, tmp_path, monkeypatch):
    files = {path.name: path.read_bytes() for path in two_fields(tmp_path / "TASKDATA").iterdir()}
    for name in ("Grandfather north farm 2025", "Grandfather north farm 2026"):
        keep_logs(name, files, said_on_page({}, "", "wheat"))
        make_harvest(name)
    assert len(known_maps()) == 4
    assert {"Grandfather north farm 20 PFD-2", "Grandfather north farm 20 PFD-2 2"} < set(known_maps())
    before, write = set(known_maps()), harvest_maps.write_map

    def stopped(one, place):
        if place.name == "west":  # the second is written first
            raise KeyboardInterrupt
        write(one, place)

    keep_logs("west", files, said_on_page({}, "", "wheat"))
    monkeypatch.setattr(harvest_maps, "write_map", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_harvest("west")
    assert set(known_maps()) == before


def test_task_data_of_two_fields_become_two_maps(home, tmp_path):
    files = {path.name: path.read_bytes() for path in two_fields(tmp_path / "TASKDATA").iterdir()}
    keep_logs("home", files, said_on_page({}, "", "wheat"))
    make_harvest("home")
    assert sorted(known_maps()) == ["home", "home PFD-2"]
    for name in known_maps():
        assert load_field_board(name).table["mean"].iloc[0] == pytest.approx(8.0, abs=0.1)
    keep_logs("home again", files, said_on_page({}, "", "wheat"))
    with pytest.raises(InputError, match="binary and its XML disagree"):
        keep_logs("cut", {**files, "TLG00002.bin": files["TLG00002.bin"][:-3]}, said_on_page({}, "", "wheat"))


def two_fields(folder: Path) -> Path:
    """Task data of one log on each of two fields."""
    write(folder, [record(second) for second in range(120)])
    tasks = TASKS.format(field="PFD-1")
    second = '<TSK A="TSK-2" B="cut" E="PFD-2" G="4"><TLG A="TLG00002" C="1"/></TSK></ISO11783_TaskData>'
    told = tasks.replace("<DVC", '<PFD A="PFD-2" C="away" D="10000"/><DVC', 1).replace("</ISO11783_TaskData>", second)
    (folder / "TASKDATA.XML").write_text(told)
    for suffix in ("xml", "bin"):
        (folder / f"TLG00002.{suffix}").write_bytes((folder / f"TLG00001.{suffix}").read_bytes())
    return folder


@pytest.mark.long
@pytest.mark.browser
def test_an_agronomist_brings_a_log_is_asked_for_units_and_sees_what_was_taken_out(tmp_path, log, chromium):
    path = tmp_path / "log.csv"
    path.write_bytes(log)
    with served(tmp_path / "home") as address, opened(chromium) as (page, outside):
        page.set_default_timeout(120_000)
        page.goto(f"{address}/field_map")
        page.get_by_role("button", name="My data").click(timeout=180_000)
        page.get_by_text("A harvest", exact=True).click()
        page.get_by_role("textbox", name="Name of the harvest").fill("home 2026")
        page.get_by_role("textbox", name="Name of the harvest").press("Enter")
        page.wait_for_selector("text=Still to give: files")
        page.get_by_role("textbox", name="Crop").fill("wheat")
        page.get_by_role("textbox", name="Crop").press("Enter")
        page.wait_for_timeout(2000)  # an upload in the midst of a rerun is lost
        page.locator("[data-testid=stPopoverBody] input[type=file]").first.set_input_files(path)
        page.get_by_role("button", name="Map the harvest").click()
        page.wait_for_selector("text=pass --unit UNIT for 'yield'")
        page.get_by_role("textbox", name="Other units and columns").fill("--unit t/ha --unit swath=m")
        page.get_by_role("textbox", name="Other units and columns").press("Enter")
        page.get_by_role("button", name="Map the harvest").click()
        canvas = page.locator("canvas[data-stamp]").first
        canvas.wait_for(timeout=180_000)
        page.get_by_role("button", name=TAKEN).click()
        page.get_by_text("Claims", exact=True).click()
        page.wait_for_selector("text=records kept")
        assert np.isclose(float(canvas.get_attribute("data-rasters") or 0), 3)
        assert not outside
