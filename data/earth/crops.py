"""Crops and countries as they are named: one spelling of each, and rows that say another than the named one refused."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from mainstem.core.errors import InputError
from mainstem.data.tabular import NUMBER, Table, shown

LONGEST_NAME = 200
CROP_COLUMNS, COUNTRY_COLUMNS, REGION = ("crop", "crop_name"), ("country", "country_code"), "adm_id"
OTHER_WORDS = {"corn": "maize", "canola": "rapeseed", "soybeans": "soybean", "soy": "soybean", "oat": "oats"}
POUNDS_PER_BUSHEL = {  # USDA, Weights, Measures, and Conversion Factors (Agricultural Handbook 697, 1992), table 5
    "maize": 56.0, "wheat": 60.0, "soybean": 60.0, "barley": 48.0, "oats": 32.0, "sorghum": 56.0, "rye": 56.0,
    "triticale": 50.0, "rapeseed": 50.0, "flax": 56.0, "peas": 60.0, "lentils": 60.0,
}  # fmt: skip
POUND_KG, ACRE_HA = 0.45359237, 0.40468564224  # NIST Handbook 44, appendix C
OTHER_CODES = {"GR": "EL", "GB": "UK"}  # ISO 3166-1 and what the EU writes instead
# Eurostat, NUTS 2021 and statistical regions of candidate and EFTA countries
NUTS = frozenset((
    "AL", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "ME", "MK", "MT", "NL", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "TR", "UK",
))  # fmt: skip
CODE = re.compile(r"([A-Z]{2})(-[0-9A-Z-]+|[0-9A-Z]*[0-9][0-9A-Z]*)")  # of a region, after its country's two letters


def crop_name(text: str) -> str:
    """Return a crop's name as scopes and folders spell it: small letters, no blanks around it."""
    return " ".join(text.split()).lower()


def bushel_crop(crop: str) -> str:
    """Return the crop, of those whose bushel is known, that a crop is one of; winter wheat is wheat, corn is maize.

    Raises:
        InputError: if it is none of them.
    """
    found = [name for name in POUNDS_PER_BUSHEL if name in _words(crop)]
    if len(found) != 1:
        raise InputError(
            f"nobody told what a bushel of {shown(crop)} weighs; name one of {', '.join(POUNDS_PER_BUSHEL)} as the "
            "crop, or export the yield as t/ha or lb/ac"
        )
    return found[0]


def bushel_kg(crop: str) -> float:
    """Return what a bushel of a crop weighs; winter wheat is wheat.

    Raises:
        InputError: if it is not known.
    """
    return POUNDS_PER_BUSHEL[bushel_crop(crop)] * POUND_KG


def bushels_per_acre(t_ha: float, crop: str) -> float:
    """Convert t/ha to bu/ac by the crop's own bushel.

    Raises:
        KeyError: if the crop has no bushel weight.
    """
    return t_ha * 1000 * ACRE_HA / (POUNDS_PER_BUSHEL[crop] * POUND_KG)


def country_code(text: str) -> str:
    """Return a country's two letters in the one form of those that have two."""
    code = text.strip().upper()
    return OTHER_CODES.get(code, code)


def checked_crop(told: Any, who: str) -> str:  # noqa: ANN401 - what a file holds
    """Return the crop that a field or a user named, as `crop_name` does; `who` has told it, in words.

    Raises:
        InputError: if it is no name: empty, a number (as the code of a land register), or with letters not seen.
    """
    name = crop_name(told) if isinstance(told, str) else ""
    if not name or not name.isprintable() or len(name) > LONGEST_NAME or re.fullmatch(NUMBER, name):
        raise InputError(f"{who} the crop {repr(told)[:40]}, want a name, as 'maize'; write it out")
    return name


def check_named(table: Table, crop: str, country: str) -> None:
    """Check that no row says another crop or country than the one that the table is read as; what is empty says none.

    Raises:
        InputError: naming row and column of the first that does.
    """
    wanted = country_code(country)
    for column in table.columns:
        if column.casefold() in CROP_COLUMNS:
            advice = f"leave other crops' rows out, or name the file and folder after {crop_name(crop)[:40]!r} rightly"
            _refuse(table, column, lambda said: _is_same_crop(said, crop), crop, advice)
        if column.casefold() in COUNTRY_COLUMNS:
            advice = "write its two letters, or leave other countries' rows out"
            _refuse(table, column, lambda said: country_code(said) == wanted, country, advice)
    if REGION in table.columns:
        _check_codes(table, wanted)


def _refuse(table: Table, column: str, is_right: Callable[[str], bool], wanted: str, advice: str) -> None:
    texts = pd.Series(table.raw(column)).fillna("")
    wrong = [said for said in texts.unique() if said and not is_right(said)]
    for index in np.flatnonzero(texts.isin(wrong))[:1]:
        raise InputError(f"{table.where(index, column)}: got {shown(texts[index])}, want {shown(wanted)}; {advice}")


def _is_same_crop(said: str, crop: str) -> bool:
    """True where one name's words hold all of the other's: winter wheat is wheat, buckwheat is not."""
    first, second = _words(said), _words(crop)
    return bool(first) and (first <= second or second <= first)


def _words(text: str) -> set[str]:
    words = re.findall(r"\w+", crop_name(text).replace("_", " "))
    return {OTHER_WORDS.get(word, word) for word in words}


def _check_codes(table: Table, country: str) -> None:
    """Refuse regions whose codes begin with another country's letters.

    Letters alone can be a province's too: they speak where some regions have the named country's, or where all have one
    other's.
    """
    texts = pd.Series(table.raw(REGION)).fillna("")
    matches = {text: CODE.fullmatch(text) for text in texts.unique()}
    begin = {text: country_code(match[1]) if match else "" for text, match in matches.items()}
    found = set(begin.values())
    if country not in NUTS or not (country in found or len(found) == 1):
        return
    foreign = [text for text, code in begin.items() if code in NUTS and code != country]
    for index in np.flatnonzero(texts.isin(foreign))[:1]:
        text = texts[index]
        raise InputError(
            f"{table.where(index, REGION)}: got {shown(text)}, a region of {begin[text]}, want one of {country}; leave "
            "other countries' rows out"
        )
