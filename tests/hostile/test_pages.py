"""Hostile inputs to the pages: files behind a map, addresses, names, uploads: one line, and the page stays."""

import ast
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import Polygon
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.adapters.crop_yield import TASK
from mainstem.apps import field_maps, region_sets
from mainstem.apps.field_maps import keep_inputs
from mainstem.apps.finetune import finetune
from mainstem.apps.region_sets import choices, keep_upload
from mainstem.core.errors import InputError, MainstemError
from mainstem.core.finetuning import FitSpec
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig
from mainstem.dashboards.field_map.board import load_field_board
from mainstem.dashboards.field_map.edits import add_field, import_fields
from mainstem.dashboards.shell import origin_of, plain
from tests.dashboards.made import GRID, TAGS, small_map, squares
from tests.hostile.harness import canary

PAGES = Path(dashboards.__file__).parent
NOTES = {"names": ["mean", "lower", "upper"], "tags": TAGS, "mean_factor": 0.8}
NAMES = {
    "html": "<img src=x onerror=alert(1)><b>bold</b></script>",
    "formula": "$\\frac{1}{2}$ and $$x^2$$",
    "icon": ":material/home: and :material_home:",
    "colour": ":red[danger] :blue-badge[safe]",
    "emoji": ":smile: :+1: :100:",
    "code": "`code` ``more`` ~~gone~~ **loud** _soft_",
    "address": "http://example.org/a www.example.org someone@example.org",
    "arrows": "a -> b -- c >= d <= e",
    "list": "1. one # two - three | four",
    "entities": "&amp; &#58;smile&#58; \\: \\\\",
}


@pytest.fixture
def shown(home) -> Path:
    """A small map with two fields."""
    return small_map(home, "farm", ["a", "b"])


def page(view: str, **address: str) -> AppTest:
    """A page, drawn once without a browser."""
    test = AppTest.from_file(str(PAGES / view / "page.py"), default_timeout=60)
    for name, value in address.items():
        test.query_params[name] = value
    return test.run()


def lines(test: AppTest) -> str:
    """All that the page says, without the marks that keep letters as they are."""
    parts = [*test.error, *test.warning, *test.info, *test.markdown, *test.caption, *test.subheader]
    return "\n".join(part.value for part in parts).replace(":small[]", "").replace("\\", "")


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


BAD_NOTES = {
    "list": "[]",
    "null": "null",
    "empty": "",
    "text": "notes",
    "binary": "\x00\xff\x00",
    "deep": "[" * 100_000,
    "no names": json.dumps({**NOTES, "names": None}),
    "names of another map": json.dumps({**NOTES, "names": ["mean", "lower", "upper", "probability below 8"]}),
    "classes": json.dumps({**NOTES, "names": ["maize", "wheat", "grass"]}),
    "tags of another map": json.dumps({**NOTES, "tags": {**TAGS, "CLAIM": "stated", "UNITS": "percent"}}),
    "real data over a simulated map": json.dumps({**NOTES, "tags": {**TAGS, "INPUTS": "real"}}),
    "tags a list": json.dumps({**NOTES, "tags": ["UNITS"]}),
    "tag a number": json.dumps({**NOTES, "tags": {**TAGS, "UNITS": 5}}),
    "no claim": json.dumps({**NOTES, "tags": {key: value for key, value in TAGS.items() if key != "CLAIM"}}),
    "level nan": json.dumps({**NOTES, "tags": {**TAGS, "LEVEL": "nan"}}),
    "level 90": json.dumps({**NOTES, "tags": {**TAGS, "LEVEL": "90"}}),
    "factor nan": json.dumps({**NOTES, "mean_factor": float("nan")}),
    "factor text": json.dumps({**NOTES, "mean_factor": "0.8"}),
    "factor huge": json.dumps({**NOTES, "mean_factor": 1e300}),
    "factor 0": json.dumps({**NOTES, "mean_factor": 0.0}),
    "lowest above highest": json.dumps({**NOTES, "lowest": 50.0, "highest": 5.0}),
    "lowest as highest": json.dumps({**NOTES, "lowest": 5.0, "highest": 5.0}),
    "lowest above all there is": json.dumps({**NOTES, "lowest": 1e9}),
    "highest below all there is": json.dumps({**NOTES, "highest": -1e9}),
    "five mebibytes": json.dumps({**NOTES, "more": "x" * (5 << 20)}),
}


