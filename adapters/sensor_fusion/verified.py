"""Whether a filter's doubt held in a user's own log: what `mainstem robot selfcheck` writes and predict reads."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.settings import stored_settings
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.schema import printable, read_object
from mainstem.data.robot.estimates import UNVERIFIED
from mainstem.data.robot.recording import Recording

WHAT = "mainstem robot selfcheck"


def filter_sha256() -> str:
    """Return the hash of the numbers that the filters run with: another filter was not verified."""
    numbers = {"pose": asdict(Noise()), "attitude": stored_settings().to_json()}
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def sensors_of(recording: Recording) -> dict[str, str]:
    """Return the kind of each sensor by name, as a verification holds for these alone."""
    return {name: sensor.kind for name, sensor in sorted(recording.sensors.items())}


def write_verification(path: Path, recording: Recording, figures: dict[str, Any]) -> None:
    """Write what a self-check found of a recording; `figures` say in `doubts` where the stated doubt did not hold."""
    told = {"what": WHAT, "filter_sha256": filter_sha256(), "sensors": sensors_of(recording), **figures}
    write_atomically(path, json.dumps(told, indent=1).encode() + b"\n")


def note_of(path: Path | None, recording: Recording) -> str:
    """Return what is to be known of covariances: nothing where a self-check of these sensors found that they hold.

    Raises:
        InputError: if the file is no self-check's, or of other sensors or another filter.
    """
    if path is None:
        return UNVERIFIED
    told = read_object(path, InputError)
    if told.get("what") != WHAT or not isinstance(told.get("doubts"), list):
        raise InputError(f"{path} was not written by {WHAT} --out; give such a file")
    if told.get("filter_sha256") != filter_sha256():
        raise InputError(f"{path} is of another filter than this one; run {WHAT} again")
    if (known := told.get("sensors")) != (own := sensors_of(recording)):
        raise InputError(
            f"{path} is of {printable(known, 200)}, the recording gives {printable(own, 200)}; run {WHAT} on it"
        )
    return "; ".join(f"covariance did not hold in the self-check: {printable(one, 200)}" for one in told["doubts"])
