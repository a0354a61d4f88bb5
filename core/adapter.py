"""Adapters: the tokenizers and the head of one task on the shared trunk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.distributions import Distribution

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Sample, Stream
from mainstem.core.tokenizers.scalar import ScalarTokenizer, Statistics
from mainstem.core.tokenizers.series import SeriesTokenizer
from mainstem.core.tokens import StreamBatch, TokenBatch, Tokenizer, concatenate
from mainstem.core.trunk import Latents, Trunk

Inputs = Mapping[str, StreamBatch]  # by stream name


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """One stream that an adapter reads: its kind, channels and the statistics its values are standardised with."""

    kind: str
    channels: tuple[Channel, ...]
    statistics: Statistics


def tokenizer_for(spec: StreamSpec, dim: int) -> Tokenizer:
    """Return the tokenizer of the stream's kind."""
    if spec.kind == "series":
        return SeriesTokenizer(dim, spec.channels, spec.statistics)
    if spec.kind == "scalar":
        return ScalarTokenizer(dim, spec.channels, spec.statistics)
    raise InputError(f"no tokenizer for a {spec.kind} stream yet; use series or scalar")


def read_specs(samples: Sequence[Sample]) -> dict[str, StreamSpec]:
    """Read from training samples which streams there are, and each channel's mean and standard deviation."""
    found: dict[str, list[Stream]] = {}
    for sample in samples:
        for name, stream in sample.streams.items():
            found.setdefault(name, []).append(stream)
    return {name: _spec(streams) for name, streams in sorted(found.items())}


def read_streams(plain: Mapping[str, Any]) -> dict[str, StreamSpec]:
    """Read what `dataclasses.asdict` made of StreamSpecs by name."""
    return {
        name: StreamSpec(
            kind=spec["kind"],
            channels=tuple(Channel(**channel) for channel in spec["channels"]),
            statistics={channel: (float(pair[0]), float(pair[1])) for channel, pair in spec["statistics"].items()},
        )
        for name, spec in plain.items()
    }


def _spec(streams: Sequence[Stream]) -> StreamSpec:
    first = streams[0]
    width = len(first.channels)
    rows = torch.cat([torch.tensor(stream.values, dtype=torch.float64).reshape(-1, width) for stream in streams])
    seen = rows.isfinite()
    count = seen.sum(0).clamp(min=1)
    mean = rows.nan_to_num().sum(0) / count
    spread = torch.where(seen, rows - mean, 0.0).square().sum(0).div(count).sqrt()
    statistics = {
        channel.name: (float(mean[index]), float(spread[index])) for index, channel in enumerate(first.channels)
    }
    return StreamSpec(kind=first.kind, channels=first.channels, statistics=statistics)


class Adapter(nn.Module):
    """Tokenizers by stream name and a scalar or class head; the trunk is shared and handed in."""

    def __init__(self, specs: Mapping[str, StreamSpec], head: nn.Module, dim: int) -> None:
        super().__init__()
        self.specs = dict(specs)
        self.names = tuple(specs)
        self.tokenizers = nn.ModuleDict({name: tokenizer_for(spec, dim) for name, spec in specs.items()})
        self.head = head

    def collate(self, samples: Sequence[Sample]) -> Inputs:
        """Check and stack the samples' streams; a missing stream stays missing."""
        return {
            name: self._tokenizer(name).collate([sample.streams.get(name) for sample in samples]) for name in self.names
        }

    def embed(self, inputs: Inputs) -> TokenBatch:
        """Return the tokens, valid ones first; what is missing gives none."""
        return concatenate([self._tokenizer(name).embed(batch) for name, batch in inputs.items()]).trimmed()

    def distribution(self, inputs: Inputs, trunk: Trunk, lora: str | None = None) -> Distribution:
        """Return the head's distribution (batch,), in standardised units of the target."""
        tokens = self.embed(inputs)
        latents: Latents = trunk(tokens, None if lora is None else [lora] * len(tokens.mask))
        distribution: Distribution = self.head(latents)
        return distribution

    def forward(self, samples: Sequence[Sample], trunk: Trunk, lora: str | None = None) -> Distribution:
        """Return the head's distribution (batch,) for samples."""
        return self.distribution(self.collate(samples), trunk, lora)

    def _tokenizer(self, name: str) -> Tokenizer:
        tokenizer = self.tokenizers[name]
        assert isinstance(tokenizer, Tokenizer)
        return tokenizer
