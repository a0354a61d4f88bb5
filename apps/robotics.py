"""What the robotics page opens: recordings on this machine with their truth, and inertial sensors on one grid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.catalogue import data_home, find_data_set, is_pulled, pull
from mainstem.data.robot.comma2k19 import open_comma2k19
from mainstem.data.robot.husky import open_husky
from mainstem.data.robot.icub import open_icub
from mainstem.data.robot.plaza import open_plaza
from mainstem.data.robot.reading import read_recording
from mainstem.data.robot.recording import Array, Kind, Recording, Sensor
from mainstem.data.robot.simulate import simulate_trial
from mainstem.data.robot.truth import Truth

INERTIAL: tuple[Kind, ...] = ("gyroscope", "accelerometer", "magnetometer")
TRUTH = "truth."  # how names of sensors begin that a reference system, and no robot, has
TRIAL = "06_undisturbed_fast_rotation_A.npz"  # of BROAD, that a demonstration shows
MOST_SAMPLES = 5_000_000  # of a grid: five hours at 285 Hz


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Inertial sensors at even times, in the body's axes: (n, 3) each in rad/s, m/s2, uT; NaN where nothing was read.

    `names` are those of the sensors in the order of INERTIAL, "" where the recording has none.
    """

    times: Array
    rate_hz: float
    gyr: Array
    acc: Array
    mag: Array
    names: tuple[str, str, str]


def first_of(recording: Recording, kind: Kind) -> str:
    """Return the name of the robot's first sensor of a kind; "" where it has none."""
    return next((name for name in recording.find(kind) if not name.startswith(TRUTH)), "")


def on_grid(recording: Recording) -> Grid:
    """Return inertial readings at the rate of the fastest of them; each goes to the nearest time, and none is made up.

    Raises:
        InputError: if the recording has none, or far too many.
    """
    names = tuple(first_of(recording, kind) for kind in INERTIAL)
    held = [recording.sensors[name] for name in names if name]
    rate_hz = max((sensor.rate_hz for sensor in held if sensor.usable().sum() > 1), default=float("nan"))
    if not np.isfinite(rate_hz):
        raise InputError(f"{recording.name} has no gyroscope, accelerometer or magnetometer; attitude is told of these")
    usable = [sensor.times[sensor.usable()] for sensor in held]
    first, last = min(times[0] for times in usable if len(times)), max(times[-1] for times in usable if len(times))
    num = round((last - first) * rate_hz) + 1
    if num > MOST_SAMPLES:
        raise InputError(f"{recording.name} has {num} samples at {rate_hz:.0f} Hz, want {MOST_SAMPLES}; cut it")
    told = [_placed(recording, name, first, rate_hz, num) for name in names]
    return Grid(
        times=first + np.arange(num) / rate_hz, rate_hz=rate_hz, gyr=told[0], acc=told[1], mag=told[2],
        names=(names[0], names[1], names[2]),
    )  # fmt: skip


def _placed(recording: Recording, name: str, first: float, rate_hz: float, num: int) -> Array:
    found = np.full((num, 3), np.nan)
    if name:
        sensor = recording.sensors[name]
        kept = sensor.usable()
        rows = np.rint((sensor.times[kept] - first) * rate_hz).astype(np.intp)
        found[rows] = in_body(recording, sensor)[kept]
    return found


def in_body(recording: Recording, sensor: Sensor) -> Array:
    """Return a sensor's vectors (n, 3) in the body's axes, where the recording says how it is mounted."""
    mounting = recording.extrinsics.get(sensor.frame)
    return sensor.values if mounting is None else sensor.values @ mounting[:3, :3].T


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A recording, where its body truly was as far as anyone knows, and whether it is of the set that taught ours."""

    recording: Recording
    truth: Truth | None = None
    is_learned_from: bool = False


def with_truth(recording: Recording) -> Opened:
    """Take the sensors whose names begin with TRUTH out of a recording, as its truth."""
    own = {name: sensor for name, sensor in recording.sensors.items() if not name.startswith(TRUTH)}
    turned, placed = (recording.sensors.get(f"{TRUTH}{kind}") for kind in ("orientation", "position"))
    if turned is None and placed is None:
        return Opened(recording=recording)
    times = (turned or placed).times  # type: ignore[union-attr]
    position = None if placed is None or len(placed.times) != len(times) else placed.values
    truth = Truth(times=times, position=position, attitude=None if turned is None else turned.values)
    return Opened(recording=replace(recording, sensors=own), truth=truth)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A recording that can be opened: its name in an address, its title, and what opens it."""

    name: str
    title: str
    open: Callable[[], Opened]


def choices() -> list[Choice]:
    """Return what is on this machine: public logs and trials, and a simulated one that always is."""
    found = [_trial(path) for path in sorted((data_home() / find_data_set("broad").folder).glob("*.npz"))]
    for name, (title, open_log) in LOGS.items():
        if is_pulled(name):
            found.append(Choice(name=name, title=title, open=partial(_open_log, open_log)))
    return [*found, Choice(name="simulated", title="Simulated cart", open=lambda: with_truth(simulate_trial()))]


def _trial(path: Path) -> Choice:
    return Choice(name=path.stem, title=f"BROAD {path.stem.replace('_', ' ')}", open=lambda: _open_trial(path))


def _open_trial(path: Path) -> Opened:
    entry = find_data_set("broad")
    opened = with_truth(read_recording(path))
    recording = replace(opened.recording, name=path.stem, licence=entry.licence, attribution=entry.attribution)
    return replace(opened, recording=recording, is_learned_from=True)


def _open_log(open_log: Callable[[], tuple[Recording, Truth]]) -> Opened:
    recording, truth = open_log()
    return Opened(recording=recording, truth=truth)


LOGS: Mapping[str, tuple[str, Callable[[], tuple[Recording, Truth]]]] = {
    "husky": ("Husky around a car park", open_husky),
    "comma2k19-example": ("Car on a motorway", open_comma2k19),
    "plaza-uwb": ("Mower among radio beacons", open_plaza),
    "icub-walk": ("Walking humanoid", open_icub),
}


def bring_trial(mirror: Path | None = None) -> None:
    """Have one public trial on this machine, 1.6 MB, where there is none.

    Raises:
        InputError: if it cannot be had.
    """
    pull("broad", mirror, only=(TRIAL,))


def bring_trials(mirror: Path | None = None) -> None:
    """Have the public trials and the Husky's log on this machine.

    Raises:
        InputError: if they cannot be had.
    """
    for name in ("broad", "husky"):
        pull(name, mirror)
