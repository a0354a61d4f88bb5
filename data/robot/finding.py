"""What a reader, or `mainstem robot doctor`, found wrong or right with a sensor of a recording: one line each."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "bad"]
FIRST = 5  # times that a finding names


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing said of one sensor.

    Attributes:
        sensor: its name in the recording; "" where it is of the whole file.
        what: one word or two, the same in every recording: "gaps", "saturation".
        state: "ok"; "note": to know before you trust it; "bad": a filter will go wrong on it unless it is told.
        count: how many readings, steps or spans it is of.
        where_s: the first times of it, s from the recording's origin, at most FIRST.
        words: a sentence with values and units, and what to do.
    """

    sensor: str
    what: str
    state: State
    count: int
    where_s: tuple[float, ...] = ()
    words: str

    def line(self) -> str:
        """Return it as one line."""
        return f"{self.sensor or 'the file'}: {self.what}: {self.words}"
