"""Estimates to files: MCAP of ROS 2 messages and TUM text, which robots' tools read, and CSV.

Sources: mcap.dev, the profile "ros2"; the TUM RGB-D benchmark's trajectory format.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mainstem.core.errors import ArtifactError, InputError, MissingExtraError
from mainstem.core.files import scratch, sync_file, sync_folder, write_atomically
from mainstem.data.robot.estimate_messages import DIAGNOSTICS, IMU, ODOMETRY, SECOND_NS, Messages, stamps_ns
from mainstem.data.robot.estimates import NO_PROTECTION, Estimate
from mainstem.data.robot.ros_types import NEWEST, ros2_store
from mainstem.data.spreadsheets import csv_bytes

if TYPE_CHECKING:
    from mcap.writer import Writer
    from rosbags.typesys.store import Typestore

TOPICS = {ODOMETRY: "/mainstem/odometry", IMU: "/mainstem/imu", DIAGNOSTICS: "/mainstem/diagnostics"}
TUM_HEADER = "# timestamp tx ty tz qx qy qz qw; world from body"
BESIDE = "# with its covariances: "
LONGEST_HEAD = 4096  # bytes in which such a file says what it is


def write_mcap(path: Path, estimate: Estimate, said: Sequence[str] = ()) -> None:
    """Write an estimate as an MCAP file with schemas, whole or not at all; `ros2 bag` and Foxglove read it.

    /mainstem/odometry where a position is estimated, /mainstem/imu with the orientation and its full covariance, and
    /mainstem/diagnostics at the start and wherever a sensor's state changes. The sentences `said` of how the estimate
    came about go into the file's metadata.

    Raises:
        InputError: if the estimate is empty.
        ArtifactError: if the file cannot be written.
        MissingExtraError: if mcap or rosbags is not installed.
    """
    if not len(estimate.times):
        raise InputError(f"an estimate of no time cannot be written to {path}; give one with readings")
    try:
        from mcap.writer import Writer
    except ImportError as error:
        raise MissingExtraError("mcap", "robot") from error
    try:
        with scratch(path) as folder:
            part = folder / "part.mcap"
            with part.open("wb") as file:
                writer = Writer(file)
                writer.start(profile="ros2", library="mainstem")
                _write(writer, estimate, said)
                writer.finish()  # type: ignore[no-untyped-call]
            sync_file(part)
            part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror}; free space or name another folder") from error


def _write(writer: "Writer", estimate: Estimate, said: Sequence[str]) -> None:
    messages = Messages(ros2_store(NEWEST), estimate)
    kinds = [kind for kind in TOPICS if kind != ODOMETRY or estimate.position is not None]
    channels = {kind: _register(writer, messages.store, kind) for kind in kinds}
    facts = {"note": estimate.note, "use": NO_PROTECTION, "origin": estimate.origin, "said": "\n".join(said)}
    writer.add_metadata("mainstem", facts)
    sequence = dict.fromkeys(kinds, 0)
    for kind, stamp, message in messages.in_order():
        data = bytes(messages.store.serialize_cdr(message, kind, little_endian=True))
        log_ns = max(stamp, 0)  # MCAP's times are unsigned
        writer.add_message(channels[kind], log_ns, data, log_ns, sequence=sequence[kind])
        sequence[kind] += 1


def _register(writer: "Writer", store: "Typestore", kind: str) -> int:
    """A topic's channel, with its type's definition in the file."""
    text, _ = store.generate_msgdef(kind, ros_version=2)
    schema = writer.register_schema(name=kind, encoding="ros2msg", data=text.encode())
    return writer.register_channel(TOPICS[kind], "cdr", schema, {"offered_qos_profiles": ""})


def is_beside(path: Path, written: Path) -> bool:
    """Return whether a file is TUM text that was written beside that bag."""
    try:
        with path.open("rb") as file:
            head = file.read(LONGEST_HEAD)
    except OSError:
        return False
    return head.startswith(TUM_HEADER.encode()) and f"\n{BESIDE}{written.name}\n".encode() in head


def write_tum(path: Path, estimate: Estimate, beside: Path | None = None) -> None:
    """Write an estimate as TUM text, one line a time: `timestamp tx ty tz qx qy qz qw`; it names the bag beside it.

    Raises:
        ArtifactError: if the file cannot be written.
    """
    text = io.StringIO()
    lines = [
        TUM_HEADER,
        *([f"{BESIDE}{beside.name}"] if beside else []),
        f"# {'; '.join(filter(None, [estimate.note, NO_PROTECTION]))}",
    ]
    if estimate.position is None:
        lines.append("# position is not estimated: tx ty tz are 0, for the format has no word for it")
    text.write("\n".join(lines) + "\n")
    position = np.zeros((len(estimate.times), 3)) if estimate.position is None else estimate.position
    for stamp, place, turn in zip(stamps_ns(estimate).tolist(), position, estimate.quat, strict=True):
        time = f"{'-' if stamp < 0 else ''}{abs(stamp) // SECOND_NS}.{abs(stamp) % SECOND_NS:09d}"
        numbers = [*place.tolist(), *turn[1:].tolist(), float(turn[0])]
        text.write(f"{time} {' '.join(f'{number:.9g}' for number in numbers)}\n")
    write_atomically(path, text.getvalue().encode())


def write_table(path: Path, estimate: Estimate) -> None:
    """Write an estimate as CSV, a row a time: place, rotation, velocity where known, and standard deviations of each.

    Raises:
        ArtifactError: if the file cannot be written.
    """
    import pandas as pd

    columns: dict[str, object] = {"time_s": estimate.times}
    told = (
        ("xyz", "m", estimate.position, estimate.position_covariance),
        (("turn_x", "turn_y", "turn_z"), "rad", None, estimate.quat_covariance),
        (("v_x", "v_y", "v_z"), "m_s", estimate.velocity, estimate.velocity_covariance),
    )
    columns |= {f"q{part}": estimate.quat[:, place] for place, part in enumerate("wxyz")}
    for names, unit, values, covariance in told:
        for axis, name in enumerate(names):
            if values is not None:
                columns[f"{name}_{unit}"] = values[:, axis]
            if covariance is not None:
                columns[f"{name}_sd_{unit}"] = np.sqrt(covariance[:, axis, axis])
    columns |= {"origin": estimate.origin, "note": "; ".join(filter(None, [estimate.note, NO_PROTECTION]))}
    write_atomically(path, csv_bytes(pd.DataFrame(columns)))
