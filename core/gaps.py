"""Streams that a sample lacks: which, by name, and samples drawn with some of them missing."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from mainstem.core.stream import Sample

SHARE = 0.3  # of streams that are dropped where gaps are drawn
WHOLE = ""  # the pattern of a sample that lacks nothing
AND = " + "


def pattern_of(sample: Sample, expected: Iterable[str]) -> str:
    """Name the expected streams that a sample lacks, or that hold no value, as "history + soil"; "" where none."""
    return AND.join(name for name in sorted(expected) if not _is_seen(sample, name))


def _is_seen(sample: Sample, name: str) -> bool:
    stream = sample.streams.get(name)
    if stream is None or not stream.values.size:
        return False
    return stream.kind == "text" or bool(stream.observed().any())


def expected_streams(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Names of the streams that half of the samples or more hold values of."""
    names = sorted({name for sample in samples for name in sample.streams})
    return tuple(name for name in names if np.mean([_is_seen(sample, name) for sample in samples]) >= 0.5)


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
