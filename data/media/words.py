"""Words of a query and of what is searched, folded alike, and how much of a query a text answers.

Words are runs of letters and digits, without case and diacritics. An index holds texts as they are folded here, since
SQLite's own folding (`unicode61 remove_diacritics 2`) leaves letters of two diacritics as they are. Languages that put
no blanks between words are searched by whole runs, or by their beginnings (`東京*`).

A word finds its other forms too: those words of the archive that SQLite's `porter` (Porter 1980, An algorithm for
suffix stripping) reduces to the same stem. It knows English, and what it puts together of another language stands
after what holds the very word; "quoted" words and beginnings are taken as they are written.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from math import log, log1p

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"[^\W_]+")
ASKED = re.compile(r'(-?)"([^"]*)"?|(-?)([^\s"]+)')
MOST_TERMS, MOST_LETTERS = 32, 1000  # of a query
STRENGTH = {  # of a field: what stands in a title is what a file is about, a name may be anything
    "title": 1.0, "keywords": 0.9, "caption": 0.8, "creator": 0.8, "credit": 0.6, "rights": 0.4, "transcript": 0.6,
    "text": 0.5, "name": 0.6,
}  # fmt: skip
SHORTEST_FORM = 3  # letters; porter reduces no shorter word, and "la" is no form of "las"
FEATURES = ("weighed_share", "share", "run", "rarest", "strength", "density", "spread", "terms")
K1, B = 1.2, 0.75  # of BM25 (Robertson & Zaragoza 2009, The Probabilistic Relevance Framework, section 3.2)


@dataclass(frozen=True)
class Term:
    """What is asked for: words that stand one after the other; of the last its beginning, where `is_prefix`.

    Attributes:
        forms: other forms of the one word, any of which will do.
    """

    words: tuple[str, ...]
    is_prefix: bool = False
    is_negated: bool = False
    is_quoted: bool = False
    forms: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it as a person would write it."""
        return " ".join(self.words) + ("*" if self.is_prefix else "")


