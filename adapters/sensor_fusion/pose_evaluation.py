"""Scores of the pose filter on the public logs, beside its peers on the same inputs: what `mainstem evaluate` prints.

Settings are the defaults of Noise, and the robots' documents: the Husky's launch file names a Microstrain 3DM-GX2, the
mower's heading is of a fibre-optic gyroscope. The filter was built while looking at these logs: GNSS's wander was
chosen on the Husky's first 100 s, that wheels leave the accelerometer aside on all of it, the range scale on the
mower's residuals, levelling by each reading of gravity on the humanoid's walk. No window is an untouched one. The
peers' constants on the Husky and the mower were chosen on the log that is scored too, by its error.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.planar import named, range_error, speed_error
from mainstem.adapters.sensor_fusion.pose_filter import Start, ahead, init_state, take
from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.pose_readings import Reading, model_of, readings_of
from mainstem.adapters.sensor_fusion.pose_state import Array, Estimate, PoseModel, PoseState
from mainstem.adapters.sensor_fusion.pose_windows import Reference, Window, hide, planar_of, score_place
from mainstem.adapters.sensor_fusion.rivals_pose import PlainNoise, plain_ahead, plain_start, plain_take
from mainstem.core.evaluation import mean_over_groups, paired_difference
from mainstem.data.robot.comma2k19 import open_comma2k19
from mainstem.data.robot.husky import FIX, open_husky
from mainstem.data.robot.plaza import DEAD_RECKONING, open_plaza

HUSKY_WINDOW_S, HUSKY_STEP_S, HUSKY_FROM_S = 60.0, 10.0, 100.0
CAR_WINDOW_S, CAR_STEP_S, CAR_FROM_S = 20.0, 2.0, 10.0
HUSKY_NOISE = Noise(gyroscope_bias_prior=0.0035)
MOWER_NOISE = Noise(wheel_yaw=0.01, wheel_yaw_fraction=0.02, wheel_yaw_scale_prior=0.01)
HUSKY_RIVAL = PlainNoise(turn=0.01, bias_walk=1e-5)
MOWER_RIVAL = PlainNoise(turn=0.003, speed=4.0, range_bias=2.0, range_scale=0.05)  # ranges as far off as in Noise
DEAD = "dead_reckoning"
MOWER_BLOCKS = 12
DIFFERENCE_OF = "mean over stretches of their mean error"
NO_CLAIM = "none"  # is made of a sensor's doubt before its own log was checked


def evaluate_husky(mirror: Path | None = None, level: float = 0.9) -> dict[str, Any]:
    """Hide GNSS for 60 s, again and again, and score where the pose ends against the fix there."""
    recording, truth = open_husky(mirror)
    fixes = recording.sensors[FIX]
    assert truth.position is not None
    assert fixes.covariance is not None
    reference = Reference(
        times=truth.times, position=truth.position, covariance=fixes.covariance[:, :2, :2], is_of_sensor=True
    )
    starts = np.arange(HUSKY_FROM_S, truth.times[-1] - HUSKY_WINDOW_S, HUSKY_STEP_S)
    windows = [(float(start), float(start + HUSKY_WINDOW_S)) for start in starts]
    model = model_of(recording, HUSKY_NOISE)
    found = hide(model, readings_of(recording), reference, windows, level, HUSKY_RIVAL)
    return {**summary(found, HUSKY_WINDOW_S, level), "note": truth.note}


def evaluate_car(mirror: Path | None = None, level: float = 0.9) -> dict[str, Any]:
    """Hide both GNSS receivers for 20 s, and find by how much the wheels read wrong, against the reference."""
    recording, truth = open_comma2k19(mirror)
    assert truth.position is not None
    nothing = np.zeros((len(truth.times), 2, 2))
    reference = Reference(times=truth.times, position=truth.position, covariance=nothing, is_of_sensor=False)
    starts = np.arange(CAR_FROM_S, truth.times[-1] - CAR_WINDOW_S, CAR_STEP_S)
    windows = [(float(start), float(start + CAR_WINDOW_S)) for start in starts]
    model, readings = model_of(recording), readings_of(recording, hidden=frozenset({"gnss.qcom"}))
    found = hide(model, readings, reference, windows, level, PlainNoise())
    state = run(model, readings)
    wheels = recording.sensors["wheels"]
    middle = (truth.times[20:] + truth.times[:-20]) / 2
    speed = np.linalg.norm(truth.position[20:] - truth.position[:-20], axis=1) / (truth.times[20:] - truth.times[:-20])
    error = float((np.interp(middle, wheels.times, wheels.values[:, 0]) - speed).mean())
    estimate = speed_error(model, state, float(speed.mean()), level)
    return {
        **summary(found, CAR_WINDOW_S, level),
        "wheel_speed_error": _told(estimate, error),
        "note": truth.note,
    }


def run(model: PoseModel, readings: Sequence[Reading], start: Start | None = None) -> PoseState:
    """Return the state after all readings."""
    state = init_state(model, start)
    for reading in readings:
        state = take(model, state, reading)
    return state


def evaluate_mower(mirror: Path | None = None, level: float = 0.9) -> dict[str, Any]:
    """Follow the mower for half an hour by its wheels and ranges, from its surveyed start as its peers do."""
    recording, truth = open_plaza(mirror)
    assert truth.position is not None
    assert truth.attitude is not None
    yaw = float(2 * np.arctan2(truth.attitude[0, 3], truth.attitude[0, 0]))
    start = Start(position=(*truth.position[0, :2].tolist(), 0.0), yaw_rad=yaw, position_m=0.1, yaw_deviation_rad=0.03)
    model, readings = model_of(recording, MOWER_NOISE), readings_of(recording)
    heard = [reading.time for reading in readings if reading.kind == "range"]
    tracks, spreads, state = follow(model, readings, heard, start)
    places = np.stack([np.interp(heard, truth.times, truth.position[:, axis]) for axis in (0, 1)], -1)
    own = recording.sensors[DEAD_RECKONING]
    tracks["dead_reckoning_of_the_set"] = np.stack(
        [np.interp(heard, own.times, own.values[:, axis]) for axis in (0, 1)], -1
    )
    errors = {name: np.linalg.norm(track - places, axis=1) for name, track in tracks.items()}
    scores = [
        score_place(place, np.zeros((2, 2)), level, expected, spread)
        for place, expected, spread in zip(places, tracks["model"], spreads, strict=True)
    ]
    covered = np.array([is_covered for _, _, is_covered, _ in scores])
    blocks = [f"block {index * MOWER_BLOCKS // len(heard)}" for index in range(len(heard))]
    return {
        "metrics": {**path_metrics(errors["model"]), "mean_nees": float(np.mean([nees for _, nees, _, _ in scores]))},
        "baselines": {name: path_metrics(error) for name, error in errors.items() if name != "model"},
        "difference": _differences(errors, blocks),
        "coverage": coverage_of(level, covered, blocks, 2 * float(np.mean([radius for _, _, _, radius in scores]))),
        **range_errors(model, state, [reading for reading in readings if reading.kind == "range"], places, level),
        "note": truth.note,
    }


def range_errors(
    model: PoseModel, state: PoseState, heard: Sequence[Reading], places: Array, level: float
) -> dict[str, Any]:
    """By how much ranges read too long: at the log's mean distance, `at_m`; and as an offset and a scale of the range.

    Each beside what least squares finds of ranges less true distances, from `places` (ranges, 2) of the reference.
    """
    beacons = np.array([model.beacons[reading.part][:2] for reading in heard])
    true = np.linalg.norm(places - beacons, axis=1)
    excess = np.array([reading.value[0] for reading in heard]) - true
    (scale, offset), at_m = np.polyfit(true, excess, 1).tolist(), float(true.mean())
    told = {name: value for name, value in named(model, state, level).items() if "range" in name}
    return {
        "range_bias": {**_told(range_error(model, state, at_m, level), float(excess.mean())), "at_m": at_m},
        "range_offset": _told(range_error(model, state, 0.0, level), offset),
        "range_scale": _told(told["range scale"], scale),
        "range_biases": {name: asdict(value) for name, value in told.items()},
    }


def follow(
    model: PoseModel, readings: Sequence[Reading], times: Sequence[float], start: Start
) -> tuple[dict[str, Array], Array, PoseState]:
    """Return tracks (n, 2) just before what is read at times: ours, the EKFs', dead reckoning's; and our covariance."""
    state, beacons, wanted = init_state(model, start), dict(model.beacons), set(times)
    begin = partial(
        plain_start,
        position=np.array(start.position),
        yaw=start.yaw_rad,
        deviations=(start.position_m, start.yaw_deviation_rad),
    )
    rivals = {"ekf": begin(MOWER_RIVAL), "ekf_plain": begin(PlainNoise()), DEAD: begin(PlainNoise())}
    tracks: dict[str, list[Array]] = {name: [] for name in ("model", *rivals)}
    spreads: list[Array] = []
    for reading in readings:
        if reading.time in wanted and reading.kind == "range":
            expected, spread = planar_of(ahead(model, state, reading.time), False)
            tracks["model"].append(expected)
            spreads.append(spread)
            for name, rival in rivals.items():
                tracks[name].append(plain_ahead(rival, reading.time).mean[:2])
        state = take(model, state, reading)
        for name in rivals if reading.kind == "wheel" else rivals.keys() - {DEAD}:
            rivals[name] = plain_take(rivals[name], reading, beacons)
    return {name: np.array(track) for name, track in tracks.items()}, np.array(spreads), state


def path_metrics(errors: Array) -> dict[str, float]:
    """Root mean square, end and greatest error of a path, m."""
    return {
        "path_rmse_m": float(np.sqrt((errors**2).mean())),
        "end_error_m": float(errors[-1]),
        "max_error_m": float(errors.max()),
    }


def summary(windows: Sequence[Window], length_s: float, level: float) -> dict[str, Any]:
    """Return metrics, peers, paired differences and coverage of windows; groups are stretches as long as a window.

    Windows overlap, and those of neighbouring stretches too, so that intervals are rather too narrow than too wide.
    """
    errors = {"model": np.array([window.error_m for window in windows])}
    nees = {"model": np.array([window.nees for window in windows])}
    for name in windows[0].rivals:
        errors[name] = np.array([window.rivals[name] for window in windows])
        nees[name] = np.array([window.rival_nees[name] for window in windows])
    groups = [f"from {window.start // length_s * length_s:.0f} s" for window in windows]
    covered = np.array([window.covered for window in windows])
    scores = {name: {**end_metrics(errors[name]), "mean_nees": float(nees[name].mean())} for name in errors}
    return {
        "metrics": scores.pop("model"),
        "baselines": scores,
        "difference": _differences(errors, groups),
        "coverage": coverage_of(level, covered, groups, 2 * float(np.mean([window.radius_m for window in windows]))),
        "n": len(windows),
        "windows": [asdict(window) for window in windows],
    }


def end_metrics(errors: Array) -> dict[str, float]:
    """Mean, median, root mean square and greatest end error, m."""
    return {
        "mean_end_error_m": float(errors.mean()),
        "median_end_error_m": float(np.median(errors)),
        "rmse_end_error_m": float(np.sqrt((errors**2).mean())),
        "max_end_error_m": float(errors.max()),
    }


def _differences(errors: dict[str, Array], groups: Sequence[str]) -> dict[str, Any]:
    """Mean over stretches of the log of their mean error, less each peer's, m, paired, 95 %."""
    aggregate = mean_over_groups(lambda _, error: float(error.mean()))
    model, nothing = errors["model"], np.zeros(len(groups))
    return {
        name: {**paired_difference(aggregate, nothing, model, error, groups).to_dict(), "of": DIFFERENCE_OF}
        for name, error in errors.items()
        if name != "model"
    }


def coverage_of(level: float, covered: NDArray[np.bool_], groups: Sequence[str], width: float) -> dict[str, Any]:
    """Coverage of regions of a mean width, as shares and as counts."""
    labels = np.asarray(groups)
    return {
        "level": level,
        "pooled": float(covered.mean()),
        "count": int(covered.sum()),
        "of": len(covered),
        "by_group": {
            name: {"coverage": float(covered[labels == name].mean()), "claim": NO_CLAIM} for name in np.unique(labels)
        },
        "mean_width": width,
    }


def _told(estimate: Estimate, reference: float) -> dict[str, Any]:
    """An estimate with its interval, beside the reference's value."""
    return {
        **asdict(estimate),
        "reference": reference,
        "covers_reference": estimate.low <= reference <= estimate.high,
        "excludes_zero": not estimate.low <= 0 <= estimate.high,
    }
