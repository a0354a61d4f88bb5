"""Pairs of a query and a file, and whether the one answers the other: a user's own CSV, or made of what can be had.

A pair has one scalar stream: `words`, how the file's texts answer words, or `likeness`, how like its picture is to the
one that is asked with. In how many files a word is, and what is usual between pictures, is counted over the files of
the same archive.
"""

import csv
import os
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.core.samples import SampleSet
from mainstem.core.stream import NO_LICENCE, Channel, Provenance, Sample, Stream
from mainstem.data.media.bounds import check_file
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.sidecars import is_sidecar
from mainstem.data.media.words import FEATURES, Answer, Term, answer, read_query, with_forms, words_of

CLASSES = ("irrelevant", "relevant")
LIKENESS = ("cosine", "departure")
YES_OR_NO = {"1": 1.0, "yes": 1.0, "true": 1.0, "relevant": 1.0, "0": 0.0, "no": 0.0, "false": 0.0, "irrelevant": 0.0}
COLUMNS = ("query", "path", "relevant")
MOST_BYTES, MOST_PAIRS = 64 << 20, 200_000
NO_MODEL = "words alone"  # the fact of a pair that no picture is compared in
BACKGROUND = 1024  # pictures of an archive that tell what is usual
Vectors = NDArray[np.float32]
Evidence = Literal["words", "likeness"]
Texts = Callable[[str, Path], Mapping[str, str]]  # of a file's path below its archive, and the file
Embed = Callable[[Path], Vectors]  # the vectors (pictures, dim) of a file


def stream_of(name: Evidence, values: NDArray[np.float64]) -> dict[str, Stream]:
    """The one stream of a pair."""
    channels = tuple(Channel(name=channel, unit="1") for channel in (FEATURES if name == "words" else LIKENESS))
    return {name: Stream(kind="scalar", values=np.asarray(values, np.float64), channels=channels)}


def likeness_of(cosine: float, background: Vectors) -> NDArray[np.float64]:
    """How like a picture is (LIKENESS,): its cosine, and how far that departs from what is usual for this query.

    Args:
        cosine: of query and picture.
        background: cosines of the query and pictures of the archive, as they come.
    """
    middle = float(np.median(background)) if len(background) else cosine
    spread = 1.4826 * float(np.median(np.abs(background - middle))) if len(background) else 0.0  # of a normal's sigma
    departure = (cosine - middle) / max(spread, 0.02)
    return np.array([cosine, np.clip(departure, -50.0, 50.0) / 10])


@dataclass(frozen=True)
class CountedTexts:
    """Texts of files by field, and what is counted over them."""

    texts: Mapping[str, Mapping[str, str]]

    @cached_property
    def joined(self) -> list[str]:
        """The words of each file, in one line."""
        return [f" {' '.join(words_of(' '.join(fields.values())))} " for fields in self.texts.values()]

    def count(self, term: Term) -> int:
        """Of how many files a term is in the texts."""
        end = "" if term.is_prefix else " "
        sought = [f" {' '.join(term.words)}{end}", *(f" {form} " for form in term.forms)]
        return sum(any(one in text for one in sought) for text in self.joined)

    @cached_property
    def vocabulary(self) -> list[str]:
        """Its words, in the order of letters."""
        return sorted({word for text in self.joined for word in text.split()})

    def beginning(self, letters: str) -> list[str]:
        """Its words that begin so."""
        start = bisect_left(self.vocabulary, letters)
        return list(takewhile(lambda word: word.startswith(letters), islice(self.vocabulary, start, None)))

    def answers(self, query: str) -> dict[str, Answer]:
        """How each file that holds any of a query's words answers it."""
        terms = with_forms(read_query(query), self.beginning)
        counts = {term: self.count(term) for term in terms}
        told = {path: answer(terms, fields, counts.__getitem__, len(self.texts)) for path, fields in self.texts.items()}
        return {path: one for path, one in told.items() if one.found}


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """A query, a file, and whether the file answers it; `group` holds pairs that are held out together."""

    query: str
    path: str
    streams: Mapping[str, Stream]
    is_relevant: float
    group: str


def samples_of(pairs: Iterable[Pair], model: str, source: Provenance) -> list[Sample]:
    """Pairs as samples; `model` is the hash of what compared their pictures."""
    return [
        Sample(
            streams=one.streams, target=one.is_relevant,
            source=Provenance(
                data=source.data, item=f"{one.query[:60]} | {one.path}", group=one.group, licence=source.licence,
                attribution=source.attribution, facts={"model": model if "likeness" in one.streams else NO_MODEL},
            ),
        )
        for one in pairs
    ]  # fmt: skip


