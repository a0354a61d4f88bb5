"""The trunk: one pre-norm transformer that every stream passes; read it top to bottom.

Choices: LayerNorm before attention and MLP, exact GELU, fused q, k, v with biases, learned registers that are always
valid (so that a sample whose every stream is missing still has something to attend to), an added embedding a stream,
and rotary positions on continuous coordinates. Weights are float32 unless the caller casts them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.errors import InputError
from mainstem.core.lora import AdaptedLinear
from mainstem.core.tokens import TokenBatch

Pooling = Literal["cls", "mean_norm", "norm_mean"]


@dataclass(frozen=True, kw_only=True)
class RotaryAxis:
    """The share of a head that turns with one coordinate, and the periods it covers, log-spaced, ends included.

    Source: Su et al. 2021, RoFormer, section 3.2; here with real coordinates and periods in their units.
    """

    pairs: int
    shortest: float
    longest: float

    def frequencies(self) -> Tensor:
        """Angular frequencies (pairs,) float64, radians a unit."""
        periods = torch.logspace(math.log10(self.shortest), math.log10(self.longest), self.pairs, dtype=torch.float64)
        return 2 * math.pi / periods


MILLISECOND, DECADE = 4e-3, 4e8  # shortest and longest period of time, seconds: Nyquist of 500 Hz, twelve years


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Shape of a trunk; `time` and `space` (one of z, y, x) say how a head's rotary pairs are shared."""

    dim: int
    depth: int
    num_heads: int
    hidden: int
    num_streams: int = 64  # stream embeddings to draw on
    num_registers: int = 4
    norm_eps: float = 1e-6
    dropout: float = 0.0
    pooling: Pooling = "norm_mean"
    time: RotaryAxis
    space: RotaryAxis

    def __post_init__(self) -> None:
        pairs = self.time.pairs + 3 * self.space.pairs
        if self.dim % self.num_heads or 2 * pairs > self.dim // self.num_heads:
            raise InputError(f"a head of {self.dim}/{self.num_heads} cannot hold {pairs} rotary pairs; lower them")


def _size(dim: int, depth: int, num_heads: int, time_pairs: int, space_pairs: int) -> TrunkConfig:
    return TrunkConfig(
        dim=dim,
        depth=depth,
        num_heads=num_heads,
        hidden=4 * dim,
        time=RotaryAxis(pairs=time_pairs, shortest=MILLISECOND, longest=DECADE),
        space=RotaryAxis(pairs=space_pairs, shortest=1e-2, longest=1e6),
    )


