"""One file beside the grid: the picture or a player, why it was found, what is said of it, where it comes from."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mainstem.apps.media.archives import Archive, Keyframe, facts_of, keyframes_of
from mainstem.apps.media.exports import cuts_of
from mainstem.apps.media.moments import clock
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import InputError
from mainstem.dashboards.components.pictures import Sheet, Tile, pictures
from mainstem.dashboards.media.board import (
    facts_line,
    judged_lines,
    said_rows,
    title_of,
    warnings_of,
    why_lines,
)
from mainstem.dashboards.media.origins import show_origin
from mainstem.dashboards.media.reads import preview, said_of, text_in, to_play
from mainstem.dashboards.media.selection import shots_of
from mainstem.dashboards.media.words_beside import edit_words
from mainstem.dashboards.shell import choose, mistakes_as_lines, plain, put_in_address, show_error
from mainstem.data.media.edl import edl_text

VIEWS = ("View", "Details", "Origin", "Edit")
CUTS = "media cuts"  # session key: by archive and file, keyframes whose shots are to be cut
SAID_PX = {"field": st.column_config.Column(width=90), "said": st.column_config.Column(width=200)}
MOST_STRIP = 240  # keyframes drawn


def show_file(search: MediaSearch, archive: Archive, result: Mapping[str, Any], vain: DeltaGenerator) -> None:
    """Show a file of the archive.

    Args:
        search: of the archive.
        archive: that holds it.
        result: the file as a search tells it.
        vain: where to say what the address asks for in vain.
    """
    heading = st.container(horizontal=True, vertical_alignment="center", wrap=False)
    heading.subheader(plain(title_of(result), 120), anchor=False)
    heading.button("", icon=":material/close:", key="close file", help="Close", type="tertiary", on_click=close_file)
    look = choose(partial(st.segmented_control, "Look at", label_visibility="collapsed"), "look", VIEWS, vain)
    place = archive.root / result["path"]
    with mistakes_as_lines("This file"):
        if look == "View":
            show_content(search, result, place)
        elif not place.is_file():
            st.warning("The file is offline: its share is not mounted.", icon=":material/cloud_off:")
        elif look == "Details":
            show_details(search, result, place)
        elif look == "Origin":
            show_origin(place)
        else:
            edit_words(archive, result["path"], said_of(place))


def close_file() -> None:
    """Have no file open, and no panel."""
    put_in_address("file", None)
    put_in_address("panel", None)


def show_content(search: MediaSearch, result: Mapping[str, Any], place: Path) -> None:
    """Show what a file holds, and why it was found."""
    kind, path = result["kind"], result["path"]
    if not place.is_file():
        st.warning(
            "The file is offline: its share is not mounted. Shown is what the index kept.", icon=":material/cloud_off:"
        )
    with mistakes_as_lines("The file"):
        if kind == "image" and place.is_file():
            st.image(preview(place)[0], alt=title_of(result)[:200])
        elif kind in ("video", "sound"):
            show_player(search, result, place)
        elif kind == "text" and place.is_file():
            st.code(text_in(place), language=None, wrap_lines=True)
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
        offer_cuts(search, result)
    if place.is_file() and (said := said_of(place).get("transcript")):
        with st.expander("Transcript", expanded=result["kind"] == "sound"):
            st.code(said, language=None, wrap_lines=True)


def moment_asked(result: Mapping[str, Any]) -> float:
    """Return the second that the address names, else that of the keyframe that was found."""
    try:
        asked = float(st.query_params.get("t", ""))
    except ValueError:
        asked = -1.0
    return asked if 0 <= asked < 1e6 else float(result["time_s"] or 0.0)


def show_strip(frames: list[Keyframe], path: str, at_s: float) -> None:
    """Show a video's shots, a tile each, under a line shared by duration; the player begins at the chosen one."""
    if not frames:
        return
    shown = shot_frames(frames)
    shown = shown[:: -(-len(shown) // MOST_STRIP)]
    begins = [frame.time_s or 0.0 if frame.start_s is None else frame.start_s for frame in shown]
    here = max((number for number, begin_s in enumerate(begins) if begin_s <= at_s + 1e-3), default=0)
    tiles = tuple(
        Tile(
            id=f"{frame.time_s or 0.0:.3f}", title=clock(begin_s), picture=frame.picture, lines=_span(frame),
            length=0.0 if frame.end_s is None else max(frame.end_s - begin_s, 0.0),
        )
        for frame, begin_s in zip(shown, begins, strict=True)
    )  # fmt: skip
    pictures(
        Sheet(name=f"strip {path}", tiles=tiles, layout="strip", opened=tiles[here].id, mark_word="cut",
              marked=cuts_marked(path), aria=f"{len(tiles)} shots of the video in order of time"),
        "media strip", lambda _, time: put_in_address("t", time), lambda marked: mark_cuts(path, marked),
    )  # fmt: skip


def shot_frames(frames: list[Keyframe]) -> list[Keyframe]:
    """Return the first keyframe of each shot, in order; all that are of none."""
    firsts = {(one.start_s, one.end_s) if one.start_s is not None else one.frame: one for one in reversed(frames)}
    return sorted(firsts.values(), key=lambda one: (one.time_s or 0.0, one.frame))


def _span(frame: Keyframe) -> tuple[str, ...]:
    if frame.start_s is None or frame.end_s is None:
        return ()
    return (f"to {clock(frame.end_s)}, {frame.end_s - frame.start_s:.1f} s",)


def cuts_marked(path: str) -> tuple[str, ...]:
    """Keyframes of a video that the user marked."""
    every: dict[str, tuple[str, ...]] = st.session_state.setdefault(CUTS, {})
    return every.get(path, ())


def mark_cuts(path: str, marked: list[str]) -> None:
    """Keep which keyframes of a video are marked."""
    every: dict[str, tuple[str, ...]] = st.session_state.setdefault(CUTS, {})
    every[path] = tuple(marked)


def offer_cuts(search: MediaSearch, result: Mapping[str, Any]) -> None:
    """Offer the shots whose keyframes are marked as an edit list."""
    times = [float(time) for time in cuts_marked(result["path"])]
    spans = [span for span in shots_of(search, result["path"]) if any(span[0] <= time < span[1] for time in times)]
    if not spans:
        st.caption("Mark shots with cut (x) to take them along as an edit list (EDL).")
        return
    cuts = cuts_of(search.catalogue, result, spans)
    name = PurePosixPath(result["path"])
    st.download_button(
        f"EDL of {len(cuts)} shots at {cuts[0].frame_rate:.5g} frames a second", edl_text(name.stem, cuts),
        f"{name.stem}.edl", "text/plain", icon=":material/movie_edit:", on_click="ignore",
    )  # fmt: skip


def show_details(search: MediaSearch, result: Mapping[str, Any], place: Path) -> None:
    """Say what a file and its sidecars say of it, and where each word stands."""
    said = said_of(place)
    rows = said_rows(said)
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=SAID_PX)
    else:
        st.info("Nothing is said of this file, in it or beside it.", icon=":material/label_off:")
    for note in said.get("notes", ()):
        st.caption(plain(note))
    for name in ("moved_from", "edited_from"):
        if result[name]:
            st.caption(f"{plain(name.replace('_', ' '))} {plain(result[name])}")
    st.caption(f"SHA-256 {plain(result['sha256'])}")
    st.caption(f"{plain(result['path'])}  \n{plain(facts_line(facts_of(search.catalogue, result['path'])))}")
