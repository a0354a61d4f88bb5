"""The pose over a recording in bounded memory: readings are made piece by piece, and only what is told is kept."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from mainstem.adapters.sensor_fusion.pose_filter import Start, ahead, init_state, take
from mainstem.adapters.sensor_fusion.pose_motion import rate_of
from mainstem.adapters.sensor_fusion.pose_readings import USED, Reading, model_of, origin_of, readings_of
from mainstem.adapters.sensor_fusion.pose_smoothing import smooth
from mainstem.adapters.sensor_fusion.pose_state import (
    GYROSCOPE_BIAS,
    POSITION,
    TURN,
    VELOCITY,
    YAW_OFFSET,
    Array,
    PoseModel,
    PoseState,
)
from mainstem.core.errors import InputError
from mainstem.data.robot.estimates import Estimate
from mainstem.data.robot.geodesy import Origin
from mainstem.data.robot.recording import Kind, Recording, Sensor

PLACING: tuple[Kind, ...] = ("wheel", "gnss", "range", "position")
ABSOLUTE: tuple[Kind, ...] = ("gnss", "range", "position")  # these say where in the world the body is
PIECE_S = 20.0  # of readings that are held at once
MOST_HZ, MOST_SMOOTH_HZ = 50.0, 10.0  # instants told a second: a smoother keeps its state at each
LONGEST_SILENCE_S = 86_400.0  # a day: some minutes of steps of 0.2 s without a reading
OFTEN = 0.1  # of a sensor's readings: a hundred times as many as chance refuses
HERE = Start(position=(0.0, 0.0, 0.0), yaw_rad=0.0, position_m=1e-3, yaw_deviation_rad=1e-3)


@dataclass
class _Told:
    """Rows of what is told, an instant each."""

    times: list[float] = field(default_factory=list)
    means: list[Array] = field(default_factory=list)  # position and velocity (6,)
    quats: list[Array] = field(default_factory=list)
    covariances: list[Array] = field(default_factory=list)  # of position, velocity and attitude (9, 9)
    rates: list[tuple[Array, Array]] = field(default_factory=list)  # of turning (3,), and its covariance (3, 3)

    def add(self, model: PoseModel, state: PoseState, time: float) -> None:
        """Add the state at a time."""
        self.times.append(time)
        self.means.append(state.mean[: VELOCITY.stop].copy())
        self.quats.append(state.attitude)
        self.covariances.append(state.covariance[: TURN.stop, : TURN.stop].copy())
        self.rates.append(_turning(model, state))


def _turning(model: PoseModel, state: PoseState) -> tuple[Array, Array]:
    """The rate (3,) of the body about its own axes, rad/s, and its covariance (3, 3); NaN where nothing measures it."""
    source, rate, _ = rate_of(model, state)
    if source == "gyroscope":
        noise = state.held[source].variance + (model.noise.gyroscope_fraction * rate) ** 2
        return rate, np.diag(noise) + state.covariance[GYROSCOPE_BIAS, GYROSCOPE_BIAS]
    unknown, covariance = np.full(3, np.nan), np.full((3, 3), np.nan)
    if source == "wheel":
        unknown[2] = rate[2]
        covariance[2, 2] = state.held[source].variance[2] + state.covariance[YAW_OFFSET, YAW_OFFSET]
    return unknown, covariance


def posed(recording: Recording, looks_back: bool = False) -> tuple[Estimate, list[str]]:
    """Return the pose of a recording of usable, mounted sensors, and sentences on the world and on what was refused.

    Raises:
        InputError: if no reading tells of a pose, or none tells anything for LONGEST_SILENCE_S.
    """
    _check_silence(recording)
    model, origin, said = model_of(recording), origin_of(recording), []
    is_placed = any(recording.find(kind) for kind in ABSOLUTE)
    start = None if is_placed else HERE
    times = instants(recording, MOST_SMOOTH_HZ if looks_back else MOST_HZ)
    told, state = _filtered(model, recording, origin, times, start)
    said += [_world(recording, origin, is_placed), *_refused(state), *_unheaded(state)]
    estimate = _estimate(recording, told, "map" if is_placed else "odom")
    if looks_back:
        readings = list(pieces(recording, origin))
        pose = smooth(model, readings, np.array(told.times), start)
        estimate = replace(
            estimate,
            position=pose.position,
            position_covariance=pose.covariance[:, :3, :3],
            quat=pose.attitude,
            quat_covariance=pose.covariance[:, 3:, 3:],
            velocity=None,
            velocity_covariance=None,
            rate=None,
            rate_covariance=None,
        )
    return estimate, said


def _check_silence(recording: Recording) -> None:
    """Refuse a recording that is silent for longer than a filter is to be moved on blindly.

    Raises:
        InputError: if it is.
    """
    times = np.sort(np.concatenate([sensor.times[sensor.usable()] for sensor in recording.sensors.values()]))
    if len(times) > 1 and (longest := float(np.diff(times).max())) > LONGEST_SILENCE_S:
        raise InputError(f"{recording.name} is silent for {longest:.3g} s between stamps; split it there")


def instants(recording: Recording, most_hz: float) -> Array:
    """Return the instants that are told: stamps of the busiest sensor, at most so many a second."""
    busiest = max(recording.sensors.values(), key=lambda sensor: len(sensor.times) if sensor.kind in USED else 0)
    step, kept, last = 1 / most_hz, [], -np.inf
    for time in busiest.times[busiest.usable()].tolist():
        if time - last >= step * (1 - 1e-3):
            kept.append(time)
            last = time
    return np.array(kept)


def pieces(recording: Recording, origin: Origin | None) -> Iterator[Reading]:
    """Yield the readings in order of time, made for PIECE_S at once."""
    first, last = recording.span_s()
    for begin in np.arange(first, last + PIECE_S, PIECE_S):
        cut = {name: _between(sensor, begin, begin + PIECE_S) for name, sensor in recording.sensors.items()}
        held = {name: sensor for name, sensor in cut.items() if len(sensor.times) and sensor.kind in USED}
        if held:
            yield from readings_of(replace(recording, sensors=held), origin)


def _between(sensor: Sensor, begin: float, end: float) -> Sensor:
    return sensor.taken(slice(*np.searchsorted(sensor.times, [begin, end]).tolist()))


def _filtered(
    model: PoseModel, recording: Recording, origin: Origin | None, times: Array, start: Start | None
) -> tuple[_Told, PoseState]:
    """Run the filter, and tell of each instant what was read until then; nothing before the first reading."""
    state, told, waiting = init_state(model, start), _Told(), times.tolist()[::-1]
    for reading in pieces(recording, origin):
        while waiting and waiting[-1] < reading.time:
            time = waiting.pop()
            if np.isfinite(state.time):
                told.add(model, ahead(model, state, time), time)
        state = take(model, state, reading)
    for time in waiting[::-1]:
        told.add(model, ahead(model, state, time), time)
    return told, state


def _estimate(recording: Recording, told: _Told, world: str) -> Estimate:
    means, covariances = np.array(told.means), np.array(told.covariances)
    return Estimate(
        times=np.array(told.times),
        quat=np.array(told.quats),
        quat_covariance=covariances[:, TURN, TURN],
        position=means[:, POSITION],
        position_covariance=covariances[:, POSITION, POSITION],
        velocity=means[:, VELOCITY],
        velocity_covariance=covariances[:, VELOCITY, VELOCITY],
        rate=np.array([rate for rate, _ in told.rates]),
        rate_covariance=np.array([covariance for _, covariance in told.rates]),
        origin=recording.origin,
        world=world,
        body=recording.body,
    )


def _world(recording: Recording, origin: Origin | None, is_placed: bool) -> str:
    """Say what places count from."""
    if origin is not None:
        told = f"{origin.latitude_deg:.7f}, {origin.longitude_deg:.7f} deg, {origin.altitude_m:.2f} m"
        return f"places are east, north, up of the first fix ({told})"
    if is_placed:
        return "places are in the frame of the beacons or of the positions that the recording tells"
    return "places count from the first pose, x ahead: no sensor tells where in the world that was"


def _refused(state: PoseState) -> list[str]:
    """Say which readings were late, or lay beyond the gate."""
    said = []
    for name, tally in state.tallies.items():
        total = tally.used + tally.refused + tally.late
        if tally.refused:
            often = "; so many mean that its mounting, unit or clock, or another sensor's, is wrong"
            said.append(
                f"{name}: {tally.refused:,} of {total:,} readings refused: 1 in 1000 would lie so far off by chance"
                f"{often if tally.refused >= OFTEN * total else ''}"
            )
        if tally.late:
            said.append(f"{name}: {tally.late:,} of {total:,} readings came too late and were not used")
    return said


def _unheaded(state: PoseState) -> list[str]:
    if state.alignment is None:
        return []
    return ["the heading was never found, so its doubt is a full turn: it takes wheels with fixes, or a magnetometer"]
