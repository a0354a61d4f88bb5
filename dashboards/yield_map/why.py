"""Why a region is forecast as it is: what each part adds, its season against its own normal, what the alarm heard."""

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from mainstem.apps.why import Parts, heard_by_alarm, parts_of, season_features, season_inputs
from mainstem.dashboards.charts import left_axis, show_chart
from mainstem.dashboards.palette import FADED, GREEN, HEARD, PAST, SEASON
from mainstem.dashboards.shell import plain
from mainstem.dashboards.yield_map.axes import SeasonAxis
from mainstem.dashboards.yield_map.controls import Controls, YieldUnit
from mainstem.dashboards.yield_map.known import has_inputs
from mainstem.dashboards.yield_map.layers import title_region
from mainstem.dashboards.yield_map.reads import BoardKey, read_board

ODD = 0.05  # chance, over all inputs of a season, below which one is named
MOST_NAMED = 3
LEAST_SAID = 0.005  # what rounds to 0.00 is not said
FARTHEST = 5.0  # standard deviations: of a handful of seasons none is known well enough to say more
DRAWN = ("rain", "water balance", "mean temperature", "FAPAR", "NDVI")
PART_NAMES = {"canopy": "canopy (FAPAR, NDVI)"}


@st.cache_data(show_spinner="Taking the forecast apart", max_entries=256)
def read_parts(key: BoardKey, region: str, season: str, lead: int) -> Parts:
    """Take a region's forecast apart once for all sessions."""
    board = read_board(key)
    return parts_of(board.fitted_for(season), board.samples(season, region)[0], lead)


@st.cache_data(show_spinner=False, max_entries=64)
def read_features(key: BoardKey, season: str, lead: int) -> NDArray[np.float64]:
    """What the alarm compares of a season, once for all its regions."""
    board = read_board(key)
    return season_features(board.fitted_for(season), board.samples(season), lead)


@st.cache_data(show_spinner="Asking the alarm", max_entries=256)
def read_inputs(key: BoardKey, region: str, season: str, lead: int) -> pd.DataFrame:
    """Return a region's inputs of the season against its normal, with what the alarm makes of each, once for all."""
    board = read_board(key)
    others = [sample for name in board.by_season for sample in board.samples(name, region)]
    inputs = season_inputs(board.samples(season, region)[0], others, lead)
    features = read_features(key, season, lead)
    heard = heard_by_alarm(board.fitted_for(season), board.samples(season), region, lead, features)
    told = inputs.merge(heard, on=["stream", "channel"], how="left")
    return told.assign(is_heard=told["is_heard"].fillna(value=False).astype(bool))


def show_why(key: BoardKey, table: pd.DataFrame, region: str, controls: Controls) -> None:
    """Show what each part adds to a region's forecast, and its season's inputs against its own normal."""
    board, season = read_board(key), controls.season
    st.subheader(plain(title_region(region), 120), anchor=False)
    rows = table[table["region"] == region]
    if rows.empty or not np.isfinite(rows["value"].iloc[0]):
        st.info(f"No forecast for {plain(title_region(region), 120)} in {plain(season, 40)}.", icon=":material/info:")
        return
    lead, unit = int(rows["lead"].iloc[0]), controls.unit
    parts = read_parts(key, region, season, lead)
    st.markdown(plain(part_words(parts, unit), 600))
    show_chart(draw_parts(parts, unit))
    st.caption(plain(weight_words(parts, unit), 800))
    if has_inputs(board, region, season):
        show_inputs(read_inputs(key, region, season, lead), SeasonAxis.of(board.samples(season, region)[0], season))


def show_inputs(inputs: pd.DataFrame, axis: SeasonAxis) -> None:
    """Show a season's inputs against the region's normal, in charts over one axis and a table."""
    st.markdown(f"**The season against this region's own normal.** {plain(odd_words(inputs), 600)}")
    drawn = inputs[inputs["what"].isin(DRAWN) & np.isfinite(inputs["away"])]
    reach = float(np.clip(np.ceil(drawn["away"].abs().max()), 3.0, FARTHEST)) if len(drawn) else 3.0
    shown = [name for name in DRAWN if (drawn["what"] == name).any()]
    for number, name in enumerate(shown):
        chart = draw_input(drawn[drawn["what"] == name], axis, reach, is_last=number == len(shown) - 1)
        show_chart(chart)
    st.caption(
        f"Bars: standard deviations of a new season from the mean of {int(inputs['seasons'].max()):d} seasons of this "
        f"region, {FARTHEST:.0f} at most; blue, or "
        "orange with a diamond where the alarm heard it: the season's mean over regions lies so far from other seasons "
        "that it makes up more than an even share of the alarm's distance."
    )
    with st.expander("All inputs in numbers"):
        st.dataframe(
            input_rows(inputs), hide_index=True,
            column_config={name: st.column_config.NumberColumn(format="%.2f") for name in FIGURES.values()},
        )  # fmt: skip


