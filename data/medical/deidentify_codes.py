"""Coded entries without a place for a name: meanings are looked up, and codes of a hospital's own become pseudonyms."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from pydicom.dataset import Dataset

from mainstem.data.medical.deidentify_key import Key

LOCAL = "99LOCAL"
WITHHELD = "meaning withheld"
SNOMED_RT = r"[A-Z0-9]{1,2}-[A-Z0-9]{4,6}"
# How codes of the schemes in common use look (PS3.16 chapter 8), beside those that come with pydicom.
STANDARD = {
    "DCM": r"\d{5,6}",
    "SCT": r"\d{6,18}",
    "SRT": SNOMED_RT,
    "SNM3": SNOMED_RT,
    "99SDM": SNOMED_RT,
    "LN": r"[A-Z]{0,2}\d{1,6}-\d",
    "RADLEX": r"RID\d{1,6}",
    "FMA": r"\d{1,6}",
    "NCIt": r"C\d{1,6}",
    "UMLS": r"C\d{7}",
    "MA": r"MA:\d{7}",
    "I10": r"[A-Z]\d\d(\.\d{1,4})?",
    "UCUM": r"[a-zA-Z0-9/*.^%'-]{1,6}|\{[a-z]{1,8}\}|\[[a-z]{1,5}'[A-Z]\]",
    "IBSI": r"[A-Z0-9]{4}",
    "MDC": r"\d{1,6}",
    "BI": r"[A-Z0-9.]{1,4}",
    "BARI": r"\d{1,4}",
    "NEU": r"\d{1,5}",
}
CODE_KEYWORDS = ("CodeValue", "LongCodeValue")  # a URN goes with all UR


def clean_code(item: Dataset, key: Key, is_name: Callable[[str], bool]) -> None:
    """Clean a coded entry in place; an item of another kind stays as it is.

    Args:
        item: a dataset of its own, which may be changed.
        key: makes the pseudonyms of codes that are of no common scheme.
        is_name: true for text that holds a name known from elsewhere in the object.

    Source: PS3.3 section 8.8, the attributes of a coded entry.
    """
    scheme = str(item.get("CodingSchemeDesignator") or "")
    if scheme and scheme not in STANDARD:
        item.CodingSchemeDesignator = LOCAL
    values = {name: str(item[name].value) for name in CODE_KEYWORDS if item.get(name)}
    is_kept = scheme in STANDARD and all(is_code(scheme, value) and not is_name(value) for value in values.values())
    for name in values if not is_kept else ():
        item[name].value = key.label(values[name])
    if "CodeMeaning" in item:
        given = str(item.CodeMeaning or "")
        value = next(iter(values.values()), "")
        item.CodeMeaning = meaning(scheme, value, "" if is_name(given) else given) if is_kept else WITHHELD


def is_code(scheme: str, value: str) -> bool:
    """True for a code that the standard lists, or that looks like one of its scheme."""
    return (scheme, value) in meanings() or re.fullmatch(STANDARD[scheme], value) is not None


def meaning(scheme: str, value: str, given: str) -> str:
    """The meaning that the standard gives a code; else what was given, if its words are all words of the standard."""
    found = meanings().get((scheme, value))
    if found:
        return found[:64]
    words = re.findall(r"[^\W_]+", given.lower())
    is_safe = given.isascii() and bool(words) and all(word in _words() for word in words)
    return given if is_safe else WITHHELD


@cache
def meanings() -> dict[tuple[str, str], str]:
    """What the standard's codes mean, by scheme and value."""
    from pydicom.sr import _concepts_dict  # of PS3.16, as it comes with pydicom

    concepts: Any = _concepts_dict.concepts
    listed = [
        ((scheme, value), text)
        for scheme, names in concepts.items()
        for codes in names.values()
        for value, (text, _) in codes.items()
        if text.isascii()
    ]
    return dict(sorted(listed, key=lambda entry: -len(entry[1])))  # of several the shortest, which stands last


@cache
def _words() -> frozenset[str]:
    texts = [text for (scheme, _), text in meanings().items() if scheme in STANDARD]
    return frozenset(
        word for text in texts for word in re.findall(r"[^\W_]+", text.lower()) if len(word) < 6 or not word.isdigit()
    )
