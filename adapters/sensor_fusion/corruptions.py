"""The corruption suite: six faults of one sensor in five severities, put into a trial in spans that a seed draws.

Sizes were written down before any detection was looked at, from sizes that break a filter to sizes that hardly touch
it; what each does to the attitude is measured by `make bench ONLY=corruptions` (docs/roboticist.md).
Source of the scheme: Hendrycks, Dietterich 2019, Benchmarking neural network robustness to common corruptions.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.scoring import Trial

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Corruption = Literal["dropout", "stuck", "bias", "noise", "skew", "saturation"]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)
NUM_SEVERITIES = 5
EVERY_S, FIRST_S, LASTS_S = 15.0, 6.0, 5.0  # of spans: how often, how much is whole before the first, and how long
LATEST_S = 7.0  # after which of every 15 s a span may begin, so that 3 s are whole before the next
SPANS_S = (0.25, 0.5, 1.0, 2.0, 5.0)  # how long a dropout or a stuck sensor lasts; the other faults last 5 s
DELAYS_S = (0.05, 0.1, 0.2, 0.3, 0.5)
RANGE_SHARES = (0.8, 0.6, 0.4, 0.25, 0.15)  # of the largest reading of any axis, where the range ends
SIZES: Mapping[Corruption, tuple[tuple[float, ...], ...]] = {  # by sensor and severity
    "dropout": (SPANS_S,) * 3,
    "stuck": (SPANS_S,) * 3,
    "skew": (DELAYS_S,) * 3,
    "saturation": (RANGE_SHARES,) * 3,
    "bias": ((0.1, 0.25, 0.5, 1.0, 2.0), (1.0, 2.0, 3.0, 5.0, 10.0), (5.0, 10.0, 20.0, 40.0, 80.0)),
    "noise": ((0.5, 1.0, 2.0, 4.0, 8.0), (5.0, 10.0, 20.0, 40.0, 80.0), (10.0, 20.0, 40.0, 80.0, 160.0)),
}


class Corrupted(NamedTuple):
    """A trial's samples with faults.

    Attributes:
        samples: (samples, 9).
        when: whether the sensor is at fault (samples,).
        sensor: which, as a place in SENSORS.
    """

    samples: Array
    when: Mask
    sensor: int


def corrupt(trial: Trial, kind: Corruption, sensor: int, severity: int, seed: int) -> Corrupted:
    """Return a trial's samples with faults of one sensor (0-2) and severity (1-5).

    Once in 15 s, at a place that the seed draws, a fault begins; a bias has a direction of its own each time.
    """
    rng, level = np.random.default_rng([seed, CORRUPTIONS.index(kind), sensor, severity]), severity - 1
    own, rate = slice(3 * sensor, 3 * sensor + 3), trial.rate_hz
    told, when = trial.samples[:, own].copy(), np.zeros(len(trial), bool)
    size = SIZES[kind][sensor][level]
    lasts = size if kind in ("dropout", "stuck") else LASTS_S
    for begin_s in np.arange(FIRST_S, len(trial) / rate - LATEST_S - LASTS_S, EVERY_S):
        start = round((begin_s + rng.uniform(0, LATEST_S)) * rate)
        rows = slice(start, start + round(lasts * rate))
        told[rows] = _broken(trial.samples[:, own], rows, kind, (size, rate), rng)
        when[rows] = True
    samples = trial.samples.copy()
    samples[:, own] = told
    return Corrupted(samples, when, sensor)


def _broken(
    told: Array, rows: slice, kind: Corruption, sizes: "tuple[float, float]", rng: np.random.Generator
) -> Array:
    """What a sensor (samples, 3) says in some rows."""
    size, rate_hz = sizes
    part = told[rows]
    if kind == "dropout":
        return np.full_like(part, np.nan)
    if kind == "stuck":
        return np.repeat(told[rows.start - 1][None], len(part), axis=0)
    if kind == "skew":
        late = round(size * rate_hz)
        return told[rows.start - late : rows.stop - late]
    if kind == "saturation":
        most = size * np.nanmax(np.abs(told))
        return np.clip(part, -most, most)
    draws = rng.normal(size=part.shape)
    return part + size * (draws[0] / np.linalg.norm(draws[0]) if kind == "bias" else draws)
