"""Whether a file answers a query, by its words or by its picture: a probability, and the set of what is not ruled out.

A pair whose set holds `irrelevant` alone is not shown: so a search may find nothing. Words and pictures are two tasks,
each calibrated by itself, since what is known of the one says nothing of the other.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Classes
from mainstem.core.task import DataRequest, FitConfig, Grouping, Option, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.media.description import BUILT_IN
from mainstem.data.media.embedding import Embedder, Vectors
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.made_pairs import NAME, open_made_pairs
from mainstem.data.media.metadata import read_metadata
from mainstem.data.media.relevance_pairs import Evidence, read_pairs
from mainstem.data.media.searched import searched_texts
from mainstem.data.media.small_pictures import shown_in
from mainstem.data.media.texts import read_text

OPTIONS = (Option(name="embedding", help="What compares pictures: a model that is pulled, or built-in."),)
CONFIG = FitConfig(
    trunk_size="xs", num_folds=4, training=TrainingConfig(epochs=12, batch_size=128, lr_per_step=2e-3)
)  # fmt: skip


def read(evidence: Evidence, request: DataRequest) -> SampleSet:
    """Read the pairs that a user asks for: a CSV of query, path, relevant, or `archive-pairs`."""
    embedder = Embedder(request.option("embedding") or BUILT_IN)
    if request.data == NAME:
        return open_made_pairs(evidence, request.mirror, embedder.pictures, embedder.sha256)
    return read_pairs(Path(request.data), evidence, texts_of, partial(vectors_of, embedder), embedder.sha256)


def texts_of(name: str, path: Path) -> dict[str, str]:
    """What words are searched in of a file, by its path below the archive and where it lies."""
    text = read_text(path).text if kind_of(path) == "text" else ""
    return searched_texts(name, read_metadata(path), text)


def vectors_of(embedder: Embedder, path: Path) -> Vectors:
    """The vectors (pictures, dim) of a still or a video."""
    return np.concatenate([embedder.pictures([one.pixels()]) for one in shown_in(path)])


def scope_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """What compared the pictures: likeness by another model means something else."""
    return {"model": sorted({str(sample.source.facts["model"]) for sample in samples})}


TASK = Task(
    name="media",
    task="relevance",
    version="1",
    target=Classes(),
    config=CONFIG,
    read=partial(read, "words"),
    scope_of=scope_of,
    grouping=Grouping(name="query"),
    known_failures=(
        "the run that ships learned from made queries of 56 transcripts of read English, and was judged on such: its "
        "accuracy and its claims are of made pairs, where relevant is what holds a query's words. What people ask, and "
        "take for an answer, is not in it, and nobody labelled any",
        "it knows words by their letters: no synonym, no other spelling, no other language",
    ),
)
LIKENESS = Task(
    name="media",
    task="likeness",
    version="1",
    target=Classes(),
    config=CONFIG,
    read=partial(read, "likeness"),
    options=OPTIONS,
    scope_of=scope_of,
    grouping=Grouping(name="query"),
    known_failures=(
        "the run that ships learned from edited copies of sixteen pictures, compared by edges and colours, and was "
        "judged on such: its accuracy and its claims are of sixteen independent cases, drawn over and over, and of "
        "being a copy, not of showing the same",
        "turned and mirrored copies are none to it; mainstem media duplicates finds those",
        "pictures that are much alike and no copies, as two of a series, were hardly among what it learned from",
    ),
)
