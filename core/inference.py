"""Trunks at inference: many samples whose tokens stand at the same places, as a tile's pixels do.

What does not depend on a sample is folded into the weights once: a token's rotation, the scale of attention and a LoRA
into its projections, the gain of a norm into the product that follows. Every norm takes the mean over features away, so
what is added to the tokens is made free of it, and norms only divide. Where tokens are averaged at the end, the last
product of the last block comes after the mean. The result is the trunk's up to rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mainstem.core.lora import AdaptedLinear
from mainstem.core.tokens import TokenBatch
from mainstem.core.trunk import ACTIVATIONS, Block, Phases, Trunk, rotary_phases, rotate
from mainstem.core.trunk_config import TrunkConfig

AT_ONCE = 2 << 20  # bytes of the widest layer: more would not stay in a core's cache
LARGEST_SCORE = 40.0  # exp(40) is 2e17: sums of values up to 1e18 stay in float32, as does the smallest weight
FEWEST = 64  # samples of a kind that folding pays for
TOGETHER = 1 << 11  # tokens up to which rows of several LoRAs pass the trunk as one batch; more gain nothing on a CPU


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """x @ weight + bias, for all tokens (in, out), or one a token (tokens, in, out) with bias (tokens, 1, out)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map x (tokens, samples, in)."""
        if self.weight.ndim == 3:
            return torch.baddbmm(self.bias, x, self.weight)
        mapped: Tensor = F.linear(x, self.weight.T, self.bias)
        return mapped

    def to(self, dtype: torch.dtype) -> "Product":
        """Return it in a precision, its weight laid out as products want it."""
        weight = self.weight.to(dtype)
        laid = weight.contiguous() if weight.ndim == 3 else weight.T.contiguous().T
        return Product(weight=laid, bias=self.bias.to(dtype))


@dataclass(frozen=True, kw_only=True, eq=False)
class Folded:
    """A block's products: query, key and value, attention's output, and the MLP's two."""

    heads: Product
    out: Product
    up: Product
    down: Product


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldedTrunk:
    """A trunk for tokens that stand at `positions` (tokens, 4), with one LoRA or none, in a precision.

    Tokens are summed up in float32; products and attention's weights are of `dtype`.
    """

    trunk: Trunk
    blocks: tuple[Folded, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, trunk: Trunk, positions: Tensor, lora: str | None, dtype: torch.dtype) -> "FoldedTrunk":
        """Fold a trunk's weights."""
        num = 0 if trunk.registers is None else len(trunk.registers)
        phases = rotary_phases(F.pad(positions, (0, 0, num, 0))[None], trunk.config)
        folded = [_folded(block, trunk.config, phases, lora) for block in trunk.blocks if isinstance(block, Block)]
        cast = [Folded(**{name: product.to(dtype) for name, product in vars(block).items()}) for block in folded]
        return cls(trunk=trunk, blocks=tuple(cast), dtype=dtype)

    def pooled(self, values: Tensor) -> Tensor:
        """Return pooled latents (samples, dim) of tokens (samples, tokens, dim)."""
        trunk, config = self.trunk, self.trunk.config
        x = values.transpose(0, 1)
        if trunk.registers is not None:
            x = torch.cat([trunk.registers[:, None].expand(-1, x.shape[1], -1), x])
        x = x - x.mean(-1, keepdim=True)
        for block in self.blocks[:-1]:
            x = self._attended(x, block)
            x = x + block.down(self._hidden(x, block))
        return self._pooled(self._attended(x, self.blocks[-1]), self.blocks[-1], config)

    def _pooled(self, x: Tensor, last: Folded, config: TrunkConfig) -> Tensor:
        if config.pooling in ("cls", "last"):
            row = slice(0, 1) if config.pooling == "cls" else slice(-1, None)
            x = x[row]
        elif config.pooling == "mean_norm":
            x = x[config.num_prefix :]
        hidden = self._hidden(x, last)
        if config.pooling == "norm_mean":
            x, hidden = (_averaged(part[config.num_prefix :]) for part in (x, hidden))
        pooled: Tensor = self.trunk.norm((x + last.down(hidden)).float()).mean(0)
        return pooled if self.trunk.project is None else self.trunk.project(pooled)

    def _normed(self, x: Tensor) -> Tensor:
        """Tokens over the root of their mean square; their mean is none."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(self.trunk.config.norm_eps).rsqrt_()
        return torch.mul(x, scale, out=torch.empty(x.shape, dtype=self.dtype, device=x.device))

    def _hidden(self, x: Tensor, block: Folded) -> Tensor:
        hidden = block.up(self._normed(x))
        activation = ACTIVATIONS[self.trunk.config.activation]
        if not self.trunk.config.gated:
            return activation(hidden)
        gate, value = hidden.chunk(2, -1)
        return activation(gate) * value

    def _attended(self, x: Tensor, block: Folded) -> Tensor:
        tokens, num, dim = x.shape
        heads = block.heads(self._normed(x)).view(tokens, num, 3, self.trunk.config.num_heads, -1)
        query, key, value = heads.permute(2, 1, 3, 0, 4).flatten(1, 2)  # (samples * heads, tokens, head_dim) each
        mixed = mix(torch.bmm(query, key.transpose(1, 2)), value).view(num, -1, tokens, dim // heads.shape[3])
        return x + block.out(mixed.permute(2, 0, 1, 3).reshape(tokens, num, dim))


def mix(scores: Tensor, value: Tensor) -> Tensor:
    """Values (batch, tokens, head_dim) weighed by the softmax of scores (batch, tokens, tokens).

    Where no exponential leaves float32, a few dozen tokens need no maximum a row: a softmax over a dozen takes four
    times as long as its exponentials and a product for the sum.
    """
    scores = scores.float()
    low, high = torch.aminmax(scores)
    if not (float(low) >= -LARGEST_SCORE and float(high) <= LARGEST_SCORE):  # NaN of one sample says nothing of others
        return torch.bmm(torch.softmax(scores, -1).to(value.dtype), value)
    weights = scores.exp_()
    sums = torch.mm(weights.flatten(0, 1), weights.new_ones(weights.shape[2], 1)).view(*weights.shape[:2], 1)
    return torch.bmm(weights.to(value.dtype), value).div_(sums)


def _averaged(x: Tensor) -> Tensor:
    """The mean over tokens (1, samples, dim), as a product: a sum in bfloat16 would take ten times as long."""
    total = torch.mm(x.new_ones(1, len(x)), x.flatten(1))
    return total.view(1, *x.shape[1:]) / len(x)


def _folded(block: Block, config: TrunkConfig, phases: Phases | None, lora: str | None) -> Folded:
    attention, mlp = block.attention, block.mlp
    num, head_dim = config.num_heads, config.dim // config.num_heads
    weight, bias = _after_norm(*_weights(attention.qkv, lora), block.norm1)
    weight, bias = (torch.cat([part[: config.dim] * head_dim**-0.5, part[config.dim :]]) for part in (weight, bias))
    heads = Product(weight=weight.T, bias=bias)
    if phases is not None:
        stacked = torch.cat([weight.T, bias[None]]).view(1, 1, -1, 3 * num, head_dim)
        stacked = stacked.expand(-1, phases.kept.shape[1], -1, -1, -1)
        each = torch.cat([rotate(stacked[..., : 2 * num, :], phases), stacked[..., 2 * num :, :]], 3)[0].flatten(2)
        heads = Product(weight=each[:, :-1], bias=each[:, -1:])
    up, up_bias = _after_norm(*_weights(mlp.up, lora), block.norm2)
    return Folded(
        heads=heads,
        out=_added(*_weights(attention.out, lora), block.scale1),
        up=Product(weight=up.T, bias=up_bias),
        down=_added(*_weights(mlp.down, lora), block.scale2),
    )


def _weights(layer: AdaptedLinear, lora: str | None) -> tuple[Tensor, Tensor]:
    """A layer's weight (out, in) and bias, a LoRA's update in them."""
    weight: Tensor = layer.weight
    bias: Tensor = layer.bias
    if layer.free_bias is not None:
        bias = bias * layer.free_bias
    for update in layer.updates(lora) if lora is not None else ():
        changed = F.pad(
            update.b @ update.a * update.scale, (0, 0, update.start, len(weight) - update.start - len(update.b))
        )
        weight = weight + changed
    return weight, bias


def _after_norm(weight: Tensor, bias: Tensor, norm: torch.nn.LayerNorm) -> tuple[Tensor, Tensor]:
    return weight * norm.weight, bias + weight @ norm.bias


def _added(weight: Tensor, bias: Tensor, scale: Tensor | None) -> Product:
    """What is added to the tokens, scaled, without its mean over features."""
    if scale is not None:
        weight, bias = weight * scale[:, None], bias * scale
    return Product(weight=(weight - weight.mean(0)).T, bias=bias - bias.mean())


def pooled_of(trunk: Trunk, tokens: TokenBatch, lora: str | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the pooled latents (batch, dim) that the trunk, with one LoRA or none, makes of tokens."""
    return pooled_each(trunk, tokens, (lora,), dtype)[0]


