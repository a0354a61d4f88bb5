"""Rate maps written as TASKDATA of version 3 or 4, by zones (grid type 1) or by values (grid type 2).

Source: ISO 11783-10:2009 (version 3) and 2015 (version 4): TSK, TZN, PDV, PDT, VPN, PFD and GRD; a grid's rows run from
south to north, its cells from west to east.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.plain import plain
from mainstem.data.earth.isoxml.dictionary import DICTIONARY

MANUFACTURER = "Mainstem"
MINOR = {3: 3, 4: 3}  # of the schemas: ISO11783_TaskFile_V3-3.xsd and V4-3.xsd
LONGEST_NAME = {3: 32, 4: 64}
ZONES, VALUES = 1, 2  # types of grid
VALUES_CODE = 1  # the treatment zone that says what a grid of values holds
BY_UNIT: Mapping[str, tuple[int, float]] = {  # DDI of the setpoint, and our unit in the dictionary's row's
    "kg/ha": (0x0006, 1.0), "t/ha": (0x0006, 1000.0), "l/ha": (0x0001, 1.0), "m3/ha": (0x0001, 1000.0),
    "1/ha": (0x000B, 1.0),
}  # fmt: skip
ROUNDED = 5e-4  # share of a rate that the dictionary's resolution may take away
DECIMALS = 9  # of a degree: XSD, fractionDigits of version 4


@dataclass(frozen=True, kw_only=True, eq=False)
class RateTask:
    """What goes into one task: a field, and its rates on a grid of degrees whose first row is the southernmost.

    Attributes:
        border: the field's outline, EPSG:4326.
        names, rates: by code from 0, which is outside the field; rates in `unit`.
        south, west: degrees of the grid's corner; steps: degrees to the north and to the east of a cell.
        codes: (row, column) from the south.
    """

    name: str
    border: Any
    area_ha: float
    product: str
    unit: str
    names: tuple[str, ...]
    rates: NDArray[np.float64]
    south: float
    west: float
    steps: tuple[float, float]
    codes: NDArray[np.uint8]


def write_rates(tasks: Sequence[RateTask], folder: Path, major: int, kind: int) -> Path:
    """Write TASKDATA.XML and a binary a grid into a folder; return the XML's path, which is written last.

    Raises:
        InputError: if a rate cannot be told in the unit of ISO 11783-11.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = Element(
        "ISO11783_TaskData",
        {
            "VersionMajor": str(major), "VersionMinor": str(MINOR[major]),
            "ManagementSoftwareManufacturer": MANUFACTURER, "ManagementSoftwareVersion": _version(),
            "DataTransferOrigin": "1",
        },
    )  # fmt: skip
    products = list(dict.fromkeys(task.product for task in tasks))
    units = list(dict.fromkeys(task.unit for task in tasks))
    for number, task in enumerate(tasks, 1):
        _add_field(root, task, number, major)
    for number, product in enumerate(products, 1):
        SubElement(root, "PDT", {"A": f"PDT{number}", "B": _label(product, major)})
    for number, task in enumerate(tasks, 1):
        places = (products.index(task.product) + 1, units.index(task.unit) + 1)
        write_atomically(folder / f"GRD{number:05}.bin", _add_task(root, task, number, (major, kind), places))
    for number, unit in enumerate(units, 1):
        ddi, factor = BY_UNIT[unit]
        scale = DICTIONARY[ddi].scale / factor
        SubElement(root, "VPN", {"A": f"VPN{number}", "B": "0", "C": f"{scale:.9g}", "D": _decimals(scale), "E": unit})
    indent(root)
    path = folder / "TASKDATA.XML"
    write_atomically(path, b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="utf-8") + b"\n")
    return path


def raw_rates(task: RateTask) -> NDArray[np.int32]:
    """Rates by code as the integers of the setpoint's DDI.

    Raises:
        InputError: if rounding changes one by more than ROUNDED, or it is too large.
    """
    ddi, factor = BY_UNIT[task.unit]
    exact = task.rates * factor / DICTIONARY[ddi].scale
    raw = np.round(exact)
    if (np.abs(raw - exact) > ROUNDED * np.abs(exact)).any() or (raw > 2**31 - 1).any():
        raise InputError(
            f"a rate of {task.rates[np.argmax(np.abs(raw - exact))]:g} {task.unit} cannot be told in steps of "
            f"{DICTIONARY[ddi].scale / factor:g} {task.unit}, which ISO 11783-11 has; round it so"
        )
    return raw.astype(np.int32)


def _add_task(root: Element, task: RateTask, number: int, form: tuple[int, int], places: tuple[int, int]) -> bytes:
    """Add a task; return its grid's binary. `places` are the numbers of its product and of its unit."""
    major, kind = form
    raw = raw_rates(task)
    facts = {"A": f"TSK{number}", "B": _label(task.name, major), "E": f"PFD{number}", "G": "1"}
    element = SubElement(root, "TSK", {**facts, "H": "0", "I": "0", "J": "0"})  # elsewhere, lost, outside: code 0
    names = task.names if kind == ZONES else (task.names[0], "values")
    for code, name in enumerate(names):
        zone = SubElement(element, "TZN", {"A": str(code), "B": _label(name, major)})
        value = 0 if kind == VALUES and code == VALUES_CODE else int(raw[code])
        variable = {"A": f"{BY_UNIT[task.unit][0]:04X}", "B": str(value), "C": f"PDT{places[0]}"}
        SubElement(zone, "PDV", {**variable, "E": f"VPN{places[1]}"})
    content = (task.codes if kind == ZONES else raw[task.codes].astype("<i4")).tobytes()
    rows, columns = task.codes.shape
    grid = {
        "A": _degrees(task.south), "B": _degrees(task.west), "C": _degrees(task.steps[0]), "D": _degrees(task.steps[1]),
        "E": str(columns), "F": str(rows), "G": f"GRD{number:05}", "H": str(len(content)), "I": str(kind),
    }  # fmt: skip
    SubElement(element, "GRD", grid if kind == ZONES else {**grid, "J": str(VALUES_CODE)})
    return content


def _add_field(root: Element, task: RateTask, number: int, major: int) -> None:
    """Add a field's border: version 3 knows one polygon a field, of any number of outer and inner lines."""
    element = SubElement(root, "PFD", {"A": f"PFD{number}", "C": _label(task.name, major)})
    element.set("D", str(round(task.area_ha * 1e4)))
    polygon = None
    for part in getattr(task.border, "geoms", [task.border]):
        if polygon is None or major > 3:
            polygon = SubElement(element, "PLN", {"A": "1"})
        for kind, ring in (("1", part.exterior), *(("2", inner) for inner in part.interiors)):
            line = SubElement(polygon, "LSG", {"A": kind})
            places = list(ring.coords)
            for east, north in places if major > 3 else places[:-1]:  # version 3 closes them itself
                SubElement(line, "PNT", {"A": "2", "C": _degrees(north), "D": _degrees(east)})


def _label(text: str, major: int) -> str:
    return plain(text).strip()[: LONGEST_NAME[major]]


def _degrees(value: float) -> str:
    return f"{value:.{DECIMALS}f}"


def _decimals(scale: float) -> str:
    """Digits behind the point that a step of a unit has, 7 at most."""
    return str(min(max(int(np.ceil(-np.log10(scale) - 1e-9)), 0), 7))


def _version() -> str:
    from importlib.metadata import version

    return version("mainstem")[:32]
