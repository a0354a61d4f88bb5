"""Which channels each stream had in training, by name and unit: samples are put in that order before they are read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from mainstem.core.blocks import Block
from mainstem.core.brief import Brief, Form
from mainstem.core.cases import Cases
from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.samples import LazyStreams, Told, forms_in
from mainstem.core.schema import first_mistake
from mainstem.core.stream import CHANNEL_DIM, NUM_DIMS, Channel, Sample, Stream

Streams = TypeVar("Streams", Stream, Block)  # one, or those of many cases
Samples = TypeVar("Samples", Sample, Cases)


def union_of_channels(name: str, streams: Sequence[Form]) -> tuple[Channel, ...]:
    """Return the channels of streams of one name and these forms, in the order in which they are met.

    Raises:
        ChannelError: if samples give a channel in different units or wavelengths, or one twice.
        InputError: if they give streams of different kinds.
    """
    found: dict[str, Channel] = {}
    for stream in streams:
        if stream.kind != streams[0].kind:
            raise InputError(
                f"stream {name!r} is {streams[0].kind} in one sample, {stream.kind} in another; rename one"
            )
        if len({channel.name for channel in stream.channels}) < len(stream.channels):
            raise ChannelError(f"stream {name!r} names a channel twice; drop one")
        for channel in stream.channels:
            known = found.setdefault(channel.name, channel)
            if known != channel:
                raise ChannelError(
                    f"channel {channel.name!r} of {name!r} comes in {_described(known)} and in {_described(channel)}; "
                    "convert or rename one"
                )
    return tuple(found.values())


def _described(channel: Channel) -> str:
    return channel.unit if channel.wavelength_nm is None else f"{channel.unit} at {channel.wavelength_nm:g} nm"


def channel_places(held: Sequence[Channel], wanted: Sequence[Channel]) -> list[int | None]:
    """Index, among the channels wanted, of each one held; None for one that is not wanted.

    This is how everything that reads channels by name finds them: layouts, tokenizers, open encoders.

    Raises:
        ChannelError: if one comes in another unit, at another wavelength or twice, or others come in the place of those
            that lack: then one may have been renamed, and its values would be lost without a word.
    """
    known = {channel.name: index for index, channel in enumerate(wanted)}
    names = [channel.name for channel in held]
    for channel in held:
        if channel.name in known:
            _check_alike(channel, wanted[known[channel.name]])
        if names.count(channel.name) > 1:
            raise ChannelError(f"channel {channel.name!r} comes twice in one stream; drop one")
    lacking, unknown = [name for name in known if name not in names], [name for name in names if name not in known]
    if lacking and (unknown or not names):
        found = f"channel {unknown[0]!r}" if unknown else "no channel"
        raise ChannelError(f"got {found}, want {', '.join(lacking)[:200]}; rename or drop it")
    return [known.get(name) for name in names]


def _check_alike(channel: Channel, wanted: Channel) -> None:
    """Check that a channel holds what the one of its name did; a wavelength that either leaves open is no other one.

    Raises:
        ChannelError: if its unit or wavelength is another.
    """
    if channel.unit != wanted.unit:
        raise ChannelError(f"channel {channel.name!r} comes in {channel.unit}, want {wanted.unit}; convert it")
    if None not in (channel.wavelength_nm, wanted.wavelength_nm) and channel.wavelength_nm != wanted.wavelength_nm:
        raise ChannelError(
            f"channel {channel.name!r} comes in {_described(channel)}, want {_described(wanted)}; give that band, or "
            "rename this one"
        )


def placed(stream: Streams, wanted: Sequence[Channel]) -> Streams:
    """Return the stream, or block of them, with its channels in the order wanted, NaN in those that it lacks.

    Raises:
        ChannelError: if a channel comes in another unit, at another wavelength, twice, or under another name.
    """
    if stream.channels == tuple(wanted):
        return stream
    places = channel_places(stream.channels, wanted)
    dim = CHANNEL_DIM[stream.kind] + stream.values.ndim - NUM_DIMS[stream.kind]
    shape = list(stream.values.shape)
    shape[dim] = len(wanted)
    values = np.moveaxis(np.full(shape, np.nan), dim, 0)
    seen = np.moveaxis(np.where(stream.observed(), stream.values, np.nan), dim, 0)
    for column, place in enumerate(places):
        if place is not None:
            values[place] = seen[column]
    back: NDArray[np.float64] = np.ascontiguousarray(np.moveaxis(values, 0, dim))
    return replace(stream, values=back, channels=tuple(wanted), valid=None)


def placed_brief(brief: Brief, wanted: Sequence[Channel]) -> Brief:
    """Return the same of a stream that is told in short.

    Raises:
        ChannelError: as `placed`.
    """
    if brief.channels == tuple(wanted):
        return brief
    return brief.placed(channel_places(brief.channels, wanted), wanted)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Channels of each stream in training; streams that training did not know stay as they come."""

    channels: Mapping[str, tuple[Channel, ...]]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Layout":
        """Read the layout of training samples.

        Raises:
            ChannelError: if samples give a channel in different units.
            InputError: if they give streams of different kinds under one name.
        """
        numbers = {
            name: [form for form in forms if form.kind in CHANNEL_DIM] for name, forms in forms_in(samples).items()
        }
        return cls(channels={name: union_of_channels(name, forms) for name, forms in numbers.items() if forms})

    def __call__(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Return the samples with their channels as in training; those that are so already are the same objects.

        Raises:
            ChannelError: naming the item, if a channel comes in another unit, at another wavelength, twice, or under
                another name.
        """
        if isinstance(samples, Cases):
            return self._aligned(samples, samples[0].source.item) if len(samples) else samples
        return [
            self._aligned_later(sample, sample.streams)
            if isinstance(sample.streams, LazyStreams)
            else self._aligned(sample, sample.source.item)
            for sample in samples
        ]

    def _aligned_later(self, sample: Sample, streams: LazyStreams) -> Sample:
        item = sample.source.item
        if streams.briefs is not None and not self.moved(streams.briefs, item):
            return sample
        return replace(sample, streams=streams.arranged(_Aligned(self, item)))

    def _aligned(self, sample: Samples, item: str) -> Samples:
        changed = self.moved(sample.streams, item)
        return replace(sample, streams={**sample.streams, **changed}) if changed else sample

    def moved(self, streams: Mapping[str, Any], item: str) -> dict[str, Any]:
        """Return those streams (blocks, briefs) of an item whose channels are not as in training, as there."""
        changed: dict[str, Any] = {}
        for name, wanted in self.channels.items():
            stream = streams.get(name)
            if stream is None or stream.channels == wanted:
                continue
            if stream.kind not in CHANNEL_DIM:
                raise InputError(f"{item}: stream {name!r} is {stream.kind}, which it was not in training")
            try:
                is_short = isinstance(stream, Brief)
                changed[name] = placed_brief(stream, wanted) if is_short else placed(stream, wanted)
            except ChannelError as error:
                raise ChannelError(f"{item}, {name}: {error}") from error
        return changed

    def widths(self) -> dict[str, int]:
        """Number of channels of each stream, in the order of the names."""
        return {name: len(channels) for name, channels in sorted(self.channels.items())}

    def state(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: [asdict(channel) for channel in channels] for name, channels in self.channels.items()}

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> "Layout":
        """Read what `state` gave.

        Raises:
            ArtifactError: if it is damaged.
        """
        try:
            return cls(channels=CHANNELS.validate_json(json.dumps(plain), strict=True))
        except ValidationError as error:
            raise ArtifactError(f"the channels of training are damaged: {first_mistake(error)}; train again") from error


CHANNELS = TypeAdapter(dict[str, tuple[Channel, ...]])


@dataclass(frozen=True)
class _Aligned:
    """Streams of an item that are read later, with their channels as in training."""

    layout: Layout
    item: str

    def __call__(self, streams: Mapping[str, Told]) -> Mapping[str, Told]:
        return {**streams, **self.layout.moved(streams, self.item)}
