"""What each kind of reading says of the state: its residual, how that goes with the errors, and its noise."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mainstem.adapters.sensor_fusion.pose_motion import fresh, rate_of
from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import (
    GRAVITY,
    GYROSCOPE_BIAS,
    POSITION,
    RANGE_BIAS,
    RANGE_SCALE,
    TURN,
    VELOCITY,
    WANDER,
    WHEEL_OFFSET,
    WHEEL_SCALE,
    YAW_OFFSET,
    YAW_SCALE,
    Array,
    PoseModel,
    PoseState,
    beacon_index,
)
from mainstem.adapters.sensor_fusion.turns import matrix_of, skew
from mainstem.core import rotations

STILL_M_S, STILL_RAD_S = 1e-3, 1e-3  # encoders that count nothing; odometry writes zeros then
LEVEL_FORCE = 0.3  # m/s2 by which a specific force may differ from gravity and still point upward


@dataclass(frozen=True, kw_only=True, eq=False)
class Innovation:
    """A measured value less the expected one.

    Attributes:
        sensor: who measured it: a sensor's name, and where it says several things, which.
        residual: (m,).
        jacobian: (m, dim): residual = jacobian times error plus noise.
        covariance: (m, m) of that noise.
        adapts: its noise may be learned from the innovations of the sensor.
    """

    sensor: str
    residual: Array
    jacobian: Array
    covariance: Array
    adapts: bool = False


def innovations(model: PoseModel, state: PoseState, reading: Reading) -> Iterator[Innovation]:
    """Yield what a reading says; `state` is at its time, and is the one before any of them."""
    if reading.kind in ("gnss", "position"):
        yield from _place(model, state, reading)
    elif reading.kind == "range":
        yield _range(model, state, reading)
    elif reading.kind == "wheel":
        yield from _wheels(model, state, reading)
    elif reading.kind == "orientation":
        yield from _orientation(model, state, reading)
    elif reading.kind == "magnetometer":
        yield _heading(model, state, reading)


def _lever(model: PoseModel, state: PoseState, sensor: str) -> Array:
    """Where the sensor is from the body's origin (3,), m, in the earth's axes."""
    lever = model.levers.get(sensor)
    return np.zeros(3) if lever is None else matrix_of(state.attitude) @ lever


def _place(model: PoseModel, state: PoseState, reading: Reading) -> Iterator[Innovation]:
    """A fix: along the ground and upward apart, for one may be wrong without the other."""
    lever = _lever(model, state, reading.sensor)
    residual = reading.value - (state.mean[POSITION] + lever + state.mean[WANDER])
    jacobian = np.zeros((3, model.dim))
    jacobian[:, POSITION] = jacobian[:, WANDER] = np.eye(3)
    jacobian[:, TURN] = -skew(lever)
    default = np.diag((model.noise.gnss * np.array([1.0, 1.0, 2.0])) ** 2)
    covariance = default if reading.covariance is None else reading.covariance
    for rows, part in ((slice(0, 2), ""), (slice(2, 3), " height")):
        if np.isfinite(residual[rows]).all():
            yield Innovation(
                sensor=reading.sensor + part,
                residual=residual[rows],
                jacobian=jacobian[rows],
                covariance=covariance[rows, rows],
                adapts=True,
            )


def _range(model: PoseModel, state: PoseState, reading: Reading) -> Innovation:
    """A range to a beacon: too long by a part that all beacons share and by its own."""
    lever = _lever(model, state, reading.sensor)
    apart = state.mean[POSITION] + lever - model.beacons[reading.part]
    is_flat = not np.isfinite(apart[2])
    apart = np.where(np.isfinite(apart), apart, 0.0)
    true = max(float(np.linalg.norm(apart)), 1e-3)
    index = beacon_index(model, reading.part)
    jacobian = np.zeros((1, model.dim))
    toward = apart / true
    jacobian[0, POSITION] = toward * (1 + state.mean[RANGE_SCALE])
    jacobian[0, TURN] = toward @ -skew(lever)
    jacobian[0, RANGE_BIAS] = jacobian[0, index] = 1.0
    jacobian[0, RANGE_SCALE] = true
    if is_flat:
        jacobian[0, 2] = 0.0
    expected = true * (1 + state.mean[RANGE_SCALE]) + state.mean[RANGE_BIAS] + state.mean[index]
    variance = model.noise.range**2 if reading.covariance is None else reading.covariance[0, 0]
    return Innovation(
        sensor=reading.sensor,
        residual=reading.value - expected,
        jacobian=jacobian,
        covariance=np.array([[variance]]),
        adapts=True,
    )


def _lasting(seconds: float, state: PoseState, name: str) -> float:
    """How many readings tell no more than one, because their errors last."""
    held = state.held.get(name)
    return max(1.0, seconds / held.period) if held is not None and held.period > 0 else 1.0


def _wheels(model: PoseModel, state: PoseState, reading: Reading) -> Iterator[Innovation]:
    """A twist of the wheels: forward speed, that they go neither sideways nor up, and the rate of turn."""
    noise, mean = model.noise, state.mean
    speed, _, yaw = reading.value
    turned = matrix_of(state.attitude).T
    body = turned @ mean[VELOCITY]
    jacobian = np.zeros((3, model.dim))
    jacobian[:, VELOCITY] = turned
    jacobian[:, TURN] = turned @ skew(mean[VELOCITY])
    jacobian[0] *= 1 + mean[WHEEL_SCALE]
    jacobian[0, WHEEL_SCALE], jacobian[0, WHEEL_OFFSET] = body[0], 1.0
    expected = np.array([body[0] * (1 + mean[WHEEL_SCALE]) + mean[WHEEL_OFFSET], body[1], body[2]])
    is_still = abs(speed) < STILL_M_S and not abs(yaw) > STILL_RAD_S
    lasting = _lasting(noise.wheel_lasting_s, state, "wheel")
    if is_still:
        variance = np.full(3, noise.wheel_still**2)
        jacobian[0, WHEEL_OFFSET], expected[0] = 0.0, expected[0] - mean[WHEEL_OFFSET]
    else:
        own = noise.wheel_speed**2 if reading.covariance is None else reading.covariance[0, 0]
        variance = np.array([own + (noise.wheel_fraction * speed) ** 2, noise.wheel_side**2, noise.wheel_side**2])
    yield Innovation(
        sensor=reading.sensor,
        residual=np.array([speed, 0.0, 0.0]) - expected,
        jacobian=jacobian,
        covariance=np.diag(variance * lasting),
    )
    if fresh(state, "gyroscope") is not None and np.isfinite(yaw):
        yield _turn(model, state, reading, is_still)


def _turn(model: PoseModel, state: PoseState, reading: Reading, is_still: bool) -> Innovation:
    """The wheels' rate of turn beside the gyroscope's; of wheels that stand, the gyroscope's bias on all axes."""
    noise, yaw = model.noise, reading.value[2]
    rate = rate_of(model, state)[1]
    lasting = _lasting(noise.wheel_lasting_s, state, "wheel")
    if is_still:
        jacobian = np.zeros((3, model.dim))
        jacobian[:, GYROSCOPE_BIAS] = -np.eye(3)
        variance = noise.still_rate**2 * lasting + state.held["gyroscope"].variance
        return Innovation(
            sensor=f"{reading.sensor} standing", residual=-rate, jacobian=jacobian, covariance=np.diag(variance)
        )
    jacobian = np.zeros((1, model.dim))
    scale = 1 + state.mean[YAW_SCALE]
    jacobian[0, GYROSCOPE_BIAS.start + 2] = -scale
    jacobian[0, YAW_SCALE], jacobian[0, YAW_OFFSET] = rate[2], 1.0
    residual = yaw - scale * rate[2] - state.mean[YAW_OFFSET]
    variance = yaw_variance(model, reading) * lasting + state.held["gyroscope"].variance[2]
    return Innovation(
        sensor=f"{reading.sensor} turning",
        residual=np.array([residual]),
        jacobian=jacobian,
        covariance=np.array([[variance]]),
    )


