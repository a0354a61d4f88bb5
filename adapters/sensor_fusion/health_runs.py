"""What single readings tell of health: none comes, the same comes again, an axis rests at its extreme."""

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.compiled import compiled
from mainstem.adapters.sensor_fusion.health_state import (
    ABSENT,
    HEALTHY,
    REPEAT_SCORE,
    SATURATED,
    STUCK,
    STUCK_SCORE,
    HealthState,
)  # fmt: skip

Array = NDArray[np.float64]
ABSENT_S = 0.05
GAPS = 3.0  # times the usual time between readings, that a slow sensor may be silent; it may repeat twice as many
USUAL_SHARE, LONGEST_GAP_S = 0.1, 0.5  # how fast the usual time is learned, and the most that one gap counts
PEAK_S = 0.3  # for how long a largest reading is remembered
AT_PEAK = 0.999


@compiled
def hear(state: HealthState, row: Array, step_s: float) -> None:
    """Take in one sample (9,), written into the state's arrays."""
    for sensor in range(3):
        start = 3 * sensor
        state.silent_s[sensor] += step_s
        if not np.isfinite(row[start : start + 3]).all():
            continue
        gap_s, same = state.silent_s[sensor], True
        state.silent_s[sensor] = 0.0
        if gap_s > max(ABSENT_S, GAPS * state.usual_s[sensor]):
            state.last[start : start + 3] = np.nan
            state.before[start : start + 3] = np.nan
        share = USUAL_SHARE if state.usual_s[sensor] > 0 else 1.0
        state.usual_s[sensor] += share * (min(gap_s, LONGEST_GAP_S) - state.usual_s[sensor])
        difference, has_before = 0.0, np.isfinite(state.before[start])
        for axis in range(start, start + 3):
            value = row[axis]
            difference += np.abs(value - 2 * state.last[axis] + state.before[axis])
            if value == state.last[axis]:
                state.axis_s[axis] += gap_s
            else:
                state.axis_s[axis], same = 0.0, False
            state.peak[axis] = max(np.abs(value), state.peak[axis] * np.exp(-gap_s / PEAK_S))
            state.before[axis], state.last[axis] = state.last[axis], value
            state.sums[axis] += value
        state.nums[sensor] += 1
        state.same_s[sensor] = state.same_s[sensor] + gap_s if same else 0.0
        if has_before:
            state.rough[sensor] += difference
            state.num_rough[sensor] += 1


@compiled
def repeated_s(state: HealthState, sensor: int) -> float:
    """For how long an axis repeats while others move, s."""
    is_whole_sensor = state.same_s[sensor] > 2 * GAPS * state.usual_s[sensor]
    return 0.0 if is_whole_sensor else state.axis_s[3 * sensor : 3 * sensor + 3].max()


@compiled
def word_of_runs(state: HealthState, sensor: int, limits: Array) -> int:
    """Return what the latest readings of a sensor alone tell of its health."""
    usual_s = state.usual_s[sensor]
    if state.silent_s[sensor] > max(ABSENT_S, GAPS * usual_s) - 1e-9:
        return ABSENT
    if state.same_s[sensor] > max(limits[STUCK_SCORE, sensor], 2 * GAPS * usual_s):
        return STUCK
    most_s = max(limits[REPEAT_SCORE, sensor], 2 * GAPS * usual_s)
    if repeated_s(state, sensor) <= most_s:
        return HEALTHY
    for axis in range(3 * sensor, 3 * sensor + 3):
        if state.axis_s[axis] > most_s and np.abs(state.last[axis]) >= AT_PEAK * state.peak[axis]:
            return SATURATED
    return STUCK


@compiled
def is_suspect(state: HealthState, sensor: int, limits: Array) -> bool:
    """Whether a sensor repeats itself or is silent so long that it may soon be called stuck or absent."""
    long_s = state.same_s[sensor] > limits[STUCK_SCORE, sensor] / 2
    return bool(long_s or state.silent_s[sensor] > max(ABSENT_S / 2, 2 * state.usual_s[sensor]))
