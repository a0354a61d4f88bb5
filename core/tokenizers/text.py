"""Text as UTF-8 bytes: no vocabulary to ship, no language favoured."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mainstem.core.errors import InputError
from mainstem.core.stream import Stream
from mainstem.core.tokens import StreamBatch, TokenBatch, Tokenizer, place

PADDING = -1


def encode_text(text: str) -> Stream:
    """Return a text stream (token,) of the text's UTF-8 bytes."""
    return Stream(kind="text", values=np.frombuffer(text.encode(), np.uint8).copy())


class TextTokenizer(Tokenizer):
    """One token a byte; positions count bytes along x, the time axis stays free."""

    def __init__(self, dim: int, max_bytes: int = 1024) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        self.embedding = nn.Embedding(256, dim)

    def collate(self, streams: Sequence[Stream | None]) -> StreamBatch:
        """Stack text streams, padded to the longest of the batch.

        Raises:
            InputError: if a text is longer than `max_bytes`; nothing is cut silently.
        """
        lengths = [0 if stream is None else len(stream.values) for stream in streams]
        if max(lengths, default=0) > self.max_bytes:
            raise InputError(f"got a text of {max(lengths)} bytes, want at most {self.max_bytes}; split it")
        values = np.full((len(streams), max([1, *lengths])), PADDING, np.int64)
        for row, stream in zip(values, streams, strict=True):
            if stream is not None:
                row[: len(stream.values)] = stream.values
        return StreamBatch(values=torch.from_numpy(values), times=torch.zeros(values.shape, dtype=torch.float64))

    def embed(self, batch: StreamBatch) -> TokenBatch:
        """Embed each byte."""
        mask = batch.values >= 0
        placed = place(self.embedding(batch.values.clamp(min=0)), mask)
        placed.positions[..., 3] = torch.arange(mask.shape[1], device=mask.device)
        return placed
