"""What is asked of the yield page: season, interval, unit, lead and threshold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from mainstem.apps.yield_board import POUNDS_PER_BUSHEL, YieldBoard, bushels_per_acre
from mainstem.dashboards.shell import follow_address, note_in_address, plain

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


def choose_controls(board: YieldBoard) -> Controls:
    """Offer season, interval, unit, lead and threshold; all but the threshold are kept in the address."""
    crop = board.crop()
    seasons = list(board.seasons())
    asked = follow_address("season", seasons, seasons[0])
    st.selectbox("Season", seasons, key="season", on_change=note_in_address, args=("season",))
    season = str(st.session_state["season"])
    say_in_vain("season", asked, season)
    asked = follow_address("level", LEVELS, LEVELS[-1])
    level = st.select_slider(
        "Interval", LEVELS, format_func=lambda value: f"{value:.0%}", key="level", on_change=note_in_address,
        args=("level",),
    )  # fmt: skip
    say_in_vain("level", asked, f"{level:.0%}")
    units = ["t/ha", "bu/ac"] if crop in POUNDS_PER_BUSHEL else ["t/ha"]
    asked = follow_address("unit", units, units[0])
    unit = st.segmented_control("Unit", units, key="unit", on_change=note_in_address, args=("unit",)) or units[0]
    say_in_vain("unit", asked, unit)
    leads = list(range(5))
    asked = follow_address("lead", leads, leads[0])
    lead = st.selectbox("Known at", leads, format_func=name_lead, key="lead", on_change=note_in_address, args=("lead",))
    say_in_vain("lead", asked, name_lead(lead))
    shown = YieldUnit(name=unit, crop=crop)
    return Controls(season=season, level=level, unit=shown, lead=lead, threshold_t_ha=choose_threshold(board, shown))


def say_in_vain(name: str, asked: str, shown: str) -> None:
    """Warn of what the address asks for in vain, and say what is shown instead."""
    if asked:
        st.warning(
            f"There is no {plain(name)} {plain(asked, 40)} here; shown is {plain(shown, 40)}.",
            icon=":material/warning:",
        )


def choose_threshold(board: YieldBoard, unit: YieldUnit) -> float:
    """Offer the threshold, t/ha, from the middle of the known yields."""
    known = [float(sample.target) for sample in board.source.labelled() if sample.target is not None]
    middle = float(np.clip(np.median(known), 0.0, HIGHEST_T_HA)) if known else HIGHEST_T_HA / 2
    factor = float(unit.convert(1.0))
    threshold = st.slider(
        f"Threshold, {plain(unit.name)}", 0.0, HIGHEST_T_HA * factor, middle * factor, 0.1 * factor, format="%.1f",
        key=f"threshold {unit.name}",
    )  # fmt: skip
    return float(threshold) / factor


def name_lead(lead: int) -> str:
    """Say in words how early a forecast is."""
    return "whole season" if lead == 0 else f"{lead} month{'s' if lead > 1 else ''} or phases before"
