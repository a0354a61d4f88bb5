"""Which model tells what pictures show, and the vectors of those that have none yet.

SigLIP 2 where its weights are pulled: pictures and words in one space. Else DINOv2: pictures alone. Else the project's
own description of edges and colours, which finds the same picture again and knows nothing of what it shows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.database import connect, damaged, intact
from mainstem.apps.media.tables import FILE
from mainstem.core.files import home
from mainstem.core.plain import one_line
from mainstem.core.progress import Progress
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.data.media.description import BUILT_IN, VERSION

if TYPE_CHECKING:
    from mainstem.data.media.embedding import Embedder

BATCH = 64  # pictures at once
CHUNK = 16_384  # pictures whose index is held at once
COMMIT = 512  # pictures whose vectors are committed together
FEWEST_FOR_WORKERS = 512
Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Model:
    """What embeds pictures.

    Attributes:
        name: of `models list`, a path, or BUILT_IN.
        sha256: of its weights; of its version where it has none.
        is_aligned: words are embedded into the same space.
        stamp: what tells the weights unchanged without reading them.
    """

    name: str
    sha256: str
    dim: int
    is_aligned: bool
    stamp: str

    def words(self) -> str:
        """Say what it can tell and what not."""
        if self.name == BUILT_IN:
            return (
                "what pictures show is not searched by words, only what is said of them: for that, mainstem models "
                "pull siglip2-base, then index again"
            )
        if not self.is_aligned:
            return (
                f"what pictures show is not searched by words, of which {self.name} knows none: for that, mainstem "
                "models pull siglip2-base, then index again"
            )
        return (
            f"picture content is searched by the words of {self.name}; how well is not measured here: no labelled "
            "pairs of pictures and words are at hand"
        )


def model_of(catalogue: Catalogue) -> Model | None:
    """The model whose vectors a catalogue holds; None where it holds none."""
    told = catalogue.told("model")
    if not told:
        return None
    with intact(catalogue.home):
        found = Model(**json.loads(told))
        if [type(value) for value in vars(found).values()] != [str, str, int, bool, str]:
            raise ValueError("its model is none")
        return found


def settle_model(catalogue: Catalogue, asked: str | None) -> Model:
    """Return the model to embed with, and forget the vectors of another.

    Args:
        catalogue: in which the choice is kept.
        asked: a name, a path, BUILT_IN; None: what was asked for last, or else the best that is pulled.
    """
    choice = asked or catalogue.told("model asked")
    stamp, known = _stamp(choice), model_of(catalogue)
    if known is not None and known.stamp == stamp:
        return known
    from mainstem.data.media.embedding import best_pulled

    model = _described(choice or best_pulled(), stamp)
    with catalogue.writing() as db:
        if known is None or known.sha256 != model.sha256:
            db.execute("DELETE FROM vectors")
            catalogue.tell("approximate", "")
        catalogue.tell("model", json.dumps(asdict(model)))
        catalogue.tell("model asked", choice)
    return model


def _stamp(choice: str) -> str:
    """Names, sizes and times of all staged weights, and of those that are asked for by path."""
    places = [home() / "models", *([Path(choice)] if choice and Path(choice).exists() else [])]
    told = [
        (str(path), (found := path.stat()).st_size, found.st_mtime_ns)
        for place in places
        for path in sorted(place.rglob("*") if place.is_dir() else [place] if place.is_file() else [])
        if path.is_file()
    ]
    return hashlib.sha256(repr((VERSION, choice, told)).encode()).hexdigest()


def _described(name: str, stamp: str) -> Model:
    from mainstem.data.media.embedding import Embedder

    found = Embedder(name)
    return Model(name=name, sha256=found.sha256, dim=found.dim, is_aligned=found.is_aligned, stamp=stamp)


@dataclass(frozen=True)
class _Pictures:
    """Reads the small pictures of a catalogue, in whatever process it is sent to."""

    path: str
    side: int | None
    frames: tuple[int, ...]

    def __call__(self, row: int) -> Mapping[str, Stream]:
        from mainstem.data.media.embedding import sample_of
        from mainstem.data.media.small_pictures import decoded

        with closing(connect(Path(self.path), is_read_only=True)) as db:
            found = db.execute("SELECT picture FROM frames WHERE id = ?", (self.frames[row],)).fetchone()
        try:
            pixels = decoded(found[0])
        except Exception as error:  # a decoder of damaged bytes raises anything
            raise damaged(Path(self.path).parent, one_line(error)) from error
        return sample_of(pixels, self.side, str(self.frames[row])).streams


def embed_pending(catalogue: Catalogue, model: Model, workers: int, progress: Progress) -> int:
    """Embed every picture that has no vector yet, a batch a transaction; return how many."""
    rows = catalogue.db.execute(
        "SELECT id FROM frames WHERE picture IS NOT NULL AND id NOT IN (SELECT frame FROM vectors) ORDER BY id"
    )
    pending = [int(row[0]) for row in rows]
    if not pending:
        return 0
    from mainstem.data.media.embedding import Embedder

    done, embedder = 0, Embedder(model.name)
    chunks = (pending[start : start + CHUNK] for start in range(0, len(pending), CHUNK))
    for ids, vectors in chain.from_iterable(_embedded(catalogue, embedder, chunk, workers) for chunk in chunks):
        with catalogue.writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO vectors SELECT ?, ? WHERE EXISTS (SELECT 1 FROM frames WHERE id = ?)",
                [
                    (frame, vector.astype(np.float16).tobytes(), frame)
                    for frame, vector in zip(ids, vectors, strict=True)
                ],
            )
        done += len(ids)
        progress(f"picture {done} of {len(pending)}", done / len(pending))
    return done


def _embedded(
    catalogue: Catalogue, embedder: "Embedder", pending: Sequence[int], workers: int
) -> Iterator[tuple[list[int], Vectors]]:
    """Yield numbers and vectors of pictures, read and cut by the core's loader."""
    import torch

    from mainstem.core.loader import cut_batches
    from mainstem.core.samples import LazyStreams, SampleSet

    load = _Pictures(str(catalogue.home / FILE), embedder.side, tuple(pending))
    known = [
        Sample(streams=LazyStreams(load, row), target=None, source=Provenance(data="archive", item=str(frame)))
        for row, frame in enumerate(pending)
    ]
    source = SampleSet(name="archive", samples=known, flagged={}, attribution="")
    rows = torch.split(torch.arange(len(pending)), BATCH)
    used = workers if len(pending) >= FEWEST_FOR_WORKERS else 0
    held: list[tuple[list[int], Vectors]] = []
    for found, patches in cut_batches(embedder.tokenizer, source.samples, rows, used):
        held.append(([pending[row] for row in found.tolist()], embedder.embedded(patches)))
        if len(held) * BATCH >= COMMIT:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(held: Sequence[tuple[list[int], Vectors]]) -> tuple[list[int], Vectors]:
    return [frame for ids, _ in held for frame in ids], np.concatenate([vectors for _, vectors in held])
