"""Motion between updates: the mean moves with each inertial reading, the covariance once for many (preintegration).

Rates come from the gyroscope, else from the wheels, else they are unknown and the doubt grows by what a body may do;
acceleration from the accelerometer where no wheels tell the speed (a vehicle's vibration and tilt leak into it, which
integrates to a false scale of the wheels), else a coordinated turn at constant speed with the doubt of accelerating.
Sources: Sola 2017, Quaternion kinematics for the error-state Kalman filter, sections 4 to 7 (global attitude error);
Forster, Carlone, Dellaert, Scaramuzza 2017, On-manifold preintegration, section VI.
"""

from dataclasses import replace

import numpy as np

from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.pose_state import (
    ACCELEROMETER_BIAS,
    BEACONS,
    GRAVITY,
    GYROSCOPE_BIAS,
    POSITION,
    RANGE_BIAS,
    TURN,
    VELOCITY,
    WANDER,
    WHEEL_SCALE,
    YAW_OFFSET,
    YAW_SCALE,
    Array,
    Held,
    Pending,
    PoseModel,
    PoseState,
)
from mainstem.adapters.sensor_fusion.turns import matrix_of, skew, turned_by

SPAN_S = 0.2  # longest time over which the covariance waits; the attitude's change within it is small
HOLD_PERIODS = 2.5  # an input is silent where it lacks two readings in a row
SHORTEST_HOLD_S = 0.02
MOVING = ("gyroscope", "accelerometer", "wheel")  # whose falling silent changes how the body is moved
UP = np.array([0.0, 0.0, GRAVITY])


def hold_s(held: Held) -> float:
    """How long a reading of an input stands for what follows it, s."""
    return max(HOLD_PERIODS * held.period, SHORTEST_HOLD_S)


def advance(model: PoseModel, state: PoseState, time: float) -> PoseState:
    """Move the mean to a time with the inputs held; the covariance follows at `settle`."""
    while state.time < time:
        ends = [held.time + hold_s(held) for kind, held in state.held.items() if kind in MOVING]
        until = min([time, state.time + SPAN_S, *(end for end in ends if end > state.time)])
        state = _move(model, state, until)
        if state.pending.span >= SPAN_S:
            state = settle(model, state)
    return state


def fresh(state: PoseState, name: str) -> Held | None:
    """The reading of an input that stands at the state's time, None where the input is silent."""
    held = state.held.get(name)
    return held if held is not None and state.time < held.time + hold_s(held) else None


def rate_of(model: PoseModel, state: PoseState) -> tuple[str, Array, Array]:
    """Return what measures the body's rate now, the rate (3,) rad/s and its noise (3,), rad2/s."""
    noise = model.noise
    held = fresh(state, "gyroscope")
    if held is not None:
        rate = held.value - state.mean[GYROSCOPE_BIAS]
        return "gyroscope", rate, held.variance * held.period + (noise.gyroscope_fraction * rate) ** 2
    tilt = noise.silent_tilt if model.has_wheels else noise.free_tilt
    held = fresh(state, "wheel")
    if held is not None and np.isfinite(held.value[2]):
        yaw = (held.value[2] - state.mean[YAW_OFFSET]) / (1 + state.mean[YAW_SCALE])
        spread = held.variance[2] * held.period
        return "wheel", np.array([0.0, 0.0, yaw]), np.array([tilt**2, tilt**2, spread])
    return "", np.zeros(3), np.array([tilt**2, tilt**2, noise.silent_yaw**2])


def _force_of(model: PoseModel, state: PoseState, rate: Array) -> tuple[str, Array, Array]:
    """Return what measures specific force now, the force (3,) m/s2 in the body and its noise (3,), m2/s3."""
    noise = model.noise
    held = fresh(state, "accelerometer")
    if held is not None and state.alignment is None and fresh(state, "wheel") is None:
        return "accelerometer", held.value - state.mean[ACCELEROMETER_BIAS], held.variance * held.period
    back = matrix_of(state.attitude).T
    climb = noise.silent_climb if model.has_wheels and state.alignment is None else noise.silent_speed
    doubt = np.array([noise.silent_speed, noise.silent_speed, climb]) ** 2
    force = back @ UP
    if model.has_wheels and state.alignment is None:
        force = force + skew(rate) @ back @ state.mean[VELOCITY]
    return "", force, doubt


