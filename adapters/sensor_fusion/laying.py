"""Inertial sensors with clocks of their own, laid on one clock without resampling: each reading is used once.

The clock is the gyroscope's, else the accelerometer's, else the magnetometer's. Where it is silent while others speak,
or for longer than LONGEST_STEPS of its steps, samples of nothing stand in, at its usual step.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Array, Kind, Recording, Sensor
from mainstem.data.robot.units import possible, tells

KINDS: tuple[Kind, ...] = ("gyroscope", "accelerometer", "magnetometer")
LONGEST_STEPS = 2.5  # between two readings of the clock, after which one was missed
MOST_FILLED = 5_000_000  # samples that stand in: more is no hole, but a stamp of another clock
SAME_S = 1e-6  # by which a stamp may be later than a sample's and still be its own


class Laid(NamedTuple):
    """Readings on one clock.

    Attributes:
        times: of the samples, s from the recording's origin, going forward.
        samples: (samples, 9) rad/s, m/s2, uT; NaN where nothing was read.
        steps_s: (samples,) how long each stands for, s: to it from the one before.
        rows: the sample of each reading of the clock's sensor; -1 where it was not used.
        clock: name of that sensor.
    """

    times: Array
    samples: Array
    steps_s: Array
    rows: NDArray[np.intp]
    clock: str

    def at_readings(self, told: Array) -> Array:
        """Return what is told of samples (samples, ...) at each reading of the clock's sensor; NaN where not used."""
        found = np.full((len(self.rows), *told.shape[1:]), np.nan)
        used = self.rows >= 0
        found[used] = told[self.rows[used]]
        return found

    @property
    def num_filled(self) -> int:
        """Samples that stand in for silence of the clock's sensor."""
        return len(self.times) - int((self.rows >= 0).sum())


def lay(recording: Recording) -> Laid:
    """Return the gyroscope, accelerometer and magnetometer of a recording, the first of each, on one clock.

    A reading stands at the sample nearest after it; the mean of several that do. Readings whose stamps do not go
    forward are left out; infinity, and what no such sensor can have told, counts as absent.

    Raises:
        InputError: if there is none of the three, or holes are longer than any recording.
    """
    sensors = [next(iter(recording.find(kind).items()), None) for kind in KINDS]
    found = [item for item in sensors if item is not None and item[1].usable().any()]
    if not found:
        raise InputError(f"{recording.name} has no gyroscope, accelerometer or magnetometer that tells of an attitude")
    clock, sensor = found[0]
    kept = sensor.usable()
    times, own = _filled(sensor.times[kept], [each.times[each.usable()] for _, each in found[1:]], recording.name)
    samples = np.full((len(times), 9), np.nan)
    for place, item in enumerate(sensors):
        if item is not None:
            samples[:, 3 * place : 3 * place + 3] = _stand(item[1], times)
    rows = np.full(len(kept), -1, np.intp)
    rows[kept] = own
    steps_s = np.diff(times, prepend=times[0] - _usual(times))
    return Laid(times, samples, steps_s, rows, clock)


def _usual(times: Array) -> float:
    """The usual step, s; a second of a single reading."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def _filled(times: Array, others: Iterable[Array], name: str) -> tuple[Array, NDArray[np.intp]]:
    """The clock's times with its silences filled, also before and after it while others speak; and its own places."""
    step = _usual(times)
    ends = [part for part in others if len(part)]
    before = _count((times[0] - min((part[0] for part in ends), default=times[0])) / step)
    after = _count((max((part[-1] for part in ends), default=times[-1]) - times[-1]) / step)
    steps = np.diff(times)
    missed = np.where(steps > LONGEST_STEPS * step, np.rint(steps / step) - 1, 0)
    if before + after + missed.sum() > MOST_FILLED:
        raise InputError(
            f"{name} is silent for {steps.max():.3g} s or more between stamps of one clock; split it there"
        )
    counts = missed.astype(np.intp)
    own = before + np.arange(len(times)) + np.concatenate([[0], np.cumsum(counts)])
    filled = np.interp(np.arange(own[0], own[-1] + 1), own, times)
    early = times[0] - step * np.arange(before, 0, -1)
    late = times[-1] + step * np.arange(1, after + 1)
    return np.concatenate([early, filled, late]), own


def _count(steps: float) -> int:
    """Whole samples that stand in at an end: none of a silence that is no hole."""
    return int(min(np.ceil(steps - 1e-9), MOST_FILLED + 1)) if steps > LONGEST_STEPS else 0


def _stand(sensor: Sensor, times: Array) -> Array:
    """A sensor's readings at the samples (samples, 3) nearest after them, NaN elsewhere; none after the last."""
    kept = sensor.usable()
    values = sensor.values[kept]
    is_told = tells(sensor.kind, values) & possible(sensor.kind, values)
    values = np.where(is_told[:, None], values, np.nan)
    places = np.searchsorted(times, sensor.times[kept] - SAME_S)
    used = (places < len(times)) & np.isfinite(values[:, 0])
    found = np.full((len(times), 3), np.nan)
    counts = np.bincount(places[used], minlength=len(times))
    told = counts > 0
    for axis in range(3):
        sums = np.bincount(places[used], values[used, axis], minlength=len(times))
        found[told, axis] = sums[told] / counts[told]
    return found
