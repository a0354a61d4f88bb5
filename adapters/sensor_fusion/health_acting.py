"""Acting on health: what a sensor that is at fault says is taken for nothing."""

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.health_state import SATURATED, STUCK, Codes

Array = NDArray[np.float64]
GUILTY = (STUCK, SATURATED)  # of the others, silencing helps some and harms more: roboticist.md


def without_the_guilty(samples: Array, codes: Codes) -> Array:
    """Return samples (samples, 9), NaN where a sensor is named stuck or saturated at that sample."""
    return np.where(np.repeat(np.isin(codes, GUILTY), 3, axis=1), np.nan, samples)
