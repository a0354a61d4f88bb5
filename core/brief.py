"""Streams told in short: what they are, and of each channel how many values there are, and how they lie."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.stream import CHANNEL_DIM, NUM_DIMS, Channel, Kind, Stream

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Form:
    """What a stream is, but for its values; `has_unit` is True where pixels have a size."""

    kind: Kind
    channels: tuple[Channel, ...]
    shape: tuple[int, ...]
    has_unit: bool = False

    @classmethod
    def of(cls, stream: "Stream | Block | Brief") -> "Form":
        """Return the form of a stream, or of those of a block."""
        if isinstance(stream, Brief):
            return stream.form
        shape = stream.values.shape[-NUM_DIMS[stream.kind] :]
        has_unit = stream.geometry is not None and stream.geometry.unit is not None
        return cls(kind=stream.kind, channels=stream.channels, shape=shape, has_unit=has_unit)


@dataclass(frozen=True, slots=True, eq=False)
class Brief:
    """A stream's form, and (3, channels): how many values are observed, their mean, their squared departures' sum."""

    form: Form
    moments: Array

    @classmethod
    def of(cls, stream: "Stream | Brief") -> "Brief":
        """Tell a stream in short; one of text has no channels."""
        if isinstance(stream, Brief):
            return stream
        if stream.kind not in CHANNEL_DIM:
            return cls(form=Form.of(stream), moments=np.zeros((3, 0)))
        dim, width = CHANNEL_DIM[stream.kind], len(stream.channels)
        seen = np.moveaxis(stream.observed(), dim, -1).reshape(-1, width)
        shown = np.moveaxis(stream.values, dim, -1).reshape(-1, width)
        count = seen.sum(0)
        mean = np.where(seen, shown, 0.0).sum(0, dtype=np.float64) / np.maximum(count, 1)
        squares = np.square(np.where(seen, shown - mean, 0.0)).sum(0)
        return cls(form=Form.of(stream), moments=np.stack([count, mean, squares]))

    @property
    def kind(self) -> Kind:
        """The stream's kind."""
        return self.form.kind

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The stream's channels."""
        return self.form.channels

    def means(self) -> Array:
        """Mean of each channel (channels,), NaN where nothing is observed."""
        count, mean, _ = self.moments
        return np.where(count > 0, mean, np.nan)

    def placed(self, places: Sequence[int | None], wanted: Sequence[Channel]) -> "Brief":
        """Return what the stream is with these channels: each of its own goes to a place, or is left out at None."""
        moments = np.zeros((3, len(wanted)))
        for column, place in enumerate(places):
            if place is not None:
                moments[:, place] = self.moments[:, column]
        shape = list(self.form.shape)
        shape[CHANNEL_DIM[self.kind]] = len(wanted)
        return Brief(form=replace(self.form, channels=tuple(wanted), shape=tuple(shape)), moments=moments)


def joined_moments(parts: Sequence[Array]) -> Array:
    """Moments (3, channels) of all values together, from those (3, channels) of parts of them."""
    count, mean, squares = np.stack(parts, axis=1)
    total = count.sum(0)
    joined = (count * mean).sum(0) / np.maximum(total, 1)
    return np.stack([total, joined, (squares + count * (mean - joined) ** 2).sum(0)])


def is_seen(stream: Stream | Brief | None) -> bool:
    """True where a stream is there and holds a value."""
    if stream is None or not all(Form.of(stream).shape):
        return False
    return stream.kind == "text" or bool(channels_seen(stream))


def channels_seen(stream: Stream | Brief) -> set[str]:
    """Names of the channels that hold a value."""
    if isinstance(stream, Brief):
        seen = stream.moments[0] > 0
    else:
        axes = tuple(axis for axis in range(stream.values.ndim) if axis != CHANNEL_DIM[stream.kind])
        seen = np.asarray(stream.observed().any(axes))
    return {channel.name for channel, has in zip(stream.channels, seen.tolist(), strict=True) if has}
