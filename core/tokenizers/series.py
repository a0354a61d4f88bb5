"""Series on their own, irregular clock: one token a time step."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mainstem.core.stream import Channel, Stream
from mainstem.core.tokenizers.scalar import StandardScale, Statistics, pick_channels
from mainstem.core.tokens import TokenBatch, Tokenizer


class SeriesTokenizer(Tokenizer):
    """A step's standardised values, zero where missing, and its flags of presence go through one linear layer.

    A step with no value at all is no token. Positions are seconds from the sample's origin.
    """

    def __init__(self, dim: int, channels: Sequence[Channel], statistics: Statistics) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.scale = StandardScale(channels, statistics)
        self.embed = nn.Linear(2 * len(self.channels), dim)

    def forward(self, streams: Sequence[Stream | None]) -> TokenBatch:
        """Embed series (time, channel), padded to the longest of the batch."""
        longest = max([1, *(len(stream.values) for stream in streams if stream is not None)])
        values = np.full((len(streams), longest, len(self.channels)), np.nan, np.float32)
        times = np.zeros((len(streams), longest))
        for index, stream in enumerate(streams):
            if stream is not None and len(stream.values):
                picked = pick_channels(stream, self.channels)
                steps = len(stream.values)
                values[index, :steps] = np.where(stream.observed(), stream.values, np.nan)[:, picked]
                times[index, :steps] = stream.times
        present = torch.from_numpy(np.isfinite(values))
        scaled = torch.where(present, self.scale(torch.from_numpy(np.nan_to_num(values))), 0.0)
        mask = present.any(-1)
        tokens = self.embed(torch.cat([scaled, present.to(scaled.dtype)], -1))
        positions = torch.zeros(*mask.shape, 4, dtype=torch.float64)
        positions[..., 0] = torch.from_numpy(times)
        return TokenBatch(
            values=tokens, positions=positions, stream=torch.zeros_like(mask, dtype=torch.int64), mask=mask
        )
