"""What the robotics page asks for: recordings on this machine, sensors on one grid, what filters say of attitude."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core import rotations
from mainstem.core.errors import InputError, MissingExtraError
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
OF_PLACES: tuple[Kind, ...] = ("wheel", "gnss", "range", "position")
EVERY_S, MOST_PLACES = 0.2, 3000  # between places of a path, and how many there are at most
LOST_M = 1000.0  # a place that nobody knows better is not drawn
ABSENT, UNJUDGED = "absent", "unjudged"
SILENT = 2.5  # of a sensor's own periods without a reading: at 100 Hz, 25 ms
TRUTH = "truth."  # how names of sensors begin that a reference system, and no robot, has
NEAR = 1.5  # of the time between a reference's readings: what lies further from all of them has none
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Attitude:
    """What a filter says: quaternions (n, 4), earth from body, NaN before it knows any.

    `radius90_rad` (n,) and `covariance` (n, 3, 3) rad2, in the earth's axes, and words of health (n,) by sensor are
    what few filters tell.
    """

    name: str
    times: Array
    quat: Array
    radius90_rad: Array | None = None
    covariance: Array | None = None
    health: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)


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


def motion(grid: Grid, is_smoothed: bool = False) -> Attitude:
    """Return what the adapter's integrator says, by readings up to each time, or by all of them.

    Raises:
        InputError: if what it is compiled with is not installed.
    """
    from mainstem.adapters.sensor_fusion.settings import stored_settings
    from mainstem.adapters.sensor_fusion.track import follow, smooth

    samples = np.ascontiguousarray(np.concatenate([grid.gyr, grid.acc, grid.mag], axis=1))
    steps_s = np.full(len(samples), 1 / grid.rate_hz)
    told = (smooth if is_smoothed else follow)(samples, steps_s, stored_settings())
    return Attitude(
        name="motion smoother" if is_smoothed else "motion filter", times=grid.times, quat=told.quat,
        radius90_rad=radius_of(told.covariance, 0.9), covariance=told.covariance, health=heard_of(grid),
    )  # fmt: skip


def heard_of(grid: Grid) -> dict[str, NDArray[np.str_]]:
    """Return a word (n,) of each sensor's state: ABSENT once it missed SILENT readings, else that nobody judged it."""
    found = {}
    for name, part in zip(grid.names, (grid.gyr, grid.acc, grid.mag), strict=True):
        if name:
            seen = np.isfinite(part.sum(1))
            places = np.arange(len(seen))
            last = np.maximum.accumulate(np.where(seen, places, -1))
            found[name] = np.where(places - last > SILENT * _spacing(seen), ABSENT, UNJUDGED)
    return found


def radius_of(covariance: Array, level: float) -> Array:
    """Return the radii (n,), rad, at most pi, of balls that hold a level of normal errors of covariances (n, 3, 3).

    The squared length is taken as a gamma distribution of its mean and variance: Box 1954, Some theorems on quadratic
    forms applied in the study of analysis of variance problems I, section 3.
    """
    from scipy.stats import gamma  # late: it takes a third of a second to import

    mean = np.trace(covariance, axis1=1, axis2=2)
    variance = 2 * (covariance * covariance).sum((1, 2))
    scale = variance / np.maximum(mean, 1e-30)
    found = gamma.ppf(level, mean / np.maximum(scale, 1e-30)) * scale
    return np.minimum(np.sqrt(np.nan_to_num(found)), np.pi)


@dataclass(frozen=True, kw_only=True, eq=False)
class Travelled:
    """Where a filter says a body went: east and north (n, 2) m, and their covariance (n, 2, 2) m2."""

    name: str
    times: Array
    place: Array
    covariance: Array


def travelled(recording: Recording) -> Travelled | None:
    """Return the path of a recording; None where no sensor of it tells of places or ways."""
    if not any(recording.find(kind) for kind in OF_PLACES):
        return None
    from mainstem.adapters.sensor_fusion.pose_readings import model_of, readings_of
    from mainstem.adapters.sensor_fusion.pose_smoothing import filtered

    first, last = recording.span_s()
    times = np.arange(first + EVERY_S, last, max(EVERY_S, (last - first) / MOST_PLACES))
    told = filtered(model_of(recording), readings_of(recording), times)
    known = np.sqrt(np.trace(told.covariance[:, :2, :2], axis1=1, axis2=2)) < LOST_M
    place = np.where(known[:, None], told.position[:, :2], np.nan)
    return Travelled(name="pose filter", times=told.times, place=place, covariance=told.covariance[:, :2, :2])


