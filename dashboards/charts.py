"""What charts above each other share, so that what lies below them lines up."""

import altair as alt

AXIS_PX = 46  # of every chart's left axis


def left_axis(field: str, title: str, *, form: str = ".2f", zero: bool = False) -> alt.Y:
    """A left axis as wide as those of the charts above and below."""
    axis = alt.Axis(minExtent=AXIS_PX, maxExtent=AXIS_PX, format=form, tickCount=4)
    return alt.Y(field, title=title, axis=axis, scale=alt.Scale(zero=zero))
