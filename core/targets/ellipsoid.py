"""Ellipsoids: all poses whose Mahalanobis distance from one is small."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mainstem.core.rotations import Array
from mainstem.core.targets.parts import Region, RegionWords, figure
from mainstem.core.targets.poses import away_from
from mainstem.core.targets.tangent import distance


@dataclass(frozen=True, kw_only=True, eq=False)
class Ellipsoid(Region):
    """All poses within `quantile` of the centre, in Mahalanobis distances.

    Attributes:
        centre: position (axes,) m, and then, where rotations are told, the quaternion w, x, y, z.
        covariance: of position m, and then of rotation vectors rad, in the earth's axes; about z alone in the plane.
        axes: of the position: 2 or 3.
    """

    centre: Array
    covariance: Array
    quantile: float
    axes: int

    def __contains__(self, pose: Array) -> bool:
        away = away_from(np.asarray(pose)[None], self.centre[None], self.axes)
        return bool(distance(away, self.covariance[None])[0] <= self.quantile)

    @property
    def semi_axes_m(self) -> Array:
        """Semi-axes (axes,) of the positions in it, m, the longest first: its shadow on the space of positions."""
        values = np.linalg.eigvalsh(self.covariance[: self.axes, : self.axes])
        longest_first: Array = self.quantile * np.sqrt(np.maximum(values, 0.0))[::-1]
        return longest_first

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        told = {"centre": self.centre.tolist(), "covariance": self.covariance.tolist()}
        return {**told, "distance": self.quantile, "semi_axes_m": self.semi_axes_m.tolist()}

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""
        place = dict(zip(("x_m", "y_m", "z_m"), self.centre[: self.axes].tolist(), strict=False))
        rotation = dict(zip(("w", "x", "y", "z"), self.centre[self.axes :].tolist(), strict=False))
        return {**place, **rotation, "semi_axis_m": float(self.semi_axes_m[0])}

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Say the centre and the semi-axes about it."""
        lengths = " by ".join(map(figure, self.semi_axes_m.tolist()))
        return RegionWords(text=f"{told}; {level:.0%} within {lengths} m of it", is_measure=True)
