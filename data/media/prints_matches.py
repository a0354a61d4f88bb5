"""What was found of two files: by what they match, how near, how one was made of the other, and how sure that is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Match:
    """Two files that hold the same picture, video or sound.

    Attributes:
        what: that matches, in words.
        distance: how far apart they are, in `unit`; for features that agree, their number.
        unit: of distance and threshold.
        threshold: that distance is held to.
        transform: how the second differs from the first, in words.
        offset_s: where the second begins in the first, seconds; None of pictures.
        rate: how often files that are no copies match so, in words, and of which files that was counted.
    """

    what: str
    distance: float
    unit: str
    threshold: float
    transform: str
    rate: str
    offset_s: float | None = None
