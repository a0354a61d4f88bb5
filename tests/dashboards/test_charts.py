"""Charts: what is drawn is valid Vega-Lite with its data, and stands out on either ground."""

import json

import altair as alt
import numpy as np
import pandas as pd
import pytest

from mainstem.dashboards.charts import legible_spec
from mainstem.dashboards.palette import FADED, GREEN, IN_THE_DARK

ROWS = pd.DataFrame({"lead": [0, 1, 2], "value": [8.0, np.nan, 6.5], "day": pd.date_range("2021-05-01", periods=3)})


def chart() -> alt.LayerChart:
    base = alt.Chart(ROWS).encode(x="day:T", y="value:Q")
    return base.mark_line(color=GREEN) + base.mark_point(color=GREEN)


@pytest.mark.parametrize("is_dark", [False, True])
def test_a_chart_is_valid_holds_its_data_and_its_words_stand_out(is_dark):
    spec = legible_spec(chart(), is_dark=is_dark)
    alt.LayerChart.from_dict(spec)  # validates
    (rows,) = spec["datasets"].values()
    assert [row["value"] for row in rows] == [8.0, None, 6.5]
    shown = json.dumps(spec)
    for colour in (GREEN, FADED):
        assert (IN_THE_DARK[colour] in shown) is is_dark
        assert (colour in shown) is not is_dark
    for part in ("axis", "legend"):
        wanted = IN_THE_DARK[FADED] if is_dark else FADED
        assert {spec["config"][part][name] for name in ("labelColor", "titleColor")} == {wanted}
