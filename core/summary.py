"""All that a fit must know of every sample before it trains, from one reading of the set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mainstem.core.samples import LazyStreams, is_lazy, read_now
from mainstem.core.stream import Sample
from mainstem.core.taught import Prints, prints_by_sample


@dataclass(frozen=True, kw_only=True, eq=False)
class Summary:
    """Samples, and the print of each as it is and as every view shows it (samples, 1 + views).

    Samples that are not in memory are told in short: layout, features of the alarm, statistics of tokenizers and
    patterns of gaps are had without reading them again, as long as no view or preparation changes their streams.
    """

    samples: Sequence[Sample]
    prints: Prints

    @classmethod
    def of(cls, samples: Sequence[Sample], views: Iterable[Callable[[Sample], Sample]] = ()) -> "Summary":
        """Read every sample once, and hold none."""
        told: list[Sample] = []

        def read() -> Iterator[Sample]:
            for sample in samples:
                now = read_now(sample)
                if isinstance(sample.streams, LazyStreams):
                    told.append(replace(sample, streams=sample.streams.in_short(now.streams)))
                yield now

        prints = prints_by_sample(read(), views)
        return cls(samples=told if is_lazy(samples) else samples, prints=prints)