@pytest.mark.long
@pytest.mark.parametrize("case", BAD_NOTES)
def test_bad_notes_are_one_line_and_the_page_stays(shown, case):
    (shown / "notes.json").write_text(BAD_NOTES[case], encoding="latin-1")
    with pytest.raises(InputError, match=r"notes\.json|holds no layers"):
        load_field_board("farm")
    small_map(shown.parents[2], "other", ["a"])
    test = page("field_map", map="farm")
    assert not test.exception
    assert [error.value for error in test.error]
    assert test.selectbox(key="map").options == ["other", "farm"]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def disguised(path: Path) -> None:
    path.write_text(f'<VRTDataset rasterXSize="1" rasterYSize="1"><SRS>{path}</SRS></VRTDataset>')


BAD_MAPS = {
    "truncated": truncated,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("a map"),
    "vrt": disguised,
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "flipped": lambda path: path.write_bytes(bytes(255 - byte for byte in path.read_bytes())),
}


@pytest.mark.long
@pytest.mark.parametrize("case", BAD_MAPS)
def test_a_bad_map_is_one_line_and_the_page_stays(shown, case):
    BAD_MAPS[case](shown / "map.tif")
    with pytest.raises(MainstemError):
        load_field_board("farm")
    test = page("field_map")
    assert not test.exception
    assert len(test.error) == 1
    assert "\n" not in test.error[0].value
    assert test.selectbox(key="map").value == "farm"


BAD_FIELDS = {
    "text": lambda path: path.write_text("fields"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncated,
    "no means": lambda path: squares(["a"]).to_file(path, driver="GPKG"),
    "one name twice": lambda path: squares(["a", "a"]).to_file(path, driver="GPKG"),
    "crossed": lambda path: gpd.GeoDataFrame(
        {"field": ["a"]}, geometry=[Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])], crs=GRID.crs
    ).to_file(path, driver="GPKG"),
}


@pytest.mark.long
@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_map_is_shown_without_its_damaged_fields(shown, case):
    if case != "truncated":
        (shown / "fields.gpkg").unlink()
    BAD_FIELDS[case](shown / "fields.gpkg")
    board = load_field_board("farm")
    assert len(board.problems) == 1
    assert np.isfinite(board.bands["mean"]).all()
    test = page("field_map")
    assert not test.exception
    assert len(test.error) == 1


@pytest.mark.long
def test_numbers_that_are_none_leave_a_field_to_visit(shown):
    table = gpd.read_file(shown / "fields.gpkg")
    table["mean"], table["level"], table["seen_share"] = ["much", None], np.inf, np.nan
    table.to_file(shown / "fields.gpkg", driver="GPKG")
    test = page("field_map", field="a")
    assert not test.exception
    assert "cannot say: visit" in lines(test)


@pytest.mark.parametrize("name", ["../..", "..", "", ".", "/etc", "a/b", "farm/", "nul\0", "x" * 5000, "*"])
def test_a_map_is_named_not_sought(shown, name):
    with pytest.raises(InputError, match="no map named"):
        load_field_board(name)


ADDRESSES = {
    "map": {"map": "../../etc"},
    "map of html": {"map": "<script>alert(1)</script>"},
    "map with NUL": {"map": "nul\0"},
    "long map": {"map": "x" * 5000},
    "field": {"field": "![x](http://127.0.0.1:9/a.png)"},
    "field of another map": {"field": "z"},
    "date": {"date": "2021-13-99"},
    "compare": {"compare": "maybe"},
    "everything": {"map": "1", "field": "2", "date": "3", "other": "4", "compare": "5", "run": "../../etc/passwd"},
}


@pytest.mark.long
@pytest.mark.parametrize("case", ADDRESSES)
def test_the_field_page_bears_any_address(shown, case):
    test = page("field_map", **ADDRESSES[case])
    assert not test.exception
    assert not test.error
    asked = {"map": "There is no map", "field": "There is no field"}
    for name, words in asked.items():
        if name in ADDRESSES[case]:
            assert words in lines(test)
    assert test.selectbox(key="map").value == "farm"


