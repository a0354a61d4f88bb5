"""The yield page's files: every row says what it holds; nothing in them is run by a spreadsheet."""

import io
from dataclasses import replace

import pandas as pd
import pytest

from mainstem.apps.export import prediction_row, whole
from mainstem.apps.fields.report_regions import region_pages
from mainstem.apps.region_sets import choices
from mainstem.core.predict import predict
from mainstem.dashboards.yield_map.board import YieldBoard, load_board, season_table
from mainstem.dashboards.yield_map.controls import Controls, YieldUnit
from mainstem.dashboards.yield_map.exports import export_table, file_name
from mainstem.dashboards.yield_map.layers import LESS_HARVEST
from mainstem.dashboards.yield_map.table import in_order, order_words, shown_table
from mainstem.data.earth.outlines import simulated_outlines
from mainstem.data.spreadsheets import csv_bytes

BUSHELS = YieldUnit(name="bu/ac", crop="maize")
ASKED = Controls(season="2023", level=0.9, unit=BUSHELS, lead=2, threshold_t_ha=7.0)


@pytest.fixture(scope="module")
def board(simulated_home) -> YieldBoard:
    """The board of the simulated regions, for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(simulated_home))
        (choice,) = choices()
        return load_board(choice.read(), choice.run())


@pytest.fixture(scope="module")
def predicted(board) -> pd.DataFrame:
    """A season known two months before its end."""
    found = season_table(board, "2023", 2, 0.9, 7.0)
    return found.assign(gap=found["value"] - found["expected"])


@pytest.fixture
def table(predicted) -> pd.DataFrame:
    """The same, for each test to change."""
    return predicted.copy()


def test_every_row_says_what_it_holds(board, table):
    outlines = simulated_outlines(table["region"].tolist())
    written = pd.read_csv(io.BytesIO(csv_bytes(export_table(board, table, outlines, ASKED))), dtype={"fips": str})
    assert len(written) == 64
    whole_season = pd.Timestamp("2023-01-01") + pd.Timedelta(days=285)
    assert (pd.to_datetime(written["data_until"]) <= whole_season - pd.Timedelta(days=60)).all()
    assert (written["data_from"] < written["data_until"]).all()
    assert written["year"].dtype.kind == written["lead"].dtype.kind == "i"
    for name, told in (("year", 2023), ("lead", 2), ("threshold", 7.0), ("level", 0.9), ("units", "t/ha"),
                       ("licence", "CC0-1.0"), ("model", "crop-yield regional 2"), ("crop", "maize"),
                       ("known_at", "2 months or phases before"), ("shown_as", "forecast")):  # fmt: skip
        assert (written[name] == told).all(), name
    assert written["attribution"].str.contains("Simulated by Mainstem.*Simulated outlines").all()
    assert written["model_sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert written["chance_below_threshold"].between(0, 1).all()
    assert (written["forecast_less_harvest"] - (written["value"] - written["harvest"])).abs().max() < 2e-4
    assert set(written["harvest_ended"]) <= {"inside", "above", "below"}
    assert {"state", "county", "fips", "low_issued", "season_coverage"} <= set(written)


def test_counties_have_state_and_code(board, table):
    named = table.assign(region=["IA_STORY", "IL_ST. CLAIR", *table["region"][2:]])
    outlines = simulated_outlines(table["region"].tolist())
    frame = outlines.frame.copy()
    frame["fips"] = ""
    frame = frame.rename(index={"SIM00": "IA_STORY"})
    frame.loc["IA_STORY", "fips"] = "01015"
    out = export_table(board, named, replace(outlines, frame=frame), ASKED)
    assert out.loc[0, ["state", "county", "fips"]].tolist() == ["IA", "STORY", "01015"]
    assert out.loc[1, ["state", "county", "fips"]].tolist() == ["IL", "ST. CLAIR", ""]
    assert b",01015," in csv_bytes(out)


@pytest.mark.parametrize("name", ["=1+1", "+A1", "-A1", "@SUM(1)", "\t=1", " =1", "\uff1d1"])
def test_no_cell_of_text_begins_a_formula(board, table, name):
    table.loc[0, ["region", "item", "reasons"]] = name
    written = csv_bytes(export_table(board, table, None, ASKED)).decode()
    cells = pd.read_csv(io.StringIO(written), dtype=str, keep_default_na=False).iloc[0]
    for column in ("region", "item", "reasons"):
        assert cells[column].startswith("'"), column
        assert cells[column].lstrip("' ").startswith(name.strip())


def test_names_of_files_say_what_they_hold(board):
    assert file_name(board, "my farms", ASKED) == "maize-yield-forecasts_my-farms_2023_lead2_90pct_t-ha"
    assert "held-out" in file_name(board, "a", replace(ASKED, season="2010"))
    of_training = export_table(board, season_table(board, "2010", 2, 0.9, 7.0), None, replace(ASKED, season="2010"))
    assert set(of_training["shown_as"]) == {"held out"}
    assert of_training["provenance"].str.startswith("Held out, not a forecast").all()


def test_a_report_of_an_exported_season_has_room_for_its_title(board, tmp_path):
    out = export_table(board, season_table(board, "2010", 2, 0.9, 7.0), None, replace(ASKED, season="2010"))
    (tmp_path / "season.csv").write_bytes(csv_bytes(out))
    pages = region_pages(tmp_path / "season.csv")
    assert {page.mark for page in pages.values()} == {"SIMULATED, HELD OUT"}


def test_whole_numbers_are_whole_in_every_table(board):
    assert (whole(2012.0), whole(0.5), whole("2012.0")) == (2012, 0.5, "2012.0")
    assert isinstance(whole(2012.0), int)
    (prediction,) = predict(board.fitted, board.samples("2023", "SIM00"), lambda _: "lead0")
    row = prediction_row(prediction)
    assert isinstance(row["year"], int)
    assert row["year"] == 2023


def test_the_list_goes_by_errors_where_they_are_the_layer(table):
    rows = in_order(table, LESS_HARVEST)
    assert rows["error"].abs().is_monotonic_decreasing
    shown = shown_table(rows, ASKED, LESS_HARVEST)
    assert list(shown.columns[:4]) == ["region", "forecast, bu/ac", "harvest, bu/ac", "error, bu/ac"]
    assert shown["error, bu/ac"].iloc[0] == pytest.approx(15.93 * rows["error"].iloc[0], abs=0.05)
    assert set(shown["ended"]) <= {"✓ inside", "▲ above", "▼ below"}
    assert "worst" in order_words(rows, LESS_HARVEST)
    usual = in_order(table, "yield")
    assert not usual["error"].abs().is_monotonic_decreasing
    unknown = table.assign(observed=float("nan"), error=float("nan"))
    assert in_order(unknown, LESS_HARVEST).index.tolist() == in_order(unknown, "yield").index.tolist()
    assert "ended" not in shown_table(unknown, ASKED, LESS_HARVEST)