def read_pairs(path: Path, evidence: Evidence, texts_of: Texts, embed: Embed, model: str) -> SampleSet:
    """Read a CSV of query, path and relevant (yes or no).

    Args:
        path: of the CSV; files are named from its folder, which is the archive: counts and backgrounds are of all that
            it holds, as a search's are. A query that names a file there asks by that file's picture.
        evidence: "words" reads queries of words, "likeness" those of pictures; the others are named as set aside.
        texts_of: the texts of a file, by field.
        embed: the vectors of a file's pictures.
        model: the hash of what embeds.

    Raises:
        InputError: naming the line that cannot be read.
    """
    rows, folder = _rows(path), path.parent
    named = {row["path"]: _inside(folder, row["path"]) for row in rows}
    paths = {name: found for name, found in _files_in(folder).items() if found != path} | named
    by_query: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_query.setdefault(row["query"], []).append(row)
    told: Callable[[str], Mapping[str, NDArray[np.float64]]]
    if evidence == "words":
        archive = CountedTexts(dict(_texts(paths, named, texts_of)))
        told = lambda query: {name: one.features for name, one in archive.answers(query).items()}  # noqa: E731
    else:
        told = _Pictures(paths, folder, embed)
    found, aside = [], {}
    for query, asked in by_query.items():
        if _is_file(folder, query) != (evidence == "likeness"):
            aside[plain(query)[:60]] = f"set aside: it does not ask by {evidence}"
            continue
        features = told(query)
        for row in asked:
            if row["path"] not in features:
                aside[f"{query[:60]} | {row['path']}"] = (
                    "set aside: nothing of the query is in it, so it is never shown"
                )
                continue
            streams, target = stream_of(evidence, features[row["path"]]), YES_OR_NO[row["relevant"].strip().lower()]
            found.append(Pair(query=query, path=row["path"], streams=streams, is_relevant=target, group=query))
    source = Provenance(data=path.stem, item="pairs", licence=NO_LICENCE)
    return SampleSet(
        name=path.stem, samples=samples_of(found, model, source), flagged={}, attribution="", classes=CLASSES,
        refused=aside,
    )  # fmt: skip


def _files_in(folder: Path) -> dict[str, Path]:
    """Files of an archive by their path below its folder, as an index takes them."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink() and not is_sidecar(path):
                found[path.relative_to(folder).as_posix()] = path
    return found


def _texts(
    paths: Mapping[str, Path], named: Container[str], texts_of: Texts
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the texts of files; what cannot be read is none of the archive, unless a pair names it.

    Raises:
        InputError: if a file that a pair names cannot be read.
    """
    for name, path in paths.items():
        try:
            if name in named or kind_of(path):
                yield name, texts_of(name, path)
        except InputError:
            if name in named:
                raise


def _is_file(folder: Path, query: str) -> bool:
    return len(query) < 255 and "\0" not in query and (folder / query).is_file()


def _rows(path: Path) -> list[dict[str, str]]:
    check_file(path, MOST_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{plain(path.name)} has no column {missing[0]}; want {', '.join(COLUMNS)}")
        rows = []
        for number, row in enumerate(reader, 2):
            if any(not row[name] for name in COLUMNS) or row["relevant"].strip().lower() not in YES_OR_NO:
                raise InputError(f"{plain(path.name)} line {number}: want a query, a path, and yes or no; mend it")
            rows.append({name: row[name] for name in COLUMNS})
    if not rows or len(rows) > MOST_PAIRS:
        raise InputError(f"{plain(path.name)} holds {len(rows)} pairs, want 1 to {MOST_PAIRS}")
    return rows


def _inside(folder: Path, name: str) -> Path:
    """A file of the archive, which lies in the CSV's folder.

    Raises:
        InputError: if it lies elsewhere.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"got the path {plain(name)[:100]}, want one below the CSV's own folder; put the CSV there")
    return folder / name


class _Pictures:
    """The pictures of the files of an archive, each embedded once."""

    def __init__(self, paths: Mapping[str, Path], folder: Path, embed: Embed) -> None:
        self.folder, self.embed = folder, embed
        self.held = {name: vectors for name, path in paths.items() if (vectors := self._vectors(path)) is not None}
        self.shown = np.concatenate(list(self.held.values()) or [np.empty((0, 1), np.float32)])[:BACKGROUND]

    def __call__(self, query: str) -> dict[str, NDArray[np.float64]]:
        """How like each file that shows anything is to the one that is asked with."""
        asked = self.embed(self.folder / query)
        every = {name: float((vectors @ asked.T).max()) for name, vectors in self.held.items()}
        usual = self.shown @ asked.T
        return {name: likeness_of(cosine, usual.max(1)) for name, cosine in every.items()}

    def _vectors(self, path: Path) -> Vectors | None:
        try:
            return self.embed(path)
        except InputError:
            return None
