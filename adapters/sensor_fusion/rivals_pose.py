"""The peer: a plain extended Kalman filter of place, heading, speed and gyroscope bias, as textbooks have it.

Thrun, Burgard, Fox 2005, Probabilistic robotics, section 3.3 and 7.4: unicycle motion, wheels as a measured speed,
fixes with independent errors, ranges as they come, no biases but the gyroscope's, no gate.
"""

from dataclasses import dataclass, replace

import numpy as np

from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import Array

TURN_NOISE, SPEED_NOISE, BIAS_WALK = 0.02, 1.0, 3e-5  # rad, m/s and rad/s in the root of a second
WHEEL_M_S, GNSS_M, RANGE_M = 0.05, 1.5, 1.0  # standard deviations of what is measured
FIRST_M = 5.0  # between two fixes that tell the first heading


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainState:
    """Mean (x, y, yaw, speed, gyroscope bias), covariance (5, 5), the rate in use, the first fix."""

    time: float
    mean: Array
    covariance: Array
    rate: float = 0.0
    has_gyroscope: bool = False
    has_heading: bool = True
    first_fix: Array | None = None


def plain_start(
    position: Array | None = None, yaw: float = 0.0, deviations: tuple[float, float] = (1.0, 0.1)
) -> PlainState:
    """Return the filter's start; without a position it waits for fixes that are apart."""
    place, turn = deviations
    mean = np.array([0.0, 0.0, yaw, 0.0, 0.0])
    if position is not None:
        mean[:2] = position[:2]
    covariance = np.diag([place, place, turn, 1.0, 0.01]) ** 2
    return PlainState(time=np.nan, mean=mean, covariance=covariance, has_heading=position is not None)


def plain_take(state: PlainState, reading: Reading, beacons: dict[str, Array] | None = None) -> PlainState:
    """Return the state after a reading."""
    state = plain_ahead(state, reading.time)
    if reading.kind == "gyroscope":
        return replace(state, rate=float(reading.value[2]), has_gyroscope=True)
    if reading.kind == "wheel":
        if not state.has_gyroscope and np.isfinite(reading.value[2]):
            state = replace(state, rate=float(reading.value[2]))
        return _update(state, reading.value[0] - state.mean[3:4], np.eye(5)[3:4], np.array([[WHEEL_M_S**2]]))
    if reading.kind in ("gnss", "position"):
        stated = np.eye(2) * GNSS_M**2 if reading.covariance is None else reading.covariance[:2, :2]
        if not state.has_heading:
            return _first_heading(state, reading, stated)
        return _update(state, reading.value[:2] - state.mean[:2], np.eye(5)[:2], stated)
    if reading.kind == "range" and beacons is not None:
        apart = state.mean[:2] - beacons[reading.part][:2]
        true = float(np.linalg.norm(apart))
        return _update(state, reading.value - true, np.array([[*(apart / true), 0, 0, 0]]), np.array([[RANGE_M**2]]))
    return state


def _first_heading(state: PlainState, reading: Reading, stated: Array) -> PlainState:
    """Head from the first fix to the first that is far enough from it."""
    if state.first_fix is None:
        return replace(state, first_fix=reading.value[:2])
    course = reading.value[:2] - state.first_fix
    distance = float(np.linalg.norm(course))
    if distance < FIRST_M:
        return state
    mean = np.array([*reading.value[:2], np.arctan2(course[1], course[0]), state.mean[3], 0.0])
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
    rate = state.rate - (mean[4] if state.has_gyroscope else 0.0)
    yaw, speed = mean[2] + rate * span / 2, mean[3]
    mean[:3] += [speed * span * np.cos(yaw), speed * span * np.sin(yaw), rate * span]
    change = np.eye(5)
    change[:2, 2] = [-speed * span * np.sin(yaw), speed * span * np.cos(yaw)]
    change[:2, 3] = [span * np.cos(yaw), span * np.sin(yaw)]
    change[2, 4] = -span if state.has_gyroscope else 0.0
    noise = np.diag([0.0, 0.0, TURN_NOISE**2, SPEED_NOISE**2, BIAS_WALK**2]) * span
    return replace(state, time=time, mean=mean, covariance=change @ state.covariance @ change.T + noise)


def _update(state: PlainState, residual: Array, jacobian: Array, noise: Array) -> PlainState:
    spread = jacobian @ state.covariance @ jacobian.T + noise
    gain = np.linalg.solve(spread, jacobian @ state.covariance).T
    covariance = state.covariance - gain @ jacobian @ state.covariance
    return replace(state, mean=state.mean + gain @ residual, covariance=(covariance + covariance.T) / 2)
