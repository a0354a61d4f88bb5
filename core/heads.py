"""Heads: from latents to a distribution."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal
from torch.nn import functional as F

from mainstem.core.trunk import Latents

SMALLEST_SCALE = 1e-3  # of a standardised target; keeps the likelihood finite


class Head(nn.Module, ABC):
    """A distribution (batch,) of what pooled latents say."""

    @abstractmethod
    def of_pooled(self, pooled: Tensor) -> Distribution:
        """Return the distribution of pooled latents (batch, dim)."""

    def forward(self, latents: Latents) -> Distribution:
        """Return the distribution of latents."""
        return self.of_pooled(latents.pooled)


class ScalarHead(Head):
    """A normal distribution (batch,) over one standardised quantity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 2)

    def of_pooled(self, pooled: Tensor) -> Distribution:
        """Return a Normal; its scale is a softplus, never below SMALLEST_SCALE."""
        mean, raw = self.linear(pooled).unbind(-1)
        return Normal(mean, F.softplus(raw) + SMALLEST_SCALE)


class ClassHead(Head):
    """A categorical distribution (batch,) over classes."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, num_classes)

    def of_pooled(self, pooled: Tensor) -> Distribution:
        """Return a Categorical over the classes."""
        logits: Tensor = self.linear(pooled)
        return Categorical(logits=logits)
