"""What an object gives away of who somebody is, and whether a text or number that would be kept holds some of it."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from mainstem.data.medical import deidentify_rules as rules
from mainstem.data.medical.deidentify_dates import DATE, DATE_TIME
from mainstem.data.medical.deidentify_terms import known_words

WORD = re.compile(r"[^\W_]+")
PART = re.compile(r"[^\W\d_]+|\d+")
RECORD = re.compile(r"[^\W\d_]{0,4}[\d\W_]+")  # digits and what divides them, after letters of a kind of number
SHORTEST = 2  # letters of a word of a name: one names nobody
INSIDE = 4  # letters of a name that is looked for inside other words; PRIMARY holds Mary, but is a term
LONG = 6  # digits of a number that may be a record's where its attribute does not say so
MAX_DIGITS = 32
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "ß": "ss"})


@dataclass
class Identities:
    """Names, numbers and days of people, places and records, each as other attributes may write it."""

    names: set[str] = field(default_factory=set)  # in small letters
    records: set[str] = field(default_factory=set)  # digits alone, without leading zeros
    days: set[tuple[int, int, int]] = field(default_factory=set)  # year, month, day

    def are_in(self, text: str) -> bool:
        """True for text that holds a word of a name, a number or a day, also joined to others and in another order."""
        small = text.lower()
        words = WORD.findall(small)
        parts = {*words, *PART.findall(small)}
        if parts & self.names or {part.lstrip("0") for part in parts if len(part) >= SHORTEST} & self.records:
            return True
        phrases = (name for name in self.names if not name.isalnum())
        return any(name in small for name in phrases) or self._are_joined(words) or self._are_days(small)

    def has_number(self, text: str, least: int) -> bool:
        """True for a number of so many digits that is a record's, however it is written."""
        digits = _digits_of_number(text)
        return len(digits) >= least and digits in self.records

    def are_bytes(self, data: bytes) -> bool:
        """True where bytes hold a name or number of at least four signs, of one or two bytes each."""
        small = data.lower()
        wanted = (each for each in self.names | self.records if len(each) >= INSIDE)
        return any(each.encode(coding) in small for each in wanted for coding in ("utf-8", "utf-16-le", "utf-16-be"))

    def _are_joined(self, words: list[str]) -> bool:
        """True where words that are no terms, put together, hold a longer name, or two names on end."""
        text = "".join(word for word in words if word not in known_words())
        spans = [
            (start.start(), start.start() + len(name))
            for name in self.names
            if name in text
            for start in re.finditer(f"(?={re.escape(name)})", text)
        ]
        starts = {start for start, _ in spans}
        return any(end - start >= INSIDE or end in starts for start, end in spans)

    def _are_days(self, text: str) -> bool:
        numbers = [int(digits) for digits in re.findall(r"\d+", text) if len(digits) <= 4]
        threes = {tuple(sorted(numbers[i : i + 3])) for i in range(len(numbers) - 2)}
        return any(
            tuple(sorted((written, month, day))) in threes
            for year, month, day in self.days
            for written in (year, year % 100)
        )


def identities(dataset: Dataset) -> Identities:
    """What an object gives away at any depth, to find it elsewhere in it."""
    found = Identities()
    _gather(dataset, found)
    return found


def _gather(dataset: Dataset, found: Identities) -> None:
    for element in elements(dataset):
        if element.VR == "SQ":
            for item in element.value or ():
                _gather(item, found)
        elif element.VR == "PN":
            words = [word for text in texts(element) for word in WORD.findall(text.lower()) if not word.isdigit()]
            found.names.update(form for word in words for form in _forms(word) if len(form) >= SHORTEST)
        elif element.VR in ("DA", "DT"):
            _gather_days(element, found)
        elif int(element.tag) in rules.RECORDS | rules.PLACES:
            _gather_records(element, found)


def _gather_days(element: DataElement, found: Identities) -> None:
    for text in texts(element):
        day = DATE.fullmatch(text) or DATE_TIME.fullmatch(text)
        if day is None or not (day[2] and day[3]):
            continue
        found.days.add((int(day[1]), int(day[2]), int(day[3])))
        if int(element.tag) in rules.BIRTH:
            y, m, d = day[1], day[2], day[3]
            found.names.add(y)
            found.records.update(
                each.lstrip("0") for each in (y + m + d, d + m + y, m + d + y, d + m + y[2:], y[2:] + m + d)
            )


def _gather_records(element: DataElement, found: Identities) -> None:
    is_record = int(element.tag) in rules.RECORDS
    for text in texts(element):
        if len(text) >= (SHORTEST if is_record else INSIDE):
            found.names.update({text.lower(), "".join(WORD.findall(text.lower()))} - {""})
        digits = re.sub(r"\D", "", text) if RECORD.fullmatch(text) else ""
        if len(digits) >= (1 if is_record else LONG):
            found.records.add(digits.lstrip("0"))
    found.records.discard("")


def _forms(word: str) -> set[str]:
    """A word as it is, without accents, and with umlauts as two letters."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", word) if not unicodedata.combining(sign))
    return {word, plain, unicodedata.normalize("NFC", word).translate(UMLAUTS)}


def _digits_of_number(text: str) -> str:
    """The digits of a whole number, as 4711, +04711, 4711.0 or 4.711E3 have them; empty for others."""
    try:
        number = Decimal(text.strip())
    except ArithmeticError:
        return ""
    is_whole = number.is_finite() and number.adjusted() < MAX_DIGITS and number == number.to_integral_value()
    return str(abs(int(number))) if is_whole else ""


def elements(dataset: Dataset) -> Iterator[DataElement]:
    """The elements of a dataset that can be read; what cannot is never kept."""
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except RecursionError:
            raise
        except Exception:  # noqa: S112 - pydicom converts when asked, and fails in many ways on bad bytes
            continue
        if isinstance(element, DataElement):
            yield element


def texts(element: DataElement) -> list[str]:
    """Values as text without padding."""
    value = element.value
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [] if value is None else [str(each).strip(" \0") for each in values]
