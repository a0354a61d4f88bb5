"""What a page says of a link to what is not here, what it remembers, and how it sums up missing claims."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.adapters.crop_yield import TASK
from mainstem.apps.finetune import finetune
from mainstem.apps.region_sets import keep_upload
from mainstem.core.finetuning import FitSpec
from tests.dashboards.made import QUICK, small_map

PAGES = Path(dashboards.__file__).parent


def drawn(test: AppTest) -> str:
    """What the page says outside its sidebar, which folds away."""
    main = test.main
    parts = [*main.error, *main.warning, *main.info, *main.markdown, *main.caption]
    return "\n".join(str(part.value) for part in parts).replace(":small[]", "").replace("\\", "")


def page(name: str, session: dict[str, object] | None = None, **address: str) -> AppTest:
    test = AppTest.from_file(str(PAGES / name / "page.py"), default_timeout=60)
    for key, value in (session or {}).items():
        test.session_state[key] = value
    for key, value in address.items():
        test.query_params[key] = value
    return test.run()


@pytest.fixture(scope="module")
def own_home(tmp_path_factory):
    """A MAINSTEM_HOME with a model of a user's yields alone."""
    home = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(home))
        rows = [f"F{farm},{2005 + year},{8 + (farm * year) % 5 / 10}" for farm in range(4) for year in range(12)]
        table = "\n".join(["adm_id,harvest_year,yield", *rows]).encode()
        choice = keep_upload("my farms", {"yield_wheat_NL.csv": table})
        finetune(TASK, choice.read(), FitSpec(config=QUICK), choice.run())
    return home


@pytest.mark.long
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"set": "nope"}, "There is no set nope here; shown is 64 simulated regions"),
        ({"season": "1999"}, "There is no season 1999 here; shown is 2023"),
        ({"layer": "<b>"}, "There is no layer <b> here; shown is yield"),
        ({"threshold": "nan"}, "There is no threshold nan here; shown is"),
        ({"threshold": "-3"}, "There is no threshold -3 here; shown is"),
        ({"threshold": "1e9"}, "There is no threshold 1e9 here; shown is"),
        ({"level": "7"}, "There is no level 7 here; shown is 90%"),
    ],
)
def test_a_link_to_what_is_not_here_is_said_over_the_map(board, address, words):
    test = page("yield_map", **address)
    assert not test.exception
    assert words in drawn(test)


def test_a_map_that_is_not_here_is_said_over_the_other(home):
    small_map(home, "farm", ["a"])
    assert "There is no map nope here; shown is farm" in drawn(page("field_map", map="nope"))


def test_threshold_and_layer_are_kept_in_the_address(board):
    test = page("yield_map", threshold="6.5", layer="interval width", unit="bu/ac")
    assert not test.warning
    (slider,) = [slider for slider in test.slider if slider.label.startswith("Threshold")]
    assert slider.value == pytest.approx(6.5 * 15.93, abs=0.1)
    slider.set_value(20 * slider.step)
    test.run()
    assert float(test.query_params["threshold"]) == pytest.approx(2.0, abs=0.01)
    assert test.query_params["layer"] == "interval width"


@pytest.mark.long
def test_a_page_left_and_opened_again_shows_what_it_showed(own_home, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(own_home))
    test = page("yield_map", set="my farms", level="0.8")
    remembered = {key: test.session_state[key] for key in ("page", "left at")}
    small_map(own_home, "farm", ["a"])
    fields = page("field_map", remembered)
    remembered = {key: fields.session_state[key] for key in ("page", "left at")}
    back = page("yield_map", remembered)
    assert back.selectbox(key="set").value == "my farms"
    assert back.query_params["level"] == "0.8"
    other = page("yield_map", remembered, set="simulated-maize")  # a link says what it wants
    assert other.query_params["set"] == "simulated-maize"


def test_yields_alone_are_called_so_and_have_no_forecast_by_lead(own_home, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(own_home))
    test = page("yield_map", set="my farms")
    assert not test.exception
    assert "yields alone" in drawn(test)
    assert "crop phases" not in str(test)
    assert "Forecast by lead" not in str([chart.proto.spec for chart in test.get("vega_lite_chart")])


