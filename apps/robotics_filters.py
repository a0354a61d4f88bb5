"""What filters say of a recording for the robotics page: our attitude and path with their doubt, beside VQF."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters import find_task, shipped_runs
from mainstem.apps.robotics import Grid
from mainstem.core import rotations
from mainstem.core.errors import ArtifactError, MissingExtraError
from mainstem.data.robot.recording import Array, Kind, Recording
from mainstem.data.robot.truth import Truth

if TYPE_CHECKING:
    from mainstem.core.fitted import Fitted

LEVEL = 0.9  # of balls
OF_PLACES: tuple[Kind, ...] = ("wheel", "gnss", "range", "position")
EVERY_S, MOST_PLACES = 0.2, 3000  # between places of a path, and how many there are at most
LOST_M = 1000.0  # a place that nobody knows better is not drawn
NEAR = 1.5  # of the time between a reference's readings: what lies further from all of them has none


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


def motion(grid: Grid, is_smoothed: bool = False) -> Attitude:
    """Return what the adapter that ships says, by readings up to each time, or by all.

    Raises:
        InputError: if what it is compiled with is not installed.
        ArtifactError: if it is damaged.
    """
    from mainstem.adapters.sensor_fusion.motion_track import tell_attitudes  # late: torch takes seconds

    samples = np.ascontiguousarray(np.concatenate([grid.gyr, grid.acc, grid.mag], axis=1))
    told = tell_attitudes(samples, np.full(len(samples), 1 / grid.rate_hz), _fitted(), LEVEL, is_smoothed)
    return Attitude(
        name="motion smoother" if is_smoothed else "motion filter", times=grid.times, quat=told.quat,
        radius90_rad=told.radius_rad, covariance=told.covariance, health=health_words(told.health, grid.names),
    )  # fmt: skip


def adapter_words() -> str:
    """Say which adapter speaks of attitudes, and the version that it was fitted with."""
    try:
        version_fitted = _fitted().manifest.version
    except ArtifactError:
        version_fitted = "is damaged"  # which whoever asks it for attitudes is told in full
    return f"sensor-fusion motion {version_fitted}"


@cache
def _fitted() -> "Fitted":
    from mainstem.core.fitted import load_run  # late: torch takes seconds

    run = shipped_runs("sensor-fusion").get("motion")
    if run is None:
        raise ArtifactError("no motion adapter is in this installation; install Mainstem anew")
    return load_run(run, find_task("sensor-fusion", "motion"))


def health_words(codes: NDArray[np.int8], names: Sequence[str]) -> dict[str, NDArray[np.str_]]:
    """Return the word (n,) of each sensor's state at each time, by its name, of codes (n, 3); a name "" has none."""
    from mainstem.adapters.sensor_fusion.health_state import STATES

    words = np.array([STATES[code] for code in range(len(STATES))])
    return {name: words[codes[:, place]] for place, name in enumerate(names) if name}


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


def share_inside(told: Attitude, truth: Truth | None) -> float:
    """Return which share of attitudes with a truth lie within their ball; NaN where there is none, or no ball."""
    if truth is None or told.radius90_rad is None:
        return float("nan")
    error = error_rad(told, truth)
    known = np.isfinite(error)
    return float((error <= told.radius90_rad)[known].mean()) if known.any() else float("nan")
