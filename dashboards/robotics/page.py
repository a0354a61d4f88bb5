"""The roboticist's page: which sensor lies, how sure the attitude is, and what a fault does to both."""

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.robotics import Opened
from mainstem.apps.robotics_filters import adapter_words
from mainstem.dashboards.components.tracks import tracks
from mainstem.dashboards.robotics.board import NOT_FOR, Estimates, claim_words, scene_of, undrawn
from mainstem.dashboards.robotics.faulting import fault_asked, offer_fault
from mainstem.dashboards.robotics.own import bring_own
from mainstem.dashboards.robotics.reads import all_choices, estimate, examine, open_choice, own_choices
from mainstem.dashboards.robotics.words import (
    cursor_table,
    doctor_line,
    errors_line,
    estimate_frame,
    fault_words,
    headline,
    unused_words,
)  # fmt: skip
from mainstem.dashboards.shell import (
    FOLDED,
    Desk,
    choose,
    follow_address,
    lay_desk,
    mistakes_as_lines,
    note_in_address,
    origin_of,
    plain,
    put_in_address,
    recall,
    say_in_vain,
    say_status,
)
from mainstem.data.robot.faults import Fault
from mainstem.data.robot.finding import Finding
from mainstem.data.spreadsheets import csv_bytes

IN_ADDRESS = ("recording", "t", "fault", "smooth", "panel")
OF_RECORDING = ("t", "fault")  # what the address says of one recording alone
OWN_DATA = "your own data"
PANELS = {"values": "Values", "fault": "Fault", "file": "File"}
STYLE = """<style>
.st-key-robotics-words { gap: 0; min-width: 0; }
.st-key-robotics-words p { line-height: 1.3; }
@media (min-width: 901px) { .st-key-desk-bar { flex-wrap: nowrap; } }
@media (max-width: 900px) { .st-key-desk-bar > :has(> .st-key-robotics-words) { flex-basis: 100%; } }
</style>"""


def show_robotics() -> None:
    """Lay the page out: the canvas fills it, what is shown and the choice stand on two lines above it."""
    st.html(STYLE)
    recall("robotics", IN_ADDRESS)
    desk, name, known = lay_desk(PANELS, FOLDED), "", all_choices()
    with desk.bar, mistakes_as_lines("The list of recordings"):
        name = choose(
            partial(st.selectbox, "Recording", label_visibility="collapsed", width=300), "recording", list(known),
            desk.vain, *OF_RECORDING, told=lambda name: known[name].title,
        )  # fmt: skip
        bring_own(choose_recording)
        pin(name, list(known))
    opened: Opened | None = None
    with desk.canvas, mistakes_as_lines(f"The recording {name}"):
        opened = open_choice(known[name], name)
    if opened is None:
        desk.status.markdown("# Robotics")
        return
    origin = OWN_DATA if name in own_choices() else origin_of([opened.recording.simulated])
    say_status(desk.status, known[name].title, origin=origin, training=origin, adapter=adapter_words(), not_for=NOT_FOR)
    with desk.canvas, mistakes_as_lines(f"The recording {name}"):
        show_recording(name, opened, desk)


def choose_recording(name: str) -> None:
    """Choose a recording for the whole page."""
    put_in_address("recording", name)
    for other in OF_RECORDING:
        put_in_address(other, None)


def pin(name: str, known: Sequence[str]) -> None:
    """Have the address name what is shown, so that a link means it for good; what it says of another is dropped."""
    asked = st.query_params.get("recording")
    if asked is None:
        put_in_address("recording", name)
    elif asked not in known:
        for other in OF_RECORDING:
            put_in_address(other, None)


def cursor_asked(opened: Opened) -> tuple[float, str]:
    """Return where the address has the cursor, s, in the middle unless it says; and what it asks for in vain."""
    first, last = opened.recording.span_s()
    text = str(st.query_params.get("t", ""))
    try:
        asked = float(text)
    except ValueError:
        asked = float("nan")
    if first <= asked <= last:
        return asked, ""
    return round((first + last) / 2, 2), text


