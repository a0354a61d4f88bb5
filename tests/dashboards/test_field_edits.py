"""A user's fields drawn, named, altered, deleted and brought on a map: undone, redone, and never lost."""

import json
import os
import threading
from contextlib import nullcontext
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import Polygon
from streamlit.testing.v1 import AppTest

from mainstem.apps.map_files import NOTES
from mainstem.apps.map_notes import read_notes
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import locked
from mainstem.dashboards import field_map
from mainstem.dashboards.field_map import edits, journal
from mainstem.dashboards.field_map.board import FieldBoard, fields_on, load_field_board
from mainstem.dashboards.field_map.edits import (
    add_field,
    alter_field,
    delete_field,
    import_fields,
    put_back,
    redo,
    rename_field,
    undo,
)
from mainstem.dashboards.field_map.journal import JOURNAL, read_journal
from tests.dashboards.made import GRID, small_map, squares

LEFT, TOP = GRID.transform[2], GRID.transform[5]
OWN = {"owner": ["x", None, "z"], "plot": [1, 2, 3], "sown": pd.to_datetime(["2021-04-01", "2021-04-02", None]),
       "irrigated": [True, False, True], "rent": [1.5, 2.0, None]}  # fmt: skip


def ring(left: float, top: float, side: float) -> list[tuple[float, float]]:
    """Corners of a square, metres from the map's upper left corner."""
    x, y = LEFT + left, TOP - top
    return [(x, y), (x + side, y), (x + side, y - side), (x, y - side)]


@pytest.fixture
def board(home, tmp_path) -> FieldBoard:
    """A map with three fields that have columns of the user's."""
    small_map(home, "farm", ["placeholder"])
    squares(["a", "b", "c"]).assign(**OWN).to_file(tmp_path / "own.gpkg", driver="GPKG")
    made = load_field_board("farm")
    import_fields(made, "own.gpkg", (tmp_path / "own.gpkg").read_bytes(), replace=True)
    (made.folder / JOURNAL).unlink()
    return load_field_board("farm")


def state(board: FieldBoard) -> pd.DataFrame:
    """All that is said of the fields, by name."""
    table = fields_on(board.folder, board.crs)
    borders = table.geometry.normalize().to_wkt(rounding_precision=3)
    return pd.DataFrame(table.drop(columns="geometry")).assign(border=borders).set_index("field").sort_index()


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other[one.columns], check_dtype=False, check_like=True)


