"""A small, strict language for rates: a line a zone, written and signed by the user; nothing is filled in for him.

product: urea 46 %
min: 0 kg/ha
max: 200 kg/ha
zone 1: 120 kg/ha; zone 2: 140 kg/ha
field "north 3" zone 2: 150 kg/ha     # one field's exception
headland 24 m: 100 kg/ha              # along the border, whatever zone it cuts
no zone: 120 kg/ha                    # parts of a field that are in no zone
outside: 0                            # and where a machine knows no position; 0 unless it is said
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.plain import plain

LARGEST = 64 << 10  # bytes of a rule
MOST_ZONES = 250  # TZN codes of ISO 11783-10 go to 254, of which some are ours
LONGEST_PRODUCT, LONGEST_SIGNER = 32, 80  # PDT's designator in version 3 has 32 letters
MOST_RATE = 1e7
NUMBER = r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)"
UNITS: Mapping[str, str] = {  # spellings; what is counted has no unit but an area
    "kg/ha": "kg/ha", "t/ha": "t/ha", "l/ha": "l/ha", "L/ha": "l/ha", "m3/ha": "m3/ha",
    "1/ha": "1/ha", "seeds/ha": "1/ha", "plants/ha": "1/ha",
}  # fmt: skip
RATE = re.compile(rf"{NUMBER}(?:\s*(?P<unit>[A-Za-z0-9]+/ha))?")
ZONE = re.compile(r"zone\s+(?P<zone>[0-9]{1,3})")
OF_FIELD = re.compile(r'field\s+"(?P<field>[^"]{1,200})"\s+zone\s+(?P<zone>[0-9]{1,3})')
HEADLAND = re.compile(r"headland\s+(?P<width>[0-9]{1,3}(?:\.[0-9]{1,2})?)\s*m")
WIDEST_HEADLAND_M = 200.0


@dataclass(frozen=True, kw_only=True)
class RateRule:
    """A rule: rates in `unit` by zone, by (field, zone) where a field has its own, and of the other places."""

    product: str
    unit: str
    low: float
    high: float
    zones: Mapping[int, float]
    of_fields: Mapping[tuple[str, int], float]
    headland: tuple[float, float] | None  # width m, rate
    no_zone: float | None
    outside: float
    text: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """Of the rule's words."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def rate(self, name: str, zone: int) -> float:
        """The rate in a zone of a field; zone 0 is no zone.

        Raises:
            InputError: if the rule does not say it.
        """
        found = self.of_fields.get((name, zone), self.no_zone if zone == 0 else self.zones.get(zone))
        if found is None:
            what = "no zone" if zone == 0 else f"zone {zone}"
            raise InputError(f"the rule has no rate for {what} of field {name!r:.60}; add a line {what!r}")
        return found


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Who signed a rule, by the name that he typed, and when (UTC).

    `of` is the seal of the rule and the zones that he was shown (`seal_of`); "" where he read them by himself.
    """

    name: str
    time: datetime
    of: str = ""

    def lines(self, rule: RateRule, zones_sha256: str) -> str:
        """The rule as a file keeps it: its words, and as comments who signed it, when, and what for."""
        return (
            f"{rule.text.rstrip()}\n"
            f"# signed: {self.name}\n"
            f"# signed at: {self.time.isoformat(timespec='seconds')}\n"
            f"# sha256 of the rule as signed: {rule.sha256}\n"
            f"# sha256 of the zones it was signed for: {zones_sha256}\n"
            "# rates are the signer's own; the program wrote them down and proposed none\n"
        )


def seal_of(rule: RateRule, zones_sha256: str) -> str:
    """One sha256 of a rule's words and of the zones that it is for."""
    return hashlib.sha256(f"{rule.sha256} {zones_sha256}".encode()).hexdigest()


def sign(name: str, of: str = "") -> Signature:
    """Sign by a name that a person typed, what he was shown.

    Raises:
        InputError: if it is no name.
    """
    typed = plain(name).strip()
    if not 2 <= len(typed) <= LONGEST_SIGNER or not any(letter.isalpha() for letter in typed):
        raise InputError(f"got the name {name!r:.60}; type the name of the person who answers for the rates")
    return Signature(name=typed, time=datetime.now(UTC), of=of)


def read_rule(text: str) -> RateRule:
    """Read a rule.

    Raises:
        InputError: naming the line that is not understood, twice there, beyond min or max, or missing.
    """
    if len(text.encode()) > LARGEST:
        raise InputError(f"the rule has more than {LARGEST >> 10} KiB; write a line a zone")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for part in _parts(line):
            _take(part, number, found)
    return _rule(found, text)


