"""Attitudes of an endless stream: the same numbers as of the whole, however it is cut, in memory that does not grow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.attitude import State, begin
from mainstem.adapters.sensor_fusion.blocks import block_size
from mainstem.adapters.sensor_fusion.health import step_health
from mainstem.adapters.sensor_fusion.health_acting import without_the_guilty, without_the_impossible
from mainstem.adapters.sensor_fusion.health_limits import stored_limits
from mainstem.adapters.sensor_fusion.health_state import STATES, begin_health
from mainstem.adapters.sensor_fusion.integrated import Integrated
from mainstem.adapters.sensor_fusion.motion_track import ask_trunk, own_radius
from mainstem.adapters.sensor_fusion.names import SENSORS, UNVERIFIED
from mainstem.adapters.sensor_fusion.settings import Settings
from mainstem.adapters.sensor_fusion.track import Track, advance, tell_early, turn_covariance
from mainstem.adapters.sensor_fusion.windows import doubt_of, silence_s, standing, streams_of, stride, window_size
from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted
from mainstem.core.prediction import Claim, Prediction
from mainstem.core.stream import Provenance, Sample
from mainstem.core.targets import Ball

Array = NDArray[np.float64]
SOURCE = Provenance(data="stream", item="now")


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamState:
    """What is known of a stream; a plain value, which no step changes.

    Attributes:
        filter: what the filter knows as of the last whole block.
        waiting: samples since then (samples, 9).
        recent: the last samples of whole blocks (samples, 9), as many as the trunk sees.
        count: samples of whole blocks.
        silent_s: how long each sensor has been silent (3,), s, at the last of them.
        turn: the rotation vector (3,), rad, that the trunk last added.
        ratio: the radius that it last told, in the filter's doubts; infinite before it did.
        health: what is known of the sensors' health.
        codes: what was last said of it (3,).
    """

    filter: State
    waiting: Array
    recent: Array
    count: int
    silent_s: Array
    turn: Array
    ratio: float
    health: NDArray[Any]
    codes: NDArray[np.int8]


class AttitudeStream:
    """Reads gyroscope, accelerometer and magnetometer piece by piece, as `core.streaming.Streaming` says.

    The streams of a sample share one clock; a sensor that is absent throughout may lack, and NaN is an absent reading.
    Without a magnetometer (`has_north` False) headings count from the first, and balls are the filter's own.
    """

    def __init__(self, fitted: Fitted, rate_hz: float, level: float = 0.9, has_north: bool = True) -> None:
        prepared = fitted.ensemble.members[0].preparation
        assert isinstance(prepared, Integrated)
        self.fitted, self.rate_hz, self.level, self.has_north = fitted, rate_hz, level, has_north
        self.settings: Settings = prepared.settings
        self.size, self.stride = block_size(rate_hz), stride(rate_hz)

    def init_state(self) -> StreamState:
        """What is known before anything was seen."""
        nothing = np.empty((0, 9))
        return StreamState(
            filter=begin(self.settings, self.has_north), waiting=nothing, recent=nothing, count=0, silent_s=np.zeros(3),
            turn=np.zeros(3), ratio=np.inf, health=begin_health(), codes=np.zeros(3, np.int8),
        )  # fmt: skip

    def step(self, state: StreamState, samples: Sequence[Sample]) -> tuple[StreamState, Prediction]:
        """Take in samples, in order of time; return what is known now, and the attitude at the last instant.

        Raises:
            InputError: if the sensors of a sample have other clocks, or nothing was ever read.
        """
        told = np.concatenate([np.empty((0, 9)), *(readings_of(sample) for sample in samples)])
        state = self._judged(state, told) if len(told) else state
        while len(state.waiting) >= self.size:
            state = self._advanced(state)
        return state, self._prediction(state)

    def _judged(self, state: StreamState, told: Array) -> StreamState:
        """The state that waits for readings (samples, 9) more, but for those of sensors that say nothing."""
        told = without_the_impossible(told)
        health, codes = step_health(state.health, told, self._steps(len(told)), stored_limits())
        waiting = np.concatenate([state.waiting, without_the_guilty(told, codes)])
        return replace(state, waiting=waiting, health=health, codes=codes[-1])

    def _advanced(self, state: StreamState) -> StreamState:
        """The state after whole blocks, up to the next moment at which the trunk is asked."""
        until = self.stride - state.count % self.stride
        num = min(until, len(state.waiting) // self.size * self.size)
        part = np.ascontiguousarray(state.waiting[:num])
        track, known, _ = advance(state.filter, part, self._steps(num), self.settings, self.size)
        silent = silence_s(part, self.rate_hz)[-1]
        silent = np.where(
            np.isfinite(part.reshape(num, 3, 3)).all(2).any(0), silent, state.silent_s + num / self.rate_hz
        )
        recent = np.concatenate([state.recent, part])[-window_size(self.rate_hz) :]
        state = replace(
            state, filter=known, waiting=state.waiting[num:], recent=recent, count=state.count + num, silent_s=silent
        )
        return self._asked(state, track) if num == until and self.has_north else state

    def _asked(self, state: StreamState, track: Track) -> StreamState:
        """The state after the trunk was asked about the last sample of a track."""
        last = Track(*(part[-1:] for part in track))
        stands, doubt = standing(last, state.silent_s[None], np.zeros(1, int))[0], float(doubt_of(last)[0])
        streams = streams_of(state.recent, stands, np.append(last.quat[0], doubt), self.rate_hz)
        turn, radius = ask_trunk([Sample(streams=streams, target=None, source=SOURCE)], self.fitted, self.level)
        return replace(state, turn=turn[0], ratio=float(radius[0]) / doubt)

    def _steps(self, num: int) -> Array:
        return np.full(num, 1 / self.rate_hz)

    def _prediction(self, state: StreamState) -> Prediction:
        if not state.count and not len(state.waiting):
            raise InputError("the stream has told nothing yet; step with samples that hold readings")
        # the last whole block once more, where nothing waits: what was told of its end is not kept
        quat, covariance = self._now(state)
        quat = rotations.multiply(rotations.exp(state.turn), quat)
        radius = min(state.ratio * np.sqrt(np.trace(covariance)), np.pi)
        if not self.has_north:
            radius = own_radius(covariance, self.level)
        return Prediction(
            value=self.fitted.target.values({"centre": quat[None]})[0],
            region=Ball(centre=quat, radius_rad=float(radius)),
            level=self.level,
            units=self.fitted.manifest.units,
            claim=Claim(state="none", reason=UNVERIFIED),
            reasons=tuple(
                f"{name} {STATES[code]}" for name, code in zip(SENSORS, state.codes.tolist(), strict=True) if code
            ),
            model=self.fitted.reference(),
            source=SOURCE,
        )

    def _now(self, state: StreamState) -> tuple[Array, Array]:
        """The filter's attitude (4,) at the last sample, and its error's covariance (3, 3), rad2."""
        waiting = np.ascontiguousarray(state.waiting)
        if len(waiting):
            track = empty_track(len(waiting))
            tell_early(state.filter, waiting, self._steps(len(waiting)), 0, self.settings, track)
            return track.quat[-1], track.covariance[-1]
        late = rotations.exp(state.filter.rate * self.settings.gyr_late)
        return rotations.multiply(state.filter.quat, late), turn_covariance(state.filter, self.settings)


def empty_track(num: int) -> Track:
    """Return a track with room for so many samples."""
    return Track(np.empty((num, 4)), np.empty((num, 3, 3)), np.empty((num, 4)))


def readings_of(sample: Sample) -> Array:
    """Return the readings (samples, 9) of a sample's sensors, NaN where one is absent.

    Raises:
        InputError: if they have other clocks.
    """
    held = {name: sample.streams[name] for name in SENSORS if name in sample.streams}
    if not held:
        return np.empty((0, 9))
    clocks = [np.asarray(stream.times) for stream in held.values()]  # a series always has one
    if any(not np.array_equal(clock, clocks[0]) for clock in clocks):
        raise InputError(f"{', '.join(held)} have clocks of their own; lay them on the gyroscope's, NaN where none is")
    num = len(next(iter(held.values())).values)
    parts = [held[name].values if name in held else np.full((num, 3), np.nan) for name in SENSORS]
    return np.concatenate(parts, 1).astype(np.float64)
