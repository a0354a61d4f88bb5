"""Which fault explains best that gyroscope, accelerometer and magnetometer disagree.

Turned by the gyroscope alone into one frame, the earth's field and the mean specific force stay as they were. What
differs in a window from before it is explained by each of six faults, which began with it, in turn: a bias turns both
(gyroscope), or is added to one, fixed in the sensor's axes; a delay moves both, or one, along with the turning. How
much of the squared difference a fault explains, in what is usual, is its likelihood ratio.
Source: Willsky, Jones 1976, A generalized likelihood ratio approach to the detection and estimation of jumps.
"""

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.compiled import compiled
from mainstem.adapters.sensor_fusion.health_state import KEPT, HealthState

Array = NDArray[np.float64]
WINDOWS = (14, 28, 46)  # blocks: a quarter, half and four fifths of a second
FORCE_FROM = 28  # blocks, in less of which a push and an accelerometer's fault look alike
FEWEST_BEFORE = 29  # blocks: half a second
FORCE, FIELD, RATE = 0, 3, 6  # first columns of `told`
FORCE_NOISE, FIELD_NOISE = 0.3, 1.0  # m/s2 and uT, of a block's mean
FIELD_LATE_S = 0.01  # s, by which field and gyroscope may differ beyond the usual lag
LAG_S = 0.014  # by which BROAD's magnetometer lags its gyroscope: decisions.md
LEAST = (0.12, 1.0, 5.0)  # rad/s, m/s2, uT: biases under half of the second severity are none of ours
LEAST_LAG_S = 0.03
MOST_RATE = 5.0  # rad/s, of a gyroscope's bias: its prior, where nothing observes it
CLEAR = 0.7  # a fault of another sensor explains at most that much of what the best one does


@compiled
def means(state: HealthState, newest: int, first: int, last: int) -> Array:
    """Mean force and field (6,) of blocks, counted back from the newest; NaN where half or more lack it."""
    found, nums = np.zeros(6), np.zeros(2)
    for back in range(first, last):
        row = state.told[(newest - back) % KEPT]
        for part in range(2):
            if np.isfinite(row[3 * part]):
                nums[part] += 1
                for axis in range(3 * part, 3 * part + 3):
                    found[axis] += row[axis]
    for part in range(2):
        count = nums[part] if 2 * nums[part] > last - first else np.nan
        for axis in range(3 * part, 3 * part + 3):
            found[axis] /= count
    return found


@compiled
def precisions(state: HealthState, newest: int, num: int, mean: Array, before: Array) -> Array:
    """Inverse variances (2,) of a block's force and field in a window, by how much each moves there; 0 where absent."""
    force, spin, strength, felt = 0.0, 0.0, 0.0, 0
    for back in range(num):
        row = state.told[(newest - back) % KEPT]
        felt += np.isfinite(row[FORCE])
        for axis in range(3):
            spin += row[RATE + axis] ** 2 / num
            if np.isfinite(row[FORCE]):
                force += (row[FORCE + axis] - mean[FORCE + axis]) ** 2 / 3
    for axis in range(FIELD, RATE):
        strength += before[axis] ** 2
    found = np.zeros(2)
    if np.isfinite(mean[FORCE] + before[FORCE]):
        found[0] = 1 / (FORCE_NOISE**2 + force / max(felt, 1))
    if np.isfinite(mean[FIELD] + before[FIELD]):
        found[1] = 1 / (FIELD_NOISE**2 + FIELD_LATE_S**2 * strength * spin)
    return found


@compiled
def explain(state: HealthState, newest: int, num: int, kept: int) -> tuple[Array, Array, Array]:
    """Return how much each fault explains (6,), biases of the three, then delays; the biases (3, 3); delays (3,), s.

    A gyroscope's bias b turns a vector v by A b x v, with A the integral of the turns: normal equations of b add up
    A' (v'v - v v') A and A' (v x moved).
    """
    before, mean = means(state, newest, num, kept), means(state, newest, 0, num)
    weights = precisions(state, newest, num, mean, before)
    matrix, right, tilted = np.eye(3) / MOST_RATE**2, np.zeros(3), np.zeros((3, 3))
    added, nums, along, square = np.zeros((2, 3)), np.zeros(2), np.zeros(2), np.zeros(2)
    inner, turned, moved = np.empty((3, 3)), np.empty(3), np.empty(3)
    for back in range(num - 1, -1, -1):
        place = (newest - back) % KEPT
        row, turn = state.told[place], state.turns[place]
        inner[:] = 0.0
        turned[:] = 0.0
        for axis in range(3):
            for other in range(3):
                tilted[axis, other] += turn[axis, other] * state.steps_s[place]
        for part in range(2):
            weight = weights[part]
            if weight == 0.0 or not np.isfinite(row[3 * part]):
                continue
            first = before[3 * part : 3 * part + 3]
            nums[part] += 1
            for axis in range(3):
                moved[axis] = row[3 * part + axis] - first[axis]
            for axis in range(3):
                i, j = (axis + 1) % 3, (axis + 2) % 3
                turned[axis] += weight * (first[i] * moved[j] - first[j] * moved[i])
                late = row[RATE + i] * first[j] - row[RATE + j] * first[i]
                along[part] += weight * late * moved[axis]
                square[part] += weight * late * late
                inner[axis, axis] += weight * (first[i] ** 2 + first[j] ** 2)
                inner[i, j] -= weight * first[i] * first[j]
                inner[j, i] -= weight * first[i] * first[j]
                for other in range(3):
                    added[part, other] += turn[axis, other] * moved[axis]
        add_normal(matrix, right, tilted, inner, turned)
    return tell(matrix, right, added, nums, weights, along, square)


@compiled
def add_normal(matrix: Array, right: Array, tilted: Array, inner: Array, turned: Array) -> None:
    """Add A' inner A to the matrix and A' turned to the right side, in place."""
    for row in range(3):
        for axis in range(3):
            right[row] += tilted[axis, row] * turned[axis]
            for column in range(3):
                part = 0.0
                for other in range(3):
                    part += inner[axis, other] * tilted[other, column]
                matrix[row, column] += tilted[axis, row] * part


@compiled
def tell(
    matrix: Array, right: Array, added: Array, nums: Array, weights: Array, along: Array, square: Array
) -> tuple[Array, Array, Array]:
    """Solve for each fault: how much it explains, and its size."""
    explained, biases, lags = np.zeros(6), np.zeros((3, 3)), np.zeros(3)
    biases[0] = np.linalg.solve(matrix, right)
    explained[0] = (biases[0] * right).sum()
    lags[0] = -along.sum() / (square.sum() + 1e-9)
    explained[3] = lags[0] ** 2 * square.sum()
    for part in range(2):
        biases[1 + part] = added[part] / max(nums[part], 1)
        explained[1 + part] = weights[part] * nums[part] * (biases[1 + part] ** 2).sum()
        lags[1 + part] = along[part] / (square[part] + 1e-9)
        explained[4 + part] = lags[1 + part] ** 2 * square[part]
    return explained, biases, lags


@compiled
def best_fault(explained: Array, biases: Array, lags: Array, num: int) -> int:
    """Return the fault that explains most, and clearly more than one of another sensor; -1 if none, or it is small."""
    best = int(np.argmax(explained))
    for fault in range(6):
        if fault % 3 != best % 3 and explained[fault] > CLEAR * explained[best]:
            return -1
    if best % 3 == 1 and num < FORCE_FROM:
        return -1
    if best < 3:
        return best if (biases[best] ** 2).sum() >= LEAST[best] ** 2 else -1
    return best if lags[best - 3] >= LEAST_LAG_S else -1
