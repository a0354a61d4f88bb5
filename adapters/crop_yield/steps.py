"""The streams of one name of many samples as arrays: what is asked of each of their steps is asked of all at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Channel, Kind, Sample, Stream

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """The steps of the samples that have a stream, one sample after another; a scalar is one step without a clock.

    Attributes:
        rows: (samples that have it,) their places among all.
        counts: (samples that have it,) how many steps each has.
        values: (steps, channels), NaN where nothing was observed.
        times: (steps,) seconds; None for scalars.
    """

    kind: Kind
    channels: tuple[Channel, ...]
    rows: Rows
    counts: Rows
    values: Array
    times: Array | None

    @classmethod
    def of(cls, samples: Sequence[Sample], name: str, rows: Sequence[int] | Rows) -> "Steps | None":
        """Read a stream of the samples at these rows; None where none of them has it."""
        held = [(int(row), stream) for row in rows if (stream := samples[row].streams.get(name)) is not None]
        if not held:
            return None
        streams = [stream for _, stream in held]
        first = streams[0]
        values = np.concatenate([np.atleast_2d(stream.values) for stream in streams])
        if any(stream.valid is not None for stream in streams):
            seen = np.concatenate([np.atleast_2d(stream.observed()) for stream in streams])
        else:
            seen = np.isfinite(values)
        times = [stream.times for stream in streams if stream.times is not None]
        return cls(
            kind=first.kind,
            channels=first.channels,
            rows=np.array([row for row, _ in held]),
            counts=np.array([1 if stream.times is None else len(stream.times) for stream in streams]),
            values=np.where(seen, values, np.nan),
            times=np.concatenate(times) if times else None,
        )

    def owner(self) -> Rows:
        """Which of the samples that have the stream each step is of (steps,)."""
        return np.repeat(np.arange(len(self.rows)), self.counts)

    def bins(self, length_s: float, num: int) -> Rows:
        """In which stretch of so many seconds of the year each step falls (steps,), `num` in all; 0 for scalars."""
        if self.times is None:
            return np.zeros(len(self.values), np.intp)
        return np.clip(self.times // length_s, 0, num - 1).astype(np.intp)

    def binned(self, bins: Rows, num: int) -> tuple[Array, Array]:
        """Sums and numbers of observations by sample and bin (samples that have it, num, channels)."""
        width = len(self.channels)
        shape = (len(self.rows), num, width)
        place = ((self.owner() * num + bins)[:, None] * width + np.arange(width)).ravel()
        seen = np.isfinite(self.values).ravel()
        size = int(np.prod(shape))
        sums, counts = (
            np.bincount(place, weights, minlength=size).reshape(shape).astype(np.float64, copy=False)
            for weights in (np.where(seen, self.values.ravel(), 0.0), seen.astype(float))
        )
        return sums, counts

    def means(self) -> Array:
        """Mean of each channel over a sample's steps (samples that have it, channels); NaN where nothing is seen."""
        found = np.full((len(self.rows), len(self.channels)), np.nan)
        starts = np.cumsum(self.counts) - self.counts
        for count in np.unique(self.counts).tolist():
            alike = np.flatnonzero(self.counts == count)
            values = self.values[starts[alike][:, None] + np.arange(count)]
            seen = np.isfinite(values)
            number = seen.sum(1)
            mean = np.where(seen, values, 0.0).sum(1) / np.maximum(number, 1)
            found[alike] = np.where(number > 0, mean, np.nan)
        return found

    def streams(self) -> Iterator[tuple[int, Stream]]:
        """Yield the row of each sample that has the stream, and the stream."""
        ends = np.cumsum(self.counts).tolist()
        for row, count, end in zip(self.rows.tolist(), self.counts.tolist(), ends, strict=True):
            values = self.values[end - 1] if self.times is None else self.values[end - count : end]
            times = None if self.times is None else self.times[end - count : end]
            yield row, Stream(kind=self.kind, values=values, channels=self.channels, times=times)