def test_a_map_deleted_while_shown_is_said(shown):
    test = page("field_map", map="farm")
    shutil.rmtree(shown)
    small_map(shown.parents[2], "other")
    test.run()
    assert not test.exception
    assert "There is no map farm here; shown is other." in lines(test)
    shutil.rmtree(shown.with_name("other"))
    test.run()
    assert not test.exception
    assert "No map yet" in lines(test)


CORNERS = {
    "nan": [[float("nan"), 0], [1, 1], [2, 0]],
    "huge": [[1e308, 1e308], [-1e308, 0], [0, -1e308]],
    "two": [[0, 0], [1, 1]],
    "text": ["a", "b", "c"],
    "numbers as text": [["1", "2"], ["3", "4"], ["5", "6"]],
    "an object": {"0": [0, 0]},
    "none": None,
    "many": [[0.0, 0.0]] * 20_000,
    "three numbers": [[0, 0, 0], [1, 1, 1], [2, 0, 2]],
    "crossed": [[500_010, 4_599_990], [500_090, 4_599_900], [500_090, 4_599_990], [500_010, 4_599_900]],
    "a line": [[500_010, 4_599_990], [500_050, 4_599_950], [500_090, 4_599_910]],
    "elsewhere": [[0, 0], [10, 0], [10, 10]],
}


@pytest.mark.long
@pytest.mark.parametrize("case", CORNERS)
def test_a_hostile_drawing_is_refused_and_nothing_is_lost(shown, case):
    before = written(shown)
    with pytest.raises(InputError):
        add_field(load_field_board("farm"), CORNERS[case])
    assert written(shown) == before


def test_two_tabs_draw_without_losing_a_field(shown):
    boards = [load_field_board("farm"), load_field_board("farm")]
    corners = [(500_300, 4_599_600), (500_340, 4_599_600), (500_340, 4_599_640)]
    assert [add_field(board, corners) for board in boards] == ["drawn 1", "drawn 2"]
    assert set(load_field_board("farm").table["field"]) == {"a", "b", "drawn 1", "drawn 2"}


def test_drawing_and_importing_leave_the_colours_alone(shown):
    before = load_field_board("farm")
    ends = before.scale(before.bands["mean"])
    add_field(before, [(500_300, 4_599_600), (500_340, 4_599_600), (500_340, 4_599_640)])
    after = load_field_board("farm")
    assert after.scale(after.bands["mean"]) == ends


def test_importing_adds_and_replaces_only_when_asked(shown, tmp_path):
    board = load_field_board("farm")
    add_field(board, [(500_300, 4_599_600), (500_340, 4_599_600), (500_340, 4_599_640)])
    path = tmp_path / "more.geojson"
    squares(["a", "b", "c"]).to_crs("EPSG:4326").to_file(path, driver="GeoJSON", COORDINATE_PRECISION=9)
    assert import_fields(board, path.name, path.read_bytes()) == (4, (), "")
    assert set(load_field_board("farm").table["field"]) == {"a", "b", "c", "drawn 1"}
    squares(["x", "b"]).to_crs("EPSG:4326").to_file(path, driver="GeoJSON", COORDINATE_PRECISION=9)
    other = tmp_path / "other.gpkg"
    squares(["x", "y", "a"]).to_file(other, driver="GPKG")
    count, (left_out,), _ = import_fields(board, other.name, other.read_bytes())
    assert count == 6
    assert str(left_out).startswith("field 'a' (row 3) has the name of another field")
    assert import_fields(board, other.name, other.read_bytes(), replace=True) == (3, (), "")
    assert "drawn 1" in set(gpd.read_file(shown / "fields.replaced.gpkg")["field"])


@pytest.mark.parametrize(
    "name",
    [
        "../../x.geojson",
        "/etc/x.geojson",
        "a\\b.geojson",
        "nul\0.geojson",
        ".hidden.geojson",
        "x" * 300 + ".geojson",
        "",
    ],
)
def test_an_imported_file_s_name_is_no_path(shown, name):
    before = written(shown)
    with pytest.raises(InputError, match="rename it"):
        import_fields(load_field_board("farm"), name, b"{}")
    assert written(shown) == before


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "zip", "kml"])
def test_an_imported_file_in_disguise_reads_no_other_file(shown, tmp_path, suffix):
    path, secret = canary(tmp_path)
    layer = f'<OGRVRTLayer name="x"><SrcDataSource>{path}</SrcDataSource></OGRVRTLayer>'
    content = f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>"
    before = written(shown)
    with pytest.raises(InputError) as error:
        import_fields(load_field_board("farm"), f"fields.{suffix}", content.encode())
    assert secret not in str(error.value)
    assert written(shown) == before


