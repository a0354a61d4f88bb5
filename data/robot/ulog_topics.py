"""What each PX4 message means: fields to sensors in SI units, FLU and ENU.

Source: msg/*.msg of PX4-Autopilot: SensorCombined, VehicleMagnetometer, SensorMag, SensorGps (in older logs in 1e-7
deg and mm), VehicleAttitude, VehicleLocalPosition, WheelEncoders.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Channel
from mainstem.data.robot import ned
from mainstem.data.robot.clocks import CALENDAR_S
from mainstem.data.robot.finding import FIRST, Finding
from mainstem.data.robot.recording import CHANNELS, Array, Sensor

Fields = Mapping[str, NDArray[Any]]
GAUSS_UT: Final = 100.0
INVALID: Final = 0x7FFFFFFF  # of SensorCombined: the accelerometer has no sample
FIX_2D, FIX_3D = 2, 3  # of SensorGps
BODY: Final = "base_link"


@dataclass
class Log:
    """What is gathered while topics are read: lines for the user, and what the log says of its sensors."""

    start_us: int
    converted: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    faults: list[Finding] = field(default_factory=list)

    def seconds(self, stamps: NDArray[Any]) -> Array:
        """Return times, s from the log's start, of stamps in us; whole numbers are subtracted first."""
        return 1e-6 * (stamps.astype(np.int64) - np.int64(self.start_us)).astype(np.float64)

    def stamps(self, fields: Fields) -> tuple[Array, Array | None]:
        """Return times of the samples, and when they were published where both are told."""
        published = self.seconds(fields["timestamp"])
        sampled = fields.get("timestamp_sample")
        if sampled is None or not sampled.any():
            return published, None
        return np.where(sampled > 0, self.seconds(sampled), published), published


Topic = Callable[[Log, str, Fields], dict[str, Sensor]]


def _columns(fields: Fields, name: str, count: int) -> Array:
    return np.stack([fields[f"{name}[{index}]"] for index in range(count)], axis=1).astype(np.float64)


def _inertial(log: Log, label: str, fields: Fields) -> dict[str, Sensor]:
    """Gyroscope and accelerometer; the accelerometer's stamp is told relative to the gyroscope's."""
    times = log.seconds(fields["timestamp"])
    ahead = fields["accelerometer_timestamp_relative"].astype(np.int64)
    is_known = ahead != INVALID
    force = ned.flu_of_frd(_columns(fields, "accelerometer_m_s2", 3))
    force[~is_known] = np.nan
    log.converted.append(f"{label}: FRD to FLU")
    for part in ("accelerometer", "gyro"):
        _clipped(log, f"{label}.{'gyroscope' if part == 'gyro' else part}", times, fields.get(f"{part}_clipping"))
    return {
        f"{label}.gyroscope": Sensor(
            kind="gyroscope", times=times, values=ned.flu_of_frd(_columns(fields, "gyro_rad", 3)),
            channels=CHANNELS["gyroscope"], frame=BODY, source=f"{label}.gyro_rad",
        ),
        f"{label}.accelerometer": Sensor(
            kind="accelerometer", times=times + np.where(is_known, ahead, 0) * 1e-6, values=force,
            channels=CHANNELS["accelerometer"], frame=BODY, source=f"{label}.accelerometer_m_s2",
        ),
    }  # fmt: skip


def _clipped(log: Log, sensor: str, times: Array, flags: NDArray[Any] | None) -> None:
    if flags is None or not flags.any():
        return
    where = np.flatnonzero(flags)
    words = f"the log marks {len(where)} readings as clipped: the sensor's range was exceeded; mount it softer"
    log.faults.append(
        Finding(sensor=sensor, what="saturation", state="bad", count=len(where),
                where_s=tuple(times[where[:FIRST]].tolist()), words=words)
    )  # fmt: skip


def _field(log: Log, label: str, values: Array, fields: Fields, frame: str) -> dict[str, Sensor]:
    times, received = log.stamps(fields)
    log.converted.append(f"{label}: gauss to uT, FRD to FLU")
    sensor = Sensor(
        kind="magnetometer", times=times, values=ned.flu_of_frd(values) * GAUSS_UT, channels=CHANNELS["magnetometer"],
        frame=frame, received=received, source=label,
    )  # fmt: skip
    return {label: sensor}


def _magnetometer(log: Log, label: str, fields: Fields) -> dict[str, Sensor]:
    return _field(log, label, _columns(fields, "magnetometer_ga", 3), fields, BODY)


def _raw_magnetometer(log: Log, label: str, fields: Fields) -> dict[str, Sensor]:
    """A magnetometer's own readings, before calibration, in the board's axes."""
    values = np.stack([fields[axis] for axis in "xyz"], axis=1).astype(np.float64)
    return _field(log, label, values, fields, "board")


