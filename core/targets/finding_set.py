"""What a prediction says of findings: which are there, which are not, and which stay open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mainstem.core.targets.parts import Region, RegionWords


@dataclass(frozen=True, kw_only=True)
class FindingSet(Region):
    """What is there, what is not, each at the level by itself, and what can neither be said nor ruled out.

    Of cases without a finding at most 1 - level have it told as present, and of those with it as absent: where few have
    it, most that are told present may have none. So `shown` says by name how many cases of calibration told so show it,
    and of how many.
    """

    present: tuple[str, ...]
    absent: tuple[str, ...]
    open: tuple[str, ...]
    shown: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __contains__(self, found: Sequence[str]) -> bool:
        return set(self.present) <= set(found) and not set(self.absent) & set(found)

    def tells(self, value: object) -> bool:
        """Say if a table may tell a value by itself beside it: the likeliest finding is none unless it is suspected."""
        return value in self.present

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        counts = {name: {"show": shown, "told": told} for name, (shown, told) in self.shown.items()}
        return {**{name: list(found) for name, found in self._ways().items()}, "held_out": counts}

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        counts = [f"{name} {shown} of {told}" for name, (shown, told) in self.shown.items()]
        return {**{name: "; ".join(found) for name, found in self._ways().items()}, "held_out": "; ".join(counts)}

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Name what is suspected, with how often that was so, and what stays open; else what is ruled out.

        There is what at least half of the held-out cases told so show; what fewer do is suspected, and nothing decided.
        """
        parts = [f"suspected: {', '.join(map(self._suspected, self.present))}"] if self.present else []
        parts += [f"cannot be ruled out: {', '.join(self.open)}"] if self.open else []
        # by itself: that one of several is there after all happens more often than that a given one is
        none = f"nothing found; ruled out at {level:.0%}, each by itself: {', '.join(self.absent)}"
        likely = tuple(name for name in self.present if 2 * self._counts(name)[0] >= max(self._counts(name)[1], 1))
        is_decided = not self.open and len(likely) == len(self.present)
        return RegionWords(text="; ".join(parts) or none, there=likely, is_decided=is_decided)

    def _ways(self) -> dict[str, tuple[str, ...]]:
        return {"present": self.present, "absent": self.absent, "open": self.open}

    def _counts(self, name: str) -> tuple[int, int]:
        return self.shown.get(name, (0, 0))

    def _suspected(self, name: str) -> str:
        shown, told = self._counts(name)
        often = f"of held-out cases told so, {shown} of {told} show it" if told else "no held-out case was told so"
        return f"{name} ({often})"
