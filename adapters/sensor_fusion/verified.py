"""Whether a filter's doubt held in a user's own log: what `mainstem robot selfcheck` writes and predict reads."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.settings import stored_settings
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.schema import printable, read_object
from mainstem.data.robot.estimates import UNVERIFIED
from mainstem.data.robot.recording import Recording

WHAT = "mainstem robot selfcheck"
CONSISTENT = "consistent"
VERDICTS = (CONSISTENT, "too sure", "too cautious")


def filter_sha256() -> str:
    """Return the hash of the numbers that the filters run with: another filter was not verified."""
    numbers = {"pose": asdict(Noise()), "attitude": stored_settings().to_json()}
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def sensors_of(recording: Recording) -> dict[str, str]:
    """Return the kind of each sensor by name, as a verification holds for these alone."""
    return {name: sensor.kind for name, sensor in sorted(recording.sensors.items())}


def mounting_sha256(recording: Recording) -> str:
    """Return the hash of where the sensors are mounted, to a micrometre and a microradian."""
    frames = {name: sensor.frame for name, sensor in sorted(recording.sensors.items())}
    known = ((frame, recording.extrinsics.get(frame)) for frame in sorted({*frames.values()}))
    poses = {frame: None if pose is None else (np.round(pose, 6) + 0.0).tolist() for frame, pose in known}
    return hashlib.sha256(json.dumps([recording.body, frames, poses]).encode()).hexdigest()


def write_verification(path: Path, recording: Recording, figures: dict[str, Any]) -> None:
    """Write what a self-check found of a recording; `figures` hold its `checks`, each with a sensor and a verdict."""
    of = {"sensors": sensors_of(recording), "mounting_sha256": mounting_sha256(recording)}
    told = {"what": WHAT, "filter_sha256": filter_sha256(), **of, **figures}
    write_atomically(path, json.dumps(told, indent=1).encode() + b"\n")


def note_of(path: Path | None, recording: Recording) -> str:
    """Return what is to be known of covariances: nothing where a self-check of these sensors found that they hold.

    Raises:
        InputError: if the file is no self-check's, or of other sensors, another mounting or another filter.
    """
    if path is None:
        return UNVERIFIED
    told, own = read_object(path, InputError), sensors_of(recording)
    verdicts = _verdicts(told.get("checks"))
    if told.get("what") != WHAT or not verdicts:
        raise InputError(f"{path} was not written by {WHAT} --out, or holds no check; give such a file")
    if told.get("filter_sha256") != filter_sha256():
        raise InputError(f"{path} is of another filter than this one; run {WHAT} again")
    if (known := told.get("sensors")) != own or not verdicts.keys() <= own.keys():
        raise InputError(
            f"{path} is of {printable(known, 200)}, the recording gives {printable(own, 200)}; run {WHAT} on it"
        )
    if told.get("mounting_sha256") != mounting_sha256(recording):
        raise InputError(f"{path} is of sensors that were mounted otherwise than these; run {WHAT} as they are now")
    failed = [f"{name} {verdict}" for name, verdict in verdicts.items() if verdict != CONSISTENT]
    return f"covariance did not hold in the self-check ({', '.join(failed)})" if failed else ""


def _verdicts(checks: object) -> dict[str, str]:
    """The verdict on each sensor that was hidden; none where the checks are no such list."""
    told: dict[str, str] = {}
    for check in checks if isinstance(checks, list) else ():
        name, verdict = (check.get("sensor"), check.get("verdict")) if isinstance(check, dict) else (None, None)
        if not isinstance(name, str) or verdict not in VERDICTS:
            return {}
        told[name] = verdict
    return told
