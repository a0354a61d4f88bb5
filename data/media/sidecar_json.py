"""JSON beside a file: our own fields, and those of IPTC's ninjs and of Google's exports by their names there."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line, plain
from mainstem.data.json_text import read_json
from mainstem.data.media.embargoes import embargo_in, read_embargo
from mainstem.data.media.opt_outs import DIRECTIVES, Saying, directives_in, plain_words, plus_mining, tdm_reservation
from mainstem.data.media.said import MOST_UNKNOWN, Said, day_of, encodable, kept, kept_keywords

NAMES = {  # our field first; then ninjs 1.6 and 2.2, and Google Takeout
    "title": ("title", "headline"),
    "caption": ("caption", "description", "description_text"),
    "creator": ("creator", "byline", "author", "photographer"),
    "credit": ("credit", "creditline"),
    "rights": ("rights", "copyright", "copyrightnotice", "usageterms"),
    "captured": ("captured", "contentcreated", "date"),
    "transcript": ("transcript",),
}
EMBARGOES = ("embargo", "embargoed", "embargo_until", "embargoDate")
RESERVATIONS = ("tdm:reservation", "tdm-reservation", "tdm_reservation")
POLICIES = ("tdm:policy", "tdm-policy", "tdm_policy")
MININGS = ("plus:DataMining", "dataMining", "data_mining")
NOTES_TO_EDITORS = ("instructions", "ednote")
KEYWORDS = ("keywords", "tags")
OTHERS = ("opt_out", "robots", "photoTakenTime")
KNOWN = frozenset(
    name
    for names in (*NAMES.values(), EMBARGOES, RESERVATIONS, POLICIES, MININGS, NOTES_TO_EDITORS, KEYWORDS, OTHERS)
    for name in names
)
Fields = dict[str, Any]


def read_fields(data: bytes) -> Fields:
    """The object that a JSON sidecar is.

    Raises:
        InputError: if it is none.
    """
    try:
        found = read_json(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON: {plain(one_line(error))}") from error
    if not isinstance(found, dict):
        raise InputError("no JSON object with fields by name")
    return found


def said_by_json(data: bytes, name: str, origin: str) -> Said:
    """What a JSON sidecar says of the file of that name; fields of another type than text are named in the notes.

    Raises:
        InputError: if it is no JSON object.
    """
    fields = read_fields(data)
    words, odd = {}, []
    for field, known in NAMES.items():
        words[field], wrong = _text(fields, known)
        odd += wrong
    words["captured"] = words["captured"] or _taken(fields)
    if words["title"] == name:  # Google's exports name the file there
        words["title"] = None
    spoken = [embargo_in(text) for text in _texts(fields, NOTES_TO_EDITORS)]
    embargoes = [read_embargo(_written(fields[key])) for key in EMBARGOES if _is_said(fields.get(key))]
    return Said(
        origin=origin,
        words=kept(words),
        keywords=kept_keywords(_keywords(fields)),
        embargoes=tuple(embargoes + [found for found in spoken if found]),
        sayings=tuple((state, encodable(words)) for state, words in _sayings(fields)),
        notes=(f"{origin}: {', '.join(odd)} is no text and was not read",) if odd else (),
        unknown=tuple(_unknown(fields, odd, kept(words).get("captured")))[:MOST_UNKNOWN],
    )


def _unknown(fields: Fields, odd: list[str], captured: str | None) -> Iterator[str]:
    """What stands there and was not understood."""
    yield from (f"field {plain(name)[:100]}" for name in fields if name not in KNOWN)
    yield from (f"{name}, which is no text" for name in odd)
    yield from (
        f"{key}, which is no list of words"
        for key in KEYWORDS
        if not isinstance(value := fields.get(key, ""), str | list)
        or (isinstance(value, list) and not all(isinstance(word, str) for word in value))
    )
    if captured is not None and day_of(captured) is None:
        yield f"captured, which is no date as 2024-05-31 or 2024-05-31T18:00+02:00: {plain(captured)[:100]}"


def _text(fields: Fields, known: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """The first of some fields that says something, and those that are no text; of lists of texts the whole."""
    odd: list[str] = []
    for key in known:
        value = fields.get(key)
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = "; ".join(value)
        if isinstance(value, str) and value.strip():
            return value, odd
        if value is not None and not isinstance(value, str):
            odd.append(plain(key))
    return None, odd


def _texts(fields: Fields, known: tuple[str, ...]) -> list[str]:
    return [encodable(value) for key in known if isinstance(value := fields.get(key), str)]


def _keywords(fields: Fields) -> list[str]:
    found: object = next((fields[key] for key in KEYWORDS if key in fields), [])
    if isinstance(found, str):
        return found.replace(";", ",").split(",")
    return [part for part in found if isinstance(part, str)] if isinstance(found, list) else []


def _taken(fields: Fields) -> str | None:
    """When Google says that a picture was taken, a time of Unix as text."""
    found = fields.get("photoTakenTime")
    stamp = found.get("timestamp") if isinstance(found, Mapping) else None
    try:
        return None if stamp is None else datetime.fromtimestamp(int(stamp), UTC).isoformat()
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _is_said(value: object) -> bool:
    return value is not None and value is not False and value != ""


def _written(value: object) -> str:
    return encodable(value) if isinstance(value, str) else json.dumps(value)


def _sayings(fields: Fields) -> Iterator[Saying]:
    if "opt_out" in fields and fields["opt_out"] is not None:
        yield _own(fields["opt_out"])
    reservations = [fields[key] for key in RESERVATIONS if key in fields]
    yield from map(tdm_reservation, reservations)
    is_reserved = any(tdm_reservation(value)[0] == "reserved" for value in reservations)
    for key in POLICIES:
        if _is_said(fields.get(key)):
            yield "reserved" if is_reserved else "unclear", f"tdm:policy: {_written(fields[key])}"
    for text in _texts(fields, MININGS):
        if saying := plus_mining(text):
            yield saying
    yield from directives_in([_written(fields.get("robots", "")).strip('[]"').replace('"', " ")], "robots")
    yield from directives_in(_keywords(fields), "keyword")
    for key in (*NAMES["rights"], *NOTES_TO_EDITORS):
        for text in _texts(fields, (key,)):
            yield from plain_words(text, key)


def _own(value: object) -> Saying:
    """What our own field says: true, false, a state, a directive, or words to be asked about."""
    words = f"opt_out: {_written(value)}"
    if value is True or value == "reserved" or (isinstance(value, str) and value.lower() in DIRECTIVES):
        return "reserved", words
    return ("allowed" if value is False or value == "allowed" else "unclear"), words
