"""Harvests out of ISO 11783-10 task data: a timelog of a yield monitor as records; its units are the standard's own.

Numbers of entities are those of the ISO 11783-11 data dictionary (`data.earth.isoxml.dictionary`).
"""

import datetime
from pathlib import Path

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests.points import Array, HarvestPoints, joined, spoken
from mainstem.data.earth.isoxml.taskdata import Task, TaskData, read_taskdata
from mainstem.data.earth.isoxml.timelogs import TimeLog, read_timelog

YIELDS = (0x00B5, 0x0054, 0x0107)  # mass per area: dry, as it was harvested, averaged
FLOW, WIDTHS, MOISTURES = 0x0057, (0x0043, 0x0044, 0x0046), (0x0063, 0x0106)
WORK_STATE, SPEED = 0x008D, 0x018D
KG_S_A_T_H = 1000 / 3600


def read_isoxml(path: Path, crop: str | None = None) -> dict[str, HarvestPoints]:
    """Read the harvests of a task file or its folder, by the field that each was on (its PFD's number).

    Raises:
        InputError: if it is none, no timelog holds a yield, or a binary disagrees with its XML.
    """
    data = read_taskdata(path)
    found: dict[str, list[HarvestPoints]] = {}
    known = {field.id for field in data.partfields}  # a folder may be named after it
    for task in data.tasks:
        logs = [read_timelog(data, name) for name in task.logs]
        parts = [_points(data, log, crop) for log in logs if log.find(*YIELDS)]
        if parts:
            found.setdefault(task.partfield if task.partfield in known else task.id, []).extend(parts)
    if not found:
        raise InputError(
            f"{path.name}: none of {_count(data.tasks)} timelogs holds a yield; export the harvest's tasks"
        )
    return {field: joined(parts) for field, parts in found.items()}


def _count(tasks: tuple[Task, ...]) -> int:
    return sum(len(task.logs) for task in tasks)


def _points(data: TaskData, log: TimeLog, crop: str | None) -> HarvestPoints:
    grain, width = _column(log, *YIELDS), _column(log, *WIDTHS)
    state = _column(log, WORK_STATE)
    untold = np.full(len(log), np.nan)
    notes = [*log.remarks(), f"yield is {_told(log)}, as the monitor logged it"]
    return HarvestPoints(
        longitude=log.longitude, latitude=log.latitude, yield_t_ha=grain, time_s=log.time - np.nanmin(log.time),
        interval_s=untold, moisture_pct=spoken(_column(log, *MOISTURES)), swath_m=np.where(state == 0, 0.0, width),
        distance_m=untold, speed_m_s=_column(log, SPEED), heading_deg=untold,
        flow_kg_s=_column(log, FLOW) * KG_S_A_T_H, machine=np.zeros(len(log), np.int64),
        row=np.arange(1, len(log) + 1), crop=crop, machines=(f"{data.folder.name}: {log.name}",), sources=(log.name,),
        notes=tuple(notes), days=tuple(sorted({_day(time) for time in (np.nanmin(log.time), np.nanmax(log.time))})),
    )  # fmt: skip


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()


def _column(log: TimeLog, *entities: int) -> Array:
    """A quantity as it was logged, a value standing until the next; of several device elements' the first."""
    found = log.find(*entities)
    return found[0].values() if found else np.full(len(log), np.nan)


def _told(log: TimeLog) -> str:
    return log.find(*YIELDS)[0].quantity.name
