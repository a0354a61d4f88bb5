"""The order in which a harvest was logged: metric places, a clock, directions, areas and passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mainstem.data.earth.harvests.points import Array, HarvestPoints

M2_A_HA = 1e4
APART = 1e9  # of the clock, between tracks
AROUND, BEND, SMOOTH = 2, 4, 3  # records before and after one that its direction, a turn, and speed are taken from
TURNED_RAD = np.pi / 3  # between two directions, beyond which a pass has ended
GAP_S = 8.0  # without a record, after which another pass begins
NEAR_HEADERS, WITHOUT_HEADER_M = 1.7, 20.0  # how far around a record others are near; where no width is told
FEWEST_NEAR, MOST_NEAR = 32, 256  # records near one that are looked at
MOST_PAIRS, PAIRS_AT_ONCE = 64_000_000, 4_000_000  # of a record with one near it: kept, 5 bytes each, and worked on
ORDERLY = 2.5  # times that a step is the distance logged for it, or that to the nearest record, at most
FEWEST_ORDERLY = 0.6  # of steps
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Log:
    """Records (record,) in the order they were logged in, as `points` has them.

    Attributes:
        x, y: m; heading_rad: of the way that was driven, counter-clockwise from east.
        clock: s, or records where the log tells no time (`unit`); APART between one track and the next.
        step: of the clock between two records.
        area_m2: harvested, as swath and distance tell it; NaN where they tell none.
        is_orderly: whether the order is the one in which a machine drove.
    """

    points: HarvestPoints
    x: Array
    y: Array
    heading_rad: Array
    clock: Array
    unit: str
    step: float
    area_m2: Array
    is_orderly: bool

    def __len__(self) -> int:
        return len(self.x)

    def speed(self) -> Array:
        """Of each record, m/s, or metres a record where the log tells no time."""
        told = self.points.speed_m_s
        if np.isfinite(told).mean() > 0.5:
            return told
        if np.isfinite(self.points.distance_m).mean() > 0.5:
            interval = self.points.interval_s
            return self.points.distance_m / np.where(np.isfinite(interval), interval, self.step)
        return _driven(self.x, self.y, self.points.machine, self.clock)

    def distances(self) -> Array:
        """What each record covers along the way, m: as logged, else from the record before."""
        return _distances(self.points, self.x, self.y, self.clock, self.step)

    @cached_property
    def near(self) -> tuple[NDArray[np.int32], Flags]:
        """Numbers (record, neighbour) of the nearest records around each, and which of them there are.

        As many as lie within NEAR_HEADERS widths of the header in a field cut pass by pass, of a long log fewer.
        """
        header, moved = self.header_m(), np.nanmedian(np.maximum(self.distances(), 0.1))
        reach = NEAR_HEADERS * header if np.isfinite(header) else WITHOUT_HEADER_M
        wanted = np.pi * reach**2 / (max(header, 1.0) * moved) if np.isfinite(header * moved) else FEWEST_NEAR
        most = min(MOST_NEAR, max(MOST_PAIRS // max(len(self), 1), FEWEST_NEAR))
        count = int(np.clip(wanted, FEWEST_NEAR, most)) + 1
        places = np.column_stack([self.x, self.y])
        tree = cKDTree(places)
        found = np.empty((len(self), count), np.int32)
        for part in slices(len(self), count):
            found[part] = tree.query(places[part], count, distance_upper_bound=reach)[1]
        is_there = (found < len(self)) & (found != np.arange(len(self), dtype=np.int32)[:, None])
        return np.minimum(found, len(self) - 1, out=found), is_there

    def header_m(self) -> float:
        """The usual width of the header, m; NaN where none is told."""
        width = self.points.swath_m[self.points.swath_m > 0]
        return float(np.median(width)) if width.size else float("nan")


def slices(num_rows: int, count: int) -> Iterator[slice]:
    """Parts of rows of so many pairs each that hold PAIRS_AT_ONCE together, or a row."""
    step = max(PAIRS_AT_ONCE // max(count, 1), 1)
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def open_log(points: HarvestPoints) -> Log:
    """Find metric places, clock, directions and areas of records in the order of the log."""
    x, y = points.metric()
    track = points.machine
    moved = _steps(x, y, track)
    clock, unit, step = _clock(points, track, moved)
    distance = _distances(points, x, y, clock, step)
    return Log(
        points=points, x=x, y=y, heading_rad=_headings(x, y, track), clock=clock, unit=unit, step=step,
        area_m2=points.swath_m * distance, is_orderly=_is_orderly(points, x, y, moved),
    )  # fmt: skip


def _steps(x: Array, y: Array, track: NDArray[np.int64]) -> Array:
    """Metres from the record before, NaN for the first of a track."""
    found = np.full(len(x), np.nan)
    found[1:] = np.where(np.diff(track) == 0, np.hypot(np.diff(x), np.diff(y)), np.nan)
    return found


def _is_orderly(points: HarvestPoints, x: Array, y: Array, moved: Array) -> bool:
    """Whether most records lie a step from the one before: as far as was logged, or as the nearest of all."""
    if np.isfinite(points.distance_m).mean() > 0.5:
        usual = points.distance_m
    else:
        nearest = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), min(2, len(x)))[0]
        usual = np.full(len(x), max(float(np.median(nearest.reshape(len(x), -1)[:, -1])), 0.1))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = moved / usual
    known = ratio[np.isfinite(ratio)]
    return bool(known.size and np.mean(known < ORDERLY) >= FEWEST_ORDERLY)


def _distances(points: HarvestPoints, x: Array, y: Array, clock: Array, step: float) -> Array:
    if np.isfinite(points.distance_m).mean() > 0.5:
        return points.distance_m
    speed = points.speed_m_s
    driven = speed if np.isfinite(speed).mean() > 0.5 else _driven(x, y, points.machine, clock)
    return driven * np.where(np.isfinite(points.interval_s), points.interval_s, step)


def _driven(x: Array, y: Array, track: NDArray[np.int64], clock: Array) -> Array:
    """Speed by places, from SMOOTH records before to as many after: receivers tell a place later than the log asks."""
    before, after = _beside(np.arange(len(x)), track, SMOOTH)
    passed = clock[after] - clock[before]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(passed > 0, np.hypot(x[after] - x[before], y[after] - y[before]) / passed, np.nan)


def _clock(points: HarvestPoints, track: NDArray[np.int64], moved: Array) -> tuple[Array, str, float]:
    """A clock, its unit, and what it moves from one record to the next."""
    distance = points.distance_m
    if not np.isfinite(distance).mean() > 0.5:
        usual = np.nanmedian(moved) if np.isfinite(moved).any() else np.nan
        distance = np.where(moved <= 3 * usual, moved, usual)
    starts = np.flatnonzero(np.r_[True, np.diff(track) != 0]) if len(track) else np.zeros(0, int)
    if np.isfinite(points.time_s).mean() > 0.5:
        seconds, unit = np.interp(np.arange(len(track)), *_known(points.time_s)), "s"
    else:
        each = _interval(points, distance)
        unit = "s" if np.isfinite(each) else "records"
        each = each if np.isfinite(each) else 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            missed = np.rint(moved / distance)
        seconds = np.cumsum(each * np.clip(np.nan_to_num(missed, nan=1.0, posinf=1.0), 1, 1000))
    first = np.repeat(seconds[starts], np.diff(np.r_[starts, len(track)]))
    apart = APART * np.arange(len(starts)).repeat(np.diff(np.r_[starts, len(track)]))
    clock = np.maximum.accumulate(seconds - first + apart)
    steps = np.diff(clock)
    steps = steps[(steps > 0) & (steps < APART / 2)]
    usual = float(steps[steps < 3 * np.median(steps)].mean()) if steps.size else 1.0  # clocks are rounded
    return clock, unit, usual


def _known(values: Array) -> tuple[Array, Array]:
    is_told = np.isfinite(values)
    return np.flatnonzero(is_told).astype(np.float64), values[is_told]


def _interval(points: HarvestPoints, distance: Array) -> float:
    """Seconds a record covers: as logged, of its speed, or of yield over flow (mass is the same in both)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        by_speed = distance / points.speed_m_s
        by_flow = points.yield_t_ha * points.swath_m * distance / 10 / points.flow_kg_s
    for found in (points.interval_s, by_speed, by_flow):
        usable = found[np.isfinite(found) & (found > 0)]
        if usable.size > len(points) / 4:
            return round(float(np.median(usable)), 1) or float(np.median(usable))
    return float("nan")