def show_recording(name: str, opened: Opened, desk: Desk) -> None:
    """Show the canvas of a recording, and the panel that is open beside it."""
    with desk.vain:
        fault = fault_asked(opened.recording)
    cursor, asked = cursor_asked(opened)
    say_in_vain(desk.vain, "t", asked, f"{cursor:g} s")
    if "t" not in st.query_params:
        note_cursor(cursor)
    is_smoothed = ask_smoothing(desk.bar)
    broken, estimates, why = estimate(opened, name, "" if fault is None else fault.text(), is_smoothed)
    for reason in why:
        desk.vain.warning(plain(reason, 1000), icon=":material/warning:")
    found = examine(opened, name)
    with desk.bar.container(key="robotics-words"):
        loud = [unused_words(opened.recording, estimates.used), doctor_line(found, opened.recording)]
        for words in filter(None, loud):
            st.caption(f":red[**{plain(words)}.**]")
        injected = "" if fault is None else f"Injected: {fault_words(fault, opened.recording)}. "
        st.caption(plain(injected + headline(broken, fault, estimates), 1000))
    values = desk.dock.empty() if desk.dock is not None and desk.panel == "values" else None
    draw(name, broken, fault, estimates, values)
    if desk.dock is None:
        return
    with desk.dock, mistakes_as_lines(f"The panel {PANELS[desk.panel]}"):
        if desk.panel == "fault":
            offer_fault(opened.recording, fault, lambda: cursor_asked(opened)[0], partial(put_in_address, "fault"))
        elif desk.panel == "file":
            show_file(opened, broken, fault, estimates, found)


def ask_smoothing(bar: DeltaGenerator) -> bool:
    """Have the user choose whether each moment is estimated from the whole recording; return it."""
    follow_address("smooth", [True, False], False)
    chosen: bool = bar.toggle(
        "Look back", key="smooth", on_change=note_in_address, args=("smooth",),
        help="Estimate each moment from the whole recording, what came later too (a smoother)",
    )  # fmt: skip
    return chosen


@st.fragment
def draw(name: str, opened: Opened, fault: Fault | None, estimates: Estimates, values: DeltaGenerator | None) -> None:
    """Draw the canvas and its table twin; a move of the cursor is a run of this fragment alone.

    Args:
        name: of the recording.
        opened: with the fault.
        fault: that was put in.
        estimates: of the recording with it.
        values: where the table goes, which each run replaces; None where nobody wants to see it.
    """
    with mistakes_as_lines("The canvas"):
        cursor, _ = cursor_asked(opened)
        tracks(scene_of(name, opened, fault, estimates, cursor), "tracks", note_cursor)
        if values is not None:
            with values.container():
                show_values(opened, fault, estimates, cursor)


def show_values(opened: Opened, fault: Fault | None, estimates: Estimates, at: float) -> None:
    """Say in a table what stands at a time, s, and how far estimates were off in all."""
    st.subheader(f"All values at {at:.2f} s", anchor=False)
    table = cursor_table(opened, estimates, at)
    st.dataframe(table.astype(object).where(table.notna(), "").astype(str), hide_index=True)  # no word for no value
    if errors := errors_line(opened, fault, estimates):
        st.caption(plain(errors, 1000))


def note_cursor(at: float) -> None:
    """Keep the cursor in the address."""
    put_in_address("t", f"{at:.2f}")


def show_file(
    opened: Opened, broken: Opened, fault: Fault | None, estimates: Estimates, found: Sequence[Finding]
) -> None:
    """Say what the file is, what its doctor found, and offer the estimate to take along."""
    recording = opened.recording
    if estimates.main is not None:
        table = partial(estimate_frame, broken, estimates, fault)
        st.download_button(
            f"Attitude of {plain(estimates.main.name)} as CSV", lambda: csv_bytes(table()), f"{recording.name}.csv",
            "text/csv", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    odd = [one for one in found if one.state != "ok"]
    rows = [{"sensor": one.sensor, "what": one.what, "state": one.state, "found": one.words} for one in odd]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    else:
        st.caption("The doctor finds nothing wrong with stamps, values and clocks.")
    notes = [*recording.converted, *(f"{name} skipped: {why}" for name, why in recording.skipped.items())]
    for note in [*notes, *(() if estimates.used is None else estimates.used.said)]:
        st.caption(plain(note))
    if left := undrawn(recording):
        st.caption(f"Not drawn: {plain(', '.join(left))}.")
    st.caption(
        f"{plain(claim_words(broken, fault, estimates), 1000)}. `mainstem robot selfcheck` verifies it on your "
        "own log. Limits of health are of BROAD's unit too: on another, expect false words, or learn them anew."
    )
    st.caption(
        f"Not for {plain(NOT_FOR)}: an estimate is no protective function, whatever its doubt. "
        f"{plain(recording.attribution or 'No source is named', 1000)}; {plain(recording.licence)}."
    )


with mistakes_as_lines("The page"):
    show_robotics()
