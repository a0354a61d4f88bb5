"""Column names of sensor tables: which sensor, which channel and which unit a header means, or what it has to say.

time [s], gyr_x [rad/s], acc_x_g, mag_x_uT, speed_x [m/s], latitude [deg], imu2/gyr_x [deg/s]
#timestamp [ns], w_RS_S_x [rad s^-1], a_RS_S_x [m s^-2]       EuRoC MAV, Burri et al. 2016
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import CHANNELS, Kind
from mainstem.data.robot.units import SPELLINGS, WRITE, factor, normal

BRACKETS: Final = re.compile(r"(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*")
CLOCKS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("time", "timestamp", "t", "ts", "stamp"),
    "received": ("received", "arrival", "recv_time"),
}
WORDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "gyroscope": ("gyr", "gyro", "gyroscope", "omega", "angular_velocity", "w_rs_s", "w"),
    "accelerometer": ("acc", "accel", "accelerometer", "linear_acceleration", "specific_force", "a_rs_s", "a"),
    "magnetometer": ("mag", "magn", "magnetometer", "magnetic_field"),
    "position": ("pos", "position", "p_rs_r"),
    "orientation": ("quat", "q", "orientation", "q_rs"),
}
VECTORS: Final = {word: kind for kind, words in WORDS.items() for word in words}
SINGLES: Final[Mapping[str, tuple[Kind, str]]] = {
    "latitude": ("gnss", "latitude"), "lat": ("gnss", "latitude"), "longitude": ("gnss", "longitude"),
    "lon": ("gnss", "longitude"), "lng": ("gnss", "longitude"), "altitude": ("gnss", "altitude"),
    "alt": ("gnss", "altitude"), "speed_x": ("wheel", "speed_x"), "wheel_speed": ("wheel", "speed_x"),
    "wheel_speed_x": ("wheel", "speed_x"), "speed_y": ("wheel", "speed_y"), "wheel_speed_y": ("wheel", "speed_y"),
    "yaw_rate": ("wheel", "yaw_rate"),
}  # fmt: skip
ROBOT: Final = "robot"  # the frame of what no column names another of
AXIS: Final = re.compile(r"(.+?)[_.]?([wxyz])")


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column is.

    Attributes:
        name: as the header has it.
        sensor: "imu.gyroscope", or with the group that the header names, "imu2.gyroscope"; "" for a clock.
        kind: of the sensor.
        channel: of the sensor; "time" or "received" of a clock.
        unit: as the header spells it.
        scale: what values are multiplied by.
    """

    name: str
    sensor: str
    kind: Kind
    channel: str
    unit: str
    scale: float


def column_of(header: str) -> Column | None:
    """Return what a header names; None where it names no sensor and no unit, so that it is not read.

    Raises:
        InputError: if it names a sensor or a clock without a unit, or with one that is none of it.
    """
    text, unit = _split(header.strip().lstrip("#").strip())
    group, bare = _group(text)
    word = re.sub(r"[\s.]+", "_", bare.strip()).casefold()
    clock = next((clock for clock, words in CLOCKS.items() if word in words), "")
    if clock:
        scale = _scale(header, word, unit, "s")
        return Column(name=header, sensor="", kind="other", channel=clock, unit=unit, scale=scale)
    kind, channel = _meaning(word)
    if kind == "other":
        sensor = f"{group}.{word}" if group else word
        return Column(name=header, sensor=sensor, kind=kind, channel=word, unit=unit, scale=1.0) if unit else None
    wanted = next(c.unit for c in CHANNELS[kind] if c.name == channel)
    scale = _scale(header, bare.strip(), unit, wanted)
    sensor = f"{group or _home(kind)}.{kind}"
    return Column(name=header, sensor=sensor, kind=kind, channel=channel, unit=unit, scale=scale)


def _home(kind: Kind) -> str:
    return "imu" if kind in ("gyroscope", "accelerometer", "magnetometer") else ROBOT


def _group(text: str) -> tuple[str, str]:
    """A group that a header names before a slash or a dot, "imu2/gyr_x", and the rest."""
    for mark in ("/", "."):
        before, found, rest = text.rpartition(mark)
        if found and before and not (mark == "." and len(rest) == 1):
            return before.strip("/. "), rest
    return "", text


def _split(header: str) -> tuple[str, str]:
    """A header without its unit, and the unit: in brackets, or after an underscore."""
    match = BRACKETS.fullmatch(header)
    if match:
        return match[1], match[2] or "1"
    parts = header.split("_")
    for length in (4, 3, 2, 1):  # gyr_x_deg_per_s, gyr_x_deg_s, acc_x_g
        if length < len(parts) and any(
            normal("_".join(parts[-length:])) in spellings and normal("_".join(parts[-length:])) not in ("", "1", "-")
            for spellings in SPELLINGS.values()
        ):
            return "_".join(parts[:-length]), "_".join(parts[-length:])
    return header, ""


def _meaning(word: str) -> tuple[Kind, str]:
    if word in SINGLES:
        return SINGLES[word]
    match = AXIS.fullmatch(word)
    if match and match[1] in VECTORS:
        kind = VECTORS[match[1]]
        if any(channel.name == match[2] for channel in CHANNELS[kind]):
            return kind, match[2]
    return "other", word


def _scale(header: str, word: str, unit: str, wanted: str) -> float:
    if not unit and wanted == "1":
        return 1.0
    found = factor(unit, wanted) if unit else None
    if found is None:
        told = f"the unit {unit[:20]!r}, which is none of it" if unit else "no unit"
        raise InputError(f"column {header[:60]!r} has {told}; write {word} {WRITE[wanted]}")
    return found
