"""Faults put into a recording: what a sensor says in a span of time, as a broken one would say it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Array, Kind, Recording, Sensor

FaultKind = Literal["absent", "stuck", "biased", "noisy", "skewed", "saturated"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
SIZED: frozenset[FaultKind] = frozenset({"biased", "noisy", "skewed", "saturated"})
# what a fault of each kind is by default: a bias and a noise that health names, and a range that motion leaves
SIZES: Mapping[Kind, Mapping[FaultKind, float]] = {
    "gyroscope": {"biased": 0.2, "noisy": 0.3, "saturated": 0.2},
    "accelerometer": {"biased": 4.0, "noisy": 10.0, "saturated": 8.0},
    "magnetometer": {"biased": 20.0, "noisy": 10.0, "saturated": 30.0},
    "wheel": {"biased": 0.3, "noisy": 0.3, "saturated": 0.5},
    "range": {"biased": 3.0, "noisy": 3.0, "saturated": 10.0},
    "position": {"biased": 5.0, "noisy": 3.0, "saturated": 10.0},
}
UNSIZED: Mapping[FaultKind, float] = {"skewed": 0.2}  # s, whatever the sensor
UNITS: Mapping[Kind, str] = {
    "gyroscope": "rad/s", "accelerometer": "m/s2", "magnetometer": "uT", "wheel": "m/s", "range": "m", "position": "m",
}  # fmt: skip
SEED = 20
MOST_SIZE = 1e6  # in a sensor's unit: further than any sensor's range


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of one sensor from `start_s` on for `seconds`, on the recording's clock.

    `size` is in the sensor's unit: what is added along all channels alike (biased), a standard deviation (noisy), the
    largest value of either sign that is still told (saturated); or how many s late values are told (skewed).
    """

    sensor: str
    kind: FaultKind
    start_s: float
    seconds: float
    size: float = 0.0

    def text(self) -> str:
        """Return the fault as one word, for an address."""
        return ",".join([self.sensor, self.kind, *(f"{value:g}" for value in (self.start_s, self.seconds, self.size))])

    @classmethod
    def of_text(cls, text: str, recording: Recording) -> "Fault":
        """Read what `text` gave.

        Raises:
            InputError: if it names no fault that the recording can have.
        """
        sensor, *rest = text.rsplit(",", 4)
        try:
            kind, *numbers = rest
            start_s, seconds, size = (float(number) for number in numbers)
        except ValueError as error:
            raise InputError(f"{text!r:.80} is no fault; want sensor,kind,start,seconds,size") from error
        found = cls(sensor=sensor, kind=kind, start_s=start_s, seconds=seconds, size=size)  # type: ignore[arg-type]
        found.check(recording)
        return found

    def check(self, recording: Recording) -> None:
        """Check that the recording can have it.

        Raises:
            InputError: if it has no such sensor, a number is none, or it lies outside of the recording.
        """
        if self.sensor not in recording.sensors or self.sensor.startswith("truth."):
            raise InputError(f"{recording.name} has no sensor {self.sensor!r:.60}; choose one of it")
        if self.kind not in kinds_of(recording.sensors[self.sensor]):
            raise InputError(f"{self.sensor} cannot be made {self.kind!r:.40}; choose another fault")
        numbers = (self.start_s, self.seconds, self.size)
        if not np.isfinite(numbers).all() or self.seconds <= 0 or (self.kind in SIZED and self.size <= 0):
            raise InputError("a fault's start, length and size are finite, the last two above 0; choose others")
        if self.size > MOST_SIZE:
            raise InputError(f"a fault of size {self.size:g} is none of a sensor's, want {MOST_SIZE:g} at most")
        first, last = recording.span_s()
        if self.start_s > last or self.start_s + self.seconds < first:
            end_s = self.start_s + self.seconds
            raise InputError(
                f"the fault from {self.start_s:g} to {end_s:g} s lies outside of {recording.name}, which goes from "
                f"{first:.6g} to {last:.6g} s; choose a start within"
            )


def kinds_of(sensor: Sensor) -> tuple[FaultKind, ...]:
    """Return the faults that a sensor can be given; of one in degrees, as a GNSS, those without a size in its unit."""
    return FAULT_KINDS if sensor.kind in SIZES else ("absent", "stuck", "skewed")


def usual_size(sensor: Sensor, kind: FaultKind) -> float:
    """Return a size to begin with; 0 where the kind has none."""
    return UNSIZED.get(kind, SIZES.get(sensor.kind, {}).get(kind, 0.0))


def size_unit(sensor: Sensor, kind: FaultKind) -> str:
    """Return the unit of a fault's size."""
    return "s" if kind in UNSIZED else UNITS.get(sensor.kind, "")


def inject(recording: Recording, fault: Fault) -> Recording:
    """Return the recording with a fault; stamps stay as they are.

    Raises:
        InputError: if it cannot have that fault.
    """
    fault.check(recording)
    sensor = recording.sensors[fault.sensor]
    within = (sensor.times >= fault.start_s) & (sensor.times < fault.start_s + fault.seconds)
    values = sensor.values.copy()
    values[within] = _broken(sensor, np.flatnonzero(within), fault)
    return replace(recording, sensors={**recording.sensors, fault.sensor: replace(sensor, values=values)})


def _broken(sensor: Sensor, rows: "np.ndarray[tuple[int, ...], np.dtype[np.intp]]", fault: Fault) -> Array:
    """What the rows (n, channels) say."""
    told: Array = sensor.values[rows]
    if fault.kind == "absent" or not len(rows):
        told = np.full_like(told, np.nan)
    elif fault.kind == "stuck":
        told = np.repeat(sensor.values[max(rows[0] - 1, 0)][None], len(rows), axis=0)
    elif fault.kind == "biased":
        told = told + fault.size / np.sqrt(told.shape[1])
    elif fault.kind == "noisy":
        told = told + np.random.default_rng(SEED).normal(0, fault.size, told.shape)
    elif fault.kind == "saturated":
        told = np.clip(told, -fault.size, fault.size)
    else:
        order = np.argsort(sensor.times, kind="stable")
        late = np.searchsorted(sensor.times[order], sensor.times[rows] - fault.size, side="right") - 1
        told = sensor.values[order[np.maximum(late, 0)]]
    return told
