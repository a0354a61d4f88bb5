"""Until when a file is not to be shown: dates read only where nobody could read another; what is left holds.

Where no offset from UTC is written the place on earth where that moment comes last is taken (UTC-12), so that no
embargo ends too early by a guess. A date alone ends the embargo when that day begins.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

LAST = timezone(timedelta(hours=-12))
ZONES = {"utc": 0, "gmt": 0, "z": 0, "cet": 1, "cest": 2, "eet": 2, "eest": 3}  # hours; others are two zones' names
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = "(?P<month>jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?P<year>(?:19|20)\d\d)[-:/](?P<number>\d\d)[-:/](?P<day>\d\d)(?!\d)",
        r"\b(?P<year>(?:19|20)\d\d)(?P<number>\d\d)(?P<day>\d\d)(?!\d)",  # IIM 4.2, 1.6: CCYYMMDD
        rf"\b(?P<day>\d\d?)(?:st|nd|rd|th)?\.?\s+(?:of\s+)?{MONTH},?\s+(?P<year>(?:19|20)\d\d)\b",
        rf"\b{MONTH}\s+(?P<day>\d\d?)(?:st|nd|rd|th)?,?\s+(?P<year>(?:19|20)\d\d)\b",
        r"\b(?P<day>\d\d?)\.(?P<number>\d\d?)\.(?P<year>(?:19|20)\d\d)\b",  # with points the day stands first
        r"\b(?P<day>1[3-9]|2\d|3[01])/(?P<number>0?\d|1[012])/(?P<year>(?:19|20)\d\d)\b",  # with strokes, who knows
    )
]
TIME = re.compile(
    r"(?<!\d)(?P<hour>[01]?\d|2[0-3])(?:(?P<apart>[:.])(?P<minute>[0-5]\d)(?:\2(?P<second>[0-5]\d)(?:\.\d+)?)?"
    r"\s*(?P<half>[ap]\.?m\b\.?)?|\s*(?P<bare_half>[ap]\.?m\b\.?))"
)
PACKED = re.compile(r"^T?(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?P<second>[0-5]\d)(?=$|[+-])")  # IIM: HHMMSS±HHMM
OFFSET = re.compile(r"(?<![\d-])(?P<sign>[+-])(?P<hours>[01]\d):?(?P<minutes>[0-5]\d)(?!\d)")
NAMED = re.compile(rf"(?<![a-z])({'|'.join(ZONES)})(?![a-z])", re.IGNORECASE)
NONE = re.compile(
    r"\b(no|not|without|never)\s+(any\s+|under\s+|an\s+)*embargo|\bembargo\W+(is\s+)?(lifted|none|over)\b"
)
LONGEST = 500  # letters that are looked at


@dataclass(frozen=True, kw_only=True)
class Embargo:
    """Until when a file is not to be shown.

    Attributes:
        until: aware UTC; None where the words say no date that is certain: then it holds until someone reads them.
        words: as they stand in the file.
    """

    until: datetime | None
    words: str

    def holds(self, now: datetime) -> bool:
        """True while it is not over, and always where no date can be read."""
        return self.until is None or now < self.until


def read_embargo(words: str) -> Embargo:
    """An embargo as a file words it: a date, a time with or without an offset, or a sentence with them."""
    return Embargo(until=_until(" ".join(words.split())) if len(words) <= LONGEST else None, words=words.strip())


def embargo_in(instructions: str) -> Embargo | None:
    """An embargo that instructions to an editor speak of; None where they speak of none, or of its end."""
    lower = instructions.lower()
    if "embargo" not in lower or NONE.search(lower):
        return None
    return read_embargo(instructions)


def strictest(embargoes: tuple[Embargo, ...]) -> Embargo | None:
    """Of several the one that holds longest; one without a date holds longest."""
    return max(embargoes, key=lambda one: one.until or datetime.max.replace(tzinfo=UTC), default=None)


def _until(words: str) -> datetime | None:
    """The one instant that words name; None where they name none, several, or hold digits that are no part of it."""
    matches = [match for pattern in DATES for match in pattern.finditer(words)]
    if len(matches) != 1:
        return None
    date = matches[0]
    rest = (words[: date.start()] + " " + words[date.end() :].lstrip("T")).strip()
    clock, rest = _taken(PACKED, rest) if PACKED.search(rest) else _taken(TIME, rest)
    offset, rest = _taken(OFFSET, rest)
    named = {ZONES[name.lower()] for name in NAMED.findall(rest)}
    if re.search(r"\d", rest) or len(named) > 1 or (offset and named):
        return None
    try:
        zone = _zone(offset) if offset else timezone(timedelta(hours=named.pop())) if named else LAST
        return _instant(date, clock, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _taken(pattern: re.Pattern[str], words: str) -> tuple[re.Match[str] | None, str]:
    """The first match, and the words without it."""
    match = pattern.search(words)
    return match, words if match is None else f"{words[: match.start()]} {words[match.end() :]}".strip()


def _zone(offset: re.Match[str]) -> timezone:
    size = timedelta(hours=int(offset["hours"]), minutes=int(offset["minutes"]))
    return timezone(-size if offset["sign"] == "-" else size)


def _instant(date: re.Match[str], clock: re.Match[str] | None, zone: timezone) -> datetime:
    parts = date.groupdict()
    month = int(parts["number"]) if parts.get("number") else MONTHS.index(parts["month"][:3].lower()) + 1
    day = datetime(int(date["year"]), month, int(date["day"]), tzinfo=zone)
    if clock is None:
        return day
    found = clock.groupdict()
    hour, half = int(found["hour"]), (found.get("half") or found.get("bare_half") or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("an hour of half a day is 1 to 12")
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    return day.replace(hour=hour, minute=int(found["minute"] or 0), second=int(found["second"] or 0))
