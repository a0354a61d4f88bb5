"""What passes between a target and those above it: heads, losses, what is told, regions of doubt and measures."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Distribution

from mainstem.core.evaluation import Metric
from mainstem.core.tokenizers.specs import StreamSpec
from mainstem.core.tokens import Patches
from mainstem.core.trunk import Latents

Array = NDArray[np.float64]
Outputs = Mapping[str, Array]  # named arrays (cases, ...), in the target's unit
Specs = Mapping[str, StreamSpec]  # how streams are read, by name
Blend = Mapping[str, float]  # what is learned from predictions out of fold: how much each part of an output is worth


@dataclass(frozen=True, kw_only=True)
class RegionWords:
    """A region in words.

    Attributes:
        text: what cannot be ruled out, and at which level.
        there: names of what it says is there; () of what is measured.
        is_decided: nothing stays open that it could tell apart.
        is_measure: it says how much of something there is, and not whether.
    """

    text: str
    there: tuple[str, ...] = ()
    is_decided: bool = True
    is_measure: bool = False


class Region(Protocol):
    """All values that cannot be ruled out."""

    def __contains__(self, value: Any) -> bool:  # noqa: ANN401 - whatever the kind tells
        """Say if a value lies in it."""

    def tells(self, value: object) -> bool:
        """Say if a table may tell a value by itself beside it."""
        return value is not None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""

    def columns(self) -> dict[str, Any]:
        """Return what a table says of it, by column."""

    def words(self, told: str, units: str, level: float) -> RegionWords:
        """Say it to a person; `told` is the value in words."""

    def overlay(self) -> NDArray[np.int8] | None:
        """Labels (z, y, x) to lay over what was read, OUTSIDE where nothing was; None where it lies nowhere."""
        return None


def figure(value: float) -> str:
    """A number as people read it: three digits, or all before the point."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Pooled latents of a batch (batch, dim); for a head that reads tokens all latents, and what they were cut from."""

    pooled: Tensor
    latents: Latents | None = None
    patches: Patches | None = None


class Head(nn.Module, ABC):
    """A distribution (batch,) of what the trunk makes of a batch.

    `reads_tokens` says that it wants each token's latents, and the patches that these came from, as the decoder of a
    mask does; others read pooled latents alone, which a frozen trunk makes once.
    """

    reads_tokens: ClassVar[bool] = False

    @abstractmethod
    def forward(self, reading: Reading) -> Distribution:
        """Return the distribution of what is read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss:
    """A sum over cases and what it is to be divided by, so that uneven batches can be joined."""

    total: Tensor
    count: Tensor | int

    def mean(self) -> Tensor:
        """The loss of a case."""
        return self.total / self.count


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What a member knows of cases (cases,) before the trunk is asked.

    `past` is the preparation's offset, in the columns of the truth where that has several; `plain` is what its fallback
    adds, (cases, findings) of several; `frame` is what `standardise` gave in training.
    """

    past: Array
    plain: Array
    frame: Mapping[str, float]

    def rows(self, chosen: NDArray[np.intp]) -> "Known":
        """Return the chosen cases."""
        return Known(past=self.past[chosen], plain=self.plain[chosen], frame=self.frame)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric of points, and over what it is taken: as the protocol says, over each group by itself, or pooled."""

    metric: Metric
    over: Literal["protocol", "groups", "pooled"] = "protocol"


@dataclass(frozen=True, kw_only=True, eq=False)
class Regions:
    """Cases with what was told of them, the quantiles of their regions at a level, and their truth."""

    told: Outputs
    truth: Array
    quantile: Array
    level: float


__all__ = [
    "Array", "Blend", "Head", "Known", "Loss", "Measure", "Outputs", "Reading", "Region", "RegionWords", "Regions",
    "Specs", "figure",
]  # fmt: skip
