"""Shots as an edit decision list (CMX 3600), which editing programs of every maker read.

One list has one frame rate: time codes count frames of it, 24 for 23.976, without dropping any. Files have no reels, so
that each event's is AX and the file's name stands in a comment, as editing programs write it.

Source: CMX 3600 as SMPTE 258M-2004 describes such lists; names of clips and files by comments, as Avid and Adobe do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mainstem.core.errors import InputError
from mainstem.core.plain import plain

MOST_EVENTS = 999  # three digits number them
MOST_RATE = 120.0
LONGEST_NAME = 200  # letters of a comment
START_H = 1  # hour at which the made programme begins, as usual


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A part of a file: from its first instant, in seconds, with sound or without."""

    name: str
    path: str
    start_s: float
    end_s: float
    frame_rate: float
    has_sound: bool


def edl_text(title: str, cuts: Sequence[Cut]) -> str:
    """Return the list of cuts one after the other.

    Raises:
        InputError: if there are none or too many, or their frame rates are not known or not one.
    """
    rates = {cut.frame_rate for cut in cuts}
    if not cuts or len(cuts) > MOST_EVENTS:
        raise InputError(f"got {len(cuts)} shots, want 1 to {MOST_EVENTS} for one list")
    if len({round(rate, 2) for rate in rates}) > 1:
        told = ", ".join(f"{rate:.5g}" for rate in sorted(rates))
        raise InputError(f"the shots have several frame rates ({told}); a list has one, choose shots of one")
    rate = cuts[0].frame_rate
    if not 1 <= rate <= MOST_RATE:
        raise InputError(f"got a frame rate of {rate:.5g}, want 1 to {MOST_RATE:.0f}; the file says none that can be")
    lines = [f"TITLE: {_words(title)[:70]}", "FCM: NON-DROP FRAME", "", f"* FRAME RATE: {rate:.5g}"]
    return "\n".join([*lines, *_events(cuts, rate)]) + "\n"


def _events(cuts: Sequence[Cut], rate: float) -> Iterator[str]:
    nominal = max(round(rate), 1)
    at = START_H * 3600 * nominal
    for number, cut in enumerate(cuts, 1):
        first = round(cut.start_s * rate)
        num = max(round(cut.end_s * rate) - first, 1)
        times = " ".join(time_code(frame, nominal) for frame in (first, first + num, at, at + num))
        yield f"{number:03}  AX       {'AA/V' if cut.has_sound else 'V   '}  C        {times}"
        yield f"* FROM CLIP NAME: {_words(cut.name)}"
        yield f"* SOURCE FILE: {_words(cut.path)}"
        at += num


def time_code(frame: int, nominal: int) -> str:
    """Return a frame's time code at so many frames a second, none dropped."""
    seconds, frames = divmod(frame, nominal)
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}"


def _words(text: str) -> str:
    return plain(text)[:LONGEST_NAME]
