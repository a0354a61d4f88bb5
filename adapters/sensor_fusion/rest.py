"""Rest, at which a gyroscope tells its own bias: where no field is seen, nothing else tells that about the vertical.

Source: Laidig, Seel 2023, VQF: highly accurate IMU orientation estimation with bias estimation and magnetic disturbance
rejection, Information Fusion 91, section 3.4, and the ordinary settings there.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.blocks import Block
from mainstem.adapters.sensor_fusion.compiled import compiled

Array = NDArray[np.float64]
REST_S = 1.5  # for how long nothing may move before it counts as rest
MEAN_S = 0.5  # of the means that readings are held against
MOST_RATE, MOST_FORCE = np.deg2rad(2.0), 0.5  # rad/s and m/s2, that readings may lie off their mean
MOST_BIAS = np.deg2rad(2.0)  # rad/s an axis: a mean beyond is a steady turn
REST_RATE = np.deg2rad(0.03)  # rad/s, that the rate may be at rest


class Still(NamedTuple):
    """Means (3,) of late of what gyroscope, rad/s, and accelerometer, m/s2, told; and since when nothing moved, s."""

    rate: Array
    force: Array
    since_s: float


@compiled
def nothing_still() -> Still:
    """Return what is known before anything is heard."""
    return Still(np.zeros(3), np.zeros(3), 0.0)


@compiled
def hold_still(still: Still, block: Block, gyr_bias: Array, seconds: float) -> Still:
    """Return the means after a block, and whether it moved; a silent sensor is no rest."""
    if not (block.has_gyr and block.has_acc):
        return Still(still.rate, still.force, 0.0)
    told, share = block.rate + gyr_bias, 1 - np.exp(-seconds / MEAN_S)
    rate = still.rate + (told - still.rate) * share
    force = still.force + (block.force - still.force) * share
    moved = ((told - rate) ** 2).sum() > MOST_RATE**2 or ((block.force - force) ** 2).sum() > MOST_FORCE**2
    moved = moved or np.abs(rate).max() > MOST_BIAS
    return Still(rate, force, 0.0 if moved else still.since_s + seconds)


@compiled
def noise_at_rest(density: float, seconds: float) -> float:
    """Return the variance, rad2/s2, of a block's mean rate at rest: white noise, and a slow unrest of MEAN_S."""
    return float(density**2 / seconds + REST_RATE**2 * max(1.0, 2 * MEAN_S / seconds))
