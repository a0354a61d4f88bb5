"""What a robot's recording holds and what is wrong with it, as a record and as lines: `mainstem robot doctor`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mainstem.core.schema import printable
from mainstem.data.robot.checking import check_recording
from mainstem.data.robot.choosing import is_of, propose
from mainstem.data.robot.estimates import NO_PROTECTION
from mainstem.data.robot.mounting import mounted_frames
from mainstem.data.robot.reading import read_recording
from mainstem.data.robot.recording import Recording, Sensor

MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}
SEVERAL = 4  # units that a line of a sensor names, and topics that were skipped


def examine(path: Path, msg_paths: Sequence[Path] = ()) -> dict[str, Any]:
    """Return what a recording holds, what was converted and skipped, and what was found wrong.

    Raises:
        InputError: if it cannot be read.
    """
    recording = read_recording(path, msg_paths)
    start, end = recording.span_s() if _has_times(recording) else (math.nan, math.nan)
    findings = check_recording(recording)
    proposal = propose(recording)
    return {
        "file": str(path),
        "origin": recording.origin,
        "start_s": _number(start),
        "duration_s": _number(end - start),
        "body": recording.body,
        "sensors": {name: _sensor(sensor) for name, sensor in recording.sensors.items()},
        "converted": list(recording.converted),
        "skipped": dict(recording.skipped),
        "unmounted": [name for name in mounted_frames(recording) if name not in recording.extrinsics],
        "proposed": dict(proposal.mapping),
        "doubts": list(proposal.doubts),
        "findings": [asdict(finding) for finding in findings],
        "is_trusted": not any(finding.state == "bad" for finding in findings),
        "note": NO_PROTECTION,
    }


def lines_of(told: dict[str, Any]) -> Iterator[str]:
    """Yield what `examine` returned as lines for people."""
    yield f"{told['file']}: {_duration(told['duration_s'])} from {told['origin'] or 'a clock without calendar'}"
    for found in sorted(told["findings"], key=lambda found: [*MARKS].index(found["state"]), reverse=True):
        yield f"{MARKS[found['state']]} {found['sensor'] or 'the file'}: {found['what']}: {found['words']}"
    for name, sensor in told["sensors"].items():
        rate = "no rate" if sensor["rate_hz"] is None else f"{sensor['rate_hz']:.4g} Hz"
        frame = f", in {printable(sensor['frame'])}" if sensor["frame"] else ""
        yield f"  {name}: {sensor['kind']}, {sensor['num']:,} at {rate}, {sensor['unit'] or 'NO UNIT'}{frame}"
    yield from (f"converted: {line}" for line in told["converted"])
    if told["unmounted"]:
        names = ", ".join(printable(name) or "a frame without a name" for name in told["unmounted"])
        yield f"mounting: no pose of {names} in {printable(told['body'])} is known; a filter needs --extrinsics FILE"
    if told["proposed"]:
        yield "proposed: " + " ".join(f"--map {role}={topic}" for role, topic in told["proposed"].items())
    yield from (f"doubt: {line}" for line in told["doubts"])
    yield from _skipped(told)
    yield told["note"]


def _skipped(told: dict[str, Any]) -> Iterator[str]:
    """What of a sensor's topic was not read, a line each, and all that is no sensor's in one."""
    others = []
    for name, why in told["skipped"].items():
        if any(is_of(sensor, name) or is_of(name, sensor.rpartition(".")[0]) for sensor in told["sensors"]):
            yield f"skipped: {name}: {why}"
        else:
            others.append(printable(name))
    if others:
        named = ", ".join(others[:SEVERAL]) + (", ..." if len(others) > SEVERAL else "")
        yield f"skipped: {len(others)} that no sensor is read from ({named}); --json tells why of each"


def _has_times(recording: Recording) -> bool:
    return any(sensor.usable().any() for sensor in recording.sensors.values())


def _sensor(sensor: Sensor) -> dict[str, Any]:
    units = [*dict.fromkeys(channel.unit for channel in sensor.channels)]
    return {
        "kind": sensor.kind,
        "num": len(sensor.times),
        "rate_hz": _number(sensor.rate_hz),
        "unit": ", ".join(units[:SEVERAL]),
        "channels": [channel.name for channel in sensor.channels],
        "frame": sensor.frame,
        "source": sensor.source,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _duration(seconds: float | None) -> str:
    return "no time" if seconds is None else f"{seconds:.1f} s"
