"""Scalars: one token a stream, with flags of what is missing in it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mainstem.core.blocks import parts_of
from mainstem.core.layout import Streams, placed
from mainstem.core.stream import Channel, Stream
from mainstem.core.tokens import Patches, StreamTokenizer, TokenBatch, place

Statistics = Mapping[str, tuple[float, float]]  # channel name -> mean, standard deviation in the channel's unit


def placed_channels(stream: Streams, wanted: Sequence[Channel]) -> NDArray[np.float64]:
    """Values (..., channels) of series or scalar streams in the order wanted; NaN where missing, or lacking.

    Raises:
        ChannelError: if a channel comes in another unit, or under another name.
    """
    found = placed(stream, wanted)
    return np.where(found.observed(), found.values, np.nan)


class StandardScale(nn.Module):
    """(x - mean) / standard deviation a channel; the statistics are buffers and travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: Sequence[Channel], statistics: Statistics) -> None:
        super().__init__()
        self.noise = 0.0  # standard deviations, added while training
        pairs = [statistics[channel.name] for channel in channels]
        self.register_buffer("mean", torch.tensor([mean for mean, _ in pairs]))
        self.register_buffer("std", torch.tensor([max(std, 1e-6) for _, std in pairs]))

    def exact(self, values: Tensor) -> Tensor:
        """Standardise the last dim, without noise."""
        return (values - self.mean) / self.std

    def forward(self, values: Tensor) -> Tensor:
        """Standardise the last dim."""
        scaled = self.exact(values)
        return scaled + self.noise * torch.randn_like(scaled) if self.training and self.noise else scaled


class ChannelTokenizer(StreamTokenizer):
    """One token so many steps: standardised values, zero where missing, and flags of presence through a linear layer.

    Steps with no value at all are no token. Positions are seconds from the sample's origin, the mean of those steps of
    a token that show anything.
    """

    def __init__(self, dim: int, channels: Sequence[Channel], statistics: Statistics, steps_per_token: int = 1) -> None:
        super().__init__(dim)
        self.channels, self.steps_per_token = tuple(channels), steps_per_token
        self.scale = StandardScale(channels, statistics)
        self.embedding = nn.Linear(2 * len(self.channels) * steps_per_token, dim)

    def project(self, patches: Patches) -> TokenBatch:
        """Embed each token's steps, whose number divides by those of a token."""
        values = patches["values"]
        present = values.isfinite()
        scaled = torch.where(present, self.scale(values.nan_to_num()), 0.0)
        num, steps = values.shape[1] // self.steps_per_token, self.steps_per_token
        parts = [part.reshape(len(values), num, -1) for part in (scaled, present.to(scaled.dtype))]
        seen, times = present.any(-1), patches["times"]
        if steps > 1:
            seen, times = seen.view(-1, num, steps), times.view(-1, num, steps)
            times = (times * seen).sum(-1) / seen.sum(-1).clamp(min=1)
            seen = seen.any(-1)
        return place(self.embedding(torch.cat(parts, -1)) + self.stream_code, seen, times)

    def content(self, patches: Patches) -> Tensor:
        """Return each token's steps (batch, tokens, steps x channels)."""
        values = patches["values"]
        return self.scale.exact(values).reshape(len(values), values.shape[1] // self.steps_per_token, -1)


class ScalarTokenizer(ChannelTokenizer):
    """Scalars as one step at time 0."""

    def cut(self, streams: Sequence[Stream | None]) -> Patches:
        """Stack scalar streams (channel,) as one step each."""
        values = np.full((len(streams), 1, len(self.channels)), np.nan, np.float32)
        for rows, block in parts_of(streams):
            values[rows, 0] = placed_channels(block, self.channels)
        times = torch.zeros(len(streams), 1, dtype=torch.float64)
        return Patches(parts={"values": torch.from_numpy(values), "times": times})
