"""The field panel's forecast by date, on the axis of its NDVI, and what such forecasts erred by on farms held out."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mainstem.dashboards.charts import left_axis, show_chart
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.palette import FADED, GREEN, MEASURED
from mainstem.dashboards.shell import plain

SAME_AREA = 1e-3  # by how much a border's area may differ, relatively, and be the one that the table was made with
MEASURED_ALONE = "none"  # what a map that no model made says of training


def told_of(board: FieldBoard, name: str) -> pd.DataFrame:
    """What was told of a field at each date, earliest first; empty where nothing was, or its border is another."""
    if board.by_date is None:
        return pd.DataFrame()
    (area,) = board.table.loc[board.table["field"] == name, "area_ha"][:1]
    is_own = (board.by_date["field"] == name) & ((board.by_date["area_ha"] / area - 1).abs() < SAME_AREA)
    found: pd.DataFrame = board.by_date[is_own].sort_values("known_until", ignore_index=True)
    return found


def harvest_of(board: FieldBoard, name: str) -> float:
    """The harvest of a field, in the board's unit; NaN where it is unknown, or the map tells no yields."""
    return float(board.harvests()[(board.table["field"] == name).to_numpy()][0])


def axis_ends(dates: Sequence[str], told: pd.DataFrame) -> list[str]:
    """First and last day of the season's axis, ISO 8601, which all charts of a field share."""
    known = [] if told.empty else told["known_until"].dt.strftime("%Y-%m-%d").tolist()
    ends = sorted([*dates, *known])
    return [ends[0], ends[-1]] if ends else []


def show_by_date(board: FieldBoard, told: pd.DataFrame, harvest: float, ends: Sequence[str]) -> None:
    """Show how the forecast and its interval moved, and the error to expect at each date; else say why not."""
    if told["mean"].notna().sum() < 1 if "mean" in told else True:
        st.caption(plain(why_not(board)))
        return
    show_chart(draw_forecast(told, harvest, ends))
    st.caption(plain(forecast_words(told)))
    if told["typical_error"].notna().any():
        show_chart(draw_error(told, ends))
        st.caption(plain(error_words(told)))


def why_not(board: FieldBoard) -> str:
    """Why there is no forecast by date."""
    if board.tags["TRAINING"] == MEASURED_ALONE:
        return "No forecast by date: this map tells what was measured, or how green it was, and no model forecasts it."
    if board.by_date is None:
        return "No forecast by date: this map was made without; mainstem map ... --by-date makes it."
    return "No forecast by date: this field, or its border, is newer than the map, or too little of it was seen."


def draw_forecast(told: pd.DataFrame, harvest: float, ends: Sequence[str]) -> alt.LayerChart:
    """Mean and interval by the date until which scenes and weather were known; the harvest in black."""
    unit = _unit(told)
    base = alt.Chart(told).encode(x=_dates(ends))
    tips = ["known_until:T", *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("mean", "lower", "upper"))]
    drawn = base.mark_area(opacity=0.25, color=GREEN).encode(y=left_axis("lower:Q", unit), y2="upper:Q")
    drawn += base.mark_line(point={"color": GREEN}, color=GREEN).encode(y="mean:Q", tooltip=tips)
    if np.isfinite(harvest):
        rule = alt.Chart(pd.DataFrame({"harvest": [harvest]})).mark_rule(color=MEASURED)
        drawn += rule.encode(y="harvest:Q", tooltip=[alt.Tooltip("harvest:Q", format=".2f")])
    harvested = "; black: the harvest" if np.isfinite(harvest) else ""
    chart: alt.LayerChart = drawn.properties(height=190, title=f"Forecast by date{harvested}")
    return chart


def draw_error(told: pd.DataFrame, ends: Sequence[str]) -> alt.LayerChart:
    """The error to expect by date, and dashed that of the average of all fields."""
    base = alt.Chart(told).encode(x=_dates(ends))
    tips = ["known_until:T", *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("typical_error", "average_error"))]
    drawn = base.mark_line(point={"color": GREEN}, color=GREEN).encode(
        y=left_axis("typical_error:Q", f"RMSE, {_unit(told)}"), tooltip=tips
    )
    drawn += base.mark_line(strokeDash=[5, 4], color=FADED).encode(y="average_error:Q")
    chart: alt.LayerChart = drawn.properties(
        height=200, title=["Error by date, fields of farms held out;", "dashed: their average alone"]
    )
    return chart


def forecast_words(told: pd.DataFrame) -> str:
    """Say what each point knew, how much the claim is worth, and which intervals are wider than they were issued."""
    words = "Each point is made of scenes and weather up to its date alone."
    if _unit(told).startswith("percent"):
        words += " In percent of the map's mean as it was told at that date; nothing is claimed of it."
    wider = int((told["lower"] < told["lower_issued"] - 1e-9).sum())
    if wider:
        words += f" No interval is drawn narrower than one that followed: {wider} of {len(told)} were issued narrower."
    less = [f"{date:%d %b}" for date in told.loc[told["claim"] != "stated", "known_until"]]
    return f"{words} No claim at {', '.join(less)}." if less else words


def error_words(told: pd.DataFrame) -> str:
    """Say what forecasts erred by at the first date and at the last, in words."""
    first, last = told.iloc[0], told.iloc[-1]
    of = plain(first["errors_of"], 40)
    unit = _unit(told)
    return (
        f"Of {of} whose farm was held out, forecasts known until {first['known_until']:%d %b} erred by "
        f"{first['typical_error']:.2f} {unit}, until {last['known_until']:%d %b} by {last['typical_error']:.2f}; "
        f"the average of all by {last['average_error']:.2f}."
    )


def _unit(told: pd.DataFrame) -> str:
    return str(told["units"].iloc[0])


def _dates(ends: Sequence[str]) -> alt.X:
    axis = alt.Axis(format="%b", tickCount="month")
    return alt.X("known_until:T", title=None, axis=axis, scale=alt.Scale(domain=list(ends)))
