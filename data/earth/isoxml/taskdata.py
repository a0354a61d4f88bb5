"""TASKDATA.XML read: fields (PFD), devices with their elements and units (DVC, DET, DVP) and tasks (TSK)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.earth.isoxml.dictionary import DICTIONARY, Measure
from mainstem.data.earth.isoxml.documents import Element, beside, number, read_document, whole

TASKDATA = "TASKDATA.XML"
ROOT, EXTERNAL_ROOT = "ISO11783_TaskData", "XFC"
VERSIONS = (2, 3, 4)  # VersionMajor: 2 is the draft of 3, with the same elements
IDENTITY = re.compile(r"[A-Z]{3}-?[0-9]{1,10}")
LOG_NAME = re.compile(r"TLG[0-9]{5}")
PART_NAME = re.compile(r"[A-Z]{3}[0-9]{5}")
DDI = re.compile(r"[0-9A-Fa-f]{4}")
OUTER, INNER = 1, 2  # LSG's attribute A, LineStringType: polygon exterior and interior
LONGEST_NAME = 64  # letters of a designator: 32 in version 3, 64 in version 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Partfield:
    """A field: the rings of its border, each (point, 2) longitude and latitude, and whether each is a hole."""

    id: str
    name: str
    area_ha: float
    rings: tuple[NDArray[np.float64], ...]
    is_hole: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class DeviceElement:
    """A part of a machine (header, section, tank): its number, kind, parent and fixed geometry by DDI, metres."""

    id: str
    device: str
    name: str
    kind: int
    number: int
    parent: int
    properties: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: the field it is on ("" where none is named) and the names of its timelogs."""

    id: str
    name: str
    partfield: str
    logs: tuple[str, ...]
    element: Element = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskData:
    """What a terminal or farm software wrote: `quantities` are the devices' own units, by (DDI, device element)."""

    folder: Path
    version: tuple[int, int]
    partfields: tuple[Partfield, ...]
    elements: Mapping[str, DeviceElement]
    quantities: Mapping[tuple[int, str], Measure]
    tasks: tuple[Task, ...]
    products: Mapping[str, str]
    presentations: Mapping[str, Measure]

    def quantity(self, ddi: int, element: str) -> Measure:
        """What a DDI of a device element measures: by the dictionary, else by the device's own presentation."""
        own = self.quantities.get((ddi, element))
        return DICTIONARY.get(ddi) or own or Measure(name=f"DDI {ddi:04X}", unit="", source="unknown")


def read_taskdata(path: Path) -> TaskData:
    """Read a task file, or the one in a folder, with the external parts (XFR) that it names.

    Raises:
        InputError: if it is no task data of version 3 or 4, too large, or its identities or places are none.
    """
    folder = path if path.is_dir() else path.parent
    file = beside(folder, TASKDATA) if path.is_dir() else path
    if file is None or not file.is_file():
        raise InputError(f"no {TASKDATA} in {folder.name}; give the folder that a terminal or farm software exported")
    root = read_document(file, ROOT)
    major = whole(root.facts.get("VersionMajor"), f"VersionMajor of {file.name}", 0, 99)
    minor = whole(root.facts.get("VersionMinor"), f"VersionMinor of {file.name}", 0, 99)
    if major not in VERSIONS:
        raise InputError(f"{file.name} is of version {major}.{minor}, read are 3 and 4; export it so")
    parts = [*root.inner, *_external(root, folder)]
    check_identities(parts, file.name)
    devices = [part for part in parts if part.tag == "DVC"]
    return TaskData(
        folder=folder,
        version=(major, minor),
        partfields=tuple(_partfield(part) for part in parts if part.tag == "PFD"),
        elements={element.id: element for device in devices for element in _elements(device)},
        quantities={key: found for device in devices for key, found in _quantities(device).items()},
        tasks=tuple(_task(part) for part in parts if part.tag == "TSK"),
        products={part.facts["A"]: label(part.facts.get("B")) for part in parts if part.tag == "PDT"},
        presentations={part.facts["A"]: _presentation(part, "") for part in parts if part.tag == "VPN"},
    )


def _external(root: Element, folder: Path) -> list[Element]:
    """The elements of the parts of a task file that lie in files of their own."""
    found: list[Element] = []
    seen: set[str] = set()
    for reference in root.all("XFR"):
        name = reference.facts.get("A", "")
        if not PART_NAME.fullmatch(name) or name in seen:
            raise InputError(f"{TASKDATA} names a part {name!r:.40}, want each once, three letters and five digits")
        seen.add(name)
        path = beside(folder, f"{name}.XML")
        if path is None:
            raise InputError(f"{TASKDATA} names {name}.XML, which is not beside it; give the whole folder")
        found += read_document(path, EXTERNAL_ROOT).inner
    return found