def doubtful(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """A season's table of regions with claim and reason."""
    table = pd.DataFrame(rows, columns=["region", "claim", "reasons"])
    return table.assign(item=table["region"] + " 2014", claim_for="", value=8.0, expected=8.0, abstained=False)


OWN = "the inputs of {0} 2014 depart from what is normal at {0} further than 99% of its cases do"


def test_reasons_that_name_their_region_are_one_reason():
    from mainstem.dashboards.yield_map.board import doubts

    rows = [(f"R{n}", "withdrawn", OWN.format(f"R{n}")) for n in range(35)]
    rows += [(f"S{n}", "none", f"nothing of S{n} 2014 can be compared with the cases of calibration") for n in range(2)]
    rows += [(f"T{n}", "stated", "") for n in range(219)]
    found = doubts(doubtful(rows))
    assert [(doubt.claim, len(doubt.regions)) for doubt in found] == [("withdrawn", 35), ("none", 2)]
    assert "R0" not in found[0].reason
    assert "depart from what is normal" in found[0].reason
    assert sum(len(doubt.regions) for doubt in found) == 37


@pytest.mark.parametrize("region", ["a", "1", "the inputs of", "(", ".*", "R\\1", "cases"])
def test_a_region_of_any_name_is_taken_out_of_its_reason(region):
    from mainstem.dashboards.yield_map.board import doubts

    (found,) = doubts(doubtful([(region, "withdrawn", OWN.format(region)), ("B", "withdrawn", OWN.format("B"))]))
    assert found.regions == (region, "B")


def test_missing_claims_are_one_box_whose_counts_add_up(board, monkeypatch):
    from mainstem.dashboards.yield_map import board as yield_board
    from mainstem.dashboards.yield_map import reads as yield_reads

    real = yield_board.season_table

    def withdrawn(*asked: object, **more: object) -> pd.DataFrame:
        table = real(*asked, **more)
        table.loc[:29, "claim"] = "withdrawn"
        table.loc[:29, "reasons"] = [OWN.format(region) for region in table["region"][:30]]
        table.loc[30:31, ["claim", "reasons"]] = ["none", "no <b>word</b>"]
        return table

    monkeypatch.setattr(yield_reads, "season_table", withdrawn)
    yield_reads.predict_season.clear()
    assert "claim missing in 32 of 64 regions" in drawn(page("yield_map"))
    test = page("yield_map", panel="claims")
    yield_reads.predict_season.clear()
    assert not test.exception
    boxes = [warning.value.replace(":small[]", "").replace("\\", "") for warning in test.main.warning]
    (box,) = [text for text in boxes if "claim" in text.lower()]
    assert "32 of 64 regions" in box
    assert "30 withdrawn" in box
    assert "2 none" in box
    assert len(box) <= 200
    assert "SIM00" in drawn(test)
    assert "SIM31" in drawn(test)


@pytest.mark.long
def test_a_season_beyond_all_claims_says_so_for_people_and_offers_one_with_claims(board, monkeypatch):
    from mainstem.dashboards.yield_map import board as yield_board
    from mainstem.dashboards.yield_map import reads as yield_reads

    real = yield_board.season_table

    def beyond(found: yield_board.YieldBoard, season: str, *asked: object) -> pd.DataFrame:
        table = real(found, season, *asked)
        if season == found.seasons()[0]:
            table["claim"] = "none"
            table["reasons"] = f"{season} is further ahead than was judged: claims reach to 2014; calibrate --append x"
        else:
            table["claim"], table["reasons"] = "stated", ""
        return table

    monkeypatch.setattr(yield_reads, "season_table", beyond)
    monkeypatch.setattr(yield_board.YieldBoard, "reach", lambda self, season, lead: "2014" if season == "2023" else "")
    monkeypatch.setattr(yield_board.YieldBoard, "seasons", lambda self: ("2023", "2022"))
    yield_reads.predict_season.clear()
    assert "no claim: intervals were judged up to 2014" in drawn(page("yield_map"))
    test = page("yield_map", panel="claims")
    assert "No claim for 2023: intervals were judged up to 2014. Add the harvests" in drawn(test)
    assert "append" not in drawn(test)
    button = next(button for button in test.main.button if "2022" in button.label)
    button.click()
    test.run()
    yield_reads.predict_season.clear()
    assert test.query_params["season"] == "2022"
    assert not test.exception


def test_the_table_names_its_units_and_shows_claims_first(board):
    test = page("yield_map", unit="bu/ac", threshold="6", panel="list")
    columns = list(test.dataframe[0].value.columns)
    assert columns[:2] == ["region", "claim"]
    assert "forecast, bu/ac" in columns
    assert "width, bu/ac" in columns
    assert [column for column in columns if column.startswith("below 95.6")]


def test_what_is_known_to_fail_stands_on_the_field_page(home):
    small_map(home, "farm", ["a"], KNOWN_FAILURES="of 100 simulated farms 85 % of field means; <b>x</b>")
    test = page("field_map", panel="claims")
    assert "What is known to fail" in [box.label for box in test.expander]
    assert "85 % of field means" in drawn(test)


def test_the_upload_form_names_its_columns_and_says_what_is_missing(home):
    for name, columns in (("yield_map", ("*adm_id, date, ndvi*", "bulk_density", "*adm_id, eos*")), ("field_map", ())):
        form = page(name)
        said = "\n".join([*(part.value for part in form.markdown), *(part.value for part in form.caption)])
        assert "Still to give: a name and files" in said.replace("\\", "")
        assert all(column in said for column in columns)
        form.text_input[0].set_value("mine")
        form.run()
        assert "Still to give: files" in "\n".join(part.value for part in form.caption)
