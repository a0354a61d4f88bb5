"""Preintegration: the samples of a few milliseconds as one block, told in the axes that the sensor began and ended in.

Blocks are cut by the count of samples since the stream began, so that how it is handed over changes none.
Source: Forster et al. 2017, On-manifold preintegration for real-time visual-inertial odometry, section V.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.compiled import compiled, conjugate, exp, multiply, rotate

Array = NDArray[np.float64]
BLOCK_S = 0.0175  # 57 corrections a second, as many as a hand's turning asks for; slower sensors: each sample


def block_size(rate_hz: float) -> int:
    """How many samples make a block."""
    return max(1, round(rate_hz * BLOCK_S))


class Block(NamedTuple):
    """What a block of samples tells.

    Attributes:
        turns: rotation (samples + 1, 4) from the axes at each instant to those at the start.
        rates: angular rate (samples, 3), rad/s, bias taken off; in silence, what it is taken to be.
        rate: its mean (3,).
        silent: share of samples without a gyroscope.
        force: mean specific force (3,), m/s2, in the axes at the start; 0 where absent.
        field: mean field (3,), uT, in the axes at the end; 0 where absent.
        has_gyr, has_acc, has_mag: whether any sample of each is there.
    """

    turns: Array
    rates: Array
    rate: Array
    silent: float
    force: Array
    field: Array
    has_gyr: bool
    has_acc: bool
    has_mag: bool


@compiled
def integrate(samples: Array, steps_s: Array, gyr_bias: Array, guess: Array) -> Block:
    """Integrate a block; a sample is told at the end of the step that it stands for.

    Args:
        samples: (samples, 9): gyroscope rad/s, accelerometer m/s2, magnetometer uT; NaN where absent.
        steps_s: (samples,) how long each sample stands for.
        gyr_bias: (3,), rad/s.
        guess: rate (3,), rad/s, that is taken where the gyroscope is silent, until it was heard.
    """
    num = len(samples)
    turns, rates = np.zeros((num + 1, 4)), np.empty((num, 3))
    turns[0, 0] = 1.0
    force, field, last = np.zeros(3), np.zeros(3), guess.copy()
    heard, felt, seen = 0, 0, 0
    for index in range(num):
        row = samples[index]
        if np.isfinite(row[:3]).all():
            last = row[:3] - gyr_bias
            heard += 1
        rates[index] = last
        turns[index + 1] = multiply(turns[index], exp(last * steps_s[index]))
        if np.isfinite(row[3:6]).all():
            force += rotate(turns[index + 1], row[3:6])
            felt += 1
        if np.isfinite(row[6:]).all():
            field += rotate(turns[index + 1], row[6:])
            seen += 1
    mean = rates.sum(0) / num
    field = rotate(conjugate(turns[num]), field / max(seen, 1))
    return Block(turns, rates, mean, 1 - heard / num, force / max(felt, 1), field, heard > 0, felt > 0, seen > 0)
