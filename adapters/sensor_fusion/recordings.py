"""A recording to an estimate of its robot's motion: sensors chosen and mounted, filtered, written with their doubt."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.laying import Laid, lay
from mainstem.adapters.sensor_fusion.motion_track import Attitudes, tell_attitudes
from mainstem.adapters.sensor_fusion.pose_tracks import PLACING, posed
from mainstem.adapters.sensor_fusion.sensor_states import named_states, states_of
from mainstem.adapters.sensor_fusion.settings import stored_settings
from mainstem.adapters.sensor_fusion.track import Track, follow, smooth
from mainstem.adapters.sensor_fusion.verified import note_of
from mainstem.core.errors import InputError
from mainstem.core.fitted import load_run
from mainstem.core.outputs import check_output, check_outside
from mainstem.core.schema import printable
from mainstem.core.task import DataRequest, Task, TrackAsk
from mainstem.data.robot.checking import findings_of
from mainstem.data.robot.choosing import chosen, is_of
from mainstem.data.robot.estimates import NO_PROTECTION, Estimate
from mainstem.data.robot.geodesy import first_agreed
from mainstem.data.robot.mounting import with_extrinsics
from mainstem.data.robot.reading import read_recording
from mainstem.data.robot.recording import Recording, Sensor
from mainstem.data.robot.ros_writing import is_beside, write_mcap, write_table, write_tum
from mainstem.data.robot.units import BEYOND, FASTEST_M_S, possible, tells

SUFFIXES = (".mcap", ".tum", ".csv")  # arrays, .npz, are of arrays alone
NAMED = 4  # topics that a sentence lists
TURNED = ("gyroscope", "accelerometer", "magnetometer")


def predict_recording(task: Task, ask: TrackAsk, out: Path) -> tuple[str, ...]:
    """Write the motion of a recording's robot to .mcap and TUM text beside it, or to .tum or .csv alone.

    Returns sentences: what was taken, converted, left out and refused, and what is to be known of the doubt.

    Raises:
        InputError: if the recording or an option cannot be used, or a file not be written.
    """
    request = ask.request
    written = _writable(out, request)
    recording, said = taken(request)
    verified = request.option("verified")
    note = "; ".join(
        filter(None, [note_of(None if verified is None else Path(verified), recording), _doubted(recording)])
    )
    estimate, found = estimate_of(task, ask, recording)
    estimate = replace(estimate, note=note, health=states_of(recording))
    said = [*said, *found, *named_states(estimate.health), *filter(None, [estimate.note]), NO_PROTECTION]
    if out.suffix == ".mcap":
        write_mcap(out, estimate, said)
        write_tum(written[1], estimate, beside=out)
    else:
        (write_tum if out.suffix == ".tum" else write_table)(out, estimate)
    lasted = estimate.times[-1] - estimate.times[0]
    names = " and ".join(str(path) for path in written)
    return (f"{len(estimate.times):,} instants of {lasted:.1f} s in {names}", *said)


def _writable(out: Path, request: DataRequest) -> list[Path]:
    """The files that will be written: `out`, and .tum beside .mcap.

    Raises:
        InputError: if one of them cannot be, is read, or holds what nobody asked to be replaced.
    """
    files = [*request.values("extrinsics"), *request.values("msg-path"), *request.values("verified")]
    written = [out, out.with_suffix(".tum")] if out.suffix == ".mcap" else [out]
    for path in written:
        check_output(path, [request.data, *files], SUFFIXES)
        check_outside(path, request.data)
    if len(written) > 1 and written[1].exists() and not is_beside(written[1], out):
        raise InputError(
            f"{written[1]} would be written beside {out.name}, and is there, not of it; move it, or name another --out"
        )
    return written


def taken(request: DataRequest) -> tuple[Recording, list[str]]:
    """Return the sensors that were asked for, or proposed, usable and mounted; and sentences of how.

    Its `faults` are what the doctor finds of them and of the whole file.

    Raises:
        InputError: if a role, topic or mounting is unknown, or values can only be of another unit.
    """
    recording = read_recording(Path(request.data), [Path(path) for path in request.values("msg-path")])
    found, said = chosen(recording, mapping_of(request.values("map")))
    extrinsics = request.option("extrinsics")
    mounted = with_extrinsics(
        found,
        None if extrinsics is None else Path(extrinsics),
        assume_identity=bool(request.option("assume-identity")),
    )
    everything = replace(recording, extrinsics={**recording.extrinsics, **mounted.extrinsics})
    faults = findings_of(everything, found.sensors)
    if wrong := [fault for fault in faults if (fault.what, fault.state) == ("unit", "bad")]:
        raise InputError(f"{recording.name}: {wrong[0].sensor}: {wrong[0].words}")
    kept, left_out = usable(mounted)
    topics = {name.rpartition(".")[0] or name for name in found.sensors}
    said += [*mounted.converted, *(fault.line() for fault in faults), *_skipped(recording, topics), *left_out]
    return replace(kept, faults=faults), said


def _skipped(recording: Recording, topics: AbstractSet[str]) -> Iterator[str]:
    """What of the chosen topics was not read, a line each, and in one how much of others; faults tell of the file."""
    others = []
    for name, why in recording.skipped.items():
        if any(is_of(name, topic) for topic in topics):
            if name.rpartition(".")[2] not in ("orientation", "position"):  # a device's own, which no role takes
                yield f"{name}: {why}"
        elif name != recording.name:
            others.append(name)
    if others:
        named = ", ".join(printable(name) for name in others[:NAMED])
        yield f"{len(others)} more not read ({named}{', ...' if len(others) > NAMED else ''}): robot doctor says why"


def _doubted(recording: Recording) -> str:
    """What is bad about the sensors or the file, in a few words that stand in every file that is written."""
    named = [f"{each.sensor or 'the file'}: {each.what}" for each in recording.faults
             if each.state == "bad" or each.what == "damage"]  # fmt: skip
    return f"of the recording, robot doctor says {', '.join(named)}" if named else ""


def mapping_of(given: Sequence[str]) -> dict[str, str]:
    """Return topics by role of ROLE=TOPIC.

    Raises:
        InputError: if one is not written so, or a role comes twice.
    """
    mapping: dict[str, str] = {}
    for one in given:
        role, _, topic = one.partition("=")
        if not role or not topic:
            raise InputError(f"got --map {one[:80]!r}, want ROLE=TOPIC, as imu=/imu/data")
        if role in mapping:
            raise InputError(f"got --map {role} twice; one topic a role is read")
        mapping[role] = topic
    return mapping


def usable(recording: Recording) -> tuple[Recording, list[str]]:
    """Return the recording without readings that a filter cannot take, and how many of each sensor, and why."""
    kept, said = {}, []
    for name, sensor in recording.sensors.items():
        rows, total = np.ones(len(sensor.times), bool), len(sensor.times)
        for why, is_good in _reasons(sensor):
            if lost := int((rows & ~is_good).sum()):
                said.append(f"{name}: {lost:,} of {total:,} readings left out: {why}")
            rows &= is_good
        if sensor.kind == "gnss" and rows.any():
            rows, words = _agreed(name, sensor, rows)
            said += words
        kept[name] = sensor.taken(rows)
    return replace(recording, sensors={name: sensor for name, sensor in kept.items() if len(sensor.times)}), said


def _reasons(sensor: Sensor) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Why readings are left out, and which of them (readings,) are not."""
    yield "stamps repeat, go back, stand alone or are none", sensor.usable()
    if sensor.kind in BEYOND:
        yield f"they lie beyond {BEYOND[sensor.kind][1]}", possible(sensor.kind, sensor.values)
    yield "they hold no number", tells(sensor.kind, sensor.values)


