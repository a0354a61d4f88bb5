"""Samples that need not fit in memory: an index in arrays, and streams that are read when they are asked for."""

from collections.abc import Callable, Container, ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from mainstem.core.brief import Brief, Form
from mainstem.core.cases import Cases, Columns, blocks_in, names_in
from mainstem.core.split import Rows, Split
from mainstem.core.stream import NO_LICENCE, Sample, Stream
from mainstem.core.told import told_in

Load = Callable[[int], Mapping[str, Stream]]  # the streams of a row of the whole set
Change = Callable[[Mapping[str, Stream]], Mapping[str, Stream]]
Told = TypeVar("Told", Stream, Brief)


class Arrange(Protocol):
    """A change that reads no value."""

    def __call__(self, streams: Mapping[str, Told]) -> Mapping[str, Told]:
        """Return the streams, or what is told of them in short, arranged otherwise."""


@dataclass(frozen=True)
class _Changed:
    """Reads streams, and changes what was read."""

    load: Load
    change: Change

    def __call__(self, row: int) -> Mapping[str, Stream]:
        return self.change(self.load(row))


class LazyStreams(Mapping[str, Stream]):
    """The streams of one sample, read anew whenever they are looked at, and not kept.

    `briefs` tell them in short, where they were read before for that; else None.
    """

    def __init__(self, load: Load, row: int, briefs: Mapping[str, Brief] | None = None) -> None:
        self.load, self.row, self.briefs = load, row, briefs

    def __reduce__(self) -> tuple[type["LazyStreams"], tuple[Load, int]]:
        """Workers read streams, and are not sent what is told of them."""
        return LazyStreams, (self.load, self.row)

    def read(self) -> Mapping[str, Stream]:
        """Return the streams."""
        return self.load(self.row)

    def in_short(self, streams: Mapping[str, Stream]) -> "LazyStreams":
        """Return them told in short by what was read of them."""
        return LazyStreams(self.load, self.row, {name: Brief.of(stream) for name, stream in streams.items()})

    def changed(self, change: Change) -> "LazyStreams":
        """Return them with a change that is made whenever they are read; it has to go to other processes too."""
        return LazyStreams(_Changed(self.load, change), self.row)

    def arranged(self, change: Arrange) -> "LazyStreams":
        """Return them with a change that chooses and orders streams and channels alone: it is made to briefs too."""
        briefs = None if self.briefs is None else change(self.briefs)
        return LazyStreams(_Changed(self.load, change), self.row, briefs)

    def __getitem__(self, name: str) -> Stream:
        return self.read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.read())

    def __len__(self) -> int:
        """Return how many streams there are."""
        return len(self.read())

    def items(self) -> ItemsView[str, Stream]:
        """Return names and streams, read once."""
        return self.read().items()


@dataclass(frozen=True, kw_only=True, eq=False)
class LazySamples(Sequence[Sample]):
    """Samples of which all is known but the streams, which `load` reads when they are looked at.

    None of `core`'s functions on targets, groups and facts reads a stream. Workers read with `load`, which therefore
    has to be a function of a module, or an object that can be sent to a process.

    Attributes:
        known: the samples without their streams.
        load: reads the streams of a place.
        places: of each sample, what `load` knows it by.
    """

    known: Cases
    load: Load
    places: Rows

    @classmethod
    def of(cls, known: Cases, load: Load) -> Self:
        """Return the samples of a whole index, whose places are its rows."""
        return cls(known=known, load=load, places=np.arange(len(known)))

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.known)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "LazySamples": ...

    def __getitem__(self, index: int | slice) -> "Sample | LazySamples":
        """Return a sample, its streams not read, or the samples of a slice."""
        if isinstance(index, slice):
            return self.rows(np.arange(len(self))[index])
        return replace(self.known[index], streams=LazyStreams(self.load, int(self.places[index])))

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))

    def rows(self, index: Rows) -> "LazySamples":
        """Return the chosen samples."""
        return replace(self, known=self.known.rows(index), places=self.places[index])

    def column(self, name: str) -> NDArray[Any]:
        """What is told of each sample under the name of an attribute of Provenance."""
        return self.known.column(name)

    def truth(self) -> NDArray[Any]:
        """Targets (samples, ...), NaN where unknown."""
        return self.known.truth()


def is_lazy(samples: Sequence[Sample]) -> bool:
    """True where streams are read when they are looked at, so that no more samples than a batch should be held."""
    return len(samples) > 0 and isinstance(samples[0].streams, LazyStreams)


def read_now(sample: Sample) -> Sample:
    """Return the sample with its streams in memory."""
    return replace(sample, streams=sample.streams.read()) if isinstance(sample.streams, LazyStreams) else sample


def briefly(sample: Sample) -> Mapping[str, Stream | Brief]:
    """Return the streams, told in short where that is known; of others that are not in memory, read once."""
    if not isinstance(sample.streams, LazyStreams):
        return sample.streams
    return sample.streams.read() if sample.streams.briefs is None else sample.streams.briefs


def forms_in(samples: Sequence[Sample]) -> dict[str, list[Form]]:
    """Return what streams there are, by name, each form once, in the order in which they are met; none is held."""
    found: dict[str, dict[Form, None]] = {}
    if isinstance(samples, Cases):
        return {name: [Form.of(block) for _, block in blocks_in(samples, name)] for name in names_in(samples)}
    for sample in samples:
        for name, stream in briefly(sample).items():
            found.setdefault(name, {})[Form.of(stream)] = None
    return {name: list(found[name]) for name in sorted(found)}


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleSet:
    """Samples of one source with what has to be known of them.

    `flagged` names items with a fault, and why; `test_groups` an official test split, never trained on; `classes` the
    names that targets are indices of, where they are classes. `unsound_split` says why the
    split that the data bring is not used; "" where it is, or they bring none. `refused` names files that could not be
    read beside those that could, and why.
    """

    name: str
    samples: Sequence[Sample]
    flagged: Mapping[str, str]
    attribution: str
    licence: str = NO_LICENCE
    simulated: bool = False
    test_groups: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()
    unsound_split: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)

    def labelled(self) -> Sequence[Sample]:
        """The samples whose target is known, faults included."""
        return self._kept(self._is_labelled())

    def unflagged(self) -> Sequence[Sample]:
        """The samples whose target is known and has no known fault."""
        return self._kept(self._is_labelled() & ~self._told_in("item", self.flagged))

    def split(self) -> Split:
        """How the data split their samples, whether or not these can be used."""
        return Split.official(self.samples, self.test_groups)

    def training(self) -> Sequence[Sample]:
        """The samples that a fit is given, to train and to calibrate on: without a fault, outside the test split."""
        kept = self._is_labelled() & ~self._told_in("item", self.flagged)
        kept[self.split().test] = False
        return self._kept(kept)

    def _is_labelled(self) -> NDArray[np.bool_]:
        """True where any part of a target is known (samples,)."""
        if isinstance(self.samples, Columns):
            truth = self.samples.truth()
            known: NDArray[np.bool_] = ~np.isnan(truth).all(tuple(range(1, truth.ndim)))
            return known
        targets = (sample.target for sample in self.samples)
        return np.array([target is not None and not np.isnan(target).all() for target in targets], bool)

    def _told_in(self, field: str, names: Container[str]) -> NDArray[np.bool_]:
        return np.array([name in names for name in told_in(self.samples, field)], bool)

    def _kept(self, keep: NDArray[np.bool_]) -> Sequence[Sample]:
        if isinstance(self.samples, Columns):
            return self.samples.rows(np.flatnonzero(keep))
        return tuple(self.samples[row] for row in np.flatnonzero(keep).tolist())
