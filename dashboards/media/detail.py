"""One file beside the grid: the picture or a player, why it was found, what is said of it, where it comes from."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.media_archives import Keyframe, facts_of, keyframes_of, one_file, text_of
from mainstem.apps.media_search import MediaSearch
from mainstem.core.errors import InputError
from mainstem.dashboards.components.pictures import Sheet, Tile, pictures
from mainstem.dashboards.media.board import (
    clock,
    facts_line,
    judged_lines,
    said_rows,
    title_of,
    warnings_of,
    why_lines,
)
from mainstem.dashboards.media.reads import preview, said_of, to_play
from mainstem.dashboards.shell import choose, mistakes_as_lines, plain, put_in_address, show_error

VIEWS = ("View", "Details")
MOST_TEXT = 20_000  # letters of a text or transcript
MOST_STRIP = 240  # keyframes drawn


def show_file(search: MediaSearch, found: Mapping[str, Any] | None, path: str, vain: DeltaGenerator) -> None:
    """Show a file of the archive.

    Args:
        search: the archive.
        found: the file as a result of the search; None where it is none.
        path: below the archive's folder.
        vain: where to say what the address asks for in vain.

    Raises:
        InputError: if the index knows no such file.
    """
    result = one_file(search.catalogue, path) if found is None else found
    heading, close = st.columns([6, 1], vertical_alignment="center")
    heading.subheader(plain(title_of(result), 120), anchor=False)
    close.button(
        "", icon=":material/close:", key="close file", help="Close", type="tertiary", on_click=put_in_address,
        args=("file", None),
    )  # fmt: skip
    look = choose(partial(st.segmented_control, "Look at", label_visibility="collapsed"), "look", VIEWS, vain)
    place = search.catalogue.root / path
    with mistakes_as_lines("This file"):
        if look == "View":
            show_content(search, result, place)
        else:
            show_details(search, result, place)


def show_content(search: MediaSearch, result: Mapping[str, Any], place: Path) -> None:
    """Show what a file holds, and why it was found."""
    kind, path = result["kind"], result["path"]
    if not place.is_file():
        st.warning(
            "The file is offline: its share is not mounted. Shown is what the index kept.", icon=":material/cloud_off:"
        )
    with mistakes_as_lines("The file"):
        if kind == "image" and place.is_file():
            st.image(preview(place)[0])
        elif kind in ("video", "sound"):
            show_player(search, result, place)
        elif kind == "text":
            st.code(text_of(search.catalogue, path, MOST_TEXT), language=None, wrap_lines=True)
    for line in warnings_of(result):
        st.warning(plain(line), icon=":material/gavel:")
    reasons = [*why_lines(result), *judged_lines(result)]
    if reasons:
        st.markdown(f"**Why it was found.** {plain('; '.join(reasons), 600)}")
    for said in result["relevance"]:
        if said["claim"] != "stated" and said["probability"] is not None:
            st.caption(plain(said["reason"]))
    st.caption(f"{plain(path)}  \n{plain(facts_line(facts_of(search.catalogue, path)))}")
    if others := result["same_bytes_at"]:
        st.caption(f"The same bytes lie at {plain(', '.join(others), 600)}")


def show_player(search: MediaSearch, result: Mapping[str, Any], place: Path) -> None:
    """Show a player that begins at the moment that was found, over the times of the keyframes and the transcript."""
    path, frames = result["path"], keyframes_of(search.catalogue, result["path"])
    start_s = moment_asked(result)
    if place.is_file():
        try:
            data, form = to_play(place, result["kind"])
        except InputError as error:
            show_error(error)
        else:
            player = st.video if result["kind"] == "video" else st.audio
            player(data, form, start_time=int(start_s))
    if result["kind"] == "video":
        show_strip(frames, path, start_s)
    if said := text_of(search.catalogue, path, MOST_TEXT):
        with st.expander("What is said in it, by its transcript or caption", expanded=result["kind"] == "sound"):
            st.code(said, language=None, wrap_lines=True)


def moment_asked(result: Mapping[str, Any]) -> float:
    """Return the second that the address names, else that of the keyframe that was found."""
    try:
        asked = float(st.query_params.get("t", ""))
    except ValueError:
        asked = -1.0
    return asked if 0 <= asked < 1e6 else float(result["time_s"] or 0.0)


def show_strip(frames: list[Keyframe], path: str, at_s: float) -> None:
    """Show a video's keyframes in a row; one that is chosen is where the player begins."""
    if not frames:
        return
    shown = frames[:: -(-len(frames) // MOST_STRIP)]
    times = [frame.time_s or 0.0 for frame in shown]
    here = max((number for number, time_s in enumerate(times) if time_s <= at_s + 1e-3), default=0)
    tiles = tuple(
        Tile(id=f"{time_s:.3f}", title=clock(time_s), picture=frame.picture)
        for frame, time_s in zip(shown, times, strict=True)
    )
    pictures(
        Sheet(name=f"strip {path}", tiles=tiles, layout="strip", opened=tiles[here].id, mark_word="cut",
              aria=f"{len(tiles)} keyframes of the video in order of time"),
        "media strip", lambda _, time: put_in_address("t", time),
    )  # fmt: skip


def show_details(search: MediaSearch, result: Mapping[str, Any], place: Path) -> None:
    """Say what a file and its sidecars say of it, and where each word stands."""
    said = said_of(place) if place.is_file() else {"origin": {}}
    rows = said_rows(said)
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    else:
        st.info("Nothing is said of this file, in it or beside it.", icon=":material/label_off:")
    for note in said.get("notes", ()):
        st.caption(plain(note))
    for name in ("moved_from", "edited_from"):
        if result[name]:
            st.caption(f"{plain(name.replace('_', ' '))} {plain(result[name])}")
    st.caption(f"SHA-256 {plain(result['sha256'])}")
    st.caption(f"{plain(result['path'])}  \n{plain(facts_line(facts_of(search.catalogue, result['path'])))}")
