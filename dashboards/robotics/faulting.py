"""Putting a fault into the recording that is shown: which sensor, how, when, how long and how large."""

from collections.abc import Callable

import streamlit as st

from mainstem.core.errors import InputError
from mainstem.dashboards.robotics.board import drawn_sensors, titles_of
from mainstem.dashboards.robotics.words import fault_words
from mainstem.dashboards.shell import plain, show_error
from mainstem.data.robot.faults import Fault, kinds_of, size_unit, usual_size
from mainstem.data.robot.recording import Recording

USUAL_S = 5.0


def fault_asked(recording: Recording) -> Fault | None:
    """Return the fault that the address asks for; what it asks for in vain is said."""
    text = str(st.query_params.get("fault", ""))
    if not text:
        return None
    try:
        return Fault.of_text(text, recording)
    except InputError as error:
        show_error(f"The address asks for a fault that cannot be: {error}")
        return None


def offer_fault(
    recording: Recording, fault: Fault | None, cursor: Callable[[], float], choose: Callable[[str], None]
) -> None:
    """Offer to put a fault in, or to take it out.

    Args:
        recording: without it.
        fault: that was put in; None where none was.
        cursor: tells where the cursor is by now, s.
        choose: is called with the fault's text, "" for none.
    """
    st.subheader("Inject a fault" if fault is None else "Change the fault", anchor=False)
    if fault is None:
        st.caption("Break a sensor, and watch the estimate and its health.")
    else:
        st.caption(f"Now: {plain(fault_words(fault, recording))}.")
    made = _form(recording, fault, cursor)
    row = st.container(horizontal=True)
    if row.button("Inject", type="primary", icon=":material/bolt:"):
        made.check(recording)
        choose(made.text())
        st.rerun()
    if fault is not None and row.button("Take it out", icon=":material/undo:"):
        choose("")
        st.rerun()


def _form(recording: Recording, fault: Fault | None, cursor: Callable[[], float]) -> Fault:
    names, titles = drawn_sensors(recording), titles_of(recording)
    first = names.index(fault.sensor) if fault is not None and fault.sensor in names else 0
    name = st.selectbox("Sensor", names, index=first, format_func=titles.__getitem__, key=f"faulty of {recording.name}")
    sensor = recording.sensors[name]
    kinds = kinds_of(sensor)
    kind = st.selectbox("Fault", kinds, index=kinds.index(fault.kind) if fault and fault.kind in kinds else 0)
    start, end = recording.span_s()
    begins = f"fault begins {recording.name}"
    if begins not in st.session_state:  # kept while the panel is open: the cursor moves under it
        st.session_state[begins] = min(max(fault.start_s if fault else cursor(), start), end)

    def take_cursor() -> None:
        st.session_state[begins] = cursor()

    row = st.container(horizontal=True, vertical_alignment="bottom")
    begin = row.number_input("From, s", start, end, key=begins)
    row.button("At the cursor", icon=":material/vertical_align_center:", on_click=take_cursor)
    seconds = st.number_input(
        "For, s", 0.05, max(end - start, 0.1), value=min(fault.seconds if fault else USUAL_S, end)
    )
    size = 0.0
    if usual := usual_size(sensor, kind):
        value = fault.size if fault and fault.kind == kind and fault.sensor == name and fault.size else usual
        size = st.number_input(
            f"How large, {plain(size_unit(sensor, kind))}", min_value=1e-6, value=value, format="%.4g"
        )
    return Fault(sensor=name, kind=kind, start_s=float(begin), seconds=float(seconds), size=float(size))
