"""Streams that a sample lacks: which, by name, and samples drawn with some of them missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from mainstem.core.cases import Cases, blocks_in
from mainstem.core.stream import CHANNEL_DIM, Channel, Sample, Stream

SHARE = 0.3  # of streams that are dropped where gaps are drawn
WHOLE = ""  # the pattern of a sample that lacks nothing
AND = " + "
CHANNEL = ": "  # between a stream and one of its channels


def pattern_of(sample: Sample, expected: Iterable[str]) -> str:
    """Name what a sample lacks of what is expected, as "history + place" or "series: rain"; "" where nothing.

    A stream that is lacking, or holds no value, is named whole, and none of its channels.
    """
    lacking: list[str] = []
    for name, wanted in _by_stream(tuple(expected)):
        stream = sample.streams.get(name)
        if stream is None or not wanted:
            lacking += [] if _is_seen(stream) else [name]
            continue
        seen = _channels_seen(stream)
        lacking += [f"{name}{CHANNEL}{channel}" for channel in wanted if channel not in seen] if seen else [name]
    return AND.join(lacking)


@lru_cache(maxsize=256)
def _by_stream(expected: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Streams that are expected, each with those of its channels that are."""
    found: dict[str, list[str]] = {}
    for name in sorted(expected):
        stream, _, channel = name.partition(CHANNEL)
        found.setdefault(stream, []).extend([channel] if channel else [])
    return list(found.items())


def patterns_in(samples: Sequence[Sample], expected: Iterable[str]) -> list[str]:
    """Name what each sample lacks, as `pattern_of`; of many cases at once, each set of gaps is named once."""
    wanted = list(expected)
    if not isinstance(samples, Cases) or not len(samples):
        return [pattern_of(sample, wanted) for sample in samples]
    bits = [np.zeros((1, len(samples)), bool)]
    for name in sorted({part.partition(CHANNEL)[0] for part in wanted}):
        for rows, block in blocks_in(samples, name):
            seen = block.observed() if block.kind != "text" else np.ones(block.values.shape, bool)
            axis = CHANNEL_DIM.get(block.kind, 0) + 1
            by_channel = np.moveaxis(seen, axis, 1).reshape(len(rows), seen.shape[axis], -1).any(-1)
            bits.append(found := np.zeros((by_channel.shape[1], len(samples)), bool))
            found[:, rows] = by_channel.T
    _, first, like = np.unique(np.vstack(bits), axis=1, return_index=True, return_inverse=True)
    named = [pattern_of(samples[row], wanted) for row in first.tolist()]
    return [named[place] for place in like.ravel().tolist()]


def _channels_seen(stream: Stream) -> set[str]:
    """Names of the channels that hold a value."""
    axes = tuple(axis for axis in range(stream.values.ndim) if axis != CHANNEL_DIM[stream.kind])
    seen = np.asarray(stream.observed().any(axes))
    return {channel.name for channel, has in zip(stream.channels, seen.tolist(), strict=True) if has}


def named_parts(channels: Mapping[str, Sequence[Channel]]) -> tuple[str, ...]:
    """Names of streams and, where they have several, of their channels, as `pattern_of` expects them."""
    return tuple(
        found
        for name, held in channels.items()
        for found in (name, *(f"{name}{CHANNEL}{channel.name}" for channel in held if len(held) > 1))
    )


def _constant_channels(name: str, found: Sequence[Stream]) -> list[str]:
    """Channels of a stream of several that no sample lacks which has the stream, as "stream: channel"."""
    if any(stream.kind not in CHANNEL_DIM for stream in found):
        return []
    shared = set.intersection(*map(_channels_seen, found))
    named = {channel.name for channels in {stream.channels for stream in found} for channel in channels}
    return [f"{name}{CHANNEL}{channel}" for channel in sorted(shared)] if len(named) > 1 else []


def _is_seen(stream: Stream | None) -> bool:
    if stream is None or not stream.values.size:
        return False
    return stream.kind == "text" or bool(stream.observed().any())


def expected_streams(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Names of the streams that half of the samples or more hold values of, and of channels that they never lack.

    A channel of a stream of several is named "series: rain".
    """
    expected: list[str] = []
    for name in sorted({name for sample in samples for name in sample.streams}):
        found = [stream for sample in samples if _is_seen(stream := sample.streams.get(name)) and stream is not None]
        if len(found) >= 0.5 * len(samples):
            expected += [name, *_constant_channels(name, found)]
    return tuple(expected)


def lacks_no_more(pattern: str, other: str) -> bool:
    """True where all that a pattern lacks is lacking in the other one too."""
    return set(filter(None, pattern.split(AND))) <= set(filter(None, other.split(AND)))


def drop_streams(
    samples: Sequence[Sample], seed: int, share: float = SHARE, optional: Sequence[str] | None = None
) -> list[Sample]:
    """Return the samples with each stream missing by chance, never all of a sample's, to see what gaps cost.

    Only `optional` streams go missing, where they are named.
    """
    rng = np.random.default_rng(seed)
    kept = []
    for sample in samples:
        names = sorted(sample.streams)
        stays = rng.random(len(names)) >= share
        if optional is not None:
            stays |= np.array([name not in optional for name in names], bool)
        if names and not stays.any():
            stays[rng.integers(len(names))] = True
        streams = {name: sample.streams[name] for name, stay in zip(names, stays, strict=True) if stay}
        kept.append(replace(sample, streams=streams))
    return kept
