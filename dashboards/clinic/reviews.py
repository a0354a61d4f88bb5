"""Decisions: asked for in a dialog, held against what was told and shown, kept in the review store."""

import streamlit as st

from mainstem.apps.clinic import Study
from mainstem.apps.review import ReviewStore
from mainstem.apps.review_records import REASONS, Recorded
from mainstem.apps.review_roles import Role, User
from mainstem.core.errors import InputError
from mainstem.dashboards.clinic.board import Answer, Item, review_of, standing_of
from mainstem.dashboards.clinic.reads import review_store
from mainstem.dashboards.components.reader import Act
from mainstem.dashboards.shell import mistakes_as_lines, plain, show_error

SIGN = "reader's sign"  # session key: who decides; never in the address
SAID = "just recorded"  # session key: what to say of it after the page is drawn anew
MISSED = "just missed"  # session key: likewise, of what was not taken
NOT_TAKEN = "What you pressed was not taken: this study took the place of the one you saw. Look, and press again."
ROLE: Role = "clinician"


def store_of(sign: str) -> ReviewStore:
    """The store, as whoever signs uses it.

    Raises:
        InputError: if it cannot be opened.
    """
    return review_store().as_user(User(sign or "unsigned", ROLE))


def pseudonym(study: Study) -> str:
    """What the store calls a study: of its patient's number in the files, or of its own where they name nobody."""
    return review_store().pseudonyms.of(study.patient or study.id, "study", study.id)


def newest(studies: list[Study]) -> dict[str, Recorded]:
    """The newest review of each study, by its id here."""
    names = {pseudonym(study): study.id for study in studies}
    found = store_of("").latest(*names)
    return {names[name]: kept for name, kept in found.items()}


def first_read(study: Study) -> str:
    """What was seen before the model was shown; "" where nobody said."""
    history = store_of("").history(pseudonym(study))
    return next((kept.review.shown.first_read for kept in reversed(history) if kept.review.shown.first_read), "")


def record(study: Study, item: Item, act: Act, answer: Answer, sign: str) -> Recorded:
    """Keep a decision.

    Raises:
        InputError: if it lacks a signature or a reason, or cannot be kept.
    """
    if not sign.strip():
        raise InputError("nobody signs; write your sign first")
    if not study.pixel_sha256:
        raise InputError("the study's pixels could not be read, so that nothing can be recorded of them")
    kept = store_of(sign.strip()).record(review_of(item.leading, act, answer, (pseudonym(study), study.pixel_sha256)))
    st.session_state[SIGN] = sign.strip()
    st.session_state[SAID] = f"Recorded as review {kept.num}: {item.title}, {standing_of(kept)}. {kept.warning}".strip()
    return kept


def say_recorded() -> None:
    """Say what was recorded, or not taken, once."""
    said = st.session_state.pop(SAID, "")
    if said:
        st.toast(plain(said), icon=":material/check_circle:")
    if st.session_state.pop(MISSED, False):
        st.toast(plain(NOT_TAKEN), icon=":material/warning:")


def say_missed() -> None:
    """Say, when the page is drawn anew, that an act on another study was not taken."""
    st.session_state[MISSED] = True


def ask(study: Study, item: Item, act: Act) -> None:
    """Open the dialog of a decision."""
    {"accept": _accept, "override": _override, "defer": _defer, "opinion": _opinion, "read": _read}[act.name](
        study, item, act
    )


def _say_what_it_is_about(item: Item) -> None:
    """Name the study, what was said of it, and what is claimed of that."""
    st.markdown(f"**{plain(item.title)}**: {plain(item.headline)}")
    if item.leading is not None and item.leading.claim:
        st.caption(plain(item.leading.claim))


def _sign() -> str:
    sign: str = st.text_input(
        "Your sign", str(st.session_state.get(SIGN, "")), max_chars=40, placeholder="initials or staff number",
        help="Stands in the review record, with the time and what was shown.",
    )  # fmt: skip
    return sign


def _keep(study: Study, item: Item, act: Act, answer: Answer, sign: str) -> None:
    """Record and close; what lacks is said in the dialog."""
    try:
        record(study, item, act, answer, sign)
    except InputError as error:
        show_error(error)
    else:
        st.rerun()


@st.dialog("Accept what the model says")
def _accept(study: Study, item: Item, act: Act) -> None:
    with mistakes_as_lines("The decision"), st.form("accept", border=False):
        _say_what_it_is_about(item)
        sign = _sign()
        if st.form_submit_button("Record: accepted", type="primary"):
            _keep(study, item, act, Answer(decision="accept", first_read=first_read(study)), sign)


@st.dialog("Override")
def _override(study: Study, item: Item, act: Act) -> None:
    with mistakes_as_lines("The decision"), st.form("override", border=False):
        _say_what_it_is_about(item)
        finding = st.text_input("Your finding", max_chars=400)
        code = st.selectbox(
            "Reason", list(REASONS), None, format_func=lambda one: REASONS[one], placeholder="choose one"
        )
        text = st.text_area("In words", max_chars=4000, height=80, help="No patient's name or number.")
        sign = _sign()
        if st.form_submit_button("Record: overridden", type="primary"):
            answer = Answer(
                decision="override", code=code or "", text=text, finding=finding, first_read=first_read(study)
            )
            _keep(study, item, act, answer, sign)


@st.dialog("Defer")
def _defer(study: Study, item: Item, act: Act) -> None:
    with mistakes_as_lines("The decision"), st.form("defer", border=False):
        st.markdown(f"**{plain(item.title)}** stays on the list, below what nobody has read.")
        text = st.text_area("What it waits for", max_chars=4000, height=80, help="No patient's name or number.")
        sign = _sign()
        if st.form_submit_button("Record: deferred", type="primary"):
            _keep(study, item, act, Answer(decision="defer", text=text, first_read=first_read(study)), sign)


@st.dialog("Read without a model")
def _read(study: Study, item: Item, act: Act) -> None:
    with mistakes_as_lines("The reading"), st.form("read", border=False):
        st.markdown(f"No model was asked about **{plain(item.title)}**; the record says so.")
        finding = st.text_input("Your finding", max_chars=400)
        sign = _sign()
        if st.form_submit_button("Record: read without a model", type="primary"):
            _keep(study, item, act, Answer(decision="read", finding=finding.strip()), sign)


@st.dialog("Blind first read")
def _opinion(study: Study, item: Item, act: Act) -> None:
    with mistakes_as_lines("The opinion"), st.form("opinion", border=False):
        st.markdown("Kept before you are shown what the model says, and beside your decision.")
        seen = st.text_input("What you see", max_chars=400)
        sign = _sign()
        if st.form_submit_button("Record, and show the model", type="primary"):
            if not seen.strip():
                show_error("write what you see first")
                return
            _keep(study, item, act, Answer(decision="opinion", finding=seen, first_read=seen.strip()), sign)
