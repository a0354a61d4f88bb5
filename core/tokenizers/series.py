"""Series on their own, irregular clock: one token a time step, or several steps of long ones."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from mainstem.core.stream import Stream
from mainstem.core.tokenizers.scalar import ChannelTokenizer, placed_channels
from mainstem.core.tokens import Patches


class SeriesTokenizer(ChannelTokenizer):
    """Series as they were sampled, padded to the longest."""

    def cut(self, streams: Sequence[Stream | None]) -> Patches:
        """Stack series (time, channel), padded to whole tokens of the longest of the batch."""
        longest = max([1, *(len(stream.values) for stream in streams if stream is not None)])
        longest = math.ceil(longest / self.steps_per_token) * self.steps_per_token
        values = np.full((len(streams), longest, len(self.channels)), np.nan, np.float32)
        times = np.zeros((len(streams), longest))
        for index, stream in enumerate(streams):
            if stream is not None and len(stream.values):
                steps = len(stream.values)
                values[index, :steps] = placed_channels(stream, self.channels)
                times[index, :steps] = stream.times
        return Patches(parts={"values": torch.from_numpy(values), "times": torch.from_numpy(times)})
