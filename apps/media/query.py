"""What may be asked of an index: words, pictures, filters; and how words and filters are put to SQLite."""

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainstem.apps.media.relevance import Runs
from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.words import Term, read_query

MOST_RESULTS = 1000
MOST_ASKED = 20  # files that show what is wanted, or what is not
KINDS = ("image", "sound", "video", "text")
OPTED, EMBARGO = ("reserved", "unclear", "allowed", "none"), ("held", "free")
THERE = "state IN ('present', 'offline')"  # of files that are found
CHOICES = {"kind": KINDS, "opt_out": OPTED, "embargo": EMBARGO}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What results must be.

    Attributes:
        kind: one of KINDS.
        since, until: ISO dates between which it was taken, both included; what has no date is then not found.
        credit, rights: words that must all stand there.
        opt_out: what its owner says of mining it, one of OPTED.
        embargo: "held": only what is under embargo now; "free": only what is not.
        below: a folder of the archive, from its root or in full.
    """

    kind: str | None = None
    since: str | None = None
    until: str | None = None
    credit: str | None = None
    rights: str | None = None
    opt_out: str | None = None
    embargo: str | None = None
    below: str | None = None

    def given(self) -> dict[str, str]:
        """Those that are set."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def check(self) -> None:
        """Check what can be told to be wrong.

        Raises:
            InputError: naming the filter.
        """
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in (None, *choices):
                raise InputError(f"got --{name.replace('_', '-')} {plain(value)[:40]}, want {', '.join(choices)}")
        for name in ("since", "until"):
            if value := getattr(self, name):
                _check_date(name, value)
        for name in ("credit", "rights"):
            if (value := getattr(self, name)) is not None and not read_query(value):
                raise InputError(f"got --{name} {plain(value)[:40]!r}, which holds no word")

    def conditions(self, root: Path) -> list[tuple[str, str]]:
        """Conditions on the files of an archive in SQL, each with its one value.

        Raises:
            InputError: if the folder that they are to be below lies outside it.
        """
        said = {
            "kind": "kind = ?", "since": "captured >= ?", "until": "captured != '' AND captured <= ?",
            "opt_out": "opt_out = ?", "below": "path GLOB ?", "embargo": "embargo > ?",
        }  # fmt: skip
        said |= dict.fromkeys(("credit", "rights"), "id IN (SELECT rowid FROM words WHERE words MATCH ?)")
        if self.embargo == "free":
            said["embargo"] = "content NOT IN (SELECT content FROM files WHERE embargo > ?)"  # wherever its bytes lie
        return [(said[name], self._value(name, value, root)) for name, value in self.given().items()]

    def _value(self, name: str, value: str, root: Path) -> str:
        if name == "embargo":
            return now()
        if name == "opt_out":
            return "" if value == "none" else value
        if name == "below":
            return below_pattern(value, root)
        if name in ("since", "until"):
            return datetime.date.fromisoformat(value).isoformat()
        if name in ("credit", "rights"):
            return f"{name} : ({match_of(read_query(value), 'AND')})"
        return value


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked.

    Attributes:
        text: words, "phrases", beginnings*, -words; "" for none.
        like, unlike: files that show what is wanted, and what is not.
        level: of the sets of relevance.
        runs: that judge relevance.
        with_irrelevant: show what is judged irrelevant too.
    """

    text: str = ""
    like: Sequence[Path] = ()
    unlike: Sequence[Path] = ()
    filters: Filters = field(default_factory=Filters)
    limit: int = 20
    level: float = 0.9
    runs: Runs = field(default_factory=Runs)
    with_irrelevant: bool = False

    def facts(self) -> dict[str, Any]:
        """What was asked, in plain JSON types."""
        files = {name: [plain(path) for path in getattr(self, name)] for name in ("like", "unlike")}
        return {"query": self.text, **files, "filters": self.filters.given()}


def checked_terms(query: Query) -> list[Term]:
    """Return the terms of a query that can be asked.

    Raises:
        InputError: if nothing is asked, or a filter or a number is none.
    """
    terms = read_query(query.text)
    if query.text.strip() and not terms:
        raise InputError(f"got the query {plain(query.text)[:60]!r}, which holds no word; name what is sought")
    if not (terms or query.like or query.filters.given()):
        raise InputError("got no query; give words, --like FILE, or a filter as --kind video")
    if query.unlike and not query.like:
        raise InputError("got --unlike without --like; name a file that shows what is wanted too")
    if (num := max(len(query.like), len(query.unlike))) > MOST_ASKED:
        raise InputError(f"got {num} files to compare with, want at most {MOST_ASKED}")
    if not 1 <= query.limit <= MOST_RESULTS:
        raise InputError(f"got --limit {query.limit}, want 1 to {MOST_RESULTS}")
    query.filters.check()
    return terms


def wanted(terms: Sequence[Term]) -> list[Term]:
    """Terms that are to be there."""
    return [term for term in terms if not term.is_negated]


def match_of(terms: Sequence[Term], joined: str = "OR") -> str:
    """Terms in the language of FTS5: words are quoted, so that no query is anything but words.

    The very word stands twice beside its other forms, so that bm25 ranks it before them.
    """
    return f" {joined} ".join(_match(term) for term in terms)


def _match(term: Term) -> str:
    asked = f'"{" ".join(term.words)}"{"*" if term.is_prefix else ""}'
    forms = "".join(f' OR "{form}"' for form in term.forms)
    return f"({asked} OR {asked}{forms})" if forms else asked


def below_pattern(folder: str, root: Path) -> str:
    """A pattern of GLOB for paths below a folder of an archive, however it is written.

    Raises:
        InputError: if it is none, or lies outside.
    """
    path = os.path.normpath(os.path.join(root, folder.replace("\0", "")))
    inner = os.path.relpath(path if Path(path).is_relative_to(root) else os.path.realpath(path), root)
    if not folder or inner.split("/")[0] == "..":
        raise InputError(f"got --below {plain(folder)[:200]!r}, want a folder of {plain(root)}")
    escaped = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in inner)
    return "*" if inner == "." else f"{escaped}/*"


def now() -> str:
    """The time, as embargoes' ends are written."""
    return datetime.datetime.now(datetime.UTC).isoformat()


def _check_date(name: str, value: str) -> None:
    try:
        datetime.date.fromisoformat(value)
    except ValueError as error:
        raise InputError(f"got --{name} {plain(value)[:40]}, want a date as 2024-05-31") from error
