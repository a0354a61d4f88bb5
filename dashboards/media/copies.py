"""Copies of an archive to resolve: each group side by side with what links it; what to keep is a mark, and no more."""

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from mainstem.apps.jobs import find_job
from mainstem.apps.media.archives import Archive, facts_of, picture_of
from mainstem.apps.media.duplicates import NOT_MEDIA
from mainstem.apps.media.jobs import copies_found, copies_job, start_copies
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import MainstemError
from mainstem.dashboards.components.pictures import Sheet, Tile, pictures
from mainstem.dashboards.components.tables import choice_table, named_in_address
from mainstem.dashboards.media.board import facts_line
from mainstem.dashboards.media.reads import said_of
from mainstem.dashboards.media.words_beside import offer_undo, write_all
from mainstem.dashboards.shell import Desk, mistakes_as_lines, open_panel, plain, put_in_address, show_error
from mainstem.dashboards.waiting import is_being_made, show_failure
from mainstem.data.media.sidecar_writing import Changes
from mainstem.data.spreadsheets import csv_bytes

KEPT, ASIDE = "copies: keep", "copies: set aside"  # keywords that tell what was decided
KEEPING = "media keeping"  # session key: by group, paths to keep
LIST_PX = 380
AGREE = "features that agree"  # the one unit of which more is nearer
NEARNESS = ((1 / 3, "nearly the same"), (2 / 3, "much alike"), (1.0, "just alike enough for a copy"))  # of the limit


@dataclass(frozen=True, kw_only=True)
class Group:
    """Copies of one another: paths below the archive's folder, and what links them.

    Attributes:
        name: of the group in an address; another once other files are in it.
        evidence: of each link, with its two files' paths.
    """

    name: str
    paths: tuple[str, ...]
    evidence: tuple[Mapping[str, Any], ...]


def groups_of(told: Mapping[str, Any]) -> list[Group]:
    """Return the groups that were found."""
    folder, found = Path(str(told["folder"])), []
    for paths, links in zip(told["groups"], told["evidence"], strict=True):
        below = tuple(str(Path(path).relative_to(folder)) for path in paths)
        evidence = tuple(_below(link, folder) for link in links)
        name = hashlib.sha256("\n".join(below).encode(errors="replace")).hexdigest()[:8]
        found.append(Group(name=name, paths=below, evidence=evidence))
    return found


def same_sound(told: Mapping[str, Any]) -> Group:
    """Return the links of videos whose sound is another file's, which group nothing: their pictures may differ."""
    links = tuple(_below(link, Path(str(told["folder"]))) for link in told["same_sound"])
    return Group(name="same sound", paths=(), evidence=links)


