"""A simulated trial: a cart that drives a winding track over bumpy ground, with known truth and each sensor's noise.

It shows what the pages and tests need where no real data are at hand: streams at other rates, rests, a path, a truth.
"""

import numpy as np

from mainstem.core import rotations
from mainstem.data.robot.recording import CHANNELS, Array, Kind, Recording, Sensor

NAME = "simulated cart"
RATES_HZ = {"gyroscope": 200.0, "accelerometer": 200.0, "magnetometer": 50.0, "wheel": 20.0, "gnss": 5.0}
# Bosch Sensortec BMI088 data sheet (BST-BMI088-DS001), table 2 and 3, typical: densities of noise, and zero offsets
GYROSCOPE_NOISE, GYROSCOPE_BIAS = np.radians(0.014), np.radians(0.3)  # rad/s/sqrt(Hz); rad/s, of at most 1 deg/s
ACCELEROMETER_NOISE, ACCELEROMETER_BIAS = 175e-6 * 9.80665, 0.02 * 9.80665  # m/s2/sqrt(Hz); m/s2
MAGNETOMETER_NOISE = 0.13  # uT, as of the unit that BROAD was taken with, at rest: its roughness in health_limits.json
WHEEL_NOISE, YAW_RATE_NOISE = 0.02, 0.02  # m/s; rad/s, of encoders on a cart that skids a little
GNSS_NOISE = 1.5  # m, a single-frequency receiver: Groves 2013, Principles of GNSS, section 9.3
FIELD = np.array([0.0, 19.5, -45.0])  # uT, ENU, of central Europe without its declination: WMM 2025 at 52 N, 13 E
GRAVITY = np.array([0.0, 0.0, 9.80665])
HOME = (52.0, 13.0, 40.0)  # deg, deg, m
METRES_A_DEGREE = 111_320.0  # of latitude
SPEED, REST_S = 1.2, (20.0, 26.0)  # m/s; s, of the pause
TILT = np.radians(8.0)  # rad, of the ground's bumps
TRUTH_HZ = 100.0


def simulate_trial(seed: int = 0, seconds: float = 120.0) -> Recording:
    """Return the trial of a seed; sensors named `truth.` hold what truly was."""
    times = np.arange(0, seconds, 1 / max(RATES_HZ.values()))
    attitude, position = _drive(np.random.default_rng([seed, 1]), times)
    rng = np.random.default_rng([seed, 2])
    made = {
        **_inertial(rng, times, attitude, position),
        **_odometry(rng, times, attitude, position),
        **_truth(times, attitude, position),
    }
    return Recording(
        name=NAME if not seed else f"{NAME} {seed}",
        sensors=made,
        extrinsics={"imu_link": np.eye(4)},
        licence="CC0-1.0",
        attribution="simulated by Mainstem",
        simulated=True,
    )


def _drive(rng: np.random.Generator, times: Array) -> tuple[Array, Array]:
    """Attitude (n, 4) and position (n, 3) m of the cart: it rests once, and rolls and pitches as the ground has it."""
    step = times[1] - times[0]
    is_resting = (times >= REST_S[0]) & (times < REST_S[1])
    going = np.convolve(np.pad(~is_resting, 100, mode="edge"), np.hanning(201) / np.hanning(201).sum(), mode="valid")
    along = np.cumsum(going) * step * SPEED  # m
    bends = rng.uniform(0.05, 0.15, 4)[:, None] * along + rng.uniform(0, 2 * np.pi, (4, 1))
    yaw = (rng.uniform(0.4, 0.9, (4, 1)) * np.sin(bends)).sum(0)
    bumps = rng.uniform(0.3, 1.5, (2, 3, 1)) * along + rng.uniform(0, 2 * np.pi, (2, 3, 1))
    roll, pitch = TILT * np.sin(bumps).mean(1)
    attitude = np.array([1.0, 0.0, 0.0, 0.0])
    for axis, angle in ((2, yaw), (1, pitch), (0, roll)):
        attitude = rotations.multiply(attitude, rotations.exp(angle[:, None] * np.eye(3)[axis]))
    ahead = rotations.rotate(attitude, np.array([1.0, 0.0, 0.0]))
    return attitude, np.cumsum(going[:, None] * SPEED * ahead, axis=0) * step