def check_identities(parts: list[Element], where: str) -> None:
    """Refuse identities of elements that are none, or given twice."""
    seen: set[str] = set()
    for part in parts:
        identity = part.facts.get("A", "")
        if part.tag in ("PFD", "DVC", "TSK", "PDT", "VPN"):
            if not IDENTITY.fullmatch(identity) or not identity.startswith(part.tag):
                raise InputError(f"{where}: a {part.tag} has the identity {identity!r:.40}, want {part.tag} and digits")
            if identity in seen:
                raise InputError(f"{where}: {identity} stands twice; export it again")
            seen.add(identity)


def label(text: str | None) -> str:
    """A designator as one plain line."""
    return plain(text or "").strip()[:LONGEST_NAME]


def _partfield(element: Element) -> Partfield:
    rings: list[NDArray[np.float64]] = []
    holes: list[bool] = []
    for polygon in element.all("PLN"):
        for line in polygon.all("LSG"):
            kind = whole(line.facts.get("A"), f"the line type of {element.facts['A']}", 1, 9)
            if kind in (OUTER, INNER):
                rings.append(line.points())
                holes.append(kind == INNER)
    area = element.facts.get("D", "0")
    return Partfield(
        id=element.facts["A"],
        name=label(element.facts.get("C")),
        area_ha=whole(area, f"the area of {element.facts['A']}") / 1e4,
        rings=tuple(rings),
        is_hole=tuple(holes),
    )


def _task(element: Element) -> Task:
    logs = [log.facts.get("A", "") for log in element.all("TLG")]
    odd = next((name for name in logs if not LOG_NAME.fullmatch(name)), None)
    if odd is not None:
        raise InputError(f"{element.facts['A']} names a timelog {odd!r:.40}, want TLG and five digits")
    return Task(
        id=element.facts["A"],
        name=label(element.facts.get("B")),
        partfield=element.facts.get("E", ""),
        logs=tuple(logs),
        element=element,
    )


def _elements(device: Element) -> list[DeviceElement]:
    properties = {part.facts.get("A"): part.facts for part in device.all("DPT")}
    found = []
    for element in device.all("DET"):
        identity = element.facts.get("A", "")
        if not IDENTITY.fullmatch(identity):
            raise InputError(f"{device.facts['A']} has a device element {identity!r:.40}, want DET and digits")
        geometry = {}
        for reference in element.all("DOR"):
            facts = properties.get(reference.facts.get("A"))
            if facts:
                ddi, raw = (
                    ddi_of(facts.get("B"), identity),
                    whole(facts.get("C"), f"a property of {identity}", -(2**31)),
                )
                quantity = DICTIONARY.get(ddi)
                if quantity:
                    geometry[ddi] = raw * quantity.scale
        found.append(
            DeviceElement(
                id=identity,
                device=device.facts["A"],
                name=label(element.facts.get("D")),
                kind=whole(element.facts.get("C"), f"the kind of {identity}", 1, 99),
                number=whole(element.facts.get("E"), f"the number of {identity}", 0, 4095),
                parent=whole(element.facts.get("F"), f"the parent of {identity}", 0, 65535),
                properties=geometry,
            )
        )
    return found


def _quantities(device: Element) -> dict[tuple[int, str], Measure]:
    """The device's own units, by (DDI, device element)."""
    own = {part.facts.get("A"): part for part in device.all("DVP")}
    logged = {part.facts.get("A"): part.facts for part in device.all("DPD")}
    found = {}
    for element in device.all("DET"):
        for reference in element.all("DOR"):
            facts = logged.get(reference.facts.get("A"))
            presentation = own.get(facts.get("F")) if facts else None
            if facts and presentation:
                ddi = ddi_of(facts.get("B"), element.facts.get("A", ""))
                found[ddi, element.facts.get("A", "")] = _presentation(presentation, label(facts.get("E")))
    return found


def _presentation(element: Element, name: str) -> Measure:
    where = f"the presentation {element.facts.get('A', '')!r:.20}"
    return Measure(
        name=name,
        unit=label(element.facts.get("E")),
        scale=number(element.facts.get("C"), f"the scale of {where}"),
        offset=number(element.facts.get("B"), f"the offset of {where}"),
        source="the device",
    )


def ddi_of(text: str | None, where: str) -> int:
    """A data dictionary identifier of four hexadecimal digits.

    Raises:
        InputError: if it is none.
    """
    if text is None or not DDI.fullmatch(text):
        raise InputError(f"{where} has the DDI {text!r:.20}, want four hexadecimal digits")
    return int(text, 16)
