"""Pictures side by side, in a grid or a strip: each with its words, marked and opened by mouse and keys; sent once."""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import streamlit as st

FOLDER = Path(__file__).parent
SCRIPTS = ("held.js", "tiles.js", "keys.js", "pictures.js")
SENT = "pictures_sent"  # session key: by mount, pictures that the browser was given
MOST_SENT = 1500  # that it keeps beside those shown
Layout = Literal["grid", "strip", "large"]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One picture with its words, all of which are shown as plain text.

    Attributes:
        id: that acts name it by.
        picture: JPEG; None where there is none, and `text` stands in its place.
        badge: of what kind it is, and how long.
        warnings: what must not be missed.
        lines: under the title.
        length: its share of the line above a strip; the line is drawn where all tiles have one.
    """

    id: str
    title: str
    picture: bytes | None = None
    text: str = ""
    badge: str = ""
    warnings: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    length: float = 0.0

    @cached_property
    def key(self) -> str | None:
        """Of the picture's contents."""
        return None if self.picture is None else hashlib.sha256(self.picture).hexdigest()[:20]


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that can be done with a tile: its name, the word on its button, and its key."""

    name: str
    label: str
    letter: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What is shown.

    Attributes:
        name: the place in it is kept while this stays the same.
        opened: id of the tile that is open beside it.
        marked: ids.
        revision: of the marks; a new one tells the browser that they were changed elsewhere.
        acts: of each tile, beside opening and marking it.
        mark_word: what marking a tile means.
        aria: what the whole is.
    """

    name: str
    tiles: tuple[Tile, ...]
    layout: Layout = "grid"
    opened: str = ""
    marked: tuple[str, ...] = ()
    revision: int = 0
    acts: tuple[Act, ...] = ()
    mark_word: str = "select"
    aria: str = "Pictures"


@dataclass(kw_only=True)
class Sent:
    """What a session's browser was given, and the last of its requests that was answered."""

    keys: dict[str, None] = field(default_factory=dict)  # in the order of sending
    request: str = ""


def pack(sheet: Sheet, sent: Iterable[str]) -> bytes:
    """Return the payload that held.js reads, without the pictures that were sent already."""
    known = set(sent)
    new = {tile.key: tile.picture for tile in sheet.tiles if tile.picture is not None and tile.key not in known}
    header = {
        "name": sheet.name, "layout": sheet.layout, "opened": sheet.opened, "marked": sheet.marked,
        "revision": sheet.revision, "acts": [vars(act) for act in sheet.acts], "word": sheet.mark_word,
        "aria": sheet.aria,
        "tiles": [
            {"id": tile.id, "title": tile.title, "picture": tile.key, "text": tile.text, "badge": tile.badge,
             "warnings": tile.warnings, "lines": tile.lines, "length": tile.length}
            for tile in sheet.tiles
        ],
        "pictures": [{"key": key, "size": len(picture)} for key, picture in new.items()],
    }  # fmt: skip
    text = json.dumps(header, allow_nan=False).encode()
    return b"".join([struct.pack("<I", len(text)), text, *new.values()])


def pictures(
    sheet: Sheet,
    key: str,
    on_act: Callable[[str, str], None],
    on_marked: Callable[[list[str]], None] | None = None,
) -> None:
    """Draw a sheet; call `on_act` with an act's name ("open" is one) and a tile's id, `on_marked` with all marked ids.

    Both are called before the page is drawn anew.
    """
    mount = st.components.v2.component(
        "mainstem_pictures",
        html=(FOLDER / "pictures.html").read_text(),
        css=(FOLDER / "pictures.css").read_text(),
        js="\n".join((FOLDER / name).read_text() for name in SCRIPTS),
    )
    every: dict[str, Sent] = st.session_state.setdefault(SENT, {})
    sent = every.setdefault(key, Sent())
    request = str((st.session_state.get(key) or {}).get("wanted") or "")
    if request and request != sent.request:  # the browser lacks what it was given, as after the page was loaded again
        sent.keys, sent.request = {}, request
    payload = pack(sheet, sent.keys)
    sent.keys |= {tile.key: None for tile in sheet.tiles if tile.key is not None}
    while len(sent.keys) > MOST_SENT:
        del sent.keys[next(iter(sent.keys))]
    ids = frozenset(tile.id for tile in sheet.tiles)
    names = {"open", *(act.name for act in sheet.acts)}

    def note_act() -> None:
        told = _told(key, "act")
        if told.get("id") in ids and told.get("name") in names:
            on_act(str(told["name"]), str(told["id"]))

    def note_marked() -> None:
        told = _told(key, "marked").get("ids")
        if on_marked is not None and isinstance(told, list):
            on_marked([one for one in told if one in ids])

    mount(
        key=key, data=payload, height="content", on_act_change=note_act, on_marked_change=note_marked,
        on_wanted_change=lambda: None,
    )  # fmt: skip


def _told(key: str, name: str) -> Mapping[str, Any]:
    """What the browser says under a name."""
    told = (st.session_state.get(key) or {}).get(name)
    return told if isinstance(told, Mapping) else {}
