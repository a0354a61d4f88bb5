"""Makes a dataset anew, element by element, from what the rules keep; nested as deep as it goes."""

from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from mainstem.data.medical import deidentify_rules as rules
from mainstem.data.medical.deidentify_codes import clean_code
from mainstem.data.medical.deidentify_dates import capped_age, kept_time, moved_date, moved_date_time
from mainstem.data.medical.deidentify_key import Key
from mainstem.data.medical.deidentify_names import LONG, Identities, elements, texts
from mainstem.data.medical.deidentify_terms import has_terms, is_technical, is_term

TIMES = frozenset(("DA", "DT", "TM"))
TEXTS = frozenset(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"))
NUMBERS = frozenset(("AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"))
BULKS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "OB or OW", "US or OW", "US or SS or OW"))
SAFE_TEXT = {
    rules.LABELS: rules.is_anatomical,
    rules.TECHNICAL: is_technical,
    rules.WORDED: has_terms,
}
MEASURED = (1e-6, 1e5)
FOUR = 4  # digits of a measured number that counts as a record's; fewer are equal by chance


@dataclass(frozen=True)
class Cleaner:
    """Cleans the datasets of one object."""

    key: Key
    days: int  # that its dates are moved by
    known: Identities  # that it gives away in one place, and that nothing kept may hold

    def cleaned(self, old: Dataset, parent: int = 0) -> Dataset:
        """A dataset of what may be kept of another, an item of the sequence `parent`; that one is not changed."""
        new = Dataset()
        for element in elements(old):
            if element.tag.is_private:
                _add_private(element, old, new)
            elif (kept := self._kept(element, parent)) is not None:
                new.add(kept)
        clean_code(new, self.key, self.known.are_in)
        return new

    def _kept(self, element: DataElement, parent: int) -> DataElement | None:
        """What stays of an element of the standard; None where nothing does."""
        tag, kind = int(element.tag), element.VR
        action = rules.table().get(tag)
        if kind in TIMES:
            return _element(tag, kind, [] if tag in rules.BIRTH else self._times(kind, texts(element)))
        if action == rules.REMOVED or rules.has_no_place(element.tag.group, element.tag.element):
            return None
        if kind == "SQ":
            return self._sequence(element, action)
        if kind in BULKS or rules.bulk_parents(tag):
            return _copy(element) if parent in rules.bulk_parents(tag) else None
        if kind in NUMBERS:
            number = self._unlike_record(element) if self._is_record(element) else _copy(element)
            return number if action is None else None
        values = self._values(tag, kind, texts(element), action)
        return None if values is None else _element(tag, kind, values)

    def _sequence(self, element: DataElement, action: str | None) -> DataElement | None:
        if action == rules.REPLACED:
            return None
        items = (
            [] if action == rules.EMPTIED else [self.cleaned(item, int(element.tag)) for item in element.value or ()]
        )
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
        is_kept = is_safe is not None and is_safe(text) and not self.known.are_in(text)
        return text if is_kept or rules.is_enumerated(tag, text) else self.key.label(text)

    def _code_string(self, tag: int, text: str) -> str:
        """A defined term as it is; what is none, or a name, becomes a term that says so."""
        if tag in rules.SEX:
            return text if text in ("M", "F", "O") else ""
        is_kept = rules.is_enumerated(tag, text) or (is_term(text) and not self.known.are_in(text))
        return text if is_kept else "REMOVED"

    def _unlike_record(self, element: DataElement) -> DataElement:
        """Another number where somebody numbers, which may have to be there (type 1); none where somebody measures."""
        is_numbered = int(element.tag) in rules.NUMBERING
        values = [self.key.number(value) for value in texts(element)] if is_numbered else []
        return _element(int(element.tag), element.VR, values)

    def _is_record(self, element: DataElement) -> bool:
        """True for a number written as text that is a record's number or the date of birth."""
        values, tag = texts(element) if element.VR in ("DS", "IS") else [], int(element.tag)
        if tag in rules.COUNTS:
            return False
        least = 1 if tag in rules.NUMBERING else FOUR if len(values) == 1 else LONG
        return any(self.known.has_number(value, least) for value in values)


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
        numbers = [abs(float(text)) for text in texts(element)]
    except ValueError:
        return False
    return all(number == 0 or MEASURED[0] <= number <= MEASURED[1] for number in numbers)


def _element(tag: int, kind: str, values: list[str]) -> DataElement:
    return DataElement(tag, kind, values[0] if len(values) == 1 else values or None)


def _copy(element: DataElement) -> DataElement | None:
    """Another element of the same value; None where a number is none."""
    try:
        return DataElement(element.tag, element.VR, element.value, is_undefined_length=element.is_undefined_length)
    except (ValueError, TypeError, ArithmeticError):
        return None