SCENE, WEATHER = {"s_20210601.tif": b"II*\0"}, {"weather.csv": b"date\n"}


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("../x", {**SCENE, **WEATHER}),
        ("farm", {**SCENE, **WEATHER}),
        ("x" * 41, {**SCENE, **WEATHER}),
        ("a\nb", {**SCENE, **WEATHER}),
        ("own", {**SCENE, "../weather.csv": b"date\n"}),
        ("own", {"..": b"", **SCENE, **WEATHER}),
        ("own", {"nul\0.tif": b"", **WEATHER}),
        ("own", {"/tmp/a.tif": b"", **WEATHER}),
        ("own", {"x" * 300 + ".tif": b"", **WEATHER}),
        ("own", {**SCENE, **WEATHER, "notes.docx": b"PK"}),
        ("own", {**SCENE, **WEATHER, "a.gpkg": b"", "b.geojson": b""}),
        ("own", {**SCENE, **WEATHER, "soil.tif": b"", "SOIL.TIF": b""}),
        ("own", {**SCENE, **WEATHER, "soil.tif": b"", "Soil.tiff": b""}),
        ("own", {**WEATHER, "soil.tiff": b"", "YIELD.TIFF": b""}),
        ("own", SCENE),
        ("own", WEATHER),
        ("own", {}),
    ],
    ids=lambda value: None,
)
def test_uploaded_scenes_are_kept_whole_or_not_at_all(shown, name, files):
    before = written(shown.parent)
    with pytest.raises(InputError):
        keep_inputs(name, files)
    assert written(shown.parent) == before
    assert [path.name for path in shown.parent.iterdir()] == ["farm"]


@pytest.mark.parametrize(
    "files",
    [{"2024-05-01.TIF": b"II*\0", "a.tiff": b"II*\0", **WEATHER}, {**SCENE, "W.CSV": b"date\n", "SOIL.TIF": b""}],
)
def test_the_case_of_a_file_s_name_drops_none(shown, files):
    kept = keep_inputs("own", files)
    assert {path.name for path in kept} == {name for name in files if ".tif" in name.lower() and name != "SOIL.TIF"}


class Interrupted(dict[str, bytes]):
    """Files, between whose first and second something else happens."""

    def __init__(self, files: dict[str, bytes], then: Callable[[], object]) -> None:
        super().__init__(files)
        self.then = then

    def items(self):
        for index, item in enumerate(super().items()):
            if index == 1:
                self.then()
            yield item


def test_two_uploads_of_one_name_do_not_mix(shown):
    mine, theirs = {**SCENE, **WEATHER}, dict.fromkeys((*SCENE, *WEATHER), b"theirs")

    def meanwhile() -> None:
        with pytest.raises(InputError, match="another process"):
            keep_inputs("own", theirs)

    kept = keep_inputs("own", Interrupted(mine, meanwhile))
    assert {path.name: path.read_bytes() for path in kept[0].parent.iterdir()} == mine


def test_two_uploads_of_one_set_do_not_mix(home):
    mine = {"yield_wheat_NL.csv": YIELDS, "location_wheat_NL.csv": b"adm_id,latitude,longitude\nNL1,52,5\n"}

    def meanwhile() -> None:
        with pytest.raises(InputError, match="another process"):
            keep_upload("own", {"yield_wheat_NL.csv": YIELDS.replace(b"8.0", b"7.0")})

    kept = keep_upload("own", Interrupted(mine, meanwhile))
    assert {path.name: path.read_bytes() for path in kept.folder.rglob("*.csv")} == mine


