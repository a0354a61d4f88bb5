"""The Husky log of robot_localization's tests: wheels, an inertial unit on its side, and GNSS, around a car park."""

from pathlib import Path
from typing import Any

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.robot.recording import CHANNELS, Array, Kind, Recording, Sensor
from mainstem.data.robot.truth import Truth

IMU, WHEEL, FIX = "/imu/data", "/husky_velocity_controller/odom", "/fix"
# static transform of the test's launch file, "0 -0.3 0.52 -1.570796327 0 1.570796327 base_link imu_link" (x, y, z, yaw,
# pitch, roll; test/test_ekf_localization_node_bag1.test): the unit's y axis points up, as its gravity at rest confirms
IMU_POSE = np.array([[0.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 0.0, -0.3], [0.0, 1.0, 0.0, 0.52], [0.0, 0.0, 0.0, 1.0]])
NOTE = "GNSS at 2.5 Hz, itself a measurement of 0.8 to 1.7 m"


def open_husky(mirror: Path | None = None) -> tuple[Recording, Truth]:
    """Return the log, and its own GNSS (local ENU of the first fix) as the reference."""
    from mainstem.data.robot.geodesy import Origin

    path = pull("husky", mirror) / "test1.bag"
    entry = find_data_set("husky")
    messages, origin_s = _read(path)
    recording = Recording(
        name="husky",
        sensors=_sensors(messages),
        origin=str(np.datetime64(round(origin_s * 1e9), "ns")) + "Z",
        extrinsics={"imu_link": IMU_POSE},
        converted=("imu_link turned into base_link by the transform of the log's own launch file",),
        licence=entry.licence,
        attribution=entry.attribution,
    )
    fixes = recording.sensors[FIX]
    first = Origin(*fixes.values[0].tolist())
    return recording, Truth(times=fixes.times, position=first.to_enu(fixes.values), note=NOTE)


def _read(path: Path) -> tuple[dict[str, list[tuple[float, float, Any]]], float]:
    """Messages by topic as (stamp, received, message), s from the first stamp, and that stamp's time of day."""
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise InputError('reading a bag needs rosbags; pip install "mainstem[robot]"') from error
    found: dict[str, list[tuple[int, int, Any]]] = {IMU: [], WHEEL: [], FIX: []}
    with AnyReader([path], default_typestore=get_typestore(Stores.ROS1_NOETIC)) as reader:
        for connection, received, raw in reader.messages():
            message: Any = reader.deserialize(raw, connection.msgtype)
            stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            found[connection.topic].append((stamp, received, message))
    first = min(rows[0][0] for rows in found.values())
    return {
        topic: [((stamp - first) * 1e-9, (received - first) * 1e-9, message) for stamp, received, message in rows]
        for topic, rows in found.items()
    }, first * 1e-9


def _sensors(messages: dict[str, list[tuple[float, float, Any]]]) -> dict[str, Sensor]:
    """Sensors in the units of the recording, covariances as the messages state them."""

    def sensor(topic: str, kind: Kind, values: Array, covariance: Array, frame: str) -> Sensor:
        stamps = np.array([[stamp, received] for stamp, received, _ in messages[topic]])
        return Sensor(
            kind=kind,
            times=stamps[:, 0],
            received=stamps[:, 1],
            values=values,
            channels=CHANNELS[kind],
            covariance=covariance,
            frame=frame,
            source=topic,
        )

    imu = [message for _, _, message in messages[IMU]]
    turn = np.array([[m.angular_velocity.x, m.angular_velocity.y, m.angular_velocity.z] for m in imu])
    force = np.array([[m.linear_acceleration.x, m.linear_acceleration.y, m.linear_acceleration.z] for m in imu])
    attitude = np.array([[m.orientation.w, m.orientation.x, m.orientation.y, m.orientation.z] for m in imu])
    twists = [message.twist for _, _, message in messages[WHEEL]]
    speed = np.array([[t.twist.linear.x, t.twist.linear.y, t.twist.angular.z] for t in twists])
    planar = np.array([t.covariance.reshape(6, 6)[np.ix_([0, 1, 5], [0, 1, 5])] for t in twists])
    fixes = [message for _, _, message in messages[FIX]]
    place = np.array([[m.latitude, m.longitude, m.altitude] for m in fixes])
    return {
        f"{IMU}.gyroscope": sensor(IMU, "gyroscope", turn, _square(imu, "angular_velocity_covariance"), "imu_link"),
        f"{IMU}.accelerometer": sensor(
            IMU, "accelerometer", force, _square(imu, "linear_acceleration_covariance"), "imu_link"
        ),
        f"{IMU}.orientation": sensor(
            IMU, "orientation", attitude, _square(imu, "orientation_covariance", 4), "imu_link"
        ),
        WHEEL: sensor(WHEEL, "wheel", speed, planar, "base_link"),
        FIX: sensor(FIX, "gnss", place, _square(fixes, "position_covariance"), "/gps"),
    }


def _square(messages: list[Any], name: str, size: int = 3) -> Array:
    """The stated covariances (n, size, size); of a quaternion NaN, for it is stated of a rotation vector."""
    stated = np.array([getattr(message, name) for message in messages], dtype=np.float64).reshape(-1, 3, 3)
    return stated if size == 3 else np.full((len(stated), size, size), np.nan)
