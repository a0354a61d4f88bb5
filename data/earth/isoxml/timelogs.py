"""Binary timelogs: TLGxxxxx.xml, which says what a record holds, and TLGxxxxx.bin, read into columns by DDI.

Source: ISO 11783-10:2015, Annex D (binary coded timelogs). A record is the time (uint32 milliseconds of the day, uint16
days since 1980-01-01), the attributes of the position that the header leaves empty, a count (uint8), and that many
values (uint8 place in the header's list, int32); little-endian.
"""

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.isoxml.dictionary import Measure
from mainstem.data.earth.isoxml.documents import LARGEST_HEADER, Element, beside, number, read_document
from mainstem.data.earth.isoxml.taskdata import TaskData, ddi_of

LARGEST_BINARY = 64 << 20  # whose values take a gigabyte to lay out
MOST_RECORDS = 1_000_000  # 11 days of one a second
MOST_VALUES = 255  # in a header: a value's place is one byte
EPOCH = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC).timestamp()
A_DAY_S, A_DAY_MS = 86_400, 86_400_000
POSITION = {  # attributes of PTN in the order they are written in
    "A": ("north", "<i4"), "B": ("east", "<i4"), "C": ("up_mm", "<i4"), "D": ("status", "u1"), "E": ("pdop", "<u2"),
    "F": ("hdop", "<u2"), "G": ("satellites", "u1"), "H": ("gps_ms", "<u4"), "I": ("gps_days", "<u2"),
}  # fmt: skip
DEGREES = 1e-7
NO_POSITION = (-(2**31), 2**31 - 1)  # what terminals write where they know none
ELEMENT = re.compile(r"DET-?[0-9]{1,10}")
VALUE_BYTES = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One logged quantity of one device element: which records logged it, and the raw integers."""

    ddi: int
    element: str
    quantity: Measure
    record: NDArray[np.int64]
    raw: NDArray[np.int32]
    num_records: int

    def values(self, is_held: bool = True) -> NDArray[np.float64]:
        """Values (record,) in the quantity's unit, NaN where none is known.

        A terminal may write a value only when it changes or after a time or distance (DPD, attribute D); with
        `is_held` a value stands until the next one.
        """
        told = np.full(self.num_records, np.nan)
        told[self.record] = (self.raw + self.quantity.offset) * self.quantity.scale
        if not is_held or not self.record.size:
            return told
        last = np.searchsorted(self.record, np.arange(self.num_records), side="right") - 1
        return np.where(last >= 0, told[self.record[last]], np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeLog:
    """A timelog as arrays over its records.

    `time` is seconds since 1970 of the terminal's own clock, whose zone the file does not say; `latitude` and
    `longitude` are degrees in EPSG:4326, NaN where the terminal knew none; `status` is PTN's attribute D (ISO 11783-10,
    table D.1: 0 no fix, 1 GNSS, 2 DGNSS, 3 precise, 4 RTK fixed, 5 RTK float, 15 not told), None where not logged;
    `backwards` numbers (from 0) the records whose time is before that of the one before.
    """

    name: str
    time: NDArray[np.float64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    status: NDArray[np.uint8] | None
    columns: tuple[Column, ...]
    backwards: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    def find(self, *ddis: int) -> tuple[Column, ...]:
        """The columns of the first of some DDIs that was logged at all, one an element; empty where none was."""
        for ddi in ddis:
            found = tuple(column for column in self.columns if column.ddi == ddi and column.record.size)
            if found:
                return found
        return ()

    def remarks(self) -> list[str]:
        """What a reader should be told of the file, one line each."""
        if not self.backwards.size:
            return []
        first = int(self.backwards[0])
        step = self.time[first - 1] - self.time[first]
        return [
            f"{self.name}: time runs backwards at {self.backwards.size} of {len(self)} records, first at record "
            f"{first + 1} by {step:g} s"
        ]


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What a record holds: the fixed part as a numpy type, values that hold for all records, and (DDI, element)."""

    fixed: np.dtype[np.void]
    constants: Mapping[str, float]
    values: tuple[tuple[int, str], ...]


