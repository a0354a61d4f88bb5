"""When the words of a query are said in a sound or a video, by the times of its transcript."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from mainstem.apps.media.database import intact
from mainstem.data.media.transcripts import Cue
from mainstem.data.media.words import Term, places_of, words_of

SCHEMA = """
CREATE TABLE IF NOT EXISTS cues (
    file INTEGER PRIMARY KEY REFERENCES files(id) ON DELETE CASCADE, said TEXT NOT NULL);
"""
MOST_MOMENTS = 5  # that are told of a file
LONGEST = 300  # letters of what is told of one


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When words of a query are said, in seconds from the beginning, the sentence around them, and which words."""

    time_s: float
    end_s: float
    text: str
    terms: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"time_s": self.time_s, "end_s": self.end_s, "text": self.text, "words": list(self.terms)}


def clock(seconds: float) -> str:
    """Return a time as 1:02:03, 2:03 or 2:03.4 where it is no whole second."""
    whole, part = divmod(round(seconds * 10), 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    told = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{told}.{part}" if part else told


def put_cues(db: sqlite3.Connection, file: int, cues: Sequence[Cue]) -> None:
    """Keep the cues of a file, inside a transaction."""
    db.execute("DELETE FROM cues WHERE file = ?", (file,))
    if cues:
        db.execute("INSERT INTO cues VALUES (?, ?)", (file, json.dumps([astuple(cue) for cue in cues])))


def cues_of(db: sqlite3.Connection, file: int, place: Path) -> list[Cue]:
    """Return the cues of a file in the index at a place.

    Raises:
        ArtifactError: if they are of another form.
    """
    row = db.execute("SELECT said FROM cues WHERE file = ?", (file,)).fetchone()
    with intact(place):
        return [] if row is None else [Cue(float(one[0]), float(one[1]), str(one[2])) for one in json.loads(row[0])]


def moments(terms: Sequence[Term], cues: Sequence[Cue]) -> list[Moment]:
    """Return when terms are said, those cues first in which most of them begin, and of these the earliest."""
    said = [(word, number) for number, cue in enumerate(cues) for word in words_of(cue.text)]
    words = [word for word, _ in said]
    begun: dict[int, list[Term]] = {}
    for term in terms:
        for number in dict.fromkeys(said[place][1] for place in places_of(term, words)):
            begun.setdefault(number, []).append(term)
    ranked = sorted(begun, key=lambda number: (-len(begun[number]), cues[number].start_s or 0.0))
    return [_moment(cues[number], begun[number]) for number in ranked[:MOST_MOMENTS]]


def _moment(cue: Cue, terms: Sequence[Term]) -> Moment:
    start_s = cue.start_s or 0.0
    text = " ".join(cue.text.split())[:LONGEST]
    return Moment(
        time_s=start_s, end_s=max(start_s, cue.end_s or 0.0), text=text, terms=tuple(term.text() for term in terms)
    )
