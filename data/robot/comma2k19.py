"""One minute of a car on a road: a telephone's inertial unit, wheels, a GNSS receiver, and a post-processed reference.

Conventions are those of the set's README: device axes are forward, right, down; reference orientations turn device
axes into ECEF (the README says the other way about; the sense here is the one by which forward is the direction of
driving and the gyroscope agrees with the reference on all axes, correlations 0.97 to 1.00).
"""

from pathlib import Path

import numpy as np

from mainstem.core import rotations
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.robot.geodesy import origin_of_ecef
from mainstem.data.robot.recording import CHANNELS, Array, Kind, Recording, Sensor
from mainstem.data.robot.truth import Truth

NAME = "comma2k19-example"
FLU_FROM_FRD = np.diag([1.0, -1.0, -1.0])
NOTE = "post-processed GNSS, inertial and vision estimate of the camera (not surveyed)"


def open_comma2k19(mirror: Path | None = None) -> tuple[Recording, Truth]:
    """Return the car's minute and its reference, ENU of the receiver's first fix; times from the first frame."""
    folder = pull(NAME, mirror)
    entry = find_data_set(NAME)
    start = float(_load(folder, "global_pose/frame_times")[0])
    recording = Recording(
        name=NAME,
        sensors=_sensors(folder, start),
        extrinsics={"device": np.block([[FLU_FROM_FRD, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]])},
        body="device in FLU",
        converted=("device axes forward, right, down turned into forward, left, up",),
        licence=entry.licence,
        attribution=entry.attribution,
    )
    return recording, _truth(folder, start, recording)


def _load(folder: Path, name: str) -> Array:
    """One array of the set: numpy files without a suffix."""
    values: Array = np.load(folder / name, allow_pickle=False).astype(np.float64)
    return values


def _sensors(folder: Path, start: float) -> dict[str, Sensor]:
    """Sensors that tell of the car's pose; the gyroscope as the device corrected it by its own bias estimate."""

    def sensor(kind: Kind, log: str, values: Array, frame: str) -> Sensor:
        times = _load(folder, f"processed_log/{log}/t") - start
        return Sensor(kind=kind, times=times, values=values, channels=CHANNELS[kind], frame=frame, source=log)

    def device(kind: Kind, log: str) -> Sensor:
        return sensor(kind, log, _load(folder, f"processed_log/{log}/value"), "device")

    wheels = _load(folder, "processed_log/CAN/wheel_speed/value").mean(1)
    body = np.stack([wheels, np.full_like(wheels, np.nan), np.full_like(wheels, np.nan)], -1)
    ublox, qualcomm = (
        _load(folder, f"processed_log/GNSS/live_gnss_{name}/value")[:, [0, 1, 4]] for name in ("ublox", "qcom")
    )
    return {
        "imu.gyroscope": device("gyroscope", "IMU/gyro"),
        "imu.accelerometer": device("accelerometer", "IMU/accelerometer"),
        "imu.magnetometer": device("magnetometer", "IMU/magnetometer"),
        "wheels": sensor("wheel", "CAN/wheel_speed", body, ""),
        "gnss.ublox": sensor("gnss", "GNSS/live_gnss_ublox", ublox, ""),
        "gnss.qcom": sensor("gnss", "GNSS/live_gnss_qcom", qualcomm, ""),
    }


def _truth(folder: Path, start: float, recording: Recording) -> Truth:
    """The reference in the local ENU of the receiver's first fix."""
    from mainstem.data.robot.geodesy import Origin

    origin = Origin(*recording.sensors["gnss.ublox"].values[0].tolist())
    position = origin.from_ecef(_load(folder, "global_pose/frame_positions"))
    ecef_from_device = rotations.to_matrix(_load(folder, "global_pose/frame_orientations"))
    axes = origin_of_ecef(_load(folder, "global_pose/frame_positions")[0]).axes()
    attitude = rotations.from_matrix(axes @ ecef_from_device @ FLU_FROM_FRD)
    return Truth(
        times=_load(folder, "global_pose/frame_times") - start, position=position, attitude=attitude, note=NOTE
    )
