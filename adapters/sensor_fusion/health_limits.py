"""How odd a sensor may look before it is named: limits that `health_learning` sets from healthy data alone."""

import json
import math
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.settings import ALL
from mainstem.core.errors import ArtifactError

Array = NDArray[np.float64]
STORED = Path(__file__).parent / "health_limits.json"
Three = tuple[float, float, float]  # of gyroscope, accelerometer and magnetometer
NEVER: Three = (math.inf, math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class HealthLimits:
    """Limits of each sensor.

    Attributes:
        stuck_s: for how long the same three values may repeat, s.
        saturated_s: for how long one axis may repeat while others move, s.
        noisy: how many times rougher than usual at that vigour readings may be.
        biased, skewed: how much better a bias, or a delay, may explain what three sensors say than none does
            (`health_parity`: a generalised likelihood ratio).
        rough_rest, rough_share: roughness that is usual at rest, in the sensor's unit, and more of it by vigour.
    """

    stuck_s: Three = NEVER
    saturated_s: Three = NEVER
    noisy: Three = NEVER
    biased: Three = NEVER
    skewed: Three = NEVER
    rough_rest: Three = (1.0, 1.0, 1.0)
    rough_share: Three = (0.0, 0.0, 0.0)

    def table(self) -> Array:
        """Return the limits (7, 3), in the order of the fields, for compiled functions."""
        return np.array([getattr(self, field.name) for field in fields(self)], np.float64)

    def to_json(self) -> dict[str, list[float]]:
        """Return the limits by name, to four digits."""
        return {name: [float(f"{value:.4g}") for value in values] for name, values in asdict(self).items()}

    @classmethod
    def from_json(cls, found: object) -> "HealthLimits":
        """Read what `to_json` gave.

        Raises:
            ArtifactError: if a limit lacks, is odd, or none of these.
        """
        if not isinstance(found, dict) or set(found) != {field.name for field in fields(cls)}:
            raise ArtifactError("limits of health have other names than these; learn them again")
        for values in found.values():
            if not isinstance(values, list) or len(values) != 3:
                raise ArtifactError("limits of health are not three each; learn them again")
            if not all(isinstance(value, int | float) and value >= 0 for value in values):
                raise ArtifactError("limits of health hold a value that is none; learn them again")
        return cls(**{name: tuple(values) for name, values in found.items()})


@cache
def stored_limits(without: str = ALL) -> HealthLimits:
    """Return the limits that come with the package: learned from all trials, or from all but those of a type.

    Raises:
        ArtifactError: if there are none.
    """
    stored = json.loads(STORED.read_text())
    if without not in stored:
        raise ArtifactError(f"no limits were learned without {without!r:.60}; there are {', '.join(stored)}")
    return HealthLimits.from_json(stored[without])
