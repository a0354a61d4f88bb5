"""The agronomist's fields: which to visit, how sure the map is, how each grew, and files to take along."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.fields.harvest_maps import is_harvest
from mainstem.dashboards.components.find import Place, search_place
from mainstem.dashboards.components.tables import choice_table, named_in_address
from mainstem.dashboards.field_map.advice import show_advice
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.canvas import choose_field, open_field, show_maps
from mainstem.dashboards.field_map.choice import choose_map, offer_map, show_making
from mainstem.dashboards.field_map.editing import show_editing, show_undo
from mainstem.dashboards.field_map.files import show_downloads, show_import, show_left_out, show_lost
from mainstem.dashboards.field_map.harvest import show_counts
from mainstem.dashboards.field_map.overview import show_overview
from mainstem.dashboards.field_map.reads import read_changes, read_geometry, read_map, read_shown, stamp_of
from mainstem.dashboards.field_map.season import show_field
from mainstem.dashboards.field_map.units import area_unit, areas_per_ha, describe_unit, list_units, meant_unit
from mainstem.dashboards.shell import (
    Desk,
    choose,
    lay_desk,
    mistakes_as_lines,
    open_panel,
    origin_of,
    plain,
    put_in_address,
    recall,
    say_in_vain,
    say_status,
    show_error,
)

IN_ADDRESS = (
    "map", "field", "date", "other", "compare", "layer", "other_layer", "panel", "place", "outside", "view",
    "unit",
)  # fmt: skip
PANELS = {"visit": "Visit", "field": "Field", "list": "List", "claims": "Claims", "files": "Files", "advice": "Advice"}
LIST_PX = 660  # of the list, at most
NO_FIELDS = "No fields yet: draw one on the map, or bring a file under *Files*."
MEASURED = "none"  # what a map of measurements says of training
CLAIMS = {
    "stated": "claim stated",
    "withdrawn": "\N{WARNING SIGN} claim withdrawn",
    "none": "\N{WARNING SIGN} no claim",
}


def show_fields() -> None:
    """Lay the page out: the map fills it, choices stand on one line above, and one panel is docked beside it."""
    name: str | None = None
    recall("field_map", IN_ADDRESS)
    if st.query_params.get("field") and not st.query_params.get("panel"):
        open_panel("field")  # who asks for a field is shown it
    desk = lay_desk(PANELS)
    with desk.bar, mistakes_as_lines("The list of maps"):
        name = choose_map(desk.vain)
    with desk.vain, mistakes_as_lines("The maps being made"):
        show_making(name or "")
    if name == "":
        desk.status.markdown("# Fields")
        with desk.canvas:
            offer_map()
    elif name:
        with mistakes_as_lines(f"The map {name}"):
            show_map(name, desk)


def show_map(name: str, desk: Desk) -> None:
    """Show a map, its fields and what can be done with them."""
    stamp = stamp_of(name)
    try:
        board = read_map(name, stamp)
    except Exception:
        desk.status.markdown("# Fields")  # a page has a title, whatever becomes of its map
        raise
    tags = board.tags
    what = "Vigour" if "percent" in tags["UNITS"] else "Yield"
    origin = origin_of(board.origins())
    training = {"real": "real data", MEASURED: origin}.get(tags["TRAINING"], tags["TRAINING"])
    year = tags["DATES"][:4]
    say_status(
        desk.status, f"{what} of fields, {name if year in name else f'{name} {year}'}", origin=origin,
        training=training, adapter=tags["ADAPTER"], not_for="trading or insurance",
        state=CLAIMS.get(tags["CLAIM"], tags["CLAIM"]),
    )  # fmt: skip
    with desk.vain:
        for problem in board.problems:
            show_error(problem)
    known = board.table["field"].tolist()
    chosen, asked = named_in_address("field", known, known[0] if known else "")
    with desk.bar:
        shown = choose_unit(name, stamp, desk.vain)
        place = search_place(list_fields(shown), "Find a field", open_found) if len(known) > 1 else None
        show_undo(board, desk.bar)
    with desk.canvas, mistakes_as_lines("The drawn map"):
        show_maps(shown, read_geometry(name, stamp), chosen, place, desk.bar)
    if desk.dock is None:
        return
    with desk.dock, mistakes_as_lines(f"The panel {PANELS[desk.panel]}"):
        if desk.panel == "visit":
            show_lost(board)
            if board.left_out:
                st.caption(f"Left out of the file of fields: {len(board.left_out)}; *Files* says which and why.")
        if desk.panel == "visit" and len(known) > 1:
            show_overview(shown, read_changes(name, stamp))
        elif desk.panel == "list":
            show_list(shown, chosen, place)
        elif desk.panel == "claims":
            show_claim(shown)
            if is_harvest(board.folder):
                show_counts(board)
            show_training(tags)
        elif desk.panel == "files":
            show_downloads(board)
            show_lost(board)
            show_left_out(board)
            show_import(board)
        elif desk.panel == "advice" and len(known):
            show_advice(board, chosen or known[0])
        elif asked:
            st.warning(f"There is no field {plain(asked, 120)} on this map.", icon=":material/warning:")
        elif chosen:
            show_field(shown, chosen)
            show_editing(board, chosen)
        else:
            st.info(NO_FIELDS, icon=":material/polyline:")


def choose_unit(name: str, stamp: str, vain: DeltaGenerator) -> FieldBoard:
    """Let the user choose the unit that a map is looked at in, where there are several; return its board in it."""
    units = list_units(read_map(name, stamp).tags)
    asked = str(st.query_params.get("unit", ""))
    if meant_unit(asked, units) != asked:
        put_in_address("unit", meant_unit(asked, units))
    if len(units) == 1:
        say_in_vain(vain, "unit", "" if asked in units else asked, units[0])
        return read_map(name, stamp)
    offered = partial(st.selectbox, "Unit", label_visibility="collapsed", width=180)
    return read_shown(name, stamp, choose(offered, "unit", units, vain, told=describe_unit))


def show_claim(board: FieldBoard) -> None:
    """Say what may be claimed of the map, and what came of it where harvests are known."""
    tags = board.tags
    if tags["CLAIM"] != "stated":
        st.warning(f"Claim {plain(tags['CLAIM'], 40)}: {plain(tags['CLAIM_REASON'])}", icon=":material/warning:")
    else:
        st.caption(
            f"Claim stated: over farms like those of calibration, {float(tags['LEVEL']):.0%} of fields lie inside "
            "their interval; a farm errs as a whole, and what is known to fail is told below."
        )
    inside, known, excess = board.hindsight()
    if known:
        side = "above" if excess > 0 else "below"
        told = (
            f"{inside} of {known} fields inside their interval; on average the map lies {abs(excess):.1f} "
            f"{tags['UNITS']} {side}"
        )
        st.caption(f"Harvests known: {plain(told, 200)} them.")


def list_fields(board: FieldBoard) -> dict[str, Place]:
    """What can be found by name: every field."""
    unit = area_unit(board.tags)
    rows = sorted(zip(board.table["field"], areas_per_ha(board.tags) * board.table["area_ha"], strict=True))
    return {name: Place(name=name, title=f"{name} ({area:.1f} {unit})", regions=(name,)) for name, area in rows}


def open_found(found: Place) -> None:
    """Choose the field that was found; the list stays open, and any other panel gives way to the field's."""
    if st.query_params.get("panel") == "list":
        choose_field(found.name)
    else:
        open_field(found.name)


