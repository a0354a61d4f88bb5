"""The state of the pose filter: one plain value, that a stream may be cut, kept and resumed at any reading.

The error state is additive but for attitude, whose error is a rotation vector in the earth's axes: true = exp(error)
times the estimate (Sola 2017, section 7). Its order is that of the slices below; beacons' own biases come last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.core import rotations

Array = NDArray[np.float64]
POSITION, VELOCITY, TURN = slice(0, 3), slice(3, 6), slice(6, 9)
GYROSCOPE_BIAS, ACCELEROMETER_BIAS = slice(9, 12), slice(12, 15)
WHEEL_SCALE, WHEEL_OFFSET, YAW_SCALE, YAW_OFFSET = 15, 16, 17, 18
WANDER, RANGE_BIAS, RANGE_SCALE, BEACONS = slice(19, 22), 22, 23, 24
NAMED = {
    "wheel scale": WHEEL_SCALE,
    "wheel offset": WHEEL_OFFSET,
    "wheel yaw scale": YAW_SCALE,
    "wheel yaw offset": YAW_OFFSET,
    "range bias": RANGE_BIAS,
    "range scale": RANGE_SCALE,
}
GRAVITY = 9.80665  # m/s2, standard; the accelerometer's bias takes up the rest
UNKNOWN_M = 1e4  # standard deviation of a place that nothing has told yet


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseModel:
    """What does not change while a stream is read.

    Attributes:
        noise: standard deviations where messages state none.
        levers: place (3,) of each sensor in the body, m; the body's own origin where a sensor is not named.
        beacons: places (3,) of beacons in the world, m; z is NaN where it is not known: the range is then horizontal.
        has_wheels: the body goes where its wheels roll: neither sideways nor up.
        declination_rad: of the magnetic north, east positive.
        is_heading_given: an orientation sensor's heading is of the true north, so that it may be used; else its tilt.
        adapts: learn the scale of the noise of GNSS and ranges from innovations.
    """

    noise: Noise = field(default_factory=Noise)
    levers: Mapping[str, Array] = field(default_factory=dict)
    beacons: Mapping[str, Array] = field(default_factory=dict)
    has_wheels: bool = True
    declination_rad: float = 0.0
    is_heading_given: bool = False
    adapts: bool = True

    @property
    def dim(self) -> int:
        """Length of the error state."""
        return BEACONS + len(self.beacons)


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """The last reading of an input, who made it, and how far apart its readings are, s."""

    sensor: str
    time: float
    value: Array
    variance: Array
    period: float


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What became of a sensor's readings; `scale` multiplies its stated variance, `streak` is of refused ones."""

    used: int = 0
    refused: int = 0
    late: int = 0
    streak: int = 0
    scale: float = 1.0
    time: float = float("nan")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pending:
    """What was integrated since the covariance was last moved on: preintegrated, so that it moves once for many.

    Attributes:
        source: (rate, acceleration): names of what they came from.
        span: s.
        turned: integral (3, 3) of earth from body, s.
        speed: integral (3,) of specific force in the earth's axes, m/s.
        rate_variance: integral (3,) of the rate's noise, rad2, body axes.
        speed_variance: the same of acceleration, (m/s)2.
    """

    source: tuple[str, str] = ("", "")
    span: float = 0.0
    turned: Array = field(default_factory=lambda: np.zeros((3, 3)))
    speed: Array = field(default_factory=lambda: np.zeros(3))
    rate_variance: Array = field(default_factory=lambda: np.zeros(3))
    speed_variance: Array = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """Sums over fixes until the heading is known: dead-reckoned places beside them, as complex numbers, m."""

    start: float
    place: complex = 0j
    yaw: float = 0.0
    num_fixes: int = 0
    places: complex = 0j
    fixes: complex = 0j
    products: complex = 0j
    squares: float = 0.0
    last_wheel: float = float("nan")


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseState:
    """Mean and covariance at `time`, and what the next readings need.

    Attributes:
        mean: (dim,) in the order of the slices; the slots of TURN are zero, `attitude` stands for them.
        attitude: earth from body, w, x, y, z.
        covariance: (dim, dim) of the error state, as of `span` before `time` while a pending part is not yet added.
        alignment: None as soon as the heading is known.
        passage: how errors went (dim, dim) since a smoother last asked; None where none asks.
    """

    time: float
    mean: Array
    attitude: Array
    covariance: Array
    pending: Pending = field(default_factory=Pending)
    held: Mapping[str, Held] = field(default_factory=dict)
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    alignment: Alignment | None = None
    passage: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """Where the body is, and the doubt, at each of some times.

    Attributes:
        times: (n,) s.
        position: (n, 3) m, ENU.
        attitude: (n, 4) earth from body, w, x, y, z.
        covariance: (n, 6, 6) of position (m) and of the rotation vector in the earth's axes (rad).
    """

    times: Array
    position: Array
    attitude: Array
    covariance: Array


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its interval at a level."""

    value: float
    low: float
    high: float
    unit: str


def yaw_of(attitude: Array) -> Array:
    """Return the heading (...), rad, counter-clockwise from east, of earth-from-body quaternions (..., 4)."""
    forward = rotations.rotate(attitude, np.broadcast_to([1.0, 0.0, 0.0], (*attitude.shape[:-1], 3)))
    yaw: Array = np.arctan2(forward[..., 1], forward[..., 0])
    return yaw


def from_yaw(yaw: float) -> Array:
    """Return the attitude (4,) of a level body with this heading, rad."""
    return np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])


def beacon_index(model: PoseModel, beacon: str) -> int:
    """Place of a beacon's own bias in the error state."""
    return BEACONS + list(model.beacons).index(beacon)
