"""The health of an inertial unit's three sensors at each sample, from it and those before it alone.

Single readings tell what is absent, stuck or saturated (`health_runs`), roughness what is noisy (`health_noise`), and
what three sensors say of one motion what is biased or skewed (`health_parity`). What a sensor at fault says is handed
to no judgement that would lay it on another.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.compiled import compiled, exp, multiply, normalise, to_matrix
from mainstem.adapters.sensor_fusion.health_limits import HealthLimits
from mainstem.adapters.sensor_fusion.health_noise import judge_noise
from mainstem.adapters.sensor_fusion.health_parity import (
    FEWEST_BEFORE,
    FIELD,
    FORCE,
    LAG_S,
    RATE,
    WINDOWS,
    best_fault,
    explain,
)
from mainstem.adapters.sensor_fusion.health_runs import hear, is_suspect, repeated_s, word_of_runs
from mainstem.adapters.sensor_fusion.health_state import (
    BIAS_SCORE,
    BIASED,
    BLOCK_S,
    CONFIRM,
    HEALTHY,
    JUDGED,
    KEPT,
    NUM_SCORES,
    REPEAT_SCORE,
    SATURATED,
    SKEWED,
    STUCK_SCORE,
    Codes,
    HealthState,
    begin_health,
)  # fmt: skip

Array = NDArray[np.float64]
HOLD_SATURATED_S, HOLD_SKEWED_S = 0.25, 2.0  # for how long a word lasts beyond what led to it
HOLD_BIASED_S = 30.0  # of a bias that nothing takes back
TAKEN_BACK = 0.25  # of a bias: a jump by so much of it, first seen in part, ends it
GAP_S = 0.5  # a longer step breaks the history


def judge_health(samples: Array, steps_s: Array, limits: HealthLimits) -> Codes:
    """Return the code of each sensor at each sample (samples, 3), words of which are in STATES.

    Args:
        samples: (samples, 9) rad/s, m/s2, uT; NaN where absent.
        steps_s: (samples,) how long each stands for, s: to it from the one before.
        limits: of what is healthy.
    """
    return step_health(begin_health(), samples, steps_s, limits)[1]


def step_health(
    state: NDArray[Any], samples: Array, steps_s: Array, limits: HealthLimits
) -> tuple[NDArray[Any], Codes]:
    """Take in any number of samples; return what is then known, and their codes (samples, 3)."""
    after, codes, _ = _judge(state, samples, steps_s, limits, 0)
    return after, codes


def score_health(samples: Array, steps_s: Array, limits: HealthLimits) -> Array:
    """Return what limits are put on (samples, 15): three columns each of stuck, saturated, noisy, biased, skewed."""
    return _judge(begin_health(), samples, steps_s, limits, len(samples))[2]


def _judge(
    state: NDArray[Any], samples: Array, steps_s: Array, limits: HealthLimits, num_scores: int
) -> tuple[NDArray[Any], Codes, Array]:
    """Judge on a copy of the state."""
    after = state.copy()
    codes, scores = np.zeros((len(samples), 3), np.int8), np.zeros((num_scores, NUM_SCORES))
    judge_samples(after, np.ascontiguousarray(samples, np.float64), steps_s, limits.table(), codes, scores)
    return after, codes, scores


@compiled
def judge_samples(
    states: NDArray[Any], samples: Array, steps_s: Array, limits: Array, codes: Codes, scores: Array
) -> None:
    """Write codes, and scores where there is room; the one state (1,) is changed."""
    state, told = states[0], np.zeros(NUM_SCORES)
    for index in range(len(samples)):
        step_s = max(steps_s[index], 0.0)
        if step_s > GAP_S:
            state.counts[0] = 0
        hear(state, samples[index], step_s)
        told[:] = 0.0
        for sensor in range(3):
            codes[index, sensor] = word_of_runs(state, sensor, limits)
            told[STUCK_SCORE * 3 + sensor] = state.same_s[sensor]
            told[REPEAT_SCORE * 3 + sensor] = repeated_s(state, sensor)
        state.elapsed_s[0] += step_s
        if state.elapsed_s[0] >= BLOCK_S:
            close_block(state, codes[index], limits, told)
        hold(state, codes[index], step_s)
        if index < len(scores):
            scores[index] = told


@compiled
def hold(state: HealthState, codes: Codes, step_s: float) -> None:
    """Let words last: a code of healthy (3,) becomes the word that the sensor was given of late."""
    for sensor in range(3):
        state.held_s[sensor] -= step_s
        if state.held_s[sensor] <= 0.0:
            if state.named[sensor] == BIASED:
                forget(state, sensor)
            state.named[sensor] = HEALTHY
        if codes[sensor] == SATURATED and state.named[sensor] != BIASED:
            state.named[sensor], state.held_s[sensor] = SATURATED, HOLD_SATURATED_S
        elif codes[sensor] == HEALTHY:
            codes[sensor] = state.named[sensor]


@compiled
def forget(state: HealthState, sensor: int) -> None:
    """Take a bias for what is usual."""
    state.bias[sensor] = 0.0
    state.counts[0] = 0
    state.agreed[:] = 0.0


@compiled
def close_block(state: HealthState, codes: Codes, limits: Array, told: Array) -> None:
    """Judge roughness and parity at a block's end, and begin the next."""
    judge_noise(state, limits, told)
    if is_whole(state, codes, 0):
        add_block(state, codes)
        suspect = is_suspect(state, 0, limits) or is_suspect(state, 1, limits) or is_suspect(state, 2, limits)
        judge_parity(state, limits, told, suspect)
    else:
        state.counts[0] = 0
        state.agreed[:] = 0.0
    state.sums[:] = 0.0
    state.nums[:] = 0.0
    state.rough[:] = 0.0
    state.num_rough[:] = 0.0
    state.elapsed_s[0] = 0.0


