"""What a prediction says of findings: which are there, which are not, and which stay open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.core.targets.parts import Region, RegionWords


@dataclass(frozen=True, kw_only=True)
class FindingSet(Region):
    """What is there, what is not, each at the level by itself, and what can neither be said nor ruled out.

    Of cases without a finding at most 1 - level have it told as present, and of those with it as absent: where few have
    it, most that are told present may have none.
    """

    present: tuple[str, ...]
    absent: tuple[str, ...]
    open: tuple[str, ...]

    def __contains__(self, found: Sequence[str]) -> bool:
        return set(self.present) <= set(found) and not set(self.absent) & set(found)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: list(found) for name, found in vars(self).items()}

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        return {name: "; ".join(found) for name, found in vars(self).items()}

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Name what is suspected and what stays open; what is ruled out where there is neither."""
        # not "present": absence is ruled out, and of a rare finding most of those told so have none all the same
        parts = [f"suspected, absence ruled out at {level:.0%}: {', '.join(self.present)}"] if self.present else []
        parts += [f"cannot be ruled out: {', '.join(self.open)}"] if self.open else []
        # by itself: that one of several is there after all happens more often than that a given one is
        none = f"nothing found; ruled out at {level:.0%}, each by itself: {', '.join(self.absent)}"
        return RegionWords(text="; ".join(parts) or none, there=self.present, is_decided=not self.open)
