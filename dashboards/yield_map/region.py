"""The yield page's chosen region: its forecast through the season, its harvests, and how old its data are."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mainstem.dashboards.palette import GREEN, legible
from mainstem.dashboards.shell import plain
from mainstem.dashboards.yield_map.board import data_age, has_inputs, past_yields, season_series
from mainstem.dashboards.yield_map.controls import Controls, YieldUnit
from mainstem.dashboards.yield_map.layers import describe_outcome, describe_region, title_region
from mainstem.dashboards.yield_map.reads import BoardKey, predict_story, read_board


def show_region(key: BoardKey, table: pd.DataFrame, region: str, controls: Controls) -> None:
    """Show a region's curve through the season, its past and its data's age."""
    board = read_board(key)
    season, unit = controls.season, controls.unit
    row: Any = next(table[table["region"] == region].itertuples(), None)
    title = title_region(region)
    st.subheader(plain(title, 120), anchor=False)
    past = past_yields(board, region)
    past = past[past["year"] <= int(season)]
    if row is None:
        st.info(f"No data for {plain(title, 120)} in {plain(season, 40)}.", icon=":material/info:")
        st.altair_chart(legible(draw_past(past, None, season, unit)), width="stretch")
        return
    st.markdown(f"**{plain(describe_region(row, unit))}**")
    reach = board.reach(season, controls.lead)
    if row.claim == "none" and reach:
        st.caption(f":material/info: intervals were judged up to {plain(reach, 40)}, this season is later")
    elif row.reasons and np.isfinite(row.value):
        st.caption(f":material/info: {plain(row.reasons)}")
    if np.isfinite(row.observed):
        st.caption(plain(describe_outcome(row, unit)))
    series = season_series(board, region, season)
    if has_inputs(board, region, season):  # else every lead knows the same
        step = "months before the season's end" if len(series) else "crop phases still to come"
        story = predict_story(key, region, season, controls.level)
        st.altair_chart(legible(draw_story(story, row, unit, step)), width="stretch")
    st.altair_chart(legible(draw_past(past, row, season, unit)), width="stretch")
    if len(series):
        for stream, values in series.groupby("stream"):  # a chart each: those in rows of one do not fit their column
            line = alt.Chart(values).mark_line(point={"color": GREEN}, color=GREEN).encode(
                x=alt.X("date:T", title=None), y=alt.Y("value:Q", title=str(stream))
            )  # fmt: skip
            st.altair_chart(legible(line.properties(height=90)), width="stretch")
    st.caption(f"Data: {plain(data_age(board, region, season))}.")


def draw_story(story: pd.DataFrame, row: Any, unit: YieldUnit, step: str) -> alt.LayerChart:  # noqa: ANN401
    """How the forecast and its interval moved through the season."""
    table = story.assign(**{name: unit.convert(story[name]) for name in ("value", "low", "high")})
    base = alt.Chart(table).encode(x=alt.X("lead:O", sort="descending", title=step, axis=alt.Axis(labelAngle=0)))
    axis = alt.Y("low:Q", title=unit.name, scale=alt.Scale(zero=False))
    drawn = base.mark_area(opacity=0.25, color=GREEN).encode(y=axis, y2="high:Q")
    drawn += base.mark_line(point={"color": GREEN}, color=GREEN).encode(
        y="value:Q", tooltip=["lead", "value", "low", "high"]
    )
    expected = alt.Chart(pd.DataFrame({"expected": [unit.convert(row.expected)]}))
    drawn += expected.mark_rule(strokeDash=[5, 4], color="#6b6b6b").encode(y="expected:Q")
    chart: alt.LayerChart = drawn.properties(height=190, title="Forecast by lead; dashed: past alone")
    return chart


def draw_past(past: pd.DataFrame, row: Any, season: str, unit: YieldUnit) -> alt.LayerChart:  # noqa: ANN401
    """The region's harvests, and this season's interval beside them where there is one."""
    known = past.assign(yield_=unit.convert(past["yield"].astype(float)))
    axis = alt.X("year:Q", axis=alt.Axis(format="d", tickMinStep=1), title=None, scale=alt.Scale(zero=False))
    drawn = alt.Chart(known).mark_line(point={"color": "#555"}, color="#555").encode(
        x=axis, y=alt.Y("yield_:Q", title=unit.name, scale=alt.Scale(zero=False)), tooltip=["year", "yield_"]
    )  # fmt: skip
    title = "Past harvests"
    if row is not None and np.isfinite(row.value):
        numbers = {name: [unit.convert(getattr(row, name))] for name in ("value", "low", "high")}
        now = alt.Chart(pd.DataFrame({"year": [int(season)], **numbers})).encode(x=axis)
        drawn += now.mark_rule(strokeWidth=6, opacity=0.35, color=GREEN).encode(y="low:Q", y2="high:Q")
        drawn += now.mark_point(size=80, filled=True, color=GREEN).encode(y="value:Q")
        title = "Past harvests; forecast in green"
    chart: alt.LayerChart = drawn.properties(height=170, title=title)
    return chart