def yaw_variance(model: PoseModel, reading: Reading) -> float:
    """Variance of the wheels' rate of turn, (rad/s)2: the default, or the message's where it is less."""
    own = model.noise.wheel_yaw**2
    if reading.covariance is not None:
        own = min(own, float(reading.covariance[2, 2]))
    return own + float(model.noise.wheel_yaw_fraction * reading.value[2]) ** 2


def _orientation(model: PoseModel, state: PoseState, reading: Reading) -> Iterator[Innovation]:
    """A device's attitude: its tilt, and its heading where it is of the true north."""
    turn = rotations.log(rotations.multiply(reading.value, rotations.conjugate(state.attitude)))
    if not model.is_heading_given:
        upward = matrix_of(state.attitude) @ matrix_of(reading.value)[2]
        turn = np.array([upward[1], -upward[0], 0.0])
    rows = slice(0, 3 if model.is_heading_given else 2)
    jacobian = np.zeros((3, model.dim))
    jacobian[:, TURN] = np.eye(3)
    yield Innovation(
        sensor=reading.sensor,
        residual=turn[rows],
        jacobian=jacobian[rows],
        covariance=(np.eye(3) * model.noise.orientation**2)[rows, rows],
    )


def _heading(model: PoseModel, state: PoseState, reading: Reading) -> Innovation:
    """The magnetic north, told level by the state's own attitude."""
    field = matrix_of(state.attitude) @ reading.value
    azimuth = np.arctan2(field[0], field[1]) - model.declination_rad
    jacobian = np.zeros((1, model.dim))
    jacobian[0, TURN.start + 2] = 1.0
    return Innovation(
        sensor=reading.sensor,
        residual=np.array([np.arctan2(np.sin(azimuth), np.cos(azimuth))]),
        jacobian=jacobian,
        covariance=np.array([[model.noise.heading**2]]),
    )


def gravity(model: PoseModel, state: PoseState, sensor: str, force: Array, is_still: bool) -> Innovation | None:
    """Up, as the specific force points less what the body's turning makes of it; None where the body speeds up."""
    body = matrix_of(state.attitude).T @ state.mean[VELOCITY]
    if model.has_wheels and state.alignment is None:
        force = force - skew(rate_of(model, state)[1]) @ body
    size = float(np.linalg.norm(force))
    if abs(size - GRAVITY) > LEVEL_FORCE:
        return None
    upward = matrix_of(state.attitude) @ (force / size)
    jacobian = np.zeros((2, model.dim))
    jacobian[:, TURN.start : TURN.start + 2] = np.eye(2)
    moving = 0.0 if is_still else model.noise.gravity_moving
    variance = model.noise.gravity**2 + moving**2 + ((size - GRAVITY) / GRAVITY) ** 2
    if not model.has_wheels:  # every reading counts, for steps and blows average out over many
        variance *= _lasting(model.noise.gravity_lasting_s, state, "accelerometer")
    return Innovation(
        sensor=f"{sensor} upward",
        residual=np.array([upward[1], -upward[0]]),
        jacobian=jacobian,
        covariance=np.eye(2) * variance,
    )
