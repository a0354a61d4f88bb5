"""Samples that need not fit in memory: an index in arrays, and streams that are read when they are asked for."""

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Provenance, Sample, Stream

Load = Callable[[int], Mapping[str, Stream]]  # the streams of a row of the whole set
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """What is known of all samples without their streams; each array is (samples,).

    Attributes:
        items: the samples' own names.
        groups: "" where a sample names none; None where none does.
        targets: (samples,) or (samples, parts), NaN where unknown; None where none is known.
        facts: by name; a fact that is "" or NaN is not there.
        parts: of the official split, as a sample's source names them.
        origins: the instant that times count from.
    """

    data: str
    items: NDArray[np.str_]
    groups: NDArray[np.str_] | None = None
    targets: NDArray[Any] | None = None
    facts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    parts: NDArray[np.str_] | None = None
    origins: NDArray[np.str_] | None = None
    licence: str = "unknown"
    attribution: str = ""
    simulated: bool = False

    def __post_init__(self) -> None:
        """Check that all arrays are of the same samples.

        Raises:
            InputError: if one is of more or fewer.
        """
        arrays = {"groups": self.groups, "targets": self.targets, "parts": self.parts, "origins": self.origins}
        for name, values in {**arrays, **self.facts}.items():
            if values is not None and len(values) != len(self.items):
                raise InputError(f"the index has {len(values)} {name} for {len(self.items)} samples; give one a sample")

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.items)

    def source(self, row: int) -> Provenance:
        """Return where a sample comes from."""
        values = {name: values[row].item() for name, values in self.facts.items()}
        return Provenance(
            data=self.data,
            item=str(self.items[row]),
            group=None if self.groups is None else str(self.groups[row]) or None,
            licence=self.licence,
            attribution=self.attribution,
            simulated=self.simulated,
            facts={name: value for name, value in values.items() if value != "" and value == value},
            part="" if self.parts is None else str(self.parts[row]),
        )

    def target(self, row: int) -> float | NDArray[Any] | None:
        """Return a sample's target; None where nothing of it is known."""
        if self.targets is None or np.isnan(self.targets[row]).all():
            return None
        return float(self.targets[row]) if self.targets.ndim == 1 else self.targets[row]


class LazyStreams(Mapping[str, Stream]):
    """The streams of one sample, read anew whenever they are looked at; nothing of them is kept."""

    def __init__(self, load: Load, row: int) -> None:
        self.load, self.row = load, row

    def read(self) -> Mapping[str, Stream]:
        """Return the streams."""
        return self.load(self.row)

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
    """Samples of an index, in the order of `rows`, whose streams `load` reads when they are looked at.

    Targets, groups and facts come from the index: none of `core`'s functions on them reads a stream. Workers read with
    `load`, which therefore has to be a function of a module, or an object that pickle can send.
    """

    index: Index
    load: Load
    rows: Rows | None = None  # None for all

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.index) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Sample: ...

    @overload
    def __getitem__(self, place: slice) -> "LazySamples": ...

    def __getitem__(self, place: int | slice) -> "Sample | LazySamples":
        """Return a sample, its streams not read, or the samples of a slice."""
        if isinstance(place, slice):
            return self.chosen(range(len(self))[place])
        row = range(len(self.index))[place] if self.rows is None else int(self.rows[place])
        index = self.index
        return Sample(
            streams=LazyStreams(self.load, row),
            target=index.target(row),
            source=index.source(row),
            origin="" if index.origins is None else str(index.origins[row]),
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[place] for place in range(len(self)))

    def chosen(self, places: Sequence[int]) -> "LazySamples":
        """Return the samples at places, in their order."""
        wanted = np.asarray(places, np.intp)
        return replace(self, rows=wanted if self.rows is None else self.rows[wanted])


def is_lazy(samples: Sequence[Sample]) -> bool:
    """True where streams are read when they are looked at, so that no more samples than a batch should be held."""
    return len(samples) > 0 and isinstance(samples[0].streams, LazyStreams)


def read_now(sample: Sample) -> Sample:
    """Return the sample with its streams in memory."""
    return replace(sample, streams=sample.streams.read()) if isinstance(sample.streams, LazyStreams) else sample
