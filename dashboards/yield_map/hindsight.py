"""How forecasts ended, beside the average of each region's past: of the season shown, and of all seasons known."""

from functools import partial
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mainstem.apps.hindsight import (
    DOUBTED_AT,
    ERRORS,
    FORECAST,
    Judged,
    looked_back,
    looked_back_file,
    season_figures,
    skill_by_lead,
    worst,
)
from mainstem.apps.page_jobs import hindsight_job, start_hindsight
from mainstem.core.contradiction import chance_of_so_many_below, chance_of_such_groups
from mainstem.dashboards.charts import left_axis, show_chart
from mainstem.dashboards.components.tables import choice_table
from mainstem.dashboards.palette import FADED, GREEN, PAST
from mainstem.dashboards.shell import mistakes_as_lines, plain, put_in_address
from mainstem.dashboards.waiting import is_being_made, show_failure
from mainstem.dashboards.yield_map.axes import SeasonAxis
from mainstem.dashboards.yield_map.board import YieldBoard, doubt_of, judge_season
from mainstem.dashboards.yield_map.controls import Controls, YieldUnit
from mainstem.dashboards.yield_map.layers import LESS_HARVEST
from mainstem.dashboards.yield_map.reads import BoardKey, read_board
from mainstem.dashboards.yield_map.table import LIST_PX, choose_region, shown_table
from mainstem.data.spreadsheets import csv_bytes

AVERAGE = "average of the past"
OF_RAISED = "saved_of_raised"
TOO_FEW, NOT_TOO_FEW = "too few inside", "not too few inside"
COLOURS = alt.Scale(domain=[FORECAST, AVERAGE], range=[GREEN, PAST])
WORST = 10  # forecasts that the panel lists; the list has all
STILL = ("season", "how", "num", "rmse", "past_rmse", "bias", "past_bias", "coverage", "past_coverage", "width")


def say_season(board: YieldBoard, table: pd.DataFrame, controls: Controls) -> None:
    """Warn, over the map, of a season that the model was trained on, and of harvests that contradict the level."""
    for told in (board.provenance_of(controls.season), doubt_of(table)):
        if told:
            st.warning(plain(told), icon=":material/history:")


def show_hindsight(key: BoardKey, table: pd.DataFrame, controls: Controls, chosen: str) -> None:
    """Show how the season ended, its worst forecasts first, and every season beside the average of the past."""
    say_season(read_board(key), table, controls)
    if judge_season(table).num:
        st.markdown(plain(season_words(table, controls.unit), 1000))
        show_worst(key, table, controls, chosen)
    else:
        st.info(f"No harvest of {plain(controls.season, 40)} is known yet.", icon=":material/info:")
    if not has_looked_back(key):
        offer_looking_back(key)
        return
    figures = read_figures(*looked_file(key), controls.lead, controls.level)
    if len(figures):
        show_seasons(figures, key, controls)


def show_worst(key: BoardKey, table: pd.DataFrame, controls: Controls, chosen: str) -> None:
    """Show the worst forecasts of the season, and offer their layer of the map."""
    row = st.container(horizontal=True, vertical_alignment="center")
    row.markdown(f"**The {WORST:d} worst forecasts of {plain(controls.season, 40)}**")
    if st.query_params.get("layer") != LESS_HARVEST:
        row.button(
            "On the map", on_click=put_in_address, args=("layer", LESS_HARVEST), icon=":material/map:", width="content"
        )
    rows = worst(table, WORST)
    regions = [str(region) for region in rows["region"]]
    choice_table(
        shown_table(rows, controls, LESS_HARVEST),
        regions,
        chosen,
        choose_region,
        f"worst {key.name} {controls}",
        LIST_PX,
    )


def looked_file(key: BoardKey) -> tuple[str, int]:
    """Where what the model said of past seasons is kept, and when it was written; 0 where nobody has asked it."""
    path = looked_back_file(key.name, read_board(key).fitted.adapter_sha256)
    return str(path), path.stat().st_mtime_ns if path.is_file() else 0


