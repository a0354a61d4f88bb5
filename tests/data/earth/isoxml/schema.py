"""TASKDATA held against the schema of ISO 11783-10, as the package isoxml (Apache-2.0) has it as classes.

The schema's own files are ISO's; isoxml's classes were generated from ISO11783_TaskFile_V3-3.xsd and V4-3.xsd and keep
their facets: what is required, patterns, ranges, lengths and enumerations.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest


def read_strictly(path: Path) -> Any:
    """Parse by isoxml; an element or attribute that the schema does not know is an error."""
    pytest.importorskip("isoxml")
    from isoxml.models.base import v3, v4
    from xsdata.formats.dataclass.parsers import XmlParser
    from xsdata.formats.dataclass.parsers.config import ParserConfig

    strict = XmlParser(ParserConfig(fail_on_unknown_properties=True, fail_on_unknown_attributes=True))
    text = path.read_text()
    return strict.from_string(text, (v4 if 'VersionMajor="4"' in text else v3).Iso11783TaskData)


def breaches(element: Any, where: str = "") -> Iterator[str]:
    """What of an element breaks a facet of the schema."""
    for field in fields(element):
        value, facets = getattr(element, field.name), field.metadata
        name = f"{where}/{type(element).__name__}.{field.name}"
        for one in value if isinstance(value, list) else [value]:
            if is_dataclass(one):
                yield from breaches(one, name)
            elif one is not None:
                yield from _facets(one, facets, name)
        if facets.get("required") and value is None:
            yield f"{name} is missing"
        if isinstance(value, list) and len(value) < facets.get("min_occurs", 0):
            yield f"{name} occurs {len(value)} times"


def _facets(value: Any, facets: Any, name: str) -> Iterator[str]:
    if "pattern" in facets and not re.fullmatch(facets["pattern"], value):
        yield f"{name} is {value!r}"
    if isinstance(value, str | bytes):
        length = len(value)
        if not facets.get("min_length", 0) <= length <= facets.get("max_length", length):
            yield f"{name} has {length} letters"
        if length != facets.get("length", length):
            yield f"{name} has {length} letters"
    if isinstance(value, int | float | Decimal):
        if not facets.get("min_inclusive", value) <= value <= facets.get("max_inclusive", value):
            yield f"{name} is {value}"
        digits = -Decimal(str(value)).as_tuple().exponent
        if digits > facets.get("fraction_digits", digits):
            yield f"{name} is {value}"