def read_timelog(task_data: TaskData, name: str, most_records: int = MOST_RECORDS) -> TimeLog:
    """Read one timelog of a task file.

    Raises:
        InputError: if a file of the two is missing or too large, it holds more records than `most_records`, or they
            disagree, naming the record.
    """
    header_path, binary_path = (beside(task_data.folder, f"{name}.{suffix}") for suffix in ("XML", "BIN"))
    if header_path is None or binary_path is None:
        missing = f"{name}.xml" if header_path is None else f"{name}.bin"
        raise InputError(f"{missing} of a timelog is not beside the task file; give the whole folder")
    header = _read_header(header_path)
    size = binary_path.stat().st_size
    if size > LARGEST_BINARY:
        raise InputError(f"{binary_path.name} has {size >> 20} MiB, at most {LARGEST_BINARY >> 20} are read; split it")
    content = binary_path.read_bytes()
    starts = _starts(content, header, binary_path.name, most_records)
    return _columns(task_data, binary_path, content, starts, header)


def read_timelogs(task_data: TaskData) -> dict[str, TimeLog]:
    """All timelogs that the tasks name, by name."""
    names = [name for task in task_data.tasks for name in task.logs]
    return {name: read_timelog(task_data, name) for name in names}


def _read_header(path: Path) -> _Header:
    root = read_document(path, "TIM", LARGEST_HEADER)
    if root.facts.get("A") != "" or any(root.facts.get(key) == "" for key in "BC"):
        raise InputError(f"{path.name} logs no start of each record, or an end; want TIM with A empty, B and C unset")
    kinds: list[tuple[str, str]] = [("ms", "<u4"), ("days", "<u2")]
    constants: dict[str, float] = {}
    positions = list(root.all("PTN"))
    if len(positions) > 1:
        raise InputError(f"{path.name} has {len(positions)} positions (PTN), want one at most; export it again")
    for key, (column, kind) in POSITION.items():
        text = positions[0].facts.get(key) if positions else None
        if text == "":
            kinds.append((column, kind))
        elif text is not None:
            constants[column] = _constant(column, text, f"the position's {key} in {path.name}")
    values = tuple(_value(element, path.name) for element in root.all("DLV"))
    if len(values) > MOST_VALUES:
        raise InputError(f"{path.name} lists {len(values)} values, a record can number {MOST_VALUES}; export it again")
    return _Header(fixed=np.dtype(kinds), constants=constants, values=values)


def _constant(column: str, text: str, where: str) -> float:
    """A number that holds for all records, within what a record itself could say of a place and its status.

    Raises:
        InputError: if it is none, or beyond.
    """
    found = number(text, where)
    low, high = {"north": (-90, 90), "east": (-180, 180), "status": (0, 255)}.get(column, (-math.inf, math.inf))
    if not low <= found <= high:
        raise InputError(f"{where} is {found:g}, want {low} to {high}; export it again")
    return found


def _value(element: Element, where: str) -> tuple[int, str]:
    device_element = element.facts.get("C", "")
    if not ELEMENT.fullmatch(device_element):
        raise InputError(f"{where} logs a value of {device_element!r:.40}, want a device element (DET and digits)")
    return ddi_of(element.facts.get("A"), where), device_element


def _faulty(where: str, record: int, what: str) -> InputError:
    """What is raised of a record (numbered from 0) that cannot be."""
    return InputError(
        f"record {record + 1} of {where} {what}; the binary and its XML disagree, or the export was cut short: export "
        "it again"
    )


def _starts(content: bytes, header: _Header, where: str, most: int) -> NDArray[np.int64]:
    """The byte where each record starts, and the end."""
    at, size, count_at, num_values = 0, len(content), header.fixed.itemsize, len(header.values)
    starts = [0]
    while at < size:
        if at + count_at >= size:
            raise _faulty(where, len(starts) - 1, f"is cut at byte {size}")
        count = content[at + count_at]
        if count > num_values:
            raise _faulty(where, len(starts) - 1, f"says {count} values, its XML lists {num_values}")
        at += count_at + 1 + VALUE_BYTES * count
        if at > size:
            raise _faulty(where, len(starts) - 1, f"says {count} values, which end after the file")
        starts.append(at)
        if len(starts) > most + 1:
            raise InputError(f"{where} holds more than {most} records; split the log, or export fewer tasks")
    return np.array(starts, dtype=np.int64)


