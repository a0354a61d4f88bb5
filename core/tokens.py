"""Tokens: what every tokenizer makes of a stream, and how token batches are joined."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mainstem.core.errors import InputError
from mainstem.core.stream import Sample, Stream


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBatch:
    """Embedded tokens of a batch of samples.

    Attributes:
        values: (batch, tokens, dim), finite everywhere, also where masked.
        positions: (batch, tokens, 4) float64, (t, z, y, x) in the frame the tokenizer declares: seconds, metres,
            or the image plane -1..1.
        stream: (batch, tokens) int64, index of the stream a token comes from.
        mask: (batch, tokens) bool, True where a token is valid.
        is_dense: no token is masked, and the tokenizer knows it: attention needs no mask.
    """

    values: Tensor
    positions: Tensor
    stream: Tensor
    mask: Tensor
    is_dense: bool = False

    def trimmed(self) -> "TokenBatch":
        """Move valid tokens to the front, in order, and cut the padding that no sample needs."""
        longest = max(int(self.mask.sum(1).max()), 1)
        if longest == self.mask.shape[1]:
            return self
        order = torch.argsort((~self.mask).to(torch.int8), dim=1, stable=True)[:, :longest]
        wide = order.unsqueeze(-1)
        return TokenBatch(
            values=self.values.gather(1, wide.expand(-1, -1, self.values.shape[-1])),
            positions=self.positions.gather(1, wide.expand(-1, -1, 4)),
            stream=self.stream.gather(1, order),
            mask=self.mask.gather(1, order),
        )


def concatenate(batches: Sequence[TokenBatch]) -> TokenBatch:
    """Join the token batches of several streams of the same samples; stream indices follow the order given."""
    stream = [torch.full_like(batch.stream, index) for index, batch in enumerate(batches)]
    return TokenBatch(
        values=torch.cat([batch.values for batch in batches], 1),
        positions=torch.cat([batch.positions for batch in batches], 1),
        stream=torch.cat(stream, 1),
        mask=torch.cat([batch.mask for batch in batches], 1),
        is_dense=all(batch.is_dense for batch in batches),
    )


Batch = dict[str, Tensor | list[Tensor]]  # what a model reads, checked and stacked: each entry one row a sample
Inputs = Mapping[str, Any]  # a model's own inputs by name


class OpenTokenizer(nn.Module, ABC):
    """Turns samples, or a model's own inputs, into tokens: checked and stacked once, embedded batch by batch.

    `main_input` is the input that a bare array stands for; "" where there are several.
    """

    main_input = ""

    @abstractmethod
    def read(self, inputs: Inputs) -> Batch:
        """Check inputs and return them as rows; unknown names, shapes, bands or units are errors."""

    @abstractmethod
    def embed(self, batch: Batch) -> TokenBatch:
        """Return tokens (batch, tokens, dim), class token and registers included."""

    def named(self, inputs: object) -> Inputs:
        """Return inputs by name; a bare array is the main input.

        Raises:
            InputError: if it could be one of several.
        """
        if isinstance(inputs, Mapping):
            return inputs
        if not self.main_input:
            raise InputError(f"got {type(inputs).__name__}, want inputs by name, as {{name: array}}")
        return {self.main_input: inputs}

    def read_samples(self, samples: Sequence[Sample]) -> Batch:
        """Return the rows of samples' streams.

        Raises:
            InputError: if the model takes its own inputs alone.
        """
        raise InputError("this model reads no samples, only its own inputs; take presto, or one of the project's own")

    def facts(self) -> dict[str, Any]:
        """Return, in plain JSON types, what it takes to build this tokenizer again for an adapter's samples.

        Raises:
            InputError: if the model reads no samples.
        """
        raise InputError("this model reads no samples, so that no adapter can be fitted on it; take presto")

    def forward(self, inputs: Inputs) -> TokenBatch:
        """Read and embed."""
        return self.embed(self.read(self.named(inputs)))


def rows_of(batch: Batch, index: Tensor) -> Batch:
    """Return the samples of these row numbers."""
    return {
        name: values[index] if isinstance(values, Tensor) else [values[row] for row in index.tolist()]
        for name, values in batch.items()
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamBatch:
    """Streams of one name, padded and stacked once, so that training need not touch them one by one again.

    Attributes:
        values: (batch, steps, channels) float32, NaN where missing or padded; grids: (batch, steps, channels, y, x).
        times: (batch, steps) float64, seconds from each sample's origin; 0 where a stream has no clock.
        spacing: (batch, 2) float64, metres a pixel of grids along y and x; None for other kinds.
    """

    values: Tensor
    times: Tensor
    spacing: Tensor | None = None


class Tokenizer(nn.Module, ABC):
    """Turns the streams of one name, one a sample, into tokens; None marks a sample that lacks the stream."""

    @abstractmethod
    def collate(self, streams: Sequence[Stream | None]) -> StreamBatch:
        """Check the streams' channels, pad and stack them."""

    @abstractmethod
    def embed(self, batch: StreamBatch) -> TokenBatch:
        """Return tokens (batch, tokens, dim) whose mask is False wherever nothing was observed."""

    def forward(self, streams: Sequence[Stream | None]) -> TokenBatch:
        """Collate and embed."""
        return self.embed(self.collate(streams))


def place(values: Tensor, mask: Tensor, times: Tensor | None = None) -> TokenBatch:
    """Return the tokens of one stream with their times (batch, tokens), seconds, as first coordinate."""
    positions = torch.zeros(*mask.shape, 4, dtype=torch.float64, device=mask.device)
    if times is not None:
        positions[..., 0] = times
    return TokenBatch(values=values, positions=positions, stream=torch.zeros_like(mask, dtype=torch.int64), mask=mask)
