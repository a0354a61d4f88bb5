"""A recording: what several sensors of one robot measured, each as it came, with its stamps, unit and mounting.

Every reader returns this type, in one convention, converted once at this edge: bodies are FLU (x forward, y left,
z up), the world is ENU (x east, y north, z up), after REP-103. Nothing is sorted, repaired or resampled here: dirty
stamps stay as they were stamped, for `mainstem robot doctor` to name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import NO_LICENCE, Channel, Stream
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.stray import stray_stamps

Array = NDArray[np.float64]
Kind = Literal[
    "gyroscope", "accelerometer", "magnetometer", "wheel", "gnss", "range", "orientation", "position", "other"
]
CHANNELS: Mapping[Kind, tuple[Channel, ...]] = {
    "gyroscope": tuple(Channel(name=axis, unit="rad/s") for axis in "xyz"),
    "accelerometer": tuple(Channel(name=axis, unit="m/s2") for axis in "xyz"),  # specific force: +9.81 up at rest
    "magnetometer": tuple(Channel(name=axis, unit="uT") for axis in "xyz"),
    "wheel": (  # of the body, in FLU; NaN where a vehicle does not say
        Channel(name="speed_x", unit="m/s"),
        Channel(name="speed_y", unit="m/s"),
        Channel(name="yaw_rate", unit="rad/s"),
    ),
    "gnss": (
        Channel(name="latitude", unit="deg"),
        Channel(name="longitude", unit="deg"),
        Channel(name="altitude", unit="m"),  # above the WGS 84 ellipsoid
    ),
    "orientation": tuple(Channel(name=part, unit="1") for part in "wxyz"),  # earth from body, a device's or a reference
    "position": tuple(Channel(name=axis, unit="m") for axis in "xyz"),  # ENU of the frame that the sensor names
}  # of "range", one channel a beacon, in m; of "other", whatever the file names


@dataclass(frozen=True, kw_only=True, eq=False)
class Sensor:
    """What one sensor measured.

    Attributes:
        kind: what is measured; units and channels are those of CHANNELS.
        times: stamps (readings,), s from the recording's origin, as they were stamped: unordered or repeated ones too.
        values: (readings, channels), NaN where a reading lacks a value.
        channels: as CHANNELS names them for the kind.
        frame: the frame that it is mounted in, or that positions are given in; "" where none is named.
        received: when the recorder got each reading (readings,), s from the origin; None where it is not known.
        covariance: of the values (readings, channels, channels); NaN where unknown; None where never stated. Of an
            orientation it is of the rotation vector (readings, 3, 3), rad2 in the earth's axes; of "gnss" of the
            place in m2, east, north, up.
        beacons: places of a range sensor's beacons by channel, (3,) m in `frame`.
        source: topic, column or field that it was read from.
    """

    kind: Kind
    times: Array
    values: Array
    channels: tuple[Channel, ...]
    frame: str = ""
    received: Array | None = None
    covariance: Array | None = None
    beacons: Mapping[str, Array] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        """Check shapes.

        Raises:
            InputError: if they contradict one another, or the kind has other channels.
        """
        if self.values.shape != (len(self.times), len(self.channels)):
            raise InputError(
                f"got {self.values.shape} values of {len(self.times)} stamps and {len(self.channels)} channels of "
                f"{self.source or self.kind}; give one row a stamp"
            )
        if self.kind in CHANNELS and self.channels != CHANNELS[self.kind]:
            raise InputError(f"got other channels than a {self.kind} has in {self.source or 'a recording'}; convert it")

    @property
    def rate_hz(self) -> float:
        """Readings a second, by the median time between stamps that go forward; NaN of fewer than two."""
        steps = np.diff(self.times)
        steps = steps[steps > 0]
        return float(1 / np.median(steps)) if len(steps) else float("nan")

    def usable(self) -> NDArray[np.bool_]:
        """True (readings,) where a filter may take the stamp: finite, no stray, and later than all before it."""
        known = np.isfinite(self.times) & ~stray_stamps(self.times)
        latest = np.maximum.accumulate(np.where(known, self.times, -np.inf))
        before = np.concatenate([[-np.inf], latest[:-1]])
        later: NDArray[np.bool_] = known & (self.times > before)
        return later

    def taken(self, rows: NDArray[np.bool_] | slice) -> "Sensor":
        """Return the sensor with these of its readings alone."""
        return replace(
            self,
            times=self.times[rows],
            values=self.values[rows],
            received=None if self.received is None else self.received[rows],
            covariance=None if self.covariance is None else self.covariance[rows],
        )

    def stream(self) -> Stream:
        """Return the readings as a stream of the core, without those whose stamps do not go forward (`usable`)."""
        kept = self.usable()
        return Stream(kind="series", values=self.values[kept], channels=self.channels, times=self.times[kept])


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Sensors of one robot over one time.

    Attributes:
        name: the file's name, or the data set's and the trial's.
        sensors: by name: a topic, or a word as "imu.gyroscope".
        origin: the instant that times count from, ISO 8601 UTC; "" where the file has no calendar.
        extrinsics: pose (4, 4) of each sensor frame in the body's frame, by the sensor frame's name; where known.
        body: name of the body's frame, as "base_link".
        converted: one line for each conversion of units or frames that was made, for the user to read.
        skipped: what was not read, by topic or column: why.
        faults: what the file says of itself, or its reader found, as dropouts that a log counts; the doctor adds to it.
        simulated: True where a simulator made the values.
    """

    name: str
    sensors: Mapping[str, Sensor]
    origin: str = ""
    extrinsics: Mapping[str, Array] = field(default_factory=dict)
    body: str = "base_link"
    converted: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Finding, ...] = ()
    licence: str = NO_LICENCE
    attribution: str = ""
    simulated: bool = False

    def find(self, kind: Kind) -> dict[str, Sensor]:
        """Return the sensors of a kind by name."""
        return {name: sensor for name, sensor in self.sensors.items() if sensor.kind == kind}

    def span_s(self) -> tuple[float, float]:
        """First and last stamp of all sensors that a filter may take, s.

        Raises:
            InputError: if there is none.
        """
        known = [sensor.times[sensor.usable()] for sensor in self.sensors.values()]
        known = [times for times in known if len(times)]
        if not known:
            raise InputError(f"{self.name} holds no stamped reading; check the file and the topics")
        return min(float(times.min()) for times in known), max(float(times.max()) for times in known)
