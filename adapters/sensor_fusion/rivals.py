"""Plain attitude filters, beside which ours is scored: each takes (samples, 9), NaN where a sensor is absent.

VQF (Laidig, Seel 2023) is frozen while its gyroscope is silent and begins anew after that, the best of what was tried
with it; where only one of the others is silent it goes without. Madgwick (2010) and Mahony (2008), by the `ahrs`
library with the settings that BROAD publishes, turn on at the last rate and take the last force and field. The gap
filter is VQF, and in the gyroscope's silence the attitude that force and field alone give (TRIAD, Black 1964).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.settings import Settings
from mainstem.core import rotations
from mainstem.core.errors import MissingExtraError

Array = NDArray[np.float64]
MADGWICK_GAIN = 0.12  # BROAD, published_madgwick_average_rmse.json: the best common one; so are Mahony's two
MAHONY_GAINS = (0.74, 0.0012)
FROM_NORTH_WEST = np.array(
    [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]
)  # its Madgwick has x to the north, its Mahony to the east


def follow_vqf(samples: Array, rate_hz: float) -> Array:
    """Return VQF's attitudes (samples, 4)."""
    return _vqf(samples, rate_hz, np.full((len(samples), 4), np.nan))


def follow_gap_filter(samples: Array, rate_hz: float) -> Array:
    """Return VQF's attitudes (samples, 4), and of force and field alone where the gyroscope is silent."""
    return _vqf(samples, rate_hz, of_force_and_field(samples))


def smooth_vqf(samples: Array, rate_hz: float) -> Array:
    """Return the attitudes (samples, 4) of VQF run forward and backward; silences are bridged by straight lines."""
    from vqf import offlineVQF

    gyr, acc, mag = (_bridged(samples[:, 3 * part : 3 * part + 3]) for part in range(3))
    told: Array = offlineVQF(gyr, acc, mag, 1 / rate_hz)["quat9D"]
    return told


def follow_madgwick(samples: Array, rate_hz: float) -> Array:
    """Return Madgwick's attitudes (samples, 4)."""
    from ahrs.filters import Madgwick

    gyr, acc, mag = _held(samples)
    told = Madgwick(gyr=gyr, acc=acc, mag=mag * 1000, frequency=rate_hz, gain=MADGWICK_GAIN).Q  # nT
    return rotations.multiply(np.broadcast_to(FROM_NORTH_WEST, told.shape), told)


def follow_mahony(samples: Array, rate_hz: float) -> Array:
    """Return Mahony's attitudes (samples, 4)."""
    from ahrs.filters import Mahony

    gyr, acc, mag = _held(samples)
    proportional, integral = MAHONY_GAINS
    told: Array = Mahony(gyr=gyr, acc=acc, mag=mag * 1000, frequency=rate_hz, k_P=proportional, k_I=integral).Q
    return told


def in_step(quat: Array, samples: Array) -> Array:
    """Return attitudes (samples, 4) turned on for as long as the gyroscope tells late, as ours are (`Settings`).

    How late it is was taken from all trials, so that a filter that is told of it must be held against ours.
    """
    rate = np.nan_to_num(samples[:, :3])
    return rotations.multiply(quat, rotations.exp(rate * Settings().gyr_late))


def follow_vqf_in_step(samples: Array, rate_hz: float) -> Array:
    """Return VQF's attitudes (samples, 4), as late as ours are."""
    return in_step(follow_vqf(samples, rate_hz), samples)


def smooth_vqf_in_step(samples: Array, rate_hz: float) -> Array:
    """Return the attitudes (samples, 4) of VQF run forward and backward, as late as ours are."""
    return in_step(smooth_vqf(samples, rate_hz), samples)


RIVALS: Mapping[str, Callable[[Array, float], Array]] = {
    "vqf": follow_vqf, "vqf_in_step": follow_vqf_in_step, "madgwick": follow_madgwick, "mahony": follow_mahony,
    "gyro_gap_filter": follow_gap_filter,
}  # fmt: skip
SMOOTHED_RIVALS: Mapping[str, Callable[[Array, float], Array]] = {
    "offline_vqf": smooth_vqf, "offline_vqf_in_step": smooth_vqf_in_step,
}  # fmt: skip


def _vqf(samples: Array, rate_hz: float, in_silence: Array) -> Array:
    """VQF, told otherwise in the gyroscope's silence where that is known; else the last attitude stays."""
    try:
        from vqf import VQF
    except ImportError as error:
        raise MissingExtraError("vqf", "robot") from error
    readings = np.ascontiguousarray(samples)
    heard = np.asarray(np.isfinite(readings.reshape(len(readings), 3, 3)).all(2))
    if heard.all():
        parts = (np.ascontiguousarray(part) for part in np.split(readings, 3, axis=1))
        whole: Array = VQF(1 / rate_hz).updateBatch(*parts)["quat9D"]
        return whole
    filter_, is_lost, told = VQF(1 / rate_hz), False, np.empty((len(readings), 4))
    last = np.array([1.0, 0.0, 0.0, 0.0])
    for row, has in enumerate(heard):
        has_gyr, has_acc, has_mag = has.tolist()
        if has_gyr:
            if is_lost:
                filter_, is_lost = VQF(1 / rate_hz), False
            filter_.updateGyr(np.ascontiguousarray(readings[row, :3]))
            if has_acc:
                filter_.updateAcc(np.ascontiguousarray(readings[row, 3:6]))
            if has_mag:
                filter_.updateMag(np.ascontiguousarray(readings[row, 6:]))
            last = filter_.getQuat9D()
        else:
            is_lost = True
            last = np.where(np.isfinite(in_silence[row]), in_silence[row], last)
        told[row] = last
    return told


def of_force_and_field(samples: Array) -> Array:
    """Return the attitudes (samples, 4) of force as up, and field as north; NaN where one is absent."""
    up, field = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (samples[:, 3:6], samples[:, 6:]))
    east = np.cross(field, up)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    known = np.isfinite(east).all(1)
    told = np.full((len(samples), 4), np.nan)
    axes = np.stack([east, np.cross(up, east), up], 1)
    told[known] = rotations.from_matrix(axes[known])
    return told


def _held(samples: Array) -> list[Array]:
    """Gyroscope, accelerometer and magnetometer (samples, 3) with the last reading where one is absent."""
    parts = []
    for part in np.split(samples, 3, axis=1):
        known = np.isfinite(part).all(1)
        last = np.maximum.accumulate(np.where(known, np.arange(len(part)), -1))
        parts.append(np.ascontiguousarray(part[np.where(last < 0, int(np.argmax(known)), last)]))
    return parts


def _bridged(part: Array) -> Array:
    """Readings (samples, 3) with straight lines over silences."""
    places, known = np.arange(len(part)), np.isfinite(part).all(1)
    return np.ascontiguousarray(np.stack([np.interp(places, places[known], axis[known]) for axis in part.T], 1))
