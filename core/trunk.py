"""The trunk: one pre-norm transformer that every stream and every open encoder passes; read it top to bottom.

Fixed: LayerNorm before attention and MLP, fused q, k, v, scale head_dim^-0.5. Of the project's own: exact GELU,
learned registers that are always valid (so that a sample whose every stream is missing still has something to attend
to), and rotary positions on continuous coordinates. Open encoders set the switches of `TrunkConfig` and bring class
tokens, registers and added positions from their tokenizer, as the project's own bring a code a stream. Weights are
float32 unless the caller casts them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.errors import InputError
from mainstem.core.lora import AdaptedLinear, LoraRows
from mainstem.core.packing import owners_of, unpacked, within
from mainstem.core.tokens import TokenBatch
from mainstem.core.trunk_config import Activation, TrunkConfig

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}
SHORT = 1024  # tokens up to which plain products beat fused attention in bfloat16 training on a CPU


@dataclass(frozen=True, kw_only=True, eq=False)
class Latents:
    """What the trunk makes of a TokenBatch: `tokens` (batch, tokens, dim), `pooled` (samples, dim), the rest as given.

    `layers` holds the tokens after each block that `return_layers` named, not normed.
    """

    tokens: Tensor
    pooled: Tensor
    positions: Tensor
    stream: Tensor
    mask: Tensor
    sample: Tensor | None = None
    cell: Tensor | None = None
    layers: tuple[Tensor, ...] = ()


class Phases(NamedTuple):
    """Factors (batch, tokens, 1, 1, head_dim) of a head's features: as they are, and each pair's halves swapped."""

    kept: Tensor
    swapped: Tensor
    pairs: int


def rotary_phases(positions: Tensor, config: TrunkConfig) -> Phases | None:
    """Cosine and signed sine of positions (batch, tokens, 4); phases in float64, then cast. What has none stays."""
    axes = []
    if config.time is not None:
        axes.append(positions[..., :1] * config.time.frequencies().to(positions.device))
    if config.space is not None:
        space = config.space.frequencies().to(positions.device)
        axes += [positions[..., axis : axis + 1] * space for axis in range(4 - config.space_axes, 4)]
    if not axes:
        return None
    phases = torch.cat(axes, -1).remainder(2 * math.pi)
    cos, sin, pairs = phases.cos().float(), phases.sin().float(), phases.shape[-1]
    rest = 0, config.dim // config.num_heads - 2 * pairs
    kept, swapped = F.pad(torch.cat([cos, cos], -1), rest, value=1.0), F.pad(torch.cat([-sin, sin], -1), rest)
    return Phases(kept[:, :, None, None], swapped[:, :, None, None], pairs)


def rotate(heads: Tensor, phases: Phases) -> Tensor:
    """Turn the pairs of heads (batch, tokens, any, any, head_dim), whose halves come first; the rest stays.

    Over the whole width: products of a head's first few features alone take twice as long, with their gradients.
    """
    kept, swapped, pairs = phases.kept.to(heads.dtype), phases.swapped.to(heads.dtype), phases.pairs
    first, second, rest = torch.split(heads, [pairs, pairs, heads.shape[-1] - 2 * pairs], -1)
    return heads * kept + torch.cat([second, first, rest], -1) * swapped


def attend(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention (batch, heads, tokens, head_dim).

    On a CPU the fused backward in bfloat16 takes three times as long as plain products, so training there uses those.
    """
    plain = query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad
    if not plain or key.shape[2] > SHORT:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=key_mask)
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-2, -1))
    if key_mask is not None:
        scores = scores.masked_fill(~key_mask, float("-inf"))
    return torch.matmul(scores.softmax(-1), value)


