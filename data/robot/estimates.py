"""An estimate of a robot's motion: attitude and pose over time, with their doubt and the state of each sensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Array

State = Literal["ok", "absent", "stuck", "biased", "noisy", "skewed", "saturated", "unknown"]
UNVERIFIED = (
    "covariance not verified on this sensor"  # until `mainstem robot selfcheck` has scored it on the user's log
)
NO_PROTECTION = "not for protective functions (ISO 13849, ISO 10218)"
UNIT = 1e-3  # how far from 1 a quaternion may be long


@dataclass(frozen=True, kw_only=True)
class HealthChange:
    """From when on a sensor is in a state, and why."""

    sensor: str
    time_s: float
    state: State
    reason: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """What a filter or smoother says of a body's motion.

    Attributes:
        times: (readings,), s from the origin, going forward.
        quat: rotation of the world from the body (readings, 4), w x y z, unit.
        quat_covariance: of the rotation vector, rad2, in the world's axes (readings, 3, 3).
        origin: the instant that times count from, ISO 8601 UTC; "" where there is no calendar.
        position: of the body in the world (readings, 3), m; None of an attitude alone.
        position_covariance: m2, in the world's axes (readings, 3, 3); None with `position`.
        velocity: of the body in the world's axes (readings, 3), m/s; None where it is not estimated.
        velocity_covariance: m2/s2, in the world's axes (readings, 3, 3); None where it is not estimated.
        rate: of the body's turning, in its own axes (readings, 3), rad/s; NaN where nothing measures it; None of none.
        rate_covariance: (rad/s)2 (readings, 3, 3); None with `rate`.
        world, body: names of the frames.
        health: changes of the sensors' states, in order of time.
        note: what is to be known of the covariances and of the recording, written into every file.
    """

    times: Array
    quat: Array
    quat_covariance: Array
    origin: str = ""
    position: Array | None = None
    position_covariance: Array | None = None
    velocity: Array | None = None
    velocity_covariance: Array | None = None
    rate: Array | None = None
    rate_covariance: Array | None = None
    world: str = "odom"
    body: str = "base_link"
    health: Sequence[HealthChange] = ()
    note: str = UNVERIFIED

    def __post_init__(self) -> None:
        """Check shapes.

        Raises:
            InputError: if they contradict one another, or times do not go forward.
        """
        count = len(self.times)
        wanted = {
            "quat": (self.quat, (count, 4)),
            "quat_covariance": (self.quat_covariance, (count, 3, 3)),
            "position": (self.position, (count, 3)),
            "position_covariance": (self.position_covariance, (count, 3, 3)),
            "velocity": (self.velocity, (count, 3)),
            "velocity_covariance": (self.velocity_covariance, (count, 3, 3)),
            "rate": (self.rate, (count, 3)),
            "rate_covariance": (self.rate_covariance, (count, 3, 3)),
        }
        for name, (values, shape) in wanted.items():
            if values is not None and values.shape != shape:
                raise InputError(f"got {name} of {values.shape}, want {shape} for {count} times")
        if (self.position is None) != (self.position_covariance is None):
            raise InputError("got a position without its covariance, or the other way round; give both or none")
        if not np.isfinite(self.times).all() or (np.diff(self.times) < 0).any():
            raise InputError("times of an estimate are finite and go forward; sort them first")
        lengths = np.linalg.norm(self.quat, axis=-1)
        if not np.allclose(lengths[np.isfinite(lengths)], 1, atol=UNIT):
            raise InputError("rotations of an estimate are quaternions of length 1 (w, x, y, z); normalise them")
