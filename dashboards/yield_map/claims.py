"""What may be claimed of the season that the yield page shows, in one box over the map, and how it stands under it."""

import textwrap

import pandas as pd
import streamlit as st

from mainstem.dashboards.shell import plain, put_in_address
from mainstem.dashboards.yield_map.board import Doubt, YieldBoard, doubt_of, doubts, judge_season, worth
from mainstem.dashboards.yield_map.controls import Controls
from mainstem.dashboards.yield_map.hindsight import say_season
from mainstem.dashboards.yield_map.layers import title_region
from mainstem.dashboards.yield_map.reads import BoardKey, newest_claimed, read_board

SHORT = 60  # letters of a reason in the box: two lines beside the chosen region; the list below has it whole


def show_claims(key: BoardKey, table: pd.DataFrame, controls: Controls) -> None:
    """Say in a box whose claims are missing, and list below it why, and which regions."""
    board, season = read_board(key), controls.season
    say_season(board, table, controls)
    found = doubts(table)
    reach = board.reach(season, controls.lead)
    if reach and sum(len(doubt.regions) for doubt in found) == len(table):
        show_reach(key, controls, reach)
    elif found:
        st.warning(plain(sum_up(found, len(table)), 240), icon=":material/warning:")
        show_doubts(found)
    is_worth, sentence = worth(board, controls.unit.convert(1.0), controls.unit.name)
    if not is_worth:
        st.info(plain(sentence), icon=":material/info:")


def standing(board: YieldBoard, table: pd.DataFrame, controls: Controls) -> str:
    """How the claims of a season stand, in a few words for the status line."""
    if board.is_trained_on(controls.season):
        kind = "held out, not a forecast" if board.is_held_out(controls.season) else "no forecast"
        return f"\N{WARNING SIGN} {kind}: the model was trained on {controls.season}"
    reach = board.reach(controls.season, controls.lead)
    stated = int((table["claim"] == "stated").sum())
    missing = len(table) - stated
    said = f"claim missing in {missing} of {len(table)} regions" if missing else ""
    if reach and not stated:
        said = f"no claim: intervals were judged up to {reach}"
    if doubt_of(table):
        held = f"{controls.level:.0%} did not hold: {judge_season(table).coverage:.0%} inside"
        said = f"{held}; {said}" if said else held
    return f"\N{WARNING SIGN} {said}" if said else "claim stated"


def sum_up(found: list[Doubt], total: int) -> str:
    """Say in a line or two how many regions are without a claim."""
    count = sum(len(doubt.regions) for doubt in found)
    if len(found) == 1:
        (doubt,) = found
        what = "No claim" if doubt.claim == "none" else f"Claim {doubt.claim}"
        return f"{what} in {count} of {total} regions: {textwrap.shorten(doubt.reason, SHORT, placeholder='…')}"
    states = dict.fromkeys(doubt.claim for doubt in found)
    counts = [f"{sum(len(doubt.regions) for doubt in found if doubt.claim == state)} {state}" for state in states]
    return f"Claim missing in {count} of {total} regions ({', '.join(counts)}), for {len(found)} reasons"


def show_doubts(found: list[Doubt]) -> None:
    """List every reason with all of its regions."""
    with st.expander("Why, and which regions"):
        for doubt in found:
            st.markdown(f"**{plain(doubt.claim, 40)}**, {len(doubt.regions)}: {plain(doubt.reason)}")
            st.caption(plain(", ".join(map(title_region, doubt.regions)), 40_000))


def show_reach(key: BoardKey, controls: Controls, reach: str) -> None:
    """Say that the season lies beyond all that claims were judged by, and offer one that does not."""
    st.warning(
        f"No claim for {plain(controls.season, 40)}: intervals were judged up to {plain(reach, 40)}. Add the harvests "
        "of later seasons to extend it.",
        icon=":material/warning:",
    )
    row = st.container(horizontal=True)
    other = newest_claimed(key, controls.lead, controls.level)
    if other:
        row.button(
            f"Show {plain(other, 40)}, the newest season with claims", on_click=put_in_address, args=("season", other),
            icon=":material/event_available:",
        )  # fmt: skip
    row.caption(
        "How to extend it",
        help="`mainstem calibrate RUN --append --data LATER` with the harvests of later seasons adds them to what "
        "claims are judged by.",
    )


def show_standing(board: YieldBoard, table: pd.DataFrame, controls: Controls) -> None:
    """Say under the map for whom claims are stated, how the season ended, and what the model is worth."""
    stated, (factor, unit) = table[table["claim"] == "stated"], (controls.unit.convert(1.0), controls.unit.name)
    if len(stated):
        population = str(stated["claim_for"].iloc[0])
        st.caption(f"Claim stated in {len(stated)} of {len(table)} regions: {plain(population)}")
    is_worth, sentence = worth(board, factor, unit)
    if is_worth:
        st.caption(plain(sentence))
