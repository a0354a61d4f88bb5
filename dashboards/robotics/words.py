"""The robotics page in words and tables: which sensor lies, errors in hindsight, values at a time, files to take."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mainstem.apps.robotics import Opened, Used
from mainstem.apps.robotics_filters import JUDGEMENTS, Attitude, Travelled, error_rad, share_inside
from mainstem.core import rotations
from mainstem.dashboards.robotics.board import (
    NOT_FOR,
    Estimates,
    capital,
    claim_words,
    drawn_sensors,
    ellipses_of,
    half_widths_deg,
    spans_of,
    titles_of,
)  # fmt: skip
from mainstem.data.robot.faults import Fault, size_unit
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.mounting import listed
from mainstem.data.robot.recording import Array, Recording

MOST_NAMED, MOST_JUDGED = 3, 3  # faults, and sensors of a kind of judgement, that the headline names
OK = "ok"  # what is said of a sensor that nobody accuses


def headline(opened: Opened, fault: Fault | None, estimates: Estimates) -> str:
    """Say which sensor lies, when, and what was looked for; with a fault that was put in, how late it was named."""
    if not estimates.health:
        return "Nothing tells the sensors' health."
    titles, odd, judged = titles_of(opened.recording), [], dict[str, list[str]]()
    for name, health in estimates.health.items():
        judged.setdefault(health.judged, []).append(titles[name])
        spans = [span for span in spans_of(health.times, health.words) if span[2] != OK]
        for kind in dict.fromkeys(word for _, _, word in spans):
            of_kind = [(start, end) for start, end, word in spans if word == kind]
            first = f"{of_kind[0][0]:.1f} to {of_kind[0][1]:.1f} s"
            more = f" and {len(of_kind) - 1} times more" if len(of_kind) > 1 else ""
            odd.append(f"{titles[name]} {kind} {first}{more}")
    rest = f"; and {len(odd) - MOST_NAMED} more" if len(odd) > MOST_NAMED else ""
    said = "; ".join(odd[:MOST_NAMED]) + rest if odd else "no sensor is accused"
    told = "; ".join(f"for {faults}: {_few(judged[faults])}" for faults in JUDGEMENTS if faults in judged)
    return f"{capital(said)}.{_named_after(fault, estimates)} Judged {told}."


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_JUDGED} more" if len(names) > MOST_JUDGED else ""
    return ", ".join(names[:MOST_JUDGED]) + more


def _named_after(fault: Fault | None, estimates: Estimates) -> str:
    """Say how long after its start a fault was named, and as what."""
    if fault is None or fault.sensor not in estimates.health:
        return ""
    health = estimates.health[fault.sensor]
    within = (health.times > fault.start_s) & (health.times < fault.start_s + fault.seconds)
    times = np.concatenate([[fault.start_s], health.times[within]])
    said = health.at(times)
    rows = np.flatnonzero(said != OK)
    if not len(rows):
        return f" The {fault.kind} sensor was not named while the fault lasted."
    words, first = np.unique(said[rows], return_index=True)
    named = [f"{words[place]} after {times[rows[first[place]]] - fault.start_s:.2f} s" for place in np.argsort(first)]
    return f" The injected fault was named {', '.join(named)}."


def unused_words(recording: Recording, used: Used | None) -> str:
    """Say which sensors are drawn but not used, because nobody says where they are mounted; "" where none is."""
    if used is None or not used.unmounted:
        return ""
    titles = titles_of(recording)
    names = [titles[name] for name, sensor in recording.sensors.items() if sensor.frame in used.unmounted]
    return (
        f"Not used for attitude and path: {', '.join(names)}; nobody says where {listed(used.unmounted)} lies in "
        f"{recording.body}: open it again with a mounting file, or tick the box there"
    )


def doctor_line(findings: Sequence[Finding], recording: Recording) -> str:
    """Say what a filter will go wrong on, by the recording's doctor; "" where it finds no such thing."""
    titles = titles_of(recording)
    bad = [f"{titles.get(one.sensor, one.sensor) or 'the file'}: {one.what}" for one in findings if one.state == "bad"]
    more = f"; and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
    return f"BAD by the doctor: {'; '.join(bad[:MOST_NAMED])}{more}" if bad else ""


def errors_line(opened: Opened, fault: Fault | None, estimates: Estimates) -> str:
    """Say each filter's root mean square error over all, and while a fault lasts; "" without a truth."""
    if opened.truth is None or opened.truth.attitude is None:
        return ""
    said = []
    for _, one in estimates.all():
        error = np.degrees(error_rad(one, opened.truth))
        parts = [f"{_rms(error):.1f} deg"]
        if fault is not None:
            within = (one.times >= fault.start_s) & (one.times < fault.start_s + fault.seconds)
            parts.append(f"{_rms(error[within]):.1f} during the fault")
        if one.radius90_rad is not None:
            share = share_inside(one, opened.truth)
            parts.append(f"{share:.0%} inside the 90 % ball" if np.isfinite(share) else "no error known")
        said.append(f"{one.name} {', '.join(parts)}")
    return f"In hindsight, root mean square error to the reference: {'; '.join(said)}."