def _move(model: PoseModel, state: PoseState, until: float) -> PoseState:
    """Move the mean over a time in which the inputs do not change."""
    span = until - state.time
    source, rate, rate_variance = rate_of(model, state)
    force_source, force, force_variance = _force_of(model, state, rate)
    if state.pending.span and state.pending.source != (source, force_source):
        state = settle(model, state)
    half = rate * (span / 2)
    middle = turned_by(state.attitude, half)
    turned = matrix_of(middle)
    acceleration = turned @ force - UP
    mean = state.mean.copy()
    mean[POSITION] += mean[VELOCITY] * span + acceleration * (span * span / 2)
    mean[VELOCITY] += acceleration * span
    mean[WANDER] *= np.exp(-span / model.noise.gnss_wander_s)
    old = state.pending
    pending = Pending(
        source=(source, force_source),
        span=old.span + span,
        turned=old.turned + turned * span,
        speed=old.speed + turned @ force * span,
        rate_variance=old.rate_variance + rate_variance * span,
        speed_variance=old.speed_variance + force_variance * span,
    )
    return replace(state, time=until, mean=mean, attitude=turned_by(middle, half), pending=pending)


def settle(model: PoseModel, state: PoseState) -> PoseState:
    """Bring the covariance up to the mean's time."""
    if state.pending.span == 0:
        return state
    change = transition(model, state)
    covariance = change @ state.covariance @ change.T
    covariance += _added(model, state)
    passage = None if state.passage is None else change @ state.passage
    return replace(state, covariance=(covariance + covariance.T) / 2, pending=Pending(), passage=passage)


def transition(model: PoseModel, state: PoseState) -> Array:
    """Return how errors (dim, dim) go over the pending span, first order in it."""
    pending, span = state.pending, state.pending.span
    change = np.eye(model.dim)
    change[POSITION, VELOCITY] = span * np.eye(3)
    if pending.source[0] == "gyroscope":
        change[TURN, GYROSCOPE_BIAS] = -pending.turned
    elif pending.source[0] == "wheel":
        change[TURN, YAW_OFFSET] = -pending.turned[:, 2] / (1 + state.mean[YAW_SCALE])
        yaw = rate_of(model, state)[1][2]
        change[TURN, YAW_SCALE] = -pending.turned[:, 2] * yaw / (1 + state.mean[YAW_SCALE])
    if pending.source[1] == "accelerometer":
        bent = -skew(pending.speed)
        change[VELOCITY, TURN], change[POSITION, TURN] = bent, bent * (span / 2)
        change[VELOCITY, ACCELEROMETER_BIAS] = -pending.turned
        change[POSITION, ACCELEROMETER_BIAS] = -pending.turned * (span / 2)
    elif model.has_wheels and state.alignment is None:  # velocity turns with the body, so it inherits the turn's error
        caused = -skew(state.mean[VELOCITY])
        for column in (GYROSCOPE_BIAS, YAW_OFFSET, YAW_SCALE):
            change[VELOCITY, column] += caused @ change[TURN, column]
    change[WANDER, WANDER] *= np.exp(-span / model.noise.gnss_wander_s)
    return change


def _added(model: PoseModel, state: PoseState) -> Array:
    """Noise (dim, dim) that the pending span adds."""
    noise, pending, span = model.noise, state.pending, state.pending.span
    turned = pending.turned / span
    added = np.zeros((model.dim, model.dim))
    turn = (turned * pending.rate_variance) @ turned.T
    added[TURN, TURN] = turn
    speed = (turned * pending.speed_variance) @ turned.T
    if pending.source[1] != "accelerometer" and model.has_wheels and state.alignment is None:
        caused = -skew(state.mean[VELOCITY])
        added[VELOCITY, TURN], added[TURN, VELOCITY] = caused @ turn, turn @ caused.T
        speed = speed + caused @ turn @ caused.T
    added[VELOCITY, VELOCITY] = speed
    added[POSITION, VELOCITY] = added[VELOCITY, POSITION] = speed * (span / 2)
    added[POSITION, POSITION] = speed * (span * span / 3)
    index = np.arange(model.dim)
    added[index, index] += _walks(noise, model.dim) * span
    decay = 1 - np.exp(-2 * span / noise.gnss_wander_s)
    added[index[WANDER], index[WANDER]] += wander_variance(noise) * decay
    return added


def wander_variance(noise: Noise) -> Array:
    """Variance (3,) of what fixes have in common, m2: upward twice the deviation (Groves 2013, section 9.3)."""
    return (noise.gnss_wander * np.array([1.0, 1.0, 2.0])) ** 2


def _walks(noise: Noise, dim: int) -> Array:
    """Variance a second (dim,) of what walks at random."""
    walks = np.zeros(dim)
    walks[GYROSCOPE_BIAS] = noise.gyroscope_bias_walk**2
    walks[ACCELEROMETER_BIAS] = noise.accelerometer_bias_walk**2
    walks[WHEEL_SCALE] = noise.wheel_scale_walk**2
    walks[YAW_SCALE], walks[YAW_OFFSET] = noise.wheel_scale_walk**2, noise.wheel_yaw_offset_walk**2
    walks[RANGE_BIAS] = walks[BEACONS:] = noise.range_bias_walk**2
    return walks
