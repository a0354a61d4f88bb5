"""Where a recording's sensors are mounted: from its own frames, from a file, or taken for the body's where told so."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.plain_yaml import read_yaml
from mainstem.core.schema import printable
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.recording import Array, Recording
from mainstem.data.robot.ros_frames import frame_name, lacking, pose
from mainstem.data.robot.units import STILL

WANTED = "FRAME: {translation_m: [x, y, z], rotation_wxyz: [w, x, y, z]}"
MOST_NAMED = 8  # frames that a message lists
LARGEST_M = 1e4  # no sensor is mounted further from its robot
TIPPED_DEG = 45.0  # of up from a body's z over a drive: no wheels stand on such a slope for half of it
OFF_UNIT = 0.01  # how far a written quaternion's length may be from 1, by rounding


def with_extrinsics(recording: Recording, path: Path | None = None, assume_identity: bool = False) -> Recording:
    """Return the recording with a pose for each frame that its sensors are mounted in, saying where it is from.

    Args:
        recording: with the extrinsics of its own file, /tf_static, where it has any.
        path: YAML file of poses in the body's frame (WANTED), of all sensors of a robot, say; it goes before what the
            recording says.
        assume_identity: take what still lacks for the body's own frame.

    Raises:
        InputError: naming the frames that lack a pose; if the file is none.
    """
    told, without = told_extrinsics(recording, path)
    if not without:
        return told
    if not assume_identity:
        raise InputError(
            f"no pose of {listed(without)} in {recording.body} is known; give --extrinsics FILE with {WANTED}, or "
            "say --assume-identity"
        )
    body = printable(recording.body)
    said = [f"{printable(name) or 'a frame without a name'}: ASSUMED to be {body} itself" for name in without]
    found = {**told.extrinsics, **{name: np.eye(4) for name in without}}
    return replace(told, extrinsics=found, converted=(*told.converted, *said))


def told_extrinsics(recording: Recording, path: Path | None = None) -> tuple[Recording, list[str]]:
    """Return the recording with the poses that it and a file tell, and the frames of sensors that still lack one.

    Raises:
        InputError: if the file is none.
    """
    frames = mounted_frames(recording)
    written = read_extrinsics(path) if path is not None else {}
    used = {name: told for name, told in written.items() if name in frames or name == recording.body}
    found = {recording.body: np.eye(4), **recording.extrinsics, **used}
    said = [f"{printable(name)}: mounted as {path} says{_instead(recording, name)}" for name in used]
    if idle := [name for name in written if name not in used]:
        said.append(f"{path} names {listed(idle)} too, in which no sensor that was chosen is mounted: not used")
    told = replace(recording, extrinsics=found, converted=(*recording.converted, *said))
    return told, lacking(found, frames)


def check_mounting(recording: Recording) -> Iterator[Finding]:
    """Yield accelerometers of a recording with wheels that are mounted so that gravity lies along no z of the body."""
    for name, sensor in recording.find("accelerometer").items() if recording.find("wheel") else ():
        if sensor.frame not in recording.extrinsics or not len(sensor.times):
            continue
        force = np.nanmedian(sensor.values @ recording.extrinsics[sensor.frame][:3, :3].T, axis=0)
        size = float(np.linalg.norm(force))
        if not STILL[0] <= size <= STILL[1]:  # it is no gravity, which other checks name
            continue
        off_deg = math.degrees(math.acos(float(force[2]) / size))
        if off_deg > TIPPED_DEG:
            axis = int(np.argmax(np.abs(force)))
            words = (
                f"gravity lies along {'-+'[int(force[axis] < 0)]}{'xyz'[axis]} of {printable(recording.body)} over the "
                f"whole drive, {off_deg:.0f} degrees off -z: {listed([sensor.frame])} is mounted otherwise, and every "
                "tilt is wrong by that; give its pose in --extrinsics FILE"
            )
            yield Finding(sensor=name, what="mounting", state="bad", count=len(sensor.times), words=words)


def mounted_frames(recording: Recording) -> list[str]:
    """Return the frames that sensors are mounted in; places and orientations are told in a world's frame instead."""
    return sorted(
        {
            sensor.frame
            for sensor in recording.sensors.values()
            if sensor.kind not in ("position", "orientation", "other")
        }
    )


def read_extrinsics(path: Path) -> dict[str, Array]:
    """Read poses (4, 4) by frame from a YAML file.

    Raises:
        InputError: if it is none, or a pose is no pose.
    """
    told = read_yaml(path)
    if not isinstance(told, Mapping) or not told:
        raise InputError(f"{path} names no frame; write {WANTED}")
    found: dict[str, Array] = {}
    for name, entry in told.items():
        if (frame := frame_name(str(name))) in found:
            raise InputError(f"{path} names {printable(frame)} twice, with a slash and without; leave one out")
        found[frame] = _pose(path, str(name), entry)
    return found


def _pose(path: Path, name: str, entry: Any) -> Array:  # noqa: ANN401 - whatever a file holds
    where = f"{path}: {printable(name)}"
    if not isinstance(entry, Mapping) or {*entry} != {"translation_m", "rotation_wxyz"}:
        raise InputError(f"{where} has not translation_m and rotation_wxyz alone; write {WANTED}")
    move, turn = _numbers(where, entry["translation_m"], 3), _numbers(where, entry["rotation_wxyz"], 4)
    if math.hypot(*move) > LARGEST_M:
        raise InputError(f"{where} is {math.hypot(*move):.3g} m from the body; give metres")
    if abs(math.hypot(*turn) - 1) > OFF_UNIT:
        raise InputError(f"{where} has a rotation of length {math.hypot(*turn):.3g}, want a unit quaternion w, x, y, z")
    return pose(move, turn)


def _numbers(where: str, found: Any, count: int) -> list[float]:  # noqa: ANN401 - whatever a file holds
    try:
        numbers = [float(value) for value in found] if isinstance(found, list) else []
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise InputError(f"{where} holds {printable(found)}, want a list of {count} finite numbers")
    return numbers


def _instead(recording: Recording, name: str) -> str:
    return ", not as the recording does" if name in recording.extrinsics and name != recording.body else ""


def listed(names: Iterable[str]) -> str:
    """Return frames as a message names them, the first of many."""
    given = list(names)
    told = [repr(printable(name)) if name else "a frame without a name" for name in given[:MOST_NAMED]]
    return ", ".join(told) + (f" and {len(given) - MOST_NAMED} more" if len(given) > MOST_NAMED else "")