def _agreed(name: str, sensor: Sensor, rows: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], list[str]]:
    """The rows from the first fix on that the others bear out, which places count from; and what is to be said."""
    places, said = np.flatnonzero(rows), []
    first = first_agreed(sensor.times[places], sensor.values[places], FASTEST_M_S)
    if first:
        said.append(
            f"{name}: {first:,} of {len(rows):,} readings left out: from there nobody gets to the others (at "
            f"{FASTEST_M_S:g} m/s)"
        )
    if flat := int(np.isnan(sensor.values[places[first:], 2]).sum()):
        said.append(f"{name}: {flat:,} of {len(rows):,} readings tell no height; their place in the plane is used")
    return rows & (np.arange(len(rows)) >= places[first]), said


def estimate_of(task: Task, ask: TrackAsk, recording: Recording) -> tuple[Estimate, list[str]]:
    """Return the motion: a pose where wheels, fixes or ranges tell of places, else an attitude; and sentences.

    Attitudes are the run's where one is asked, else the filter's alone.

    Raises:
        InputError: if no sensor tells of either.
    """
    looks_back = ask.request.option("smooth") is not None
    if any(recording.find(kind) for kind in PLACING):
        return posed(recording, looks_back)
    laid = lay(in_body(recording))
    track: Track | Attitudes
    if ask.run is not None:
        track = tell_attitudes(laid.samples, laid.steps_s, load_run(ask.run, task), ask.level, looks_back)
    else:
        track = (smooth if looks_back else follow)(laid.samples, laid.steps_s, stored_settings())
    estimate = Estimate(
        times=laid.times,
        quat=track.quat,
        quat_covariance=track.covariance,
        origin=recording.origin,
        body=recording.body,
    )
    return estimate, _said_of(laid, recording)


def in_body(recording: Recording) -> Recording:
    """Return the recording with inertial and magnetic vectors turned into the body's axes."""
    turned = {
        name: replace(sensor, values=sensor.values @ recording.extrinsics[sensor.frame][:3, :3].T)
        for name, sensor in recording.sensors.items()
        if sensor.kind in TURNED
    }
    return replace(recording, sensors={**recording.sensors, **turned})


def _said_of(laid: Laid, recording: Recording) -> list[str]:
    north = "magnetic north" if recording.find("magnetometer") else "where it headed first, for no sensor tells north"
    said = [f"attitude alone: no wheels, fixes or ranges tell of places; its heading counts from {north}"]
    if laid.num_filled:
        said.append(f"{laid.clock}: {laid.num_filled:,} samples of its clock hold nothing, for it was silent")
    return said
