"""Streams of one name of many cases, as arrays; a single Stream is a block of one case."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import CHANNEL_DIM, NUM_DIMS, Channel, Geometry, Kind, Stream

Index = NDArray[np.intp]
HELD_BYTES = 4 << 20  # of streams that are put together to a block


@dataclass(frozen=True, kw_only=True, eq=False)
class Block(Sequence[Stream | None]):
    """The stream of one name of many cases of one shape.

    Attributes:
        kind, channels, geometry: as of a Stream; all cases share them.
        values: (cases, ...) in the shape that `kind` names; a view that repeats one row where cases share it.
        times: (steps,) shared, or (cases, steps); None where the kind has no clock.
        valid: True where a value may be used, in the shape of `values`; None if NaN alone says so.
        has: (cases,) True where a case has the stream; None if all do.

    Raises:
        InputError: if the shape, the number of channels or a clock does not fit the kind.
    """

    kind: Kind
    values: NDArray[Any]
    channels: tuple[Channel, ...] = ()
    times: NDArray[np.float64] | None = None
    geometry: Geometry | None = None
    valid: NDArray[np.bool_] | None = None
    has: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        wanted = NUM_DIMS[self.kind] + 1
        if self.values.ndim != wanted:
            raise InputError(f"got {self.kind} streams of shape {self.values.shape}, want {wanted} dims, cases first")
        if self.kind in CHANNEL_DIM and self.values.shape[CHANNEL_DIM[self.kind] + 1] != len(self.channels):
            raise InputError(f"got {self.values.shape} values for {len(self.channels)} channels of {self.kind} streams")
        if self.kind in ("series", "grid"):
            self._check_times()

    def _check_times(self) -> None:
        num, steps = self.values.shape[:2]
        if self.times is None or self.times.shape not in ((steps,), (num, steps)):
            raise InputError(f"{self.kind} streams of {steps} steps need as many times; give seconds")
        if not np.isfinite(self.times).all() or (np.diff(self.times, axis=-1) <= 0).any():
            raise InputError(
                f"times of {self.kind} streams must be finite and strictly increasing; sort them, drop repeats"
            )

    def __len__(self) -> int:
        return len(self.values)

    def observed(self) -> NDArray[np.bool_]:
        """True where a value is finite and marked valid, in the shape of `values`."""
        finite: NDArray[np.bool_] = np.isfinite(self.values)
        return finite if self.valid is None else finite & self.valid

    @property
    def is_shared(self) -> bool:
        """True where one row stands for all cases."""
        return len(self.values) > 1 and self.values.strides[0] == 0

    def rows(self, index: Index) -> "Block":
        """Return the chosen cases; rows that all share are shared still."""
        has_own = self.times is not None and self.times.ndim > 1
        return replace(
            self,
            values=_taken(self.values, index),
            times=self.times[index] if has_own and self.times is not None else self.times,
            valid=None if self.valid is None else _taken(self.valid, index),
            has=None if self.has is None else self.has[index],
        )

    @overload
    def __getitem__(self, index: int) -> Stream | None: ...

    @overload
    def __getitem__(self, index: slice) -> "Block": ...

    def __getitem__(self, index: int | slice) -> "Stream | Block | None":
        """The stream of one case, None where it lacks it; or a run of cases."""
        if isinstance(index, slice):
            return self.rows(np.arange(len(self))[index])
        row = range(len(self))[index]
        if self.has is not None and not self.has[row]:
            return None
        times = self.times[row] if self.times is not None and self.times.ndim > 1 else self.times
        valid = None if self.valid is None else self.valid[row]
        return Stream(
            kind=self.kind, values=self.values[row], channels=self.channels, times=times, geometry=self.geometry,
            valid=valid,
        )  # fmt: skip

    @classmethod
    def shared(cls, stream: Stream, num: int) -> Self:
        """Return the stream as one that `num` cases share, not copied."""
        valid = None if stream.valid is None else np.broadcast_to(stream.valid, (num, *stream.valid.shape))
        return cls(
            kind=stream.kind, values=np.broadcast_to(stream.values, (num, *stream.values.shape)),
            channels=stream.channels, times=stream.times, geometry=stream.geometry, valid=valid,
        )  # fmt: skip

    @classmethod
    def stacked(cls, streams: Sequence[Stream]) -> Self:
        """Return streams of one kind, shape, geometry and channels as a block."""
        first = streams[0]
        if len(streams) == 1:
            return cls.shared(first, 1)
        clocks = [stream.times for stream in streams if stream.times is not None]
        valid = [stream.valid for stream in streams if stream.valid is not None]
        return cls(
            kind=first.kind, values=np.stack([stream.values for stream in streams]), channels=first.channels,
            times=np.stack(clocks) if clocks else None, geometry=first.geometry,
            valid=np.stack(valid) if valid else None,
        )  # fmt: skip


def _taken(values: NDArray[Any], index: Index) -> NDArray[Any]:
    if len(values) > 1 and values.strides[0] == 0:
        return np.broadcast_to(values[0], (len(index), *values.shape[1:]))
    return values[index]


def parts_of(streams: Iterable[Stream | None]) -> Iterator[tuple[Index, Block]]:
    """Give the streams there are, and their rows: a block as it is, of others those of one form together.

    No more than HELD_BYTES of them are held, and one stream more.
    """
    if isinstance(streams, Block):
        rows = np.arange(len(streams)) if streams.has is None else np.flatnonzero(streams.has)
        yield rows, streams if streams.has is None else replace(streams.rows(rows), has=None)
        return
    alike: dict[tuple[object, ...], tuple[list[int], list[Stream]]] = {}
    size = 0
    for row, stream in enumerate(streams):
        if stream is None:
            continue
        rows_of_form, held = alike.setdefault(_form_of(stream), ([], []))
        rows_of_form.append(row)
        held.append(stream)
        size += stream.values.nbytes
        if size > HELD_BYTES:
            yield from ((np.array(rows), Block.stacked(held)) for rows, held in alike.values())
            alike, size = {}, 0
    yield from ((np.array(rows), Block.stacked(held)) for rows, held in alike.values())


def _form_of(stream: Stream) -> tuple[object, ...]:
    """What streams share that make a block; of channels and geometry that they are one object, which is soon told."""
    values = stream.values
    return stream.kind, id(stream.channels), id(stream.geometry), values.shape, values.dtype, stream.valid is None
