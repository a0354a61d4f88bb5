"""Units of robot sensors: spellings, factors to those of CHANNELS, and values that contradict the unit they claim.

A unit that nobody names is an error, and values that can only be of another unit than the one that is named are refused
with both readings: an accelerometer in g read as m/s2 tilts nothing in a filter's residuals, it makes them wrong.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainstem.data.robot.recording import Kind

GRAVITY: Final = 9.80665  # m/s2, ISO 80000-3
DEGREE: Final = math.pi / 180
RATES: Final = {
    "rad/s": 1.0, "rads": 1.0, "rads-1": 1.0, "deg/s": DEGREE, "degs": DEGREE, "degs-1": DEGREE, "dps": DEGREE,
}  # fmt: skip
SPEEDS: Final = {"m/s": 1.0, "ms": 1.0, "ms-1": 1.0, "mps": 1.0, "km/h": 1 / 3.6, "kmh": 1 / 3.6, "kph": 1 / 3.6}
ANGLES: Final = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 1 / DEGREE, "1e-7deg": 1e-7, "dege7": 1e-7}
LENGTHS: Final = {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "km": 1e3, "ft": 0.3048}
ACCELERATIONS: Final = {
    "m/s2": 1.0, "ms2": 1.0, "ms-2": 1.0, "m/s/s": 1.0, "mps2": 1.0, "g": GRAVITY, "mg": GRAVITY / 1000,
    "milli-g": GRAVITY / 1000, "cm/s2": 0.01,
}  # fmt: skip
FIELDS: Final = {
    "ut": 1.0, "microtesla": 1.0, "t": 1e6, "tesla": 1e6, "mt": 1e3, "nt": 1e-3, "gauss": 100.0, "ga": 100.0,
    "gs": 100.0, "mgauss": 0.1, "milligauss": 0.1, "mga": 0.1, "mg": 0.1,
}  # fmt: skip
PURE: Final = {"": 1.0, "1": 1.0, "-": 1.0}
TIMES: Final = {
    "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9,
}  # fmt: skip
SPELLINGS: Final[Mapping[str, Mapping[str, float]]] = {
    "rad/s": RATES, "m/s": SPEEDS, "deg": ANGLES, "m": LENGTHS, "m/s2": ACCELERATIONS, "uT": FIELDS, "1": PURE,
    "s": TIMES,
}  # fmt: skip
WRITE: Final[Mapping[str, str]] = {  # what a message tells the user to write
    "rad/s": "[rad/s] or [deg/s]", "m/s": "[m/s] or [km/h]", "deg": "[deg] or [rad]", "m": "[m]",
    "m/s2": "[m/s2] or [g]", "uT": "[uT], [gauss] or [T]", "1": "[1]", "s": "[s], [ms], [us] or [ns]",
}  # fmt: skip
STILL: Final = (0.6 * GRAVITY, 1.6 * GRAVITY)  # median length of specific force of what moves on the ground or flies
MOST_LIKELY: Final = (0.8 * GRAVITY, 1.3 * GRAVITY)  # of another unit, before values are said to be in it
FASTEST_RAD_S: Final = 4000 * DEGREE  # the widest range of common MEMS gyroscopes (ICM-42686: 4000 deg/s)
FAST_RAD_S: Final = 1000 * DEGREE  # nearly three turns a second, half of the time
FASTEST_M_S: Final = 341.0  # no wheels rolled faster (ThrustSSC, 1997)
WIDEST_M: Final = 2 * 6_378_137.0  # the earth's diameter (WGS 84): nothing on it is further away
BEYOND: Final[Mapping[Kind, tuple[tuple[float, ...], str]]] = {  # what no robot's sensor tells, a channel, and in words
    "gyroscope": ((FASTEST_RAD_S,) * 3, "4,000 deg/s"),
    "accelerometer": ((400 * GRAVITY,) * 3, "400 g"),  # the widest range of common MEMS (H3LIS331DL)
    "magnetometer": ((50_000.0,) * 3, "50 mT"),  # the same (MLX90393)
    "wheel": ((FASTEST_M_S, FASTEST_M_S, FASTEST_RAD_S), "341 m/s or 4,000 deg/s"),
    "gnss": ((90.0, 180.0, 1e5), "the earth and 100 km above it, or lie at 0, 0, as of a receiver without a fix"),
    "range": ((WIDEST_M,), "the earth's diameter"),
    "position": ((WIDEST_M,) * 3, "the earth's diameter"),
}
NEEDED: Final[Mapping[Kind, int]] = {"wheel": 1, "gnss": 2}  # channels without which a reading tells nothing; else all
EARTH_UT: Final = (20.0, 70.0)  # total intensity at the ground is 22 to 67 uT (World Magnetic Model 2025)
NO_FIELD_UT: Final = (8.0, 6000.0)  # a magnet beside the sensor adds to the field: only far outside is no field


def factor(spelling: str, unit: str) -> float | None:
    """Return what values of a unit, as a user spelled it, are multiplied by to be in `unit`; None if it is not one."""
    return SPELLINGS[unit].get(normal(spelling))


def normal(spelling: str) -> str:
    """Return a spelling without what has no meaning: blanks, marks of powers and products, kinds of the micro sign."""
    text = spelling.strip().casefold()
    for found, plain in (("²", "2"), ("µ", "u"), ("μ", "u"), ("°", "deg"), ("**", ""), ("_per_", "/"), ("per", "/")):
        text = text.replace(found, plain)
    return "".join(letter for letter in text if letter not in " ^_*·[]()")


def possible(kind: Kind, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return True of readings (readings, channels) that a robot's sensor can have told; NaN is no number and may be."""
    if kind not in BEYOND:
        return np.ones(len(values), bool)
    is_beyond = (np.abs(values) > np.array(BEYOND[kind][0])).any(1)
    if kind == "gnss":
        is_beyond |= (values[:, :2] == 0).all(1)
    return np.asarray(~is_beyond)


