"""What one source (a block of a file, a sidecar) says of a file, before the sources are laid on one another."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from mainstem.data.media.embargoes import Embargo
from mainstem.data.media.opt_outs import Saying

if TYPE_CHECKING:
    from mainstem.data.media.transcripts import Cue

WORDS = ("title", "caption", "creator", "credit", "rights", "captured", "transcript")  # fields that are one text
LONGEST = 100_000  # letters of one field, but of a transcript
DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ]|$)", re.ASCII)
MOST_KEYWORDS, MOST_UNKNOWN = 1000, 50


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one source says.

    Attributes:
        origin: "iptc", "xmp", "exif", "container", "sidecar NAME".
        words: by name of WORDS.
        keywords: without blanks around them, none twice.
        embargoes: every one that it names.
        sayings: of mining and training.
        notes: what was found, a sentence each.
        is_unread: it is there and cannot be read.
        cues: of its transcript, where it tells times.
        unknown: what stands in it that was not understood: fields, values, parts.
    """

    origin: str
    words: Mapping[str, str] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    embargoes: tuple[Embargo, ...] = ()
    sayings: tuple[Saying, ...] = ()
    notes: tuple[str, ...] = ()
    is_unread: bool = False
    cues: "tuple[Cue, ...]" = ()
    unknown: tuple[str, ...] = ()


def unread(origin: str, note: str) -> Said:
    """A source that cannot be read: what it says of embargoes and mining is unknown, and nothing is free by that."""
    return Said(
        origin=origin, embargoes=(Embargo(until=None, words=note),), sayings=(("unclear", note),), notes=(note,),
        is_unread=True,
    )  # fmt: skip


def kept(words: Mapping[str, str | None]) -> dict[str, str]:
    """Those words that say something, trimmed, without what no screen shows, and none without end."""
    found = {name: printable(text) for name, text in words.items() if text}
    return {name: text if name == "transcript" else text[:LONGEST] for name, text in found.items() if text}


def day_of(captured: str) -> str | None:
    """The day of a time in ISO 8601, as filters compare it; None of what is none."""
    found = DAY.match(captured)
    try:
        return None if found is None else date.fromisoformat(found[1]).isoformat()
    except ValueError:
        return None


def printable(text: str) -> str:
    """A text without control characters but breaks and tabs; halves of letters, which nothing can store, are "?"."""
    whole = encodable(text)
    return "".join(letter for letter in whole if (letter >= " " and letter != "\x7f") or letter in "\n\t").strip()


def encodable(text: str) -> str:
    """A text without lone surrogates, which JSON can escape and UTF-8 cannot write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def kept_keywords(words: list[str]) -> tuple[str, ...]:
    """Keywords that say something, each once."""
    found = dict.fromkeys(printable(word)[:LONGEST] for word in words)
    return tuple(word for word in found if word)[:MOST_KEYWORDS]
