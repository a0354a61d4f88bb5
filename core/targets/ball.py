"""Balls: all rotations within an angle of one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mainstem.core.rotations import Array, angle_between
from mainstem.core.targets.parts import Region, RegionWords, figure


@dataclass(frozen=True, kw_only=True, eq=False)
class Ball(Region):
    """All rotations whose angle to `centre` (4,), w, x, y, z, is at most `radius_rad`; of pi, every one."""

    centre: Array
    radius_rad: float

    def __contains__(self, rotation: Array) -> bool:
        return bool(angle_between(np.asarray(rotation), self.centre) <= self.radius_rad)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"centre": self.centre.tolist(), "radius_rad": self.radius_rad}

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        return dict(zip("wxyz", self.centre.tolist(), strict=True)) | {"radius_rad": self.radius_rad}

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Say the centre and how far from it the rotation may be."""
        if self.radius_rad >= np.pi:
            return RegionWords(text=f"{told}; at {level:.0%} any other can be", is_decided=False, is_measure=True)
        away = f"{level:.0%} within {figure(float(np.degrees(self.radius_rad)))} deg of it"
        return RegionWords(text=f"{told}; {away}", is_measure=True)