def _below(link: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    return {**link, **{end: str(Path(link[end]).relative_to(folder)) for end in ("first", "second")}}


def link_lines(group: Group, path: str) -> list[str]:
    """Say what links a file to others of its group."""
    lines = []
    for link in group.evidence:
        if path in (link["first"], link["second"]):
            other = Path(link["first"] if path == link["second"] else link["second"]).name
            turned = "" if link["transform"] in ("none", "not turned", "") else f", {link['transform']}"
            lines.append(f"{other}: {nearness(link)}{turned}")
    return lines


def nearness(link: Mapping[str, Any]) -> str:
    """Say in words how near two copies are; the numbers are with the evidence."""
    if not link["threshold"]:
        return "the same bytes"
    if link["unit"] == AGREE:
        return f"the same in {link['distance']:g} places, {link['threshold']:g} are enough"
    share = link["distance"] / link["threshold"]
    return next((words for most, words in NEARNESS if share <= most), NEARNESS[-1][1])


def show_copies(search: MediaSearch, archive: Archive, desk: Desk) -> None:
    """Show the copies that were found last, one group of them on the canvas, and look for them anew."""
    job = copies_job(archive.name)
    with desk.vain:
        show_failure(job)
        is_made = find_job(job) is not None and is_being_made(lambda: False, job)
    told = copies_found(archive.root)
    if told is None:
        if not is_made:
            st.info(
                "Nobody has looked for copies in this archive yet. Every picture, sound and video is compared by "
                "fingerprints that stand edits; nothing is changed.", icon=":material/content_copy:",
            )  # fmt: skip
            st.button("Look for copies", type="primary", on_click=start_copies, args=(archive.root,))
        return
    groups = groups_of(told)
    by_name = {group.name: group for group in groups}
    chosen, vain = named_in_address("group", by_name, groups[0].name if groups else "")
    if vain:
        desk.vain.warning(f"There is no group {plain(vain, 40)} here any more.", icon=":material/warning:")
    if not groups:
        st.info("No copies were found. That is an answer.", icon=":material/done_all:")
    elif chosen:
        with mistakes_as_lines("The group"):
            show_group(search, archive, by_name[chosen])
    if desk.dock is None:
        return
    with desk.dock, mistakes_as_lines("The panel"):
        if desk.panel == "evidence":
            show_evidence(told, by_name.get(chosen))
        else:
            show_counts(told, groups)
            st.button(
                "Look again", icon=":material/sync:", on_click=start_copies, args=(archive.root,), disabled=is_made
            )
            if groups:
                show_groups(archive, groups, chosen)


def show_counts(told: Mapping[str, Any], groups: Sequence[Group]) -> None:
    """Say how many groups were found among how many files, and when."""
    when = datetime.datetime.fromtimestamp(float(told["when"]), datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    odd = sum(why != NOT_MEDIA for why in told["left_out"].values())
    st.caption(
        f"{len(groups)} groups of copies among {int(told['num_compared']):d} files, as of {plain(when)}; "
        f"{len(told['refused'])} could not be read, {odd:d} were not compared. "
        "Copies are told by likeness, not by who was first."
    )


def show_evidence(told: Mapping[str, Any], group: Group | None) -> None:
    """Show what links the files of a group, and which files share their sound and nothing else."""
    if group is not None:
        st.subheader("Evidence of every pair", anchor=False)
        st.dataframe(evidence_table([group]), hide_index=True)
    if (heard := same_sound(told)).evidence:
        st.caption(
            f"{len(heard.evidence)} pairs of videos, or a video and a sound, share their sound. Their pictures may be "
            "others: this joins no group."
        )
        st.dataframe(evidence_table([heard]), hide_index=True)


def show_groups(archive: Archive, groups: Sequence[Group], chosen: str) -> None:
    """Show the list of groups; of the chosen one, offer to write down which files are kept."""
    by_name = {group.name: group for group in groups}
    choice_table(
        group_table(archive, groups), list(by_name), chosen, lambda name: put_in_address("group", name),
        f"groups {archive.name} {len(groups)} {groups[0].name}", LIST_PX,
    )  # fmt: skip
    st.download_button(
        "The groups as CSV", lambda: csv_bytes(copies_table(archive, groups)), "copies.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    if chosen:
        offer_marks(archive, by_name[chosen])
    offer_undo(archive)


def group_table(archive: Archive, groups: Sequence[Group]) -> pd.DataFrame:
    """Return the groups as a table: the first file, how many, what was decided."""
    rows = [
        {
            "copies of": plain_name(group.paths[0]), "files": len(group.paths),
            "keep": str(len(kept_of(archive, group)) or ""),
        }
        for group in groups
    ]  # fmt: skip
    return pd.DataFrame(rows)


def plain_name(path: str) -> str:
    """Return a file's name."""
    return Path(path).name


def kept_of(archive: Archive, group: Group) -> tuple[str, ...]:
    """Paths that the user keeps of a group; none where nothing is decided."""
    every: dict[str, tuple[str, ...]] = st.session_state.setdefault(KEEPING, {})
    return every.get(f"{archive.name} {group.name}", ())


def keep(archive: Archive, group: Group, paths: Sequence[str]) -> None:
    """Decide what to keep of a group."""
    every: dict[str, tuple[str, ...]] = st.session_state.setdefault(KEEPING, {})
    every[f"{archive.name} {group.name}"] = tuple(path for path in group.paths if path in set(paths))


def show_group(search: MediaSearch, archive: Archive, group: Group) -> None:
    """Show the files of a group side by side, and have the user mark which to keep."""
    tiles = tuple(
        Tile(
            id=path, title=Path(path).name, picture=picture_of(search.catalogue, path), text="no picture",
            lines=(facts_line(facts_of(search.catalogue, path)), *link_lines(group, path)),
        )
        for path in group.paths
    )  # fmt: skip
    kept = kept_of(archive, group)
    pictures(
        Sheet(name=group.name, tiles=tiles, layout="large", marked=kept, mark_word="keep",
              aria=f"{len(tiles)} copies of one another side by side"),
        "media copies", lambda _, path: open_file(path), lambda marked: keep(archive, group, marked),
    )  # fmt: skip


def offer_marks(archive: Archive, group: Group) -> None:
    """Offer to write what is kept of a group as keywords."""
    st.caption("Mark which files to keep with x or the boxes, then write it down; nothing is deleted or moved.")
    with st.form(f"keep {group.name}", border=False):
        sure = st.checkbox(f"Write into {len(group.paths)} sidecars: {plain(KEPT)} or {plain(ASIDE)}")
        if st.form_submit_button("Write the marks", icon=":material/edit_note:"):
            _write_marks(archive, group, sure)


def open_file(path: str) -> None:
    """Open a file in the search."""
    put_in_address("show", None)
    put_in_address("file", path)
    open_panel("file")


def _write_marks(archive: Archive, group: Group, sure: bool) -> None:
    kept = kept_of(archive, group)
    if not kept or not sure:
        show_error("Nothing was written: mark which to keep, and tick the box that says where it is written")
        return
    changes: dict[Path, Changes] = {}
    for path in group.paths:
        place = archive.root / path
        try:
            known = said_of(place).get("keywords", ())
        except MainstemError:
            known = ()
        words = [word for word in known if word not in (KEPT, ASIDE)]
        changes[place] = {"keywords": [*words, KEPT if path in kept else ASIDE]}
    why = write_all(archive, "what to keep of copies", changes)
    for line in why:
        show_error(line)
    if not why:
        st.rerun()


def evidence_table(groups: Sequence[Group]) -> pd.DataFrame:
    """Return the links of groups, one a row."""
    rows = [
        {
            "group": group.name, "first": link["first"], "second": link["second"], "compared by": link["what"],
            "how near": nearness(link),
            "distance": link["distance"], "threshold": link["threshold"], "unit": link["unit"],
            "transform": link["transform"], "begins at, s": link.get("offset_s"),
            "by chance": link["false_match_rate"],
        }
        for group in groups
        for link in group.evidence
    ]  # fmt: skip
    return pd.DataFrame(rows)


def copies_table(archive: Archive, groups: Sequence[Group]) -> pd.DataFrame:
    """Return every file of every group with what was decided and what links it."""
    rows = []
    for group in groups:
        kept = kept_of(archive, group)
        for path in group.paths:
            decided = "undecided" if not kept else "keep" if path in kept else "set aside"
            rows.append({"group": group.name, "path": path, "decided": decided,
                         "evidence": "; ".join(link_lines(group, path)), "archive": str(archive.root)})  # fmt: skip
    return pd.DataFrame(rows)
