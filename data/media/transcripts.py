"""Words of a sound or video with their times: SubRip (.srt), WebVTT (W3C, 2019) and plain text."""

import html
import re
from dataclasses import dataclass, replace
from pathlib import Path

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.said import printable
from mainstem.data.media.texts import read_text

SUFFIXES = (".srt", ".vtt", ".txt")
CLOCK = r"(?:(\d+):)?(\d?\d):(\d\d)[.,](\d{1,3})"
TIMES = re.compile(rf"^\s*{CLOCK}\s*-->\s*{CLOCK}")
TAGS = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]{0,200}\}")  # <i>, <00:01.000>, <v Ann>; {\an8}
APART = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class Cue:
    """Words and when they are said: `start_s` and `end_s` are None where the file tells no times."""

    start_s: float | None
    end_s: float | None
    text: str


@dataclass(frozen=True)
class Transcript:
    """Cues in the file's order, and what was found in reading it, a sentence each."""

    cues: tuple[Cue, ...]
    notes: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[Cue, ...]:
        """Its cues without lines that only repeat the one before, as rolling captions do, and those left empty."""
        found, before = [], None
        for cue in self.cues:
            kept = []
            for line in cue.text.split("\n"):
                kept += [line] if line != before else []
                before = line
            if kept:
                found.append(replace(cue, text="\n".join(kept)))
        return tuple(found)

    @property
    def text(self) -> str:
        """All words, a cue a line."""
        return "\n".join(cue.text for cue in self.said)


def read_transcript(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Transcript:
    """Read a transcript by its suffix; blocks that have no times are skipped and counted.

    Raises:
        InputError: if it is absent or too long.
    """
    read = read_text(path, bounds)
    notes = () if read.encoding != "latin-1" else ("it is no UTF-8; letters are read as Latin-1 and may be others",)
    if path.suffix.lower() == ".txt":
        text = printable(read.text)
        return Transcript((Cue(None, None, text),) if text else (), notes)
    cues, num_odd = [], 0
    for block in APART.split(read.text.removeprefix("\ufeff")):
        if (cue := _cue(block)) is not None:
            cues += [cue] if cue.text else []
        elif block.strip() and not block.lstrip().startswith(("WEBVTT", "NOTE", "STYLE", "REGION")):
            num_odd += 1
    if num_odd:
        notes = (*notes, f"{num_odd} of its blocks have no times and were skipped")
    return Transcript(tuple(cues), notes)


def _cue(block: str) -> Cue | None:
    lines = block.strip("\n").split("\n")
    at = next((num for num, line in enumerate(lines[:2]) if "-->" in line), None)
    match = None if at is None else TIMES.match(lines[at])
    if at is None or match is None:
        return None
    words = printable(html.unescape(TAGS.sub("", "\n".join(lines[at + 1 :]))))
    return Cue(_seconds(*match.groups()[:4]), _seconds(*match.groups()[4:]), words)


def _seconds(hours: str | None, minutes: str, seconds: str, parts: str) -> float:
    whole = int((hours or "0")[:6]) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{parts}")
