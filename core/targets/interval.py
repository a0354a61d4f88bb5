"""Intervals of numbers, and what thresholds in them are called."""

from dataclasses import dataclass
from typing import Any

from mainstem.core.targets.parts import Region, RegionWords, figure


@dataclass(frozen=True, kw_only=True)
class Interval(Region):
    """All values from `low` to `high`, in the prediction's units."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"low": self.low, "high": self.high}

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        return self.to_dict()

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Say the value and both ends."""
        ends = f"{level:.0%} between {figure(self.low)} and {figure(self.high)} {units}"
        return RegionWords(text=f"{told}, {ends}", is_measure=True)


def below_name(mark: float) -> str:
    """What the probability of undercutting a threshold is called: "below 8", with as many digits as tell it apart."""
    return f"below {repr(float(mark)).removesuffix('.0')}"


__all__ = ["Interval", "below_name"]
