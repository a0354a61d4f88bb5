"""How charts are drawn: in words and marks that stand out from the page, and in line with those above and below."""

import json
from typing import Any

import altair as alt
import streamlit as st

from mainstem.dashboards.palette import FADED, IN_THE_DARK

AXIS_PX = 46  # of every chart's left axis


def left_axis(field: str, title: str, *, form: str = ".2f", zero: bool = False) -> alt.Y:
    """A left axis as wide as those of the charts above and below."""
    axis = alt.Axis(minExtent=AXIS_PX, maxExtent=AXIS_PX, format=form, tickCount=4)
    return alt.Y(field, title=title, axis=axis, scale=alt.Scale(zero=zero))


def show_chart(chart: alt.LayerChart | alt.Chart) -> None:
    """Draw a chart as wide as its place; it is not validated, which takes longer than to draw it."""
    st.vega_lite_chart(legible_spec(chart, is_dark=st.context.theme.type == "dark"), width="stretch")


def legible_spec(chart: alt.LayerChart | alt.Chart, *, is_dark: bool) -> dict[str, Any]:
    """Vega-Lite of a chart whose words and marks stand out from the page (WCAG 2.2, 1.4.3 and 1.4.11)."""
    chart = chart.configure_axis(labelColor=FADED, titleColor=FADED)
    chart = chart.configure_legend(labelColor=FADED, titleColor=FADED)
    told = json.dumps(chart.to_dict(validate=False))
    for light, dark in IN_THE_DARK.items() if is_dark else ():
        told = told.replace(f'"{light}"', f'"{dark}"')
    spec: dict[str, Any] = json.loads(told)
    return spec
