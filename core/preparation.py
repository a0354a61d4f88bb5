"""What an adapter makes of samples before the trunk sees them, and the plain preparation of one that has none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mainstem.core.brief import Brief
from mainstem.core.cases import blocks_in
from mainstem.core.folds import targets_of
from mainstem.core.layout import Layout
from mainstem.core.samples import briefly, is_lazy
from mainstem.core.stream import CHANNEL_DIM, Sample

Array = NDArray[np.float64]


class Preparation(Protocol):
    """What an adapter makes of samples before the trunk sees them; fitted on training samples alone."""

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return samples with derived streams, and an offset (samples, ...) that the trunk's output is added to.

        Of a number it is (samples,); of a rotation or a pose it has the columns of the truth.
        """

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return what to predict (samples,) where the trunk is not to be trusted: the offset, or something better.

        Its share weighs it against the offset, and the gate the trunk's prediction against that. Of several findings
        it is (samples, findings).
        """

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return what the shift alarm compares between groups (samples, features), NaN where a sample lacks it."""

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what is saved: plain JSON types, and arrays by name."""


@runtime_checkable
class HasOwnFeatures(Protocol):
    """A preparation that also tells what the alarm looks at in single samples alone, as past values that drift."""

    def own_features(self, samples: Sequence[Sample]) -> Array:
        """Return own features (samples, own features), NaN where a sample lacks one."""


@runtime_checkable
class HasStrangeness(Protocol):
    """A preparation that knows what it was never trained on, as a picture of something else, which is not predicted."""

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return how unlike all of training each sample is (samples,): 1 is the most for a prediction."""


@runtime_checkable
class HasLayout(Protocol):
    """A preparation whose features go by channel, in the layout of all training samples, not of its own part alone."""

    def laid_out(self, layout: Layout) -> Preparation:
        """Return the preparation with features in a layout's order."""


def own_features(preparation: Preparation, samples: Sequence[Sample]) -> Array:
    """Return what the shift alarm judges single samples alone by; of width 0 where the preparation tells nothing."""
    if isinstance(preparation, HasOwnFeatures):
        return preparation.own_features(samples)
    return np.empty((len(samples), 0))


def strangeness(preparation: Preparation, samples: Sequence[Sample]) -> Array:
    """Return how unlike training each sample is (samples,), 0 where the preparation does not tell."""
    if isinstance(preparation, HasStrangeness):
        return preparation.strangeness(samples)
    return np.zeros(len(samples))


def unchanged(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return samples as they are."""
    return samples


RestorePreparation = Callable[[Mapping[str, Any], Mapping[str, Array]], Preparation]
View = Callable[[Sample], Sample]  # a sample as it was known earlier, or with less
ONE_VIEW: Mapping[str, View] = {"whole": lambda sample: sample}
Forget = Callable[[Sequence[Sample], frozenset[str]], list[Sample]]  # samples that know no target of these groups


def knows_no_target(samples: Sequence[Sample], groups: frozenset[str]) -> list[Sample]:
    """Return samples whose streams hold no other sample's target as they are, whatever groups are left out."""
    return list(samples)


@dataclass(frozen=True, kw_only=True)
class MeanOffset:
    """The preparation of an adapter that has none of its own: streams as they are, and one offset, mostly the mean.

    Its features are each channel's mean; members share one layout, so that a stream that one of them never saw keeps
    its place.
    """

    mean: float
    channels: Mapping[str, int]  # number of channels of each numeric stream, in the order of training

    @classmethod
    def fit(cls, samples: Sequence[Sample]) -> "MeanOffset":
        """Take the mean of the training targets."""
        return cls(mean=float(targets_of(samples).mean()), channels=Layout.of(samples).widths())

    def laid_out(self, layout: Layout) -> "MeanOffset":
        """Return the preparation with features in a layout's order."""
        return replace(self, channels=layout.widths())

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return the samples as they are, and the offset."""
        return samples, np.full(len(samples), self.mean)

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the offset."""
        return offset

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return each sample's observed mean a stream and channel, NaN where missing."""
        return stream_means(samples, self.channels)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types; there are no arrays."""
        return {"mean": self.mean, "channels": dict(self.channels)}, {}


def as_they_are(samples: Sequence[Sample], order: str) -> MeanOffset:
    """Return the preparation of what has no mean, as classes: streams as they are, and no offset."""
    return MeanOffset(mean=0.0, channels=Layout.of(samples).widths())


def from_the_mean(samples: Sequence[Sample], order: str) -> MeanOffset:
    """Return the preparation that starts from the mean of the training targets, whichever groups are asked for."""
    return MeanOffset.fit(samples)


def restore_plain(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> MeanOffset:
    """Read what `MeanOffset.state` gave."""
    assert not arrays
    return MeanOffset(mean=float(state["mean"]), channels=dict(state["channels"]))


def stream_means(samples: Sequence[Sample], channels: Mapping[str, int]) -> Array:
    """Mean of the named streams' channels over time and place (samples, channels in all); NaN where missing."""
    found = np.full((len(samples), max(sum(channels.values()), 1)), np.nan)
    start = 0
    if is_lazy(samples):
        return _means_read(samples, channels, found)
    for name, width in channels.items():
        for rows, block in blocks_in(samples, name):
            if not len(rows):
                continue
            dim = CHANNEL_DIM[block.kind] + 1
            seen = np.moveaxis(block.observed(), dim, -1).reshape(len(rows), -1, width)
            shown = np.moveaxis(block.values, dim, -1).reshape(len(rows), -1, width)
            count = seen.sum(1)
            mean = np.where(seen, shown, 0.0).sum(1, dtype=np.float64) / np.maximum(count, 1)
            found[rows, start : start + width] = np.where(count > 0, mean, np.nan)
        start += width
    return found


def _means_read(samples: Sequence[Sample], channels: Mapping[str, int], found: Array) -> Array:
    """The same of samples that are not in memory, each read once at most."""
    places = dict(zip(channels, np.cumsum([0, *channels.values()]).tolist(), strict=False))
    for row, sample in enumerate(samples):
        for name, stream in briefly(sample).items():
            if name in places:
                found[row, places[name] : places[name] + channels[name]] = Brief.of(stream).means()
    return found
