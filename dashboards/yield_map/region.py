"""The yield page's chosen region: its forecast through the season, its harvests, and how old its data are."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mainstem.dashboards.charts import left_axis, show_chart
from mainstem.dashboards.palette import FADED, GREEN, MEASURED, SEASON
from mainstem.dashboards.shell import plain
from mainstem.dashboards.yield_map.axes import SeasonAxis
from mainstem.dashboards.yield_map.controls import Controls, YieldUnit
from mainstem.dashboards.yield_map.hindsight import show_skill
from mainstem.dashboards.yield_map.known import data_age, has_inputs, past_yields, season_series
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
        show_chart(draw_past(past, None, season, unit))
        return
    st.markdown(f"**{plain(describe_region(row, unit))}**")
    reach = board.reach(season, controls.lead)
    if row.claim == "none" and reach:
        st.caption(f":material/info: intervals were judged up to {plain(reach, 40)}, this season is later")
    elif row.reasons and np.isfinite(row.value):
        st.caption(f":material/info: {plain(row.reasons)}")
    if np.isfinite(row.observed):
        st.caption(plain(describe_outcome(row, unit)))
    axis = SeasonAxis.of(board.samples(season, region)[0], season)
    series = season_series(board, region, season)
    if has_inputs(board, region, season):  # else every lead knows the same
        story = predict_story(key, region, season, controls.level)
        show_chart(draw_story(story, row, unit, axis))
        st.caption(plain(story_words(story, axis)))
        show_skill(key, controls, axis)
    for stream, values in series.groupby("stream"):  # a chart each: those in rows of one do not fit their column
        line = alt.Chart(values).mark_line(point={"color": SEASON}, color=SEASON).encode(
            x=axis.x("date", is_last=True), y=left_axis("value:Q", f"{stream}, {values['unit'].iloc[0]}"),
            tooltip=["date", alt.Tooltip("value:Q", format=".2f")],
        )  # fmt: skip
        show_chart(line.properties(height=120))
    show_chart(draw_past(past, row, season, unit))
    st.caption(f"Data: {plain(data_age(board, region, season))}.")


def story_words(story: pd.DataFrame, axis: SeasonAxis) -> str:
    """Say what each point of the story knew, and which intervals are wider than they were issued."""
    known = "what was observed up to its date" if axis.end is not None else "what was known up to its crop phase"
    wider = int((story["low"] < story["low_issued"] - 1e-9).sum())
    words = f"Each point is made of {known} alone; dashed: the past alone."
    if not wider:
        return words
    return (
        f"{words} No interval is drawn narrower than one that followed: {wider} of {len(story)} were issued narrower."
    )


def draw_story(story: pd.DataFrame, row: Any, unit: YieldUnit, axis: SeasonAxis) -> alt.LayerChart:  # noqa: ANN401
    """How the forecast and its interval moved through the season, and how it ended."""
    table = story.assign(**{name: unit.convert(story[name]) for name in ("value", "low", "high")})
    table["known"] = [axis.at(lead) for lead in table["lead"]]
    base = alt.Chart(table).encode(x=axis.x("known", is_last=True))
    told = ["lead", *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("value", "low", "high"))]
    drawn = base.mark_area(opacity=0.25, color=GREEN).encode(y=left_axis("low:Q", unit.name), y2="high:Q")
    drawn += base.mark_line(point={"color": GREEN}, color=GREEN).encode(y="value:Q", tooltip=told)
    for column, mark in (("expected", {"strokeDash": [5, 4], "color": FADED}), ("observed", {"color": MEASURED})):
        if np.isfinite(getattr(row, column)):
            rule = alt.Chart(pd.DataFrame({column: [unit.convert(getattr(row, column))]}))
            drawn += rule.mark_rule(**mark).encode(y=f"{column}:Q", tooltip=[alt.Tooltip(f"{column}:Q", format=".2f")])
    harvested = "; black: the harvest" if np.isfinite(row.observed) else ""
    chart: alt.LayerChart = drawn.properties(height=210, title=f"Forecast by date{harvested}")
    return chart


def draw_past(past: pd.DataFrame, row: Any, season: str, unit: YieldUnit) -> alt.LayerChart:  # noqa: ANN401
    """The region's harvests, and this season's interval beside them where there is one."""
    known = past.assign(yield_=unit.convert(past["yield"].astype(float)))
    axis = alt.X("year:Q", axis=alt.Axis(format="d", tickMinStep=1), title=None, scale=alt.Scale(zero=False))
    drawn = alt.Chart(known).mark_line(point={"color": MEASURED}, color=MEASURED).encode(
        x=axis, y=left_axis("yield_:Q", unit.name), tooltip=["year", alt.Tooltip("yield_:Q", format=".2f")]
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
