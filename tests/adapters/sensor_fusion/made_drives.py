"""Drives whose truth is known: a body on wheels at a speed and a rate of turn, as its sensors would tell it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import GRAVITY

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What is wrong with the sensors, and standard deviations of their noise."""

    wheel_scale: float = 0.0
    gyroscope_bias: float = 0.0
    range_bias: float = 0.0
    gnss_m: float = 0.0
    wheel_m_s: float = 0.0
    gyroscope_rad_s: float = 0.0
    range_m: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Drive:
    """A drive at 20 Hz: speed (n,) m/s and rate of turn (n,) rad/s over each step, from a start."""

    speed: Array
    rate: Array
    start: tuple[float, float, float] = (0.0, 0.0, 0.0)
    step_s: float = 0.05
    beacons: dict[str, Array] = field(default_factory=dict)

    @property
    def times(self) -> Array:
        """Stamps (n + 1,), s."""
        return np.arange(len(self.speed) + 1) * self.step_s

    def truth(self) -> tuple[Array, Array]:
        """Places (n + 1, 2) and headings (n + 1,), exact for rates that are constant over a step."""
        yaw = self.start[2] + np.concatenate([[0.0], np.cumsum(self.rate) * self.step_s])
        middle = (yaw[1:] + yaw[:-1]) / 2
        chord = self.speed * self.step_s * np.sinc(self.rate * self.step_s / 2 / np.pi)
        steps = chord[:, None] * np.stack([np.cos(middle), np.sin(middle)], -1)
        return np.array(self.start[:2]) + np.concatenate([[[0.0, 0.0]], np.cumsum(steps, 0)]), yaw

    def readings(
        self, faults: Faults, kinds: tuple[str, ...], seed: int = 0, every: int = 8, wander: Array | None = None
    ) -> list[Reading]:
        """Readings of sensors in order of time; GNSS and ranges each `every` steps, ranges to beacons in turn."""
        rng = np.random.default_rng(seed)
        places, _ = self.truth()
        found: list[Reading] = []

        def add(
            time: float, kind: str, value: list[float] | Array, covariance: Array | None = None, part: str = ""
        ) -> None:
            found.append(
                Reading(
                    time=time,
                    sensor=kind,
                    kind=kind,  # type: ignore[arg-type]
                    value=np.asarray(value, dtype=np.float64),
                    covariance=covariance,
                    part=part,
                )
            )

        for index in range(len(self.speed)):
            time, speed, rate = float(self.times[index]), self.speed[index], self.rate[index]
            if "gyroscope" in kinds:
                noise = faults.gyroscope_rad_s * rng.normal(size=3)
                add(time, "gyroscope", np.array([0, 0, rate + faults.gyroscope_bias]) + noise)
            if "accelerometer" in kinds:
                add(time, "accelerometer", [0.0, speed * rate, GRAVITY])
            if "wheel" in kinds:
                measured = speed * (1 + faults.wheel_scale) + faults.wheel_m_s * rng.normal()
                add(time, "wheel", [measured, np.nan, rate if "turn" in kinds else np.nan])
            if "gnss" in kinds and index % every == 0:
                error = faults.gnss_m * rng.normal(size=3) + (0.0 if wander is None else wander[index])
                covariance = np.eye(3) * max(faults.gnss_m, 0.01) ** 2
                add(time, "gnss", np.array([*places[index], 0.0]) + error, covariance)
            if "range" in kinds and index % every == 0:
                name = list(self.beacons)[(index // every) % len(self.beacons)]
                true = np.linalg.norm(places[index] - self.beacons[name][:2])
                add(time, "range", [true + faults.range_bias + faults.range_m * rng.normal()], part=name)
        return found