def has_looked_back(key: BoardKey) -> bool:
    """True where what the model said of past seasons can be read."""
    return read_looked_back(*looked_file(key)) is not None


@st.cache_data(show_spinner=False, max_entries=4)
def read_looked_back(path: str, stamp: int) -> pd.DataFrame | None:
    """Read what the model said of past seasons once for all sessions."""
    return looked_back(Path(path)) if stamp else None


@st.cache_data(show_spinner=False, max_entries=64)
def read_figures(path: str, stamp: int, lead: int, level: float) -> pd.DataFrame:
    """The figures of every season at a lead."""
    looked = read_looked_back(path, stamp)
    return pd.DataFrame() if looked is None else season_figures(looked, lead, level)


@st.cache_data(show_spinner=False, max_entries=64)
def read_skill(path: str, stamp: int, level: float) -> pd.DataFrame:
    """What forecasts were worth at each lead; empty where no season is known."""
    looked = read_looked_back(path, stamp)
    return pd.DataFrame() if looked is None or looked.empty else skill_by_lead(looked, level)


def season_words(table: pd.DataFrame, unit: YieldUnit) -> str:
    """Say how a season's forecasts ended, beside the average of the past of the same regions."""
    both = table[np.isfinite(table["past"].astype(float))]
    model, past = judge_season(both), judge_season(both, "past")
    told = judge_season(table)
    words = [f"No interval was issued for the {told.num} harvests."]
    if told.num_bounded:
        level = float(table["level"].iloc[0])
        words = [f"Of {told.num_bounded} harvests {told.coverage:.0%} ended inside their {level:.0%} interval."]
        issued = judge_season(table, ends_as="_issued")
        if issued.num_inside != told.num_inside:
            words.append(f"As issued then, before any was widened: {issued.coverage:.0%}.")
    if model.num:
        words.append(
            f"In the {model.num} regions with a past: error (RMSE) {_amount(model.rmse, unit)}, the average of the "
            f"past {_amount(past.rmse, unit)}; forecasts were {_side(model, unit)}, the average {_side(past, unit)}."
        )
    return " ".join(words)


def _amount(value: float, unit: YieldUnit) -> str:
    return f"{unit.convert(value):.2f} {unit.name}"


def _side(judged: Judged, unit: YieldUnit) -> str:
    return f"{_amount(abs(judged.bias), unit)} too {'high' if judged.bias > 0 else 'low'} on average"


def offer_looking_back(key: BoardKey) -> None:
    """Offer to ask the model what it says of all past seasons; it is done beside the pages."""
    job = hindsight_job(key.name)
    if is_being_made(lambda: has_looked_back(key), job):
        return
    show_failure(job)
    st.caption("How did other seasons end? The model is asked about each of them, without what learned from it.")
    if st.button("Look back at all seasons", icon=":material/history:"):
        with mistakes_as_lines("Looking back"), st.spinner("Starting"):
            start_hindsight(key.name)
        st.rerun()


def show_seasons(figures: pd.DataFrame, key: BoardKey, controls: Controls) -> None:
    """Show errors and coverage of every season, in charts over one axis and a table."""
    level, unit = controls.level, controls.unit
    st.markdown(plain(average_words(figures, level), 1000))
    show_chart(draw_errors(figures, unit, controls.season))
    show_chart(draw_coverage(figures, level, controls.season))
    with st.expander("Every season in numbers"):
        st.dataframe(season_rows(figures, unit), hide_index=True)
        st.caption(
            "Forecast: the season was never trained on. Held out: told by the members that never saw it, which may "
            "know later ones. The average is of each region's last five harvests, its interval of the errors that such "
            "averages made in the other seasons of training."
        )
        st.download_button(
            "CSV", partial(csv_bytes, figures.assign(lead=controls.lead, level=level, units="t/ha")),
            f"seasons-in-hindsight_{key.name}_lead{controls.lead}_{level:.0%}.csv".replace("%", "pct"), "text/csv",
            icon=":material/download:", on_click="ignore", key="hindsight csv",
        )  # fmt: skip


