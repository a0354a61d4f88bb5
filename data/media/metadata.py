"""What is said of a file: by itself (EXIF, IPTC, XMP, its container) and by the sidecars that lie beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.embargoes import Embargo, strictest
from mainstem.data.media.embedded import said_by_container, said_by_picture
from mainstem.data.media.opt_outs import OptOut, opt_out
from mainstem.data.media.said import WORDS, Said
from mainstem.data.media.sidecars import said_by_sidecars
from mainstem.data.media.signatures import demuxer, head_of, picture_format
from mainstem.data.media.transcripts import Cue

__all__ = ["Embargo", "Metadata", "OptOut", "read_metadata"]


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What is said of a file; None and empty where nothing is.

    Attributes:
        captured: when it was taken, as it stands there in ISO 8601, with its offset only where the file has one.
        embargo: of all sources that name one the one that holds longest; it holds where no date can be read, too.
        opt_out: all that is said, under the strictest of it.
        transcript: what is said or written in it.
        cues: the same with times, where its source tells them.
        origin: where each field that is not empty was found: "iptc", "xmp", "exif", "png", "container", "sidecar NAME".
        notes: what was found, a sentence each: sources that differ, blocks that cannot be read.
        unknown: by sidecar, what stands in it that was not understood.
        unread: those of the notes that tell of sources of embargoes and opt-outs that cannot be read.
    """

    title: str | None = None
    caption: str | None = None
    creator: str | None = None
    credit: str | None = None
    rights: str | None = None
    keywords: tuple[str, ...] = ()
    captured: str | None = None
    embargo: Embargo | None = None
    opt_out: OptOut | None = None
    transcript: str | None = None
    cues: tuple[Cue, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_metadata(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Metadata:
    """Read what a file and its sidecars say of it; a sidecar is taken before the file, XMP before IPTC before EXIF.

    Raises:
        InputError: if the file is absent or cannot be opened; damaged metadata are said in `notes`.
    """
    head = head_of(path, bounds)
    if picture_format(head):
        own = said_by_picture(path, bounds)
    else:
        own = said_by_container(path, bounds) if demuxer(head) else []
    return merged([*said_by_sidecars(path, bounds), *own])


def merged(said: Sequence[Said]) -> Metadata:
    """What sources say, the most believed first: of texts the first, of embargoes and opt-outs the strictest."""
    found, origin, notes = {}, {}, [note for one in said for note in one.notes]
    for name in WORDS:
        tellers = [one for one in said if one.words.get(name)]
        if tellers:
            found[name], origin[name] = tellers[0].words[name], tellers[0].origin
            notes += _differing(name, tellers)
    unread = tuple(note for one in said if one.is_unread for note in one.notes)
    embargoes = {one: each.origin for each in reversed(said) for one in each.embargoes}
    embargo = strictest(tuple(embargoes))
    opted = opt_out(saying for one in said for saying in one.sayings)
    worded = next((one for one in said if one.keywords), None)
    if embargo is not None:
        origin["embargo"] = embargoes[embargo]
        notes += _about(embargo, len(embargoes)) if embargo.words not in unread else []
    if opted is not None:
        origin["opt_out"] = next(one.origin for one in said if any(state == opted.state for state, _ in one.sayings))
    if worded is not None:
        origin["keywords"] = worded.origin
    keywords = worded.keywords if worded else ()
    cues = next((one.cues for one in said if one.words.get("transcript")), ())
    return Metadata(
        **found, cues=cues, keywords=keywords, embargo=embargo, opt_out=opted, origin=origin,
        notes=tuple(dict.fromkeys(notes)), unread=unread,
        unknown={one.origin: one.unknown for one in said if one.unknown},
    )  # fmt: skip


def _differing(name: str, tellers: Sequence[Said]) -> list[str]:
    first = tellers[0]
    is_same = _is_same_time if name == "captured" else _is_same
    others = [one.origin for one in tellers[1:] if not is_same(one.words[name], first.words[name])]
    return [f"{name}: {first.origin} is shown; it is otherwise in {' and '.join(others)}"] if others else []


def _is_same_time(one: str, other: str) -> bool:
    """True for times of the same minute, which one tells more finely than the other."""
    return one[:16] == other[:16]


def _is_same(one: str, other: str) -> bool:
    """True for texts that differ in blanks alone, or of which one is the other cut off, as IIM's lengths do."""
    one, other = " ".join(one.split()), " ".join(other.split())
    return one == other or (min(len(one), len(other)) >= 32 and (one.startswith(other) or other.startswith(one)))


def _about(embargo: Embargo, num: int) -> list[str]:
    notes = []
    if embargo.until is None:
        notes.append(f"embargo: {plain(embargo.words)!r} names no date that is certain, so it holds until one is given")
    if num > 1:
        notes.append("embargo: several are named; the one that holds longest is shown")
    return notes