FIGURES = {"value": "this season", "normal": "normal", "spread": "standard deviation", "away": "SDs from normal",
           "season_away": "all regions, SDs between seasons", "share": "share of the alarm"}  # fmt: skip


def input_rows(inputs: pd.DataFrame) -> pd.DataFrame:
    """The inputs as the page lists them, the oddest first."""
    order = inputs["away"].abs().sort_values(ascending=False, na_position="last").index
    rows = inputs.loc[order].assign(heard=["◆ heard" if heard else "" for heard in inputs.loc[order, "is_heard"]])
    kept = rows[["what", "when", "unit", *FIGURES, "heard"]].rename(columns=FIGURES)
    return kept.rename(columns={"what": "input", "heard": "alarm"})


def odd_words(inputs: pd.DataFrame) -> str:
    """Name the inputs that are odder than the oddest of so many is in an ordinary season, and how many the alarm heard.

    Of several inputs each is asked for a chance below ODD over their number (Bonferroni).
    """
    known = inputs[np.isfinite(inputs["away"])].sort_values("away", key=abs, ascending=False)
    if known.empty:
        return "Too few other seasons of it are known to say what is normal."
    odd = known[known["chance"] * len(known) < ODD]
    named = [f"{row.what}, {row.when}: {away_words(row.away)}" for row in odd.head(MOST_NAMED).itertuples()]
    first = known.iloc[0]
    words = "; ".join(named) if named else (
        f"None of its {len(known)} inputs is odder than the oddest of an ordinary season; the furthest is "
        f"{first['what']}, {first['when']}: {away_words(first['away'])}"
    )  # fmt: skip
    heard = inputs.loc[inputs["is_heard"], ["stream", "channel"]].drop_duplicates()
    count = len(inputs[["stream", "channel"]].drop_duplicates())
    alarm = f"The alarm was raised, by {len(heard)} of {count} inputs" if len(heard) else "The alarm was quiet"
    return f"{words}. {alarm}."


def away_words(away: float) -> str:
    """Say how many standard deviations an input lies from normal."""
    return f"{away:+.2f} SD" if abs(away) <= FARTHEST else f"beyond {np.copysign(FARTHEST, away):+.0f} SD"


def draw_input(rows: pd.DataFrame, axis: SeasonAxis, reach: float, *, is_last: bool) -> alt.LayerChart:
    """One input's departures through the season, from -reach to reach standard deviations."""
    told = rows.assign(at=[axis.middle_of(order) for order in rows["order"]], state=_states(rows))
    told["drawn"] = told["away"].clip(-reach, reach)
    base = alt.Chart(told).encode(
        x=axis.x("at", is_last=is_last),
        y=left_axis("drawn:Q", "SD", form="+.0f").scale(domain=[-reach, reach]),
        color=alt.Color("state:N", legend=None, scale=alt.Scale(domain=["season", "heard"], range=[SEASON, HEARD])),
        tooltip=["what", "when", "unit", *(alt.Tooltip(f"{name}:Q", format=".2f")
                                           for name in ("value", "normal", "spread", "away"))],
    )  # fmt: skip
    rule = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=FADED).encode(y="zero:Q")
    drawn = base.mark_bar(size=14) + rule
    if rows["is_heard"].any():
        heard = base.encode(color=alt.value(FADED)).transform_filter("datum.state == 'heard'")
        drawn += heard.mark_point(shape="diamond", filled=True, size=80)
    title = str(rows["what"].iloc[0]).capitalize() if str(rows["what"].iloc[0]).islower() else rows["what"].iloc[0]
    chart: alt.LayerChart = drawn.properties(height=165 if is_last else 145, title=title)
    return chart


