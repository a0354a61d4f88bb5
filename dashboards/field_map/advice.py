"""The field page's advice: reports to hand over, zones of the fields, and rates by a rule that its user signs."""

import datetime
from functools import partial

import pandas as pd
import streamlit as st

from mainstem.apps.field_maps import maps_folder
from mainstem.apps.fields.map_advice import (
    ZONES,
    Preview,
    find_rates,
    find_seasons,
    is_as_shown,
    keep_rule,
    one_a_season,
    preview_rates,
    read_kept_rule,
    read_verdicts,
    report_bytes,
    zip_folder,
    zones_file,
)
from mainstem.apps.fields.zone_tables import ZonedField, read_zones
from mainstem.apps.page_jobs import rates_job, start_rates, start_zones, zones_job
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.shell import mistakes_as_lines, plain
from mainstem.dashboards.waiting import is_being_made, show_failure
from mainstem.data.earth.rate_rules import LONGEST_SIGNER

EXAMPLE = """product: urea 46 %
min: 0 kg/ha
max: 200 kg/ha
zone 1: ... kg/ha
zone 2: ... kg/ha"""
SHOWN = "rates shown"  # session key: the map, and what its fields would get by the rule
MOST_WRITTEN, MOST_SEASONS = 5, 8


def show_advice(board: FieldBoard, chosen: str) -> None:
    """Show what can be handed over: reports, zones, rates."""
    show_reports(board, chosen)
    with mistakes_as_lines("The zones"):
        show_zones(board, chosen)
    if zones_file(board.folder) is not None:
        with mistakes_as_lines("The rates"):
            show_rates(board)


def show_reports(board: FieldBoard, chosen: str) -> None:
    """Offer the report of the chosen field, and of all."""
    st.subheader("Report", anchor=False)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    row, count = st.container(horizontal=True), len(board.table)
    asked: list[tuple[str, tuple[str, ...], str]] = [(f"All {count} fields", (), f"fields_{board.name}")]
    if count > 1:
        asked.insert(0, (f"Field {chosen}", (chosen,), f"field_{chosen}"))
    for title, only, file in asked:
        row.download_button(
            plain(title, 40), partial(report_bytes, board.folder, today, only), f"{file[:60]}.pdf", "application/pdf",
            icon=":material/picture_as_pdf:", on_click="ignore", help="A page a field, to print or to send.",
        )  # fmt: skip


def show_zones(board: FieldBoard, chosen: str) -> None:
    """Show the chosen field's zones and whether they last, and draw them."""
    st.subheader("Zones", anchor=False)
    is_drawn = zones_file(board.folder) is not None
    show_failure(zones_job(board.name))
    if is_being_made(lambda: False, zones_job(board.name)):
        return
    if is_drawn:
        show_verdict(board, chosen)
        st.download_button(
            "Zones as files", partial(zip_folder, board.folder / ZONES), f"zones_{board.name}.zip", "application/zip",
            icon=":material/download:", on_click="ignore", help="GeoPackage, GeoJSON, Shapefile, CSV, GeoTIFF.",
        )  # fmt: skip
    else:
        st.caption("None drawn yet: parts of a field that bear less or more than the rest.")
    with st.expander("Draw them anew" if is_drawn else "Draw zones", expanded=not is_drawn):
        others = dict(find_seasons(board.name))
        taken = st.multiselect(
            "With other seasons", list(others), default=one_a_season(board.name, list(others.items()))[:MOST_SEASONS],
            format_func=lambda name: f"{name} ({others[name]})", key=f"seasons of {board.name}",
            help="Maps of this machine that overlap, one a season. One season alone says nothing of the next.",
        )  # fmt: skip
        if not others:
            st.caption("No other map of this machine lies here: one season alone says nothing of the next.")
        number = st.selectbox(
            "How many zones", [0, 3, 4, 5, 6, 7], format_func=lambda count: str(count) if count else "as many as last",
            key=f"zones of {board.name}",
        )  # fmt: skip
        if st.button("Draw zones", icon=":material/stacks:"):
            start_zones(board.name, taken, int(number))
            st.rerun()


