"""Tokens: what every tokenizer makes of a stream, and how token batches are joined."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
        cell: (batch, tokens) int64, which patch of its stream a token is, -1 of class tokens and registers; None where
            the tokenizer does not say.
        sample: (batch, tokens) int64, which sample a token of a packed row is of, -1 of padding; None where a row is a
            sample.
        is_dense: no token is masked, and the tokenizer knows it: attention needs no mask.
    """

    values: Tensor
    positions: Tensor
    stream: Tensor
    mask: Tensor
    cell: Tensor | None = None
    sample: Tensor | None = None
    is_dense: bool = False

    def trimmed(self) -> "TokenBatch":
        """Move valid tokens to the front, in order, and cut the padding that no sample needs."""
        longest = max(int(self.mask.sum(1).max()), 1)
        return self if longest == self.mask.shape[1] else self.first(longest)

    def first(self, num: int) -> "TokenBatch":
        """Move valid tokens to the front, in order, and keep the first `num` of each row."""
        order = torch.argsort((~self.mask).to(torch.int8), dim=1, stable=True)[:, :num]
        wide = order.unsqueeze(-1)
        kept = self._each(lambda part: part.gather(1, order if part.ndim == 2 else wide.expand(-1, -1, part.shape[-1])))
        return replace(kept, is_dense=False)

    def rows(self, index: Tensor) -> "TokenBatch":
        """Return the rows of these numbers."""
        return self._each(lambda part: part[index])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "TokenBatch":
        changed: dict[str, Any] = {name: change(part) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, **changed)


def concatenate(batches: Sequence[TokenBatch]) -> TokenBatch:
    """Join the token batches of several streams of the same samples; stream indices follow the order given."""
    assert all(batch.sample is None for batch in batches), "samples are packed after their streams are joined"
    stream = [torch.full_like(batch.stream, index) for index, batch in enumerate(batches)]
    cells = [batch.cell for batch in batches if batch.cell is not None]
    return TokenBatch(
        values=torch.cat([batch.values for batch in batches], 1),
        positions=torch.cat([batch.positions for batch in batches], 1),
        stream=torch.cat(stream, 1),
        mask=torch.cat([batch.mask for batch in batches], 1),
        cell=torch.cat(cells, 1) if len(cells) == len(batches) else None,
        is_dense=all(batch.is_dense for batch in batches),
    )


Inputs = Mapping[str, Any]  # a model's own inputs by name
Ragged = Tensor | list[Tensor]  # one row a sample; a list of them where their sizes differ


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """What cutting makes of samples: checked and stacked arrays by name, no weights applied.

    They are cut on the CPU, whatever the device of the weights, so that loader workers can do it.
    """

    parts: Mapping[str, Ragged]

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(next(iter(self.parts.values())))

    def __getitem__(self, name: str) -> Tensor:
        """Return a part (batch, ...) whose samples are of one size."""
        part = self.parts[name]
        assert isinstance(part, Tensor), f"samples differ in the size of {name}"
        return part

    def __contains__(self, name: str) -> bool:
        """Return True where there is such a part."""
        return name in self.parts

    def each(self, name: str) -> Sequence[Tensor]:
        """Return a part's rows, one a sample, whose sizes may differ."""
        part = self.parts[name]
        return list(part) if isinstance(part, Tensor) else part

    def rows(self, index: Tensor) -> "Patches":
        """Return the samples of these row numbers."""
        return self._each_part(
            lambda part: part[index] if isinstance(part, Tensor) else [part[row] for row in index.tolist()]
        )

    def below(self, prefix: str) -> "Patches":
        """Return the parts whose names begin with a prefix, without it."""
        return Patches(parts={k.removeprefix(prefix): part for k, part in self.parts.items() if k.startswith(prefix)})

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Patches":
        """Return them on a device, values of float32 as `dtype`; times and places keep their float64."""

        def moved(part: Tensor) -> Tensor:
            return part.to(device, dtype if dtype is not None and part.dtype == torch.float32 else part.dtype)

        return self._each_part(lambda part: moved(part) if isinstance(part, Tensor) else [moved(row) for row in part])

    def _each_part(self, change: Callable[[Ragged], Ragged]) -> "Patches":
        return Patches(parts={name: change(part) for name, part in self.parts.items()})


class OpenTokenizer(nn.Module, ABC):
    """Turns samples, or a model's own inputs, into tokens: cut on the CPU, projected where the weights are.

    `main_input` is the input that a bare array stands for; "" where there are several.
    """

    main_input = ""

    @abstractmethod
    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Check a model's own inputs and stack them; unknown names, shapes, bands or units are errors."""

    @abstractmethod
    def project(self, patches: Patches) -> TokenBatch:
        """Return tokens (batch, tokens, dim), class token and registers included, on the weights' device."""

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

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Check the samples' streams and stack them; no parameter or buffer is touched.

        Raises:
            InputError: if the model takes its own inputs alone.
        """
        raise InputError("this model reads no samples, only its own inputs; take another, or one of the project's own")

    def facts(self) -> dict[str, Any]:
        """Return, in plain JSON types, what it takes to build this tokenizer again for an adapter's samples.

        Raises:
            InputError: if the model reads no samples.
        """
        raise InputError("this model reads no samples, so that no adapter can be fitted on it; take another")

    def forward(self, inputs: Inputs) -> TokenBatch:
        """Cut a model's own inputs, and project them."""
        return self.project(self.cut_inputs(self.named(inputs)).to(weights_device(self)))


class StreamTokenizer(nn.Module, ABC):
    """Turns the streams of one name, one a sample, into tokens; None marks a sample that lacks the stream.

    Its patches are `values`, (batch, steps, channels) or what the kind has in the place of steps, float32, NaN where
    missing or padded, and beside them where those lie. `stream_code` (dim,) says in every token which stream it is of.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.stream_code = nn.Parameter(torch.zeros(dim))

    @abstractmethod
    def cut(self, streams: Sequence[Stream | None]) -> Patches:
        """Check the streams' channels, pad and stack them; no parameter or buffer is touched."""

    @abstractmethod
    def project(self, patches: Patches) -> TokenBatch:
        """Return tokens (batch, tokens, dim) whose mask is False wherever nothing was observed."""

    @abstractmethod
    def content(self, patches: Patches) -> Tensor:
        """Return what each token was cut from (batch, tokens, values): standardised, without noise, NaN if missing."""

    def forward(self, streams: Sequence[Stream | None]) -> TokenBatch:
        """Cut and project."""
        return self.project(self.cut(streams).to(weights_device(self)))


def weights_device(module: nn.Module) -> torch.device:
    """Return where a module's weights are; the CPU for one that has none."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def is_shown(seen: Tensor) -> bool:
    """True where any token of a group is seen."""
    return bool(seen.any())


def place(values: Tensor, mask: Tensor, times: Tensor | None = None) -> TokenBatch:
    """Return the tokens of one stream, in order of its cells, with their times (batch, tokens), seconds, if any."""
    positions = torch.zeros(*mask.shape, 4, dtype=torch.float64, device=mask.device)
    if times is not None:
        positions[..., 0] = times
    return TokenBatch(
        values=values,
        positions=positions,
        stream=torch.zeros_like(mask, dtype=torch.int64),
        mask=mask,
        cell=cells(mask),
    )


def cells(mask: Tensor, num_prefix: int = 0) -> Tensor:
    """Number the tokens (batch, tokens) of a stream after its class token and registers, which are -1."""
    return (torch.arange(mask.shape[1], device=mask.device) - num_prefix).clamp(min=-1).expand(mask.shape)
