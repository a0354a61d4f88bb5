"""Acting on health: what a sensor that is at fault says, and what none can say, is taken for nothing."""

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.health_state import SATURATED, STUCK, Codes
from mainstem.data.robot.units import FASTEST_RAD_S

Array = NDArray[np.float64]
GUILTY = (STUCK, SATURATED)  # of the others, silencing helps some and harms more: roboticist.md
# the widest ranges of common parts: rad/s; 400 g, as of the H3LIS331DL, m/s2; 50 mT, as of the MLX90393, uT
LARGEST = np.repeat([FASTEST_RAD_S, 3922.66, 50_000.0], 3)


def without_the_guilty(samples: Array, codes: Codes) -> Array:
    """Return samples (samples, 9), NaN where a sensor is named stuck or saturated at that sample."""
    return np.where(np.repeat(np.isin(codes, GUILTY), 3, axis=1), np.nan, samples)


def without_the_impossible(samples: Array) -> Array:
    """Return samples (samples, 9), NaN where a sensor says what no sensor of its kind can."""
    impossible = (np.abs(samples) > LARGEST).reshape(len(samples), 3, 3).any(2)
    return np.where(np.repeat(impossible, 3, axis=1), np.nan, samples)
