"""The pose filter: readings in, pose with covariance out, one reading at a time, from whatever sensors there are.

An error-state Kalman filter (Sola 2017, sections 5 to 7) whose state is a plain value: how a stream is cut changes
nothing. What is learned in the stream: biases and scales of the sensors as states, and the noise of GNSS and ranges
from their innovations (Mehra 1972, Approaches to adaptive filtering, covariance matching).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mainstem.adapters.sensor_fusion.pose_alignment import align, begin
from mainstem.adapters.sensor_fusion.pose_motion import advance, fresh, settle, wander_variance
from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import (
    ACCELEROMETER_BIAS,
    BEACONS,
    GYROSCOPE_BIAS,
    POSITION,
    RANGE_BIAS,
    RANGE_SCALE,
    TURN,
    UNKNOWN_M,
    VELOCITY,
    WANDER,
    WHEEL_OFFSET,
    WHEEL_SCALE,
    YAW_OFFSET,
    YAW_SCALE,
    Alignment,
    Array,
    Held,
    Pose,
    PoseModel,
    PoseState,
    Tally,
    from_yaw,
)
from mainstem.adapters.sensor_fusion.pose_updates import Innovation, gravity, innovations, yaw_variance
from mainstem.core import rotations

GATE = {1: 10.83, 2: 13.82, 3: 16.27}  # 99.9 % of chi-squared: one true reading of a thousand is refused
PATIENCE = 20  # refused in a row, after which the sensor is believed to a part: the state may be what is wrong
LEARNING = 0.02  # of the logarithm of a noise's scale with each innovation
SCALES = (0.2, 25.0)  # least and largest scale of a variance
LEVEL_RAD = 0.05  # tilt of a body on wheels before anything has told it
INPUTS = ("gyroscope", "accelerometer", "wheel")
PERIOD_SHARE = 0.1  # of a new interval in the mean period


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where the body is at first, if that is known: place, m (ENU), heading, rad, with standard deviations."""

    position: tuple[float, float, float]
    yaw_rad: float
    position_m: float = 1.0
    yaw_deviation_rad: float = 0.1


def init_state(model: PoseModel, start: Start | None = None) -> PoseState:
    """Return the state before any reading; its time is NaN until the first."""
    noise, deviations = model.noise, np.zeros(model.dim)
    deviations[POSITION], deviations[VELOCITY] = UNKNOWN_M, 5.0
    deviations[TURN] = [LEVEL_RAD, LEVEL_RAD, np.pi] if model.has_wheels else np.pi
    deviations[GYROSCOPE_BIAS], deviations[ACCELEROMETER_BIAS] = (
        noise.gyroscope_bias_prior,
        noise.accelerometer_bias_prior,
    )
    deviations[[WHEEL_SCALE, WHEEL_OFFSET]] = noise.wheel_scale_prior, noise.wheel_offset_prior
    deviations[[YAW_SCALE, YAW_OFFSET]] = noise.wheel_yaw_scale_prior, noise.wheel_yaw_offset_prior
    deviations[WANDER] = np.sqrt(wander_variance(noise))
    deviations[[RANGE_BIAS, RANGE_SCALE]] = noise.range_bias_prior, noise.range_scale_prior
    deviations[BEACONS:] = noise.beacon_bias_prior
    mean, attitude = np.zeros(model.dim), from_yaw(0.0)
    alignment: Alignment | None = Alignment(start=np.nan)
    if start is not None:
        mean[POSITION], attitude, alignment = start.position, from_yaw(start.yaw_rad), None
        deviations[POSITION], deviations[TURN.start + 2] = start.position_m, start.yaw_deviation_rad
    return PoseState(time=np.nan, mean=mean, attitude=attitude, covariance=np.diag(deviations**2), alignment=alignment)


def step(model: PoseModel, state: PoseState, readings: Iterable[Reading]) -> tuple[PoseState, Pose]:
    """Take readings in the order in which they came, and return the state after them and its pose."""
    for reading in readings:
        state = take(model, state, reading)
    return state, pose_at(model, state, np.array([state.time]))


