"""The attitude filter: an error-state Kalman filter of how an inertial sensor lies, from any subset of its three parts.

Beside the attitude it tracks velocity and place, which hang about zero, so that gravity can be told from
acceleration; the rate, which goes on in a gyroscope's silence; biases; the earth's field, what disturbs it, the field
that the body itself carries; and how late the magnetometer is. The error of the attitude is told in the earth's axes:
truth = exp(error) * estimate. Source: Sola 2017, Quaternion kinematics for the error-state Kalman filter, sections
5-7 (errors there in the sensor's axes).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.afresh import Afresh, attitude_of, go_on, is_due, nothing_afresh, turned_apart
from mainstem.adapters.sensor_fusion.blocks import Block, integrate
from mainstem.adapters.sensor_fusion.compiled import (
    compiled,
    conjugate,
    exp,
    log,
    multiply,
    normalise,
    rotate,
    skew,
    to_matrix,
)  # fmt: skip
from mainstem.adapters.sensor_fusion.rest import REST_S, Still, hold_still, noise_at_rest, nothing_still
from mainstem.adapters.sensor_fusion.settings import Settings

Array = NDArray[np.float64]
GRAVITY = 9.80665  # m/s2, standard: what a resting accelerometer reads upward
ATTITUDE, VELOCITY, PLACE, GYR_BIAS, RATE, FIELD, DISTURBANCE, IRON, ACC_BIAS, LAG = (
    0, 3, 6, 9, 12, 15, 17, 20, 23, 26,
)  # fmt: skip
NUM_ERRORS, NUM_OBSERVED = 27, 9
TILT_DOUBT, HEADING_DOUBT = 0.1, 0.2  # rad, of what the first block tells
NO_HEADING = np.pi / np.sqrt(3)  # rad, standard deviation of a heading that may be any
FIRST_HEADING = 1e-3  # rad, of one that headings count from
HEARD_RATE = 0.05  # rad/s, doubt of a rate that the gyroscope tells
LEVEL_S = 3.0  # for how long a motion's vigour is remembered
MOST_SURPRISE, MOST_DOUBT = 9.0, 10.0  # of the field, and of what is made of it
ODD_S = 2.0  # for how long a surprise is remembered
LEAST_DOUBT = 0.15  # rad, of an attitude found afresh
ODD_ACC = 3.0  # m/s2/sqrt(Hz), of the acceleration while no accelerometer tells it


class State(NamedTuple):
    """What the filter knows; a plain value, which no step changes.

    Attributes:
        quat: earth from sensor (4,).
        velocity, place: (3,) m/s and m, in earth axes, about where the sensor hangs about.
        gyr_bias, rate: (3,) rad/s, in the sensor's axes.
        field: north and up parts (2,) of the earth's field, uT.
        disturbance: of the field (3,), in earth axes, uT.
        iron: the field that the body carries (3,), in the sensor's axes, uT.
        acc_bias: (3,) m/s2.
        lag: of the magnetometer, s.
        covariance: of the errors (27, 27).
        turning, moving: mean squares of late of the rate, rad2/s2, and of the acceleration, m2/s4.
        doubt: how many times larger the field's noise is taken to be than at rest, as it surprises.
        odd: how much the field surprised of late, on average.
        afresh: what is summed since a silence of the gyroscope.
        still: how still the sensor has been of late.
        turned: net turn about the vertical since a field was last seen, rad, by which an error of scale grows.
        is_level, has_field: whether gravity, and the earth's field, was ever heard.
    """

    quat: Array
    velocity: Array
    place: Array
    gyr_bias: Array
    rate: Array
    field: Array
    disturbance: Array
    iron: Array
    acc_bias: Array
    lag: float
    covariance: Array
    turning: float
    moving: float
    doubt: float
    odd: float
    afresh: Afresh
    still: Still
    turned: float
    is_level: bool
    has_field: bool


class Step(NamedTuple):
    """One step: what was known before the field was weighed in, how errors went over, and what is known after."""

    before: State
    after: State
    transition: Array
    block: Block


@compiled
def begin(settings: Settings, has_north: bool) -> State:
    """Return what is known before anything is heard: nothing; where no north will be, headings count from the first."""
    sigma = np.empty(NUM_ERRORS)
    sigma[ATTITUDE:VELOCITY] = NO_HEADING
    if not has_north:
        sigma[2] = FIRST_HEADING
    sigma[VELOCITY:PLACE] = settings.speed + settings.speed_share
    sigma[PLACE:GYR_BIAS] = settings.place + settings.place_share
    sigma[GYR_BIAS:RATE] = settings.gyr_bias
    sigma[RATE:FIELD] = 1.0
    sigma[FIELD:DISTURBANCE] = settings.field
    sigma[DISTURBANCE:IRON] = settings.disturbance
    sigma[IRON:ACC_BIAS] = settings.iron
    sigma[ACC_BIAS:LAG] = settings.acc_bias
    sigma[LAG] = settings.lag_doubt
    zero = np.zeros(3)
    return State(
        np.array([1.0, 0.0, 0.0, 0.0]), zero, zero, zero, zero, np.zeros(2), zero, zero, zero, settings.lag,
        np.diag(sigma**2), 1.0, 1.0, 1.0, 0.0, nothing_afresh(0.0), nothing_still(),
        0.0, False, False,
    )  # fmt: skip


@compiled
def step(state: State, samples: Array, steps_s: Array, settings: Settings) -> Step:
    """Take in one block of samples (samples, 9): rad/s, m/s2, uT; NaN where absent; each stands for so many seconds."""
    seconds = steps_s.sum()
    block = integrate(samples, steps_s, state.gyr_bias, state.rate)
    if not state.is_level and block.has_acc:
        state = find_level(state, block)
    if not state.has_field and state.is_level and block.has_mag:
        state = find_north(state, block)
    before, transition = propagate(state, block, settings, seconds)
    after, surprise = correct(before, block, settings, seconds)
    after = learn_at_rest(after, block.rate + state.gyr_bias, settings, seconds)
    after = doubt_field(after, surprise, settings, seconds)
    after = find_afresh(after, go_on(after.afresh, block, after.iron, seconds), settings)
    return Step(before, after, transition, block)


@compiled
def find_level(state: State, block: Block) -> State:
    """Return the state levelled by the first force that is heard."""
    up = block.force / np.sqrt((block.force**2).sum() + 1e-12)
    axis = np.array([up[1], -up[0], 0.0])  # up x earth's up
    sine = np.sqrt((axis**2).sum())
    if sine < 1e-9:
        axis, sine = np.array([1.0, 0.0, 0.0]), 1e-9
    level = exp(axis / sine * np.arctan2(sine, up[2]))
    covariance, heading = state.covariance.copy(), state.covariance[2, 2]
    covariance[:VELOCITY, :] = 0.0
    covariance[:, :VELOCITY] = 0.0
    covariance[0, 0] = covariance[1, 1] = TILT_DOUBT**2
    covariance[2, 2] = heading
    return with_attitude(state, level, state.field, covariance, state.has_field)


@compiled
def find_north(state: State, block: Block) -> State:
    """Return the level state turned to the north by the first field that is seen, which tells what the field is."""
    told = rotate(multiply(state.quat, block.turns[-1]), block.field)
    north = multiply(exp(np.array([0.0, 0.0, np.arctan2(told[0], told[1])])), state.quat)
    covariance = state.covariance.copy()
    covariance[2, :] = 0.0
    covariance[:, 2] = 0.0
    covariance[2, 2] = HEADING_DOUBT**2
    return with_attitude(state, north, np.array([np.hypot(told[0], told[1]), told[2]]), covariance, True)


@compiled
def find_afresh(state: State, afresh: Afresh, settings: Settings) -> State:
    """Return the state with new sums; turned as they say, where that is due and far from what was believed.

    Far is more than the sums may err by: a velocity that changed meanwhile tips the force that they have for gravity.
    """
    quat, covariance, velocity, place = state.quat, state.covariance, state.velocity, state.place
    if state.has_field and is_due(state.afresh, afresh):
        told = attitude_of(afresh, state.field)
        speed = settings.speed + settings.speed_share * np.sqrt(state.moving)
        lever = GRAVITY * state.field[0] / np.sqrt((state.field**2).sum() + 1e-12)  # across the field
        doubt = min(max(np.sqrt(2.0) * speed / (afresh.since_s * lever + 1e-6), LEAST_DOUBT), 1.0)
        if turned_apart(told, quat) > settings.afar * doubt:
            quat, velocity, place = told, np.zeros(3), np.zeros(3)
            covariance = covariance.copy()
            covariance[:GYR_BIAS, :] = 0.0
            covariance[:, :GYR_BIAS] = 0.0
            hangs = settings.place + settings.place_share * np.sqrt(state.moving)
            for index in range(3):
                covariance[index, index] = doubt**2
                covariance[VELOCITY + index, VELOCITY + index] = speed**2
                covariance[PLACE + index, PLACE + index] = hangs**2
    return State(
        quat, velocity, place, state.gyr_bias, state.rate, state.field, state.disturbance, state.iron,
        state.acc_bias, state.lag, covariance, state.turning, state.moving, state.doubt, state.odd, afresh,
        state.still, state.turned, state.is_level, state.has_field,
    )  # fmt: skip


@compiled
def with_attitude(state: State, quat: Array, field: Array, covariance: Array, has_field: bool) -> State:
    """Return a state that is level."""
    return State(
        quat, state.velocity, state.place, state.gyr_bias, state.rate, field, state.disturbance, state.iron,
        state.acc_bias, state.lag, covariance, state.turning, state.moving, state.doubt, state.odd,
        state.afresh, state.still, state.turned, True, has_field,
    )  # fmt: skip


@compiled
def propagate(state: State, block: Block, settings: Settings, seconds: float) -> tuple[State, Array]:
    """Return what is known at a block's end before its force and field are weighed in, and how errors went over."""
    heard, felt = block.has_gyr, block.has_acc
    middle = multiply(state.quat, block.turns[len(block.turns) // 2])
    halfway = to_matrix(middle) * seconds
    force = rotate(state.quat, block.force) - rotate(middle, state.acc_bias)
    push = np.zeros(3)
    if felt:
        push = force - np.array([0.0, 0.0, GRAVITY])
    turn_kept, speed_kept = np.exp(-seconds / settings.turn_s), np.exp(-seconds / settings.speed_s)
    calmed = np.exp(-seconds / settings.disturbance_s)
    over = np.eye(NUM_ERRORS)
    if heard:
        over[ATTITUDE:VELOCITY, GYR_BIAS:RATE] = -halfway
        over[RATE:FIELD, RATE:FIELD] = 0.0
    else:
        over[ATTITUDE:VELOCITY, RATE:FIELD] = halfway
        over[RATE:FIELD, RATE:FIELD] *= turn_kept
    if felt:
        tipped = -skew(force) * seconds
        over[VELOCITY:PLACE, ATTITUDE:VELOCITY] = tipped
        over[PLACE:GYR_BIAS, ATTITUDE:VELOCITY] = tipped * (seconds / 2)
        over[VELOCITY:PLACE, ACC_BIAS:LAG] = -halfway
    else:
        over[VELOCITY:PLACE, VELOCITY:PLACE] *= speed_kept
    over[PLACE:GYR_BIAS, VELOCITY:PLACE] += np.eye(3) * seconds
    over[DISTURBANCE:IRON, DISTURBANCE:IRON] *= calmed
    covariance = over @ state.covariance @ over.T
    added = noise_of(state, block, np.sqrt((push**2).sum()), settings, seconds)
    for index in range(NUM_ERRORS):
        covariance[index, index] += added[index]
    share = 1 - np.exp(-seconds / LEVEL_S)
    after = State(
        normalise(multiply(state.quat, block.turns[-1])),
        state.velocity + push * seconds if felt else state.velocity * speed_kept,
        state.place + state.velocity * seconds + push * (seconds**2 / 2),
        state.gyr_bias,
        block.rate if heard else state.rate * turn_kept,
        state.field,
        state.disturbance * calmed,
        state.iron,
        state.acc_bias,
        state.lag,
        covariance,
        state.turning + ((block.rate**2).sum() - state.turning) * share if heard else state.turning,
        state.moving + ((push**2).sum() - state.moving) * share if heard and felt else state.moving,
        state.doubt,
        state.odd,
        state.afresh,
        hold_still(state.still, block, state.gyr_bias, seconds),
        0.0 if block.has_mag and state.has_field else state.turned + rotate(middle, block.rate)[2] * seconds,
        state.is_level,
        state.has_field,
    )
    return after, over


@compiled
def noise_of(state: State, block: Block, pushed: float, settings: Settings, seconds: float) -> Array:
    """Return what a block adds to the variances of errors (27,)."""
    turned = np.sqrt((block.rate**2).sum()) * seconds
    calmed, turn_kept = np.exp(-seconds / settings.disturbance_s), np.exp(-seconds / settings.turn_s)
    rate_now = settings.turn**2 + settings.turn_share**2 * state.turning
    added = np.zeros(NUM_ERRORS)
    added[ATTITUDE:VELOCITY] = settings.gyr**2 * seconds + (settings.gyr_scale * turned) ** 2
    if block.has_gyr:
        added[ATTITUDE:VELOCITY] += block.silent * rate_now * seconds**2
        added[RATE:FIELD] = HEARD_RATE**2
    else:
        added[RATE:FIELD] = rate_now * (1 - turn_kept**2)
    loose = settings.acc**2 + (settings.acc_scale * pushed) ** 2 if block.has_acc else ODD_ACC**2
    added[VELOCITY:PLACE] = loose * seconds
    added[PLACE:GYR_BIAS] = loose * seconds**3 / 3
    added[GYR_BIAS:RATE] = settings.gyr_bias_walk**2 * seconds
    added[FIELD:DISTURBANCE] = settings.field_walk**2 * seconds
    added[DISTURBANCE:IRON] = (state.doubt * settings.disturbance) ** 2 * (1 - calmed**2)
    added[IRON:ACC_BIAS] = settings.iron_walk**2 * seconds
    added[ACC_BIAS:LAG] = settings.acc_bias_walk**2 * seconds
    return added


@compiled
def correct(state: State, block: Block, settings: Settings, seconds: float) -> tuple[State, float]:
    """Weigh in the field, and that velocity and place hang about zero; return how surprising the field was too.

    That is its squared innovation over what was expected: 1 on average where all is well, NaN where none was seen.
    That things hang about tells no heading, but about estimates that move it seems to: where no field is seen the
    heading and its doubt are left alone (Schmidt 1966, Application of state-space methods to navigation problems).
    """
    observed = np.zeros((NUM_OBSERVED, NUM_ERRORS))
    innovation, noise = np.empty(NUM_OBSERVED), np.empty(NUM_OBSERVED)
    vigour, missed = np.sqrt(state.moving), np.zeros(3)
    noise[:3] = (state.doubt * settings.mag) ** 2
    if block.has_mag and state.has_field:
        matrix, missed = expect_field(state, block)
        observed[:3] = matrix
        odd = np.sqrt(((block.field - state.iron) ** 2).sum()) - np.sqrt((state.field**2).sum())
        known = np.sqrt(np.trace(state.covariance[IRON:ACC_BIAS, IRON:ACC_BIAS]))
        odd = max(0.0, np.abs(odd) - known)
        turning = np.sqrt((block.rate**2).sum())
        noise[:3] += (settings.mag_rate * turning) ** 2 + (settings.mag_odd * odd) ** 2
    for index in range(3):
        observed[3 + index, VELOCITY + index] = 1.0
        observed[6 + index, PLACE + index] = 1.0
    innovation[:3], innovation[3:6], innovation[6:] = missed, -state.velocity, -state.place
    noise[3:6] = (settings.speed + settings.speed_share * vigour) ** 2 * (2 * settings.speed_s / seconds)
    noise[6:] = (settings.place + settings.place_share * vigour) ** 2 * (2 * settings.place_s / seconds)
    shared = state.covariance @ observed.T
    spread = observed @ shared
    for index in range(NUM_OBSERVED):
        spread[index, index] += noise[index]
    surprise = (missed * np.linalg.solve(spread[:3, :3].copy(), missed)).sum() / 3
    heavy = max(1.0, surprise / settings.mag_clip**2) - 1
    for index in range(3):
        spread[index, index] += heavy * noise[index]
    gain = np.linalg.solve(spread, shared.T.copy()).T.copy()
    told = gain @ shared.T.copy()
    if not block.has_mag:
        gain[2] = 0.0
        told[2, 2] = 0.0
    covariance = state.covariance - told
    moved = move(state, gain @ innovation, (covariance + covariance.T) / 2)
    return moved, surprise if block.has_mag and state.has_field else np.nan


@compiled
def learn_at_rest(state: State, told: Array, settings: Settings, seconds: float) -> State:
    """Return the state that takes what the gyroscope told (3,), rad/s, for its bias, if the sensor is at rest."""
    if state.still.since_s < REST_S:
        return state
    shared = state.covariance[:, GYR_BIAS:RATE].copy()
    spread = shared[GYR_BIAS:RATE] + np.eye(3) * noise_at_rest(settings.gyr, seconds)
    gain = np.linalg.solve(spread, shared.T.copy()).T.copy()
    covariance = state.covariance - gain @ shared.T.copy()
    return move(state, gain @ (told - state.gyr_bias), (covariance + covariance.T) / 2)


@compiled
def doubt_field(state: State, surprise: float, settings: Settings, seconds: float) -> State:
    """Return the state that doubts the field more where it surprises.

    Where that goes on, what the body carries has changed, and is learned anew.

    Source: adaptive measurement noise after Mehra 1972, Approaches to adaptive filtering, by the innovations' size.
    """
    if np.isnan(surprise):
        return state
    most = min(surprise, MOST_SURPRISE)
    doubt = min(max(state.doubt * np.exp(settings.doubt_share * (most - 1) * seconds), 1.0), MOST_DOUBT)
    share = 1 - np.exp(-seconds / ODD_S)
    odd = state.odd + (min(surprise, settings.odd_limit * 10) - state.odd) * share
    covariance = state.covariance
    if odd > settings.odd_limit:
        covariance = covariance.copy()
        for index in range(IRON, ACC_BIAS):
            covariance[index, index] += settings.iron_shock**2
        odd, doubt = 0.0, 1.0
    return State(
        state.quat, state.velocity, state.place, state.gyr_bias, state.rate, state.field, state.disturbance, state.iron,
        state.acc_bias, state.lag, covariance, state.turning, state.moving, doubt, odd, state.afresh,
        state.still, state.turned, state.is_level, state.has_field,
    )  # fmt: skip


@compiled
def expect_field(state: State, block: Block) -> tuple[Array, Array]:
    """Return how the field told depends on the errors (3, 27), and how far it is from what is expected (3,), uT."""
    earth = state.disturbance + np.array([0.0, state.field[0], state.field[1]])
    turned = to_matrix(multiply(exp(block.rate * state.lag), conjugate(state.quat)))  # the axes that it was told in
    seen = turned @ earth
    matrix = np.zeros((3, NUM_ERRORS))
    matrix[:, ATTITUDE:VELOCITY] = turned @ skew(earth)
    matrix[:, FIELD:DISTURBANCE] = turned[:, 1:]
    matrix[:, DISTURBANCE:IRON] = turned
    matrix[:, IRON:ACC_BIAS] = np.eye(3)
    matrix[:, LAG] = np.cross(block.rate, seen)
    return matrix, block.field - seen - state.iron


@compiled
def move(state: State, errors: Array, covariance: Array) -> State:
    """Return the state that lies by errors (27,) from one."""
    return State(
        normalise(multiply(exp(errors[ATTITUDE:VELOCITY]), state.quat)),
        state.velocity + errors[VELOCITY:PLACE],
        state.place + errors[PLACE:GYR_BIAS],
        state.gyr_bias + errors[GYR_BIAS:RATE],
        state.rate + errors[RATE:FIELD],
        state.field + errors[FIELD:DISTURBANCE],
        state.disturbance + errors[DISTURBANCE:IRON],
        state.iron + errors[IRON:ACC_BIAS],
        state.acc_bias + errors[ACC_BIAS:LAG],
        state.lag + errors[LAG],
        covariance,
        state.turning,
        state.moving,
        state.doubt,
        state.odd,
        state.afresh,
        state.still,
        state.turned,
        state.is_level,
        state.has_field,
    )


@compiled
def apart(state: State, other: State) -> Array:
    """Return the errors (27,) by which another state lies from one: `move` undone."""
    errors = np.empty(NUM_ERRORS)
    errors[ATTITUDE:VELOCITY] = log(multiply(other.quat, conjugate(state.quat)))
    errors[VELOCITY:PLACE] = other.velocity - state.velocity
    errors[PLACE:GYR_BIAS] = other.place - state.place
    errors[GYR_BIAS:RATE] = other.gyr_bias - state.gyr_bias
    errors[RATE:FIELD] = other.rate - state.rate
    errors[FIELD:DISTURBANCE] = other.field - state.field
    errors[DISTURBANCE:IRON] = other.disturbance - state.disturbance
    errors[IRON:ACC_BIAS] = other.iron - state.iron
    errors[ACC_BIAS:LAG] = other.acc_bias - state.acc_bias
    errors[LAG] = other.lag - state.lag
    return errors
