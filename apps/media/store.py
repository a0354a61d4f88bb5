"""Vectors of pictures, and the nearest of them: exactly where they are few, by their codes where many.

Vectors live in the catalogue (SQLite), as float16, in the same transactions as the files that they are of. A code of
each, two numbers in four bits, is made from them: in a new file, which the catalogue then names, so that a kill leaves
the old one. A query is compared to every code, or to those that a filter keeps: looking into a part of them alone, as
inverted lists do, loses neighbours where vectors lie scattered. The first by their codes are compared again by their
vectors. What was added since is searched exactly beside them; what was removed since is known by its number, which is
never given again, and not shown.

Source of the codes and their comparison: Andre, Kermarrec, Le Scouarnec 2015, Cache locality is not enough:
high-performance nearest neighbor search with product quantization fast scan, section 4, as FAISS has it.
"""

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.database import ADVICE, damaged, intact
from mainstem.apps.media.embedding import Vectors, model_of
from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.files import sync_file, sync_folder
from mainstem.core.plain import one_line
from mainstem.core.progress import Progress, silent

if TYPE_CHECKING:
    from faiss import Index

EXACT = 50_000  # vectors up to which all are compared: 77 MB and some 10 ms at 384 dimensions
TRAINED_ON = 50_000  # vectors
STALE = 0.1  # share of vectors that are new or gone since, beyond which the codes are made again
CLOSELY, BEHIND = 2000, 8  # candidates that are compared again exactly: at least, and for each one that is wanted
NUM_VALUES = 16  # of four bits
FEW = 2000  # vectors that a filter keeps, up to which all are compared exactly
CHUNK = 20_000  # vectors read at once
Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The file of codes that a catalogue names: of how many vectors, the last of which has this number."""

    file: str
    model: str
    num: int
    last: int


def codes_of(catalogue: Catalogue) -> Codes | None:
    """The codes of the model that the catalogue's vectors are of; None where there are none."""
    told, model = catalogue.told("approximate"), model_of(catalogue)
    with intact(catalogue.home):
        found = Codes(**json.loads(told)) if told else None
        if found is not None and Path(found.file).name != found.file:
            raise ValueError("its codes lie elsewhere")
    if found is None or model is None or found.model != model.sha256 or not (catalogue.home / found.file).is_file():
        return None
    return found


