"""XML of task data read within bounds: no entities, no other document but a task file's own parts."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import one_line
from mainstem.data.limits import check_beside

LARGEST_XML = 128 << 20  # bytes: about two million points
LARGEST_HEADER = 1 << 20
MOST_ELEMENTS = 500_000  # besides points
MOST_POINTS = 5_000_000
DEEPEST = 20  # elements within one another; the standard needs eight
CHUNK = 1 << 20
NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
WHOLE = re.compile(r"-?\d{1,12}", re.ASCII)


@dataclass(kw_only=True)
class Element:
    """One element: its name and attributes, those in it, and the points in it as (longitude, latitude) degrees."""

    tag: str
    facts: dict[str, str]
    inner: list["Element"] = field(default_factory=list)
    places: "array[float]" = field(default_factory=lambda: array("d"))

    def all(self, tag: str) -> Iterator["Element"]:
        """The elements of one name directly in it."""
        return (element for element in self.inner if element.tag == tag)

    def points(self) -> NDArray[np.float64]:
        """Longitude and latitude (point, 2) of the points directly in it, degrees in EPSG:4326."""
        return np.frombuffer(self.places, dtype=np.float64).reshape(-1, 2).copy() if self.places else np.empty((0, 2))


class _Builder:
    """What the parser tells of: elements are kept, but of a PNT its place alone."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.open: list[Element] = []
        self.root: Element | None = None
        self.elements = self.points = 0

    def start(self, tag: str, facts: dict[str, str]) -> None:
        if len(self.open) >= DEEPEST:
            raise InputError(f"{self.where} nests elements {DEEPEST} deep, ISO 11783-10 needs eight; export it again")
        if tag == "PNT" and self.open:
            self._point(facts)
        else:
            self.elements += 1
        if self.elements > MOST_ELEMENTS or self.points > MOST_POINTS:
            raise InputError(
                f"{self.where} holds more than {MOST_ELEMENTS} elements or {MOST_POINTS} points; export fewer tasks"
            )
        element = Element(tag=tag, facts=facts)
        if not self.open:
            self.root = element
        elif tag != "PNT":
            self.open[-1].inner.append(element)
        self.open.append(element)

    def _point(self, facts: dict[str, str]) -> None:
        self.points += 1
        what = f"point {self.points} of {self.where}"
        latitude, longitude = (number(facts.get(key), f"{what}, attribute {key},") for key in ("C", "D"))
        if abs(latitude) > 90 or abs(longitude) > 180:
            raise InputError(f"{what} lies at latitude {latitude:g}, longitude {longitude:g}; want degrees of WGS 84")
        self.open[-1].places.extend((longitude, latitude))

    def end(self, _: str) -> None:
        self.open.pop()

    def data(self, _: str) -> None:
        """Text between elements means nothing in ISO 11783-10."""

    def close(self) -> Element | None:
        return self.root


def read_document(path: Path, root: str, largest: int = LARGEST_XML) -> Element:
    """Return the root element of a file.

    Raises:
        InputError: if it is too large, too deep, no XML, declares a document type, or has another root.
        MissingExtraError: if defusedxml is not installed.
    """
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import DefusedXMLParser, ParseError
    except ImportError as error:
        raise MissingExtraError("defusedxml", "maps") from error
    size = path.stat().st_size
    if size > largest:
        raise InputError(f"{path.name} has {size >> 20} MiB, at most {largest >> 20} are read; export fewer tasks")
    parser: Any = DefusedXMLParser(target=_Builder(path.name), forbid_dtd=True)
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                parser.feed(chunk)
        found: Element | None = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InputError(f"{path.name} is no XML of ISO 11783-10 ({one_line(error, 100)}); export it again") from error
    if found is None or found.tag != root:
        raise InputError(f"{path.name} begins with {found.tag if found else 'nothing'!r:.40}, want {root}")
    return found


def beside(folder: Path, name: str) -> Path | None:
    """The file of a folder that has a name in whatever case (terminals write .BIN and .bin), None where there is none.

    Raises:
        InputError: if two have it, or it is a link to elsewhere.
    """
    found = [path for path in sorted(folder.iterdir()) if path.name.upper() == name.upper()]
    if len(found) > 1:
        raise InputError(f"{found[0].name} and {found[1].name} differ by case alone; leave one out")
    for path in found:
        check_beside(path, folder / name)
    return found[0] if found else None


def number(text: str | None, what: str) -> float:
    """Return a finite number.

    Raises:
        InputError: if it is missing or none.
    """
    if text is None or not NUMBER.fullmatch(text.strip()):
        raise InputError(f"{what} is {text!r:.40}, want a number")
    return float(text)


def whole(text: str | None, what: str, low: int = 0, high: int = 2**32 - 1) -> int:
    """Return a whole number between two others.

    Raises:
        InputError: if it is missing, none, or beyond them.
    """
    if text is None or not WHOLE.fullmatch(text.strip()) or not low <= int(text) <= high:
        raise InputError(f"{what} is {text!r:.40}, want a whole number from {low} to {high}")
    return int(text)