class Attention(nn.Module):
    """Multi-head attention over valid tokens."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = AdaptedLinear(config.dim, 3 * config.dim, blocks=("q", "k", "v"))
        self.out = AdaptedLinear(config.dim, config.dim)
        if not config.key_bias:
            self.qkv.hold_bias("k")

    def forward(self, x: Tensor, key_mask: Tensor | None, phases: Phases | None, loras: LoraRows | None) -> Tensor:
        """Attend from every token to those that key_mask (batch, 1, 1 or tokens, tokens) marks True; None marks all."""
        batch, tokens, dim = x.shape
        turned, value = torch.split(self.qkv(x, loras).view(batch, tokens, 3, self.num_heads, -1), [2, 1], 2)
        if phases is not None:
            turned = rotate(turned, phases)
        query, key = turned.transpose(1, 3).unbind(2)  # (batch, heads, tokens, head_dim) each
        mixed = attend(query, key, value.squeeze(2).transpose(1, 2), key_mask)
        attended: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, dim), loras)
        return attended


class Mlp(nn.Module):
    """Two linear layers around the activation; gated, the first holds the rows of the gate, then of the value."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.activation, self.gated = ACTIVATIONS[config.activation], config.gated
        blocks = ("gate", "value") if config.gated else ()
        self.up = AdaptedLinear(config.dim, config.hidden * (2 if config.gated else 1), blocks=blocks)
        self.down = AdaptedLinear(config.hidden, config.dim)

    def forward(self, x: Tensor, loras: LoraRows | None = None) -> Tensor:
        """Return features of the same shape."""
        hidden = self.up(x, loras)
        if self.gated:
            gate, value = hidden.chunk(2, -1)
            hidden = self.activation(gate) * value
        else:
            hidden = self.activation(hidden)
        mapped: Tensor = self.down(hidden, loras)
        return mapped


