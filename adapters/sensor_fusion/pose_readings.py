"""Readings for the pose filter out of a recording: turned into the body's axes, placed in the local ENU, in order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.pose_state import PoseModel
from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.data.robot.geodesy import Origin
from mainstem.data.robot.recording import Array, Kind, Recording, Sensor
from mainstem.data.robot.units import tells

USED: tuple[Kind, ...] = (
    "gyroscope",
    "accelerometer",
    "wheel",
    "gnss",
    "position",
    "range",
    "orientation",
    "magnetometer",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """One reading: in the body's axes, or in local ENU; a range to one beacon, which `part` names.

    `covariance` is what the message states, None where it states none.
    """

    time: float
    sensor: str
    kind: Kind
    value: Array
    covariance: Array | None = None
    part: str = ""


def origin_of(recording: Recording) -> Origin | None:
    """Return the first fix of the recording as the origin of its local ENU, None where it has no GNSS.

    Its height is the first that is told, 0 m above the ellipsoid where none is.
    """
    for sensor in recording.find("gnss").values():
        known = sensor.values[tells("gnss", sensor.values)]
        if len(known):
            heights = known[np.isfinite(known[:, 2]), 2]
            latitude, longitude = known[0, :2].tolist()
            return Origin(latitude, longitude, float(heights[0]) if len(heights) else 0.0)
    return None


def model_of(recording: Recording, noise: Noise | None = None) -> PoseModel:
    """Return the model of a recording's sensors: levers of its extrinsics, beacons, wheels where it has any."""
    levers = {
        name: recording.extrinsics[sensor.frame][:3, 3]
        for name, sensor in recording.sensors.items()
        if sensor.frame in recording.extrinsics and sensor.kind in ("gnss", "range")
    }
    beacons = {beacon: place for sensor in recording.find("range").values() for beacon, place in sensor.beacons.items()}
    return PoseModel(noise=noise or Noise(), levers=levers, beacons=beacons, has_wheels=bool(recording.find("wheel")))


def readings_of(
    recording: Recording, origin: Origin | None = None, hidden: frozenset[str] = frozenset()
) -> list[Reading]:
    """Return all usable readings by time, those of the sensors `hidden` left out.

    Stamps that are not finite or do not go forward are left out here; `mainstem robot doctor` names them.

    Raises:
        InputError: if no sensor can tell anything of a pose.
    """
    origin = origin or origin_of(recording)
    found: list[Reading] = []
    for name, sensor in recording.sensors.items():
        if sensor.kind in USED and name not in hidden:
            found.extend(_readings(name, sensor, recording.extrinsics, origin))
    if not found:
        raise InputError(f"{recording.name} has no reading that tells of a pose; it needs one of {', '.join(USED)}")
    order = {kind: rank for rank, kind in enumerate(USED)}
    return sorted(found, key=lambda reading: (reading.time, order[reading.kind]))


def _readings(name: str, sensor: Sensor, extrinsics: Mapping[str, Array], origin: Origin | None) -> Iterator[Reading]:
    """Yield the readings of one sensor."""
    kept = sensor.usable()
    times = sensor.times[kept]
    values = _in_frame(sensor, sensor.values[kept], extrinsics, origin)
    covariances = _stated(sensor, kept, extrinsics)
    if sensor.kind == "range":
        yield from _ranges(name, sensor, times, values)
        return
    for index in np.flatnonzero(tells(sensor.kind, values)):
        stated = covariances[index] if covariances is not None else None
        if stated is not None and not (np.isfinite(stated).all() and (np.diag(stated) > 0).all()):
            stated = None  # NaN is absent, zeros are unknown (sensor_msgs/Imu)
        yield Reading(time=float(times[index]), sensor=name, kind=sensor.kind, value=values[index], covariance=stated)


def _ranges(name: str, sensor: Sensor, times: Array, values: Array) -> Iterator[Reading]:
    """Yield one reading for each beacon heard."""
    for index, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        yield Reading(
            time=float(times[index]),
            sensor=name,
            kind="range",
            value=values[index, column : column + 1],
            part=sensor.channels[column].name,
        )


def _in_frame(sensor: Sensor, values: Array, extrinsics: Mapping[str, Array], origin: Origin | None) -> Array:
    """Turn vectors into the body's axes and fixes into local ENU."""
    if sensor.kind == "gnss":
        assert origin is not None
        return origin.to_enu(values)
    if sensor.frame not in extrinsics:
        return values
    turn = extrinsics[sensor.frame][:3, :3]
    if sensor.kind in ("gyroscope", "accelerometer", "magnetometer"):
        turned: Array = values @ turn.T
        return turned
    return _body_attitude(values, turn) if sensor.kind == "orientation" else values


def _body_attitude(values: Array, turn: Array) -> Array:
    """Earth from body of earth from sensor."""
    return rotations.multiply(values, rotations.conjugate(rotations.from_matrix(turn)))


def _stated(sensor: Sensor, kept: NDArray[np.bool_], extrinsics: Mapping[str, Array]) -> Array | None:
    """The covariances of messages, in the body's axes."""
    if sensor.covariance is None:
        return None
    stated = sensor.covariance[kept]
    if sensor.kind in ("gyroscope", "accelerometer", "magnetometer") and sensor.frame in extrinsics:
        turn = extrinsics[sensor.frame][:3, :3]
        stated = turn @ stated @ turn.T
    return stated