def take(model: PoseModel, state: PoseState, reading: Reading) -> PoseState:
    """Return the state after one reading; one older than the state is counted as late and not used."""
    if not np.isfinite(state.time):
        alignment = None if state.alignment is None else replace(state.alignment, start=reading.time)
        state = replace(state, time=reading.time, alignment=alignment)
    if not reading.time >= state.time:
        tally = state.tallies.get(reading.sensor, Tally())
        return _told(state, reading.sensor, replace(tally, late=tally.late + 1))
    if _is_spare(model, state, reading):
        return state
    state = advance(model, _between(state, reading), reading.time)
    state = _hold(model, state, reading) if reading.kind in INPUTS else state
    return _use(model, state, reading)


def _is_spare(model: PoseModel, state: PoseState, reading: Reading) -> bool:
    """True of a reading that tells nothing new: a device's attitude or heading while the error of its last one lasts.

    Nor is a compass believed on wheels, for the steel about it bends the field for good.
    """
    if reading.kind == "magnetometer" and model.has_wheels:
        return True
    lasting = {"orientation": model.noise.orientation_lasting_s, "magnetometer": model.noise.heading_lasting_s}
    tally = state.tallies.get(reading.sensor)
    return reading.kind in lasting and tally is not None and reading.time - tally.time < lasting[reading.kind]


def _between(state: PoseState, reading: Reading) -> PoseState:
    """Let the way to a new inertial reading be gone with the mean of the last and the new one."""
    held = fresh(state, reading.kind)
    if reading.kind not in ("gyroscope", "accelerometer") or held is None or held.sensor != reading.sensor:
        return state
    middle = replace(held, value=(held.value + reading.value) / 2)
    return replace(state, held={**state.held, reading.kind: middle})


def _hold(model: PoseModel, state: PoseState, reading: Reading) -> PoseState:
    """Keep the reading as the input that stands until the next; a second sensor of a kind only where one is silent."""
    old = state.held.get(reading.kind)
    if old is not None and old.sensor != reading.sensor:
        if fresh(state, reading.kind) is not None:
            return state
        old = None
    period = 0.0 if old is None else reading.time - old.time
    if old is not None and old.period > 0:
        period = old.period + PERIOD_SHARE * (min(period, 3 * old.period) - old.period)
    held = Held(
        sensor=reading.sensor,
        time=reading.time,
        value=reading.value,
        period=period,
        variance=_input_variance(model, reading, period),
    )
    return replace(state, held={**state.held, reading.kind: held})


def _input_variance(model: PoseModel, reading: Reading, period: float) -> Array:
    """Variance (3,) of one reading of an input, such that times the period it is the noise's density."""
    noise = model.noise
    if reading.kind == "wheel":
        lasting = max(1.0, noise.wheel_lasting_s / period) if period > 0 else 1.0
        return np.array([0.0, 0.0, yaw_variance(model, reading) * lasting])
    if reading.kind in ("gyroscope", "accelerometer"):
        density = noise.gyroscope_rad_rts if reading.kind == "gyroscope" else noise.accelerometer_m_rts
        default = np.full(3, density**2 / max(period, 1e-3))
        return default if reading.covariance is None else np.maximum(np.diag(reading.covariance), default)
    return np.zeros(3)


def _use(model: PoseModel, state: PoseState, reading: Reading) -> PoseState:
    """Correct the state by what a reading says."""
    if reading.kind == "gyroscope":
        return state
    if reading.kind == "accelerometer":
        told = _upward(model, state, reading)
        return state if told is None else absorb(model, settle(model, state), [told])
    state = settle(model, state)
    if state.alignment is not None:
        state = _find_heading(model, state, reading)
        if reading.kind == "wheel":
            return state
    told_all = list(innovations(model, state, reading))
    return absorb(model, state, told_all)


def _find_heading(model: PoseModel, state: PoseState, reading: Reading) -> PoseState:
    """Find the heading: of a magnetometer or a device that knows the north outright, else by a path and fixes."""
    is_told = reading.kind == "magnetometer" or (reading.kind == "orientation" and model.is_heading_given)
    if not is_told:
        return align(model, state, reading)
    turn = list(innovations(model, state, reading))[-1].residual[-1]
    return begin(state, float(turn), model.noise.heading)