def pooled_each(
    trunk: Trunk, tokens: TokenBatch, loras: Sequence[str | None], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the pooled latents (loras, batch, dim) that the trunk makes of tokens with each LoRA, None for none.

    Where nothing is learned, samples whose valid tokens come first and stand at the same places run together, folded;
    few of a kind, and all else, pass the trunk itself.

    Raises:
        InputError: if the trunk lacks a LoRA.
    """
    trunk.lora_rows(loras)  # a folded trunk would not say which one lacks
    if not len(tokens.mask):
        return tokens.values.new_empty(len(loras), 0, trunk.config.project or trunk.config.dim)
    is_own = trunk.config.pooling in ("map", "last") or not len(trunk.blocks) or tokens.sample is not None
    if torch.is_grad_enabled() or trunk.training or is_own or len(tokens.mask) < FEWEST:
        return _pooled_by_trunk(trunk, tokens, loras)
    found = None
    for rows, folded in _kinds(trunk, tokens):
        if folded:
            made = _pooled_alike(trunk, tokens, rows, (loras, dtype))
        else:
            made = _pooled_by_trunk(trunk, tokens.rows(rows), loras)
        found = made.new_empty(len(loras), len(tokens.mask), made.shape[-1]) if found is None else found
        found[:, rows] = made
    assert found is not None
    return found


def _pooled_by_trunk(trunk: Trunk, tokens: TokenBatch, loras: Sequence[str | None]) -> Tensor:
    """The trunk's own pooled latents (loras, samples, dim).

    Few samples pass as one batch whose rows name their LoRAs; many, or packed ones, LoRA by LoRA.
    """
    num, length = tokens.mask.shape
    at_once = 1 if tokens.sample is not None else max(TOGETHER // max(length * num, 1), 1)
    every, parts = torch.arange(num, device=tokens.mask.device), []
    for named in (loras[start : start + at_once] for start in range(0, len(loras), at_once)):
        rows = tokens if len(named) == 1 else tokens.rows(every.repeat(len(named)))
        parts.append(trunk(rows, [lora for lora in named for _ in range(num)]).pooled)
    pooled = torch.cat(parts)
    return pooled.view(len(loras), -1, pooled.shape[-1])


def _pooled_alike(
    trunk: Trunk, tokens: TokenBatch, rows: Tensor, how: tuple[Sequence[str | None], torch.dtype]
) -> Tensor:
    """Pooled latents (loras, rows, dim) of rows alike, the trunk folded once a LoRA."""
    (loras, dtype), first, count = how, rows[0], int(tokens.mask[rows[0]].sum())
    width = max(trunk.config.hidden * (1 + trunk.config.gated), 3 * trunk.config.dim) * dtype.itemsize
    parts, made = torch.split(rows, max(AT_ONCE // (width * count), 1)), []
    for lora in loras:
        folded = FoldedTrunk.of(trunk, tokens.positions[first, :count], lora, dtype)
        made.append(torch.cat([folded.pooled(tokens.values[part, :count]) for part in parts]))
    return torch.stack(made)


def _kinds(trunk: Trunk, tokens: TokenBatch) -> Iterator[tuple[Tensor, bool]]:
    """Give rows of samples alike enough to run together, and the rest, each with True where they can be folded."""
    mask = tokens.mask
    every = torch.arange(len(mask), device=mask.device)
    told = [mask, *(tokens.positions.unbind(-1) if trunk.config.rotary_pairs else [])]
    key = torch.cat([torch.where(mask, part, 0).double() for part in told], 1)
    if bool((key == key[:1]).all()):
        kinds, counts = torch.zeros_like(every), torch.tensor([len(mask)], device=mask.device)
    else:
        _, kinds, counts = torch.unique(key, dim=0, return_inverse=True, return_counts=True)
    comes_first = (mask[:, 1:] <= mask[:, :-1]).all(1) & mask.any(1)
    can = comes_first & (counts[kinds] >= FEWEST)
    for kind in torch.unique(kinds[can]).tolist():
        yield every[can & (kinds == kind)], True
    if not bool(can.all()):
        yield every[~can], False
