"""Attitude of the walking humanoid against VICON: any filter's track, beside VQF at the same jittered stamps.

VQF takes one sampling time, so it runs twice: at the mean interval, as one would, and on readings that were drawn onto
an even clock before (Laidig, Seel 2023, VQF, Information Fusion 91).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.adapters.sensor_fusion.pose_readings import model_of, readings_of
from mainstem.adapters.sensor_fusion.pose_smoothing import filtered
from mainstem.adapters.sensor_fusion.pose_state import Array, from_yaw, yaw_of
from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.core.evaluation import mean_over_groups, paired_difference
from mainstem.data.robot.icub import open_icub
from mainstem.data.robot.recording import Recording

Track = Callable[[Array, Array, Array], Array]
BLOCK_S = 2.0


def evaluate_humanoid(mirror: Path | None = None, level: float = 0.9, track: Track | None = None) -> dict[str, Any]:
    """Score a track of attitude, and VQF's, in degrees; the heading is aligned at the first sample.

    Args:
        mirror: where the set may be copied from.
        level: of regions; an attitude alone states none, so that coverage is left to who gives a track with doubt.
        track: (times (n,), rates (n, 3) rad/s, specific force (n, 3) m/s2, body axes) -> earth from body (n, 4); the
            pose filter's own where none is given.
    """
    recording, truth = open_icub(mirror)
    assert truth.attitude is not None
    times, rates, force = body_readings(recording)
    found = {"model": _own(recording, times) if track is None else track(times, rates, force)}
    found |= {"vqf": vqf(rates, force, float(np.diff(times).mean())), "vqf_even": even_vqf(times, rates, force)}
    errors = {name: attitude_errors(attitude, truth.attitude) for name, attitude in found.items()}
    scores = {name: {part: _rms(error[part]) for part in error} for name, error in errors.items()}
    blocks = [f"from {time // BLOCK_S * BLOCK_S:.0f} s" for time in times]
    aggregate = mean_over_groups(lambda _, error: _rms(error))
    nothing = np.zeros(len(times))
    return {
        "metrics": scores.pop("model"),
        "baselines": scores,
        "difference": {
            name: paired_difference(
                aggregate, nothing, errors["model"]["total_deg"], errors[name]["total_deg"], blocks
            ).to_dict()
            for name in scores
        },
        "level": level,
        "n": len(times),
        "note": truth.note,
    }


def body_readings(recording: Recording) -> tuple[Array, Array, Array]:
    """Return stamps, rates and specific force of the inertial unit in the body's axes."""
    gyroscope, accelerometer = (recording.sensors[f"imu.{kind}"] for kind in ("gyroscope", "accelerometer"))
    turn = recording.extrinsics[gyroscope.frame][:3, :3]
    return gyroscope.times, gyroscope.values @ turn.T, accelerometer.values @ turn.T


def _own(recording: Recording, times: Array) -> Array:
    """The pose filter's causal attitude at each stamp."""
    return filtered(model_of(recording), readings_of(recording), times).attitude


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