def show_list(board: FieldBoard, chosen: str, place: Place | None) -> None:
    """The map's table twin, fields to visit first, above them one that was found by name.

    A row that is chosen in it is chosen for the page.
    """
    if not len(board.table):
        st.info(NO_FIELDS, icon=":material/polyline:")
        return
    shown = pd.DataFrame(board.table.drop(columns="geometry"))[
        ["field", "mean", "lower", "upper", "area_ha", "seen_share", "claim", "reason"]
    ].round(2)
    if place is not None:
        shown = shown.iloc[(shown["field"] != place.name).argsort(kind="stable")]
    shown["area_ha"] = (shown["area_ha"] * areas_per_ha(board.tags)).round(2)
    shown["seen_share"] = [f"{share:.0%}" if np.isfinite(share) else "" for share in shown["seen_share"]]
    shown = shown.rename(columns={"area_ha": f"area, {area_unit(board.tags)}", "seen_share": "seen"})
    count = f"{len(shown)} field{'s' * (len(shown) > 1)}"
    st.caption(
        f"{count}; mean, lower and upper in {plain(board.tags['UNITS'])}. Those to visit first, then from the lowest "
        "mean."
    )
    choice_table(
        shown,
        shown["field"].astype(str).tolist(),
        chosen,
        choose_field,
        f"fields of {board.name} {len(shown)} {place.name if place else ''}",
        LIST_PX,
    )


def show_training(tags: Mapping[str, str]) -> None:
    """Say what the model has learnt from."""
    if tags["TRAINING"] == MEASURED:
        st.caption(f"No model: what was measured. Data: {plain(tags['ATTRIBUTION'], 1000)}")
        return
    if tags["TRAINING"] == "simulated":
        st.caption(
            "The model was trained on simulated farms alone. On real scenes it shows relative vigour, never t/ha, "
            "until `mainstem calibrate` has seen 20 harvested fields of your own."
        )
    st.caption(f"Model trained on: {plain(tags['ATTRIBUTION'], 1000)}")
    known = str(tags.get("KNOWN_FAILURES", ""))
    if known:
        with st.expander("What is known to fail"):
            for one in known.split("; "):
                st.markdown(f"- {plain(one, 1000)}")


with mistakes_as_lines("The page"):
    show_fields()
