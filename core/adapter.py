"""Adapters: the tokenizer and the head of one task on the shared trunk."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.distributions import Distribution

from mainstem.core.devices import Precision, in_precision
from mainstem.core.inference import pooled_of
from mainstem.core.stream import Sample
from mainstem.core.targets.base import Head
from mainstem.core.tokens import OpenTokenizer, Patches, weights_device
from mainstem.core.trunk import Trunk

POOLED = "pooled"  # the part of patches whose features were computed before: the head alone is left to run


class Adapter(nn.Module):
    """A tokenizer and a head; the trunk is shared and handed in."""

    def __init__(self, tokenizer: OpenTokenizer, head: Head) -> None:
        super().__init__()
        self.tokenizer, self.head = tokenizer, head

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Check and stack the samples' streams; a missing stream stays missing."""
        return self.tokenizer.cut(samples)

    def distribution(
        self, patches: Patches, trunk: Trunk, lora: str | None = None, precision: Precision = "float32"
    ) -> Distribution:
        """Return the head's distribution (batch,), in standardised units of the target, on the weights' device.

        Whatever the precision of tokens and trunk, the head and its distribution are float32.
        """
        device = weights_device(self)
        patches = patches.to(device)
        if POOLED in patches:
            return self.head.of_pooled(patches[POOLED])
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        with in_precision(device, precision):
            tokens = self.tokenizer.project(patches)
            pooled = pooled_of(trunk, tokens, lora, dtype)
        return self.head.of_pooled(pooled.float())

    def has_frozen_tokenizer(self) -> bool:
        """True where the tokenizer came with the trunk and is not trained."""
        return not any(parameter.requires_grad for parameter in self.tokenizer.parameters())

    def forward(self, samples: Sequence[Sample], trunk: Trunk, lora: str | None = None) -> Distribution:
        """Return the head's distribution (batch,) for samples."""
        return self.distribution(self.cut(samples), trunk, lora)
