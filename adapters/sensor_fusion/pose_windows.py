"""A sensor hidden for a while in a log, again and again: how far off the pose ends, and whether its doubt says so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy.stats import chi2

from mainstem.adapters.sensor_fusion.pose_filter import ahead, init_state, take
from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import POSITION, WANDER, Array, PoseModel, PoseState
from mainstem.adapters.sensor_fusion.rivals_pose import (
    PlainNoise,
    PlainState,
    plain_ahead,
    plain_start,
    plain_take,
)

GNSS = ("gnss", "position")  # kinds that are hidden


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window: its times, s; the error at its end, m; NEES of two degrees of freedom; the ellipse's mean radius, m.

    `rivals` holds the peers' end errors, `rival_nees` their NEES, by name.
    """

    start: float
    end: float
    error_m: float
    nees: float
    covered: bool
    radius_m: float
    rivals: dict[str, float] = field(default_factory=dict)
    rival_nees: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What the end is scored against: places (n, 3) at times (n,), and variance (n, 2, 2) of the reference itself.

    `is_of_sensor`: the reference is the hidden sensor's own reading, which wanders as the filter knows it to.
    """

    times: Array
    position: Array
    covariance: Array
    is_of_sensor: bool

    def at(self, time: float) -> tuple[float, Array, Array]:
        """Nearest time, place (2,) and variance (2, 2)."""
        index = int(np.argmin(np.abs(self.times - time)))
        return float(self.times[index]), self.position[index, :2], self.covariance[index]


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """Both filters at a window's start, and how many readings they had taken."""

    state: PoseState
    rival: PlainState
    taken: int


def snapshots(
    model: PoseModel, readings: Sequence[Reading], starts: Sequence[float], rival_noise: PlainNoise
) -> list[Snapshot]:
    """Run both filters over all readings once, and keep them at each start, ascending."""
    state, rival, kept = init_state(model), plain_start(rival_noise), []
    waiting = list(starts)
    for index, reading in enumerate(readings):
        while waiting and reading.time >= waiting[0]:
            kept.append(Snapshot(state=state, rival=rival, taken=index))
            waiting.pop(0)
        state = take(model, state, reading)
        rival = plain_take(rival, reading)
    return kept


def score_window(
    model: PoseModel, readings: Sequence[Reading], snapshot: Snapshot, window: tuple[float, float]
) -> tuple[PoseState, PlainState]:
    """Return both filters at a window's end, when no fix was read in it."""
    state, rival = snapshot.state, snapshot.rival
    for reading in readings[snapshot.taken :]:
        if reading.time > window[1]:
            break
        if reading.kind not in GNSS:
            state, rival = take(model, state, reading), plain_take(rival, reading)
    return ahead(model, state, window[1]), plain_ahead(rival, window[1])


def hide(
    model: PoseModel,
    readings: Sequence[Reading],
    reference: Reference,
    windows: Sequence[tuple[float, float]],
    level: float,
    rival_noise: PlainNoise,
) -> list[Window]:
    """Score each window, in which fixes are hidden; ends are moved to the reference's nearest time."""
    ends = [reference.at(end) for _, end in windows]
    found = []
    for (begin, _), (end, place, variance), snapshot in zip(
        windows, ends, snapshots(model, readings, [begin for begin, _ in windows], rival_noise), strict=True
    ):
        state, rival = score_window(model, readings, snapshot, (begin, end))
        expected, spread = planar_of(state, reference.is_of_sensor)
        score = partial(score_place, place, variance, level)
        error, nees, covered, radius = score(expected, spread)
        plain_error, plain_nees, _, _ = score(rival.mean[:2], rival.covariance[:2, :2])
        found.append(
            Window(
                start=begin,
                end=end,
                error_m=error,
                nees=nees,
                covered=covered,
                radius_m=radius,
                rivals={"ekf": plain_error},
                rival_nees={"ekf": plain_nees},
            )
        )
    return found


def planar_of(state: PoseState, with_wander: bool) -> tuple[Array, Array]:
    """Return the expected place (2,) and its covariance (2, 2): of the body, or as the wandering sensor would say."""
    rows = np.zeros((2, len(state.mean)))
    rows[:, POSITION.start : POSITION.start + 2] = np.eye(2)
    if with_wander:
        rows[:, WANDER.start : WANDER.start + 2] = np.eye(2)
    return rows @ state.mean, rows @ state.covariance @ rows.T


def score_place(
    place: Array, variance: Array, level: float, expected: Array, spread: Array
) -> tuple[float, float, bool, float]:
    """Error, m; NEES; whether the level's ellipse holds the reference; the ellipse's mean radius, m."""
    error, total = place - expected, spread + variance
    nees = float(error @ np.linalg.solve(total, error))
    quantile = float(chi2.ppf(level, 2))
    return float(np.linalg.norm(error)), nees, nees <= quantile, float((np.linalg.det(total) * quantile**2) ** 0.25)