EDITS = {
    "draw": lambda board: add_field(board, ring(300, 300, 40), "North"),
    "name": lambda board: rename_field(board, "a", "Long acre"),
    "redraw": lambda board: alter_field(board, "a", "redraw", ring(10, 10, 60)),
    "add": lambda board: alter_field(board, "b", "add", ring(100, 200, 40)),  # apart: two polygons
    "cut": lambda board: alter_field(board, "c", "cut", ring(190, 10, 30)),
    "delete": lambda board: delete_field(board, "b"),
    "bring": lambda board: import_fields(
        board, "more.geojson", squares(["a", "b", "c", "d"]).to_crs(4326).to_json(to_wgs84=True).encode()
    ),
    "replace": lambda board: import_fields(
        board, "other.geojson", squares(["x"]).to_crs(4326).to_json(to_wgs84=True).encode(), replace=True
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("act", EDITS)
def test_every_edit_is_undone_and_redone_whole_after_a_reload(board, act):
    before = state(board)
    EDITS[act](board)
    after = state(board)
    assert not before.equals(after)
    assert load_field_board("farm").undo[0]
    undo(load_field_board("farm"))
    same(before, state(board))
    assert load_field_board("farm").undo[0] == ""
    redo(load_field_board("farm"))
    same(after, state(board))
    assert gpd.read_file(board.folder / "fields.gpkg")["field"].nunique() == len(after)


@pytest.mark.long
def test_all_edits_are_undone_one_after_the_other(board):
    states = [state(board)]
    for act in ("name", "add", "draw", "cut", "delete"):
        EDITS[act](load_field_board("farm"))
        states.append(state(board))
    for before in states[-2::-1]:
        undo(load_field_board("farm"))
        same(before, state(board))
    for after in states[1:]:
        redo(load_field_board("farm"))
        same(after, state(board))


def test_own_columns_survive_every_edit_in_every_export(board):
    for act in ("name", "draw", "add", "cut"):
        EDITS[act](board)
    table = pd.read_csv(board.folder / "fields.csv", dtype=str).set_index("field")
    assert table.loc["Long acre", ["owner", "plot", "rent"]].tolist() == ["x", "1", "1.5"]
    assert table.loc["b", "plot"] == "2"
    assert table.loc["c", "irrigated"] == "True"
    assert table.loc["Long acre", "sown"].startswith("2021-04-01")
    assert table.loc["North", ["owner", "plot"]].isna().all()
    for name in ("fields.gpkg", "fields.geojson", "fields.shp.zip"):
        read = gpd.read_file(board.folder / name).set_index("field")
        assert read.loc["b", "plot"] == 2
        assert read.loc["Long acre", "owner"] == "x"


def test_an_outline_s_area_is_what_is_left_and_what_was_added(board):
    before = state(board)["area_ha"]
    alter_field(board, "c", "cut", ring(190, 10, 30))
    alter_field(board, "b", "add", ring(100, 200, 40))
    after = state(board)["area_ha"]
    assert after["c"] == pytest.approx(before["c"] - 0.09, rel=1e-3)
    assert after["b"] == pytest.approx(before["b"] + 0.16, rel=1e-3)
    assert after["a"] == before["a"]


def test_what_cannot_be_done_says_so_and_changes_nothing(board):
    before, written = state(board), (board.folder / "fields.gpkg").read_bytes()
    with pytest.raises(InputError, match="a field named 'b' already"):
        rename_field(board, "a", "b")
    with pytest.raises(InputError, match="no name"):
        rename_field(board, "a", " ")
    with pytest.raises(InputError, match="printable"):
        rename_field(board, "a", "x" * 300)
    with pytest.raises(InputError, match="nothing of field 'a' would be left"):
        alter_field(board, "a", "cut", ring(0, 0, 100))
    with pytest.raises(InputError, match="changes nothing"):
        alter_field(board, "a", "cut", ring(300, 300, 20))
    with pytest.raises(InputError, match="crosses itself"):
        alter_field(board, "a", "redraw", [ring(0, 0, 50)[corner] for corner in (0, 2, 1, 3)])
    with pytest.raises(InputError, match="no field 'z' any more"):
        delete_field(board, "z")
    with pytest.raises(InputError, match="lie outside the raster"):
        alter_field(board, "a", "add", ring(-100, -100, 150))
    with pytest.raises(InputError, match="nothing to undo"):
        undo(board)
    assert (board.folder / "fields.gpkg").read_bytes() == written
    same(before, state(board))


def test_the_last_field_can_go_and_come_back(board):
    before = state(board)
    for field in ("a", "b", "c"):
        delete_field(board, field)
    assert not (board.folder / "fields.gpkg").exists()
    assert not len(load_field_board("farm").table)
    for _ in range(3):
        undo(board)
    same(before, state(board))


def test_a_name_that_is_taken_loses_no_drawing(board):
    assert add_field(board, ring(300, 300, 40), "a") == "a 2"
    assert add_field(board, ring(300, 360, 40)) == "drawn 1"


def test_a_write_that_fails_leaves_all_as_it_was(board, monkeypatch):
    before = state(board)

    def full(*_):
        raise ArtifactError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(edits, "write_fields", full)
        with pytest.raises(ArtifactError):
            delete_field(board, "a")
    same(before, state(board))
    assert load_field_board("farm").undo[0] == ""
    delete_field(board, "a")
    undo(board)
    same(before, state(board))


def test_fields_that_another_program_changed_are_not_undone_over(board):
    delete_field(board, "a")
    table = gpd.read_file(board.folder / "fields.gpkg")
    extra = squares(["b", "a"]).iloc[1:]
    pd.concat([table, extra]).to_file(board.folder / "fields.gpkg", driver="GPKG")
    with pytest.raises(InputError, match="changed elsewhere"):
        undo(board)


def test_a_map_made_anew_gets_back_what_was_drawn_on_it(board):
    made = {path.name: path.read_bytes() for path in board.folder.glob("fields.[gcs]*")}
    add_field(board, ring(300, 300, 40), "North")
    add_field(board, ring(360, 300, 40), "South")
    delete_field(board, "South")
    rename_field(board, "a", "A")
    before = state(board)
    for name, content in made.items():
        if name != JOURNAL:
            (board.folder / name).write_bytes(content)
    again = load_field_board("farm")
    assert again.lost == ("North", "A")
    assert put_back(again) == 2
    after = state(board)
    same(before, after.drop(index="a"))
    assert load_field_board("farm").lost == ()
    undo(board)
    assert "North" not in state(board).index


def test_a_journal_cut_off_or_damaged_keeps_what_it_can(board):
    rename_field(board, "a", "A")
    path = board.folder / JOURNAL
    path.write_bytes(path.read_bytes() + b'{"words": "half')
    assert load_field_board("farm").undo[0] == "field a renamed to A"
    delete_field(board, "b")
    assert load_field_board("farm").undo[0] == "field b deleted"
    assert undo(board).words == "field b deleted"
    assert len(read_journal(board.folder).done) == 0  # what lies before a damaged line is kept, and not undone
    assert "field a renamed" in path.read_text()
    told = json.loads(path.read_bytes().split(b"\n")[-3])
    note = {**told, "before": {**told["before"], "borders": ["00"]}}
    path.write_text(json.dumps(note) + "\n")
    with pytest.raises(InputError, match="damaged"):
        undo(load_field_board("farm"))


def test_a_field_that_gis_has_damaged_is_told_and_the_others_are_shown(board):
    table = gpd.read_file(board.folder / "fields.gpkg")
    table.loc[1, "geometry"] = gpd.GeoSeries.from_wkt(["POLYGON ((0 0, 9 9, 9 0, 0 9, 0 0))"])[0]
    table.to_file(board.folder / "fields.gpkg", driver="GPKG")
    shown = load_field_board("farm")
    assert set(shown.table["field"]) == {"a", "c"}
    assert "field 'b' of fields.gpkg crosses itself" in shown.problems[0]


def test_two_servers_on_one_map_lose_no_field(board, monkeypatch):
    monkeypatch.setattr(edits, "WRITING", nullcontext())  # another server has a lock of its own
    monkeypatch.setattr(edits, "WAIT_S", 120.0)

    def draw(which: str) -> None:
        for number in range(3):
            add_field(board, ring(20, 20, 40), f"{which}{number}")

    both = [threading.Thread(target=draw, args=(which,)) for which in "xy"]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert {*"abc", "x0", "x1", "x2", "y0", "y1", "y2"} == set(fields_on(board.folder, board.crs)["field"])
    assert len(read_journal(board.folder).done) == 6


def test_fields_that_another_server_is_changing_are_left_alone(board, monkeypatch):
    monkeypatch.setattr(edits, "WAIT_S", 0.1)
    with locked(board.folder / edits.LOCKED, "fields"), pytest.raises(InputError, match="another server is changing"):
        delete_field(board, "a")
    delete_field(board, "a")
    assert not (board.folder / edits.LOCKED).exists()


@pytest.mark.parametrize("name", [JOURNAL, "fields.gpkg"])
def test_a_link_beside_a_map_leads_nobody_into_another_s_file(board, tmp_path, name):
    elsewhere = tmp_path / "another's"
    elsewhere.write_bytes((board.folder / "fields.gpkg").read_bytes())
    kept = elsewhere.read_bytes()
    (board.folder / name).unlink(missing_ok=True)
    (board.folder / name).symlink_to(elsewhere)
    with pytest.raises(InputError, match=f"{name} of farm is a link, which is not followed"):
        delete_field(board, "a")
    assert elsewhere.read_bytes() == kept
    assert any("is a link" in problem for problem in load_field_board("farm").problems)


def test_notes_that_are_a_link_or_a_pipe_are_not_read(board, tmp_path):
    notes = board.folder / NOTES
    notes.rename(tmp_path / "elsewhere.json")
    notes.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match=f"{NOTES} of farm is a link"):
        load_field_board("farm")
    notes.unlink()
    os.mkfifo(notes)
    with pytest.raises(InputError, match=f"{NOTES} is no file"):
        read_notes(board.folder)


@pytest.mark.long
@pytest.mark.parametrize(
    "line",
    [
        '{"words":"x","crs":"y","before":5,"after":5}',
        '{"words":"x","crs":"y","before":{"fields":[[1]]},"after":{"fields":[{}]}}',
        '{"words":["x"],"crs":"y","before":{},"after":{}}',
        "[" * 100_000,
        "5",
    ],
)
def test_a_line_of_wrong_types_is_told_and_the_map_is_shown(board, line):
    (board.folder / JOURNAL).write_text(f"{line}\n")
    shown = load_field_board("farm")
    assert len(shown.table) == 3
    assert [problem for problem in shown.problems if f"line 1 of {JOURNAL} is damaged" in problem]
    delete_field(shown, "a")
    assert load_field_board("farm").undo[0] == "field a deleted"


def test_a_journal_that_is_full_refuses_a_change_before_it_is_made_and_undoes_the_last(board, monkeypatch):
    delete_field(board, "a")
    size = (board.folder / JOURNAL).stat().st_size
    monkeypatch.setattr(journal, "LARGEST_BYTES", size + 100)
    monkeypatch.setattr(journal, "ROOM_BYTES", 50)
    before = state(board)
    with pytest.raises(InputError, match=r"is full .* nothing was changed"):
        delete_field(board, "b")
    same(before, state(board))
    assert undo(board).words == "field a deleted"


def test_a_border_of_more_corners_than_cells_can_show_gets_fewer_and_the_file_is_kept(board, tmp_path):
    angle = np.linspace(0, 2 * np.pi, 40_000, endpoint=False)
    radius = 60 * (1 + 1e-4 * np.sin(900 * angle))
    x, y = LEFT + 200 + radius * np.cos(angle), TOP - 200 + radius * np.sin(angle)
    given = gpd.GeoDataFrame({"field": ["round"]}, geometry=[Polygon(np.c_[x, y])], crs=board.crs)
    given.to_file(tmp_path / "round.gpkg")
    content = (tmp_path / "round.gpkg").read_bytes()
    brought = import_fields(board, "round.gpkg", content)
    assert "1 of 1 fields had more than 10,000 corners" in brought.simplified
    assert (board.folder / "fields.given.gpkg").read_bytes() == content
    border = fields_on(board.folder, board.crs).set_index("field").geometry["round"]
    assert len(border.exterior.coords) < 1_000
    assert border.hausdorff_distance(given.geometry[0]) <= 0.1 * GRID.transform[0]
    assert border.area == pytest.approx(given.geometry[0].area, rel=0.01)
    assert import_fields(board, "round.gpkg", content).num_fields == 4  # it is there already


def test_a_page_that_cannot_show_its_map_has_its_one_title(board):
    (board.folder / NOTES).write_text("{")
    page = AppTest.from_file(str(Path(field_map.__file__).parent / "page.py"), default_timeout=60).run()
    assert [text.value for text in page.markdown if text.value.startswith("# ")] == ["# Fields"]
    assert "damaged" in page.error[0].value
