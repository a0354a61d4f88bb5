"""A field's forecast by date on the page: whose it is, on which axis, in which words, and why there is none."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mainstem.dashboards.field_map.by_date import (
    axis_ends,
    draw_error,
    draw_forecast,
    error_words,
    forecast_words,
    harvest_of,
    told_of,
    why_not,
)

DATES = ("2021-06-19", "2021-08-18", "2021-10-17")


def told(units: str = "t/ha") -> pd.DataFrame:
    """What was told of one field: the second interval was issued narrower than the third."""
    return pd.DataFrame({
        "field": "north", "known_until": pd.to_datetime(list(DATES)), "area_ha": 10.0, "mean": [8.0, 8.5, 9.126],
        "lower": [5.0, 6.5, 7.126], "upper": [11.0, 10.5, 11.126], "lower_issued": [5.0, 7.0, 7.126],
        "units": units, "claim": ["none", "stated", "stated"], "errors_of": "simulated fields",
        "typical_error": [2.2, 1.9, 1.804], "average_error": 2.3,
    })  # fmt: skip


def board(by_date: pd.DataFrame | None, area_ha: float = 10.0, **tags: str) -> SimpleNamespace:
    table = pd.DataFrame({"field": ["north", "south"], "area_ha": [area_ha, 3.0], "yield_t_ha": [8.9, np.nan]})
    harvests = table["yield_t_ha"].to_numpy()
    return SimpleNamespace(
        by_date=by_date, table=table, tags={"TRAINING": "simulated", **tags}, harvests=lambda: harvests
    )


def test_a_field_is_told_its_own_forecasts_while_its_border_is_that_of_the_map():
    assert told_of(board(told()), "north")["mean"].tolist() == [8.0, 8.5, 9.126]
    assert told_of(board(told()), "south").empty
    assert told_of(board(told(), area_ha=12.0), "north").empty  # drawn anew since
    assert told_of(board(None), "north").empty
    assert harvest_of(board(told()), "north") == 8.9
    assert np.isnan(harvest_of(board(told()), "south"))


def test_charts_share_their_axis_show_two_decimals_and_the_harvest_in_black():
    ends = axis_ends(("2021-05-02", "2021-09-30"), told())
    assert ends == ["2021-05-02", "2021-10-17"]
    assert axis_ends((), pd.DataFrame()) == []
    with_harvest = draw_forecast(told(), 8.9, ends).to_dict()
    for chart in (with_harvest, draw_error(told(), ends).to_dict()):
        assert chart["layer"][0]["encoding"]["x"]["scale"] == {"domain": ends}
        assert {tip["format"] for tip in chart["layer"][0]["encoding"].get("tooltip", []) if "format" in tip} <= {".2f"}
        assert chart["layer"][0]["encoding"]["y"]["axis"]["format"] == ".2f"
    assert with_harvest["title"] == "Forecast by date; black: the harvest"
    assert with_harvest["layer"][-1]["mark"] == {"type": "rule", "color": "#222222"}
    assert draw_forecast(told(), np.nan, ends).to_dict()["title"] == "Forecast by date"


def test_words_say_what_was_widened_what_has_no_claim_and_what_to_expect():
    words = forecast_words(told())
    assert "1 of 3 were issued narrower" in words
    assert words.endswith("No claim at 19 Jun.")
    assert "percent" not in words
    assert "nothing is claimed of it" in forecast_words(told("percent of this map's mean"))
    assert error_words(told()) == (
        "Of simulated fields whose farm was held out, forecasts known until 19 Jun erred by 2.20 t/ha, until 17 Oct by "
        "1.80; the average of all by 2.30."
    )


@pytest.mark.parametrize(
    ("by_date", "tags", "told_why"),
    [
        (None, {"TRAINING": "none"}, "no model forecasts it"),
        (None, {}, "mainstem map ... --by-date makes it"),
        (told(), {}, "newer than the map"),
    ],
)
def test_why_there_is_none_is_said(by_date, tags, told_why):
    assert told_why in why_not(board(by_date, **tags))