def average_words(figures: pd.DataFrame, level: float) -> str:
    """Say what the level came to on average over seasons, and whether it is contradicted for those never trained on."""
    shown = figures[figures["how"] == FORECAST]
    kind = "seasons never trained on" if len(shown) else "seasons held out"
    shown = shown if len(shown) else figures
    coverages = shown["coverage"].dropna().tolist()
    chance = chance_of_such_groups(coverages, level)
    doubted = [str(season) for season in shown.loc[shown["doubted"], "season"]]
    model, past, raised = (float(np.sqrt((shown[name] ** 2).mean())) for name in ERRORS)
    words = (
        f"Over {len(coverages)} {kind}: {np.mean(coverages):.0%} inside on average, {min(coverages):.0%} at worst; "
        f"{saved_words(1 - model / past)} than the average of the past, {saved_words(1 - model / raised)} than that "
        "average raised by what it fell short of in training's seasons"
        if coverages
        else "No season has intervals that can be judged"
    )
    below = sum(coverage < level for coverage in coverages)
    of_signs = chance_of_so_many_below(coverages, level)
    if chance < DOUBTED_AT:
        words += f". {level:.0%} on average is contradicted (chance {chance:.3f} at most)"
    elif of_signs < DOUBTED_AT:
        words += f". Fewer than {level:.0%} ended inside in {below} of {len(coverages)} (sign test, {of_signs:.3f})"
    elif coverages:
        words += f". So few seasons neither prove nor contradict {level:.0%} on average"
        words += f"; more than that ended inside in {len(coverages) - below}" if below < len(coverages) / 2 else ""
    return f"{words}; it did not hold in {', '.join(doubted)}." if doubted else f"{words}."


def season_rows(figures: pd.DataFrame, unit: YieldUnit) -> pd.DataFrame:
    """The seasons' figures in the unit, newest first, titled."""
    rows = figures[[*STILL, "doubted"]].iloc[::-1].copy()
    for name in ("rmse", "past_rmse", "bias", "past_bias", "width"):
        rows[name] = unit.convert(rows[name]).round(2)
    for name in ("coverage", "past_coverage"):
        rows[name] = [f"{share:.0%}" if np.isfinite(share) else "" for share in rows[name]]
    rows["doubted"] = ["✗ too few inside" if doubted else "" for doubted in rows["doubted"]]
    return rows.rename(columns={
        "how": "shown as", "num": "regions", "rmse": f"RMSE, {unit.name}", "past_rmse": "RMSE of the average",
        "bias": f"bias, {unit.name}", "past_bias": "bias of the average", "coverage": "inside",
        "past_coverage": "inside the average's", "width": f"mean width, {unit.name}", "doubted": "level",
    })  # fmt: skip


def _seasons_axis(figures: pd.DataFrame, *, is_last: bool) -> alt.X:
    axis = alt.Axis(labels=is_last, ticks=is_last, labelAngle=0, labelOverlap=True)
    return alt.X("season:O", title=None, axis=axis, scale=alt.Scale(domain=sorted(figures["season"])))


def draw_errors(figures: pd.DataFrame, unit: YieldUnit, season: str) -> alt.LayerChart:
    """Errors of forecast and average by season; the season shown is marked."""
    parts = {FORECAST: figures["rmse"], AVERAGE: figures["past_rmse"]}
    rows = pd.concat(
        [figures[["season", "how"]].assign(told=name, error=unit.convert(values)) for name, values in parts.items()]
    )
    base = alt.Chart(rows).encode(
        x=_seasons_axis(figures, is_last=False),
        y=left_axis("error:Q", f"RMSE, {unit.name}", form=".2f", zero=True),
        color=alt.Color("told:N", scale=COLOURS, title=None, legend=alt.Legend(orient="top")),
        tooltip=["season", "how", "told", alt.Tooltip("error:Q", format=".2f")],
    )
    drawn = (
        _marked(figures, season, is_last=False) + base.mark_line(opacity=0.5) + base.mark_point(filled=True, size=50)
    )
    chart: alt.LayerChart = drawn.properties(height=190)
    return chart