def _inertial(rng: np.random.Generator, times: Array, attitude: Array, position: Array) -> dict[str, Sensor]:
    step = times[1] - times[0]
    turn = rotations.log(rotations.multiply(rotations.conjugate(attitude[:-1]), attitude[1:])) / step
    force = np.gradient(np.gradient(position, step, axis=0), step, axis=0) + GRAVITY
    body = rotations.conjugate(attitude)
    clean = {
        "gyroscope": (np.concatenate([turn, turn[-1:]]), GYROSCOPE_NOISE, GYROSCOPE_BIAS),
        "accelerometer": (rotations.rotate(body, force), ACCELEROMETER_NOISE, ACCELEROMETER_BIAS),
        "magnetometer": (rotations.rotate(body, FIELD), MAGNETOMETER_NOISE / np.sqrt(RATES_HZ["magnetometer"]), 0.0),
    }
    found = {}
    kinds: tuple[Kind, ...] = ("gyroscope", "accelerometer", "magnetometer")
    for kind in kinds:
        values, density, bias = clean[kind]
        rows = _rows(times, RATES_HZ[kind])
        noise = rng.normal(0, density * np.sqrt(RATES_HZ[kind]), (len(rows), 3)) + rng.uniform(-bias, bias, 3)
        found[f"imu.{kind}"] = _sensor(kind, times[rows], values[rows] + noise, "imu_link")
    return found


def _odometry(rng: np.random.Generator, times: Array, attitude: Array, position: Array) -> dict[str, Sensor]:
    step = times[1] - times[0]
    rows = _rows(times, RATES_HZ["wheel"])
    moved = rotations.rotate(rotations.conjugate(attitude), np.gradient(position, step, axis=0))
    yaw = np.unwrap(rotations.roll_pitch_yaw(attitude)[:, 2])
    speeds = np.stack([moved[:, 0], moved[:, 1], np.gradient(yaw, step)], -1)[rows]
    speeds += rng.normal(0, [WHEEL_NOISE, WHEEL_NOISE, YAW_RATE_NOISE], speeds.shape)
    fixed = _rows(times, RATES_HZ["gnss"])
    return {
        "wheels": _sensor("wheel", times[rows], speeds, "base_link"),
        "gnss": _sensor(
            "gnss", times[fixed], _geodetic(position[fixed] + rng.normal(0, GNSS_NOISE, (len(fixed), 3))), "base_link"
        ),
    }


def _geodetic(place: Array) -> Array:
    """Degrees and m (n, 3) of places in m, ENU, by a sphere: a cart stays within a kilometre."""
    latitude, longitude, altitude = HOME
    north, east = place[:, 1] / METRES_A_DEGREE, place[:, 0] / (METRES_A_DEGREE * np.cos(np.radians(latitude)))
    return np.stack([latitude + north, longitude + east, altitude + place[:, 2]], -1)


def _truth(times: Array, attitude: Array, position: Array) -> dict[str, Sensor]:
    rows = _rows(times, TRUTH_HZ)
    return {
        "truth.orientation": _sensor("orientation", times[rows], attitude[rows]),
        "truth.position": _sensor("position", times[rows], position[rows]),
    }


def _rows(times: Array, rate_hz: float) -> "np.ndarray[tuple[int, ...], np.dtype[np.intp]]":
    return np.arange(0, len(times), round(max(RATES_HZ.values()) / rate_hz))


def _sensor(kind: Kind, times: Array, values: Array, frame: str = "") -> Sensor:
    return Sensor(kind=kind, times=times, values=values, channels=CHANNELS[kind], frame=frame, source="simulated")
