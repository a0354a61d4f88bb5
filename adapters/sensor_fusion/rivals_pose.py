"""The peer: a plain extended Kalman filter of place, heading, speed and sensors' biases, as textbooks have it.

Thrun, Burgard, Fox 2005, Probabilistic robotics, section 3.3 and 7.4: unicycle motion, wheels as a measured speed,
fixes with independent errors, ranges that are off by a bias and a scale where these may be, no gate.
"""

from dataclasses import dataclass, replace

import numpy as np

from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import Array

WHEEL_M_S, GNSS_M, RANGE_M = 0.05, 1.5, 1.0  # standard deviations of what is measured
FIRST_M = 5.0  # between two fixes that tell the first heading
SIZE = 7  # of the state
X, Y, YAW, SPEED, GYROSCOPE_BIAS, RANGE_BIAS, RANGE_SCALE = range(SIZE)


@dataclass(frozen=True, kw_only=True)
class PlainNoise:
    """What the filter takes for granted: textbook guesses unless they are chosen on a log.

    Attributes:
        turn, speed, bias_walk: rad, m/s and rad/s in the root of a second.
        range_bias, range_scale: how far ranges may be off at the start, m and a share; 0: they are taken as they come.
    """

    turn: float = 0.02
    speed: float = 1.0
    bias_walk: float = 3e-5
    range_bias: float = 0.0
    range_scale: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainState:
    """Mean (x, y, yaw, speed, biases; SIZE,), covariance (SIZE, SIZE), the rate in use, the first fix."""

    noise: PlainNoise
    time: float
    mean: Array
    covariance: Array
    rate: float = 0.0
    has_gyroscope: bool = False
    has_heading: bool = True
    first_fix: Array | None = None


def plain_start(
    noise: PlainNoise, position: Array | None = None, yaw: float = 0.0, deviations: tuple[float, float] = (1.0, 0.1)
) -> PlainState:
    """Return the filter's start; without a position it waits for fixes that are apart."""
    place, turn = deviations
    mean = np.zeros(SIZE)
    mean[YAW] = yaw
    if position is not None:
        mean[:2] = position[:2]
    covariance = np.diag([place, place, turn, 1.0, 0.01, noise.range_bias, noise.range_scale]) ** 2
    return PlainState(noise=noise, time=np.nan, mean=mean, covariance=covariance, has_heading=position is not None)


def plain_take(state: PlainState, reading: Reading, beacons: dict[str, Array] | None = None) -> PlainState:
    """Return the state after a reading."""
    state = plain_ahead(state, reading.time)
    if reading.kind == "gyroscope":
        return replace(state, rate=float(reading.value[2]), has_gyroscope=True)
    if reading.kind == "wheel":
        if not state.has_gyroscope and np.isfinite(reading.value[2]):
            state = replace(state, rate=float(reading.value[2]))
        of_speed = np.eye(SIZE)[SPEED : SPEED + 1]
        return _update(state, reading.value[0] - of_speed @ state.mean, of_speed, np.array([[WHEEL_M_S**2]]))
    if reading.kind in ("gnss", "position"):
        stated = np.eye(2) * GNSS_M**2 if reading.covariance is None else reading.covariance[:2, :2]
        if not state.has_heading:
            return _first_heading(state, reading, stated)
        return _update(state, reading.value[:2] - state.mean[:2], np.eye(SIZE)[:2], stated)
    if reading.kind == "range" and beacons is not None:
        return _hear(state, reading.value, beacons[reading.part][:2])
    return state


def _hear(state: PlainState, heard: Array, beacon: Array) -> PlainState:
    """Take a range (1,), m, to a beacon (2,): the distance by a scale, and a bias."""
    apart, scale = state.mean[:2] - beacon, 1 + state.mean[RANGE_SCALE]
    true = float(np.linalg.norm(apart))
    jacobian = np.zeros((1, SIZE))
    jacobian[0, :2], jacobian[0, RANGE_BIAS], jacobian[0, RANGE_SCALE] = apart / true * scale, 1.0, true
    return _update(state, heard - true * scale - state.mean[RANGE_BIAS], jacobian, np.array([[RANGE_M**2]]))


def _first_heading(state: PlainState, reading: Reading, stated: Array) -> PlainState:
    """Head from the first fix to the first that is far enough from it."""
    if state.first_fix is None:
        return replace(state, first_fix=reading.value[:2])
    course = reading.value[:2] - state.first_fix
    distance = float(np.linalg.norm(course))
    if distance < FIRST_M:
        return state
    mean = state.mean.copy()
    mean[:SPEED], mean[GYROSCOPE_BIAS] = [*reading.value[:2], np.arctan2(course[1], course[0])], 0.0
    covariance = state.covariance.copy()
    covariance[:3, :] = covariance[:, :3] = 0
    covariance[:2, :2], covariance[2, 2] = stated, 2 * stated[0, 0] / distance**2
    return replace(state, mean=mean, covariance=covariance, has_heading=True)


def plain_ahead(state: PlainState, time: float) -> PlainState:
    """Return the state moved on to a time."""
    span = time - state.time
    if not span > 0:
        return replace(state, time=time) if not np.isfinite(state.time) else state
    mean = state.mean.copy()
    rate = state.rate - (mean[GYROSCOPE_BIAS] if state.has_gyroscope else 0.0)
    yaw, speed = mean[YAW] + rate * span / 2, mean[SPEED]
    mean[:3] += [speed * span * np.cos(yaw), speed * span * np.sin(yaw), rate * span]
    change = np.eye(SIZE)
    change[:2, YAW] = [-speed * span * np.sin(yaw), speed * span * np.cos(yaw)]
    change[:2, SPEED] = [span * np.cos(yaw), span * np.sin(yaw)]
    change[YAW, GYROSCOPE_BIAS] = -span if state.has_gyroscope else 0.0
    noise = np.diag([0.0, 0.0, state.noise.turn, state.noise.speed, state.noise.bias_walk, 0.0, 0.0]) ** 2 * span
    return replace(state, time=time, mean=mean, covariance=change @ state.covariance @ change.T + noise)


def _update(state: PlainState, residual: Array, jacobian: Array, noise: Array) -> PlainState:
    spread = jacobian @ state.covariance @ jacobian.T + noise
    gain = np.linalg.solve(spread, jacobian @ state.covariance).T
    covariance = state.covariance - gain @ jacobian @ state.covariance
    return replace(state, mean=state.mean + gain @ residual, covariance=(covariance + covariance.T) / 2)
