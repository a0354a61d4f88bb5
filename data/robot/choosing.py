"""Which of a recording's sensors a filter takes: by role, named by the user or proposed from what there is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.schema import printable
from mainstem.data.robot.recording import Kind, Recording, Sensor

Role = Literal["imu", "wheel", "gnss", "mag", "range"]
ROLES: tuple[Role, ...] = get_args(Role)
KINDS: Mapping[Role, tuple[Kind, ...]] = {
    "imu": ("gyroscope", "accelerometer"),  # not a device's own orientation: it would be counted twice
    "wheel": ("wheel",),
    "gnss": ("gnss",),
    "mag": ("magnetometer",),
    "range": ("range",),
}
NAMED = 12  # topics that a message lists


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Topics by role, and what was doubtful in choosing them, one line each."""

    mapping: Mapping[Role, str]
    doubts: tuple[str, ...] = ()


def propose(recording: Recording) -> Proposal:
    """Return the busiest topic of each role, by readings that a filter can take; of equals the first by name."""
    mapping: dict[Role, str] = {}
    doubts: list[str] = []
    for role in ROLES:
        counts = {topic: _num_usable(recording, topic, role) for topic in _topics(recording, role)}
        ranked = sorted((topic for topic in counts if counts[topic]), key=lambda topic: (-counts[topic], topic))
        doubts += [f"{role}: {topic} holds no reading with a time and a value" for topic in counts if not counts[topic]]
        if not ranked:
            continue
        mapping[role] = ranked[0]
        if len(ranked) > 1:
            others = ", ".join(f"{topic} ({counts[topic]:,})" for topic in ranked[1:NAMED])
            tie = ", as many as the next" if counts[ranked[0]] == counts[ranked[1]] else ""
            doubts.append(
                f"{role}: {ranked[0]} ({counts[ranked[0]]:,} readings{tie}) was taken; there is also {others}"
            )
        doubts += _half(recording, role, ranked[0])
    return Proposal(mapping=mapping, doubts=tuple(doubts))


def chosen(recording: Recording, mapping: Mapping[str, str]) -> tuple[Recording, list[str]]:
    """Return the recording with the sensors that are named by role, else with those proposed; and how, a line each.

    Raises:
        InputError: if a role or topic is unknown, or no sensor tells of motion.
    """
    if mapping:
        return choose_sensors(recording, mapping), []
    proposal = propose(recording)
    if not proposal.mapping:
        raise InputError(
            f"{recording.name} holds no sensor that tells of motion; mainstem robot doctor says what it holds"
        )
    told = " ".join(f"--map {role}={topic}" for role, topic in proposal.mapping.items())
    named = {str(role): topic for role, topic in proposal.mapping.items()}
    return choose_sensors(recording, named), [f"proposed of what the recording holds: {told}", *proposal.doubts]


def choose_sensors(recording: Recording, mapping: Mapping[str, str]) -> Recording:
    """Return the recording with the sensors of these roles alone, under the names that they had.

    Args:
        recording: of all sensors.
        mapping: topic, or name of a sensor, by role: imu, wheel, gnss, mag, range.

    Raises:
        InputError: if a role or a topic is unknown (with the nearest), or the topic has no such sensor.
    """
    if not mapping:
        raise InputError(f"no sensor was named; give one of {', '.join(ROLES)} as ROLE=TOPIC")
    chosen: dict[str, Sensor] = {}
    for name, topic in mapping.items():
        role = _role(name)
        found = _sensors(recording, topic, role)
        if not found:
            raise InputError(_no_sensor(recording, topic, role))
        chosen |= found
    return replace(recording, sensors=chosen)


def _role(name: str) -> Role:
    for role in ROLES:
        if role == name:
            return role
    raise InputError(f"no role {printable(name)!r}{_nearest(name, ROLES)}; roles are {', '.join(ROLES)}")


def _no_sensor(recording: Recording, topic: str, role: Role) -> str:
    """Why a topic gives no sensor for a role, and what would."""
    fitting = _topics(recording, role)
    listed = f"for {role} there is {', '.join(fitting[:NAMED])}" if fitting else f"the recording has no {role}"
    kinds = sorted({sensor.kind for name, sensor in recording.sensors.items() if is_of(name, topic)})
    if kinds:
        return f"{printable(topic)} is {' and '.join(kinds)}, no {role}; {listed}"
    if topic in recording.skipped:
        return f"{printable(topic)} was not read: {recording.skipped[topic]}; {listed}"
    return f"no topic {printable(topic)!r}{_nearest(topic, [*recording.sensors])}; {listed}"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, [*known], n=1, cutoff=0.4)
    return f", did you mean {close[0]!r}?" if close else ""


def is_of(name: str, topic: str) -> bool:
    """True for a topic's sensor: itself, or one of its parts, as /imu/data.gyroscope is of /imu/data."""
    return name == topic or name.startswith(f"{topic}.")


def _sensors(recording: Recording, topic: str, role: Role) -> dict[str, Sensor]:
    return {
        name: sensor for name, sensor in recording.sensors.items() if sensor.kind in KINDS[role] and is_of(name, topic)
    }


def _topics(recording: Recording, role: Role) -> list[str]:
    """Topics that have sensors of a role, by name: what stands before the kind."""
    names = (
        name.removesuffix(f".{sensor.kind}") for name, sensor in recording.sensors.items() if sensor.kind in KINDS[role]
    )
    return sorted(set(names))


def _num_usable(recording: Recording, topic: str, role: Role) -> int:
    """Readings of a topic that have a time and a value: of the part that has fewest."""
    found = _sensors(recording, topic, role).values()
    return min((int((np.isfinite(each.times) & np.isfinite(each.values).any(-1)).sum()) for each in found), default=0)


def _half(recording: Recording, role: Role, topic: str) -> Iterable[str]:
    """Say which part of a role a topic lacks."""
    kinds = {sensor.kind for sensor in _sensors(recording, topic, role).values()}
    if missing := [kind for kind in KINDS[role] if kind not in kinds]:
        yield f"{role}: {topic} has no {' and no '.join(missing)}"
