"""The pose on the ground: x, y and heading with their covariance, of one in space; and values with intervals."""

import numpy as np
from scipy.stats import norm

from mainstem.adapters.sensor_fusion.pose_filter import ahead
from mainstem.adapters.sensor_fusion.pose_state import (
    GYROSCOPE_BIAS,
    NAMED,
    RANGE_BIAS,
    RANGE_SCALE,
    WHEEL_OFFSET,
    WHEEL_SCALE,
    Array,
    Estimate,
    Pose,
    PoseModel,
    PoseState,
    beacon_index,
    yaw_of,
)

UNITS = {"wheel offset": "m/s", "wheel yaw offset": "rad/s", "range bias": "m"}
GROUND = [0, 1, 5]  # of a pose's covariance: x, y and the turn about the vertical


def planar(pose: Pose) -> tuple[Array, Array]:
    """Return x, y, heading (n, 3), m and rad counter-clockwise from east, and their covariance (n, 3, 3)."""
    values = np.column_stack([pose.position[:, :2], yaw_of(pose.attitude)])
    return values, pose.covariance[:, GROUND][:, :, GROUND]


def named(model: PoseModel, state: PoseState, level: float = 0.9) -> dict[str, Estimate]:
    """Return what the filter learned of its sensors, each with its interval: biases, scales, offsets."""
    found = {name: _of(state, {index: 1.0}, UNITS.get(name, "1"), level) for name, index in NAMED.items()}
    for offset, axis in enumerate("xyz"):
        index = GYROSCOPE_BIAS.start + offset
        found[f"gyroscope bias {axis}"] = _of(state, {index: 1.0}, "rad/s", level)
    for beacon in model.beacons:
        parts = {RANGE_BIAS: 1.0, beacon_index(model, beacon): 1.0}
        found[f"range bias of {beacon}"] = _of(state, parts, "m", level)
    return found


def speed_error(model: PoseModel, state: PoseState, speed_m_s: float, level: float = 0.9) -> Estimate:
    """Return by how much the wheels read too fast at a speed, m/s, with its interval."""
    return _of(ahead(model, state, state.time), {WHEEL_SCALE: speed_m_s, WHEEL_OFFSET: 1.0}, "m/s", level)


def range_error(model: PoseModel, state: PoseState, range_m: float, level: float = 0.9) -> Estimate:
    """Return by how much ranges read too long at a range, mean over the beacons, m, with its interval."""
    share = 1 / max(len(model.beacons), 1)
    own = {beacon_index(model, beacon): share for beacon in model.beacons}
    return _of(state, {RANGE_BIAS: 1.0, RANGE_SCALE: range_m, **own}, "m", level)


def _of(state: PoseState, parts: dict[int, float], unit: str, level: float) -> Estimate:
    """A weighted sum of the state's errors as a value with an interval."""
    weights = np.zeros(len(state.mean))
    weights[list(parts)] = list(parts.values())
    value = float(weights @ state.mean)
    reach = float(norm.ppf((1 + level) / 2) * np.sqrt(weights @ state.covariance @ weights))
    return Estimate(value=value, low=value - reach, high=value + reach, unit=unit)