YIELDS = b"adm_id,harvest_year,yield\nNL1,2019,8.0\nNL1,2020,8.4\n"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("us-maize", {"yield_wheat_NL.csv": YIELDS}),
        ("simulated-maize", {"yield_wheat_NL.csv": YIELDS}),
        ("own", {"yield_wheat_NL.csv": b""}),
        ("own", {"yield_wheat_NL.csv": b"\x1f\x8b" + bytes(100)}),
        ("own", {"yield_wheat_NL.csv": b'adm_id,harvest_year,yield\n"NL1,2019,8.0\n'}),
        ("own", {"yield_wheat_NL.csv": b"adm_id,harvest_year,yield\nNL1,twenty,8.0\n"}),
        ("own", {"yield_wheat_NL.csv": bytes(1000)}),
        ("own", {"yield_wheat_NL.csv": b"a,b\n1\n2,3,4\n"}),
        ("own", {"yield_wheat_NL.csv": YIELDS, "yield_maize_NL.csv": YIELDS}),
        ("own", {"yield_wheat_NL.csv": YIELDS, "location_wheat_NL.csv/../../x.csv": YIELDS}),
    ],
    ids=lambda value: None,
)
def test_uploaded_yields_are_kept_whole_or_not_at_all(home, name, files):
    with pytest.raises(MainstemError):
        keep_upload(name, files)
    uploads = home / "v1" / "uploads"
    assert not uploads.exists() or not list(uploads.iterdir())


def test_odd_folders_among_the_uploads_are_not_offered(home):
    for name in ("us-maize", "<b>", ".hidden", "![x](http://127.0.0.1:9)"):
        folder = home / "v1" / "uploads" / name.replace("/", "_") / "wheat" / "NL"
        folder.mkdir(parents=True)
        (folder / "yield_wheat_NL.csv").write_bytes(YIELDS)
    (home / "v1" / "uploads" / "file").write_text("no folder")
    assert [choice.name for choice in choices()] == ["simulated-maize"]


def test_what_was_left_out_of_an_upload_is_said_on_the_page(home):
    rows = [f"NL{region};{2010 + year};8,{region}" for region in range(3) for year in range(9)]
    rows[4] = "NL0;2014;about 8"
    kept = keep_upload("own", {"yield_wheat_NL.csv": "\n".join(["adm_id;harvest_year;yield", *rows]).encode()})
    (note,) = kept.notes()
    for words in ("26 of 27 yields taken, 1 left out, first NL0 2014, row 6", "semicolons", "decimal commas"):
        assert words in note
    shown = lines(page("yield_map", set="own"))
    assert note in shown
    assert "No model of these regions yet" in shown
    plainly = keep_upload("two", {"yield_wheat_NL.csv": YIELDS})
    assert plainly.notes() == []


def test_the_crop_of_the_upload_form_reaches_the_map(home, monkeypatch):
    asked = []
    keep_inputs("own", {**SCENE, **WEATHER})
    monkeypatch.setattr(field_maps, "map_scenes", lambda *given: asked.append(given[4].facts))
    field_maps.make_map("own", crop=" Maize ")
    field_maps.make_map("own")
    assert asked == [{"crop": "maize"}, {}]
    form = page("field_map")
    assert "Crop" in [box.label for box in form.text_input]
    assert "*crop*" in "".join(text.value for text in form.markdown)


def test_a_run_of_an_older_version_is_set_aside_and_said_so(home, monkeypatch):
    quick = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2)
    rows = [f"NL{region},{2010 + year},{8 + (region * year) % 5 / 10}" for region in range(3) for year in range(9)]
    choice = keep_upload("own", {"yield_wheat_NL.csv": "\n".join(["adm_id,harvest_year,yield", *rows]).encode()})
    finetune(replace(TASK, version="0"), choice.read(), FitSpec(config=quick), choice.run())
    shown = lines(page("yield_map", set=choice.name))
    assert "made by version 0 of crop-yield" in shown
    assert f"{choice.run().name}.old-1" in shown
    assert "No model of these regions yet" not in shown
    monkeypatch.setattr(region_sets, "TASK", replace(TASK, config=quick))
    choice.train()
    assert choice.is_trained()
    assert choice.outdated() == ""
    assert (choice.run().with_name(f"{choice.run().name}.old-1") / "adapter.safetensors").is_file()


@pytest.mark.long
@pytest.mark.parametrize(
    "address", [{"set": "../../etc"}, {"set": "<script>"}, {"season": "1850", "region": "$x$", "lead": "-1"}, {}]
)
def test_the_yield_page_without_a_run_says_so(home, address):
    test = page("yield_map", **address)
    assert not test.exception
    assert "No model of these regions yet" in lines(test)


