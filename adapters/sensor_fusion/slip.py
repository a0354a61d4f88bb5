"""Slip alarm: wheels against gyroscope, accelerometer and GNSS, with thresholds from healthy driving alone.

The threshold of each disagreement is the conformal quantile of its greatest value in each healthy block (Vovk,
Gammerman, Shafer 2005, Algorithmic learning in a random world, section 4), each with its part of the share, so that one
with heavy tails, as GNSS has, does not deafen the others: of exchangeable blocks at most the stated share rings. Rates
of false alarms come with exact Poisson intervals (Garwood 1936).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.pose_readings import readings_of
from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Array, Recording

Signals = Mapping[str, tuple[Array, Array]]
PARTS = ("turn", "speed", "distance")
LASTING_S = 0.5  # over which rates and speeds are compared; slips are longer, single readings are noisier
FIX_SPAN_S = 5.0  # over which wheels and fixes are compared: a fix's error must be small beside the way
BLOCK_S = 10.0
REST_S = 5.0  # after an alarm rings, it is the same one


@dataclass(frozen=True, kw_only=True, eq=False)
class Disagreement:
    """How far wheels and the others are apart (n, 3) at times (n,); NaN where one is silent.

    Of turning in parts of what scrubbing wheels differ by anyway, of speed and of way a second in m/s.
    """

    times: Array
    values: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class SlipAlarm:
    """Threshold (3,) of each disagreement, and the share of the healthy blocks that may ring, by any of them."""

    thresholds: Array
    share: float
    num_blocks: int

    def scores(self, found: Disagreement) -> tuple[Array, NDArray[np.intp]]:
        """Return the greatest disagreement in parts of its threshold (n,), and which it is (n,)."""
        ratios = np.nan_to_num(np.abs(found.values) / self.thresholds)
        return ratios.max(1), ratios.argmax(1)

    def alarms(self, found: Disagreement) -> list[tuple[float, str]]:
        """Return when it rings, and by which disagreement; rings closer than the rest are one."""
        scores, parts = self.scores(found)
        rung: list[tuple[float, str]] = []
        last = -np.inf
        for index in np.flatnonzero(scores > 1):
            if found.times[index] - last > REST_S:
                rung.append((float(found.times[index]), PARTS[parts[index]]))
            last = found.times[index]
        return rung

    @property
    def stated_per_hour(self) -> float:
        """False alarms an hour that the share of blocks allows."""
        return self.share * 3600 / BLOCK_S


def signals_of(recording: Recording) -> Signals:
    """Return stamps (n,) and values (n, channels) by kind, in the body's axes and local ENU.

    Raises:
        InputError: if the recording has no wheels, or nothing to hold them against.
    """
    found: dict[str, tuple[Array, Array]] = {}
    readings = readings_of(recording)
    for kind in ("wheel", "gyroscope", "accelerometer", "gnss"):
        some = [reading for reading in readings if reading.kind == kind]
        if some:
            found[kind] = np.array([r.time for r in some]), np.array([r.value for r in some])
    if "wheel" not in found or len(found) < 2:
        raise InputError(f"{recording.name} lacks wheels, or anything to hold them against; a slip cannot be seen")
    return found


def disagreement(by_kind: Signals) -> Disagreement:
    """Compare at each reading of the wheels what was measured until then."""
    times, wheels = by_kind["wheel"]
    found = np.full((len(times), 3), np.nan)
    if "gyroscope" in by_kind:
        turned = _mean_until(times, *by_kind["gyroscope"], axis=2)
        rolled = _mean_until(times, times, wheels, axis=2)
        scrub = Noise.wheel_yaw + Noise.wheel_yaw_fraction * np.fmax(np.abs(rolled), np.abs(turned))
        found[:, 0] = (rolled - turned) / scrub
    if "accelerometer" in by_kind:
        gained = _mean_until(times, *by_kind["accelerometer"], axis=0) * LASTING_S
        found[:, 1] = wheels[:, 0] - _at(times - LASTING_S, times, wheels[:, 0]) - gained
    if "gnss" in by_kind:
        found[:, 2] = _against_fixes(times, wheels[:, 0], *by_kind["gnss"])
    return Disagreement(times=times, values=found)


def _at(wanted: Array, times: Array, values: Array) -> Array:
    """The last value at or before each wanted time, NaN before the first."""
    index = np.searchsorted(times, wanted, side="right") - 1
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)


def _mean_until(wanted: Array, times: Array, values: Array, axis: int) -> Array:
    """Mean over the lasting time before each wanted time; NaN where no reading lies in it."""
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values[:, axis]))])
    last, first = (np.searchsorted(times, edge, side="right") for edge in (wanted, wanted - LASTING_S))
    count = last - first
    mean: Array = np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)
    return mean


def _against_fixes(times: Array, speed: Array, stamps: Array, places: Array) -> Array:
    """Way of the wheels less that between fixes, over the span before each time, m/s."""
    steps = np.diff(times, prepend=times[0])
    way = np.cumsum(np.nan_to_num(speed) * steps)
    ends, starts = (_at(edge, stamps, np.arange(len(stamps), dtype=float)) for edge in (times, times - FIX_SPAN_S))
    known = np.isfinite(ends) & np.isfinite(starts)
    late, early = (np.nan_to_num(index).astype(int) for index in (ends, starts))
    moved = np.linalg.norm(places[late, :2] - places[early, :2], axis=1)
    rolled = np.abs(np.interp(stamps[late], times, way) - np.interp(stamps[early], times, way))
    span = np.maximum(stamps[late] - stamps[early], 1e-3)
    fair = known & (span > FIX_SPAN_S / 2)
    return np.where(fair, (rolled - moved) / span, np.nan)


def learn_alarm(healthy: Disagreement, share: float = 0.15) -> SlipAlarm:
    """Return the alarm of which at most this share of healthy blocks rings, by any of the disagreements.

    Raises:
        InputError: if there are too few healthy blocks for the share.
    """
    blocks = np.floor(healthy.times / BLOCK_S)
    sizes = np.nan_to_num(np.abs(healthy.values))
    maxima = np.sort([sizes[blocks == block].max(0) for block in np.unique(blocks)], axis=0)
    part = share / len(PARTS)
    rank = int(np.ceil((len(maxima) + 1) * (1 - part) - 1e-9))
    if rank > len(maxima):
        raise InputError(
            f"got {len(maxima)} healthy blocks of {BLOCK_S:.0f} s, need {int(np.ceil(1 / part)) - 1} for a share of "
            f"{share:.2f}; give a longer healthy log or a larger share"
        )
    thresholds = np.where(maxima[rank - 1] > 0, maxima[rank - 1], np.inf)
    return SlipAlarm(thresholds=thresholds, share=share, num_blocks=len(maxima))


def poisson_interval(count: int, hours: float, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a rate an hour of which this many were counted."""
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count) / 2) if count else 0.0
    return low / hours, float(chi2.ppf(1 - tail, 2 * count + 2) / 2) / hours
