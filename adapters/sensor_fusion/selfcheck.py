"""A log checked against itself: each sensor hidden in turn, and what it then says held against what was expected.

Until this ran on a user's own log, a stated covariance is not verified on that sensor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from mainstem.adapters.sensor_fusion.pose_filter import ahead, init_state, take
from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.pose_readings import Reading, model_of, readings_of
from mainstem.adapters.sensor_fusion.pose_state import PoseModel, PoseState
from mainstem.adapters.sensor_fusion.pose_updates import Innovation, innovations
from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Recording

SCORED = ("gnss", "position", "range", "wheel", "orientation")  # kinds that a hidden sensor may be scored by
UNITS = {"gnss": "m", "position": "m", "range": "m", "wheel": "m/s", "orientation": "rad"}
HIDDEN_S = {"gnss": 60.0, "position": 60.0, "range": 60.0}  # how long; other kinds for less
SHORT_S = 10.0
FROM_SHARE, MOST_WINDOWS = 0.25, 8  # of the log, which the filter needs to settle; windows that do not overlap


@dataclass(frozen=True, kw_only=True)
class Check:
    """What came of hiding one sensor.

    Attributes:
        sensor: that was hidden.
        scored_by: the sensor whose first reading after each window was held against the filter's expectation.
        hidden_s: how long the windows are.
        median_error: in `unit`.
        nees: mean normalised squared error, one a degree of freedom where the doubt is right.
        nees_low, nees_high: where it lies in 95 of 100 logs of as many windows, if the doubt is right.
        covered: how many of `num_windows` readings lay in the region of the level.
        verdict: "consistent", "too sure" or "too cautious".
    """

    sensor: str
    scored_by: str
    hidden_s: float
    num_windows: int
    median_error: float
    unit: str
    nees: float
    nees_low: float
    nees_high: float
    level: float
    covered: int
    verdict: str


def selfcheck(recording: Recording, noise: Noise | None = None, level: float = 0.9) -> list[Check]:
    """Return a check of each sensor that can be hidden while another, or itself afterwards, can be held against it.

    Raises:
        InputError: if no sensor tells of a place or a speed, so that nothing can be scored.
    """
    model, readings = model_of(recording, noise), readings_of(recording)
    names = sorted({reading.sensor for reading in readings})
    kinds = {reading.sensor: reading.kind for reading in readings}
    if not any(kind in SCORED for kind in kinds.values()):
        raise InputError(f"{recording.name} has no {', '.join(SCORED)}, so that nothing can be held against the pose")
    found = []
    for name in names:
        judge = _judge(name, kinds)
        hidden_s = min(HIDDEN_S.get(kinds[name], SHORT_S), (readings[-1].time - readings[0].time) / 6)
        scored = _hide(model, readings, name, judge, hidden_s)
        if scored:
            found.append(_check(name, judge, kinds[judge], hidden_s, scored, level))
    return found


def _judge(name: str, kinds: Mapping[str, str]) -> str:
    """The sensor by which a hidden one is scored: itself, or another where the filter integrates it."""
    if kinds[name] in SCORED:
        return name
    return next(other for kind in SCORED for other in kinds if kinds[other] == kind)


def _hide(
    model: PoseModel, readings: Sequence[Reading], name: str, judge: str, hidden_s: float
) -> list[tuple[float, float, int]]:
    """Error, squared normalised error and its degrees of freedom after each window in which a sensor was hidden."""
    first, last = readings[0].time, readings[-1].time
    start = first + FROM_SHARE * (last - first)
    every = max(hidden_s, (last - start) / MOST_WINDOWS)
    state, scored, hidden = init_state(model), [], None
    begin = start
    for reading in readings:
        if hidden is None and reading.time >= begin and reading.time < begin + hidden_s and state.alignment is None:
            hidden = state
        if hidden is not None:
            if reading.time >= begin + hidden_s and reading.sensor == judge:
                scored.append(_score(model, ahead(model, hidden, reading.time), reading))
                hidden, begin = None, begin + every
            elif reading.sensor != name:
                hidden = take(model, hidden, reading)
        state = take(model, state, reading)
    return scored


def _score(model: PoseModel, state: PoseState, reading: Reading) -> tuple[float, float, int]:
    """Hold the first thing that a reading says against the state."""
    told: Innovation = next(innovations(model, state, reading))
    tally = state.tallies.get(told.sensor)
    noise = told.covariance * (1.0 if tally is None else tally.scale)
    spread = told.jacobian @ state.covariance @ told.jacobian.T + noise
    square = float(told.residual @ np.linalg.solve(spread, told.residual))
    rows = 1 if reading.kind == "wheel" else len(told.residual)
    return float(np.linalg.norm(told.residual[:rows])), square, len(told.residual)


def _check(
    name: str, judge: str, kind: str, hidden_s: float, scored: Sequence[tuple[float, float, int]], level: float
) -> Check:
    """Sum up a sensor's windows."""
    errors, squares, freedoms = (np.array(column, dtype=np.float64) for column in zip(*scored, strict=True))
    freedom = float(freedoms.sum())
    low, high = (float(chi2.ppf(tail, freedom)) / freedom for tail in (0.025, 0.975))
    nees = float(squares.sum()) / freedom
    return Check(
        sensor=name,
        scored_by=judge,
        hidden_s=hidden_s,
        num_windows=len(errors),
        median_error=float(np.median(errors)),
        unit=UNITS[kind],
        nees=nees,
        nees_low=low,
        nees_high=high,
        level=level,
        covered=int((squares <= chi2.ppf(level, freedoms)).sum()),
        verdict="too sure" if nees > high else "too cautious" if nees < low else "consistent",
    )
