"""Rate maps read from the tasks of TASKDATA: treatment zones and grids of type 1 and 2."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.isoxml.dictionary import DICTIONARY, Measure
from mainstem.data.earth.isoxml.documents import Element, beside, number, whole
from mainstem.data.earth.isoxml.taskdata import Task, TaskData, ddi_of, label

GRID_NAME = re.compile(r"GRD[0-9]{5}")
MOST_CELLS = 64_000_000
MOST_CODE = 254


@dataclass(frozen=True, kw_only=True)
class TreatmentZone:
    """A treatment zone: its rate in the dictionary's unit, what of, and which DDI says it."""

    code: int
    name: str
    ddi: int
    rate: float
    unit: str
    product: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadRates:
    """A task's rates (row, column), rows from the south, and where they lie, degrees in EPSG:4326.

    `codes` are those of a grid of type 1, None of one of values; `outside` is the rate out of the field.
    """

    task: str
    partfield: str
    rates: NDArray[np.float64]
    codes: NDArray[np.uint8] | None
    zones: Mapping[int, TreatmentZone]
    outside: float
    south: float
    west: float
    steps: tuple[float, float]


def read_rates(task_data: TaskData, task: Task) -> ReadRates:
    """Read the grid of one task.

    Raises:
        InputError: if there is none, its binary is missing, of another size, or names a zone that the XML does not.
    """
    grids = list(task.element.all("GRD"))
    if len(grids) != 1:
        raise InputError(f"{task.id} has {len(grids)} grids, want one")
    grid, zones = grids[0], _zones(task_data, task)
    name = grid.facts.get("G", "")
    if not GRID_NAME.fullmatch(name):
        raise InputError(f"{task.id} names a grid {name!r:.40}, want GRD and five digits")
    columns, rows = (whole(grid.facts.get(key), f"attribute {key} of {name}", 1, MOST_CELLS) for key in "EF")
    kind = whole(grid.facts.get("I"), f"the type of {name}", 1, 2)
    if rows * columns > MOST_CELLS:
        raise InputError(f"{name} has {rows} x {columns} cells, at most {MOST_CELLS} are read")
    content = _content(task_data, name, rows * columns * (1 if kind == 1 else 4))
    if kind == 1:
        codes = np.frombuffer(content, dtype=np.uint8).reshape(rows, columns)
        rates = _by_code(codes, zones, name)
    else:
        zone = zones.get(whole(grid.facts.get("J"), f"the treatment zone of {name}", 0, MOST_CODE))
        if zone is None:
            raise InputError(f"{name} is of a treatment zone that {task.id} does not have; export it again")
        codes = None
        raw = np.frombuffer(content, dtype="<i4").reshape(rows, columns)
        rates = raw * DICTIONARY[zone.ddi].scale
    return ReadRates(
        task=task.id,
        partfield=task.partfield,
        rates=rates,
        codes=codes,
        zones=zones,
        outside=_outside(task, zones),
        south=_within(grid, "A", name, 90),
        west=_within(grid, "B", name, 180),
        steps=(_within(grid, "C", name, 1), _within(grid, "D", name, 1)),
    )


def _content(task_data: TaskData, name: str, size: int) -> bytes:
    path = beside(task_data.folder, f"{name}.BIN")
    if path is None:
        raise InputError(f"{name}.bin of a task is not beside the task file; give the whole folder")
    if path.stat().st_size != size:
        raise InputError(f"{path.name} has {path.stat().st_size} bytes, its XML says {size}; export it again")
    return path.read_bytes()


def _zones(task_data: TaskData, task: Task) -> dict[int, TreatmentZone]:
    found: dict[int, TreatmentZone] = {}
    for element in task.element.all("TZN"):
        code = whole(element.facts.get("A"), f"a treatment zone's code of {task.id}", 0, MOST_CODE)
        variables = list(element.all("PDV"))
        if len(variables) != 1 or code in found:
            raise InputError(f"zone {code} of {task.id} has {len(variables)} rates or stands twice; want one rate each")
        facts = variables[0].facts
        ddi = ddi_of(facts.get("A"), f"zone {code} of {task.id}")
        measure: Measure | None = DICTIONARY.get(ddi)
        if measure is None:
            raise InputError(f"zone {code} of {task.id} has the DDI {ddi:04X}, which is no rate that is read here")
        raw = whole(facts.get("B"), f"the rate of zone {code} of {task.id}", -(2**31), 2**31 - 1)
        product = task_data.products.get(facts.get("C", ""), "")
        found[code] = TreatmentZone(
            code=code,
            name=label(element.facts.get("B")),
            ddi=ddi,
            rate=raw * measure.scale,
            unit=measure.unit,
            product=product,
        )
    return found


def _by_code(codes: NDArray[np.uint8], zones: Mapping[int, TreatmentZone], name: str) -> NDArray[np.float64]:
    rates = np.full(256, np.nan)
    for code, zone in zones.items():
        rates[code] = zone.rate
    found: NDArray[np.float64] = rates[codes]
    odd = np.argwhere(np.isnan(found))
    if odd.size:
        row, column = odd[0]
        raise InputError(
            f"row {row + 1}, column {column + 1} of {name} is of zone {codes[row, column]}, which its XML does not have"
        )
    return found


def _outside(task: Task, zones: Mapping[int, TreatmentZone]) -> float:
    code = task.element.facts.get("J", task.element.facts.get("H"))
    zone = None if code is None else zones.get(whole(code, f"the outer zone of {task.id}", 0, MOST_CODE))
    return zone.rate if zone else float("nan")


def _within(grid: Element, key: str, name: str, most: float) -> float:
    found = number(grid.facts.get(key), f"attribute {key} of {name}")
    if abs(found) > most:
        raise InputError(f"attribute {key} of {name} is {found:g}, at most {most:g} degrees can be")
    return found
