"""Makes a dataset anew, element by element, from what the rules keep; nested as deep as it goes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from mainstem.data.medical import deidentify_rules as rules
from mainstem.data.medical.deidentify_codes import clean_code
from mainstem.data.medical.deidentify_dates import capped_age, kept_time, moved_date, moved_date_time
from mainstem.data.medical.deidentify_key import Key
from mainstem.data.medical.deidentify_terms import has_terms, is_term

TIMES = frozenset(("DA", "DT", "TM"))
TEXTS = frozenset(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"))
NUMBERS = frozenset(("AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"))
BULKS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "OB or OW", "US or OW", "US or SS or OW"))
SAFE_TEXT = {
    rules.LABELS: rules.is_anatomical,
    rules.TECHNICAL: rules.is_technical,
    rules.WORDED: has_terms,
}
WORD = re.compile(r"[^\W_]+")
LONG = 6  # digits of a number that may be a record's
MEASURED = (1e-6, 1e5)
SHORTEST = 4  # letters of a name that is looked for in what is kept


@dataclass(frozen=True)
class Cleaner:
    """Cleans the datasets of one object."""

    key: Key
    days: int  # that its dates are moved by
    names: frozenset[str]  # of people, places and records that it gives away, in small letters

    def cleaned(self, old: Dataset) -> Dataset:
        """A dataset of what may be kept of another, which is not changed."""
        new = Dataset()
        for element in elements(old):
            if element.tag.is_private:
                _add_private(element, old, new)
            elif (kept := self._kept(element)) is not None:
                new.add(kept)
        clean_code(new, self.key, self._is_name)
        return new

    def _kept(self, element: DataElement) -> DataElement | None:
        """What stays of an element of the standard; None where nothing does."""
        tag, kind = int(element.tag), element.VR
        action = rules.table().get(tag)
        if kind in TIMES:
            return _element(tag, kind, [] if tag in rules.BIRTH else self._times(kind, _texts(element)))
        if action == rules.REMOVED or rules.has_no_place(element.tag.group, element.tag.element):
            return None
        if kind == "SQ":
            return self._sequence(element, action)
        if kind in BULKS or kind in NUMBERS:
            is_kept = tag in rules.BULK if kind in BULKS else action is None
            return (_element(tag, kind, []) if self._is_record(element) else _copy(element)) if is_kept else None
        values = self._values(tag, kind, _texts(element), action)
        return None if values is None else _element(tag, kind, values)

    def _sequence(self, element: DataElement, action: str | None) -> DataElement | None:
        if action == rules.REPLACED:
            return None
        items = [] if action == rules.EMPTIED else [self.cleaned(item) for item in element.value or ()]
        return DataElement(element.tag, "SQ", Sequence(items))

    def _values(self, tag: int, kind: str, values: list[str], action: str | None) -> list[str] | None:
        """Clean what a file holds as text; None removes it."""
        if action == rules.EMPTIED:
            return []
        if kind == "UI":
            return [self._uid(tag, value) for value in values]
        if kind == "AS":
            return [capped_age(value) for value in values]
        if kind == "CS":
            return [self._code_string(tag, value) for value in values] if action is None else None
        if tag in rules.TIMEZONE:
            return values if all(map(rules.OFFSET.fullmatch, values)) else None
        return [self._text(tag, value) for value in values] if kind in TEXTS else None

    def _times(self, kind: str, values: list[str]) -> list[str]:
        if kind == "TM":
            return [kept_time(value) for value in values]
        moved = moved_date if kind == "DA" else moved_date_time
        return [moved(value, self.days) for value in values]

    def _uid(self, tag: int, uid: str) -> str:
        is_kind = uid in UID_dictionary or (tag in rules.CLASSES and UID(uid).is_valid)
        is_kind |= tag in rules.SCHEMES and uid.startswith(rules.HL7_ROOT) and UID(uid).is_valid
        return uid if is_kind or not uid else self.key.uid(uid)

    def _text(self, tag: int, text: str) -> str:
        """Text where its kind keeps it, else what stands for it; `clean_code` sees to codes."""
        if not text or tag in rules.CODES:
            return text
        if tag in rules.PATIENT:
            return self.key.patient(text)
        is_safe = next((check for tags, check in SAFE_TEXT.items() if tag in tags), None)
        is_kept = is_safe is not None and is_safe(text) and not self._is_name(text)
        return text if is_kept else self.key.label(text)

    def _code_string(self, tag: int, text: str) -> str:
        """A defined term as it is; what is none, or a name, becomes a term that says so."""
        if tag in rules.SEX:
            return text if text in ("M", "F", "O") else ""
        is_kept = is_term(text) and (tag in rules.STRUCTURE or not self._is_name(text))
        return text if is_kept else "REMOVED"

    def _is_record(self, element: DataElement) -> bool:
        """True for a number written as text that is a record's number or the date of birth."""
        texts = _texts(element) if element.VR in ("DS", "IS") else []
        return any(len(text) >= LONG and text in self.names for text in texts)

    def _is_name(self, text: str) -> bool:
        small = text.lower()
        words = set(WORD.findall(small))
        return any(name in words or (not name.isalnum() and name in small) for name in self.names)


def identities(dataset: Dataset) -> frozenset[str]:
    """Names of people, places and records that an object gives away, in small letters, to find them elsewhere in it."""
    found: set[str] = set()
    for element in elements(dataset):
        if element.VR == "SQ":
            for item in element.value or ():
                found |= identities(item)
        elif element.VR == "PN":
            words = (word for text in _texts(element) for word in WORD.findall(text.lower()))
            found.update(word for word in words if not word.isdigit())
        elif int(element.tag) in rules.IDENTITIES:
            found.update(text.lower() for text in _texts(element))
    return frozenset(name for name in found - rules.ANATOMY if len(name) >= SHORTEST)


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


def _add_private(element: DataElement, old: Dataset, new: Dataset) -> None:
    """Keep a private element if its creator and place are listed and it holds numbers of the kind listed."""
    group, block, offset = element.tag.group, element.tag.element >> 8, element.tag.element & 0xFF
    creator = str(old[group, block].value).strip(" \0") if (group, block) in old else ""
    listed, kinds = rules.SAFE_PRIVATE.get(creator, (0, {}))
    if block and group == listed and kinds.get(offset) == element.VR and _are_measured(element):
        new.private_block(group, creator, create=True).add_new(offset, element.VR, element.value)


def _are_measured(element: DataElement) -> bool:
    """True for numbers of a size that is measured; letters that are read as numbers are far larger or smaller."""
    try:
        numbers = [abs(float(text)) for text in _texts(element)]
    except ValueError:
        return False
    return all(number == 0 or MEASURED[0] <= number <= MEASURED[1] for number in numbers)


def _texts(element: DataElement) -> list[str]:
    """Values as text without padding."""
    value = element.value
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [] if value is None else [str(each).strip(" \0") for each in values]


def _element(tag: int, kind: str, values: list[str]) -> DataElement:
    return DataElement(tag, kind, values[0] if len(values) == 1 else values or None)


def _copy(element: DataElement) -> DataElement | None:
    """Another element of the same value; None where a number is none."""
    try:
        return DataElement(element.tag, element.VR, element.value, is_undefined_length=element.is_undefined_length)
    except (ValueError, TypeError, ArithmeticError):
        return None
