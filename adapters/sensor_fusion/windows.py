"""What the trunk sees of a moment: half a second of each sensor as it was sampled, and how the filter stands.

A sensor that is silent at the moment is missing, and so said to be. The filter's attitude travels along as a stream of
its own, which the preparation takes out: it is what the trunk's correction is told from.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.blocks import block_size
from mainstem.adapters.sensor_fusion.names import FILTER, INTEGRATOR, SENSORS
from mainstem.adapters.sensor_fusion.track import Track
from mainstem.core.stream import Channel, Stream

Array = NDArray[np.float64]
Index = NDArray[np.intp]
WINDOW_S, TRUNK_S = 0.5, 0.25  # of the streams; and how often the trunk is asked at most
LONGEST_S = 60.0  # for which a silence is told apart
SILENT_S, SLOW = 0.02, 2.5  # a sensor is missing after so long, and so many times its usual step
UNITS: Mapping[str, str] = {"gyroscope": "rad/s", "accelerometer": "m/s2", "magnetometer": "uT"}
CHANNELS = {name: tuple(Channel(name=axis, unit=unit) for axis in "xyz") for name, unit in UNITS.items()}
STANDING = tuple(
    Channel(name=name, unit="1")
    for name in (
        "doubt_east", "doubt_north", "doubt_up", "turning", "moving", "field_doubt", "field_odd",
        "gyroscope_silent", "accelerometer_silent", "magnetometer_silent",
    )
)  # fmt: skip
PARTS = (*(Channel(name=part, unit="1") for part in "wxyz"), Channel(name="doubt", unit="rad"))


def stride(rate_hz: float) -> int:
    """How many samples lie between two questions to the trunk: whole blocks, of a quarter of a second or more."""
    size = block_size(rate_hz)
    return size * max(1, int(np.ceil(TRUNK_S * rate_hz / size - 1e-9)))


def moments(num_samples: int, rate_hz: float) -> Index:
    """Return the places of samples at which the trunk is asked."""
    step = stride(rate_hz)
    return np.arange(step - 1, num_samples, step)


def silence_s(samples: Array, rate_hz: float) -> Array:
    """How long each sensor has been silent at each sample (samples, 3), s; 0 where it speaks."""
    places = np.arange(len(samples))[:, None]
    heard = np.isfinite(samples.reshape(len(samples), 3, 3)).all(2)
    last = np.maximum.accumulate(np.where(heard, places, -1), 0)
    silent: Array = np.where(last < 0, places + 1, places - last) / rate_hz
    return silent


def standing(track: Track, silent_s: Array, at: Index) -> Array:
    """How the filter stands at moments (moments, 10): logarithms of doubts and levels, and of each sensor's silence."""
    doubt = np.log(np.maximum(np.diagonal(track.covariance[at], axis1=1, axis2=2), 1e-12)) / 2
    levels = track.levels[at]
    told = [doubt, np.log(levels[:, :3] + 1e-3), np.log1p(levels[:, 3:]), np.log1p(np.minimum(silent_s[at], LONGEST_S))]
    return np.concatenate(told, 1)


def doubt_of(track: Track) -> Array:
    """How much the filter's attitudes may err by (samples,), rad: the root trace of their covariance."""
    doubt: Array = np.sqrt(np.trace(track.covariance, axis1=1, axis2=2))
    return doubt


def windows_at(samples: Array, track: Track, rate_hz: float, at: Index) -> Sequence[Mapping[str, Stream]]:
    """Return the streams of moments, which are places of samples (samples, 9)."""
    doubt, stands = doubt_of(track), standing(track, silence_s(samples, rate_hz), at)
    length = window_size(rate_hz)
    return [
        streams_of(
            samples[max(0, place + 1 - length) : place + 1],
            stands[row],
            np.append(track.quat[place], doubt[place]),
            rate_hz,
        )
        for row, place in enumerate(at.tolist())
    ]


def window_size(rate_hz: float) -> int:
    """How many samples the trunk sees of a moment."""
    return max(1, round(WINDOW_S * rate_hz))


def streams_of(part: Array, stands: Array, integrator: Array, rate_hz: float) -> Mapping[str, Stream]:
    """Return the streams of one moment.

    Args:
        part: the last samples (samples, 9), NaN where a sensor is absent.
        stands: how the filter stands (10,).
        integrator: its attitude, and its doubt, rad (5,).
        rate_hz: of the samples.
    """
    times = (np.arange(len(part)) - len(part) + 1) / rate_hz
    streams = {
        name: Stream(kind="series", values=own.astype(np.float32), channels=CHANNELS[name], times=times)
        for name, own in zip(SENSORS, np.split(part, 3, axis=1), strict=True)
        if not is_missing(own, rate_hz)
    }
    streams[FILTER] = Stream(kind="scalar", values=stands, channels=STANDING)
    streams[INTEGRATOR] = Stream(kind="scalar", values=integrator, channels=PARTS)
    return streams


def is_missing(part: Array, rate_hz: float) -> bool:
    """True where a sensor (samples, 3) is silent now: for longer than it ever is between two of its last readings."""
    heard = np.flatnonzero(np.isfinite(part).all(1))
    if len(heard) < 2:
        return True
    usual_s = float(np.median(np.diff(heard))) / rate_hz
    return bool((len(part) - 1 - heard[-1]) / rate_hz > max(SILENT_S, SLOW * usual_s))