def show_verdict(board: FieldBoard, chosen: str) -> None:
    """Say of the chosen field's zones how large they are, how they did, and whether they can be expected to last."""
    told = read_verdicts(board.folder).get(chosen)
    drawn = {field.name: field for field in _read_zones(board.name, _stamp(board))}
    if told is None:
        st.info("The zones were drawn before this field was there: draw them anew.", icon=":material/stacks:")
    elif chosen not in drawn:
        st.warning(f"Not drawn: {plain(told.get('why', ''))}.", icon=":material/warning:")
    else:
        reason = f"Field {chosen}: {told.get('reason', '')}."
        if told.get("claim") == "stated":
            st.caption(plain(reason))
        else:
            st.warning(plain(reason), icon=":material/warning:")
        _say_zones(drawn[chosen])
        st.caption("On the map: layer *zones*; 1 is the lowest.")


def _say_zones(field: ZonedField) -> None:
    """Say a line a zone: a table of this width would cut the words."""
    for zone in field.zones:
        named = f"Zone {zone}" if zone else "No zone"
        st.markdown(f"**{plain(named)}**, {field.hectares[zone]:.2f} ha: {plain(field.words[zone])}")


def _stamp(board: FieldBoard) -> int:
    path = zones_file(board.folder)
    return path.stat().st_mtime_ns if path is not None else 0


@st.cache_data(show_spinner=False, max_entries=4)
def _read_zones(name: str, stamp: int) -> list[ZonedField]:
    """Read a map's zones once; `stamp` renews them."""
    assert stamp
    path = zones_file(maps_folder() / name)
    return read_zones(path)[0] if path is not None else []


def show_rates(board: FieldBoard) -> None:
    """Have the user write a rule, show what each field would get, and write rate maps once it is signed."""
    st.subheader("Rates by your own rule", anchor=False)
    show_failure(rates_job(board.name))
    if is_being_made(lambda: False, rates_job(board.name)):
        return
    st.caption("No rate is proposed: you write the rule, a line a zone, and sign it.")
    rule = st.text_area(
        "Rule", read_kept_rule(board.folder), placeholder=EXAMPLE, height=150, max_chars=60_000,
        key=f"rule of {board.name}", help='Also field "north" zone 2: ..., headland 24 m: ..., no zone: ...',
    )  # fmt: skip
    if st.button("What each field gets", disabled=not rule.strip(), icon=":material/calculate:"):
        st.session_state.pop(SHOWN, None)
        with mistakes_as_lines("The rule"), st.spinner("Laying the rates on cells"):
            keep_rule(board.folder, rule)
            st.session_state[SHOWN] = board.name, preview_rates(board.folder)
    name, shown = st.session_state.get(SHOWN, ("", None))
    if name == board.name and isinstance(shown, Preview):
        show_signing(board, shown, is_same=rule == read_kept_rule(board.folder))
    for folder in find_rates(board.folder)[:MOST_WRITTEN]:
        st.download_button(
            f"Rates of {plain(folder.name)} UTC", partial(zip_folder, folder), f"rates_{board.name}_{folder.name}.zip",
            "application/zip", key=f"rates {folder.name}", icon=":material/download:", on_click="ignore",
            help="TASKDATA (ISOXML 3 and 4), Shapefile, GeoTIFF, CSV, and the rule with its signature.",
        )  # fmt: skip


def show_signing(board: FieldBoard, shown: Preview, *, is_same: bool) -> None:
    """Show what each field gets, and write it once its user signs; what changed since is to be looked at first."""
    if not is_same or not is_as_shown(board.folder, shown):
        st.info("The rule or the zones changed: look again at what each field gets.", icon=":material/refresh:")
        return
    names = ("field", "area, ha", f"mean, {shown.unit}", f"in all, {shown.unit.removesuffix('/ha')}")
    rows = pd.DataFrame(shown.rows, columns=list(names))
    st.dataframe(rows.round(2), hide_index=True)
    doubtful = [name for name, told in read_verdicts(board.folder).items() if told.get("claim") == "none"]
    if doubtful:
        st.warning(
            f"Of {len(doubtful):d} of these fields the zones are not known to last: {plain(', '.join(doubtful), 200)}.",
            icon=":material/warning:",
        )
    signer = st.text_input("Your name signs it", key=f"signer of {board.name}", max_chars=LONGEST_SIGNER)
    if st.button("Sign and write", disabled=not signer.strip(), type="primary", icon=":material/signature:"):
        del st.session_state[SHOWN]
        start_rates(board.name, signer, shown.seal)
        st.rerun()