SIZES = {  # ti, s and b have the widths of DeiT (Touvron et al. 2021, table 1); xs is for tables on a laptop
    "xs": _size(64, 3, 2, 10, 2),
    "ti": _size(192, 12, 3, 17, 5),
    "s": _size(384, 12, 6, 17, 5),
    "b": _size(768, 12, 12, 17, 5),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Latents:
    """What the trunk makes of a TokenBatch: `tokens` (batch, tokens, dim), `pooled` (batch, dim), the rest as given.

    `layers` holds the tokens after each block that `return_layers` named, not normed.
    """

    tokens: Tensor
    pooled: Tensor
    positions: Tensor
    stream: Tensor
    mask: Tensor
    layers: tuple[Tensor, ...] = ()


def rotary_phases(positions: Tensor, config: TrunkConfig) -> tuple[Tensor, Tensor]:
    """Cosine and sine (batch, 1, tokens, pairs) of positions (batch, tokens, 4); phases in float64, then cast."""
    time, space = config.time.frequencies(), config.space.frequencies()
    axes = [positions[..., :1] * time, *(positions[..., axis : axis + 1] * space for axis in (1, 2, 3))]
    phases = torch.cat(axes, -1).remainder(2 * math.pi).unsqueeze(1)
    return phases.cos().float(), phases.sin().float()


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the first 2 * pairs features of heads (batch, heads, tokens, head_dim), half-split; the rest stay."""
    pairs = cos.shape[-1]
    cos, sin = cos.to(heads.dtype), sin.to(heads.dtype)
    first, second, rest = heads[..., :pairs], heads[..., pairs : 2 * pairs], heads[..., 2 * pairs :]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], -1)


class Attention(nn.Module):
    """Multi-head attention over valid tokens."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = AdaptedLinear(config.dim, 3 * config.dim)
        self.out = AdaptedLinear(config.dim, config.dim)

    def forward(self, x: Tensor, key_mask: Tensor, phases: tuple[Tensor, Tensor], groups: Tensor | None) -> Tensor:
        """Attend from every token to the tokens that key_mask (batch, 1, 1, tokens) marks True."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x, groups).view(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key = rotate(qkv[0], *phases), rotate(qkv[1], *phases)
        mixed = F.scaled_dot_product_attention(query, key, qkv[2], attn_mask=key_mask)
        attended: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, dim), groups)
        return attended


class Block(nn.Module):
    """Norm, attention, norm, MLP, each added to the stream of tokens."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.dim, config.norm_eps)
        self.up = AdaptedLinear(config.dim, config.hidden)
        self.down = AdaptedLinear(config.hidden, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, key_mask: Tensor, phases: tuple[Tensor, Tensor], groups: Tensor | None) -> Tensor:
        """Return tokens of the same shape."""
        x = x + self.dropout(self.attention(self.norm1(x), key_mask, phases, groups))
        hidden = F.gelu(self.up(self.norm2(x), groups))
        added: Tensor = self.dropout(self.down(hidden, groups))
        return x + added


class Trunk(nn.Module):
    """The shared transformer; weights are drawn from `seed`, so that a trunk's hash is reproducible."""

    def __init__(self, config: TrunkConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.registers = nn.Parameter(torch.zeros(config.num_registers, config.dim))
        self.stream_embedding = nn.Embedding(config.num_streams, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, config.norm_eps)
        self._draw(torch.Generator().manual_seed(seed))

    def _draw(self, generator: torch.Generator) -> None:
        """Truncated normals of 0.02 for weights, zeros for biases (Touvron et al. 2021, DeiT, appendix)."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "norm" not in name:
                nn.init.trunc_normal_(parameter, std=0.02, generator=generator)

    def forward(
        self, tokens: TokenBatch, adapters: Sequence[str] | None = None, return_layers: Sequence[int] = ()
    ) -> Latents:
        """Pass tokens through the blocks.

        Args:
            tokens: (batch, tokens, dim) with positions and mask.
            adapters: a LoRA name a sample, or None for the bare trunk; a batch may mix names.
            return_layers: indices of blocks whose output is wanted as well.
        """
        batch, num = tokens.values.shape[0], self.config.num_registers
        registers = self.registers.expand(batch, -1, -1)
        x = torch.cat([registers, tokens.values + self.stream_embedding(tokens.stream)], 1)
        mask = F.pad(tokens.mask, (num, 0), value=True)
        phases = rotary_phases(F.pad(tokens.positions, (0, 0, num, 0)), self.config)
        groups = self._groups(adapters)
        layers: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x, mask[:, None, None], phases, groups)
            if index in return_layers:
                layers.append(x[:, num:])
        return Latents(
            tokens=self.norm(x)[:, num:],
            pooled=self._pool(x, mask),
            positions=tokens.positions,
            stream=tokens.stream,
            mask=tokens.mask,
            layers=tuple(layers),
        )

    def _pool(self, x: Tensor, mask: Tensor) -> Tensor:
        weight = mask.unsqueeze(-1).to(x.dtype)
        if self.config.pooling == "cls":
            return self._normed(x[:, 0])
        if self.config.pooling == "mean_norm":
            mean: Tensor = (self._normed(x) * weight).sum(1) / weight.sum(1)
            return mean
        return self._normed((x * weight).sum(1) / weight.sum(1))

    def _normed(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x)
        return normed

    def adapted_layers(self) -> dict[str, AdaptedLinear]:
        """The linear layers that LoRA can adapt, by module path."""
        return {name: module for name, module in self.named_modules() if isinstance(module, AdaptedLinear)}

    def has_lora(self, name: str) -> bool:
        """True where a LoRA of this name was added or loaded."""
        return name in next(iter(self.adapted_layers().values())).adapter_names()

    def _groups(self, adapters: Sequence[str] | None) -> Tensor | None:
        if adapters is None:
            return None
        known = self.blocks[0].attention.qkv.adapter_names()  # type: ignore[union-attr, operator]
        unknown = sorted(set(adapters) - set(known))
        if unknown:
            raise InputError(f"got LoRA {unknown[0]!r}, the trunk holds {known}; load it first")
        return torch.tensor([known.index(name) for name in adapters], device=self.registers.device)
