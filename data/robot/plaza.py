"""The mower of Plaza1: odometry, and ultra-wideband ranges to four beacons that come out metres too long."""

from pathlib import Path

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.robot.recording import CHANNELS, Array, Recording, Sensor
from mainstem.data.robot.truth import Truth

NAME = "plaza-uwb"
DEAD_RECKONING = "odometry.integrated"
NOTE = "differential GNSS and a fibre-optic gyroscope, planar; its heading is the odometry's own"


def open_plaza(mirror: Path | None = None) -> tuple[Recording, Truth]:
    """Return the mower's log and its surveyed path, both in the set's own plane; times from the first stamp."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise InputError('reading .mat files needs SciPy; pip install "mainstem[robot]"') from error
    tables = loadmat(pull(NAME, mirror) / "Plaza1_.mat")
    entry = find_data_set(NAME)
    path, start = tables["GT"], float(tables["GT"][0, 0])
    recording = Recording(
        name=NAME,
        sensors={
            "wheels": _wheels(path[:, 0], tables["DR"], start),
            "uwb": _ranges(tables["TD"], tables["TL"], start),
            DEAD_RECKONING: _integrated(tables["DRp"], start),
        },
        converted=("increments of distance and heading divided by the time they took: speed and rate of turn",),
        licence=entry.licence,
        attribution=entry.attribution,
    )
    position = np.column_stack([path[:, 1:3], np.full(len(path), np.nan)])
    half = path[:, 3] / 2
    attitude = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], -1)
    return recording, Truth(times=path[:, 0] - start, position=position, attitude=attitude, note=NOTE)


def _integrated(path: Array, start: float) -> Sensor:
    """The set's own dead reckoning, a peer; no filter reads it."""
    channels = (Channel(name="x", unit="m"), Channel(name="y", unit="m"), Channel(name="yaw", unit="rad"))
    return Sensor(kind="other", times=path[:, 0] - start, values=path[:, 1:4], channels=channels, source="DRp")


def _wheels(stamps: Array, increments: Array, start: float) -> Sensor:
    """Speed and rate of turn over the step that ends at each stamp."""
    steps = np.diff(stamps)
    values = np.column_stack([increments[:, 1] / steps, np.full(len(steps), np.nan), increments[:, 2] / steps])
    return Sensor(kind="wheel", times=increments[:, 0] - start, values=values, channels=CHANNELS["wheel"], source="DR")


def _ranges(heard: Array, beacons: Array, start: float) -> Sensor:
    """One channel a beacon, NaN where it was not the one heard; heights are not told."""
    names = [f"beacon {int(beacon)}" for beacon in beacons[:, 0]]
    values = np.where(heard[:, 2:3] == beacons[:, 0], heard[:, 3:4], np.nan)
    return Sensor(
        kind="range",
        times=heard[:, 0] - start,
        values=values,
        channels=tuple(Channel(name=name, unit="m") for name in names),
        beacons={name: np.array([*place, np.nan]) for name, place in zip(names, beacons[:, 1:], strict=True)},
        source="TD",
    )
