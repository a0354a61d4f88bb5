"""What is asked of the yield page: season, interval, unit, lead and threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.dashboards.shell import choose, plain, put_in_address, say_in_vain
from mainstem.dashboards.yield_map.board import YieldBoard
from mainstem.data.earth.crops import POUNDS_PER_BUSHEL, bushels_per_acre

LEVELS = (0.5, 0.8, 0.9)
HIGHEST_T_HA = 20.0  # of the threshold's slider


@dataclass(frozen=True, kw_only=True)
class YieldUnit:
    """The unit that yields of a crop are shown in."""

    name: str
    crop: str

    def convert(self, t_ha: Any) -> Any:  # noqa: ANN401 - number, Series or array
        """Convert t/ha to this unit."""
        return t_ha if self.name == "t/ha" else bushels_per_acre(1.0, self.crop) * t_ha


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What the user chose in the sidebar."""

    season: str
    level: float
    unit: YieldUnit
    lead: int
    threshold_t_ha: float


def choose_controls(board: YieldBoard, vain: DeltaGenerator) -> Controls:
    """Offer season and lead on one line, and interval, unit and threshold behind a button that says what they are.

    What the address asks for in vain is said in `vain`.
    """
    crop = board.crop()
    season = choose(
        partial(st.selectbox, "Season", label_visibility="collapsed", width=96), "season", list(board.seasons()), vain
    )
    lead = choose(
        partial(st.selectbox, "Known at", label_visibility="collapsed", width=190),
        "lead",
        list(range(5)),
        vain,
        told=name_lead,
    )
    more = st.container(width="content")
    units = ["t/ha", "bu/ac"] if crop in POUNDS_PER_BUSHEL else ["t/ha"]
    with more.popover(plain(_sum_up(units)), icon=":material/tune:"):
        interval = partial(st.select_slider, "Interval")
        level = choose(interval, "level", LEVELS, vain, default=LEVELS[-1], told=lambda value: f"{value:.0%}")
        unit = choose(partial(st.segmented_control, "Unit"), "unit", units, vain)
        shown = YieldUnit(name=unit, crop=crop)
        threshold_t_ha = choose_threshold(board, shown, vain)
    return Controls(season=season, level=level, unit=shown, lead=lead, threshold_t_ha=threshold_t_ha)


def _sum_up(units: Sequence[str]) -> str:
    """Interval and unit that the address asks for, in a few letters."""
    unit = st.query_params.get("unit", units[0])
    level = {str(level): level for level in LEVELS}.get(st.query_params.get("level", ""), LEVELS[-1])
    return f"{level:.0%}, {unit if unit in units else units[0]}"


def choose_threshold(board: YieldBoard, unit: YieldUnit, vain: DeltaGenerator) -> float:
    """Offer the threshold, t/ha, from the middle of the known yields; the address keeps it in t/ha."""
    known = board.middle_t_ha
    middle = float(np.clip(known, 0.0, HIGHEST_T_HA)) if np.isfinite(known) else HIGHEST_T_HA / 2
    factor, key = float(unit.convert(1.0)), f"threshold {unit.name}"
    asked = str(st.query_params.get("threshold", ""))
    given = _number(asked)
    is_known = 0 <= given <= HIGHEST_T_HA
    st.session_state[key] = factor * (given if is_known else middle)

    def note() -> None:
        put_in_address("threshold", round(float(st.session_state[key]) / factor, 3))

    st.slider(
        f"Threshold, {plain(unit.name)}", 0.0, HIGHEST_T_HA * factor, step=0.1 * factor, format="%.1f", key=key,
        on_change=note,
    )  # fmt: skip
    say_in_vain(vain, "threshold", "" if is_known else asked, f"{factor * middle:.1f} {unit.name}")
    return round(given if is_known else middle, 3)


def _number(text: str) -> float:
    """The number that a text says, or NaN."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def name_lead(lead: int) -> str:
    """Say in words how early a forecast is."""
    return "whole season" if lead == 0 else f"{lead} month{'s' if lead > 1 else ''} or phases before"
