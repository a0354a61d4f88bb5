"""What is remembered of a stream to judge its sensors' health, and what each word of health is."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstem.data.robot.estimates import State

Array = NDArray[np.float64]
Codes = NDArray[np.int8]
HEALTHY, ABSENT, STUCK, BIASED, NOISY, SKEWED, SATURATED = range(7)
STATES: Mapping[int, State] = {
    HEALTHY: "ok", ABSENT: "absent", STUCK: "stuck", BIASED: "biased", NOISY: "noisy", SKEWED: "skewed",
    SATURATED: "saturated",
}  # fmt: skip
STUCK_SCORE, REPEAT_SCORE, NOISE_SCORE, BIAS_SCORE, SKEW_SCORE = range(
    5
)  # rows of limits; three columns each of scores
REST, SHARE = 5, 6  # rows of limits that say what roughness is usual
NUM_SCORES = 15
BLOCK_S = 0.0174  # five samples of BROAD, as the filter's blocks are; slower sensors: each sample
KEPT = 171  # blocks: 3 s
ROUGH_KEPT = 15  # blocks: a quarter of a second
JUDGED = 2  # blocks, after which the three are compared again
CONFIRM = 5  # times: for 0.16 s must the three sensors disagree alike; by then one that is stuck has been named


class HealthState(Protocol):
    """What is known of a stream so far: a record of `begin_health`'s, as compiled functions see it and write it.

    Attributes:
        last, before: the latest reading of each axis (9,), and the one before; NaN before there is any.
        silent_s, usual_s: since when no reading came (3,), and how long that usually takes.
        same_s, axis_s: for how long all three values (3,), and each axis (9,), repeat.
        peak: largest reading of late of each axis (9,), of either sign.
        sums, nums: of readings in the block that is filling (9,), (3,).
        rough, num_rough: of absolute second differences in it (3,), (3,).
        elapsed_s: (1,) of that block.
        quat: turn by the gyroscope alone (4,), from the sensor's axes to those at the beginning.
        turns: rotation (KEPT, 3, 3) of kept blocks, a ring.
        told: their force, field and rate (KEPT, 9), turned; NaN where absent or at fault.
        steps_s: their lengths (KEPT,).
        counts: (3,) blocks that are kept; written ever to the ring; written ever to that of roughness.
        roughness, vigour: (ROUGH_KEPT, 3), a ring.
        agreed: how much each of six faults explains (CONFIRM, 6), a ring.
        bias: what is known of biases (3, 3), in each sensor's unit; 0 where none is.
        named, held_s: the word of each sensor (3,) that lasts for a while, and for how long, s.
    """

    last: Array
    before: Array
    silent_s: Array
    usual_s: Array
    same_s: Array
    axis_s: Array
    peak: Array
    sums: Array
    nums: Array
    rough: Array
    num_rough: Array
    elapsed_s: Array
    quat: Array
    turns: Array
    told: Array
    steps_s: Array
    counts: NDArray[np.int64]
    roughness: Array
    vigour: Array
    agreed: Array
    bias: Array
    named: NDArray[np.int64]
    held_s: Array


LAYOUT = np.dtype(
    [
        ("last", "f8", (9,)), ("before", "f8", (9,)), ("silent_s", "f8", (3,)), ("usual_s", "f8", (3,)),
        ("same_s", "f8", (3,)), ("axis_s", "f8", (9,)), ("peak", "f8", (9,)), ("sums", "f8", (9,)),
        ("nums", "f8", (3,)), ("rough", "f8", (3,)), ("num_rough", "f8", (3,)), ("elapsed_s", "f8", (1,)),
        ("quat", "f8", (4,)), ("turns", "f8", (KEPT, 3, 3)), ("told", "f8", (KEPT, 9)), ("steps_s", "f8", (KEPT,)),
        ("counts", "i8", (3,)), ("roughness", "f8", (ROUGH_KEPT, 3)), ("vigour", "f8", (ROUGH_KEPT, 3)),
        ("agreed", "f8", (CONFIRM, 6)), ("bias", "f8", (3, 3)), ("named", "i8", (3,)), ("held_s", "f8", (3,)),
    ]
)  # fmt: skip


def begin_health() -> NDArray[Any]:
    """Return what is known before anything is heard: nothing. One record (1,) of LAYOUT, a plain value."""
    state = np.zeros(1, LAYOUT)
    for name in ("last", "before", "told", "roughness", "vigour"):
        state[name] = np.nan
    state["quat"][0, 0] = 1.0
    return state
