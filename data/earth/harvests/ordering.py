"""Records in the order in which they were logged, the sections of a header put together."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests.points import COLUMNS, Array, HarvestPoints

FAR_M = 50.0  # a step that is none, but another part of the field
LEAST_TOLD = 0.5  # of records, below which a clock is none
FEW_JUMPS = 0.01  # of records, beyond which several machines are in one log
BESIDE_M, IDLE, MOST_MACHINES = 20.0, 30, 8  # a step of one machine at most; records without one of it
FEW_TURNS = 0.005  # of records: as often a clock may run backwards where parts of a log follow one another


def in_order(
    points: HarvestPoints, section: NDArray[np.int64], numbers: Array | None
) -> tuple[HarvestPoints, list[str]]:
    """Put records of each machine in the order they were logged in, and say what had to be done.

    Where a clock runs backwards now and then, parts of a log (of several machines, or days) follow one another: each is
    taken for a machine of its own. Where it does so often, records are sorted by it. Without a clock the order is that
    of the file or of a column of numbers, whichever makes the shorter way.

    Raises:
        InputError: if the clock runs backwards more often than forwards.
    """
    if np.isfinite(points.time_s).mean() >= LEAST_TOLD:
        points, notes = _together(points, section)
        return _told_apart(*_by_clock(points, notes))
    points = replace(points, machine=points.machine * (int(section.max(initial=0)) + 1) + section)
    orders = {"": np.argsort(points.machine, kind="stable")}
    if numbers is not None:
        orders["a column of numbers"] = np.lexsort((numbers, points.machine))
    lengths = {name: _way(points, order) for name, order in orders.items()}
    best = min(lengths, key=lambda name: lengths[name])
    return points.where(orders[best]), [f"records are in the order of {best}, not of the file"] if best else []


def _together(points: HarvestPoints, section: NDArray[np.int64]) -> tuple[HarvestPoints, list[str]]:
    """Put the sections of a header that were logged at one time together: widths add up, all else is their mean."""
    if not section.any():
        return points, []
    key = np.column_stack([points.machine, np.nan_to_num(points.time_s, nan=-1.0)])
    _, first, group, counts = np.unique(key, axis=0, return_index=True, return_inverse=True, return_counts=True)
    found = {}
    for name in COLUMNS:
        values = getattr(points, name)
        if values.dtype != np.float64:
            found[name] = values[first]
            continue
        known = np.isfinite(values)
        total = np.bincount(group, np.where(known, values, 0.0), len(first))
        told = np.bincount(group, known, len(first))
        with np.errstate(invalid="ignore", divide="ignore"):
            found[name] = np.where(told > 0, total if name in ("swath_m", "flow_kg_s") else total / told, np.nan)
            found[name][told == 0] = np.nan
    merged = replace(points, **found).where(np.argsort(first, kind="stable"))
    note = f"{len(points)} rows of sections are {len(first)} records of a header, {np.median(counts):.0f} sections each"
    return merged, [note]


def _by_clock(points: HarvestPoints, notes: list[str]) -> tuple[HarvestPoints, list[str]]:
    points = points.where(np.argsort(points.machine, kind="stable"))
    same = np.diff(points.machine) == 0
    step = np.diff(points.time_s)
    back, forth = same & (step < 0), same & (step > 0)
    if not back.any():
        return points, notes
    first = f"time runs backwards at {back.sum()} records, first row {points.row[1:][back][0]}"
    if back.sum() > forth.sum():
        raise InputError(
            f"{points.sources[0]}: {first}; sort the log, mend its clock, or leave it out with --column time=-"
        )
    if back.sum() <= max(FEW_TURNS * len(points), 1):
        begins = np.r_[False, back | ~same]
        names = [points.machines[machine] for machine in points.machine[np.r_[0, np.flatnonzero(begins)]]]
        parted = replace(points, machine=np.cumsum(begins), machines=tuple(names))
        return parted, [*notes, f"{first}: each part of the log is taken for a machine of its own"]
    order = np.lexsort((points.time_s, points.machine))
    return points.where(order), [*notes, f"{first}: records are put in the order of their times"]


def _told_apart(points: HarvestPoints, notes: list[str]) -> tuple[HarvestPoints, list[str]]:
    """Tell machines apart that one log mixes, by where they are: each goes on from where it was a record before."""
    x, y = points.metric()
    far = (np.hypot(np.diff(x), np.diff(y)) > FAR_M) & (np.diff(points.machine) == 0)
    if far.sum() <= FEW_JUMPS * len(points):
        return points, notes
    machine = points.machine * MOST_MACHINES + _drivers(x, y, points.machine)
    used, number = np.unique(machine, return_inverse=True)
    names = tuple(points.machines[one // MOST_MACHINES] for one in used.tolist())
    parted = replace(points, machine=number.astype(np.int64), machines=names)
    note = f"several machines are mixed at {far.sum()} records: they are told apart by where they are"
    return parted.where(np.argsort(number, kind="stable")), [*notes, note]


def _drivers(x: Array, y: Array, log: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the driver of each record: the one that was nearest, or, where none was near, one idle for long."""
    driver = np.zeros(len(x), np.int64)
    last: dict[int, tuple[float, float, int]] = {}
    for index, (east, north, own) in enumerate(zip(x.tolist(), y.tolist(), log.tolist(), strict=True)):
        if index and own != log[index - 1]:
            last = {}
        away = {one: np.hypot(east - at[0], north - at[1]) for one, at in last.items()}
        near = min(away, key=lambda one: away[one], default=-1)
        if near < 0 or not away[near] <= BESIDE_M:
            idle = [one for one, at in last.items() if index - at[2] > IDLE]
            longest = min(last, key=lambda one: last[one][2], default=0)
            near = idle[0] if idle else len(last) if len(last) < MOST_MACHINES else longest
        driver[index] = near
        last[near] = (east, north, index)
    return driver


def _way(points: HarvestPoints, order: NDArray[np.intp]) -> float:
    x, y = points.where(order).metric()
    steps = np.hypot(np.diff(x), np.diff(y))
    return float(np.nansum(np.minimum(steps, FAR_M)))
