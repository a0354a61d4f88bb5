"""The texts of a file by field, that words are searched in: what is said of it, in it, and its name."""

from itertools import accumulate
from pathlib import PurePosixPath

from mainstem.data.media.metadata import Metadata
from mainstem.data.media.transcripts import Cue

FIELDS = ("title", "caption", "keywords", "creator", "credit", "rights", "transcript", "text", "name")
MOST_LETTERS = 200_000  # of a transcript or a text


def searched_cues(told: Metadata) -> tuple[Cue, ...]:
    """Return the cues of as much of a transcript as words are searched in."""
    ends = accumulate(len(cue.text) + 1 for cue in told.cues)
    return tuple(cue for cue, end in zip(told.cues, ends, strict=True) if end <= MOST_LETTERS)


def searched_texts(path: str, told: Metadata, text: str = "") -> dict[str, str]:
    """Return texts by field of a file at a path of the archive; fields of which nothing is said are absent."""
    found = {name: getattr(told, name) for name in ("title", "caption", "creator", "credit", "rights", "transcript")}
    found |= {"keywords": "\n".join(told.keywords), "text": text}
    found["name"] = " ".join(PurePosixPath(path).with_suffix("").parts)
    return {name: value[:MOST_LETTERS] for name, value in found.items() if value}
