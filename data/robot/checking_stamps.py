"""Stamps of a sensor: repeated, unordered, running back, bursty, with gaps, or at a rate that changes."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mainstem.data.robot.finding import FIRST, Finding, State
from mainstem.data.robot.recording import Array, Sensor
from mainstem.data.robot.stray import MOST_STRAY, stray_stamps

PACE = 64  # steps that a pace is taken over, so that bursts and single gaps do not move it
BURST = 0.25  # of the pace
UNEVEN = 0.4  # of the pace: what 1, 1, 4 ms of one chip are off their mean (LVI-SAM #16, Livox ROS driver #235)
UNEVEN_SHARE = 0.2  # of the steps; operating systems delay a few in a hundred
BURST_SHARE = 0.001  # of the steps; fewer is one late reading
GAP = 5.0  # paces: a filter's bias and attitude move in fewer steps by less than its noise
LONG_GAP_S = 1.0  # after which an attitude without its gyroscope is lost (BROAD with dropouts: 2 to 65 degrees)
MISSING_SHARE = 0.05  # of the time; single short gaps add up to less
RESET = MOST_STRAY + 1  # readings that stay behind an earlier stamp: the clock went back, no single reading came late
CHANGE = 0.05  # of the pace, between quarters of a recording
SURE = 4.0  # standard errors, of ranges that are heard now and then and have no rate
FEWEST = 20  # readings, below which a pace means little


def check_stamps(name: str, sensor: Sensor) -> Iterator[Finding]:
    """Yield what was found in a sensor's stamps; the measured rate where nothing was."""
    known = np.isfinite(sensor.times)
    times = sensor.times[known]
    if not known.all():
        where = np.flatnonzero(~known)
        yield Finding(
            sensor=name, what="stamps missing", state="bad", count=len(where),
            words=f"{len(where)} readings have no finite stamp; they cannot be used",
        )  # fmt: skip
    stray = stray_stamps(times)
    yield from _stray(name, times, stray)
    times, values = times[~stray], sensor.values[known][~stray]
    if len(times) < 2:
        return
    faults = [*_repeated(name, times, values), *_unordered(name, times)]
    forward = np.maximum.accumulate(times)
    forward = forward[np.concatenate([[True], np.diff(forward) > 0])]
    if len(forward) >= FEWEST:
        pace = pace_of(forward)
        faults += [
            *_gaps(name, sensor, forward, pace),
            *(list(_changes(name, forward)) or _uneven(name, forward, pace)),
        ]
    yield from faults
    yield _rate(name, times, forward)


def pace_of(times: Array) -> float:
    """Return the time between readings over the long run, s: the median, over the recording, of PACE steps' mean."""
    steps = min(PACE, len(times) - 1)
    return float(np.median(times[steps:] - times[:-steps]) / steps)


def counted(number: int, word: str) -> str:
    """Return a number and what it counts, in the plural where it is not one."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def first(times: Array, where: NDArray[np.bool_] | NDArray[np.int64]) -> tuple[float, ...]:
    """Return the first FIRST times of a mask or of indices."""
    return tuple(float(time) for time in times[where][:FIRST])


def _rate(name: str, times: Array, forward: Array) -> Finding:
    steps = np.diff(forward)
    rate = f"{1 / np.median(steps):.4g} Hz" if len(steps) else "no rate"
    words = f"{len(times)} readings at {rate} over {times.max() - times.min():.1f} s"
    return Finding(sensor=name, what="rate", state="ok", count=len(times), words=words)


def _stray(name: str, times: Array, stray: NDArray[np.bool_]) -> Iterator[Finding]:
    """Stamps that their neighbours do not bear out."""
    if stray.any():
        off_s = np.interp(np.flatnonzero(stray), np.flatnonzero(~stray), times[~stray]) - times[stray]
        words = (
            f"{counted(int(stray.sum()), 'reading')} of {len(times):,} stamped up to {np.abs(off_s).max():.3g} s away "
            "from those before and after; they are not used, mend the driver's clock"
        )
        yield Finding(sensor=name, what="stray stamps", state="bad", count=int(stray.sum()),
                      where_s=first(times, stray), words=words)  # fmt: skip


def _repeated(name: str, times: Array, values: Array) -> Iterator[Finding]:
    """Neighbours with one stamp: the same message twice, or two readings that cannot both be of that instant."""
    again = np.diff(times) == 0
    if not again.any():
        return
    same = again & ((values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))).all(1)
    twice, unlike = int(same.sum()), int((again & ~same).sum())
    state: State = "bad" if unlike else "note"
    parts = []
    if unlike:
        parts.append(f"{unlike} readings carry the stamp of the one before and other values: stamps are too coarse")
    if twice:
        parts.append(f"{twice} readings stand twice")
    words = f"{'; '.join(parts)}; the first of each is used"
    yield Finding(sensor=name, what="repeated stamps", state=state, count=twice + unlike,
                  where_s=first(times[1:], again), words=words)  # fmt: skip


def _unordered(name: str, times: Array) -> Iterator[Finding]:
    """Readings behind an earlier stamp: a few that came late, or a clock that went back and stayed."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(times)[:-1]])
    behind = times < before
    if not behind.any():
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[False], behind, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    is_reset = ends - starts >= RESET
    late = int((ends - starts)[~is_reset].sum())
    if is_reset.any():
        back = float((before - times)[starts[is_reset]].max())
        words = (
            f"the clock goes back {counted(int(is_reset.sum()), 'time')}, by up to {back:.3g} s, and stays there for "
            f"{int((ends - starts)[is_reset].sum())} readings, which are not used; split the recording there"
        )
        yield Finding(sensor=name, what="time running backwards", state="bad", count=int(is_reset.sum()),
                      where_s=first(times, starts[is_reset]), words=words)  # fmt: skip
    if late:
        words = f"{late} readings come after one with a later stamp; they are not used, sort the file by stamp"
        yield Finding(sensor=name, what="unordered stamps", state="bad", count=late,
                      where_s=first(times, starts[~is_reset]), words=words)  # fmt: skip


