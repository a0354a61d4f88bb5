"""Streams that a sample lacks: which, by name, and samples drawn with some of them missing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mainstem.core.brief import channels_seen, is_seen
from mainstem.core.cases import Cases, blocks_in
from mainstem.core.samples import LazyStreams, Told, briefly
from mainstem.core.stream import CHANNEL_DIM, Sample

SHARE = 0.3  # of streams that are dropped where gaps are drawn
WHOLE = ""  # the pattern of a sample that lacks nothing
AND = " + "
CHANNEL = ": "  # between a stream and one of its channels


def pattern_of(sample: Sample, expected: Iterable[str]) -> str:
    """Name what a sample lacks of what is expected, as "history + place" or "series: rain"; "" where nothing.

    A stream that is lacking, or holds no value, is named whole, and none of its channels.
    """
    lacking: list[str] = []
    streams = briefly(sample)
    for name, wanted in _by_stream(tuple(expected)):
        stream = streams.get(name)
        if stream is None or not wanted:
            lacking += [] if is_seen(stream) else [name]
            continue
        seen = channels_seen(stream)
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


def expected_streams(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Names of the streams that half of the samples or more hold values of, and of channels that they never lack.

    A channel of a stream of several is named "series: rain". Each sample is read once at most, and none is held.
    """
    count: Counter[str] = Counter()
    never_lacked: dict[str, set[str]] = {}
    named: dict[str, set[str]] = {}
    for sample in samples:
        for name, stream in briefly(sample).items():
            if not is_seen(stream):
                continue
            count[name] += 1
            seen = channels_seen(stream) if stream.kind in CHANNEL_DIM else set()
            never_lacked[name] = never_lacked.get(name, seen) & seen
            named.setdefault(name, set()).update(channel.name for channel in stream.channels)
    expected: list[str] = []
    for name in sorted(count):
        if count[name] >= 0.5 * len(samples):
            channels = sorted(never_lacked[name]) if len(named[name]) > 1 else []
            expected += [name, *(f"{name}{CHANNEL}{channel}" for channel in channels)]
    return tuple(expected)


def lacks_no_more(pattern: str, other: str) -> bool:
    """True where all that a pattern lacks is lacking in the other one too."""
    return set(filter(None, pattern.split(AND))) <= set(filter(None, other.split(AND)))


@dataclass(frozen=True)
class _Dropped:
    """A stream missing by chance with probability `share`, never all of a sample's; only `optional` ones, if named."""

    seed: tuple[int, ...]
    share: float
    optional: tuple[str, ...] | None

    def __call__(self, streams: Mapping[str, Told]) -> dict[str, Told]:
        return self.drawn(streams, np.random.default_rng(self.seed))

    def drawn(self, streams: Mapping[str, Told], rng: np.random.Generator) -> dict[str, Told]:
        names = sorted(streams)
        stays = rng.random(len(names)) >= self.share
        if self.optional is not None:
            stays |= np.array([name not in self.optional for name in names], bool)
        if names and not stays.any():
            stays[rng.integers(len(names))] = True
        return {name: streams[name] for name, stay in zip(names, stays, strict=True) if stay}


def drop_streams(
    samples: Sequence[Sample], seed: int, share: float = SHARE, optional: Sequence[str] | None = None
) -> list[Sample]:
    """Return the samples with each stream missing by chance, never all of a sample's, to see what gaps cost.

    Only `optional` streams go missing, where they are named. Streams that are not in memory are drawn when they are
    read, by seed and place.
    """
    rng = np.random.default_rng(seed)
    only = None if optional is None else tuple(optional)
    every = _Dropped((seed,), share, only)
    return [
        replace(
            sample,
            streams=sample.streams.arranged(_Dropped((seed, row), share, only))
            if isinstance(sample.streams, LazyStreams)
            else every.drawn(sample.streams, rng),
        )
        for row, sample in enumerate(samples)
    ]
