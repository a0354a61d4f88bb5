"""What a fitted adapter learned from: by name, and by content, so that a copy under another name is known again.

The one answer to "has it seen this?", for predictions, maps, evaluations, calibrations and pages.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.folds import is_number, one_writing
from mainstem.core.groups import Keys
from mainstem.core.samples import read_now
from mainstem.core.stream import CHANNEL_DIM, Sample, Stream

Prints = NDArray[np.int64]
TELLING = 6  # observed numbers of a stream, from which on two that are alike to the bit are one
TRAINED, CALIBRATED = "seen", "calibrated"  # of what a manifest says of training: groups by data


def no_prints() -> Prints:
    """Prints of nothing."""
    return np.empty(0, np.int64)


def print_of(sample: Sample, known: dict[int, bytes] | None = None) -> int:
    """64 bits of a sample's group and streams, whatever it is called and however its channels are ordered.

    `known` is the content of streams met before, by `id`, of those that are kept alive meanwhile.
    """
    known = {} if known is None else known
    found = hashlib.blake2b(one_writing(str(sample.source.group)).encode(), digest_size=8)
    for name, stream in sorted(sample.streams.items()):
        found.update(f"\n{name} {stream.kind} ".encode())
        if id(stream) not in known:
            known[id(stream)] = b"".join(_content(stream))
        found.update(known[id(stream)])
    return int.from_bytes(found.digest(), "little", signed=True)


def content_of(sample: Sample) -> int:
    """64 bits of a sample's streams, whatever its group is called."""
    now = read_now(sample)
    return print_of(replace(now, source=replace(now.source, group=None)))


def contents_in(sample: Sample) -> dict[str, int]:
    """64 bits of each stream of a sample that is more than a few numbers, by its name: such as no other would share."""
    return {
        name: int.from_bytes(hashlib.blake2b(b"".join(_content(stream)), digest_size=8).digest(), "little")
        for name, stream in read_now(sample).streams.items()
        if stream.values.dtype.kind in "fiub"
        and np.isfinite(stream.values[stream.observed()].astype(np.float64)).sum() >= TELLING
    }


def labels_sha256(samples: Sequence[Sample]) -> str:
    """Return a hash of what samples are called, grouped by and aimed at, in any order."""
    rows = (
        hashlib.blake2b(f"{one.source.item}\n{one.source.group}\n".encode() + _bytes_of(one.target)).digest()
        for one in samples
    )
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()


def _bytes_of(target: object) -> bytes:
    return b"" if target is None else np.ascontiguousarray(target, np.float64).tobytes()


def _content(stream: Stream) -> Iterable[bytes]:
    if stream.values.dtype.kind not in "fiub":
        yield repr(stream.values.tolist()).encode()
        return
    values = stream.values.astype(np.float32)
    values[~stream.observed()] = np.nan  # what is not valid says nothing
    names = [channel.name for channel in stream.channels]
    axis = CHANNEL_DIM.get(stream.kind)
    order = sorted(range(len(names)), key=names.__getitem__)
    if axis is not None and order != list(range(len(names))):
        values = values.take(order, axis)
    yield " ".join(sorted(names)).encode()
    yield np.ascontiguousarray(values).tobytes()
    yield b"" if stream.times is None else stream.times.astype(np.float64).tobytes()


def prints_by_sample(samples: Iterable[Sample], views: Iterable[Callable[[Sample], Sample]] = ()) -> Prints:
    """Print of each sample in memory, and of it as every view shows it (samples, 1 + views)."""
    views, found = list(views), list[list[int]]()
    for sample in samples:
        shown, known = [sample, *(view(sample) for view in views)], dict[int, bytes]()
        found.append([print_of(one, known) for one in shown])
    return np.array(found, np.int64).reshape(-1, 1 + len(views))


def prints_of(samples: Sequence[Sample], views: Iterable[Callable[[Sample], Sample]] = ()) -> Prints:
    """Prints (prints,) of samples, and of them as every view shows them, each once."""
    return np.unique(prints_by_sample(map(read_now, samples), views))


@dataclass(frozen=True, kw_only=True, eq=False)
class Taught:
    """Samples that an adapter was trained and calibrated on.

    Attributes:
        training: what the manifest says of training: groups by data, under TRAINED and CALIBRATED.
        keys: how group names are written there.
        trained: prints (prints,) of the samples trained on.
        calibrated: prints (prints,) of those calibrated on since.
    """

    training: Mapping[str, Any]
    keys: Keys = field(default_factory=lambda: Keys(salt=""))
    trained: Prints = field(default_factory=no_prints)
    calibrated: Prints = field(default_factory=no_prints)

    def state(self) -> dict[str, Prints]:
        """Return the arrays that are saved."""
        return {"trained": self.trained, "calibrated": self.calibrated}

    def sha256(self) -> str:
        """Return a hash of all contents that were learned from, in any order."""
        known = np.union1d(self.trained, self.calibrated).astype("<i8")
        return hashlib.sha256(known.tobytes()).hexdigest()

    def has_seen(self, sample: Sample) -> bool:
        """True where a sample, or its group of the same data, was trained or calibrated on: nothing new to claim."""
        return self._holds(sample, TRAINED, CALIBRATED)

    def was_trained_on(self, sample: Sample) -> bool:
        """True where a sample, its group of the same data, or, of any data, its number among groups was trained on.

        A number, as a year, means the same everywhere: what it brought to one place it brought to others.
        """
        group = self.keys(sample.source.group)
        return (is_number(group) and group in self.numbers) or self._holds(sample, TRAINED)

    def was_calibrated_on(self, sample: Sample) -> bool:
        """True where a sample, or its group of the same data, was calibrated on."""
        return self._holds(sample, CALIBRATED)

    def with_calibrated(self, training: Mapping[str, Any], more: Prints) -> "Taught":
        """Return what is known after a calibration on more samples, of which the manifest says `training`."""
        return replace(self, training=training, calibrated=np.union1d(self.calibrated, more))

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The groups trained on that are numbers."""
        return frozenset(group for group in map(str, self.training["groups"]) if is_number(group))

    def _holds(self, sample: Sample, *kinds: str) -> bool:
        named = (sample.source.data, self.keys(sample.source.group))
        if named[1] and any(named in self._named[kind] for kind in kinds):
            return True
        content = print_of(sample)
        return any(content in self._prints[kind] for kind in kinds)

    @cached_property
    def _named(self) -> dict[str, frozenset[tuple[str, str]]]:
        return {
            kind: frozenset((data, group) for data, groups in self.training[kind].items() for group in groups)
            for kind in (TRAINED, CALIBRATED)
        }

    @cached_property
    def _prints(self) -> dict[str, frozenset[int]]:
        return {TRAINED: frozenset(self.trained.tolist()), CALIBRATED: frozenset(self.calibrated.tolist())}
