"""What roughness tells of health: second differences from sample to sample, beside what is usual at that vigour."""

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.compiled import compiled
from mainstem.adapters.sensor_fusion.health_state import NOISE_SCORE, NOISY, REST, ROUGH_KEPT, SHARE, HealthState

Array = NDArray[np.float64]
GRAVITY = 9.80665  # m/s2
FEWEST_ROUGH = 5  # blocks, from which roughness is told
HOLD_S = 0.5  # for how long the word lasts beyond what led to it


@compiled
def judge_noise(state: HealthState, limits: Array, told: Array) -> None:
    """Name sensors that were rough over a quarter of a second, by the median, beside what is usual at that vigour."""
    place = state.counts[2] % ROUGH_KEPT
    state.counts[2] += 1
    lengths = np.empty(3)
    for sensor in range(3):
        mean = state.sums[3 * sensor : 3 * sensor + 3] / max(state.nums[sensor], 1)
        lengths[sensor] = np.sqrt((mean**2).sum())
        state.roughness[place, sensor] = np.nan
        if state.num_rough[sensor]:
            state.roughness[place, sensor] = state.rough[sensor] / state.num_rough[sensor]
    state.vigour[place, 0] = lengths[0]
    state.vigour[place, 1] = np.abs(lengths[1] - GRAVITY) if state.nums[1] else 0.0
    state.vigour[place, 2] = lengths[0] * lengths[2]
    for sensor in range(3):
        kept = state.roughness[:, sensor].copy()
        known = kept[np.isfinite(kept)]
        if len(known) < FEWEST_ROUGH:
            continue
        rough = np.median(known)
        usual = limits[REST, sensor] + limits[SHARE, sensor] * np.nanmean(state.vigour[:, sensor].copy())
        told[NOISE_SCORE * 3 + sensor] = rough / usual
        if rough / usual > limits[NOISE_SCORE, sensor]:
            state.named[sensor], state.held_s[sensor] = NOISY, HOLD_S
            state.bias[sensor] = 0.0