def tells(kind: Kind, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return True of readings (readings, channels) that hold the numbers without which they tell nothing.

    A range to one beacon is enough, wheels' speed without a rate of turn, a place without its height.
    """
    known = np.isfinite(values)
    return np.asarray(known.any(1) if kind == "range" else known[:, : NEEDED.get(kind)].all(1))


def contradiction(kind: Kind, values: NDArray[np.float64]) -> str:
    """Return why values (readings, channels), said to be in the unit of CHANNELS, are in another one; "" if they fit.

    Lengths of vectors are looked at, as they do not depend on the mounting. Source of the bounds: the constants above.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what a flipped bit makes of a number
        lengths = np.linalg.norm(values, axis=1)
    lengths = lengths[np.isfinite(lengths)]
    if not len(lengths):
        return ""
    typical = float(np.median(lengths))
    if kind == "accelerometer" and not STILL[0] <= typical <= STILL[1]:
        return _other_acceleration(typical)
    if kind == "gyroscope":
        return _other_rate(typical, float(np.quantile(lengths, 0.99)))
    if kind == "magnetometer" and not NO_FIELD_UT[0] <= typical <= NO_FIELD_UT[1]:
        return _other_field(typical)
    return _other_angle(values) if kind == "gnss" else ""


def _other_acceleration(typical: float) -> str:
    for unit, size in (("g", GRAVITY), ("m/s2", 1 / GRAVITY), ("mg", GRAVITY / 1000), ("cm/s2", 0.01)):
        if MOST_LIKELY[0] <= typical * size <= MOST_LIKELY[1]:
            said = "m/s2" if unit != "m/s2" else "g"
            value = typical if unit != "m/s2" else typical / GRAVITY
            return (
                f"a median length of {value:.3g} is {_times(typical / GRAVITY)} gravity in {said}, as is said, and "
                f"gravity itself in {unit}: it looks like {unit}"
            )
    return ""


def _other_rate(typical: float, high: float) -> str:
    if (typical <= FAST_RAD_S and high <= FASTEST_RAD_S) or high > FASTEST_RAD_S / DEGREE:  # no rate in any unit
        return ""
    turns = typical / (2 * math.pi)
    return (
        f"a median of {typical:.3g} and one in a hundred over {high:.3g} are {turns:.3g} turns a second in rad/s, as "
        f"is said, and {turns * DEGREE:.3g} in deg/s: it looks like deg/s"
    )


def _other_field(typical: float) -> str:
    for unit, size in (("gauss", 100.0), ("T", 1e6), ("nT", 1e-3), ("mT", 1e3)):
        if EARTH_UT[0] <= typical * size <= EARTH_UT[1]:
            return (
                f"a median length of {typical:.3g} is {_times(typical / 45)} the earth's field in uT, as is said, and "
                f"{typical * size:.0f} uT in {unit}: it looks like {unit}"
            )
    return ""


def _other_angle(values: NDArray[np.float64]) -> str:
    most = np.abs(values[np.isfinite(values[:, :2]).all(1), :2]).max(1)
    typical = float(np.median(most)) if len(most) else 0.0
    if typical <= 360:
        return ""
    return f"latitudes and longitudes of {typical:.4g} are no degrees: it looks like units of 1e-7 deg"


def _times(share: float) -> str:
    return f"{share:.2g} times"
