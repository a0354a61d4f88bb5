"""The desk: a page whose canvas fills the window, with one status line above it and panels docked beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.dashboards.shell.address import put_in_address, say_in_vain
from mainstem.dashboards.shell.texts import plain

PANEL, FOLDED = "panel", "none"  # name in the address, and what it says where no panel is open
DOCK_PX = 360  # as much as leaves the canvas 60 % of 1440 x 900 and 55 % of 1280 x 800
ORIGIN_ICONS = {"real data": "public", "simulated": "science"}
STYLE = """<style>
.stAppHeader { height: 2.75rem; min-height: 2.75rem; }
.stMainBlockContainer { padding: 3rem 0.75rem 1.5rem; }
.stMainBlockContainer h1 { font-size: 1.25rem; font-weight: 650; padding: 0; }
.stMainBlockContainer h2 { font-size: 1.25rem; padding: 0; }
.stMainBlockContainer h3 { font-size: 1.1rem; padding: 0 0 0.5rem; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: var(--mainstem-quiet); opacity: 1; }
/* values would go without their origin, and with names that a spreadsheet runs: pages have downloads of their own */
[data-testid="stElementToolbarButton"]:has([aria-label="Download as CSV"]) { display: none; }
.stMarkdown, .stCaptionContainer, .stAlert { overflow-wrap: anywhere; }
:root { --mainstem-quiet: #4a544c; }
@media (prefers-color-scheme: dark) {
  :root { --mainstem-quiet: #b3beb6; }
  [data-testid="stMultiSelect"] span[title] { color: #08140d !important; }
  button[data-testid^="stBaseButton-primary"]:not(:disabled) { color: #08140d; }
  button[data-testid^="stBaseButton-primary"]:not(:disabled) * { color: inherit !important; }
}
.st-key-desk { gap: 0.25rem; --canvas-height: calc(100dvh - 9rem); }
.st-key-desk:not(:has(.st-key-desk-bar)) { --canvas-height: calc(100dvh - 5.75rem); }
.st-key-desk-top { flex-wrap: nowrap; align-items: center; gap: 0.5rem; }
.st-key-desk-status { min-height: 1.75rem; gap: 0 0.5rem; align-items: center; }
.st-key-desk-top > :has(> .st-key-desk-panels) { margin-left: auto; }
.st-key-desk-panels button { min-height: 1.75rem; padding-top: 0; padding-bottom: 0; }
.st-key-desk-status h1 { white-space: nowrap; }
.st-key-desk-status p { margin: 0; font-size: 0.875rem; }
.st-key-desk-status [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
.st-key-desk-bar { gap: 0.25rem 0.5rem; align-items: end; min-height: 2.25rem; }
.st-key-desk-body { gap: 0.75rem; align-items: flex-start; flex-wrap: nowrap; }
.st-key-desk-canvas { min-width: 0; gap: 0.25rem; }
.st-key-desk-body > :has(> .st-key-desk-canvas) { position: sticky; top: 3rem; }
.st-key-desk-dock { gap: 0.5rem; flex-shrink: 0; }
/* out of the flow: else the gap below it pushes the canvas out of sight while a job is at work */
.stMainBlockContainer > .stVerticalBlock > [data-testid="stLayoutWrapper"]:has(.st-key-desk-jobs) {
  position: absolute;
}
.st-key-desk-jobs { position: fixed; top: 0.25rem; right: 0.75rem; z-index: 1000000; width: auto; }
@media (max-width: 900px) {
  .st-key-desk.st-key-desk { --canvas-height: max(300px, 58dvh); }
  .st-key-desk-body { flex-direction: column; }
  .st-key-desk-top { flex-wrap: wrap; }
  .st-key-desk-dock, .st-key-desk-canvas { width: 100% !important; max-width: 100%; }
  .st-key-desk-body > :has(> .st-key-desk-canvas) { position: static; }
  .st-key-desk-status h1 { white-space: normal; }
}
@media (max-width: 640px) {
  .st-key-desk-top > :has(> .st-key-desk-status) { flex-basis: 100%; }
}
@media print {
  .stAppHeader, .st-key-desk-bar, .st-key-desk-panels { display: none !important; }
  .stMainBlockContainer { padding: 0; }
}
</style>"""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where the parts of a page go.

    Attributes:
        vain: above all, for what an address asks for in vain.
        status: the status line.
        bar: choices, on one line.
        canvas: what fills the window.
        dock: the open panel; None where it is folded.
        panel: which panel is open, by name; FOLDED where none is.
    """

    vain: DeltaGenerator
    status: DeltaGenerator
    bar: DeltaGenerator
    canvas: DeltaGenerator
    dock: DeltaGenerator | None
    panel: str


def lay_desk(panels: Mapping[str, str], opened: str = "") -> Desk:
    """Lay a page out, with a panel open unless the address names another or none; pressing its title folds it.

    Args:
        panels: title by name.
        opened: which is open at first, FOLDED for none; the first unless given.
    """
    vain = st.container()
    whole = st.container(key="desk")
    top = whole.container(key="desk-top", horizontal=True)
    status = top.container(key="desk-status", horizontal=True)
    panel = _choose_panel(panels, opened or next(iter(panels)), top, vain)
    bar = whole.container(key="desk-bar", horizontal=True)
    body = whole.container(key="desk-body", horizontal=True)
    canvas = body.container(key="desk-canvas")
    dock = None
    if panel != FOLDED:
        dock = body.container(key="desk-dock", width=DOCK_PX)
    return Desk(vain=vain, status=status, bar=bar, canvas=canvas, dock=dock, panel=panel)


def _choose_panel(panels: Mapping[str, str], usual: str, line: DeltaGenerator, vain: DeltaGenerator) -> str:
    asked = st.query_params.get(PANEL)
    is_known = asked is None or asked in panels or asked == FOLDED
    shown = str(asked) if asked is not None and is_known else usual
    st.session_state[PANEL] = None if shown == FOLDED else shown

    def note() -> None:
        chosen = st.session_state[PANEL]
        put_in_address(PANEL, FOLDED if chosen is None else chosen)

    line.container(key="desk-panels", width="content").segmented_control(
        "Panel", list(panels), format_func=lambda name: panels[name], key=PANEL, on_change=note,
        label_visibility="collapsed",
    )  # fmt: skip
    say_in_vain(vain, PANEL, "" if is_known else str(asked), panels.get(usual, "no panel"))
    return shown


def open_panel(name: str) -> None:
    """Have a panel open when the page is drawn next."""
    put_in_address(PANEL, name)


def say_status(
    where: DeltaGenerator, title: str, *, origin: str, training: str, adapter: str, not_for: str, state: str = ""
) -> None:
    """Say in one line what the page shows, where data and model come from, and what may not be done with it.

    Args:
        where: the status line.
        title: any text; the page's one h1.
        origin: of the data that are shown, as `origin_of` says it.
        training: of the data that the model was fitted on.
        adapter: name and version.
        not_for: uses, any text.
        state: of the claim and the data's age, any text.
    """
    where.markdown(f"# {plain(title, 120)}", width="content")
    badges = describe_origin(origin=origin, training=training, adapter=adapter, not_for=not_for)
    where.markdown(badges, width="content")
    if state:
        where.markdown(plain(state, 240), width="content")


def describe_origin(*, origin: str, training: str, adapter: str, not_for: str) -> str:
    """Markdown of what a page's status says of its data and model; see `say_status`."""
    colour = "green" if origin == "real data" else "orange"
    parts = [f":{colour}-badge[:material/{ORIGIN_ICONS.get(origin, 'help')}: {plain(origin, 40)}]"]
    if training != origin:
        parts.append(f":orange-badge[:material/model_training: model of {plain(training, 40)}]")
    parts.append(f":gray-badge[{plain(adapter, 60)}]")
    parts.append(f":red-badge[:material/block: not for {plain(not_for, 60)}]")
    return " ".join(parts)
