"""What filters say of a recording for the robotics page: attitude and path as `predict` tells them, beside VQF."""

from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

from mainstem.adapters import find_task, shipped_runs
from mainstem.core import rotations
from mainstem.core.errors import ArtifactError, MissingExtraError
from mainstem.data.robot.estimates import HealthChange
from mainstem.data.robot.recording import Array, Kind, Recording, Sensor
from mainstem.data.robot.truth import Truth

if TYPE_CHECKING:
    from mainstem.core.fitted import Fitted

LEVEL = 0.9  # of balls
INERTIAL: tuple[Kind, ...] = ("gyroscope", "accelerometer", "magnetometer")
MOST_PLACES = 3000  # of a path that are drawn
LOST_M = 1000.0  # a place that nobody knows better is not drawn
NEAR = 1.5  # of the time between a reference's readings: what lies further from all of them has none
FULLY, BY_RUNS, BY_SILENCE = JUDGEMENTS = (
    "every fault by limits of BROAD's unit",
    "silence, sticking and saturation alone",
    "silence alone",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Attitude:
    """What a filter says: quaternions (n, 4), earth from body, NaN before it knows any.

    `radius90_rad` (n,) and `covariance` (n, 3, 3) rad2, in the earth's axes, are what few filters tell.
    """

    name: str
    times: Array
    quat: Array
    radius90_rad: Array | None = None
    covariance: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Travelled:
    """Where a filter says a body went: east and north (n, 2) m, and their covariance (n, 2, 2) m2.

    `is_placed` is False where nothing tells where in the world it is: places count from the first pose, x ahead.
    """

    name: str
    times: Array
    place: Array
    covariance: Array
    is_placed: bool = True


def told_of(recording: Recording, is_smoothed: bool = False) -> tuple[Attitude, Travelled | None]:
    """Return what `predict` tells of usable, mounted sensors: a pose where any tells of places, else an attitude.

    Raises:
        InputError: if no sensor tells of either, or what filters are compiled with is not installed.
        ArtifactError: if the adapter that ships is damaged.
    """
    from mainstem.adapters.sensor_fusion.pose_tracks import PLACING

    if any(recording.find(kind) for kind in PLACING):
        return posed_of(recording, is_smoothed)
    return motion(recording, is_smoothed), None


def motion(recording: Recording, is_smoothed: bool = False) -> Attitude:
    """Return what the adapter that ships says of inertial sensors, by readings up to each time, or by all."""
    from mainstem.adapters.sensor_fusion.laying import lay
    from mainstem.adapters.sensor_fusion.motion_track import tell_attitudes  # late: torch takes seconds
    from mainstem.adapters.sensor_fusion.recordings import in_body

    laid = lay(in_body(recording))
    told = tell_attitudes(laid.samples, laid.steps_s, _fitted(), LEVEL, is_smoothed)
    return Attitude(
        name="motion smoother" if is_smoothed else "motion filter", times=laid.times, quat=told.quat,
        radius90_rad=told.radius_rad, covariance=told.covariance,
    )  # fmt: skip


def posed_of(recording: Recording, is_smoothed: bool = False) -> tuple[Attitude, Travelled]:
    """Return attitude and path of a recording that tells of places or ways."""
    from mainstem.adapters.sensor_fusion.pose_tracks import posed

    told, _ = posed(recording, is_smoothed)
    assert told.position is not None
    assert told.position_covariance is not None
    name = "pose smoother" if is_smoothed else "pose filter"
    attitude = Attitude(
        name=name, times=told.times, quat=told.quat, covariance=told.quat_covariance,
        radius90_rad=ball_radius(told.quat_covariance),
    )  # fmt: skip
    rows = slice(None, None, max(-(-len(told.times) // MOST_PLACES), 1))
    covariance = told.position_covariance[rows, :2, :2]
    known = np.sqrt(np.trace(covariance, axis1=1, axis2=2)) < LOST_M
    place = np.where(known[:, None], told.position[rows, :2], np.nan)
    is_placed = told.world == "map"
    return attitude, Travelled(
        name=name, times=told.times[rows], place=place, covariance=covariance, is_placed=is_placed
    )


def ball_radius(covariance: Array) -> Array:
    """Return radii (n,), rad, of balls that hold rotation vectors of a normal error (n, 3, 3) rad2 at LEVEL.

    Exact where its principal variances are equal, or all but one are none; between, their weighted sum of squares is
    taken for a gamma of its mean and variance. Source: Satterthwaite 1946, An approximate distribution of estimates of
    variance components, Biometrics Bulletin 2, 110.
    """
    mean, spread = np.trace(covariance, axis1=1, axis2=2), 2 * np.einsum("nij,nji->n", covariance, covariance)
    square: Array = gamma.ppf(LEVEL, mean**2 / spread, scale=spread / mean)
    return np.minimum(np.sqrt(square), np.pi)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Health:
    """What is said of one sensor: words (n,), each from its time (n,) s on, and which faults were looked for."""

    times: Array
    words: NDArray[np.str_]
    judged: str = FULLY

    def at(self, times: Array) -> NDArray[np.str_]:
        """Return the words that stand at times (n,)."""
        found: NDArray[np.str_] = self.words[np.searchsorted(self.times, times, side="right").clip(1) - 1]
        return found


def healths(recording: Recording, used: Recording | None) -> dict[str, Health]:
    """Return what is said of each sensor of a recording.

    The three inertial ones of those `used`, which are mounted, are judged for every fault, the others for what single
    readings tell.
    """
    from mainstem.adapters.sensor_fusion.sensor_states import states_of

    found = {} if used is None else _judged(used)
    speaking = {name: _speaking(sensor) for name, sensor in recording.sensors.items() if name not in found}
    others = replace(recording, sensors={name: sensor for name, sensor in speaking.items() if len(sensor.times)})
    changes, (first, last) = states_of(others), recording.span_s()
    for name in recording.sensors.keys() - found:
        begins = HealthChange(sensor=name, time_s=first, state="ok" if name in others.sensors else "absent")
        own = [begins, *(change for change in changes if change.sensor == name)]
        times = np.array([*(change.time_s for change in own), last])
        words = np.array([*(change.state for change in own), own[-1].state])
        judged = BY_RUNS if recording.sensors[name].kind in INERTIAL else BY_SILENCE
        found[name] = Health(times=times, words=words, judged=judged)
    return {name: found[name] for name in recording.sensors}


def _speaking(sensor: Sensor) -> Sensor:
    """The readings that say anything, at a time that goes forward."""
    return sensor.taken(sensor.usable() & np.isfinite(sensor.values).any(1))


def _judged(used: Recording) -> dict[str, Health]:
    from mainstem.adapters.sensor_fusion.health import judge_health
    from mainstem.adapters.sensor_fusion.health_limits import stored_limits
    from mainstem.adapters.sensor_fusion.health_state import STATES
    from mainstem.adapters.sensor_fusion.laying import lay
    from mainstem.adapters.sensor_fusion.recordings import in_body

    names = [next(iter(used.find(kind)), "") for kind in INERTIAL]
    if not any(names):
        return {}
    laid, words = lay(in_body(used)), np.array([STATES[code] for code in range(len(STATES))])
    codes = judge_health(laid.samples, laid.steps_s, stored_limits())
    return {name: Health(times=laid.times, words=words[codes[:, k]]) for k, name in enumerate(names) if name}


def vqf(recording: Recording) -> Attitude | None:
    """Return what VQF says of usable, mounted sensors; None without a gyroscope.

    It skips what is absent, stands still while the gyroscope is silent, and begins anew after that.

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
    if not recording.find("gyroscope"):
        return None
    from mainstem.adapters.sensor_fusion.laying import lay
    from mainstem.adapters.sensor_fusion.recordings import in_body

    laid = lay(in_body(recording))
    gyr, acc, mag = (np.ascontiguousarray(part) for part in np.split(laid.samples, 3, axis=1))
    seconds, seen = float(laid.steps_s.mean()), [np.isfinite(part.sum(1)) for part in (gyr, acc, mag)]
    spacing = [max(_spacing(one), 1) for one in seen]
    began = {"gyrTs": seconds, "accTs": seconds * spacing[1], "magTs": seconds * spacing[2]}
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
    return Attitude(name=f"VQF {version('vqf')}", times=laid.times, quat=told)


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
