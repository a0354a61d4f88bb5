"""When each sensor of a recording went silent, stuck or saturated, and came back: what holds of a sensor of any make.

What is noisy, biased or skewed is told from limits that were learned on one inertial unit (`health_limits`), so it is
not told of another's.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mainstem.adapters.sensor_fusion.health import judge_health
from mainstem.adapters.sensor_fusion.health_limits import NEVER, stored_limits
from mainstem.adapters.sensor_fusion.health_runs import ABSENT_S, GAPS
from mainstem.adapters.sensor_fusion.health_state import ABSENT, STATES, Codes
from mainstem.adapters.sensor_fusion.laying import KINDS, lay
from mainstem.data.robot.estimates import HealthChange
from mainstem.data.robot.recording import Recording, Sensor

NOT_JUDGED = "noisy, biased and skewed sensors are not named: what is usual was learned on another inertial unit"


def states_of(recording: Recording) -> list[HealthChange]:
    """Return the changes of all sensors' states in order of time; none of a sensor that was well throughout.

    A silence is known once it has lasted ABSENT_S, or GAPS times what is usual between readings.
    """
    if not recording.sensors:
        return []
    last = recording.span_s()[1]
    found = [change for name, sensor in recording.sensors.items() for change in _silences(name, sensor, last)]
    found += [change for name, sensor in recording.sensors.items() for change in _runs(recording, name, sensor)]
    return sorted(found, key=lambda change: change.time_s)


def named_states(changes: Sequence[HealthChange]) -> list[str]:
    """Say of each sensor how often it was named what, first when, and what is never named here."""
    counts = Counter((change.sensor, change.state) for change in changes if change.state != "ok")
    first = {(change.sensor, change.state): change.time_s for change in reversed(changes)}
    said = [
        f"{name}: {state} {count:,} times, first at {first[name, state]:.2f} s"
        for (name, state), count in counts.items()
    ]
    return [*said, NOT_JUDGED]


def _silences(name: str, sensor: Sensor, last: float) -> Iterator[HealthChange]:
    """From when on the sensor was absent, and when it spoke again; `last` is the recording's last stamp."""
    times = sensor.times[sensor.usable()]
    if len(times) < 2:
        return
    steps = np.diff(times, append=last)
    longest = max(ABSENT_S, GAPS * float(np.median(np.diff(times))))
    for index in np.flatnonzero(steps > longest).tolist():
        reason = f"nothing for {steps[index]:.2f} s"
        yield HealthChange(sensor=name, time_s=float(times[index]) + longest, state="absent", reason=reason)
        if index + 1 < len(times):
            yield HealthChange(sensor=name, time_s=float(times[index + 1]), state="ok")


def _runs(recording: Recording, name: str, sensor: Sensor) -> Iterator[HealthChange]:
    """What single readings of a gyroscope, accelerometer or magnetometer tell, beside its silences."""
    if sensor.kind not in KINDS or not sensor.usable().any():
        return
    laid = lay(replace(recording, sensors={name: sensor}))
    limits = replace(stored_limits(), noisy=NEVER, biased=NEVER, skewed=NEVER)
    codes = judge_health(laid.samples, laid.steps_s, limits)[:, KINDS.index(sensor.kind)]
    for index, code in _changes(codes):
        yield HealthChange(sensor=name, time_s=float(laid.times[index]), state=STATES[code])


def _changes(codes: Codes) -> Iterator[tuple[int, int]]:
    """Where a sensor's code changes, and to what; it begins well, and silences are told elsewhere."""
    told = codes[codes != ABSENT]
    places = np.flatnonzero(codes != ABSENT)
    for index in np.flatnonzero(np.diff(told, prepend=0)).tolist():
        yield int(places[index]), int(told[index])
