"""Clocks of sensors against one another: skew and jumps against the recorder's, lags by what two sensors both felt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from mainstem.core import rotations
from mainstem.data.robot.checking_stamps import FEWEST, counted, pace_of
from mainstem.data.robot.finding import FIRST, Finding
from mainstem.data.robot.recording import Array, Sensor
from mainstem.data.robot.stray import stray_stamps
from mainstem.data.robot.units import DEGREE

WINDOWS: Final = 60  # of a recording; the least delay of each is the nearest to the clocks' true offset
FEWEST_WINDOWS: Final = 8
SHORTEST_S: Final = 10.0  # over which a rate of clocks means something: 100 ppm of it are 1 ms
SKEW_PPM: Final = 100.0  # crystals keep to 20 to 100 ppm: more is a clock of another kind
BAD_SKEW_PPM: Final = 1000.0  # a millisecond a second
JUMP_NOISE: Final = 8.0  # times the windows' usual change, and JUMP_S at least
JUMP_S: Final = 0.01
LATE_S: Final = 1.0  # between a stamp and its arrival: a network may take that long, hardly longer
GRID_HZ: Final = 100.0
MOST_LAG_S: Final = 1.0
LEAST_LIKENESS: Final = 0.7  # correlation, below which the two do not feel the same rotation
LEAST_MOTION: Final = 0.02  # rad/s, standard deviation, above a gyroscope's noise: at rest there is nothing to compare
LAG_S, BAD_LAG_S = 0.02, 0.1  # a walking robot turns 1 and 6 degrees in it at 1 rad/s
BLOCKS: Final = 12
FEWEST_BLOCKS: Final = 5
SHORTEST_BLOCK_S: Final = 5.0  # of slow motion any two pieces look alike at some lag
MOST_SPREAD_S: Final = 0.2  # of eight in ten parts: what is alike by chance is so at any lag
LONGEST_PART: Final = 20_000  # points that a part compares: 200 s at 100 Hz
MOST_POINTS: Final = 10_000_000  # of the grid: a day at 100 Hz
UNIT_RATIO: Final = 0.2


def check_clock(name: str, sensor: Sensor) -> Iterator[Finding]:
    """Yield what was found between a sensor's stamps and when the recorder got them.

    The delay of a message is never below some least one, so the lower edge of `received` - `times` follows the two
    clocks: its slope (Theil-Sen, with a 95 % interval) is their skew, its steps are jumps.
    """
    if sensor.received is None:
        return
    known = np.isfinite(sensor.times) & np.isfinite(sensor.received) & ~stray_stamps(sensor.times)
    times, delay = sensor.times[known], (sensor.received - sensor.times)[known]
    if len(times) < FEWEST:
        return
    if abs(float(np.median(delay))) > LATE_S:
        words = (
            f"stamps are {float(np.median(delay)):.4g} s before their arrival: another clock stamped them than the "
            "recorder's; fuse only sensors of one clock"
        )
        yield Finding(sensor=name, what="clock offset", state="note", count=len(times), words=words)
    centres, edge = _lower_edge(times, delay)
    if len(centres) < FEWEST_WINDOWS or centres[-1] - centres[0] < SHORTEST_S:
        return
    jumps = _jumps(centres, edge)
    yield from _told_jumps(name, centres, edge, jumps)
    if not len(jumps):
        yield from _skew(name, centres, edge)


def _lower_edge(times: Array, delay: Array) -> tuple[Array, Array]:
    """The least delay of each of WINDOWS parts, and when it was."""
    order = np.argsort(times, kind="stable")
    parts = [part for part in np.array_split(order, WINDOWS) if len(part)]
    least = np.array([part[np.argmin(delay[part])] for part in parts])
    return times[least], delay[least]


def _jumps(centres: Array, edge: Array) -> list[int]:
    """Windows after which the lower edge stays elsewhere."""
    changes = np.diff(edge)
    usual = float(np.median(np.abs(changes - np.median(changes)))) * 1.4826
    found = []
    for index in range(2, len(edge) - 2):
        step = float(np.median(edge[index : index + 3]) - np.median(edge[max(0, index - 3) : index]))
        if abs(step - 3 * float(np.median(changes))) > max(JUMP_NOISE * usual, JUMP_S):
            found.append(index)
    return [index for before, index in pairwise([-9, *found]) if index - before > 3]


def _told_jumps(name: str, centres: Array, edge: Array, jumps: list[int]) -> Iterator[Finding]:
    if not jumps:
        return
    sizes = [float(np.median(edge[i : i + 3]) - np.median(edge[max(0, i - 3) : i])) for i in jumps]
    words = (
        f"stamps jump against their arrival {counted(len(jumps), 'time')}, by up to {max(sizes, key=abs):.3g} s: a "
        "clock was set while it recorded; split the recording there"
    )
    yield Finding(sensor=name, what="clock jumps", state="bad", count=len(jumps),
                  where_s=tuple(float(centres[i]) for i in jumps[:FIRST]), words=words)  # fmt: skip


def _skew(name: str, centres: Array, edge: Array) -> Iterator[Finding]:
    from scipy import stats

    slope, _, low, high = (1e6 * float(value) for value in stats.theilslopes(edge, centres, 0.95))
    if low <= 0 <= high or abs(slope) < SKEW_PPM:
        return
    words = (
        f"stamps and arrival drift apart by {slope:+.0f} ppm (95 % between {low:+.0f} and {high:+.0f}), "
        f"{slope * 1e-3 * (centres[-1] - centres[0]):+.0f} ms over the recording: one clock is wrong, synchronise them"
    )
    yield Finding(sensor=name, what="clock skew", state="bad" if abs(slope) > BAD_SKEW_PPM else "note",
                  count=len(centres), words=words)  # fmt: skip


def check_overlap(sensors: Mapping[str, Sensor]) -> Iterator[Finding]:
    """Yield sensors that share no time with most others: stamped from another origin."""
    known = {name: sensor.times[sensor.usable()] for name, sensor in sensors.items()}
    spans = {name: (float(times.min()), float(times.max())) for name, times in known.items() if len(times) >= 2}
    for name, (start, end) in spans.items():
        others = [span for other, span in spans.items() if other != name]
        apart = [span for span in others if end < span[0] or span[1] < start]
        if others and len(apart) > len(others) / 2:
            words = f"it spans {start:.4g} to {end:.4g} s and shares no time with most sensors: another clock's origin"
            yield Finding(sensor=name, what="clock offset", state="bad", count=len(apart), words=words)


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How a gyroscope lags another source of rotation: s, 95 % doubt in s, correlation, and ratio of the speeds."""

    lag_s: float
    doubt_s: float
    likeness: float
    ratio: float


