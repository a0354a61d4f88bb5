"""What a prediction says of findings: which are there, which are not, and which stay open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FindingSet:
    """What is there, what is not, each at the level by itself, and what can neither be said nor ruled out."""

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
