"""The field page's first panel: which fields to visit first and why, what changed since the last scene, other farms."""

import numpy as np
import pandas as pd
import streamlit as st

from mainstem.dashboards.components.tables import choice_table
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.canvas import open_field
from mainstem.dashboards.field_map.changes import CHANCE, Changes, FarmFall
from mainstem.dashboards.field_map.choice import open_map
from mainstem.dashboards.field_map.visits import Visit, find_farms, find_visits
from mainstem.dashboards.shell import plain

MOST_VISITS, MOST_OF_ALL, MOST_FARMS = 8, 200, 12


def show_overview(board: FieldBoard, changes: Changes) -> None:
    """Show what to visit first; a field that is pressed or chosen is opened."""
    if changes.farm is not None:
        st.warning(plain(farm_words(changes.farm)), icon=":material/trending_down:")
    visits = find_visits(board, changes)
    st.subheader("Visit these first" if visits else "No field to visit", anchor=False)
    if not visits:
        which = "none fell" if changes.farm is None else "none fell more than the others"
        st.caption(f"Half or more of every field is known, and {plain(which)} beyond the noise of the scenes.")
    for visit in visits[:MOST_VISITS]:
        show_visit(visit)
    if len(visits) > MOST_VISITS:
        with st.expander(f"{len(visits) - MOST_VISITS:d} more"):
            for visit in visits[MOST_VISITS:MOST_OF_ALL]:
                show_visit(visit)
    show_changes(board, changes)
    show_farms(board.name)


def show_visit(visit: Visit) -> None:
    """Show a field with its reasons, and open it when it is pressed."""
    box = st.container(gap=None, key=f"visit {visit.field}")
    box.button(
        f"Field {plain(visit.field, 60)}", key=f"open {visit.field}", type="tertiary", icon=":material/location_on:",
        on_click=open_field, args=(visit.field,),
    )  # fmt: skip
    words = "; ".join(visit.reasons)
    box.caption(plain(f"{words[:1].upper()}{words[1:]}."))


def show_changes(board: FieldBoard, changes: Changes) -> None:
    """Show how NDVI changed between the last two scenes that show each field, the largest fall first."""
    st.subheader("Since the last scene", anchor=False)
    if not len(changes.table):
        why = "No field is seen on two dates" if board.dates else "No scenes are kept with this map"
        st.caption(f"{plain(why)}: there is nothing to compare.")
        return
    rows = changes.table
    last, before = rows["after"].max(), rows["before"].max()
    st.caption(f"NDVI, {plain(before)} to {plain(last)} or the last two dates that show half the field or more.")
    shown = pd.DataFrame({
        "field": rows["field"], "change": rows["change"].round(2), "others": rows["others"].round(2),
        "beyond noise": np.where(rows["fell"], "▼ fell", ""),
    })  # fmt: skip
    if rows["after"].nunique() > 1:
        shown["seen on"] = rows["after"]
    choice_table(shown, rows["field"].tolist(), "", open_field, f"changes of {board.name} {len(rows)}", 260)
    st.caption(plain(noise_words(changes)))


def noise_words(changes: Changes) -> str:
    """Say what is noise, and how that is known."""
    if np.isnan(changes.noise):
        return "Too few dates tell the noise of these scenes, so no change is told as beyond it."
    if changes.table["others"].isna().all():
        return "Fewer than three fields: what the season does to all cannot be told from what happens to one."
    least = changes.table["least"].dropna()
    low, high = f"{least.min():.2f}", f"{least.max():.2f}"
    beyond = low if low == high else f"{low} to {high}, by how noisy the field is"
    came_back = (
        f" {changes.dips:d} of these dates lay as far below and came back, as in a cloud that was missed: the last can "
        "be one."
    )
    return (
        f"A fall is told beyond {beyond}, of the field and of the field against the others: one date's noise is "
        f"{changes.noise:.3f} in the usual field, from how far {changes.triples:d} dates lie off the line of those "
        f"beside them.{came_back * bool(changes.dips)} By noise alone, free from date to date, about {CHANCE:.0%} of "
        "such maps would tell a fall."
    )


def farm_words(farm: FarmFall) -> str:
    """Say that most fields fell, which is no fall of one against the others."""
    return (
        f"Most fields fell: their median by {-farm.change:.2f} NDVI from {farm.before} to {farm.after}, more than the "
        f"{farm.least:.2f} it varies by; {farm.fell:d} of {farm.fields:d} beyond noise of their own. Harvest, "
        "ripening, hail or haze: look."
    )


def show_farms(but: str) -> None:
    """Show the other maps of this machine, and open one that is pressed."""
    farms = find_farms(but)
    if not farms:
        return
    st.subheader("Other farms", anchor=False)
    for farm in farms[:MOST_FARMS]:
        box = st.container(gap=None, key=f"farm {farm.name}")
        box.button(plain(farm.name), key=f"open map {farm.name}", type="tertiary", icon=":material/map:",
                   on_click=open_map, args=(farm.name,))  # fmt: skip
        box.caption(plain(farm.words))
