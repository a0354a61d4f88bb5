"""Many cases at once, as arrays: a tile's pixels, a table's rows; never an object each.

`Cases` stands for a sequence of Samples wherever the product asks something of all of them: their streams as `Block`s
(`blocks_in`), targets, groups and facts as columns. A single Stream is a block of one case, so that what reads blocks
reads lists of Samples by the same lines.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block, Index, parts_of
from mainstem.core.errors import InputError
from mainstem.core.stream import NUM_DIMS, Provenance, Sample, Stream

Column = NDArray[Any]  # (cases,)


@runtime_checkable
class Columns(Protocol):
    """Samples of which an index is held as arrays: what is asked of all of them makes no object each."""

    def rows(self, index: Index) -> Sequence[Sample]:
        """Return the chosen samples."""

    def column(self, name: str) -> NDArray[Any]:
        """What is told of each sample under the name of an attribute of Provenance."""

    def truth(self) -> NDArray[Any]:
        """Targets (samples, ...), NaN where unknown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cases(Sequence[Sample]):
    """Samples whose streams have one shape a name, held as arrays.

    Attributes:
        num: how many.
        streams: blocks by name.
        source: where all come from, as far as they share it.
        told: columns that overrule it, by name of its attribute, as "item" and "group".
        facts: columns of facts by name, beside those of `source`; None where a case has none.
        targets: (cases, ...), NaN where one is unknown; None where all are.
        origin: of all, or (cases,).

    Raises:
        InputError: if a block or column is of another number of cases.
    """

    num: int
    streams: Mapping[str, Block]
    source: Provenance
    told: Mapping[str, Column] = field(default_factory=dict)
    facts: Mapping[str, Column] = field(default_factory=dict)
    targets: NDArray[Any] | None = None
    origin: str | Column = ""

    def __post_init__(self) -> None:
        held: dict[str, Any] = {**self.streams, **self.told, **self.facts}
        for name, column in held.items():
            if len(column) != self.num:
                raise InputError(f"got {len(column)} of {name} for {self.num} cases, want one each")

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Cases":
        """Hold samples as arrays.

        Raises:
            InputError: if streams of one name differ in shape, channels, geometry or kind.
        """
        names = sorted({name for sample in samples for name in sample.streams})
        sources = [vars(sample.source) for sample in samples]
        facts = sorted({name for sample in samples for name in sample.source.facts})
        known = [sample.target for sample in samples]
        nothing = next((np.full(np.shape(target), np.nan) for target in known if target is not None), None)
        told = {name: [source[name] for source in sources] for name in sources[0] if name != "facts"}
        return cls(
            num=len(samples),
            streams={name: _joined(name, [sample.streams.get(name) for sample in samples]) for name in names},
            source=replace(samples[0].source, facts={}),
            told={name: _column(values) for name, values in told.items()},
            facts={name: _column([sample.source.facts.get(name) for sample in samples]) for name in facts},
            targets=None if nothing is None else np.array([nothing if each is None else each for each in known]),
            origin=_column([sample.origin for sample in samples]),
        )

    def __len__(self) -> int:
        return self.num

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "Cases": ...

    def __getitem__(self, index: int | slice) -> "Sample | Cases":
        """One case as a Sample, or a run of them."""
        if isinstance(index, slice):
            return self.rows(np.arange(self.num)[index])
        row = range(self.num)[index]
        streams = {name: stream for name, block in self.streams.items() if (stream := block[row]) is not None}
        target = None if self.targets is None or np.isnan(self.targets[row]).all() else self.targets[row]
        return Sample(
            streams=streams,
            target=float(target) if target is not None and not target.ndim else target,
            source=self._source(row),
            origin=self.origin if isinstance(self.origin, str) else str(self.origin[row]),
        )

    def _source(self, row: int) -> Provenance:
        facts = {name: value for name, column in self.facts.items() if (value := column[row]) is not None}
        told = {name: column[row] for name, column in self.told.items()}
        return replace(self.source, **told, facts={**self.source.facts, **facts})

    def rows(self, index: Index) -> "Cases":
        """Return the chosen cases."""
        return replace(
            self,
            num=len(index),
            streams={name: block.rows(index) for name, block in self.streams.items()},
            told={name: column[index] for name, column in self.told.items()},
            facts={name: column[index] for name, column in self.facts.items()},
            targets=None if self.targets is None else self.targets[index],
            origin=self.origin if isinstance(self.origin, str) else self.origin[index],
        )

    def column(self, name: str) -> Column:
        """What is told of each case under a name of Provenance's attributes."""
        return self.told[name] if name in self.told else _repeated(getattr(self.source, name), self.num)

    def fact(self, name: str) -> Column:
        """The fact of each case; None where it has none."""
        shared = _repeated(self.source.facts.get(name), self.num)
        own = self.facts.get(name)
        return shared if own is None else np.where(np.array([value is None for value in own], bool), shared, own)

    def truth(self) -> NDArray[Any]:
        """Targets (cases, ...), NaN where unknown."""
        return np.full(self.num, np.nan) if self.targets is None else self.targets