def _headings(x: Array, y: Array, track: NDArray[np.int64]) -> Array:
    """Directions of the way, rad, from AROUND records before to as many after, as far as they are the track's."""
    num = np.arange(len(x))
    before, after = _beside(num, track, AROUND)
    return np.arctan2(y[after] - y[before], x[after] - x[before])


def _beside(num: NDArray[np.int64], track: NDArray[np.int64], away: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the records so many before and after each, itself where they are another track's."""
    before, after = np.maximum(num - away, 0), np.minimum(num + away, len(num) - 1)
    return np.where(track[before] == track, before, num), np.where(track[after] == track, after, num)


def passes(log: Log, is_in_work: Flags) -> NDArray[np.int64]:
    """Number the passes (record,), -1 where no work is done: a pass ends at a gap, a turn, or when the header lifts."""
    steps = np.r_[np.inf, np.diff(log.clock)]
    before, after = _beside(np.arange(len(log)), log.points.machine, BEND)
    turned = np.abs(angle(log.heading_rad[after] - log.heading_rad[before])) > TURNED_RAD
    gap = GAP_S if log.unit == "s" else GAP_S / log.step
    far = _steps(log.x, log.y, log.points.machine) > 3 * np.nanmax([log.header_m(), 8.0])
    begins = (steps > max(gap, 3 * log.step)) | (turned != np.r_[False, turned[:-1]]) | far
    begins |= is_in_work & ~np.r_[False, is_in_work[:-1]]
    number = np.cumsum(begins)
    return np.where(is_in_work, number, -1)


def angle(radians: Array) -> Array:
    """The same direction between -pi and pi."""
    return np.asarray(np.angle(np.exp(1j * radians)))
