"""Series on their own, irregular clock: one token a time step, or several steps of long ones."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from mainstem.core.blocks import parts_of
from mainstem.core.stream import Stream
from mainstem.core.tokenizers.scalar import ChannelTokenizer, placed_channels
from mainstem.core.tokens import Patches


class SeriesTokenizer(ChannelTokenizer):
    """Series as they were sampled, padded to the longest."""

    def cut(self, streams: Sequence[Stream | None]) -> Patches:
        """Stack series (time, channel), padded to whole tokens of the longest of the batch."""
        held = list(parts_of(streams))
        longest = max([1, *(block.values.shape[1] for _, block in held)])
        longest = math.ceil(longest / self.steps_per_token) * self.steps_per_token
        values = np.full((len(streams), longest, len(self.channels)), np.nan, np.float32)
        times = np.zeros((len(streams), longest))
        for rows, block in held:
            steps = block.values.shape[1]
            values[rows, :steps] = placed_channels(block, self.channels)
            times[rows, :steps] = block.times
        return Patches(parts={"values": torch.from_numpy(values), "times": torch.from_numpy(times)})
