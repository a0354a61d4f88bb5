"""A robot that turns and drives: clean recordings by seed, for tests that break one thing at a time."""

from dataclasses import replace

import numpy as np

from mainstem.core import rotations
from mainstem.core.stream import Channel
from mainstem.data.robot.recording import CHANNELS, Recording, Sensor

RATE_HZ = 100.0
SECONDS = 60.0
GRAVITY = np.array([0.0, 0.0, 9.80665])
FIELD_UT = np.array([0.0, 20.0, -40.0])


def clean(seed: int = 0, seconds: float = SECONDS, turning: float = 1.0) -> Recording:
    """An IMU at 100 Hz, an attitude at 50 Hz, wheels at 20 Hz and a receiver at 5 Hz, with noise and small jitter."""
    random = np.random.default_rng(seed)
    times = np.arange(0, seconds, 1 / RATE_HZ)
    phases, speeds = random.uniform(0, 6, (2, 3)), random.uniform(0.5, 3, (2, 3))
    rate = np.sin(speeds[0] * times[:, None] + phases[0]) + 0.5 * np.sin(speeds[1] * times[:, None] + phases[1])
    rate *= turning
    attitude = np.empty((len(times), 4))
    attitude[0] = [1, 0, 0, 0]
    for index, turn in enumerate(rotations.exp((rate[:-1] + rate[1:]) / 2 / RATE_HZ)):
        attitude[index + 1] = rotations.normalise(rotations.multiply(attitude[index], turn))
    inverse = rotations.conjugate(attitude)
    noise = random.standard_normal((len(times), 9))
    imu = {
        "gyroscope": rate + 0.005 * noise[:, :3],
        "accelerometer": rotations.rotate(inverse, np.broadcast_to(GRAVITY, rate.shape)) + 0.05 * noise[:, 3:6],
        "magnetometer": rotations.rotate(inverse, np.broadcast_to(FIELD_UT, rate.shape)) + 0.3 * noise[:, 6:],
    }
    stamps = jittered(random, times)
    received = stamps + 0.002 + random.exponential(0.001, len(times))
    sensors = {
        name: Sensor(kind=name, times=stamps, values=values, channels=CHANNELS[name], received=received)
        for name, values in imu.items()
    }
    sensors["orientation"] = Sensor(
        kind="orientation", times=times[::2], values=attitude[::2], channels=CHANNELS["orientation"]
    )
    drive = times[::5]
    speed = np.stack([1 + 0.1 * random.standard_normal(len(drive)), np.zeros(len(drive)), 0.1 * np.cos(drive)], axis=1)
    sensors["wheel"] = Sensor(
        kind="wheel", times=jittered(random, drive), values=speed, channels=CHANNELS["wheel"],
        covariance=np.tile(0.01 * np.eye(3), (len(drive), 1, 1)),
    )  # fmt: skip
    fixes = np.arange(0, seconds, 0.2)
    place = np.stack([50 + 1e-5 * fixes, 8 + 1e-6 * random.standard_normal(len(fixes)), 100 + 0 * fixes], axis=1)
    sensors["gnss"] = Sensor(kind="gnss", times=fixes, values=place, channels=CHANNELS["gnss"])
    return Recording(name="made", sensors=sensors)


def jittered(random: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Stamps that are off by a few hundredths of a step."""
    return times + 0.03 * float(np.diff(times)[0]) * np.clip(random.standard_normal(len(times)), -3, 3)


def changed(recording: Recording, name: str, **changes: object) -> Recording:
    """The recording with one sensor's fields replaced."""
    sensors = dict(recording.sensors)
    sensors[name] = replace(sensors[name], **changes)  # type: ignore[arg-type]
    return replace(recording, sensors=sensors)


def kept(recording: Recording, name: str, which: np.ndarray) -> Recording:
    """The recording with some of one sensor's readings, by index or mask, in that order."""
    sensor = recording.sensors[name]
    fields = {"times": sensor.times[which], "values": sensor.values[which]}
    for field in ("received", "covariance"):
        values = getattr(sensor, field)
        fields[field] = None if values is None else values[which]
    return changed(recording, name, **fields)


UNNAMED = tuple(Channel(name=name, unit="unstated") for name in ("a", "b"))
