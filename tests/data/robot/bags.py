"""Small bags written by rosbags' own writers, ROS 1 and 2: an IMU, a compass, wheels, GNSS, a range, and frames."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

START_NS = 1_700_000_000 * 10**9 + 250_000_000
STEP_NS = 10_000_000
IMU, MAG, ODOMETRY = "sensor_msgs/msg/Imu", "sensor_msgs/msg/MagneticField", "nav_msgs/msg/Odometry"
FIX, RANGE, TWIST = "sensor_msgs/msg/NavSatFix", "sensor_msgs/msg/Range", "geometry_msgs/msg/TwistStamped"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
Timed = tuple[str, str, int, Any]  # topic, type, recorder's stamp, message


class Maker:
    """Makes messages of ROS 1 or of ROS 2."""

    def __init__(self, is_ros1: bool = False) -> None:
        self.is_ros1 = is_ros1
        self.store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
        if is_ros1:
            self.store.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms\n", TRANSFORMS))

    def make(self, kind: str, **fields: Any) -> Any:
        return self.store.types[kind](**fields)

    def header(self, stamp_ns: int, frame: str) -> Any:
        time = self.make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        extra = {"seq": 0} if self.is_ros1 else {}
        return self.make("std_msgs/msg/Header", stamp=time, frame_id=frame, **extra)

    def xyz(self, values: Iterable[float], kind: str = "Vector3") -> Any:
        x, y, z = (float(value) for value in values)
        return self.make(f"geometry_msgs/msg/{kind}", x=x, y=y, z=z)

    def turn(self, w: float, x: float, y: float, z: float) -> Any:
        return self.make("geometry_msgs/msg/Quaternion", w=w, x=x, y=y, z=z)

    def imu(self, stamp_ns: int, index: int = 0, orientation: float = 0.01, rates: float = 0.0) -> Any:
        return self.make(
            IMU,
            header=self.header(stamp_ns, "imu_link"),
            orientation=self.turn(0.6, 0.8, 0.0, 0.0),
            orientation_covariance=first(orientation),
            angular_velocity=self.xyz([0.1 + index, 0.2, 0.3]),
            angular_velocity_covariance=first(rates),
            linear_acceleration=self.xyz([1.0, 2.0, 9.81]),
            linear_acceleration_covariance=np.diag([0.1, 0.2, 0.3]).ravel(),
        )

    def mag(self, stamp_ns: int) -> Any:
        return self.make(
            MAG,
            header=self.header(stamp_ns, "imu_link"),
            magnetic_field=self.xyz([20e-6, -3e-6, -44e-6]),
            magnetic_field_covariance=(np.eye(3) * 1e-12).ravel(),
        )

    def odometry(self, stamp_ns: int, child: str = "base_link") -> Any:
        pose = self.make(
            "geometry_msgs/msg/Pose", position=self.xyz([5, 6, 7], "Point"), orientation=self.turn(1.0, 0.0, 0.0, 0.0)
        )
        twist = self.make("geometry_msgs/msg/Twist", linear=self.xyz([1.5, 0.1, 0]), angular=self.xyz([0, 0, 0.25]))
        covariance = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).ravel()
        return self.make(
            ODOMETRY,
            header=self.header(stamp_ns, "odom"),
            child_frame_id=child,
            pose=self.make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=covariance),
            twist=self.make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=10 * covariance),
        )

    def fix(self, stamp_ns: int, status: int = 0, kind: int = 2) -> Any:
        return self.make(
            FIX,
            header=self.header(stamp_ns, "/gps"),
            status=self.make("sensor_msgs/msg/NavSatStatus", status=status, service=1),
            latitude=50.0,
            longitude=7.0,
            altitude=100.0,
            position_covariance=np.diag([1.0, 2.0, 9.0]).ravel(),
            position_covariance_type=kind,
        )

    def range(self, stamp_ns: int, metres: float = 2.5) -> Any:
        return self.make(
            RANGE,
            header=self.header(stamp_ns, "sonar"),
            radiation_type=0,
            field_of_view=0.5,
            min_range=0.1,
            max_range=4.0,
            range=metres,
        )

    def transforms(self, *poses: tuple[str, str, Iterable[float], tuple[float, float, float, float]]) -> Any:
        """Of (parent, child, translation, rotation w x y z)."""
        return self.make(
            TRANSFORMS,
            transforms=[
                self.make(
                    "geometry_msgs/msg/TransformStamped",
                    header=self.header(0, parent),
                    child_frame_id=child,
                    transform=self.make(
                        "geometry_msgs/msg/Transform", translation=self.xyz(move), rotation=self.turn(*turn)
                    ),
                )
                for parent, child, move, turn in poses
            ],
        )


def first(value: float) -> np.ndarray:
    """A covariance that begins with the value, and has it for its variances unless it is negative."""
    return np.array([value, 0, 0, 0, abs(value), 0, 0, 0, abs(value)])


def all_sensors(maker: Maker, count: int = 20) -> list[Timed]:
    """Messages of each type that is read, recorded 2 ms after their stamps, and a text beside them."""
    half = 0.5**0.5
    frames = maker.transforms(
        ("base_link", "mast", (0, 0, 1), (half, 0.0, 0.0, half)),
        ("mast", "imu_link", (0.5, 0, 0), (1.0, 0.0, 0.0, 0.0)),
    )
    found: list[Timed] = [("/tf_static", TRANSFORMS, START_NS, frames)]
    makers: dict[tuple[str, str], Callable[[int], Any]] = {
        ("/mag", MAG): maker.mag,
        ("/odom", ODOMETRY): maker.odometry,
        ("/fix", FIX): maker.fix,
        ("/sonar", RANGE): maker.range,
    }
    for index in range(count):
        stamp = START_NS + index * STEP_NS
        found.append(("/imu/data", IMU, stamp + 2_000_000, maker.imu(stamp, index)))
        found += [(*key, stamp + 2_000_000, make(stamp)) for key, make in makers.items()]
        text = maker.make("std_msgs/msg/String", data="x")
        found.append(("/words", "std_msgs/msg/String", stamp + 2_000_000, text))
    return found


def write1(path: Path, maker: Maker, messages: Iterable[Timed], packed: str = "") -> Path:
    """Write a ROS 1 bag."""
    writer = Writer1(path)
    if packed:
        writer.set_compression(Writer1.CompressionFormat[packed])
    with writer:
        known: dict[tuple[str, str], Any] = {}
        for topic, kind, stamp, message in messages:
            if (topic, kind) not in known:
                known[topic, kind] = writer.add_connection(topic, kind, typestore=maker.store)
            writer.write(known[topic, kind], stamp, bytes(maker.store.serialize_ros1(message, kind)))
    return path


def write2(folder: Path, maker: Maker, messages: Iterable[Timed], storage: str = "MCAP", packed: str = "") -> Path:
    """Write a ROS 2 bag: a folder; `packed` is "file", "message" or "storage"."""
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin[storage])
    if packed:
        writer.set_compression(CompressionMode[packed.upper()], CompressionFormat.ZSTD)
    with writer:
        known: dict[tuple[str, str], Any] = {}
        for topic, kind, stamp, message in messages:
            if (topic, kind) not in known:
                known[topic, kind] = writer.add_connection(topic, kind, typestore=maker.store)
            writer.write(known[topic, kind], stamp, bytes(maker.store.serialize_cdr(message, kind)))
    return folder
