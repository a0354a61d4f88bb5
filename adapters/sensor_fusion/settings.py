"""How noisy sensors and motions are taken to be: the numbers of the attitude filter, which `tuning` learns from trials.

Densities are of white noise: a density d leaves a standard deviation of d * sqrt(t) after t seconds of integration.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mainstem.core.errors import ArtifactError

STORED = Path(__file__).parent / "settings.json"
ALL = "all"  # learned from every trial, none left out


class Settings(NamedTuple):
    """Noise levels of sensors and of motion; a named tuple, because compiled functions take it as it is.

    Attributes:
        gyr: density of the gyroscope, rad/s/sqrt(Hz).
        gyr_scale: error of its scale and axes, a share of the rate.
        gyr_bias, gyr_bias_walk: prior of its bias, rad/s, and density of the walk, rad/s/sqrt(s).
        acc, acc_scale: density of the accelerometer, m/s2/sqrt(Hz); and more of it a m/s2 of linear acceleration.
        acc_bias, acc_bias_walk: prior of its bias, m/s2, and density of the walk.
        mag, mag_rate: noise of the mean field of a block, uT; and more of it a rad/s of turning.
        mag_odd: noise more, in uT, a uT by which the field's strength is not the expected one.
        mag_clip: standard deviations from which on an innovation of the field is weighed down (Huber).
        field, field_walk: prior of the earth field's parts, uT, and density of the walk, uT/sqrt(s).
        disturbance, disturbance_s: of the field around: standard deviation, uT, and for how long one lasts, s.
        iron, iron_walk: prior of the field that the body carries, uT, and density of its walk, uT/sqrt(s).
        doubt_share: how fast the field's noise is taken to grow by surprise, 1/s.
        odd_limit, iron_shock: surprise, for seconds, at which what the body carries is learned anew, and its prior, uT.
        afar: how many of its doubts an attitude found afresh after a silence must be off to be taken.
        lag, lag_doubt: how much later the magnetometer tells than the gyroscope, s: prior mean and doubt.
        speed, speed_share, speed_s: how fast the sensor moves: m/s at rest, more of it a m/s2 of acceleration, and how
            long a speed lasts, s.
        place, place_share, place_s: how far it moves from where it hangs about, m, alike.
        turn, turn_share, turn_s: the rate in a gyroscope's silence: rad/s, more of it as a share of the rate before,
            and how long a rate lasts, s.
        gyr_late: how much later the gyroscope tells than the orientation that is asked for, s.
    """

    gyr: float = 0.003
    gyr_scale: float = 0.005
    gyr_bias: float = 0.01
    gyr_bias_walk: float = 0.0001
    acc: float = 0.1
    acc_scale: float = 0.02
    acc_bias: float = 0.05
    acc_bias_walk: float = 1e-4
    mag: float = 2.0
    mag_rate: float = 0.1
    mag_odd: float = 1.0
    mag_clip: float = 3.0
    field: float = 4.0
    field_walk: float = 0.01
    disturbance: float = 2.0
    disturbance_s: float = 1.0
    iron: float = 2.0
    iron_walk: float = 0.003
    doubt_share: float = 0.3
    odd_limit: float = 2.0
    iron_shock: float = 15.0
    afar: float = 1.5
    lag: float = 0.012
    lag_doubt: float = 0.004
    speed: float = 0.1
    speed_share: float = 0.05
    speed_s: float = 0.5
    place: float = 0.1
    place_share: float = 0.1
    place_s: float = 0.5
    turn: float = 0.3
    turn_share: float = 1.0
    turn_s: float = 0.2
    gyr_late: float = 0.0035

    def to_json(self) -> dict[str, float]:
        """Return the numbers by name, to four digits."""
        return {name: float(f"{value:.4g}") for name, value in self._asdict().items()}

    @classmethod
    def from_json(cls, found: object) -> "Settings":
        """Read what `to_json` gave.

        Raises:
            ArtifactError: if a number lacks, is odd, or none of these.
        """
        if not isinstance(found, dict) or set(found) != set(cls._fields):
            raise ArtifactError("settings of the attitude filter have other names than these; learn them again")
        if not all(isinstance(value, int | float) and 0 <= value < math.inf for value in found.values()):
            raise ArtifactError("settings of the attitude filter hold a value that is none; learn them again")
        return cls(**found)


@cache
def stored_settings(without: str = ALL) -> Settings:
    """Return the settings that come with the package: learned from all trials, or from all but those of a type.

    Raises:
        ArtifactError: if there are none.
    """
    stored = json.loads(STORED.read_text())
    if without not in stored:
        raise ArtifactError(f"no settings were learned without {without!r:.60}; there are {', '.join(stored)}")
    return Settings.from_json(stored[without])
