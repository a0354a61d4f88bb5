"""What each message type says of sensors: values in SI units, ENU and FLU, covariances as they are meant.

Sources: the comments in the .msg files of sensor_msgs, nav_msgs and geometry_msgs; REP-103, REP-105, REP-117, REP-145.
A covariance of zeros is unknown (NaN); one that begins with -1 says that the message has no such value at all.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mainstem.data.robot.recording import Array, Kind
from mainstem.data.robot.ros_frames import SHORTEST, frame_name

TESLA = 1e6  # microtesla
OWN_ESTIMATE = "the device's own estimate, no measurement"
NO_FIX = -1  # sensor_msgs/NavSatStatus.STATUS_NO_FIX
UNKNOWN_COVARIANCE = 0  # sensor_msgs/NavSatFix.COVARIANCE_TYPE_UNKNOWN
ENDLESS = 1e15  # whatever the unit: drivers write 1e6 to 1e12 for what is not to be trusted
PLANAR = np.ix_([0, 1, 5], [0, 1, 5])  # x, y and yaw of a twist's 6 x 6


@dataclass(frozen=True)
class Part:
    """One sensor's share of a message: its frame, values, and their covariance as told, None where the type has none.

    `is_absent` where the message says that it has no such value.
    """

    frame: str
    values: tuple[float, ...]
    covariance: Array | None = None
    is_absent: bool = False


Parts = Mapping[Kind, Part]


def read_imu(message: Any) -> Parts:  # noqa: ANN401 - a message
    """sensor_msgs/Imu: rad/s, m/s2, and the orientation that the device computed."""
    turn, rate, force = message.orientation, message.angular_velocity, message.linear_acceleration
    frame = frame_name(message.header.frame_id)
    return {
        "gyroscope": _stated(frame, _xyz(rate), message.angular_velocity_covariance),
        "accelerometer": _stated(frame, _xyz(force), message.linear_acceleration_covariance),
        "orientation": _stated(frame, _wxyz(turn), message.orientation_covariance),
    }


def read_magnetic_field(message: Any) -> Parts:  # noqa: ANN401 - a message
    """sensor_msgs/MagneticField: from tesla."""
    values = tuple(value * TESLA for value in _xyz(message.magnetic_field))
    part = _stated(frame_name(message.header.frame_id), values, message.magnetic_field_covariance, TESLA**2)
    return {"magnetometer": part}


def read_odometry(message: Any) -> Parts:  # noqa: ANN401 - a message
    """nav_msgs/Odometry: the twist of the body, and the pose that the device adds up from it."""
    body, world = frame_name(message.child_frame_id), frame_name(message.header.frame_id)
    covariance = _square(message.pose.covariance, 6)
    place = message.pose.pose.position
    return {
        **_twist(body, message.twist.twist, message.twist.covariance),
        "position": Part(world, _xyz(place), covariance[:3, :3]),
        "orientation": Part(world, _wxyz(message.pose.pose.orientation), covariance[3:, 3:]),
    }


def read_twist(message: Any) -> Parts:  # noqa: ANN401 - a message
    """geometry_msgs/TwistStamped."""
    return _twist(frame_name(message.header.frame_id), message.twist, None)


def read_twist_with_covariance(message: Any) -> Parts:  # noqa: ANN401 - a message
    """geometry_msgs/TwistWithCovarianceStamped."""
    return _twist(frame_name(message.header.frame_id), message.twist.twist, message.twist.covariance)


def read_fix(message: Any) -> Parts:  # noqa: ANN401 - a message
    """sensor_msgs/NavSatFix: NaN without a fix; the covariance is told in m2 of east, north and up."""
    has_fix = message.status.status > NO_FIX
    values = (message.latitude, message.longitude, message.altitude) if has_fix else (math.nan,) * 3
    covariance = _square(message.position_covariance, 3)
    if message.position_covariance_type == UNKNOWN_COVARIANCE or not has_fix:
        covariance = np.zeros((3, 3))
    return {"gnss": Part(frame_name(message.header.frame_id), values, covariance)}


def read_range(message: Any) -> Parts:  # noqa: ANN401 - a message
    """sensor_msgs/Range: NaN beyond the limits that it states, as its definition asks."""
    lowest, highest = sorted((message.min_range, message.max_range))
    is_valid = lowest <= message.range <= highest
    return {"range": Part(frame_name(message.header.frame_id), (message.range if is_valid else math.nan,))}


READERS: Mapping[str, Callable[[Any], Parts]] = {
    "sensor_msgs/msg/Imu": read_imu,
    "sensor_msgs/msg/MagneticField": read_magnetic_field,
    "nav_msgs/msg/Odometry": read_odometry,
    "geometry_msgs/msg/TwistStamped": read_twist,
    "geometry_msgs/msg/TwistWithCovarianceStamped": read_twist_with_covariance,
    "sensor_msgs/msg/NavSatFix": read_fix,
    "sensor_msgs/msg/Range": read_range,
}
CONVERSIONS: Mapping[str, str] = {
    "sensor_msgs/msg/MagneticField": "tesla to microtesla",
    "sensor_msgs/msg/NavSatFix": "no fix to no value; covariance in m2 of east, north, up",
    "sensor_msgs/msg/Range": "readings outside of min_range to max_range to no value",
}


def _twist(frame: str, twist: Any, covariance: Any) -> Parts:  # noqa: ANN401 - parts of a message
    values = (twist.linear.x, twist.linear.y, twist.angular.z)
    told = None if covariance is None else _square(covariance, 6)[PLANAR]
    return {"wheel": Part(frame, values, told)}


def _stated(frame: str, values: tuple[float, ...], covariance: Any, factor: float = 1.0) -> Part:  # noqa: ANN401
    """A part whose covariance may say that it is absent."""
    matrix = _square(covariance, 3)
    if matrix[0, 0] == -1:
        return Part(frame, (math.nan,) * len(values), np.zeros((3, 3)), is_absent=True)
    return Part(frame, values, _scaled(matrix, factor))


def _scaled(covariance: Array, factor: float) -> Array:
    """A covariance in another unit; what becomes endless by it is none, and `known` says so."""
    if factor == 1:
        return covariance
    with np.errstate(over="ignore"):
        return covariance * factor


def known(covariances: Array) -> Array:
    """Return covariances (..., size, size), NaN where they are told to be unknown (zeros), or are none.

    None has negative or ENDLESS variances.
    """
    variances = np.diagonal(covariances, axis1=-2, axis2=-1)
    is_stated = covariances.any((-2, -1), keepdims=True) & (np.abs(covariances) < ENDLESS).all((-2, -1), keepdims=True)
    is_stated &= variances.min(-1, keepdims=True)[..., None] >= 0
    return np.where(is_stated, covariances, np.nan)


def _square(numbers: Any, size: int) -> Array:  # noqa: ANN401 - an array of a message
    return np.asarray(numbers, dtype=np.float64).reshape(size, size)


def _xyz(vector: Any) -> tuple[float, float, float]:  # noqa: ANN401 - a part of a message
    return vector.x, vector.y, vector.z


def _wxyz(turn: Any) -> tuple[float, ...]:  # noqa: ANN401 - a part of a message
    """A rotation; NaN where the four numbers are none, as the zeros of a message that was not filled in."""
    numbers = (turn.w, turn.x, turn.y, turn.z)
    length = math.hypot(*numbers)
    return numbers if SHORTEST < length < 1 / SHORTEST else (math.nan,) * 4
