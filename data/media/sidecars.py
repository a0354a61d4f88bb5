"""Files beside a file that speak of it: .json, .xmp, .srt, .vtt and .txt, by its name or its stem.

`photo.jpg.json` before `photo.json`, JSON before XMP before transcripts; a language may stand in a transcript's name
(`clip.en.srt`), and Google's exports end in `.supplemental-metadata.json`, cut off anywhere. What a user says of a file
is written into `NAME.json` alone, never into the file: whole or not at all, and what else stands there stays.
"""

import os
import re
import stat
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line, plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds, check_file
from mainstem.data.media.said import Said, kept, unread
from mainstem.data.media.sidecar_json import said_by_json
from mainstem.data.media.signatures import demuxer, head_of, picture_format
from mainstem.data.media.transcripts import read_transcript
from mainstem.data.media.xmp import read_xmp

SUFFIXES = (".json", ".xmp", ".srt", ".vtt", ".txt")  # in the order in which they are believed
TELLING = (".json", ".xmp")  # that can tell of embargoes and of mining
LANGUAGE = re.compile(r"\.[a-z]{2,3}(-[a-z0-9]{2,8})*$", re.IGNORECASE)  # BCP 47, as far as names of files go
EXPORTED = "supplemental-metadata"
SETTLED_S = 2.0  # a folder's time tells no change from another that came within the clock's step
Names = dict[str, list[str]]


@dataclass(frozen=True)
class Listing:
    """Names in a folder: of sidecars by what they can speak of, of other files by their own name and by their stem."""

    sidecars: Names = field(default_factory=dict)
    others: Names = field(default_factory=dict)

    def add(self, name: str) -> None:
        """Take one more file."""
        stem, suffix = os.path.splitext(name)
        is_ours = suffix.lower() in SUFFIXES
        held = self.sidecars if is_ours else self.others
        for key in owners_of(name) if is_ours else {name, stem}:
            held.setdefault(key, []).append(name)


def spoken_keys(name: str) -> list[str]:
    """Under which names a listing holds the sidecars of a file: its own, and its stem where it is none itself."""
    stem, suffix = os.path.splitext(name)
    return list(dict.fromkeys([name] if suffix.lower() in SUFFIXES else [name, stem]))


def sidecars_of(path: Path) -> list[Path]:
    """Files beside a file that speak of it, the most believed first."""
    listing = _listing(path.parent)
    names = {name for key in spoken_keys(path.name) for name in listing.sidecars.get(key, ())}
    return [path.with_name(name) for name in sorted(names - {path.name}, key=lambda name: _order(name, path))]


def _order(name: str, path: Path) -> tuple[bool, int, str]:
    return not name.startswith(path.name), SUFFIXES.index(Path(name).suffix.lower()), name


def is_sidecar(path: Path) -> bool:
    """True for a file that speaks of a picture, sound or video beside it, and is no text of its own."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    others = _listing(path.parent).others
    found = {name for owner in owners_of(path.name) for name in others.get(owner, ())}
    return any(_is_media(path.with_name(name)) for name in sorted(found))


def _is_media(path: Path) -> bool:
    try:
        head = head_of(path)
    except (InputError, OSError):
        return False
    return bool(picture_format(head) or demuxer(head))


def owners_of(name: str) -> list[str]:
    """Names, or stems of names, of the files that a sidecar's name can speak of."""
    stem, suffix = os.path.splitext(name)
    held = [stem]
    if suffix.lower() in (".srt", ".vtt", ".txt"):
        held.append(LANGUAGE.sub("", stem))
    before, _, last = stem.rpartition(".")
    if suffix.lower() == ".json" and before and last and EXPORTED.startswith(last):
        held.append(before)
    return list(dict.fromkeys(held))


def _listing(folder: Path) -> Listing:
    """A folder's names; kept while it stays as it is."""
    try:
        changed = folder.stat().st_mtime_ns
    except OSError:
        return Listing()
    if abs(time.time() - changed / 1e9) < SETTLED_S:
        return _listed(folder)
    return _kept_listing(folder, changed)


@lru_cache(16)
def _kept_listing(folder: Path, changed: int) -> Listing:
    return _listed(folder)


def _listed(folder: Path) -> Listing:
    found = Listing()
    with os.scandir(folder) as listed:
        for entry in listed:
            if not entry.name.startswith("."):
                found.add(entry.name)
    return found


def said_by_sidecars(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> list[Said]:
    """What the sidecars of a file say, the most believed first; one that cannot be read says so in its notes."""
    return [_said(sidecar, path, bounds) for sidecar in sidecars_of(path)]


def _said(sidecar: Path, path: Path, bounds: Bounds) -> Said:
    origin = f"sidecar {plain(sidecar.name)}"
    try:
        if not stat.S_ISREG(sidecar.lstat().st_mode):
            raise InputError("it is a link, folder or pipe; give the file itself")
        check_file(sidecar, bounds.text_bytes)
        return _of_use(_read(sidecar, path, origin, bounds))
    except (InputError, OSError, ValueError, RecursionError) as error:
        note = f"{origin} cannot be read ({plain(one_line(error))})"
        is_telling = sidecar.suffix.lower() in TELLING
        return unread(origin, note) if is_telling else Said(origin=origin, notes=(note,), unknown=(note,))


def _read(sidecar: Path, path: Path, origin: str, bounds: Bounds) -> Said:
    suffix = sidecar.suffix.lower()
    if suffix == ".json":
        return said_by_json(sidecar.read_bytes(), path.name, origin)
    if suffix == ".xmp":
        return read_xmp(sidecar.read_bytes(), bounds.text_bytes, origin)
    found = read_transcript(sidecar, bounds)
    notes = tuple(f"{origin}: {note}" for note in found.notes)
    is_caption = suffix == ".txt" and picture_format(head_of(path, bounds)) is not None
    words = kept({"caption" if is_caption else "transcript": found.text})
    cues = tuple(cue for cue in found.said if cue.start_s is not None)
    return Said(origin=origin, words=words, cues=cues, notes=notes, unknown=found.notes)


def _of_use(said: Said) -> Said:
    """What a sidecar says, and that it says nothing that is understood where that is so."""
    is_of_use = said.words or said.keywords or said.embargoes or said.sayings or said.unknown
    return said if is_of_use else replace(said, unknown=("nothing in it",))
