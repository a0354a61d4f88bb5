"""Heads: from latents to a distribution."""

from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal
from torch.nn import functional as F

from mainstem.core.trunk import Latents

SMALLEST_SCALE = 1e-3  # of a standardised target; keeps the likelihood finite


class ScalarHead(nn.Module):
    """A normal distribution (batch,) over one standardised quantity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 2)

    def forward(self, latents: Latents) -> Distribution:
        """Return a Normal; its scale is a softplus, never below SMALLEST_SCALE."""
        return self.of_pooled(latents.pooled)

    def of_pooled(self, pooled: Tensor) -> Distribution:
        """Return the same of pooled latents (batch, dim)."""
        mean, raw = self.linear(pooled).unbind(-1)
        return Normal(mean, F.softplus(raw) + SMALLEST_SCALE)


class ClassHead(nn.Module):
    """A categorical distribution (batch,) over classes."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, num_classes)

    def forward(self, latents: Latents) -> Distribution:
        """Return a Categorical over the classes."""
        logits: Tensor = self.linear(latents.pooled)
        return Categorical(logits=logits)
