"""Attitude of the walking humanoid against VICON: the attitude filter's, which inertial sensors alone are told by.

Beside it the pose filter's, and VQF's at the same jittered stamps. VQF takes one sampling time, so it runs twice: at
the mean interval, as one would, and on readings that were drawn onto an even clock before (Laidig, Seel 2023, VQF,
Information Fusion 91).
"""

from pathlib import Path
from typing import Any

import numpy as np

from mainstem.adapters.sensor_fusion.laying import lay
from mainstem.adapters.sensor_fusion.motion_track import own_radius
from mainstem.adapters.sensor_fusion.pose_evaluation import coverage_of
from mainstem.adapters.sensor_fusion.pose_readings import model_of, readings_of
from mainstem.adapters.sensor_fusion.pose_smoothing import filtered
from mainstem.adapters.sensor_fusion.pose_state import Array, from_yaw, yaw_of
from mainstem.adapters.sensor_fusion.recordings import in_body
from mainstem.adapters.sensor_fusion.settings import stored_settings
from mainstem.adapters.sensor_fusion.track import follow
from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.core.evaluation import mean_over_groups, paired_difference
from mainstem.data.robot.icub import open_icub
from mainstem.data.robot.recording import Recording

BLOCK_S = 2.0


def evaluate_humanoid(mirror: Path | None = None, level: float = 0.9) -> dict[str, Any]:
    """Score attitudes, in degrees, and the attitude filter's balls; the heading is aligned at the first sample."""
    recording, truth = open_icub(mirror)
    assert truth.attitude is not None
    times, rates, force = body_readings(recording)
    told, radius_rad = told_attitude(recording, level)
    found = {
        "model": told,
        "pose_filter": filtered(model_of(recording), readings_of(recording), times).attitude,
        "vqf": vqf(rates, force, float(np.diff(times).mean())),
        "vqf_even": even_vqf(times, rates, force),
    }
    errors = {name: attitude_errors(attitude, truth.attitude) for name, attitude in found.items()}
    scores = {name: {part: _rms(error[part]) for part in error} for name, error in errors.items()}
    blocks = [f"from {time // BLOCK_S * BLOCK_S:.0f} s" for time in times]
    aggregate, nothing = mean_over_groups(lambda _, error: _rms(error)), np.zeros(len(times))
    total, radius = errors["model"]["total_deg"], np.degrees(radius_rad)
    return {
        "metrics": scores.pop("model"),
        "baselines": scores,
        "difference": {
            name: paired_difference(aggregate, nothing, total, errors[name]["total_deg"], blocks).to_dict()
            for name in scores
        },
        "coverage": coverage_of(level, total <= radius, blocks, float(radius.mean())),
        "n": len(times),
        "note": truth.note,
    }


def told_attitude(recording: Recording, level: float) -> tuple[Array, Array]:
    """Return the attitude filter's causal attitude (n, 4) at each reading of the gyroscope, and its ball's radius."""
    laid = lay(in_body(recording))
    track = follow(laid.samples, laid.steps_s, stored_settings())
    return laid.at_readings(track.quat), laid.at_readings(own_radius(track.covariance, level))


def body_readings(recording: Recording) -> tuple[Array, Array, Array]:
    """Return stamps, rates and specific force of the inertial unit in the body's axes."""
    gyroscope, accelerometer = (recording.sensors[f"imu.{kind}"] for kind in ("gyroscope", "accelerometer"))
    turn = recording.extrinsics[gyroscope.frame][:3, :3]
    return gyroscope.times, gyroscope.values @ turn.T, accelerometer.values @ turn.T


def vqf(rates: Array, force: Array, step_s: float) -> Array:
    """Return VQF's causal attitude (n, 4) of gyroscope and accelerometer, default settings.

    Raises:
        InputError: if the library is not installed.
    """
    try:
        from vqf import VQF
    except ImportError as error:
        raise InputError('the peer needs VQF; pip install "mainstem[robot]"') from error
    told = VQF(step_s).updateBatch(np.ascontiguousarray(rates), np.ascontiguousarray(force))
    return np.asarray(told["quat6D"], dtype=np.float64)


def even_vqf(times: Array, rates: Array, force: Array) -> Array:
    """Return VQF's attitude on an even clock of the mean interval, at the stamp before each."""
    step = float(np.diff(times).mean())
    clock = np.arange(times[0], times[-1] + step, step)
    even = [np.stack([np.interp(clock, times, values[:, axis]) for axis in range(3)], -1) for values in (rates, force)]
    attitude = vqf(even[0], even[1], step)
    return attitude[np.clip(np.searchsorted(clock, times, side="right") - 1, 0, len(clock) - 1)]


def attitude_errors(attitude: Array, truth: Array) -> dict[str, Array]:
    """Return angles (n,), deg, in all, of the heading and of the inclination, the heading aligned at the first sample.

    Inclination is the angle between the verticals, heading what remains about it (Laidig et al. 2021, BROAD, eq. 6-9).
    """
    turn = float(yaw_of(truth[:1])[0] - yaw_of(attitude[:1])[0])
    error = rotations.multiply(rotations.multiply(from_yaw(turn)[None], attitude), rotations.conjugate(truth))
    w, x, y, z = np.abs(error).T
    return {
        "total_deg": np.degrees(2 * np.arctan2(np.sqrt(x * x + y * y + z * z), w)),
        "heading_deg": np.degrees(2 * np.arctan2(z, w)),
        "inclination_deg": np.degrees(2 * np.arctan2(np.hypot(x, y), np.hypot(w, z))),
    }


def _rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))
