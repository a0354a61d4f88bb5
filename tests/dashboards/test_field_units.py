"""Fields in bushels an acre: all that is looked at is converted, and what is written stays as the map holds it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

from mainstem.dashboards.field_map.board import load_field_board
from mainstem.dashboards.field_map.by_date import harvest_of
from mainstem.dashboards.field_map.edits import add_field
from mainstem.dashboards.field_map.layers import list_layers
from mainstem.dashboards.field_map.units import describe_unit, in_unit, list_units, meant_unit
from tests.dashboards.made import GRID, small_map
from tests.dashboards.test_links import drawn, page

MAIZE = 15.93  # bu/ac of 56 lb in 1 t/ha
BELOW = "probability below 7"
NAMES = ["north", "south"]


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    small_map(tmp_path, "farm", NAMES, [BELOW])
    found = load_field_board("farm")
    table = found.table.assign(yield_t_ha=[4.5, np.nan])
    by_date = pd.DataFrame({name: [4.0] for name in (
        "mean", "lower", "upper", "lower_issued", "upper_issued", "typical_error", "average_error"
    )}).assign(field="north", units="t/ha", level=0.9)  # fmt: skip
    return replace(found, table=table, by_date=by_date)


def test_bushels_are_offered_of_the_map_s_crop_of_every_one_where_it_names_none_and_never_of_vigour():
    assert list_units({"UNITS": "t/ha", "CROP": "Maize"}) == ["t/ha", "bu/ac maize"]
    for said, meant in (("corn", "maize"), ("winter wheat", "wheat"), ("soybeans", "soybean"), ("canola", "rapeseed")):
        assert list_units({"UNITS": "t/ha", "CROP": said}) == ["t/ha", f"bu/ac {meant}"]
    assert list_units({"UNITS": "t/ha", "CROP": "cassava"}) == ["t/ha"]
    assert {"t/ha", "bu/ac maize", "bu/ac wheat"} < set(list_units({"UNITS": "t/ha"}))
    assert list_units({"UNITS": "percent of this map's mean"}) == ["percent of this map's mean"]
    assert describe_unit("bu/ac wheat") == "bu/ac, wheat (60 lb)"
    assert describe_unit("t/ha") == "t/ha"


def test_every_yield_is_converted_and_no_share(board):
    shown = in_unit(board, "bu/ac maize")
    for name in ("mean", "lower", "upper"):
        np.testing.assert_allclose(shown.bands[name], MAIZE * board.bands[name], rtol=1e-3)
        np.testing.assert_allclose(shown.table[name], MAIZE * board.table[name], rtol=1e-3)
    told = shown.by_date.iloc[0]
    assert told[["mean", "lower_issued", "typical_error", "average_error"]].tolist() == pytest.approx(
        [4 * MAIZE] * 4, rel=1e-3
    )
    assert (told["units"], told["level"]) == ("bu/ac", 0.9)
    assert set(shown.bands) == set(board.bands), "a link to a layer holds in either unit"
    np.testing.assert_array_equal(shown.bands[BELOW], board.bands[BELOW])
    titles = {layer.title: layer for layer in list_layers(shown, "")}
    assert titles[BELOW].high == "1 (probability below 7 t/ha: 111.5 bu/ac)"
    assert titles["yield by field"].unit == "bu/ac"
    assert next(one for one in list_layers(board, "") if one.title == BELOW).high == "1 (probability below 7 t/ha)"
    inside, known, excess = board.hindsight()
    assert shown.hindsight() == (inside, known, pytest.approx(MAIZE * excess, rel=1e-3))
    assert known == 1
    assert harvest_of(shown, "north") == pytest.approx(4.5 * MAIZE, rel=1e-3)
    assert in_unit(board, "t/ha") is board


def test_who_reads_bushels_reads_them_on_a_map_of_another_crop_too():
    wheat = ["t/ha", "bu/ac wheat"]
    assert meant_unit("bu/ac maize", wheat) == meant_unit("bu/ac", wheat) == "bu/ac wheat"
    assert meant_unit("t/ha", wheat) == "t/ha"
    assert meant_unit("bu/ac", ["percent"]) == "bu/ac"
    assert meant_unit("bu/ac", [*wheat, "bu/ac maize"]) == "bu/ac", "whose, is to be chosen"


@pytest.mark.parametrize("name", ["probability below x", "probability below nan", "probability below "])
def test_a_band_that_names_no_threshold_hides_no_map(tmp_path, monkeypatch, name):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    small_map(tmp_path, "farm", NAMES, [name])
    shown = page("field_map", map="farm", unit="bu/ac maize", panel="list", layer=name)
    assert not shown.exception
    assert not shown.error
    assert "in bu/ac" in drawn(shown)


def test_a_unit_that_a_map_does_not_have_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    small_map(tmp_path, "vigour", NAMES, UNITS="percent of this map's mean")
    shown = page("field_map", map="vigour", unit="bu/ac maize")
    assert "There is no unit bu/ac maize here; shown is percent of this map's mean" in drawn(shown)


def test_a_map_of_vigour_tells_no_harvest(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    small_map(tmp_path, "farm", NAMES, UNITS="percent of this map's mean")
    found = load_field_board("farm")
    vigour = replace(found, table=found.table.assign(yield_t_ha=[4.5, 5.0]))
    assert np.isnan(harvest_of(vigour, "north"))
    assert vigour.hindsight() == (0, 0, 0.0)


def test_what_is_drawn_while_bushels_are_shown_is_written_in_the_map_s_own_unit(board):
    left, top = GRID.transform[2], GRID.transform[5]
    corners = list(box(left + 200, top - 400, left + 280, top - 320).exterior.coords)[:-1]
    add_field(in_unit(load_field_board("farm"), "bu/ac maize"), corners, "new")
    held = load_field_board("farm").table.set_index("field")
    assert 4 < held.loc["new", "mean"] < 12
    pd.testing.assert_series_equal(held.loc[NAMES, "mean"], board.table.set_index("field").loc[NAMES, "mean"])


def test_the_address_brings_the_page_in_bushels_and_acres_and_what_is_no_unit_is_said(board):
    shown = page("field_map", map="farm", unit="bu/ac maize", panel="field", field="north")
    assert not shown.exception
    mean = float(board.table.set_index("field").loc["north", "mean"])
    assert f"{MAIZE * mean:.1f} bu" in drawn(shown)
    assert "1.58 ac" in drawn(shown)  # 0.64 ha
    wrong = page("field_map", map="farm", unit="bu/ac cassava", panel="field", field="north")
    assert "There is no unit bu/ac cassava here" in drawn(wrong)
    assert f"{mean:.1f} t" in drawn(wrong)