def _column(values: Sequence[Any]) -> Column:
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _repeated(value: object, num: int) -> Column:
    return np.broadcast_to(_column([value])[0:1], (num,))


def _joined(name: str, streams: Sequence[Stream | None]) -> Block:
    """Streams of one shape as a block; NaN, and the clock of the first, where one is missing."""
    held = [stream for stream in streams if stream is not None]
    first = held[0]
    for stream in held:
        same = (stream.kind, stream.values.shape, stream.channels, repr(stream.geometry))
        if same != (first.kind, first.values.shape, first.channels, repr(first.geometry)):
            raise InputError(f"streams {name!r} differ in shape, channels or geometry; keep them as a list of samples")
    empty = np.full(first.values.shape, np.nan) if first.values.dtype.kind == "f" else np.zeros_like(first.values)
    clocks = None if first.times is None else np.stack([(stream or first).times for stream in streams])  # type: ignore[misc]
    has_own = clocks is not None and (clocks != clocks[0]).any()
    return Block(
        kind=first.kind,
        values=np.stack([empty if stream is None else stream.values for stream in streams]),
        channels=first.channels,
        times=clocks if clocks is None or has_own else clocks[0],
        geometry=first.geometry,
        valid=None if all(stream.valid is None for stream in held) else np.stack(
            [np.isfinite(empty) if stream is None else stream.observed() for stream in streams]
        ),
        has=None if len(held) == len(streams) else np.array([stream is not None for stream in streams]),
    )  # fmt: skip


def streams_in(samples: Sequence[Sample], name: str) -> Sequence[Stream | None]:
    """The stream of a name of every sample, None where it lacks it."""
    if isinstance(samples, Cases):
        return samples.streams.get(name, [None] * len(samples))
    return [sample.streams.get(name) for sample in samples]


def blocks_in(samples: Sequence[Sample], name: str) -> Iterator[tuple[Index, Block]]:
    """Give the streams of a name, those of one form together, and the rows of the samples that have them."""
    is_held = isinstance(samples, Cases)
    yield from parts_of(streams_in(samples, name) if is_held else (sample.streams.get(name) for sample in samples))


def names_in(samples: Sequence[Sample]) -> list[str]:
    """Names of the streams that a sample has, sorted."""
    if isinstance(samples, Cases):
        return sorted(name for name, block in samples.streams.items() if block.has is None or block.has.any())
    return sorted({name for sample in samples for name in sample.streams})


def steps_in(samples: Sequence[Sample]) -> Index:
    """How many steps of its series and grids every sample shows (cases,)."""
    found = np.zeros(len(samples), np.intp)
    for name in names_in(samples):
        streams = streams_in(samples, name)
        for rows, held in [(slice(None), streams)] if isinstance(streams, Block) else enumerate(streams):
            if held is not None and held.times is not None:
                seen = held.observed()
                first = seen.ndim - NUM_DIMS[held.kind]
                found[rows] += seen.any(tuple(range(first + 1, seen.ndim))).sum(first)
    return found


def bytes_in(samples: Sequence[Sample]) -> Index:
    """Bytes of every sample's images, grids, volumes and points (cases,): of what has no step that is counted."""
    found = np.zeros(len(samples), np.intp)
    for name in names_in(samples):
        streams = streams_in(samples, name)
        for rows, held in [(slice(None), streams)] if isinstance(streams, Block) else enumerate(streams):
            if held is not None and held.kind not in ("series", "scalar", "text"):
                shape = held.values.shape[-NUM_DIMS[held.kind] :]
                found[rows] += math.prod(shape) * held.values.itemsize
    return found


def with_streams(samples: Sequence[Sample], kept: Container[str], new: Mapping[str, Block]) -> Sequence[Sample]:
    """Return the samples with new streams, and of their own the kept ones alone."""
    if isinstance(samples, Cases):
        own = {name: block for name, block in samples.streams.items() if name in kept}
        return replace(samples, streams={**own, **new})
    found = []
    for row, sample in enumerate(samples):
        made = {name: stream for name, block in new.items() if (stream := block[row]) is not None}
        streams = {name: stream for name, stream in sample.streams.items() if name in kept} | made
        found.append(replace(sample, streams=streams))
    return found