@pytest.mark.parametrize("content", [b"", b"{}", bytes(64), b"\xff" * 64, b"\x10\0\0\0\0\0\0\0[]              "])
def test_a_damaged_run_is_one_line_and_can_be_trained_anew(home, content):
    run = choices()[-1].run()
    run.mkdir(parents=True)
    (run / "adapter.safetensors").write_bytes(content)
    test = page("yield_map")
    assert not test.exception
    assert len(test.error) == 1
    assert [button.label for button in test.button if "Train" in button.label] == ["Train it anew"]


def test_home_lists_damaged_maps_as_such(shown):
    (shown / "notes.json").write_text("[]")
    test = AppTest.from_file(str(PAGES / "home.py"), default_timeout=60).run()
    assert not test.exception
    assert "farm (damaged)" in lines(test)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ([True], "simulated"),
        ([False], "real data"),
        ([True, False], "partly simulated"),
        ([], "origin unknown"),
    ],
)
def test_the_header_s_word_comes_from_the_data(facts, words):
    assert origin_of(facts) == words


@pytest.mark.parametrize(("inputs", "words"), [("real", "real data"), ("simulated", "simulated"), ("", "unknown")])
def test_a_map_says_what_its_scenes_and_its_model_come_from(home, inputs, words):
    small_map(home, "farm", ["a"], INPUTS=inputs)
    heading = next(part.value for part in page("field_map").markdown if "-badge[" in part.value)
    assert words in heading
    assert ("model of simulated" in heading) == (inputs != "simulated")


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1"])
def test_no_field_s_name_is_a_formula_in_a_spreadsheet(home, name):
    folder = small_map(home, "farm", [name])
    rows = (folder / "fields.csv").read_text().splitlines()
    assert not rows[1].lstrip('"').startswith(("=", "+", "-", "@", "\t"))


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x00b", "a\u202eb", "a\u2066b", "a\x1bb", "a\ud800b", "x" * 5000])
def test_texts_stay_short_and_on_their_line(text):
    shown = plain(text)
    assert len(shown) <= 800
    assert not set(shown) & set("\n\r\x00\u202e\u2066\x1b\ud800")


def test_every_text_on_a_page_is_kept_from_markdown():
    loose = [found for path in sorted(PAGES.rglob("*.py")) for found in unsafe_calls(path)]
    assert loose == []


OURS = ("badges", "count", "title", "NO_FIELDS")  # names of what is made of plain texts, numbers, or words in the code
READS_MARKDOWN = {
    "markdown", "caption", "write", "warning", "error", "success", "info", "title", "header", "subheader", "toast",
    "metric", "progress", "expander", "popover", "button", "checkbox", "toggle", "radio", "slider", "select_slider",
    "selectbox", "segmented_control", "text_input", "number_input", "file_uploader", "tabs", "download_button",
    "page_link", "exception", "multiselect", "badge", "status", "spinner",
}  # fmt: skip


def unsafe_calls(path: Path) -> list[str]:
    """Calls that hand Markdown a text which is neither ours, a number, nor went through `plain`."""
    found = []
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        texts = [*call.args[:1], *(word.value for word in call.keywords if word.arg in ("help", "label", "body"))]
        if call.func.attr == "progress":
            texts = call.args[1:]
        if call.func.attr == "page_link":  # its first argument is a page
            texts = texts[1:]
        if call.func.attr in READS_MARKDOWN and not all(is_ours(text) for text in texts):
            found.append(f"{path.name}:{call.lineno}")
        if any(word.arg == "unsafe_allow_html" for word in call.keywords):
            found.append(f"{path.name}:{call.lineno} unsafe_allow_html")
    return found


def is_ours(text: ast.expr) -> bool:
    if isinstance(text, ast.JoinedStr):
        return all(is_ours(part) for part in text.values)
    if isinstance(text, ast.FormattedValue):
        is_number = text.format_spec is not None or ast.unparse(text.value).startswith("len(")
        return is_number or is_ours(text.value)
    if isinstance(text, ast.IfExp):
        return is_ours(text.body) and is_ours(text.orelse)
    if isinstance(text, ast.BinOp) and isinstance(text.op, ast.Mult):  # an ending repeated
        return is_ours(text.left)
    if isinstance(text, ast.Call):
        return isinstance(text.func, ast.Name) and text.func.id in ("plain", "len")
    return isinstance(text, ast.Constant) or (isinstance(text, ast.Name) and text.id in OURS)