def _gnss(log: Log, label: str, fields: Fields) -> dict[str, Sensor]:
    """Latitude, longitude and height above the ellipsoid; NaN where the receiver had no fix."""
    if "latitude_deg" in fields:
        names, scales = ("latitude_deg", "longitude_deg", "altitude_ellipsoid_m"), (1.0, 1.0, 1.0)
    else:
        names, scales = ("lat", "lon", "alt_ellipsoid"), (1e-7, 1e-7, 1e-3)
        log.converted.append(f"{label}: 1e-7 deg to deg, mm to m")
    places = np.stack([fields[name] * scale for name, scale in zip(names, scales, strict=True)], axis=1)
    fix = fields["fix_type"]
    places[fix < FIX_2D] = np.nan
    places[fix < FIX_3D, 2] = np.nan
    if (fix < FIX_3D).any():
        log.converted.append(f"{label}: {int((fix < FIX_2D).sum())} readings without a fix are NaN")
    times, received = log.stamps(fields)
    sensor = Sensor(
        kind="gnss", times=times, values=places, channels=CHANNELS["gnss"], frame="", received=received, source=label,
        covariance=_accuracy(fields),
    )  # fmt: skip
    return {label: sensor}


def _accuracy(fields: Fields) -> Array:
    """Covariance (readings, 3, 3) in m2, east, north, up: eph and epv as one standard deviation, as EKF2 takes them."""
    across, up = fields["eph"].astype(np.float64), fields["epv"].astype(np.float64)
    variances = np.stack([across, across, up], axis=1) ** 2
    variances[variances == 0] = np.nan
    covariance: Array = variances[:, :, None] * np.eye(3)
    return covariance


def _attitude(log: Log, label: str, fields: Fields) -> dict[str, Sensor]:
    """The autopilot's own estimate, no measurement."""
    times, received = log.stamps(fields)
    log.converted.append(f"{label}: NED from FRD to ENU from FLU (the autopilot's own estimate)")
    sensor = Sensor(
        kind="orientation", times=times, values=ned.enu_flu_of_ned_frd(_columns(fields, "q", 4)),
        channels=CHANNELS["orientation"], frame=BODY, received=received, source=label,
    )  # fmt: skip
    return {label: sensor}


def _position(log: Log, label: str, fields: Fields) -> dict[str, Sensor]:
    """The autopilot's own estimate; NaN where it calls it invalid."""
    times, received = log.stamps(fields)
    places = np.stack([fields[axis] for axis in "xyz"], axis=1).astype(np.float64)
    places[fields["xy_valid"] == 0, :2] = np.nan
    places[fields["z_valid"] == 0, 2] = np.nan
    log.converted.append(f"{label}: NED to ENU (the autopilot's own estimate; NaN where it says invalid)")
    sensor = Sensor(
        kind="position", times=times, values=ned.enu_of_ned(places), channels=CHANNELS["position"], frame="local",
        received=received, source=label,
    )  # fmt: skip
    return {label: sensor}


def _wheels(log: Log, label: str, fields: Fields) -> dict[str, Sensor]:
    """Turning rates of the left and right wheel: without the radius, which no message tells, they are no speed."""
    channels = (Channel(name="left", unit="rad/s"), Channel(name="right", unit="rad/s"))
    times, received = log.stamps(fields)
    sensor = Sensor(
        kind="other", times=times, values=_columns(fields, "wheel_speed", 2), channels=channels, frame=BODY,
        received=received, source=label,
    )  # fmt: skip
    return {label: sensor}


TOPICS: Final[Mapping[str, Topic]] = {
    "sensor_combined": _inertial,
    "vehicle_magnetometer": _magnetometer,
    "sensor_mag": _raw_magnetometer,
    "vehicle_gps_position": _gnss,
    "sensor_gps": _gnss,
    "vehicle_attitude": _attitude,
    "vehicle_local_position": _position,
    "wheel_encoders": _wheels,
}


def calendar(data: Sequence[Any], start_us: int) -> str:
    """Return the instant that times count from, by the receiver's clock; "" where no fix told one."""
    for each in data:
        if each.name not in ("vehicle_gps_position", "sensor_gps") or "time_utc_usec" not in each.data:
            continue
        utc = each.data["time_utc_usec"].astype(np.float64) / 1e6
        known = (
            (each.data.get("fix_type", np.zeros(len(utc))) >= FIX_3D) & (utc > CALENDAR_S[0]) & (utc < CALENDAR_S[1])
        )
        if known.any():
            first = int(np.flatnonzero(known)[0])
            since = timedelta(microseconds=int(each.data["timestamp"][first]) - start_us)
            told = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(each.data["time_utc_usec"][first]))
            with_zone = (told - since).isoformat(timespec="milliseconds")
            return with_zone.replace("+00:00", "Z")
    return ""
