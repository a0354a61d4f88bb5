"""What the robotics page opens: recordings on this machine with their truth, and the sensors that estimates take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mainstem.data.catalogue import data_home, find_data_set, is_pulled, pull
from mainstem.data.robot.choosing import chosen
from mainstem.data.robot.comma2k19 import open_comma2k19
from mainstem.data.robot.estimates import UNVERIFIED
from mainstem.data.robot.husky import open_husky
from mainstem.data.robot.icub import open_icub
from mainstem.data.robot.mounting import told_extrinsics, with_extrinsics
from mainstem.data.robot.plaza import open_plaza
from mainstem.data.robot.reading import read_recording
from mainstem.data.robot.recording import Recording
from mainstem.data.robot.simulate import simulate_trial
from mainstem.data.robot.truth import Truth

TRUTH = "truth."  # how names of sensors begin that a reference system, and no robot, has
TRIAL = "06_undisturbed_fast_rotation_A.npz"  # of BROAD, that a demonstration shows


@dataclass(frozen=True, kw_only=True)
class Door:
    """What a user says of a recording's sensors, as to `predict`: where they are mounted, and what verified them.

    Attributes:
        extrinsics: YAML file of poses by frame.
        assumes_identity: take sensors of unknown mounting for the body's own frame.
        verified: what `robot selfcheck --out` wrote.
    """

    extrinsics: Path | None = None
    assumes_identity: bool = False
    verified: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A recording, where its body truly was as far as anyone knows, and whether it is of the set that taught ours."""

    recording: Recording
    truth: Truth | None = None
    is_learned_from: bool = False
    door: Door = Door()


@dataclass(frozen=True, kw_only=True, eq=False)
class Used:
    """The sensors that estimates are made from: those that `predict` takes, but for such of unknown mounting.

    Attributes:
        recording: of these sensors alone, mounted, without readings that cannot be used.
        said: how they were chosen and mounted, and what was left out.
        unmounted: frames that nobody says the mounting of, whose sensors are left out.
        assumed: such as are taken for the body's own frame, because the user says so.
        note: what is to be known of the stated covariance; "" where a self-check found that it holds.
    """

    recording: Recording
    said: tuple[str, ...]
    unmounted: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    note: str = UNVERIFIED


def used_of(opened: Opened, broken: Recording | None = None) -> Used:
    """Choose sensors as `predict` does; of unknown mounting they are refused there, and left out here.

    Args:
        opened: of which they are chosen.
        broken: the same recording with a fault, which the readings are taken from.

    Raises:
        InputError: if no sensor tells of motion, or a file of the door is none, or of another recording.
    """
    from mainstem.adapters.sensor_fusion.recordings import usable  # late: torch takes seconds
    from mainstem.adapters.sensor_fusion.verified import note_of

    found, said = chosen(opened.recording, {})
    door = opened.door
    _, lacking = told_extrinsics(found, door.extrinsics)
    if not door.assumes_identity:
        known = {name: sensor for name, sensor in found.sensors.items() if sensor.frame not in lacking}
        found = replace(found, sensors=known)
    mounted = with_extrinsics(found, door.extrinsics, door.assumes_identity)
    read = opened.recording if broken is None else broken
    kept, left_out = usable(replace(mounted, sensors={name: read.sensors[name] for name in mounted.sensors}))
    return Used(
        recording=kept,
        said=(*said, *mounted.converted[len(opened.recording.converted) :], *left_out),
        unmounted=() if door.assumes_identity else tuple(lacking),
        assumed=tuple(lacking) if door.assumes_identity else (),
        note=note_of(door.verified, usable(mounted)[0]),
    )


def with_truth(recording: Recording) -> Opened:
    """Take the sensors whose names begin with TRUTH out of a recording, as its truth."""
    own = {name: sensor for name, sensor in recording.sensors.items() if not name.startswith(TRUTH)}
    turned, placed = (recording.sensors.get(f"{TRUTH}{kind}") for kind in ("orientation", "position"))
    if turned is None and placed is None:
        return Opened(recording=recording)
    times = (turned or placed).times  # type: ignore[union-attr]
    position = None if placed is None or len(placed.times) != len(times) else placed.values
    truth = Truth(times=times, position=position, attitude=None if turned is None else turned.values)
    return Opened(recording=replace(recording, sensors=own), truth=truth)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A recording that can be opened: its name in an address, its title, and what opens it."""

    name: str
    title: str
    open: Callable[[], Opened]


def choices() -> list[Choice]:
    """Return what is on this machine: public logs and trials, and a simulated one that always is."""
    found = [_trial(path) for path in sorted((data_home() / find_data_set("broad").folder).glob("*.npz"))]
    for name, (title, open_log) in LOGS.items():
        if is_pulled(name):
            found.append(Choice(name=name, title=title, open=partial(_open_log, open_log)))
    return [*found, Choice(name="simulated", title="Simulated cart", open=lambda: with_truth(simulate_trial()))]


def _trial(path: Path) -> Choice:
    return Choice(name=path.stem, title=f"BROAD {path.stem.replace('_', ' ')}", open=lambda: _open_trial(path))


def _open_trial(path: Path) -> Opened:
    entry = find_data_set("broad")
    opened = with_truth(read_recording(path))
    recording = replace(opened.recording, name=path.stem, licence=entry.licence, attribution=entry.attribution)
    return replace(opened, recording=recording, is_learned_from=True)


def _open_log(open_log: Callable[[], tuple[Recording, Truth]]) -> Opened:
    recording, truth = open_log()
    return Opened(recording=recording, truth=truth, door=Door(assumes_identity=True))  # as its evaluation does


LOGS: Mapping[str, tuple[str, Callable[[], tuple[Recording, Truth]]]] = {
    "husky": ("Husky around a car park", open_husky),
    "comma2k19-example": ("Car on a motorway", open_comma2k19),
    "plaza-uwb": ("Mower among radio beacons", open_plaza),
    "icub-walk": ("Walking humanoid", open_icub),
}


def bring_trial(mirror: Path | None = None) -> None:
    """Have one public trial on this machine, 1.6 MB, where there is none.

    Raises:
        InputError: if it cannot be had.
    """
    pull("broad", mirror, only=(TRIAL,))


def bring_trials(mirror: Path | None = None) -> None:
    """Have the public trials and the Husky's log on this machine.

    Raises:
        InputError: if they cannot be had.
    """
    for name in ("broad", "husky"):
        pull(name, mirror)