def folded(text: str) -> str:
    """A text without case and diacritics."""
    plain = unicodedata.normalize("NFD", text)
    return "".join(letter.lower() for letter in plain if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """The words of a text, folded, in order."""
    return WORD.findall(folded(text))


def read_query(text: str) -> list[Term]:
    """Terms of a query: words, "phrases", beginnings*, and -words that may not be there."""
    found = []
    for match in ASKED.finditer(text[:MOST_LETTERS]):
        minus, phrase, other, plain = match.groups()
        words = tuple(words_of(phrase if phrase is not None else plain))
        if words:
            is_prefix = plain is not None and plain.endswith("*")
            found.append(Term(words, is_prefix, bool(minus or other), phrase is not None))
    return list(dict.fromkeys(found))[:MOST_TERMS]


def with_forms(query: Sequence[Term], vocabulary: Callable[[str], Iterable[str]]) -> list[Term]:
    """Terms with the other forms of their words; of two that are forms of one another the first.

    Args:
        query: terms as they are read.
        vocabulary: the words of the archive that begin so.
    """
    is_inflected = [_may_inflect(term) for term in query]
    own = stems([term.words[0] for term, may in zip(query, is_inflected, strict=True) if may])
    beginnings = {stem: stem[:-1] for stem in own.values()}  # porter changes no more than the last letter of a stem
    held = {word for begin in set(beginnings.values()) for word in vocabulary(begin) if _is_english(word)}
    by_stem: dict[str, list[str]] = {}
    for word, stem in stems(sorted(held)).items():
        by_stem.setdefault(stem, []).append(word)
    found: dict[str, Term] = {}
    for term, may in zip(query, is_inflected, strict=True):
        stem = own[term.words[0]] if may else ""
        others = tuple(word for word in by_stem.get(stem, ()) if word != term.words[0])
        found.setdefault(stem or repr(term), replace(term, forms=others))
    return list(found.values())


def _may_inflect(term: Term) -> bool:
    is_plain = not (term.is_prefix or term.is_negated or term.is_quoted)
    return is_plain and len(term.words) == 1 and _is_english(term.words[0])


def _is_english(word: str) -> bool:
    return len(word) >= SHORTEST_FORM and word.isascii() and word.isalpha()


def stems(words: Sequence[str]) -> dict[str, str]:
    """The stems of English words, by SQLite's own `porter`."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE VIRTUAL TABLE held USING fts5(word, tokenize='porter unicode61')")
        db.execute("CREATE VIRTUAL TABLE found USING fts5vocab(held, 'instance')")
        db.executemany("INSERT INTO held (rowid, word) VALUES (?, ?)", enumerate(words))
        return {words[row]: stem for stem, row in db.execute("SELECT term, doc FROM found")}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a text answers a query.

    Attributes:
        found: by field, the terms of the query that stand there, in the form in which they do.
        features: of FEATURES (features,), each 0 to 1 or so.
        inflected: share of the terms that stand there in other forms alone.
    """

    found: Mapping[str, tuple[str, ...]]
    inflected: float
    features: NDArray[np.float64]


def answer(query: Sequence[Term], fields: Mapping[str, str], count: Callable[[Term], int], num: int) -> Answer:
    """Say how much of a query a text answers.

    Args:
        query: its terms.
        fields: texts by field.
        count: of how many texts of the archive a term is in.
        num: texts in the archive.
    """
    terms = [term for term in query if not term.is_negated]
    told = {name: words_of(text) for name, text in fields.items() if text}
    places = {name: {term: places_of(term, words) for term in terms} for name, words in told.items()}
    found = {
        name: tuple(_form(term, told[name], held[term]) for term in terms if held[term])
        for name, held in places.items()
    }
    found = {name: names for name, names in found.items() if names}
    texts = {text for names in found.values() for text in names}
    here = [term for term in terms if any(held[term] for held in places.values())]
    rarity = {term: log1p((num - count(term) + 0.5) / (count(term) + 0.5)) for term in terms}
    whole = sum(rarity.values()) or 1.0
    longest = log1p((num + 0.5) / 0.5)
    features = (
        sum(rarity[term] for term in here) / whole,
        len(here) / max(len(terms), 1),
        max((_run(terms, words) for words in told.values()), default=0) / max(len(terms), 1),
        max((rarity[term] for term in here), default=0.0) / longest,
        max((STRENGTH.get(name, 0.5) for name in found), default=0.0),
        max((_density(held, rarity, len(told[name])) for name, held in places.items()), default=0.0) / whole,
        min((_spread(here, held) for held in places.values()), default=1.0),
        min(log(max(len(terms), 1)) / log(MOST_TERMS), 1.0),
    )
    inflected = sum(term.text() not in texts for term in here) / max(len(terms), 1)
    return Answer(found=found, features=np.array(features), inflected=inflected)


def _form(term: Term, words: Sequence[str], places: Sequence[int]) -> str:
    """What stands at the places of a term: the very word where it is at any, else its first form."""
    if not term.forms or any(words[place] == term.words[0] for place in places):
        return term.text()
    return words[places[0]]


def places_of(term: Term, words: Sequence[str]) -> list[int]:
    """Where a term begins."""
    first, last = term.words[0], term.words[-1]
    if len(term.words) == 1:
        forms = {last, *term.forms}
        return [
            place for place, word in enumerate(words) if word in forms or (term.is_prefix and word.startswith(last))
        ]
    length = len(term.words)
    starts = (place for place, word in enumerate(words) if word == first)
    return [place for place in starts if tuple(words[place : place + length]) == term.words]


def _run(terms: Sequence[Term], words: Sequence[str]) -> int:
    """How many terms of the query, one after the other, stand so in the text."""
    sought = [{word, *term.forms} for term in terms for word in term.words]
    firsts: dict[str, int] = {}
    for begin, forms in enumerate(sought):
        firsts |= {form: begin for form in forms if form not in firsts}
    best = 0
    for place, word in enumerate(words):
        if word in firsts:
            pairs = zip(words[place : place + len(sought)], sought[firsts[word] :], strict=False)
            best = max(best, sum(1 for _ in takewhile(lambda pair: pair[0] in pair[1], pairs)))
    return min(best, len(terms))


def _density(held: Mapping[Term, list[int]], rarity: Mapping[Term, float], length: int) -> float:
    """BM25 of one text of a usual length, without the archive's mean length: its terms' rarity, saturated."""
    usual = K1 * (1 - B + B * min(length / 50, 10.0))
    return sum(rarity[term] * len(places) / (len(places) + usual) for term, places in held.items())


def _spread(here: Sequence[Term], held: Mapping[Term, list[int]]) -> float:
    """How far apart the found terms lie, 0 side by side to 1 fifty words or more, or in different fields."""
    if len(here) < 2 or any(not held[term] for term in here):
        return 0.0 if len(here) == 1 else 1.0
    anchor = min(here, key=lambda term: len(held[term]))
    spans = [max(min(abs(place - start) for place in held[term]) for term in here) for start in held[anchor][:100]]
    return min(max(min(spans) - len(here) + 1, 0) / 50, 1.0)