def _states(rows: pd.DataFrame) -> list[str]:
    return ["heard" if heard else "season" for heard in rows["is_heard"]]


def part_words(parts: Parts, unit: YieldUnit) -> str:
    """Say how past and season make up the forecast."""
    told = sorted(parts.inputs.items(), key=lambda item: -abs(item[1]))
    added = ", ".join(f"{name} {unit.convert(value):+.2f}" for name, value in told)
    season = sum(parts.inputs.values())
    words = (
        f"The past alone says {unit.convert(parts.past):.2f} {unit.name}, the forecast is "
        f"{unit.convert(parts.forecast):.2f}."
    )
    if not told:
        return f"{words} Nothing of the season is known."
    itself = unit.convert(parts.without - parts.past)
    rest = f", what past yields and soil say beside it {itself:+.2f}" if abs(itself) >= LEAST_SAID else ""
    return f"{words} What is known of the season adds {unit.convert(season):+.2f} ({added}){rest}."


def weight_words(parts: Parts, unit: YieldUnit) -> str:
    """Say what each part of the model adds, by the mixture's weights, and how the bars were found."""
    plain_models, trunk = (unit.convert(value) for value in (parts.plain, parts.trunk))
    silent = ": seasons held out gave it no weight" if not parts.weights["trunk"] else ""
    return (
        f"By the mixture's weights: past {unit.convert(parts.past):.2f}, plain models of the season "
        f"{plain_models:+.2f} (weight {parts.weights['plain']:.2f}), trunk {trunk:+.2f} (weight "
        f"{parts.weights['trunk']:.2f}{silent}) {unit.name}; they add up to the forecast. Bars: the same forecast by "
        "inputs, each hidden in turn beside every set of the others (Shapley values, exact); they say what the model "
        "made of an input, not what caused the yield."
    )


def part_rows(parts: Parts, unit: YieldUnit) -> pd.DataFrame:
    """The steps from the past to the forecast: where each begins and ends, what it adds, and what it is of."""
    steps = [("past yields and soil", parts.without - parts.past, "past"),
             *((PART_NAMES.get(name, name), value, "season") for name, value in parts.inputs.items())]  # fmt: skip
    ends = np.cumsum([parts.past, *(value for _, value, _ in steps)])
    names = ["past alone", *(name for name, _, _ in steps), "forecast"]
    adds = np.array([parts.past, *(value for _, value, _ in steps), ends[-1]])
    return pd.DataFrame({
        "part": names, "adds": unit.convert(adds),
        "low": unit.convert(np.array([ends[0], *ends])), "high": unit.convert(np.array([*ends, ends[-1]])),
        "kind": ["past", *(kind for _, _, kind in steps), "forecast"],
        "is_step": [False, *(True for _ in steps), False],
    })  # fmt: skip


def draw_parts(parts: Parts, unit: YieldUnit) -> alt.LayerChart:
    """A bar for each step from the past to the forecast, which are points."""
    rows = part_rows(parts, unit)
    rows["label"] = [f"{row.adds:+.2f}" if row.is_step else f"{row.adds:.2f}" for row in rows.itertuples()]
    rows["reach"] = rows[["low", "high"]].max(axis=1)
    y = alt.Y("part:N", sort=list(rows["part"]), title=None, axis=alt.Axis(labelLimit=150, labelOverlap=False))
    colour = alt.Color(
        "kind:N", legend=None, scale=alt.Scale(domain=["past", "season", "forecast"], range=[PAST, SEASON, GREEN])
    )
    scale = alt.Scale(zero=False, nice=False, padding=36)
    base = alt.Chart(rows).encode(y=y, tooltip=["part", alt.Tooltip("adds:Q", format="+.2f")])
    x = alt.X("low:Q", title=unit.name, scale=scale, axis=alt.Axis(format=".2f", tickCount=5))
    bars = base.transform_filter("datum.is_step").mark_bar(size=14).encode(x=x, x2="high:Q", color=colour)
    ends = base.transform_filter("!datum.is_step").mark_point(filled=True, size=110).encode(x=x, color=colour)
    words = base.mark_text(align="left", dx=8, color=FADED).encode(x=alt.X("reach:Q", scale=scale), text="label:N")
    chart: alt.LayerChart = (bars + ends + words).properties(height=60 + 30 * len(rows))
    return chart
