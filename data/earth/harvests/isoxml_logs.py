"""Harvests out of ISO 11783-10 task data: a timelog of a yield monitor as records; its units are the standard's own.

Numbers of entities are those of the ISO 11783-11 data dictionary (`data.earth.isoxml.dictionary`).
"""

import datetime
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests.ordering import in_order
from mainstem.data.earth.harvests.points import Array, HarvestPoints, joined, spoken
from mainstem.data.earth.isoxml.taskdata import TaskData, read_taskdata
from mainstem.data.earth.isoxml.timelogs import TimeLog, read_timelog

YIELDS = (0x00B5, 0x0054, 0x0107)  # mass per area: dry, as it was harvested, averaged
FLOW, WIDTHS, MOISTURES = 0x0057, (0x0043, 0x0044, 0x0046), (0x0063, 0x0106)
WORK_STATE, SPEED = 0x008D, 0x018D
KG_S_A_T_H = 1000 / 3600
NO_FIX = (0, 14)  # of a position's status (ISO 11783-10, table D.1): no fix, an error
A_DAY_S, MOST_DAYS = 86_400, 366  # the latter: how far a season's records lie from their middle
FEW_ODD = 0.01  # of a log's records, whose dates may be no harvest's: a clock before its first fix
IS_DRY = "yield is dry"


def read_isoxml(path: Path, crop: str | None, most_records: int) -> dict[str, HarvestPoints]:
    """Read the harvests of a task file or its folder, by the field that each was on (its PFD's number).

    A log is taken once, however often it is named; records without a fix have no place, and are counted.

    Raises:
        InputError: if it is none, no timelog holds a yield and a place, a binary disagrees with its XML, or a clock
            runs backwards throughout or leaps over years; or the harvest's logs hold more than `most_records` together.
    """
    data = read_taskdata(path)
    found: dict[str, list[HarvestPoints]] = {}
    known = {field.id for field in data.partfields}  # a folder may be named after it
    times_named = Counter(name for task in data.tasks for name in task.logs)
    seen: set[str] = set()
    left_out: list[str] = []
    num_records = 0
    for task in data.tasks:
        for name in task.logs:
            if name in seen:
                continue
            seen.add(name)
            log = read_timelog(data, name)
            if not log.find(*YIELDS):
                continue
            num_records += len(log)
            if num_records > most_records:
                raise InputError(
                    f"{path.name}: more than {most_records} records up to {name}; give fewer tasks, or split the log"
                )
            if not _has_place(log).any():
                left_out.append(f"{name} is left out: none of its {len(log)} records has a fix")
                continue
            notes = [f"{name} is named {times_named[name]} times: it is taken once"] if times_named[name] > 1 else []
            field = task.partfield if task.partfield in known else task.id
            found.setdefault(field, []).append(_points(data, log, crop).told(notes))
    if not found:
        why = left_out or [f"none of {len(seen)} timelogs holds a yield"]
        raise InputError(f"{path.name}: {why[0]}; export the harvest's tasks, as they were logged")
    parts = {field: joined(logs) for field, logs in found.items()}
    return {field: points.told(left_out) for field, points in parts.items()}


def is_dry(points: HarvestPoints) -> bool:
    """True where the monitor logged a dry yield: its flow is of what was cut, with its water."""
    return any(note.startswith(IS_DRY) for note in points.notes)


def _points(data: TaskData, log: TimeLog, crop: str | None) -> HarvestPoints:
    grain, width = _column(log, *YIELDS), _column(log, *WIDTHS)
    state = _column(log, WORK_STATE)
    untold, is_placed = np.full(len(log), np.nan), _has_place(log)
    time, notes = _times(log)
    lost = int(np.count_nonzero(~is_placed & np.isfinite(log.longitude)))
    notes += [f"{log.name}: {lost} records without a fix are taken out"] if lost else []
    notes += [f"yield is {_told(log)}, as the monitor logged it"]
    points = HarvestPoints(
        longitude=np.where(is_placed, log.longitude, np.nan), latitude=np.where(is_placed, log.latitude, np.nan),
        yield_t_ha=grain, time_s=time - np.nanmin(time),
        interval_s=untold, moisture_pct=spoken(_column(log, *MOISTURES)), swath_m=np.where(state == 0, 0.0, width),
        distance_m=untold, speed_m_s=_column(log, SPEED), heading_deg=untold,
        flow_kg_s=_column(log, FLOW) * KG_S_A_T_H, machine=np.zeros(len(log), np.int64),
        row=np.arange(1, len(log) + 1), crop=crop, machines=(f"{data.folder.name}: {log.name}",), sources=(log.name,),
        notes=tuple(notes), days=tuple(sorted({_day(end) for end in (np.nanmin(time), np.nanmax(time))})),
    )  # fmt: skip
    return _in_order(points, log)


def _in_order(points: HarvestPoints, log: TimeLog) -> HarvestPoints:
    """As `in_order` puts the records of a table.

    Raises:
        InputError: if the clock runs backwards more often than forwards.
    """
    if log.backwards.size > np.count_nonzero(np.diff(log.time) > 0):
        raise InputError(f"{log.remarks()[0]}; its clock is wrong, or the binary is damaged: export it again")
    ordered, notes = in_order(points, np.zeros(len(log), np.int64), None)
    return ordered.told([f"{log.name}: {note}" for note in notes])


def _has_place(log: TimeLog) -> NDArray[np.bool_]:
    """Which records tell where they were logged."""
    known = np.isfinite(log.longitude)
    return known if log.status is None else known & ~np.isin(log.status, NO_FIX)


def _times(log: TimeLog) -> tuple[Array, list[str]]:
    """Seconds since 1970, NaN where a record's date is none of the harvest's, and what has to be said of that.

    Raises:
        InputError: if the dates of more than a few are.
    """
    odd = np.abs(log.time - np.median(log.time)) > MOST_DAYS * A_DAY_S
    if not odd.any():
        return log.time, []
    told = f"{log.name}: dates of {odd.sum()} of {len(log)} records lie more than {MOST_DAYS} days from the others"
    if odd.mean() > FEW_ODD:
        raise InputError(f"{told}; its clock is wrong, or the binary is damaged: export it again")
    return np.where(odd, np.nan, log.time), [f"{told}: they are left without a time"]


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()


def _column(log: TimeLog, *entities: int) -> Array:
    """A quantity as it was logged, a value standing until the next; of several device elements' the first."""
    found = log.find(*entities)
    return found[0].values() if found else np.full(len(log), np.nan)


def _told(log: TimeLog) -> str:
    return log.find(*YIELDS)[0].quantity.name