def vqf(grid: Grid) -> Attitude:
    """Return what VQF says: it skips what is absent, stands still without a gyroscope, and begins anew after that.

    Beginning anew is the best of what was tried with it; held or zero rates poison its bias.
    Source: Laidig & Seel 2023, VQF: highly accurate IMU orientation estimation with bias estimation, Information Fusion
    91, 187.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        from vqf import VQF
    except ImportError as error:
        raise MissingExtraError("vqf", "robot") from error
    seconds, seen = 1 / grid.rate_hz, [np.isfinite(part.sum(1)) for part in (grid.gyr, grid.acc, grid.mag)]
    spacing = [max(_spacing(one), 1) for one in seen]
    began = {"gyrTs": seconds, "accTs": seconds * spacing[1], "magTs": seconds * spacing[2]}
    gyr, acc, mag = (np.ascontiguousarray(part) for part in (grid.gyr, grid.acc, grid.mag))
    estimator, told, last, lost = VQF(**began), np.full((len(gyr), 4), np.nan), None, 0
    has_mag = bool(seen[2].any())
    for row in range(len(gyr)):
        if seen[0][row]:
            if lost > 2 * spacing[0]:  # one reading that lacks is jitter
                estimator = VQF(**began)
            lost = 0
            estimator.updateGyr(gyr[row])
            if seen[1][row]:
                estimator.updateAcc(acc[row])
            if seen[2][row]:
                estimator.updateMag(mag[row])
            last = estimator.getQuat9D() if has_mag else estimator.getQuat6D()
        else:
            lost += 1
        if last is not None:
            told[row] = last
    return Attitude(name=f"VQF {version('vqf')}", times=grid.times, quat=told)


def _spacing(seen: NDArray[np.bool_]) -> int:
    """The median number of samples from one reading to the next."""
    rows = np.flatnonzero(seen)
    return int(np.median(np.diff(rows))) if len(rows) > 1 else 1


def error_rad(told: Attitude, truth: Truth) -> Array:
    """Return the angle (n,) to the truth's attitude at the nearest of its times; NaN where it has none near."""
    if truth.attitude is None:
        return np.full(len(told.times), np.nan)
    kept = np.isfinite(truth.attitude).all(1)
    times, attitude = truth.times[kept], truth.attitude[kept]
    if len(times) < 2:
        return np.full(len(told.times), np.nan)
    after = np.clip(np.searchsorted(times, told.times), 1, len(times) - 1)
    is_after = np.abs(times[after] - told.times) < np.abs(times[after - 1] - told.times)
    near = np.where(is_after, after, after - 1)
    found = rotations.angle_between(told.quat, attitude[near])
    return np.where(np.abs(times[near] - told.times) <= NEAR * np.median(np.diff(times)), found, np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A recording, and where its body truly was as far as anyone knows."""

    recording: Recording
    truth: Truth | None = None


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
    found = []
    if is_pulled("broad"):
        folder = data_home() / find_data_set("broad").folder
        found += [_trial(path) for path in sorted(folder.glob("*.npz"))]
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
    return replace(opened, recording=recording)


def _open_log(open_log: Callable[[], tuple[Recording, Truth]]) -> Opened:
    recording, truth = open_log()
    return Opened(recording=recording, truth=truth)


LOGS: Mapping[str, tuple[str, Callable[[], tuple[Recording, Truth]]]] = {
    "husky": ("Husky around a car park", open_husky),
    "comma2k19-example": ("Car on a motorway", open_comma2k19),
    "plaza-uwb": ("Mower among radio beacons", open_plaza),
    "icub-walk": ("Walking humanoid", open_icub),
}


def bring_trials(mirror: Path | None = None) -> None:
    """Have the public trials and the Husky's log on this machine.

    Raises:
        InputError: if they cannot be had.
    """
    for name in ("broad", "husky"):
        pull(name, mirror)
