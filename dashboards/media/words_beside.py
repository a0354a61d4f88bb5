"""What a user says of files: written into sidecars beside them after confirmation, and undone on request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from mainstem.apps.media.archives import Archive
from mainstem.apps.media.jobs import start_index
from mainstem.core.errors import MainstemError
from mainstem.dashboards.media.reads import said_of
from mainstem.dashboards.shell import plain, show_error
from mainstem.data.media.sidecar_writing import STATES, Changes, sidecar_path, write_sidecar

WRITTEN = "media written"  # session key: what was written, the last at the end
MOST_UNDONE = 50
LONGEST = 4000  # letters of a field
TEXTS = ("title", "caption", "creator", "credit", "rights", "captured")
UNSAID = "as it is"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written at once: in words, and by file what undoes it."""

    what: str
    archive: str
    root: Path
    undo: tuple[tuple[Path, Changes], ...]


def write_all(archive: Archive, what: str, changes: Mapping[Path, Changes]) -> list[str]:
    """Write sidecars, keep what undoes them, have the index follow; return why some could not be written."""
    undo, why = [], []
    for path, change in changes.items():
        try:
            undo.append((path, write_sidecar(path, change)))
        except MainstemError as error:
            why.append(str(error))
    if undo:
        held: list[Written] = st.session_state.setdefault(WRITTEN, [])
        told = f"{what} beside {len(undo)} file{'s' if len(undo) > 1 else ''}"
        held.append(Written(what=told, archive=archive.name, root=archive.root, undo=tuple(undo)))
        del held[:-MOST_UNDONE]
        start_index(archive.root)
    return why


def offer_undo(archive: Archive) -> None:
    """Say what was written last, and offer to undo it; on one line of the page, once."""
    held: list[Written] = [one for one in st.session_state.get(WRITTEN, ()) if one.archive == archive.name]
    if not held:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Written last: {plain(held[-1].what, 200)}.", width="content")
        is_asked = st.button("Undo it", icon=":material/undo:", key=f"undo {len(held)}", type="tertiary")
    if is_asked:
        why = undo_last(archive)
        for line in why:
            show_error(line)
        if not why:
            st.rerun()


def undo_last(archive: Archive) -> list[str]:
    """Take back what was written last beside an archive's files; return why some could not be."""
    held: list[Written] = st.session_state.get(WRITTEN, [])
    last = next((one for one in reversed(held) if one.archive == archive.name), None)
    if last is None:
        return []
    held.remove(last)
    why = []
    for path, changes in last.undo:
        try:
            write_sidecar(path, changes)
        except MainstemError as error:
            why.append(str(error))
    start_index(archive.root)
    return why


def offer_bulk(archive: Archive, paths: Sequence[str]) -> None:
    """Have the user say words of all selected files, and write them once they are confirmed."""
    with st.form("words of the selection", border=True):
        st.markdown("**Say of all of them**")
        added = st.text_input("Keywords to add, with commas between")
        rights = st.text_input("Rights")
        credit = st.text_input("Credit")
        opted = st.selectbox("Text and data mining", (UNSAID, *STATES))
        sure = st.checkbox(f"Write {len(paths)} sidecars beside the files, in the archive's folder")
        if not st.form_submit_button("Write", icon=":material/edit_note:"):
            return
    changes = {
        name: value.strip()[:LONGEST] for name, value in (("rights", rights), ("credit", credit)) if value.strip()
    }
    words = [word.strip() for word in added.split(",") if word.strip()]
    if opted != UNSAID:
        changes["opt_out"] = opted
    if not sure or not (changes or words):
        show_error("Nothing was written: say something, and tick the box that says where it is written")
        return
    files = [archive.root / path for path in paths]
    whole: dict[Path, Changes] = {path: {**changes, **_more_keywords(path, words)} for path in files}
    why = write_all(archive, f"{', '.join([*changes, *(['keywords'] if words else [])])}", whole)
    for line in why:
        show_error(line)
    if not why:
        st.rerun()


def _more_keywords(path: Path, words: Sequence[str]) -> Changes:
    """Keywords with those that the file has: a sidecar's are taken in the place of the file's own."""
    if not words:
        return {}
    try:
        known = said_of(path).get("keywords", ())
    except MainstemError:
        known = ()
    return {"keywords": list(dict.fromkeys([*known, *words]))}


def edit_words(archive: Archive, path: str, said: Mapping[str, Any]) -> None:
    """Have the user change what is said of one file, and write it once it is confirmed."""
    place = archive.root / path
    st.markdown(
        f"Written into {plain(sidecar_path(Path(path)).name)} beside the file, which itself is not touched. What is "
        "taken away here is what the sidecar says; what the file says of itself stays."
    )
    embargo = (said.get("embargo") or {}).get("until") or ""
    opted = (said.get("opt_out") or {}).get("state", "")
    with st.form(f"words of {path}", border=True):
        given = {
            name: st.text_area(plain(name), said.get(name, ""), height=68, max_chars=LONGEST) for name in ("caption",)
        }
        given |= {
            name: st.text_input(plain(name), said.get(name, ""), max_chars=LONGEST)
            for name in TEXTS
            if name != "caption"
        }
        keywords = st.text_input("keywords, with commas between", ", ".join(said.get("keywords", ())))
        until = st.text_input("embargo until", embargo, placeholder="2026-11-30T18:00+01:00")
        states = ("", *STATES)
        mining = st.selectbox("text and data mining", states, states.index(opted) if opted in states else 0)
        sure = st.checkbox("Write the sidecar beside the file")
        if not st.form_submit_button("Write", icon=":material/edit_note:"):
            return
    wanted: dict[str, str | list[str]] = {name: value.strip() for name, value in given.items()}
    wanted |= {"embargo": until.strip(), "opt_out": mining}
    wanted["keywords"] = [word.strip() for word in keywords.split(",") if word.strip()]
    before = {**{name: said.get(name, "") for name in TEXTS}, "embargo": embargo, "opt_out": opted,
              "keywords": list(said.get("keywords", ()))}  # fmt: skip
    changes: Changes = {name: value or None for name, value in wanted.items() if value != before[name]}
    if not changes or not sure:
        show_error("Nothing was written: change something, and tick the box that says where it is written")
        return
    why = write_all(archive, ", ".join(changes), {place: changes})
    for line in why:
        show_error(line)
    if not why:
        st.rerun()
