"""Samples of any streams to tokens: one tokenizer a stream, by its kind."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mainstem.core.errors import InputError
from mainstem.core.stream import CHANNEL_DIM, Channel, Sample, Stream
from mainstem.core.tokenizers.grid import GridTokenizer
from mainstem.core.tokenizers.scalar import ScalarTokenizer, Statistics
from mainstem.core.tokenizers.series import SeriesTokenizer
from mainstem.core.tokens import Batch, Inputs, OpenTokenizer, StreamBatch, TokenBatch, Tokenizer, concatenate


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """One stream that an adapter reads: its kind, channels and the statistics its values are standardised with.

    `patch_size` is of grids, pixels a side.
    """

    kind: str
    channels: tuple[Channel, ...]
    statistics: Statistics
    patch_size: int = 1


LARGEST_PATCH = 4  # pixels a side of a grid's patches; smaller windows are one patch


def tokenizer_for(spec: StreamSpec, dim: int) -> Tokenizer:
    """Return the tokenizer of the stream's kind."""
    if spec.kind == "series":
        return SeriesTokenizer(dim, spec.channels, spec.statistics)
    if spec.kind == "scalar":
        return ScalarTokenizer(dim, spec.channels, spec.statistics)
    if spec.kind == "grid":
        return GridTokenizer(dim, spec.channels, spec.statistics, spec.patch_size)
    raise InputError(f"no tokenizer for a {spec.kind} stream yet; use series, grid or scalar")


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
            patch_size=int(spec.get("patch_size", 1)),
        )
        for name, spec in plain.items()
    }


def _spec(streams: Sequence[Stream]) -> StreamSpec:
    first = streams[0]
    width = len(first.channels)
    last = [torch.tensor(stream.values, dtype=torch.float64).movedim(_channel_dim(stream), -1) for stream in streams]
    rows = torch.cat([values.reshape(-1, width) for values in last])
    seen = rows.isfinite()
    count = seen.sum(0).clamp(min=1)
    mean = rows.nan_to_num().sum(0) / count
    spread = torch.where(seen, rows - mean, 0.0).square().sum(0).div(count).sqrt()
    statistics = {
        channel.name: (float(mean[index]), float(spread[index])) for index, channel in enumerate(first.channels)
    }
    patch_size = min(LARGEST_PATCH, *first.values.shape[2:]) if first.kind == "grid" else 1
    return StreamSpec(kind=first.kind, channels=first.channels, statistics=statistics, patch_size=patch_size)


def _channel_dim(stream: Stream) -> int:
    return CHANNEL_DIM[stream.kind]


class StreamsTokenizer(OpenTokenizer):
    """Tokens of each named stream in turn; a missing stream gives none. `samples` is the one input by name."""

    main_input = "samples"

    def __init__(self, specs: Mapping[str, StreamSpec], dim: int) -> None:
        super().__init__()
        self.specs = dict(specs)
        self.streams = nn.ModuleDict({name: tokenizer_for(spec, dim) for name, spec in specs.items()})

    def read(self, inputs: Inputs) -> Batch:
        """Stack the samples' streams.

        Raises:
            InputError: if there are other inputs than `samples`.
        """
        if set(inputs) != {"samples"}:
            raise InputError(f"got inputs {', '.join(sorted(inputs)) or 'none'}, want samples; give Sample objects")
        return self.read_samples(inputs["samples"])

    def read_samples(self, samples: Sequence[Sample]) -> Batch:
        """Check and stack the samples' streams; a missing stream stays missing."""
        if not self.specs or not samples:
            raise InputError(
                "there is no stream or no sample to read; give samples to a trunk that was trained on some"
            )
        batch: Batch = {}
        for name in self.specs:
            stacked = self._tokenizer(name).collate([sample.streams.get(name) for sample in samples])
            batch |= {f"{name}.values": stacked.values, f"{name}.times": stacked.times}
            if stacked.spacing is not None:
                batch[f"{name}.spacing"] = stacked.spacing
        return batch

    def facts(self) -> dict[str, Any]:
        """Return the streams that are read."""
        return {"kind": "streams", "streams": {name: asdict(spec) for name, spec in self.specs.items()}}

    def embed(self, batch: Batch) -> TokenBatch:
        """Return the tokens, valid ones first."""
        parts = []
        for name in self.specs:
            values, times, spacing = (batch.get(f"{name}.{part}") for part in ("values", "times", "spacing"))
            assert isinstance(values, Tensor)
            assert isinstance(times, Tensor)
            assert not isinstance(spacing, list)
            parts.append(self._tokenizer(name).embed(StreamBatch(values=values, times=times, spacing=spacing)))
        return concatenate(parts).trimmed()

    def _tokenizer(self, name: str) -> Tokenizer:
        tokenizer = self.streams[name]
        assert isinstance(tokenizer, Tokenizer)
        return tokenizer
