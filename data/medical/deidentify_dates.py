"""Dates, times and ages: moved by whole days, so that what lay between two stays; and ages, those of the oldest hidden.

Formats: PS3.5 table 6.2-1 (DA, TM, DT, AS), and DA with points of ACR-NEMA.
"""

import re
from datetime import date, timedelta

DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
TIME = re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d{1,6})?)?)?")
DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")
AGE = re.compile(r"(\d{3})([DWMY])")
OLDEST = 89  # years; 45 CFR 164.514(b)(2)(i)(C): all above are one
DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}


def moved_date(text: str, days: int) -> str:
    """A DA moved by whole days; empty where it is none."""
    found = DATE.fullmatch(text.strip())
    return _moved(found[1], found[2], found[3], days) if found else ""


def moved_date_time(text: str, days: int) -> str:
    """A DT moved by whole days, as precise as it was: of a year or month alone, its first day is moved."""
    found = DATE_TIME.fullmatch(text.strip())
    if not found:
        return ""
    year, month, day, clock, zone = found.groups()
    moved = _moved(year, month or "01", day or "01", days)
    return moved[: 4 + 2 * bool(month) + 2 * bool(day)] + (clock or "") + (zone or "") if moved else ""


def kept_time(text: str) -> str:
    """A TM as it was: a move by whole days changes no time of day; empty where it is none."""
    return text.strip() if TIME.fullmatch(text.strip()) else ""


def capped_age(text: str) -> str:
    """An AS as it was up to 89 years, 090Y above; empty where it is none."""
    found = AGE.fullmatch(text.strip())
    if not found:
        return ""
    years = int(found[1]) * DAYS[found[2]] / DAYS["Y"]
    return "090Y" if years >= OLDEST + 1 else text.strip()


def _moved(year: str, month: str, day: str, days: int) -> str:
    try:
        moved = date(int(year), int(month), int(day)) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"
