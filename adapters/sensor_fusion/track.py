"""From samples to attitudes at every sample: causal, however the stream is cut, or smoothed over the whole."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.attitude import (
    ATTITUDE,
    VELOCITY,
    State,
    Step,
    apart,
    begin,
    move,
    step,
)  # fmt: skip
from mainstem.adapters.sensor_fusion.blocks import block_size, integrate
from mainstem.adapters.sensor_fusion.compiled import compiled, conjugate, exp, log, multiply
from mainstem.adapters.sensor_fusion.settings import Settings

Array = NDArray[np.float64]
SEGMENT = 256  # blocks whose steps a smoother holds at once; those before are run anew


class Track(NamedTuple):
    """What is told of samples.

    Attributes:
        quat: earth from sensor (samples, 4).
        covariance: of the attitude's error in earth axes (samples, 3, 3), rad2, as of the last correction.
        levels: (samples, 4), as of the last correction: mean squares of the rate and of the acceleration, how much the
            field is doubted, and how odd it is (`attitude.State`).
    """

    quat: Array
    covariance: Array
    levels: Array


def follow(samples: Array, steps_s: Array, settings: Settings) -> Track:
    """Return the attitude at each sample, from it and those before it alone.

    Args:
        samples: (samples, 9) rad/s, m/s2, uT; NaN where absent.
        steps_s: (samples,) how long each stands for, s: to it from the one before.
        settings: of the filter.
    """
    track, state, whole = advance(
        begin(settings, has_north(samples)), samples, steps_s, settings, block_size(rate_of(steps_s))
    )
    if whole < len(samples):
        tell_early(state, samples, steps_s, whole, settings, track)
    return track


def has_north(samples: Array) -> bool:
    """Whether a field is ever seen in samples (samples, 9)."""
    return bool(np.isfinite(samples[:, 6:]).all(1).any())


def rate_of(steps_s: Array) -> float:
    """Samples a second, by the median step."""
    return float(1 / np.median(steps_s))


@compiled
def advance(state: State, samples: Array, steps_s: Array, settings: Settings, size: int) -> tuple[Track, State, int]:
    """Run over all whole blocks; return the track with room for all samples, the state, and how many are told of."""
    num = len(samples)
    track = Track(np.empty((num, 4)), np.empty((num, 3, 3)), np.empty((num, 4)))
    start = 0
    while start + size <= num:
        done = step(state, samples[start : start + size], steps_s[start : start + size], settings)
        tell(state, done, start, settings, track)
        state = done.after
        start += size
    return track, state, start


@compiled
def tell(known: State, done: Step, start: int, settings: Settings, track: Track) -> None:
    """Write the attitude at each sample of a block, from what was known by then; the last is corrected by the block."""
    num = len(done.block.rates)
    for index in range(num):
        is_last = index == num - 1
        late = exp((done.after.rate if is_last else done.block.rates[index]) * settings.gyr_late)
        quat = done.after.quat if is_last else multiply(known.quat, done.block.turns[index + 1])
        track.quat[start + index] = multiply(quat, late)
        note(done.after if is_last else known, start + index, settings, track)


@compiled
def turn_covariance(known: State, settings: Settings) -> Array:
    """Return the covariance (3, 3) of the attitude's error, rad2; a scale that errs tells with every turn unseen."""
    told = known.covariance[ATTITUDE:VELOCITY, ATTITUDE:VELOCITY].copy()
    told[2, 2] += (settings.gyr_scale * known.turned) ** 2
    return told


@compiled
def note(known: State, place: int, settings: Settings, track: Track) -> None:
    """Write what is known beside the attitude as of the last correction."""
    track.covariance[place] = turn_covariance(known, settings)
    track.levels[place, 0], track.levels[place, 1] = known.turning, known.moving
    track.levels[place, 2], track.levels[place, 3] = known.doubt, known.odd


