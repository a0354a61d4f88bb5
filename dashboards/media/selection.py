"""Files that the user selected: out as CSV and EDL, and words written for all of them at once, which can be undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from mainstem.apps.media.archives import Archive, keyframes_of
from mainstem.apps.media.exports import cuts_of, results_table
from mainstem.apps.media.search import MediaSearch
from mainstem.dashboards.media.words_beside import offer_bulk
from mainstem.dashboards.shell import mistakes_as_lines
from mainstem.data.media.edl import edl_text
from mainstem.data.spreadsheets import csv_bytes

SELECTED = "media selected"  # session key: by archive, what is selected
MOST = 2000


@dataclass(kw_only=True)
class Selection:
    """What is selected of an archive: by path the result as it was found; a new revision tells the grid of changes."""

    found: dict[str, Mapping[str, Any]]
    revision: int = 0

    def take(self, shown: Mapping[str, Mapping[str, Any]], marked: Sequence[str]) -> None:
        """Select those of the shown files that are marked, and no other of them; others stay as they are."""
        for path in shown:
            self.found.pop(path, None)
        for path in marked:
            if path in shown and len(self.found) < MOST:
                self.found[path] = shown[path]

    def clear(self) -> None:
        """Select nothing."""
        self.found.clear()
        self.revision += 1

    def add(self, shown: Mapping[str, Mapping[str, Any]]) -> None:
        """Select all that is shown."""
        self.found.update(dict(list(shown.items())[: MOST - len(self.found)]))
        self.revision += 1


def selection_of(archive: Archive) -> Selection:
    """What this session selected of an archive."""
    every: dict[str, Selection] = st.session_state.setdefault(SELECTED, {})
    return every.setdefault(archive.name, Selection(found={}))


def show_selection(search: MediaSearch, archive: Archive, shown: Mapping[str, Mapping[str, Any]]) -> None:
    """Offer what can be done with the selection."""
    chosen = selection_of(archive)
    st.markdown(
        f"{len(chosen.found)} selected: with x or the boxes in the grid. Nothing is written into any file; words "
        "go into a sidecar beside it, after you confirmed them, and can be undone."
    )
    row = st.container(horizontal=True)
    row.button("All that is shown", icon=":material/select_all:", on_click=chosen.add, args=(shown,))
    row.button("None", icon=":material/deselect:", on_click=chosen.clear, disabled=not chosen.found)
    if chosen.found:
        _offer_files(search, archive, chosen)
        with mistakes_as_lines("The words"):
            offer_bulk(archive, list(chosen.found))


def _offer_files(search: MediaSearch, archive: Archive, chosen: Selection) -> None:
    row = st.container(horizontal=True)
    results = list(chosen.found.values())
    row.download_button(
        "CSV", lambda: csv_bytes(results_table(results, archive)), "selection.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    cuts = [cut for one in results for cut in cuts_of(search.catalogue, one)]
    for rate in sorted({round(cut.frame_rate, 3) for cut in cuts}):
        of_rate = [cut for cut in cuts if round(cut.frame_rate, 3) == rate]
        with mistakes_as_lines("The edit list"):
            row.download_button(
                f"EDL at {rate:.5g} frames a second", edl_text(archive.root.name, of_rate), f"selection-{rate:.5g}.edl",
                "text/plain", icon=":material/movie_edit:", on_click="ignore",
            )  # fmt: skip


def shots_of(search: MediaSearch, path: str) -> list[tuple[float, float]]:
    """Return the ends of a video's shots, s, in order, as its index knows them."""
    spans = {(one.start_s, one.end_s) for one in keyframes_of(search.catalogue, path) if one.start_s is not None}
    return sorted((float(start), float(end)) for start, end in spans if start is not None and end is not None)
