"""LoRA on the trunk's linear layers: many adapters in one batch, one a sample.

Source: Hu et al. 2021, LoRA, section 4.1: y = W x + (alpha / r) B A x, with B zero at the start.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mainstem.core.errors import ArtifactError

OWN = "adapter"  # the name of the one LoRA that an adapter's training adds to its trunk
ALPHA_PER_RANK = 2.0  # of a LoRA of our own; this project's choice, kept fixed as Hu et al. 2021, section 4.1, advise

if TYPE_CHECKING:
    from mainstem.core.trunk import Trunk


class AdaptedLinear(nn.Linear):
    """A linear layer that adds, where a sample names one, that adapter's low-rank update."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.lora_a = nn.ParameterDict()
        self.lora_b = nn.ParameterDict()
        self.lora_scale: dict[str, float] = {}

    def adapter_names(self) -> list[str]:
        """Names of the adapters held, in the order that group indices count."""
        return list(self.lora_scale)

    def add_adapter(self, name: str, rank: int, alpha: float, generator: torch.Generator) -> None:
        """Hold a new adapter: A uniform as in nn.Linear's own initialisation, B zero."""
        down = torch.empty(rank, self.in_features)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
        self.lora_a[name] = nn.Parameter(down)
        self.lora_b[name] = nn.Parameter(torch.zeros(self.out_features, rank))
        self.lora_scale[name] = alpha / rank

    def forward(self, x: Tensor, groups: Tensor | None = None) -> Tensor:
        """Map x (batch, tokens, in); groups (batch,) holds each sample's adapter index, or None for none."""
        base = super().forward(x)
        if groups is None or not self.lora_scale:
            return base
        names = self.adapter_names()
        widest = max(self.lora_a[name].shape[0] for name in names)
        down = torch.stack([_padded(self.lora_a[name], widest, 0) for name in names])
        up = torch.stack([_padded(self.lora_b[name] * self.lora_scale[name], widest, 1) for name in names])
        hidden = torch.bmm(x, down[groups].transpose(1, 2))
        return torch.baddbmm(base, hidden, up[groups].transpose(1, 2))


def _padded(weight: Tensor, rank: int, dim: int) -> Tensor:
    """Zero rows (or columns) up to `rank`: adapters of unequal rank share one product, the padding adds nothing."""
    missing = rank - weight.shape[dim]
    if not missing:
        return weight
    return nn.functional.pad(weight, (0, 0, 0, missing) if dim == 0 else (0, missing))


def add_lora(trunk: "Trunk", name: str, rank: int, alpha: float, seed: int = 0) -> list[nn.Parameter]:
    """Add one adapter to every linear layer of the trunk and return its parameters, to be trained."""
    generator = torch.Generator().manual_seed(seed)
    trained: list[nn.Parameter] = []
    for layer in trunk.adapted_layers().values():
        layer.add_adapter(name, rank, alpha, generator)
        trained += [layer.lora_a[name], layer.lora_b[name]]
    return trained


def remove_lora(trunk: "Trunk", name: str) -> None:
    """Drop an adapter from the trunk."""
    for layer in trunk.adapted_layers().values():
        del layer.lora_a[name], layer.lora_b[name], layer.lora_scale[name]


def lora_state(trunk: "Trunk", name: str) -> dict[str, Tensor]:
    """The adapter's weights by `layer.lora_A.weight` and `layer.lora_B.weight`, as PEFT names them."""
    state: dict[str, Tensor] = {}
    for path, layer in trunk.adapted_layers().items():
        state[f"{path}.lora_A.weight"] = layer.lora_a[name].detach()
        state[f"{path}.lora_B.weight"] = layer.lora_b[name].detach()
    return state


def load_lora(trunk: "Trunk", name: str, state: Mapping[str, Tensor], alpha: float) -> None:
    """Load weights that `lora_state` gave; a missing or left-over key is an error."""
    layers = trunk.adapted_layers()
    wanted = {f"{path}.lora_{side}.weight" for path in layers for side in "AB"}
    if wanted != set(state):
        odd = sorted(wanted ^ set(state))
        raise ArtifactError(f"LoRA {name!r} does not fit the trunk: {len(odd)} keys differ, first {odd[0]}")
    for path, layer in layers.items():
        down, up = state[f"{path}.lora_A.weight"], state[f"{path}.lora_B.weight"]
        layer.lora_a[name], layer.lora_b[name] = nn.Parameter(down.clone()), nn.Parameter(up.clone())
        layer.lora_scale[name] = alpha / down.shape[0]
