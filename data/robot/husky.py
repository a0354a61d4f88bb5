"""The Husky log of robot_localization's tests: wheels, an inertial unit on its side, and GNSS, around a car park."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.robot.recording import Recording
from mainstem.data.robot.ros import read_bag
from mainstem.data.robot.truth import Truth

IMU, WHEEL, FIX = "/imu/data", "/husky_velocity_controller/odom", "/fix"
# static transform of the test's launch file, "0 -0.3 0.52 -1.570796327 0 1.570796327 base_link imu_link" (x, y, z, yaw,
# pitch, roll; test/test_ekf_localization_node_bag1.test): the unit's y axis points up, as its gravity at rest confirms
IMU_POSE = np.array([[0.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 0.0, -0.3], [0.0, 1.0, 0.0, 0.52], [0.0, 0.0, 0.0, 1.0]])
NOTE = "GNSS at 2.5 Hz, itself a measurement of 0.8 to 1.7 m"


def open_husky(mirror: Path | None = None) -> tuple[Recording, Truth]:
    """Return the log, and its own GNSS (local ENU of the first fix) as the reference."""
    from mainstem.data.robot.geodesy import Origin

    entry = find_data_set("husky")
    read = read_bag(pull("husky", mirror) / "test1.bag")
    recording = replace(
        read,
        name="husky",
        sensors={name: own for name, own in read.sensors.items() if name in (WHEEL, FIX) or name.startswith(IMU)},
        extrinsics={"imu_link": IMU_POSE},
        converted=(*read.converted, "imu_link turned into base_link by the transform of the log's own launch file"),
        licence=entry.licence,
        attribution=entry.attribution,
    )
    fixes = recording.sensors[FIX]
    first = Origin(*fixes.values[0].tolist())
    return recording, Truth(times=fixes.times, position=first.to_enu(fixes.values), note=NOTE)