@compiled
def tell_early(known: State, samples: Array, steps_s: Array, start: int, settings: Settings, track: Track) -> None:
    """Write the attitudes at samples of a block that is not whole yet, from a place on."""
    block = integrate(samples[start:], steps_s[start:], known.gyr_bias, known.rate)
    for index in range(len(block.rates)):
        late = exp(block.rates[index] * settings.gyr_late)
        track.quat[start + index] = multiply(multiply(known.quat, block.turns[index + 1]), late)
        note(known, start + index, settings, track)


def smooth(samples: Array, steps_s: Array, settings: Settings) -> Track:
    """Return the attitude at each sample from all samples; at the last whole block's end it is the causal one.

    Steps are kept for a segment of blocks at once: the run forward keeps one state a segment, from which the steps of
    the segment are run anew. Source: Rauch, Tung, Striebel 1965, Maximum likelihood estimates of linear dynamic
    systems; here of errors about the filter's own estimates.
    """
    size, kept, state = block_size(rate_of(steps_s)), [], begin(settings, has_north(samples))
    length = size * SEGMENT
    whole = len(samples) // size * size
    for start in range(0, whole, length):
        kept.append(state)
        part = slice(start, min(start + length, whole))
        _, state, _ = advance(state, samples[part], steps_s[part], settings, size)
    num = len(samples)
    track = Track(np.empty((num, 4)), np.empty((num, 3, 3)), np.empty((num, 4)))
    if whole < len(samples):
        tell_early(state, samples, steps_s, whole, settings, track)
    later = state
    for number, start in reversed(list(enumerate(range(0, whole, length)))):
        part = slice(start, min(start + length, whole))
        later = go_back((kept[number], later), (samples[part], steps_s[part]), start, settings, size, track)
    return track


@compiled
def go_back(
    ends: tuple[State, State], told: tuple[Array, Array], start: int, settings: Settings, size: int, track: Track
) -> State:
    """Smooth a segment from its end to its start; write its track, and return what is then known of its start.

    `ends` are what was known before the segment and what all samples tell of its end; `told` are samples and steps.
    """
    first, later = ends
    samples, steps_s = told
    known = [first]
    steps = [step(first, samples[:size], steps_s[:size], settings)]
    for place in range(size, len(samples), size):
        known.append(steps[-1].after)
        steps.append(step(steps[-1].after, samples[place : place + size], steps_s[place : place + size], settings))
    for index in range(len(steps) - 1, -1, -1):
        earlier = look_back(known[index], steps[index], later)
        tell_between(earlier, later, steps[index], start + index * size, settings, track)
        later = earlier
    return later


@compiled
def look_back(known: State, done: Step, later: State) -> State:
    """Return what is known at a block's start, given what all samples tell of its end."""
    if not known.is_level or known.has_field != done.after.has_field:
        return known  # the block itself said where up or north is: nothing before it can be told
    gain = np.linalg.solve(done.before.covariance, done.transition @ known.covariance).T.copy()
    errors = gain @ apart(done.before, later)
    covariance = known.covariance + gain @ (later.covariance - done.before.covariance) @ gain.T.copy()
    return move(known, errors, (covariance + covariance.T) / 2)


@compiled
def tell_between(earlier: State, later: State, done: Step, start: int, settings: Settings, track: Track) -> None:
    """Write the attitudes at samples of a block, between what is known of its start and of its end.

    The turn that is missed at the end is shared out evenly over the block.
    """
    num = len(done.block.rates)
    missed = log(multiply(later.quat, conjugate(multiply(earlier.quat, done.block.turns[num]))))
    for index in range(num):
        share = (index + 1) / num
        late = exp(done.block.rates[index] * settings.gyr_late)
        quat = multiply(exp(missed * share), multiply(earlier.quat, done.block.turns[index + 1]))
        track.quat[start + index] = multiply(quat, late)
        note(later, start + index, settings, track)
        ends = turn_covariance(earlier, settings) * (1 - share) + turn_covariance(later, settings) * share
        track.covariance[start + index] = ends