def _upward(model: PoseModel, state: PoseState, reading: Reading) -> Innovation | None:
    """Level by gravity, on wheels once a lasting time; not of a body whose acceleration moves the state already."""
    tally = state.tallies.get(f"{reading.sensor} upward")
    if model.has_wheels and tally is not None and reading.time - tally.time <= model.noise.gravity_lasting_s:
        return None
    wheel = fresh(state, "wheel")
    if state.held["accelerometer"].sensor != reading.sensor or (
        wheel is None and state.alignment is None and tally is not None
    ):
        return None
    is_still = tally is None or (wheel is not None and not np.abs(np.nan_to_num(wheel.value)).any())
    return gravity(model, state, reading.sensor, reading.value - state.mean[ACCELEROMETER_BIAS], is_still)


def absorb(model: PoseModel, state: PoseState, told: list[Innovation]) -> PoseState:
    """Correct mean and covariance by innovations, one after another; those beyond the gate are refused and counted."""
    covariance, error = state.covariance, np.zeros(model.dim)
    tallies = dict(state.tallies)
    for innovation in told:
        tally = tallies.get(innovation.sensor, Tally())
        jacobian = innovation.jacobian
        residual = innovation.residual - jacobian @ error
        noise = innovation.covariance * tally.scale
        spread = jacobian @ covariance @ jacobian.T
        square = float(residual @ np.linalg.solve(spread + noise, residual))
        gate = GATE[len(residual)]
        is_refused = square > gate and tally.streak < PATIENCE
        tallies[innovation.sensor] = _counted(model, tally, innovation, square, is_refused, state.time)
        if is_refused:
            continue
        if square > gate:
            noise = noise + spread * (square / gate)
        seen = jacobian @ covariance
        gain = np.linalg.solve(spread + noise, seen).T
        error = error + gain @ residual
        covariance = covariance - gain @ seen
    moved = retract(state, error)
    return replace(moved, covariance=(covariance + covariance.T) / 2, tallies=tallies)


def _counted(
    model: PoseModel, tally: Tally, innovation: Innovation, square: float, is_refused: bool, time: float
) -> Tally:
    """The sensor's tally with one more innovation, and the scale of its noise after it."""
    scale = tally.scale
    if innovation.adapts and model.adapts:
        surplus = min(square / len(innovation.residual), 4.0) - 1
        scale = float(np.clip(scale * np.exp(LEARNING * surplus), *SCALES))
    if is_refused:
        return replace(tally, refused=tally.refused + 1, streak=tally.streak + 1, scale=scale, time=time)
    return replace(tally, used=tally.used + 1, streak=0, scale=scale, time=time)


def retract(state: PoseState, error: Array) -> PoseState:
    """Return the state moved by an error (dim,)."""
    mean = state.mean + error
    mean[TURN] = 0.0
    attitude = rotations.normalise(rotations.multiply(rotations.exp(error[TURN]), state.attitude))
    return replace(state, mean=mean, attitude=attitude)


def _told(state: PoseState, sensor: str, tally: Tally) -> PoseState:
    return replace(state, tallies={**state.tallies, sensor: tally})


def ahead(model: PoseModel, state: PoseState, time: float) -> PoseState:
    """Return the state moved on to a time with the inputs held, its covariance brought up to it."""
    return settle(model, advance(model, state, time))


def pose_at(model: PoseModel, state: PoseState, times: Array) -> Pose:
    """Return the pose at ascending times not before the state's, the doubt grown to each."""
    positions, attitudes, covariances = [], [], []
    rows = np.r_[0:3, 6:9]
    for time in times:
        state = ahead(model, state, float(time))
        positions.append(state.mean[POSITION])
        attitudes.append(state.attitude)
        covariances.append(state.covariance[np.ix_(rows, rows)])
    return Pose(
        times=np.asarray(times, dtype=np.float64),
        position=np.array(positions).reshape(-1, 3),
        attitude=np.array(attitudes).reshape(-1, 4),
        covariance=np.array(covariances).reshape(-1, 6, 6),
    )


def lateness(state: PoseState) -> Mapping[str, int]:
    """Return how many readings of each sensor came too late to be used; those with any."""
    return {name: tally.late for name, tally in state.tallies.items() if tally.late}
