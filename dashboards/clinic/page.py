"""The clinician's page: which study to read next, its slices, what the models say of it, and what is decided."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.clinic import Study
from mainstem.dashboards.clinic.board import (
    RESEARCH,
    SETTLED,
    Item,
    Standing,
    download,
    matching,
    next_id,
    panel_of,
    standing_of,
    summary,
    triage,
    with_faults,
    worklist,
)
from mainstem.dashboards.clinic.own import bring_own, offer_demo, wait_for_own
from mainstem.dashboards.clinic.reads import all_studies, contours_of, read_picture
from mainstem.dashboards.clinic.reviews import ask, newest, say_missed, say_recorded
from mainstem.dashboards.clinic.words import words_of
from mainstem.dashboards.components.reader import TURN, reader
from mainstem.dashboards.components.tables import ROW_PX, choice_table, named_in_address
from mainstem.dashboards.shell import (
    follow_address,
    lay_desk,
    mistakes_as_lines,
    note_in_address,
    origin_of,
    plain,
    put_in_address,
    recall,
    say_status,
)
from mainstem.data.spreadsheets import csv_bytes

IN_ADDRESS = ("study", "blind", "search", "panel")
ASKED = "asked on the canvas"  # session key: the study that was seen, and the act whose dialog is to be opened
PANELS = {"list": "Worklist", "data": "Data and decisions"}
LIST_PX = 12 * ROW_PX + 3  # of the worklist beside the canvas: whole rows, so that all controls fit into 800 pixels


def show_clinic() -> None:
    """Lay the page out: the chosen study fills it, and the list of what to read is docked beside it."""
    recall("clinic", IN_ADDRESS)
    desk = lay_desk(PANELS)
    with desk.vain, mistakes_as_lines("The files"):
        wait_for_own(choose_study)
    studies = {study.id: study for study in all_studies()}
    with mistakes_as_lines("The reviews"):
        say_recorded()
    reviews = newest(list(studies.values())) if studies else {}
    blind = st.query_params.get("blind") == "True"
    items = [item_of(study, standing_of(reviews.get(study.id))) for study in studies.values()]
    ordered = triage(items, blind=blind)
    by_id = {item.id: item for item in ordered}
    chosen, asked = named_in_address("study", by_id, next(iter(by_id), ""))
    if asked:
        desk.vain.warning("There is no such study here; choose one of the list.", icon=":material/warning:")
    if chosen:
        with desk.canvas, mistakes_as_lines("The study"):
            show_study(studies[chosen], by_id[chosen], list(by_id), desk.status)
    else:
        desk.status.markdown("# Clinic")
        if not studies:
            with desk.canvas:
                offer_demo()
    if desk.dock is None:
        return
    with desk.dock, mistakes_as_lines(f"The panel {PANELS[desk.panel]}"):
        if desk.panel == "list":
            show_list(ordered, chosen, blind)
        else:
            show_data(ordered, blind)
            if chosen:
                show_origin(studies[chosen], by_id[chosen])


def item_of(study: Study, standing: Standing) -> Item:
    """A study as the list shows it."""
    return Item(
        id=study.id, title=study.title, kind=study.kind, note=study.note, standing=standing,
        origin=origin_of([] if study.simulated is None else [study.simulated]), attribution=study.attribution,
        says=tuple(words_of(prediction) for prediction in study.predictions),
    )  # fmt: skip


def show_list(ordered: list[Item], chosen: str, blind: bool) -> None:
    """Show the worklist in the order to read it, what narrows it, and how studies of one's own come in."""
    st.caption(plain(summary(ordered, blind=blind)) if ordered else "No study yet.")
    follow_search()
    asked = st.text_input(
        "Search the list", key="search", placeholder="Search: radiograph unsure", on_change=note_in_address,
        args=("search",), label_visibility="collapsed",
    )  # fmt: skip
    shown = matching(ordered, asked, blind=blind)
    if ordered and not shown:
        st.info("No study matches; take words away.", icon=":material/search_off:")
    elif shown:
        table = worklist(shown, blind=blind)[["study", "state"]]
        choice_table(
            table, [item.id for item in shown], chosen, choose_study, f"worklist {asked} {blind} {len(shown)}", LIST_PX
        )
    follow_address("blind", [True, False], False)
    st.toggle(
        "Blind first read", key="blind", on_change=note_in_address, args=("blind",),
        help="Hides what the models say of a study until your own opinion is recorded.",
    )  # fmt: skip
    bring_own()
    if ordered:
        st.download_button(
            "The list as CSV", lambda: csv_bytes(download(ordered, blind=blind)), "worklist.csv", "text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def follow_search() -> None:
    """Set the search to what the address asks for."""
    st.session_state["search"] = st.query_params.get("search", "")[:100]


def choose_study(study: str) -> None:
    """Choose a study for the whole page."""
    put_in_address("study", study)


def show_study(study: Study, item: Item, order: list[str], status: DeltaGenerator) -> None:
    """Show one study, and what was asked for on its canvas.

    Args:
        study: that is shown.
        item: as the list shows it.
        order: ids of all studies, as they are to be read.
        status: the status line.
    """
    say_status(
        status, study.title, origin=item.origin, training=_training(item), adapter=_adapters(item),
        not_for="diagnosis: research use only, not a medical device",
    )  # fmt: skip
    blind = st.query_params.get("blind") == "True"
    draw(study, item, order, blind)
    seen, act = st.session_state.pop(ASKED, ("", None))
    if act is not None and seen == study.id:
        ask(study, item, act)
    elif act is not None:
        say_missed()


@st.fragment
def draw(study: Study, item: Item, order: list[str], blind: bool) -> None:
    """Draw the study; chunks of slices are runs of this fragment alone, acts are runs of the page."""
    with mistakes_as_lines("The study"):
        hidden = item.is_hidden(blind=blind)
        picture = read_picture(study, study.id, not hidden)
        _, faults = contours_of(study, study.id)
        act = reader(picture, with_faults(panel_of(item, blind=blind), faults), "reader")
        if act is None:
            return
        if act.key != picture.key:
            say_missed()
        elif act.name == TURN:
            choose_study(next_id(order, study.id, act.steps))
        else:
            st.session_state[ASKED] = study.id, act
            choose_study(study.id)
        st.rerun()


def show_data(ordered: list[Item], blind: bool) -> None:
    """Show the list in full, with what was decided of each study."""
    st.subheader("The list in full", anchor=False)
    if ordered:
        st.dataframe(worklist(ordered, blind=blind), hide_index=True)
    else:
        st.caption("No study yet.")


def show_origin(study: Study, item: Item) -> None:
    """Say where the chosen study comes from, and once it is decided what its data set says of it."""
    st.caption(f"{plain(RESEARCH)}. {plain(item.title)}: {plain(item.note)}. {plain(item.attribution, 1000)}")
    if study.truth and item.standing in SETTLED:
        st.caption(f"In hindsight, the data set says: {plain(study.truth)}.")


def _adapters(item: Item) -> str:
    """Who speaks of a study."""
    told = [words.model for words in item.says if words.is_told]
    return "; ".join(told) or "no adapter predicts this"


def _training(item: Item) -> str:
    """What those learnt from who speak of it."""
    told = [bool(words.prediction.get("trained_on_simulations")) for words in item.says if words.is_told]
    return origin_of(told) if told else item.origin


with mistakes_as_lines("The page"):
    show_clinic()