def _parts(line: str) -> list[str]:
    """The parts of a line between semicolons and before a comment; in quotes, both are letters of a name."""
    parts, is_quoted = [""], False
    for letter in line:
        is_quoted ^= letter == '"'
        if letter == "#" and not is_quoted:
            break
        if letter == ";" and not is_quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _take(part: str, number: int, found: dict[str, str]) -> None:
    key, colon, value = part.rpartition(":")
    key = " ".join(key.split())
    key = key if key.startswith("field ") else key.lower()
    patterns = (ZONE, OF_FIELD, HEADLAND)
    is_known = key in ("product", "min", "max", "no zone", "outside") or any(one.fullmatch(key) for one in patterns)
    if not colon or not is_known:
        raise InputError(
            f"line {number} of the rule, {plain(part)!r:.60}, is not understood; want product, min, max, zone N, "
            'field "NAME" zone N, headland N m, no zone or outside, a colon, and what it is'
        )
    key = "headland " + key.split()[1].rstrip("m") if key.startswith("headland") else key
    alike = "headland" if key.startswith("headland") else key
    if any(other == key or (alike == "headland" and other.startswith("headland")) for other in found):
        raise InputError(f"line {number} of the rule says {alike!r:.60} a second time; leave one out")
    found[key] = value.strip()


def _rule(found: Mapping[str, str], text: str) -> RateRule:
    for needed in ("product", "min", "max"):
        if needed not in found:
            raise InputError(f"the rule has no line {needed!r}; add it ({needed}: ...), it is not guessed")
    product = plain(found["product"]).strip()
    if not 0 < len(product) <= LONGEST_PRODUCT:
        raise InputError(f"the rule's product is {product!r:.60}, want 1 to {LONGEST_PRODUCT} letters")
    rates = {key: _rate(value, key) for key, value in found.items() if key != "product"}
    units = {unit for _, unit in rates.values() if unit}
    if len(units) != 1:
        told = " and ".join(sorted(units)) or "none"
        raise InputError(f"the rule's rates come in {told}; give every rate in one unit: {', '.join(UNITS)}")
    low, high = rates["min"][0], rates["max"][0]
    if low > high:
        raise InputError(f"the rule's min is {low:g} and its max {high:g}; turn them round")
    for key, (rate, _) in rates.items():
        is_limited = key not in ("min", "max") and rate != 0
        if is_limited and not low <= rate <= high:
            raise InputError(f"the rule's {key} has {rate:g}, its min and max are {low:g} and {high:g}; mend one")
    return _typed(product, units.pop(), rates, text)


def _typed(product: str, unit: str, rates: Mapping[str, tuple[float, str]], text: str) -> RateRule:
    zones: dict[int, float] = {}
    of_fields: dict[tuple[str, int], float] = {}
    headland = None
    for key, (rate, _) in rates.items():
        if match := ZONE.fullmatch(key):
            _add(zones, _zone(match["zone"]), rate)
        elif match := OF_FIELD.fullmatch(key):
            _add(of_fields, (match["field"], _zone(match["zone"])), rate)
        elif key.startswith("headland"):
            width = float(key.split()[1])
            if not 0 < width <= WIDEST_HEADLAND_M:
                raise InputError(f"the rule's headland is {width:g} m wide, want up to {WIDEST_HEADLAND_M:g}")
            headland = (width, rate)
    if not zones and not of_fields:
        raise InputError("the rule has no line for any zone; add one a zone (zone 1: 120 kg/ha)")
    return RateRule(
        product=product,
        unit=unit,
        low=rates["min"][0],
        high=rates["max"][0],
        zones=zones,
        of_fields=of_fields,
        headland=headland,
        no_zone=rates["no zone"][0] if "no zone" in rates else None,
        outside=rates["outside"][0] if "outside" in rates else 0.0,
        text=text,
    )


def _add(rates: "dict[Any, float]", key: int | tuple[str, int], rate: float) -> None:
    if key in rates:  # zone 1 and zone 01
        raise InputError(f"the rule gives {key} two rates; leave one out")
    rates[key] = rate


def _zone(text: str) -> int:
    if not 1 <= int(text) <= MOST_ZONES:
        raise InputError(f"the rule names zone {int(text)}, want 1 to {MOST_ZONES}")
    return int(text)


def _rate(text: str, key: str) -> tuple[float, str]:
    """A rate and its unit; of nothing, 0, the unit may be left out."""
    match = RATE.fullmatch(" ".join(text.split()))
    hint = "; write a decimal point, not a comma" if "," in text else ""
    if match is None:
        raise InputError(f"the rule's {key} is {plain(text)!r:.40}, want a number and a unit, as 120 kg/ha{hint}")
    rate, unit = float(match["number"]), match["unit"] or ""
    if unit and unit not in UNITS:
        raise InputError(f"the rule's {key} comes in {unit!r:.20}, want one of {', '.join(UNITS)}")
    if not unit and rate != 0:
        raise InputError(f"the rule's {key} is {rate:g} of no unit, want one of {', '.join(UNITS)}")
    if rate > MOST_RATE:
        raise InputError(f"the rule's {key} is {rate:g}; no machine applies more than {MOST_RATE:g}")
    return rate, UNITS.get(unit, "")