def _rms(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else float("nan")


def cursor_table(opened: Opened, estimates: Estimates, at: float) -> pd.DataFrame:
    """Return what stands at a time, s: each sensor's last reading with its age, each filter's angles with doubt."""
    rows: list[Mapping[str, object]] = []
    titles = titles_of(opened.recording)
    for name in drawn_sensors(opened.recording):
        sensor = opened.recording.sensors[name]
        kept = np.flatnonzero(sensor.usable())
        place = int(np.searchsorted(sensor.times[kept], at, side="right")) - 1
        if place < 0:
            rows.append({"what": titles[name], "told": "nothing yet"})
            continue
        row = kept[place]
        channels = zip(sensor.channels, sensor.values[row], strict=True)
        told = ", ".join(f"{channel.name} {value:.4g} {channel.unit}" for channel, value in channels)
        health = str(estimates.health[name].at(np.array([at]))[0]) if name in estimates.health else ""
        age = round(at - float(sensor.times[row]), 3)
        rows.append({"what": titles[name], "told": told, "age, s": age, "health": health})
    for _, one in estimates.all():
        rows.append({"what": one.name, **_angles_at(one, at), **_error_at(opened, one, at)})
    if estimates.path is not None:
        rows.append(_place_at(estimates.path, at))
    return pd.DataFrame(rows, columns=["what", "told", "health", "90 % within", "off by, deg", "age, s"])


def _place_at(path: Travelled, at: float) -> dict[str, object]:
    row = int(np.clip(np.searchsorted(path.times, at, side="right") - 1, 0, len(path.times) - 1))
    east, north = path.place[row]
    longer, shorter, _ = ellipses_of(path.covariance[[row]])[0]
    said = f"east {east:.1f}, north {north:.1f} m" if np.isfinite(east) else "nobody knows yet"
    return {
        "what": path.name, "told": said, "age, s": round(at - float(path.times[row]), 3),
        "90 % within": f"{longer:.1f} by {shorter:.1f} m",
    }  # fmt: skip


def _row_at(one: Attitude, at: float) -> int:
    return int(np.clip(np.searchsorted(one.times, at, side="right") - 1, 0, len(one.times) - 1))


def _angles_at(one: Attitude, at: float) -> dict[str, object]:
    row = _row_at(one, at)
    angles = np.degrees(rotations.roll_pitch_yaw(one.quat[row]))
    halves = [np.nan] * 3 if one.covariance is None else half_widths_deg(one.quat[[row]], one.covariance[[row]])[0]
    named = zip(("roll", "pitch", "yaw"), angles, halves, strict=True)
    words = [f"{name} {angle:.1f}" + (f" ± {half:.1f}" if np.isfinite(half) else "") for name, angle, half in named]
    found: dict[str, object] = {"told": f"{', '.join(words)} deg", "age, s": round(at - float(one.times[row]), 3)}
    if one.radius90_rad is not None:
        found["90 % within"] = f"{np.degrees(one.radius90_rad[row]):.1f} deg"
    return found


def _error_at(opened: Opened, one: Attitude, at: float) -> dict[str, object]:
    if opened.truth is None:
        return {}
    row = _row_at(one, at)
    part = Attitude(name=one.name, times=one.times[[row]], quat=one.quat[[row]])
    error = float(np.degrees(error_rad(part, opened.truth))[0])
    return {"off by, deg": round(error, 2) if np.isfinite(error) else None}


def estimate_frame(opened: Opened, estimates: Estimates, fault: Fault | None) -> pd.DataFrame:
    """Return the estimate that is told first as a table to take along, with what it is of on every row."""
    own = estimates.main
    assert own is not None
    angles = np.degrees(rotations.roll_pitch_yaw(own.quat))
    found = {"time_s": own.times, **{name: own.quat[:, place] for place, name in enumerate("wxyz")}}
    found |= {f"{name}_deg": angles[:, place] for place, name in enumerate(("roll", "pitch", "yaw"))}
    if own.radius90_rad is not None:
        found["radius90_deg"] = np.degrees(own.radius90_rad)
    table = pd.DataFrame({**found, **{f"health {name}": one.at(own.times) for name, one in estimates.health.items()}})
    recording = opened.recording
    origin = "simulated" if recording.simulated else "real"
    return table.assign(
        recording=recording.name, origin=origin, injected_fault="" if fault is None else fault.text(), adapter=own.name,
        claim=claim_words(opened, fault, estimates), not_for=NOT_FOR, licence=recording.licence,
        attribution=recording.attribution,
    )  # fmt: skip


def fault_words(fault: Fault, recording: Recording) -> str:
    """Say a fault."""
    sensor = recording.sensors[fault.sensor]
    by = "clipped at" if fault.kind == "saturated" else "by"
    size = f" {by} {fault.size:g} {size_unit(sensor, fault.kind)}" if fault.size else ""
    return f"{titles_of(recording)[fault.sensor]} {fault.kind}{size} for {fault.seconds:g} s from {fault.start_s:g} s"
