"""Which tokens of a batch a model is not shown in pretraining: a whole stream, a burst of one, or patches of any.

A sample always keeps a token that is shown, and one of two tokens or more always hides one.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from mainstem.core.errors import InputError
from mainstem.core.tokens import TokenBatch

WHOLE_STREAM, BURST, PATCHES = range(3)  # how a sample was masked
NOTHING = -1
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Part = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How often each way of masking is drawn, as weights, and which share of tokens a burst or patches hide."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    whole_stream: Weight = 1.0
    burst: Weight = 1.0
    patches: Weight = 1.0
    least: Part = 0.3
    most: Part = 0.7

    def __post_init__(self) -> None:
        if not self.least <= self.most or not self.whole_stream + self.burst + self.patches:
            raise InputError(
                f"got masking of {self.least:g} to {self.most:g} of the tokens, weights {self.whole_stream:g}, "
                f"{self.burst:g} and {self.patches:g}; want the least first, and one weight above 0"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Hidden:
    """What is hidden: `tokens` (batch, tokens) bool, `kind` (batch,) as above, the `stream` (batch,) of which.

    `stream` is -1 where patches of any stream are hidden, `kind` where nothing can be.
    """

    tokens: Tensor
    kind: Tensor
    stream: Tensor


def draw_hidden(tokens: TokenBatch, masking: Masking, generator: torch.Generator) -> Hidden:
    """Draw what is hidden of each sample of unpacked tokens, by a generator on the CPU.

    A stream is hidden whole only of samples that show another beside it. Sources: Baevski et al. 2022, data2vec,
    section 4 (spans); Assran et al. 2023, I-JEPA, section 3 (blocks); Tseng et al. 2023, Presto, section 3.2 (streams,
    contiguous steps and random ones by turns).
    """
    assert tokens.sample is None, "samples are masked before they are packed"
    num, width = tokens.mask.shape
    device = tokens.mask.device

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    counts = tokens.mask.sum(1)
    held = _stream_counts(tokens)
    kind = _kinds(held, counts, masking, drawn(num, 3))
    share = masking.least + (masking.most - masking.least) * drawn(num)
    whole = _one_of(held > 0, drawn(*held.shape))  # each stream alike, whatever its length
    long = _one_of((held > 1) * held, drawn(*held.shape))  # by length
    stream = torch.where(kind == WHOLE_STREAM, whole, torch.where(kind == BURST, long, NOTHING))
    own = tokens.mask & (tokens.stream == stream[:, None])
    far = _distances(tokens, own, drawn(num, width), drawn(num))
    scores = torch.where(kind[:, None] == BURST, far, drawn(num, width))
    able = torch.where(kind[:, None] == PATCHES, tokens.mask, own)
    size = able.sum(1)
    most = torch.where(size < counts, size, counts - 1)  # something of the sample stays
    wanted = torch.minimum((share * size).round().long().clamp(min=1), most)
    wanted = torch.where(kind == WHOLE_STREAM, size, wanted)
    return Hidden(tokens=able & _lowest(scores, able, wanted), kind=kind, stream=stream)


def _stream_counts(tokens: TokenBatch) -> Tensor:
    """How many tokens a sample shows of each stream (batch, streams)."""
    num = int(tokens.stream.max()) + 1
    streams = torch.arange(num, device=tokens.mask.device)
    return ((tokens.stream[..., None] == streams) & tokens.mask[..., None]).sum(1)


def _kinds(held: Tensor, counts: Tensor, masking: Masking, drawn: Tensor) -> Tensor:
    """A way of masking for each sample (batch,) among those that its tokens allow; patches, if its own is none."""
    able = torch.stack([(held > 0).sum(1) > 1, (held > 1).any(1), counts > 1], 1)
    weights = torch.tensor([masking.whole_stream, masking.burst, masking.patches], device=held.device)
    found = _one_of(able * weights, drawn)
    fallback = torch.where(counts > 1, PATCHES, NOTHING)
    return torch.where((able * weights > 0).any(1), found, fallback)


def _one_of(weights: Tensor, drawn: Tensor) -> Tensor:
    """Draw a column of each row (rows,) in proportion to weights (rows, columns), by uniform numbers of their shape.

    Source: Efraimidis & Spirakis 2006, Weighted random sampling with a reservoir (the largest of u^(1/w)).
    """
    keys = torch.where(weights > 0, drawn.clamp(min=1e-12).log() / weights.clamp(min=1e-12), -torch.inf)
    return keys.argmax(1)


def _distances(tokens: TokenBatch, own: Tensor, drawn: Tensor, side: Tensor) -> Tensor:
    """How far tokens (batch, tokens) lie from one of their stream, drawn at random: in time, or as squares in space.

    Where both times and places differ a coin decides, `side`; where neither does, tokens are in order of cells.
    """
    centre = torch.where(own, drawn, -1.0).argmax(1)
    away = tokens.positions - tokens.positions.gather(1, centre[:, None, None].expand(-1, 1, 4))
    away = torch.where(own[..., None], away.abs(), 0.0)
    in_time, in_space = away[..., 0], away[..., 1:].amax(-1)
    has_time, has_space = in_time.any(1), in_space.any(1)
    by_time = has_time & (~has_space | (side < 0.5))
    order = torch.arange(own.shape[1], device=own.device, dtype=away.dtype)
    in_order = (order - order[centre][:, None]).abs()
    far = torch.where(by_time[:, None], in_time, torch.where(has_space[:, None], in_space, in_order))
    return far


def _lowest(scores: Tensor, able: Tensor, wanted: Tensor) -> Tensor:
    """Mark the `wanted` (batch,) lowest scores among those tokens that are able."""
    ranked = torch.where(able, scores, torch.inf).argsort(dim=1, stable=True)
    places = torch.empty_like(ranked).scatter_(
        1, ranked, torch.arange(able.shape[1], device=able.device).expand_as(ranked)
    )
    return places < wanted[:, None]
