"""The field page's chosen field: its value, its interval, how green it was, and what was forecast at each date."""

import altair as alt
import streamlit as st

from mainstem.dashboards.charts import left_axis, show_chart
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.by_date import axis_ends, harvest_of, show_by_date, told_of
from mainstem.dashboards.field_map.changes import SEEN
from mainstem.dashboards.field_map.layers import describe_field
from mainstem.dashboards.field_map.units import area_unit, areas_per_ha
from mainstem.dashboards.palette import GREEN
from mainstem.dashboards.shell import plain


def show_field(board: FieldBoard, name: str) -> None:
    """Show a field's value, its interval and its season."""
    row = next(row for row in board.table.itertuples() if row.field == name)
    st.subheader(f"Field {plain(name, 120)}", anchor=False)
    st.markdown(f"**{plain(describe_field(row, board.tags['UNITS']))}**")
    st.caption(f"{row.area_ha * areas_per_ha(board.tags):.2f} {plain(area_unit(board.tags))}. {plain(row.reason)}")
    series, told = board.season(name), told_of(board, name)
    ends = axis_ends(board.dates, told)
    if not len(series):
        st.caption("No scenes are kept with this map: there is no curve.")
        show_by_date(board, told, harvest_of(board, name), ends)
        return
    clear = series[series["seen"] > 0]
    everyone = board.everyone()
    axis = alt.X("date:T", title=None, axis=alt.Axis(format="%b", tickCount="month"), scale=alt.Scale(domain=ends))
    drawn = alt.Chart(everyone).mark_line(color="#8a8a8a", strokeDash=[5, 4]).encode(
        x=axis, y=left_axis("ndvi:Q", "NDVI").scale(domain=[0, 1])
    )  # fmt: skip
    drawn += alt.Chart(series[series["seen"] >= SEEN]).mark_line(color=GREEN).encode(x=axis, y="ndvi:Q")
    drawn += alt.Chart(clear).mark_circle(color=GREEN).encode(
        x=axis, y="ndvi:Q",
        size=alt.Size("seen:Q", scale=alt.Scale(domain=[0, 1]), legend=None),
        tooltip=["date", alt.Tooltip("ndvi:Q", format=".2f"), alt.Tooltip("seen:Q", format=".0%")],
    )  # fmt: skip
    title = ["This field; dashed: all fields;", "dots: as much as was seen, the line half or more"]
    show_chart(drawn.properties(height=220, title=title))
    show_by_date(board, told, harvest_of(board, name), ends)
    last = clear["date"].iloc[-1] if len(clear) else "never"
    cloud = 1 - float(series["seen"].mean())
    st.caption(f"Last seen {plain(last)}; over the season's {len(series)} scenes {cloud:.0%} of it was under cloud.")