def check_lag(name: str, gyroscope: Sensor, other_name: str, other: Sensor) -> Iterator[Finding]:
    """Yield how a gyroscope disagrees with another source of rotation, in time or in size.

    Angular speeds are compared, which do not depend on how either is mounted; the lag is that of the highest
    correlation in each of BLOCKS parts, their median with 1.96 standard errors of it.
    """
    found = measure_lag(gyroscope, other)
    if found is None:
        return
    unit = next((unit for unit, size in (("deg/s", 1 / DEGREE), ("rad/s as deg/s", DEGREE))
                 if abs(found.ratio / size - 1) < UNIT_RATIO), "")  # fmt: skip
    if unit:
        words = f"it turns {found.ratio:.3g} times as fast as {other_name}: it looks like {unit}; convert it"
        yield Finding(sensor=name, what="unit", state="bad", count=BLOCKS, words=words)
    size = abs(found.lag_s) - found.doubt_s
    if size > LAG_S:
        late, early = (name, other_name) if found.lag_s > 0 else (other_name, name)
        words = (
            f"it comes {abs(found.lag_s) * 1e3:.0f} ms after {early} (plus or minus {found.doubt_s * 1e3:.0f}, "
            f"correlation {found.likeness:.2f}): stamped late, or smoothed; the filter does not correct it, let the "
            "driver stamp when it measures"
        )
        yield Finding(sensor=late, what="lag", state="bad" if size > BAD_LAG_S else "note", count=BLOCKS, words=words)