def _uneven(name: str, times: Array, pace: float) -> Iterator[Finding]:
    """Readings that come in bursts, or by steps of two kinds, though the sensor took them evenly."""
    steps = np.diff(times)
    short = steps < BURST * pace
    if short.sum() >= max(3, BURST_SHARE * len(steps)):
        words = (
            f"{int(short.sum())} of {len(steps)} steps are under a quarter of {pace * 1e3:.3g} ms: readings come in "
            "bursts, stamped when they arrived; stamp them where they are taken"
        )
        yield Finding(sensor=name, what="bursts", state="bad" if short.mean() > UNEVEN_SHARE else "note",
                      count=int(short.sum()), where_s=first(times[1:], short), words=words)  # fmt: skip
        return
    odd = np.abs(steps - pace) > UNEVEN * pace
    odd &= steps < GAP * pace
    if odd.mean() > UNEVEN_SHARE:
        words = (
            f"{int(odd.sum())} of {len(steps)} steps are far off {pace * 1e3:.3g} ms (half of all between "
            f"{np.quantile(steps, 0.25) * 1e3:.3g} and {np.quantile(steps, 0.75) * 1e3:.3g}): stamps of the arrival, "
            "not of the reading"
        )
        yield Finding(sensor=name, what="uneven steps", state="note", count=int(odd.sum()),
                      where_s=first(times[1:], odd), words=words)  # fmt: skip


def _gaps(name: str, sensor: Sensor, times: Array, pace: float) -> Iterator[Finding]:
    steps = np.diff(times)
    usual = float(np.median(steps[steps >= BURST * pace]))  # between bursts, where there are some
    wide = steps > GAP * max(pace, usual)
    if not wide.any():
        return
    missing = float((steps[wide] - pace).sum())
    share, longest = missing / float(times[-1] - times[0]), float(steps[wide].max())
    is_bad = sensor.kind != "other" and (share > MISSING_SHARE or longest >= max(LONG_GAP_S, GAP * pace))
    words = (
        f"{counted(int(wide.sum()), 'gap')}, {missing:.3g} s or {share:.1%} of the time missing, the longest "
        f"{longest:.3g} s; expect the doubt to grow there"
    )
    yield Finding(sensor=name, what="gaps", state="bad" if is_bad else "note", count=int(wide.sum()),
                  where_s=first(times[:-1], wide), words=words)  # fmt: skip


def _changes(name: str, times: Array) -> Iterator[Finding]:
    """A rate that is not the same throughout."""
    if len(times) < 16 * PACE:
        return
    quarters = sorted(_pace_and_doubt(part) for part in np.array_split(times, 4))
    (fastest, doubt), (slowest, other) = quarters[0], quarters[-1]
    if slowest - fastest <= max(CHANGE * fastest, SURE * (doubt + other)):
        return
    words = f"the rate is between {1 / slowest:.4g} and {1 / fastest:.4g} Hz in its four quarters; give times, no rate"
    yield Finding(sensor=name, what="rate changes", state="note", count=4, words=words)


def _pace_and_doubt(times: Array) -> tuple[float, float]:
    """The pace of a part of a recording, and the standard error of that median over stretches of PACE steps."""
    stretches = np.diff(times[::PACE]) / PACE
    pace = float(np.median(stretches))
    spread = 1.4826 * float(np.median(np.abs(stretches - pace)))
    return pace, 1.2533 * spread / math.sqrt(len(stretches))