class Block(nn.Module):
    """Norm, attention, norm, MLP, each (scaled, where the config says so and) added to the stream of tokens."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.dim, config.norm_eps)
        self.mlp = Mlp(config)
        self.dropout = nn.Dropout(config.dropout)
        self.scale1 = nn.Parameter(torch.ones(config.dim)) if config.layer_scale else None
        self.scale2 = nn.Parameter(torch.ones(config.dim)) if config.layer_scale else None

    def forward(self, x: Tensor, key_mask: Tensor | None, phases: Phases | None, loras: LoraRows | None) -> Tensor:
        """Return tokens of the same shape."""
        x = x + self._scaled(self.attention(self.norm1(x), key_mask, phases, loras), self.scale1)
        return x + self._scaled(self.mlp(self.norm2(x), loras), self.scale2)

    def _scaled(self, added: Tensor, scale: Tensor | None) -> Tensor:
        dropped: Tensor = self.dropout(added)
        return dropped if scale is None else dropped * scale


class AttentionPool(nn.Module):
    """A learned probe that attends to all tokens, then an MLP; the probe itself is not added.

    Source: Zhai et al. 2022, Scaling Vision Transformers, section 3.2 (MAP head), as SigLIP's towers use it.
    """

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.probe = nn.Parameter(torch.zeros(config.dim))
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.norm = nn.LayerNorm(config.dim, config.norm_eps)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor, key_mask: Tensor | None) -> Tensor:
        """Pool normed tokens (batch, tokens, dim) to (batch, dim)."""
        batch, _, dim = x.shape
        query = F.linear(self.probe, self.qkv.weight[:dim], self.qkv.bias[:dim])
        key, value = F.linear(x, self.qkv.weight[dim:], self.qkv.bias[dim:]).chunk(2, -1)
        mixed = attend(self._heads(query.expand(batch, 1, dim)), self._heads(key), self._heads(value), key_mask)
        mixed = self.out(mixed.transpose(1, 2).reshape(batch, dim))
        pooled: Tensor = mixed + self.mlp(self.norm(mixed))
        return pooled

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)


class Trunk(nn.Module):
    """The shared transformer; weights are drawn from `seed`, so that a trunk's hash is reproducible."""

    def __init__(self, config: TrunkConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        num = config.num_registers
        self.registers = nn.Parameter(torch.zeros(num, config.dim)) if num else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, config.norm_eps)
        self.pool = AttentionPool(config) if config.pooling == "map" else None
        self.project = nn.Linear(config.dim, config.project) if config.project else None
        self._draw(torch.Generator().manual_seed(seed))

    def _draw(self, generator: torch.Generator) -> None:
        """Truncated normals of 0.02 for weights, zeros for biases (Touvron et al. 2021, DeiT, appendix)."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "norm" not in name and "scale" not in name:
                nn.init.trunc_normal_(parameter, std=0.02, generator=generator)

    def forward(
        self, tokens: TokenBatch, adapters: Sequence[str | None] | None = None, return_layers: Sequence[int] = ()
    ) -> Latents:
        """Pass tokens through the blocks.

        Args:
            tokens: (batch, tokens, dim) with positions and mask.
            adapters: a LoRA's name a row, None where it passes the bare trunk; a batch may mix them.
            return_layers: indices of blocks whose output is wanted as well.
        """
        x, mask, sample = self._prefixed(tokens)
        num = x.shape[1] - tokens.mask.shape[1]
        key_mask = None if tokens.is_dense else mask[:, None, None] if sample is None else within(sample, mask)
        phases = rotary_phases(F.pad(tokens.positions, (0, 0, num, 0)), self.config)
        loras = self.lora_rows(adapters)
        layers: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x, key_mask, phases, loras)
            if index in return_layers:
                layers.append(x[:, num:])
        normed = self.norm(x)
        pooled = self._pool(x, normed, mask, key_mask) if sample is None else self._pool_each(x, normed, mask, sample)
        return Latents(
            tokens=normed[:, num:],
            pooled=pooled,
            positions=tokens.positions,
            stream=tokens.stream,
            mask=tokens.mask,
            sample=tokens.sample,
            cell=tokens.cell,
            layers=tuple(layers),
        )

    def _prefixed(self, tokens: TokenBatch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the tokens after the trunk's own registers, their mask and, of packed rows, their samples.

        Each sample of a packed row has registers of its own, all of them before the row's tokens.
        """
        x, mask, sample = tokens.values, tokens.mask, tokens.sample
        if self.registers is None:
            return x, mask, sample
        if sample is None:
            num = len(self.registers)
            return torch.cat([self.registers.expand(len(x), -1, -1), x], 1), F.pad(mask, (num, 0), value=True), None
        owners = owners_of(sample)
        registers = self.registers.repeat(owners.shape[1], 1).expand(len(x), -1, -1)
        owners = owners.repeat_interleave(len(self.registers), 1)
        return torch.cat([registers, x], 1), torch.cat([owners >= 0, mask], 1), torch.cat([owners, sample], 1)

    def _pool_each(self, x: Tensor, normed: Tensor, mask: Tensor, sample: Tensor) -> Tensor:
        """Pool the tokens of packed rows by sample to (samples, dim).

        Raises:
            InputError: if the last position is pooled, which is a row's, not a sample's.
        """
        if self.config.pooling == "last":
            raise InputError("this model pools the last position of a row, padded or not; give it rows of one sample")
        index, present = unpacked(sample)
        apart = present & mask.flatten()[index]
        return self._pool(x.flatten(0, 1)[index], normed.flatten(0, 1)[index], apart, apart[:, None, None])

    def _pool(self, x: Tensor, normed: Tensor, mask: Tensor, key_mask: Tensor | None) -> Tensor:
        """Pool the last block's tokens x, and x normed, to (batch, dim), or (batch, project)."""
        pooling, prefix = self.config.pooling, self.config.num_prefix
        weight = mask[:, prefix:].unsqueeze(-1).to(x.dtype)
        if pooling == "map":
            assert self.pool is not None
            pooled = self.pool(normed, key_mask)
        elif pooling in ("cls", "last"):
            pooled = normed[:, 0 if pooling == "cls" else -1]
        elif pooling == "mean_norm":
            pooled = (normed[:, prefix:] * weight).sum(1) / weight.sum(1).clamp(min=1)
        else:
            pooled = self.norm((x[:, prefix:] * weight).sum(1) / weight.sum(1).clamp(min=1))
        projected: Tensor = pooled if self.project is None else self.project(pooled)
        return projected

    def adapted_layers(self) -> dict[str, AdaptedLinear]:
        """The linear layers that LoRA can adapt, by module path."""
        return {name: module for name, module in self.named_modules() if isinstance(module, AdaptedLinear)}

    def has_lora(self, name: str) -> bool:
        """True where a LoRA of this name was added or loaded."""
        return name in next(iter(self.adapted_layers().values())).adapter_names()

    def lora_rows(self, adapters: Sequence[str | None] | None) -> LoraRows | None:
        """Return which of the LoRAs held each sample passes; None where none passes any.

        Raises:
            InputError: if one is not held.
        """
        names = [name for name in dict.fromkeys(adapters or ()) if name is not None]
        if adapters is None or not names:
            return None
        held = next(iter(self.adapted_layers().values())).adapter_names()
        unknown = sorted(set(names) - set(held))
        if unknown:
            raise InputError(f"got LoRA {unknown[0]!r}, the trunk holds {held}; load it first")
        places = [0 if name is None else 1 + names.index(name) for name in adapters]
        index = torch.tensor(places, device=self.norm.weight.device)
        return LoraRows(tuple(names), index)
