"""What is wrong with a recording before anything is estimated from it: what `mainstem robot doctor` prints.

Each check is a function of one sensor, or of two, that returns findings; thresholds name their reason beside them. A
clean recording gets no finding but "rate", which is "ok"; a fault is named once, by the check that is nearest to it.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from mainstem.data.robot.checking_clocks import check_clock, check_lag, check_overlap
from mainstem.data.robot.checking_stamps import check_stamps
from mainstem.data.robot.checking_values import check_values
from mainstem.data.robot.choosing import is_of
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.mounting import check_mounting
from mainstem.data.robot.recording import Recording, Sensor

ORDER = {"bad": 0, "note": 1, "ok": 2}


def check_recording(recording: Recording) -> tuple[Finding, ...]:
    """Return what was found in a recording, its reader's findings first, then by sensor; the worst of each first."""
    found = list(recording.faults)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of values that a damaged file holds
        for name, sensor in recording.sensors.items():
            found += sorted(check_sensor(name, sensor), key=lambda finding: ORDER[finding.state])
        found += check_overlap(recording.sensors)
        found += _rotations(recording.sensors)
        found += check_mounting(recording)
    named: dict[tuple[str, str], Finding] = {}
    for finding in found:  # what two checks saw is said once
        named.setdefault((finding.sensor, finding.what), finding)
    return tuple(named.values())


def findings_of(recording: Recording, names: Collection[str]) -> tuple[Finding, ...]:
    """Return what is wrong with these sensors, and with the whole file, the worst first; nothing that is "ok"."""
    found = (finding for finding in check_recording(recording) if finding.state != "ok")
    own = (each for each in found if not each.sensor or any(is_of(name, each.sensor) for name in names))
    return tuple(sorted(own, key=lambda finding: ORDER[finding.state]))


def check_sensor(name: str, sensor: Sensor) -> list[Finding]:
    """Return what was found in one sensor; `name` is its name in the recording."""
    if not len(sensor.times):
        words = "no reading was recorded; check that it was on"
        return [Finding(sensor=name, what="empty", state="bad", count=0, words=words)]
    return [*check_stamps(name, sensor), *check_values(name, sensor), *check_clock(name, sensor)]


def _rotations(sensors: Mapping[str, Sensor]) -> Iterator[Finding]:
    """Each gyroscope against the first other source of rotation of each kind."""
    for name, sensor in sensors.items():
        if sensor.kind != "gyroscope":
            continue
        for kind in ("orientation", "gyroscope", "wheel"):
            rivals = (each for each, found in sensors.items() if found.kind == kind and each != name and _speaks(found))
            rival = next(rivals, None)
            if rival is not None:
                yield from check_lag(name, sensor, rival, sensors[rival])


def _speaks(sensor: Sensor) -> bool:
    """True where a sensor says enough of rotation to be compared with."""
    column = 2 if sensor.kind == "wheel" else 0
    return int(np.isfinite(sensor.values[:, column]).sum()) >= 100
