"""Adapters: the tokenizer and the head of one task on the shared trunk."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mainstem.core.devices import Precision, in_precision
from mainstem.core.inference import pooled_each
from mainstem.core.lora import OWN
from mainstem.core.stream import Sample
from mainstem.core.targets.parts import Head
from mainstem.core.tokens import OpenTokenizer, Patches, weights_device
from mainstem.core.trunk import Trunk

POOLED = "pooled"  # the part of patches whose features were computed before: the head alone is left to run


class Adapter(nn.Module):
    """A tokenizer, a head, and the name of its LoRA, if any, on the trunk, which is shared and handed in."""

    def __init__(self, tokenizer: OpenTokenizer, head: Head, lora: str = OWN) -> None:
        super().__init__()
        self.tokenizer, self.head, self.lora = tokenizer, head, lora

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Check and stack the samples' streams; a missing stream stays missing."""
        return self.tokenizer.cut(samples)

    def lora_on(self, trunk: Trunk) -> str | None:
        """Return the name of its LoRA; None where the trunk holds none of this name."""
        return self.lora if trunk.has_lora(self.lora) else None

    def pooled(
        self, patches: Patches, trunk: Trunk, loras: Sequence[str | None], precision: Precision = "float32"
    ) -> Tensor:
        """Return what heads read (loras, batch, dim), on the weights' device, float32 whatever the precision.

        Tokens are made once for all LoRAs, None for the bare trunk; features computed before are of one.
        """
        device = weights_device(self)
        patches = patches.to(device)
        if POOLED in patches:
            return patches[POOLED][None]
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        with in_precision(device, precision):
            return pooled_each(trunk, self.tokenizer.project(patches), loras, dtype).float()

    def distribution(self, patches: Patches, trunk: Trunk, precision: Precision = "float32") -> Distribution:
        """Return the head's distribution (batch,), in standardised units of the target."""
        return self.head.of_pooled(self.pooled(patches, trunk, (self.lora_on(trunk),), precision)[0])

    def has_frozen_tokenizer(self) -> bool:
        """True where the tokenizer came with the trunk and is not trained."""
        return not any(parameter.requires_grad for parameter in self.tokenizer.parameters())

    def forward(self, samples: Sequence[Sample], trunk: Trunk) -> Distribution:
        """Return the head's distribution (batch,) for samples."""
        return self.distribution(self.cut(samples), trunk)