def measure_lag(gyroscope: Sensor, other: Sensor) -> Lag | None:
    """Return the lag of a gyroscope behind another source of rotation; None where they do not feel the same."""
    time_a, speed_a = _speeds(gyroscope)
    time_b, speed_b = _speeds(other)
    if min(len(time_a), len(time_b)) < FEWEST:
        return None
    start, end = max(time_a[0], time_b[0]), min(time_a[-1], time_b[-1])
    rate = min(GRID_HZ, 1 / pace_of(time_a), 1 / pace_of(time_b))
    if end - start < SHORTEST_S or not rate > 0:
        return None
    grid = np.arange(start, end, 1 / rate)
    if len(grid) > MOST_POINTS:
        return None
    a, b = _on_grid(grid, time_a, speed_a, rate), _on_grid(grid, time_b, speed_b, rate)
    inner = np.arange(round(MOST_LAG_S * rate), len(grid) - round(MOST_LAG_S * rate))
    blocks = min(BLOCKS, int(len(inner) / rate / SHORTEST_BLOCK_S))
    if blocks < FEWEST_BLOCKS:
        return None
    parts = np.array_split(inner, blocks)
    found = [_lag(a, b, int(part[0]), min(len(part), LONGEST_PART), rate) for part in parts]
    good = [(lag, likeness) for lag, likeness, motion in found if likeness > LEAST_LIKENESS and motion > LEAST_MOTION]
    lags = np.array([lag for lag, _ in good])
    if len(good) < max(FEWEST_BLOCKS, blocks / 2):
        return None
    if np.quantile(lags, 0.9) - np.quantile(lags, 0.1) > MOST_SPREAD_S:
        return None
    spread = 1.4826 * float(np.median(np.abs(lags - np.median(lags))))
    moving = b > np.quantile(b, 0.5)
    return Lag(
        lag_s=float(np.median(lags)),
        doubt_s=float(1.96 * max(spread, 0.1 / rate) * 1.2533 / np.sqrt(len(lags))),  # 1.2533: of a median
        likeness=float(np.median([likeness for _, likeness in good])),
        ratio=float(np.median(a[moving]) / np.median(b[moving])),
    )


def _speeds(sensor: Sensor) -> tuple[Array, Array]:
    """Angular speed, rad/s, and when; of an orientation between its readings."""
    usable = sensor.usable()
    times, values = sensor.times[usable], sensor.values[usable]
    if sensor.kind == "orientation":
        known = np.isfinite(values).all(1) & (np.abs(np.linalg.norm(np.nan_to_num(values), axis=1) - 1) < 0.01)
        times, values = times[known], values[known]
        if len(times) < 2:
            return times[:0], times[:0]
        turned = rotations.multiply(rotations.conjugate(values[:-1]), values[1:])
        speed = np.linalg.norm(rotations.log(turned), axis=1) / np.diff(times)
        return (times[:-1] + times[1:]) / 2, speed
    speed = np.abs(values[:, 2]) if sensor.kind == "wheel" else np.linalg.norm(values, axis=1)
    known = np.isfinite(speed)
    return times[known], speed[known]


def _on_grid(grid: Array, times: Array, speed: Array, rate: float) -> Array:
    """Speed on the grid, the mean of readings around each of its points, so that nothing faster is folded in."""
    total = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * np.diff(times))])
    edges = np.concatenate([grid, [grid[-1] + 1 / rate]]) - 0.5 / rate
    means: Array = np.diff(np.interp(edges, times, total)) * rate
    return means


def _lag(a: Array, b: Array, start: int, count: int, rate: float) -> tuple[float, float, float]:
    """Lag of a part of a behind b, s, the correlation there, and how much b moves.

    The part is laid over as long a part of b at each lag, so that none is favoured by a longer overlap.
    """
    reach = round(MOST_LAG_S * rate)
    part = a[start : start + count] - a[start : start + count].mean()
    parts = np.lib.stride_tricks.sliding_window_view(b[start - reach : start + count + reach], count)
    spread = parts.std(axis=1)
    if part.std() == 0 or not spread.all():
        return 0.0, 0.0, 0.0
    likeness = parts @ part / (spread * part.std() * count)  # of lags from +reach to -reach
    best = int(np.argmax(likeness))
    shift = float(reach - best)
    if 0 < best < len(likeness) - 1:
        low, top, high = likeness[best - 1 : best + 2]
        bend = low - 2 * top + high
        shift -= 0.5 * float((low - high) / bend) if bend < 0 else 0.0
    return shift / rate, float(likeness[best]), float(spread[best])