class VectorStore:
    """Searches the vectors of a catalogue; what it holds in memory is renewed when the catalogue changed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.version = -1
        self.held: tuple[Ids, Vectors] = np.empty(0, np.int64), np.empty((0, 0), np.float32)
        self.codes: Codes | None = None
        self.index: Index | None = None
        self.background: Vectors | None = None

    def nearest(self, query: Vectors, num: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        """Return numbers and cosines of the nearest pictures to a vector (dim,) of length 1, the nearest first.

        Args:
            query: of the catalogue's model.
            num: how many at most.
            allowed: numbers of those that may be found; None: all.
        """
        self._renew()
        if allowed is not None and len(allowed) <= FEW:
            return _best(allowed, self.vectors(allowed) @ query, num) if len(allowed) else _NONE
        ids, vectors = self.held
        scores = vectors @ query if len(ids) else np.empty(0, np.float32)
        may = None
        if allowed is not None:
            may = _marked(allowed, max(self.codes.last if self.codes else 0, int(ids[-1]) if len(ids) else 0))
            kept = may[ids]
            ids, scores = ids[kept], scores[kept]
        if self.index is not None:
            coded, more = self._coded(query, max(CLOSELY, BEHIND * num), may)
            ids, scores = np.concatenate([ids, coded]), np.concatenate([scores, more])
        return _best(ids, scores, num)

    def vectors(self, ids: Ids) -> Vectors:
        """Return the vectors (ids, dim) of pictures that are there; zeros of others."""
        model = model_of(self.catalogue)
        found = np.zeros((len(ids), model.dim if model else 0), np.float32)
        places = {number: row for row, number in enumerate(ids.tolist())}
        for start in range(0, len(ids), 500):
            asked = ids[start : start + 500].tolist()
            marks = ", ".join("?" * len(asked))
            rows = self.catalogue.db.execute(f"SELECT frame, vector FROM vectors WHERE frame IN ({marks})", asked)  # noqa: S608
            with intact(self.catalogue.home):
                for frame, vector in rows:
                    found[places[frame]] = np.frombuffer(vector, np.float16).reshape(found.shape[1])
        return found

    def num(self) -> int:
        """Return how many pictures there are."""
        return int(self.catalogue.db.execute("SELECT count(*) FROM vectors").fetchone()[0])

    def sample(self, num: int) -> Vectors:
        """Return the vectors (up to num, dim) of pictures all over the archive, the same while it stays as it is."""
        self._renew()
        if self.background is None:
            every = max(self.num() // num, 1)
            ids = self.catalogue.db.execute("SELECT frame FROM vectors WHERE frame % ? = 0 LIMIT ?", (every, num))
            self.background = self.vectors(np.array([row[0] for row in ids], np.int64))
        return self.background

    def _coded(self, query: Vectors, num: int, may: NDArray[np.bool_] | None) -> tuple[Ids, Vectors]:
        """The nearest by their codes with their exact cosines; of more where most of them are gone."""
        assert self.index is not None
        asked = query[None].astype(np.float32)
        kept = None if may is None else faiss().IDSelectorBitmap(np.packbits(may, bitorder="little"))
        chosen = faiss().SearchParametersIVF(sel=kept)
        while True:
            found = self.index.search(asked, num, params=chosen)[1][0]
            ids = found[found >= 0].astype(np.int64)
            vectors = self.vectors(ids)
            there = np.abs(vectors).sum(1) > 0
            if len(ids) < num or there.mean() > 0.5:
                return ids[there], vectors[there] @ query
            num *= 4

    def _renew(self) -> None:
        """Hold in memory all vectors, or those that have no code."""
        version = self.catalogue.version()
        if version == self.version:
            return
        codes = codes_of(self.catalogue)
        if codes != self.codes:
            self.index = None if codes is None else open_codes(self.catalogue.home / codes.file)
            self.codes = codes
        self.held = read_vectors(self.catalogue, after=codes.last if codes else 0)
        self.version, self.background = version, None


_NONE: tuple[Ids, Vectors] = np.empty(0, np.int64), np.empty(0, np.float32)


def _best(ids: Ids, scores: Vectors, num: int) -> tuple[Ids, Vectors]:
    order = np.argsort(-scores, kind="stable")[:num]
    return ids[order], scores[order]


def _marked(allowed: Ids, last: int) -> NDArray[np.bool_]:
    """True (last + 1,) at the numbers that may be found."""
    may = np.zeros(last + 1, bool)
    may[allowed[allowed <= last]] = True
    return may


def read_vectors(catalogue: Catalogue, after: int = 0, most: int | None = None) -> tuple[Ids, Vectors]:
    """Numbers and vectors (n, dim) after a number, in their order."""
    limit = "" if most is None else f" LIMIT {most}"
    model = model_of(catalogue)
    rows = catalogue.db.execute(f"SELECT frame, vector FROM vectors WHERE frame > ? ORDER BY frame{limit}", (after,))  # noqa: S608
    found = rows.fetchall()
    ids = np.array([row[0] for row in found], np.int64)
    with intact(catalogue.home):
        vectors = np.frombuffer(b"".join(row[1] for row in found), np.float16)
        return ids, vectors.reshape(len(found), model.dim if model else 0).astype(np.float32)


def is_due(catalogue: Catalogue) -> bool:
    """True where codes would serve, and there are none, or too much of them is stale."""
    num = int(catalogue.db.execute("SELECT count(*) FROM vectors").fetchone()[0])
    if num <= EXACT:
        return False
    codes = codes_of(catalogue)
    if codes is None:
        return True
    added = int(catalogue.db.execute("SELECT count(*) FROM vectors WHERE frame > ?", (codes.last,)).fetchone()[0])
    return added + max(codes.num - (num - added), 0) > STALE * num


def build_codes(catalogue: Catalogue, progress: Progress = silent) -> Codes:
    """Make the codes of all vectors, and have the catalogue name them."""
    model = model_of(catalogue)
    assert model is not None
    num = int(catalogue.db.execute("SELECT count(*) FROM vectors").fetchone()[0])
    index = _trained(catalogue, model.dim, num)
    last = done = 0
    while True:
        ids, vectors = read_vectors(catalogue, last, CHUNK)
        if not len(ids):
            break
        index.add_with_ids(vectors, ids)
        last, done = int(ids[-1]), done + len(ids)
        progress(f"vector {done} of {num}", min(done / num, 1.0))
    found = Codes(file=f"codes-{secrets.token_hex(8)}.faiss", model=model.sha256, num=done, last=last)
    try:
        faiss().write_index(index, str(catalogue.home / found.file))
    except RuntimeError as error:  # FAISS's own errors are that
        raise InputError(f"the index {catalogue.home} {ADVICE['SQLITE_IOERR']}") from error
    sync_file(catalogue.home / found.file)
    sync_folder(catalogue.home)
    with catalogue.writing():
        catalogue.tell("approximate", json.dumps(asdict(found)))
    sweep_codes(catalogue)
    return found


def _trained(catalogue: Catalogue, dim: int, num: int) -> "Index":
    """An empty index that has learned from a sample what its codes stand for."""
    library = faiss()
    index: Index = library.index_factory(dim, f"IVF1,PQ{dim // 2}x4fs", library.METRIC_INNER_PRODUCT)
    every = max(num // TRAINED_ON, 1)
    rows = catalogue.db.execute("SELECT vector FROM vectors WHERE frame % ? = 0 LIMIT ?", (every, TRAINED_ON))
    with intact(catalogue.home):
        sample = np.frombuffer(b"".join(row[0] for row in rows), np.float16).reshape(-1, dim).astype(np.float32)
    index.train(np.resize(sample, (max(len(sample), NUM_VALUES), dim)))  # it wants as many as there are values
    return index


def open_codes(path: Path) -> "Index":
    """Open a file of codes, all of which are held in memory: 105 bytes a vector of 384 numbers."""
    try:
        index: Index = faiss().read_index(str(path))
    except RuntimeError as error:  # FAISS's own errors are that
        raise damaged(path.parent, one_line(error)) from error
    return index


def sweep_codes(catalogue: Catalogue) -> None:
    """Delete files of codes that the catalogue does not name: older ones, and what a kill left."""
    kept = codes_of(catalogue)
    for path in catalogue.home.glob("codes-*.faiss"):
        if kept is None or path.name != kept.file:
            path.unlink(missing_ok=True)


def faiss() -> Any:  # noqa: ANN401 - a library without types
    """The library, with as many threads as this process may use.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import faiss as library
    except ImportError as error:
        raise MissingExtraError("faiss, which searches more than 50,000 pictures,", "media") from error
    if "OMP_NUM_THREADS" in os.environ:
        library.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"].split(",")[0] or 1))
    return library


def frames_of(catalogue: Catalogue, contents: Sequence[int]) -> Ids:
    """Numbers of the pictures of contents."""
    found: list[int] = []
    for start in range(0, len(contents), 500):
        asked = list(contents[start : start + 500])
        marks = ", ".join("?" * len(asked))
        found += [row[0] for row in catalogue.db.execute(f"SELECT id FROM frames WHERE content IN ({marks})", asked)]  # noqa: S608
    return np.array(found, np.int64)
