"""An estimate as ROS 2 messages, in order of time: odometry, orientation with its covariance, diagnostics.

Sources: REP-103, REP-105; the .msg files of nav_msgs, sensor_msgs and diagnostic_msgs of ROS 2.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mainstem.core.rotations import to_matrix
from mainstem.data.robot.estimates import NO_PROTECTION, Estimate, HealthChange, State
from mainstem.data.robot.recording import Array

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

ODOMETRY, IMU, DIAGNOSTICS = "nav_msgs/msg/Odometry", "sensor_msgs/msg/Imu", "diagnostic_msgs/msg/DiagnosticArray"
OK, WARN, ERROR, STALE = 0, 1, 2, 3  # diagnostic_msgs/DiagnosticStatus
LEVELS: Mapping[State, int] = {
    "ok": OK, "absent": STALE, "stuck": ERROR, "biased": ERROR, "saturated": ERROR, "noisy": WARN, "skewed": WARN,
    "unknown": WARN,
}  # fmt: skip
UNKNOWN = 1e6  # (m/s)2, (rad/s)2: what is not estimated, as odometry on REP-103's axes has it (turtlebot_node)
NOT_ESTIMATED = (-1.0, *(0.0,) * 8)  # how sensor_msgs/Imu says that it has no such value
SECOND_NS = 10**9


class Messages:
    """An estimate as ROS 2 messages."""

    def __init__(self, store: "Typestore", estimate: Estimate) -> None:
        self.store = store
        self.estimate = estimate
        self.stamps = stamps_ns(estimate)
        self.turn = to_matrix(estimate.quat)

    def in_order(self) -> Iterator[tuple[str, int, Any]]:
        """Yield type, stamp (ns) and message, in order of time."""
        changes = [*self._diagnostics()]
        for index, stamp in enumerate(self.stamps.tolist()):
            while changes and changes[0][0] <= stamp:
                when, message = changes.pop(0)
                yield DIAGNOSTICS, when, message
            if self.estimate.position is not None:
                yield ODOMETRY, stamp, self._odometry(index, stamp)
            yield IMU, stamp, self._imu(index, stamp)
        for when, message in changes:
            yield DIAGNOSTICS, when, message

    def _make(self, name: str) -> Callable[..., Any]:
        return self.store.types[name]

    def _header(self, stamp: int, frame: str) -> Any:  # noqa: ANN401 - a message
        time = self._make("builtin_interfaces/msg/Time")(sec=stamp // SECOND_NS, nanosec=stamp % SECOND_NS)
        return self._make("std_msgs/msg/Header")(stamp=time, frame_id=frame)

    def _vector(self, values: Array, name: str = "Vector3") -> Any:  # noqa: ANN401 - a message
        x, y, z = values.tolist()
        return self._make(f"geometry_msgs/msg/{name}")(x=x, y=y, z=z)

    def _rotation(self, index: int) -> Any:  # noqa: ANN401 - a message
        w, x, y, z = self.estimate.quat[index].tolist()
        return self._make("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w)

    def _imu(self, index: int, stamp: int) -> Any:  # noqa: ANN401 - a message
        unknown, none = np.array(NOT_ESTIMATED), np.zeros(3)
        return self._make(IMU)(
            header=self._header(stamp, self.estimate.body),
            orientation=self._rotation(index),
            orientation_covariance=self.estimate.quat_covariance[index].ravel(),
            angular_velocity=self._vector(none),
            angular_velocity_covariance=unknown,
            linear_acceleration=self._vector(none),
            linear_acceleration_covariance=unknown,
        )

    def _odometry(self, index: int, stamp: int) -> Any:  # noqa: ANN401 - a message
        estimate, covariance = self.estimate, np.zeros((6, 6))
        assert estimate.position is not None
        assert estimate.position_covariance is not None
        covariance[:3, :3] = estimate.position_covariance[index]
        covariance[3:, 3:] = estimate.quat_covariance[index]
        pose = self._make("geometry_msgs/msg/Pose")(
            position=self._vector(estimate.position[index], "Point"), orientation=self._rotation(index)
        )
        return self._make(ODOMETRY)(
            header=self._header(stamp, estimate.world),
            child_frame_id=estimate.body,
            pose=self._make("geometry_msgs/msg/PoseWithCovariance")(pose=pose, covariance=covariance.ravel()),
            twist=self._twist(index),
        )

    def _twist(self, index: int) -> Any:  # noqa: ANN401 - a message
        """Velocity and rate in the body's axes, as Odometry has it; 0 with UNKNOWN for what is not estimated."""
        estimate, body_from_world = self.estimate, self.turn[index].T
        values, covariance = np.full(6, np.nan), np.full((6, 6), np.nan)
        if estimate.velocity is not None:
            values[:3] = body_from_world @ estimate.velocity[index]
        if estimate.velocity_covariance is not None:
            covariance[:3, :3] = body_from_world @ estimate.velocity_covariance[index] @ body_from_world.T
        if estimate.rate is not None and estimate.rate_covariance is not None:
            values[3:], covariance[3:, 3:] = estimate.rate[index], estimate.rate_covariance[index]
        unknown = ~np.isfinite(np.diag(covariance))
        covariance[unknown, unknown] = UNKNOWN
        values, covariance = np.nan_to_num(values), np.nan_to_num(covariance)
        twist = self._make("geometry_msgs/msg/Twist")(linear=self._vector(values[:3]), angular=self._vector(values[3:]))
        return self._make("geometry_msgs/msg/TwistWithCovariance")(twist=twist, covariance=covariance.ravel())

    def _diagnostics(self) -> Iterator[tuple[int, Any]]:
        """An array of all sensors' states, at the start and at each change."""
        estimate, states = self.estimate, dict[str, HealthChange]()
        first = float(estimate.times[0])
        for change in estimate.health:  # named from the start, so that no reader takes a sensor for new
            states.setdefault(change.sensor, HealthChange(sensor=change.sensor, time_s=first, state="ok"))
        states |= {change.sensor: change for change in estimate.health if change.time_s <= first}
        yield int(self.stamps[0]), self._array(int(self.stamps[0]), states)
        for change in estimate.health:
            if change.time_s > first:
                states = {**states, change.sensor: change}
                stamp = int(self.stamps[0]) + round((change.time_s - first) * SECOND_NS)
                yield stamp, self._array(stamp, states)

    def _array(self, stamp: int, states: Mapping[str, HealthChange]) -> Any:  # noqa: ANN401 - a message
        status, value = self._make("diagnostic_msgs/msg/DiagnosticStatus"), self._make("diagnostic_msgs/msg/KeyValue")
        told = [
            status(
                level=LEVELS[change.state],
                name=f"mainstem: {name}",
                message=worded(change),
                hardware_id=name,
                values=[
                    value(key="state", value=change.state),
                    value(key="since_s", value=f"{change.time_s:.3f}"),
                    value(key="reason", value=change.reason),
                ],
            )
            for name, change in sorted(states.items())
        ]
        notes = [
            ("use", OK, NO_PROTECTION),
            *([("note", WARN, self.estimate.note)] if self.estimate.note else []),
        ]
        told += [
            status(level=level, name=f"mainstem: {name}", message=message, hardware_id="", values=[])
            for name, level, message in notes
        ]
        return self._make(DIAGNOSTICS)(header=self._header(stamp, self.estimate.body), status=told)


def worded(change: HealthChange) -> str:
    """Return a state in words, as "absent since 12.30 s"."""
    words = "ok" if change.state == "ok" else f"{change.state} since {change.time_s:.2f} s"
    return f"{words}: {change.reason}" if change.reason else words


def stamps_ns(estimate: Estimate) -> Any:  # noqa: ANN401 - whole numbers
    """Return the times (readings,) as ns since 1970, or from 0 without a calendar; never 0, which is no stamp."""
    zero = 0
    if estimate.origin:
        origin = datetime.fromisoformat(estimate.origin.replace("Z", "+00:00"))
        zero = int(origin.timestamp()) * SECOND_NS + origin.microsecond * 1000
    whole = np.floor(estimate.times)
    stamps = zero + whole.astype(np.int64) * SECOND_NS + np.rint((estimate.times - whole) * 1e9).astype(np.int64)
    stamps[stamps == 0] = 1
    return stamps