@compiled
def is_whole(state: HealthState, codes: Codes, sensor: int) -> bool:
    """Whether a block holds readings of a sensor that are what it felt, up to a bias or a delay."""
    fine = state.named[sensor] == HEALTHY or state.named[sensor] == BIASED or state.named[sensor] == SKEWED
    return bool(codes[sensor] == HEALTHY and fine and state.nums[sensor] > 0)


@compiled
def add_block(state: HealthState, codes: Codes) -> None:
    """Turn a block's means by the gyroscope into the frame of the beginning, and keep them."""
    rate = state.sums[:3] / state.nums[0] - state.bias[0]
    half = exp(rate * (state.elapsed_s[0] / 2))
    middle = multiply(state.quat[:], half)
    state.quat[:] = normalise(multiply(middle, half))
    turn, place = to_matrix(middle), state.counts[1] % KEPT
    row = state.told[place]
    row[:] = np.nan
    row[RATE:] = turn @ rate
    for sensor, first in ((1, FORCE), (2, FIELD)):
        if is_whole(state, codes, sensor):
            mean = state.sums[3 * sensor : 3 * sensor + 3] / state.nums[sensor] - state.bias[sensor]
            row[first : first + 3] = turn @ mean
    row[FIELD:RATE] -= LAG_S * np.cross(row[RATE:], row[FIELD:RATE])
    state.turns[place] = turn
    state.steps_s[place] = state.elapsed_s[0]
    state.counts[1] += 1
    state.counts[0] = min(state.counts[0] + 1, KEPT)


@compiled
def judge_parity(state: HealthState, limits: Array, told: Array, suspect: bool) -> None:
    """Name the sensor whose bias or delay explains, for a while, why the three disagree."""
    newest, kept = state.counts[1] - 1, state.counts[0]
    if newest % JUDGED:
        return
    agreed = state.agreed[newest // JUDGED % CONFIRM]
    agreed[:] = 0.0
    most, bias = 0.0, np.zeros(3)
    if suspect:
        return
    for num in WINDOWS:
        if kept < num + FEWEST_BEFORE:
            break
        explained, biases, lags = explain(state, newest, num, kept)
        fault = best_fault(explained, biases, lags, num)
        if fault >= 0 and explained[fault] > most:
            most = explained[fault]
            agreed[:] = 0.0
            agreed[fault] = most
            if fault < 3:
                bias = biases[fault]
    for fault in range(6):
        score = state.agreed[:, fault].min()
        told[BIAS_SCORE * 3 + fault] = score
        if score > limits[BIAS_SCORE + fault // 3, fault % 3]:
            name_parity(state, fault, bias)


@compiled
def name_parity(state: HealthState, fault: int, bias: Array) -> None:
    """Give a sensor its word; a bias is taken off from then on, until a jump takes it back."""
    sensor = fault % 3
    for other in range(3):
        if other != sensor and state.named[other] == SKEWED:
            return  # one fault at a time: the others disagree with it
    if fault >= 3:
        if state.named[sensor] != BIASED:
            state.named[sensor], state.held_s[sensor] = SKEWED, HOLD_SKEWED_S
        return
    known, back = 0.0, 0.0
    for axis in range(3):
        known += state.bias[sensor, axis] ** 2
        back -= state.bias[sensor, axis] * bias[axis]
    if known > 0 and back > TAKEN_BACK * known:
        state.named[sensor] = HEALTHY
        forget(state, sensor)
        return
    after = state.bias[sensor] + bias
    forget(state, sensor)
    state.bias[sensor] = after
    state.named[sensor], state.held_s[sensor] = BIASED, HOLD_BIASED_S
