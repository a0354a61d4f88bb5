"""Samples of any streams to tokens: one tokenizer a stream, by its kind."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from mainstem.core.cases import Block, blocks_in, names_in, streams_in
from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.layout import channel_places, placed, union_of_channels
from mainstem.core.schema import first_mistake
from mainstem.core.stream import CHANNEL_DIM, Channel, Sample
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

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        if not names or len(set(names)) < len(names) or set(names) != set(self.statistics):
            raise InputError(f"got channels {', '.join(names)[:200] or 'none'}; want each once, each with statistics")
        if not all(math.isfinite(mean) and 0 <= std < math.inf for mean, std in self.statistics.values()):
            raise InputError("the statistics of a channel hold NaN, infinity or a spread below 0; drop those values")
        if not 1 <= self.patch_size <= MOST_PATCH or len(names) > MOST_CHANNELS:
            raise InputError(f"got {len(names)} channels in patches of {self.patch_size} pixels; want fewer")


SPECS = TypeAdapter(dict[str, StreamSpec])
MOST_PATCH, MOST_CHANNELS = 64, 4096  # far beyond any sensor; what is larger was damaged
NEVER_SEEN = 1e30  # spread of a channel that no training sample shows: whatever it says later counts as its mean
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
    return {name: _spec(name, [block for _, block in blocks_in(samples, name)]) for name in names_in(samples)}


def read_streams(plain: Any) -> dict[str, StreamSpec]:  # noqa: ANN401 - whatever a file holds
    """Read what `dataclasses.asdict` made of StreamSpecs by name.

    Raises:
        ArtifactError: if a field is absent, of another type or out of its range.
    """
    try:
        return SPECS.validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"the streams are damaged: {first_mistake(error)}; train it again") from error


def num_weights(specs: Mapping[str, StreamSpec], dim: int) -> int:
    """A lower bound of the weights of tokenizers, to hold against a file before anything is allocated."""
    return sum(2 * len(spec.channels) * dim for spec in specs.values())


def _spec(name: str, streams: Sequence[Block]) -> StreamSpec:
    """Channels by name, in the order in which they are met, with statistics over all samples.

    Raises:
        ChannelError: if samples give a channel in different units or wavelengths.
        InputError: if they give streams of different kinds under one name, or text.
    """
    if streams[0].kind not in CHANNEL_DIM:
        raise InputError(
            f"stream {name!r} is {streams[0].kind}, which no tokenizer reads yet; use series, grid or scalar, or leave "
            "it out"
        )
    kind, channels = streams[0].kind, union_of_channels(name, streams)
    rows = torch.cat([_rows(stream, channels) for stream in streams])
    seen = rows.isfinite()
    count = seen.sum(0).clamp(min=1)
    mean = rows.nan_to_num().sum(0) / count
    spread = torch.where(seen, rows - mean, 0.0).square().sum(0).div(count).sqrt()
    spread = torch.where(seen.any(0), spread, NEVER_SEEN)
    statistics = {channel.name: (float(mean[index]), float(spread[index])) for index, channel in enumerate(channels)}
    sides = [side for stream in streams for side in stream.values.shape[3:]] if kind == "grid" else []
    return StreamSpec(
        kind=kind, channels=channels, statistics=statistics, patch_size=min([LARGEST_PATCH, *sides]) if sides else 1
    )


def _rows(stream: Block, channels: Sequence[Channel]) -> Tensor:
    """Streams' values (rows, channels), NaN in channels that they lack."""
    found = placed(stream, channels)
    shown = found.values if found.valid is None else np.where(found.observed(), found.values, np.nan)
    return torch.tensor(shown, dtype=torch.float64).movedim(CHANNEL_DIM[found.kind] + 1, -1).reshape(-1, len(channels))


def module_name(stream: str) -> str:
    """A stream's name as torch takes it for a module: points escaped, names of ModuleDict's own marked."""
    escaped = stream.replace("%", "%25").replace(".", "%2E")
    return f"%{escaped}" if not escaped or hasattr(nn.ModuleDict(), escaped) else escaped


class StreamsTokenizer(OpenTokenizer):
    """Tokens of each named stream in turn; a missing stream gives none. `samples` is the one input by name."""

    main_input = "samples"

    def __init__(self, specs: Mapping[str, StreamSpec], dim: int) -> None:
        super().__init__()
        self.specs = dict(specs)
        self.streams = nn.ModuleDict({module_name(name): tokenizer_for(spec, dim) for name, spec in specs.items()})

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
            stacked = self._tokenizer(name).collate(streams_in(samples, name))
            batch |= {f"{name}.values": stacked.values, f"{name}.times": stacked.times}
            if stacked.spacing is not None:
                batch[f"{name}.spacing"] = stacked.spacing
        return batch

    def misfit(self, specs: Mapping[str, StreamSpec]) -> str:
        """Say what of samples' streams it would not read, or would read as something else; "" where all is well."""
        for name, spec in specs.items():
            own = self.specs.get(name)
            if own is None or own.kind != spec.kind:
                return f"it reads {', '.join(self.specs)}, not {name} ({spec.kind})"
            try:
                places = channel_places(spec.channels, own.channels)
            except ChannelError as error:
                return f"{name}: {error}"
            if None in places:
                return f"it reads no {spec.channels[places.index(None)].name} of {name}"
        return ""

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
        tokenizer = self.streams[module_name(name)]
        assert isinstance(tokenizer, Tokenizer)
        return tokenizer
