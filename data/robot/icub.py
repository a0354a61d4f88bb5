"""The iCub humanoid on a walk of one metre: the inertial unit at its pelvis and what VICON saw of its base.

The root link's x axis points backward and its y to the right (iCub's own convention; the robot walks along -x), so the
body here is the root link turned half round about z. The unit's mounting is the joint root_link_imu_frame_fixed_joint
of the set's model.urdf, with which rates agree with VICON's on all axes
(correlation 0.96), and gravity within 0.05 m/s2.
"""

from pathlib import Path

import numpy as np

from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.robot.recording import CHANNELS, Array, Kind, Recording, Sensor
from mainstem.data.robot.truth import Truth

NAME = "icub-walk"
MOUNT_RPY = np.array([-2.09439521059, 0.0, -1.57079632679])  # model.urdf, rad
MOUNT_PLACE = np.array([0.085155, -0.011, -0.112309])  # model.urdf, m
HALF_TURN = np.array([0.0, 0.0, 0.0, 1.0])
NOTE = "VICON of the root link; its roll, pitch and yaw are at the inertial unit's own stamps"


def open_icub(mirror: Path | None = None) -> tuple[Recording, Truth]:
    """Return the walk and VICON's pose of its base; stamps are jittered, 0.2 to 27 ms apart, as they were recorded."""
    try:
        import h5py
    except ImportError as error:
        raise InputError('reading .mat files of version 7.3 needs h5py; pip install "mainstem[robot]"') from error
    names = ("estimatorJointsTime", "imuOmega", "imuAcc", "linkBasePos", "linkBaseRot")
    with h5py.File(pull(NAME, mirror) / "walking.mat") as file:
        stamps, turn, force, position, angles = (np.asarray(file[name], dtype=np.float64).T for name in names)
    entry = find_data_set(NAME)
    times = stamps[:, 0] - stamps[0, 0]
    recording = Recording(
        name=NAME,
        sensors={
            "imu.gyroscope": _sensor("gyroscope", times, turn),
            "imu.accelerometer": _sensor("accelerometer", times, force),
        },
        origin=str(np.datetime64(round(stamps[0, 0] * 1e9), "ns")) + "Z",
        extrinsics={"root_link_imu_frame": _mounting()},
        body="root_link, x forward",
        converted=("root_link (x backward, y right) turned half round about z, to forward and left",),
        licence=entry.licence,
        attribution=entry.attribution,
    )
    attitude = rotations.multiply(from_rpy(angles), HALF_TURN)
    return recording, Truth(times=times, position=position, attitude=attitude, note=NOTE)


def from_rpy(angles: Array) -> Array:
    """Return quaternions (..., 4) of roll, pitch, yaw (..., 3), rad: about z after y after x (URDF, REP-103)."""
    x, y, z = (np.stack([angles[..., i] * (j == i) for j in range(3)], -1) for i in range(3))
    return rotations.multiply(rotations.exp(z), rotations.multiply(rotations.exp(y), rotations.exp(x)))


def _sensor(kind: Kind, times: Array, values: Array) -> Sensor:
    return Sensor(
        kind=kind, times=times, values=values, channels=CHANNELS[kind], frame="root_link_imu_frame", source=kind
    )


def _mounting() -> Array:
    """Pose (4, 4) of the unit in the body."""
    half_turn = np.diag([-1.0, -1.0, 1.0])
    pose = np.eye(4)
    pose[:3, :3] = half_turn @ rotations.to_matrix(from_rpy(MOUNT_RPY))
    pose[:3, 3] = half_turn @ MOUNT_PLACE
    return pose
