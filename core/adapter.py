"""Adapters: the tokenizer and the head of one task on the shared trunk."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mainstem.core.devices import Precision, in_precision
from mainstem.core.inference import pooled_each
from mainstem.core.lora import OWN
from mainstem.core.stream import Sample
from mainstem.core.targets.parts import Head, Reading
from mainstem.core.tokens import OpenTokenizer, Patches, weights_device
from mainstem.core.trunk import Trunk

Augment = Callable[[Patches, Tensor, torch.Generator], tuple[Patches, Tensor]]  # of a batch and its aims, seeded
POOLED = "pooled"  # the part of patches whose features were computed before: the head alone is left to run


class Adapter(nn.Module):
    """A tokenizer, a head, and the name of its LoRA, if any, on the trunk, which is shared and handed in.

    `augment` changes batches and their aims in training, as by turning a picture; None leaves them as they are.
    """

    def __init__(self, tokenizer: OpenTokenizer, head: Head, lora: str = OWN, augment: Augment | None = None) -> None:
        super().__init__()
        self.tokenizer, self.head, self.lora, self.augment = tokenizer, head, lora, augment

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Check and stack the samples' streams; a missing stream stays missing."""
        return self.tokenizer.cut(samples)

    def lora_on(self, trunk: Trunk) -> str | None:
        """Return the name of its LoRA; None where the trunk holds none of this name."""
        return self.lora if trunk.has_lora(self.lora) else None

    def readings(
        self, patches: Patches, trunk: Trunk, loras: Sequence[str | None], precision: Precision = "float32"
    ) -> list[Reading]:
        """Return what the head reads with each LoRA, None for the bare trunk, on the weights' device.

        Tokens are made once for all LoRAs; features computed before are of one. Pooled latents are float32 whatever the
        precision.
        """
        device = weights_device(self)
        patches = patches.to(device)
        if POOLED in patches:
            return [Reading(pooled=patches[POOLED])]
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        with in_precision(device, precision):
            tokens = self.tokenizer.project(patches)
            if not self.head.reads_tokens:
                return [Reading(pooled=one) for one in pooled_each(trunk, tokens, loras, dtype).float()]
            every = [trunk(tokens, [lora] * len(tokens.mask)) for lora in loras]
        return [Reading(pooled=latents.pooled.float(), latents=latents, patches=patches) for latents in every]

    def told(self, reading: Reading, precision: Precision = "float32") -> Distribution:
        """Return the head's distribution (batch,), in standardised units of the target.

        A head of tokens, which is as large as a trunk, computes in the precision; one of pooled latents in float32.
        """
        with in_precision(reading.pooled.device, precision if self.head.reads_tokens else "float32"):
            found: Distribution = self.head(reading)
            return found

    def distribution(self, patches: Patches, trunk: Trunk, precision: Precision = "float32") -> Distribution:
        """Return the head's distribution (batch,) of what was cut."""
        return self.told(self.readings(patches, trunk, (self.lora_on(trunk),), precision)[0], precision)

    def has_frozen_tokenizer(self) -> bool:
        """True where the tokenizer came with the trunk and is not trained."""
        return not any(parameter.requires_grad for parameter in self.tokenizer.parameters())

    def forward(self, samples: Sequence[Sample], trunk: Trunk) -> Distribution:
        """Return the head's distribution (batch,) for samples."""
        return self.distribution(self.cut(samples), trunk)