def draw_coverage(figures: pd.DataFrame, level: float, season: str) -> alt.LayerChart:
    """Share of harvests inside by season, and the level; seasons that contradict it are crosses."""
    rows = figures.assign(state=np.where(figures["doubted"], TOO_FEW, NOT_TOO_FEW))
    base = alt.Chart(rows).encode(
        x=_seasons_axis(figures, is_last=True),
        y=left_axis("coverage:Q", "inside", form=".0%", zero=False),
        tooltip=["season", "how", alt.Tooltip("coverage:Q", format=".1%"), "num"],
    )
    shape = alt.Shape(
        "state:N", title=None, legend=None, scale=alt.Scale(domain=[NOT_TOO_FEW, TOO_FEW],
                                                            range=["circle", "cross"])
    )  # fmt: skip
    rule = alt.Chart(pd.DataFrame({"level": [level]})).mark_rule(strokeDash=[5, 4], color=FADED).encode(y="level:Q")
    drawn = (
        _marked(figures, season, is_last=True)
        + rule
        + base.mark_point(filled=True, size=70, color=GREEN).encode(shape=shape)
    )
    chart: alt.LayerChart = drawn.properties(height=170)
    return chart


def _marked(figures: pd.DataFrame, season: str, *, is_last: bool) -> alt.Chart:
    """A light band behind the season shown."""
    shown = figures[figures["season"] == season][["season"]]
    band = alt.Chart(shown).mark_rule(strokeWidth=14, opacity=0.15, color=FADED)
    chart: alt.Chart = band.encode(x=_seasons_axis(figures, is_last=is_last))
    return chart


def show_skill(key: BoardKey, controls: Controls, axis: SeasonAxis) -> None:
    """Show what forecasts were worth at each lead, over seasons known; nothing where nobody has looked back."""
    skill = read_skill(*looked_file(key), controls.level)
    if skill.empty:
        st.caption("How much forecasts are worth at each lead is shown once *Hindsight* has looked back.")
        return
    show_chart(draw_skill(skill, controls.unit, axis))
    st.caption(plain(skill_words(skill)))


def skill_words(skill: pd.DataFrame) -> str:
    """Say how much of the past average's error forecasts save, early and late."""
    first, last = skill.iloc[0], skill.iloc[-1]
    kind = "never trained on" if last["how"] == FORECAST else "held out"
    return (
        f"Over {last['seasons']:.0f} seasons {kind}, all regions: {saved_words(first['saved'])} than the average of "
        f"the past at the earliest lead, {saved_words(last['saved'])} with the whole season known. Yields grow, and "
        "averages lag: beside that average raised by what it fell short of in training's seasons "
        f"{saved_words(first[OF_RAISED])} at first (less in {first['better']:.0f} of {first['seasons']:.0f} seasons), "
        f"{saved_words(last[OF_RAISED])} with all known (less in {last['better']:.0f})."
    )


def saved_words(saved: float) -> str:
    """Say a share of an error that is saved."""
    return f"{abs(saved):.0%} {'less' if saved >= 0 else 'more'} error"


def draw_skill(skill: pd.DataFrame, unit: YieldUnit, axis: SeasonAxis) -> alt.LayerChart:
    """Error by lead of forecast and average, over the axis of the forecast's own chart."""
    parts = {FORECAST: skill["rmse"], AVERAGE: skill["past_rmse"]}
    rows = pd.concat(
        [skill[["lead", "saved"]].assign(told=name, error=unit.convert(values)) for name, values in parts.items()]
    )
    base = alt.Chart(rows.assign(known=[axis.at(lead) for lead in rows["lead"]])).encode(
        x=axis.x("known", is_last=True),
        y=left_axis("error:Q", f"RMSE, {unit.name}", form=".2f", zero=False),
        color=alt.Color("told:N", scale=COLOURS, title=None, legend=alt.Legend(orient="top")),
        tooltip=["lead", "told", alt.Tooltip("error:Q", format=".2f"), alt.Tooltip("saved:Q", format=".0%")],
    )
    drawn = base.mark_line() + base.mark_point(filled=True, size=50)
    chart: alt.LayerChart = drawn.properties(height=190, title="Error by lead, all regions")
    return chart
