"""`mainstem media search FOLDER QUERY`: what answers words, pictures and filters, why, and whether that is relevant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.copies import Copy, CopyFinder, lacking
from mainstem.apps.media.embedding import Model, model_of
from mainstem.apps.media.likeness import Alike, Sought, asked_vectors, find_alike
from mainstem.apps.media.query import THERE, Query, below_pattern, checked_terms, match_of, wanted
from mainstem.apps.media.relevance import Judged, Runs, judge
from mainstem.apps.media.results import Results
from mainstem.apps.media.store import VectorStore
from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.searched import FIELDS
from mainstem.data.media.words import Answer, Term, answer, with_forms

if TYPE_CHECKING:
    from mainstem.data.media.embedding import Embedder
    from mainstem.data.media.relevance_pairs import Evidence

CANDIDATES = 200  # of words, and of pictures, that are looked at closely
INFLECTED = 0.25  # of likelihood, that a file stands behind others where all words have other forms there; by taste
WEIGHTS = "10, 6, 8, 5, 3, 1, 4, 2, 3"  # of FIELDS in the first ranking, by bm25


@dataclass(kw_only=True, eq=False)
class Candidate:
    """A content that may answer: at which file, how its words and its pictures do, and what is judged of either.

    A copy of what is asked with is that, and nothing is judged of it.
    """

    file: int
    content: int
    words: Answer | None = None
    alike: Alike | None = None
    judged: list[Judged] = field(default_factory=list)
    copy: Copy | None = None

    @property
    def is_shown(self) -> bool:
        """True where any evidence leaves open that it is relevant."""
        return not self.judged or any(one.is_shown for one in self.judged)

    def likely(self) -> float:
        """The greatest probability of relevance."""
        return max((one.probability or 0.0 for one in self.judged), default=0.0)

    def rank(self) -> tuple[float, float]:
        """How likely it is relevant, the less the more of the words is there in other forms alone; how like it is."""
        inflected = self.words.inflected if self.words else 0.0
        told = float(self.words.features[5]) if self.words else 0.0
        return self.likely() - INFLECTED * inflected, told + (float(self.alike.features[0]) if self.alike else 0.0)


class MediaSearch:
    """Searches one folder's index; opened once, it may be asked many times."""

    def __init__(self, folder: Path) -> None:
        """Open the index for reading alone.

        Raises:
            InputError: if the folder has none.
        """
        self.catalogue = Catalogue(folder, is_read_only=True)
        self.store = VectorStore(self.catalogue)
        self.copies = CopyFinder(self.catalogue)
        self.embedder: Embedder | None = None

    def close(self) -> None:
        """Close it."""
        self.catalogue.close()

    def search(self, query: Query) -> dict[str, Any]:
        """Return what answers, the likeliest relevant first, with the reasons; nothing where nothing is relevant.

        Raises:
            InputError: if nothing is asked, a filter is none, or a file that is to be compared cannot be read.
        """
        terms, model = with_forms(checked_terms(query), self._beginning), model_of(self.catalogue)
        allowed = self._allowed(query, terms)
        first = None if allowed is None else {content: file for file, content in sorted(allowed.items(), reverse=True)}
        found = self._by_words(terms, allowed) if wanted(terms) else {}
        self._add_alike(query, model, first, found)
        self._add_copies(query, first, found)
        if first is not None and not wanted(terms) and not query.like:
            found = {content: Candidate(file=file, content=content) for content, file in sorted(first.items())}
        ranked = list(found.values())
        told = self._judge(query, [one for one in ranked if one.copy is None], model)
        ranked.sort(key=lambda one: (one.copy is not None and 1 + one.copy.is_same, one.rank()), reverse=True)
        shown = [one for one in ranked if query.with_irrelevant or one.is_shown]
        rows = Results(self.catalogue, query.like, model, wanted(terms))
        return {
            "folder": plain(self.catalogue.root), **query.facts(), "nothing_found": not shown, "num_found": len(shown),
            "num_irrelevant": sum(not one.is_shown for one in ranked),
            "results": [rows.of(one) for one in shown[: query.limit]], "relevance": told,
            "searched": rows.searched(), "picture_content": rows.picture_content(),
            "copies": lacking(self.catalogue) if query.like else "",
        }  # fmt: skip

    def _allowed(self, query: Query, terms: Sequence[Term]) -> dict[int, int] | None:
        """Contents by file, of files that pass the filters themselves; None where all do."""
        conditions = query.filters.conditions(self.catalogue.root)
        self._check_below(query.filters.below)
        if banned := [term for term in terms if term.is_negated]:
            conditions.append(("id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)", match_of(banned)))
        if not conditions:
            return None
        asked = " AND ".join([*(condition for condition, _ in conditions), THERE])
        values = [value for _, value in conditions]
        rows = self.catalogue.db.execute(f"SELECT id, content FROM files WHERE {asked}", values)  # noqa: S608
        return {int(file): int(content) for file, content in rows}

    def _check_below(self, folder: str | None) -> None:
        """Refuse a folder below which nothing was indexed, rather than answer that nothing was found."""
        if folder is None:
            return
        asked = (below_pattern(folder, self.catalogue.root),)
        if not self.catalogue.db.execute("SELECT 1 FROM files WHERE path GLOB ? LIMIT 1", asked).fetchone():
            raise InputError(
                f"got --below {plain(folder)[:200]!r}, below which nothing is indexed; name a folder of it"
            )

    def _by_words(self, terms: Sequence[Term], allowed: Mapping[int, int] | None) -> dict[int, Candidate]:
        """Candidates by content whose words answer, the first by bm25."""
        names = ", ".join(f"w.{name}" for name in FIELDS)
        rows = self.catalogue.db.execute(
            f"SELECT w.rowid AS file, f.content AS content, {names} FROM words w JOIN files f ON f.id = w.rowid "  # noqa: S608
            f"WHERE words MATCH ? AND f.{THERE} ORDER BY bm25(words, {WEIGHTS})",
            (match_of(wanted(terms)),),
        )
        num = int(self.catalogue.db.execute(f"SELECT count(*) FROM files WHERE {THERE}").fetchone()[0])  # noqa: S608
        counts = {term: self._count(term) for term in terms}
        found: dict[int, Candidate] = {}
        for row in rows:
            content = int(row["content"])
            if content in found or (allowed is not None and int(row["file"]) not in allowed):
                continue
            told = answer(terms, {name: row[name] for name in FIELDS}, counts.__getitem__, num)
            found[content] = Candidate(file=int(row["file"]), content=content, words=told)
            if len(found) == CANDIDATES:
                break
        return found

    def _beginning(self, letters: str) -> list[str]:
        """The archive's words that begin so."""
        asked = "SELECT term FROM vocabulary WHERE term >= ? AND term < ?"
        return [str(row[0]) for row in self.catalogue.db.execute(asked, (letters, f"{letters}\U0010ffff"))]

    def _count(self, term: Term) -> int:
        asked = (match_of([term]),)
        return int(self.catalogue.db.execute("SELECT count(*) FROM words WHERE words MATCH ?", asked).fetchone()[0])

    def _add_alike(
        self, query: Query, model: Model | None, allowed: Mapping[int, int] | None, found: dict[int, Candidate]
    ) -> None:
        """Add candidates whose pictures are like those that are asked with, or like the words."""
        by_words = bool(model and model.is_aligned and query.text.strip())
        is_shown = any(kind_of(path) != "sound" for path in query.like)
        if model is None or not (is_shown or by_words):
            return
        for content, alike in find_alike(self.store, self._sought(query, model), CANDIDATES, allowed).items():
            if content in found:
                found[content].alike = alike
            elif (file := self._file_of(content, allowed)) is not None:
                found[content] = Candidate(file=file, content=content, alike=alike)

    def _add_copies(self, query: Query, allowed: Mapping[int, int] | None, found: dict[int, Candidate]) -> None:
        """Add copies of what is asked with, and mark those that are found; none of what is not wanted."""
        near = [content for content, one in found.items() if one.alike is not None]
        copies = self.copies.find(query.like, near) if query.like else {}
        unlike = self.copies.find(query.unlike, near) if copies and query.unlike else {}
        for content in copies.keys() - unlike.keys():
            if content in found:
                found[content].copy = copies[content]
            elif (allowed is None or content in allowed) and (file := self._file_of(content, allowed)) is not None:
                found[content] = Candidate(file=file, content=content, copy=copies[content])

    def _sought(self, query: Query, model: Model) -> Sought:
        """Vectors of what is asked for: pictures, and words where the model knows them."""
        from mainstem.data.media.embedding import Embedder

        if self.embedder is None or self.embedder.sha256 != model.sha256:
            self.embedder = Embedder(model.name)
        like, places = asked_vectors(query.like, self.embedder)
        if model.is_aligned and query.text.strip():
            like = np.concatenate([like, self.embedder.words(query.text)[None]])
            places = np.append(places, -1)
        return Sought(like=like, places=places, unlike=asked_vectors(query.unlike, self.embedder)[0])

    def _file_of(self, content: int, allowed: Mapping[int, int] | None) -> int | None:
        if allowed is not None:
            return allowed[content]
        asked = f"SELECT min(id) FROM files WHERE content = ? AND {THERE}"  # noqa: S608
        found: int | None = self.catalogue.db.execute(asked, (content,)).fetchone()[0]
        return found

    def _judge(self, query: Query, found: Sequence[Candidate], model: Model | None) -> list[dict[str, Any]]:
        """Have each candidate judged by its words and by its pictures; return what is said of the runs."""
        told, asked = [], (query.runs, query.level)
        name, weights = f"{query.text} {' '.join(map(str, query.like))}", model.sha256 if model else ""
        by_words = [one for one in found if one.words is not None]
        alike = [one for one in found if one.alike is not None]
        evidence: tuple[tuple[Evidence, list[Candidate]], ...] = (("words", by_words), ("likeness", alike))
        for by, chosen in evidence:
            if chosen:
                told.append(self._judge_by(by, chosen, weights, name, asked))
        return told

    def _judge_by(
        self, by: "Evidence", chosen: Sequence[Candidate], weights: str, name: str, asked: tuple[Runs, float]
    ) -> dict[str, Any]:
        answers = [one.words if by == "words" else one.alike for one in chosen]
        judged, told = judge(by, [one.features for one in answers if one is not None], weights, name, asked)
        for one, said in zip(chosen, judged, strict=True):
            one.judged.append(said)
        return told