def _columns(task_data: TaskData, path: Path, content: bytes, ends: NDArray[np.int64], header: _Header) -> TimeLog:
    name, where = path.stem, path.name
    data, starts = np.frombuffer(content, dtype=np.uint8), ends[:-1]
    width = header.fixed.itemsize
    fixed = data[starts[:, None] + np.arange(width)].reshape(-1).view(header.fixed)
    time = _time(fixed, where)
    latitude, longitude = _positions(fixed, header, where)
    counts = data[starts + width].astype(np.int64)
    record = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(len(record)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = starts[record] + width + 1 + VALUE_BYTES * within
    place = data[at].astype(np.int64)
    _check_places(place, record, header, where)
    raw = data[at[:, None] + np.arange(1, VALUE_BYTES)].reshape(-1).view("<i4")
    order = np.argsort(place, kind="stable")
    cuts = np.searchsorted(place[order], np.arange(len(header.values) + 1))
    columns = []
    for number_, (ddi, element) in enumerate(header.values):
        rows = order[cuts[number_] : cuts[number_ + 1]]
        columns.append(
            Column(
                ddi=ddi,
                element=element,
                quantity=task_data.quantity(ddi, element),
                record=record[rows],
                raw=raw[rows].astype(np.int32),
                num_records=len(starts),
            )
        )
    return TimeLog(
        name=name,
        time=time,
        latitude=latitude,
        longitude=longitude,
        status=_status(fixed, header),
        columns=tuple(columns),
        backwards=np.nonzero(np.diff(time) < 0)[0] + 1,
    )


def _time(fixed: NDArray[np.void], where: str) -> NDArray[np.float64]:
    odd = np.nonzero(fixed["ms"] >= A_DAY_MS + 1000)[0]  # a leap second counts
    if odd.size:
        raise _faulty(where, odd[0], f"is at {fixed['ms'][odd[0]]} ms of its day, which has {A_DAY_MS}")
    return EPOCH + fixed["days"].astype(np.float64) * A_DAY_S + fixed["ms"].astype(np.float64) / 1000


def _status(fixed: NDArray[np.void], header: _Header) -> NDArray[np.uint8] | None:
    if "status" in (fixed.dtype.names or ()):
        told: NDArray[np.uint8] = fixed["status"].copy()
        return told
    constant = header.constants.get("status")
    return None if constant is None else np.full(len(fixed), constant, np.uint8)


def _positions(fixed: NDArray[np.void], header: _Header, where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found = []
    for column, most in (("north", 90.0), ("east", 180.0)):
        if column not in (fixed.dtype.names or ()):
            found.append(np.full(len(fixed), header.constants.get(column, np.nan)))
            continue
        degrees = np.where(np.isin(fixed[column], NO_POSITION), np.nan, fixed[column] * DEGREES)
        odd = np.nonzero(np.abs(degrees) > most)[0]
        if odd.size:
            raise _faulty(where, odd[0], f"lies at {degrees[odd[0]]:g} degrees {column}, the globe ends at {most:g}")
        found.append(degrees)
    is_unknown = np.isnan(found[0]) | np.isnan(found[1])
    return np.where(is_unknown, np.nan, found[0]), np.where(is_unknown, np.nan, found[1])


def _check_places(place: NDArray[np.int64], record: NDArray[np.int64], header: _Header, where: str) -> None:
    odd = np.nonzero(place >= len(header.values))[0]
    if odd.size:
        what = f"has a value numbered {place[odd[0]]}, its XML lists {len(header.values)} from 0"
        raise _faulty(where, int(record[odd[0]]), what)
    key = np.sort(record * (MOST_VALUES + 1) + place)
    twice = np.nonzero(np.diff(key) == 0)[0]
    if twice.size:
        raise _faulty(where, int(key[twice[0]]) // (MOST_VALUES + 1), "gives one value twice")
