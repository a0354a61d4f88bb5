"""Series on their own, irregular clock: one token a time step."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mainstem.core.stream import Channel, Stream
from mainstem.core.tokenizers.scalar import StandardScale, Statistics, pick_channels
from mainstem.core.tokens import StreamBatch, TokenBatch, Tokenizer, place


class SeriesTokenizer(Tokenizer):
    """A step's standardised values, zero where missing, and its flags of presence go through one linear layer.

    A step with no value at all is no token. Positions are seconds from the sample's origin.
    """

    def __init__(self, dim: int, channels: Sequence[Channel], statistics: Statistics) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.scale = StandardScale(channels, statistics)
        self.embedding = nn.Linear(2 * len(self.channels), dim)

    def collate(self, streams: Sequence[Stream | None]) -> StreamBatch:
        """Stack series (time, channel), padded to the longest of the batch."""
        longest = max([1, *(len(stream.values) for stream in streams if stream is not None)])
        values = np.full((len(streams), longest, len(self.channels)), np.nan, np.float32)
        times = np.zeros((len(streams), longest))
        for index, stream in enumerate(streams):
            if stream is not None and len(stream.values):
                picked = pick_channels(stream, self.channels)
                steps = len(stream.values)
                values[index, :steps] = np.where(stream.observed(), stream.values, np.nan)[:, picked]
                times[index, :steps] = stream.times
        return StreamBatch(values=torch.from_numpy(values), times=torch.from_numpy(times))

    def embed(self, batch: StreamBatch) -> TokenBatch:
        """Embed each step."""
        present = batch.values.isfinite()
        scaled = torch.where(present, self.scale(batch.values.nan_to_num()), 0.0)
        tokens = self.embedding(torch.cat([scaled, present.to(scaled.dtype)], -1))
        return place(tokens, present.any(-1), batch.times)
