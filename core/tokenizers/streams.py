"""Samples of any streams to tokens: one tokenizer a stream, by its kind."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mainstem.core.blocks import Block
from mainstem.core.brief import Brief, Form, joined_moments
from mainstem.core.cases import blocks_in, streams_in
from mainstem.core.errors import ChannelError, InputError
from mainstem.core.layout import channel_places, placed, placed_brief, union_of_channels
from mainstem.core.samples import briefly, forms_in, is_lazy
from mainstem.core.stream import CHANNEL_DIM, Channel, Sample
from mainstem.core.tokenizers.kinds import kind_of
from mainstem.core.tokenizers.specs import Settings, StreamSpec
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, StreamTokenizer, TokenBatch, concatenate

NEVER_SEEN = 1e30  # spread of a channel that no training sample shows: whatever it says later counts as its mean
CODE_STD = 0.02  # of stream codes, as of the trunk's weights


def read_specs(samples: Sequence[Sample], wanted: Settings | None = None) -> dict[str, StreamSpec]:
    """Read from training samples which streams there are, and each channel's mean and standard deviation.

    `wanted` settings, as the size of patches, take the place of what streams' kinds say where these have such.
    """
    return {name: _spec(name, forms, samples, wanted or {}) for name, forms in forms_in(samples).items()}


def num_weights(specs: Mapping[str, StreamSpec], dim: int) -> int:
    """A lower bound of the weights of tokenizers, to hold against a file before anything is allocated."""
    return sum(dim * len(spec.channels) * kind_of(spec.kind, name).weights(spec) for name, spec in specs.items())


def _spec(name: str, forms: Sequence[Form], samples: Sequence[Sample], wanted: Settings) -> StreamSpec:
    """Channels by name, in the order in which they are met, with statistics over all samples; `forms` are theirs.

    Raises:
        ChannelError: if samples give a channel in different units or wavelengths.
        InputError: if they give streams of different kinds under one name, or of one that is not read, or some images
            say the size of their pixels and others do not.
    """
    read = kind_of(forms[0].kind, name)
    channels = union_of_channels(name, forms)
    settings = read.settings(name, forms)
    known: Settings = {name: value for name, value in wanted.items() if name in settings}  # type: ignore[assignment]
    settings |= known
    mean, spread = _moments(samples, name, channels)
    statistics = {channel.name: (float(mean[index]), float(spread[index])) for index, channel in enumerate(channels)}
    return replace(StreamSpec(kind=forms[0].kind, channels=channels, statistics=statistics), **settings)


def _moments(samples: Sequence[Sample], name: str, channels: Sequence[Channel]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of channels; samples that are not in memory are told in short, one by one."""
    if is_lazy(samples):
        every = (briefly(sample).get(name) for sample in samples)
        parts = [placed_brief(Brief.of(stream), channels).moments for stream in every if stream is not None]
        count, mean, squares = torch.from_numpy(joined_moments(parts))
    else:
        values: dict[int, Tensor] = {}
        for index, block in blocks_in(samples, name):
            values |= zip(index.tolist(), _rows(block, channels), strict=True)
        rows = torch.cat([values[row] for row in sorted(values)])
        count = rows.isfinite().sum(0)
        mean = rows.nan_to_num().sum(0) / count.clamp(min=1)
        squares = torch.where(rows.isfinite(), rows - mean, 0.0).square().sum(0)
    return mean, torch.where(count > 0, (squares / count.clamp(min=1)).sqrt(), NEVER_SEEN)


def _rows(stream: Block, channels: Sequence[Channel]) -> Tensor:
    """Streams' values (streams, rows, channels), NaN in channels that they lack."""
    found = placed(stream, channels)
    shown = found.values if found.valid is None else np.where(found.observed(), found.values, np.nan)
    values = torch.tensor(shown, dtype=torch.float64).movedim(CHANNEL_DIM[found.kind] + 1, -1)
    return values.reshape(len(found), -1, len(channels))


def _misfit(own: StreamSpec | None, spec: StreamSpec) -> str:
    """Why a stream's part does not read what another spec describes; "" where it does."""
    if own is None or own.kind != spec.kind:
        return "not known" if own is None else f"read as {own.kind}, not {spec.kind}"
    if own.is_metric and not spec.is_metric:
        return "read in metres, which these do not say"
    try:
        places = channel_places(spec.channels, own.channels)
    except ChannelError as error:
        return str(error)
    return f"without {spec.channels[places.index(None)].name}" if None in places else ""


def specs_of(tokenizer: OpenTokenizer) -> Mapping[str, StreamSpec]:
    """What a tokenizer reads, by stream; {} where it is an open model's own."""
    return tokenizer.specs if isinstance(tokenizer, StreamsTokenizer) else {}


def module_name(stream: str) -> str:
    """A stream's name as torch takes it for a module: points escaped, names of ModuleDict's own marked."""
    escaped = stream.replace("%", "%25").replace(".", "%2E")
    return f"%{escaped}" if not escaped or hasattr(nn.ModuleDict(), escaped) else escaped


def draw_code(name: str, tokenizer: StreamTokenizer) -> None:
    """Draw a stream's code by its name alone, so that no other stream and no seed changes where it begins."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    nn.init.trunc_normal_(tokenizer.stream_code, std=CODE_STD, generator=torch.Generator().manual_seed(seed))


class StreamsTokenizer(OpenTokenizer):
    """Tokens of each named stream in turn; a missing stream gives none. `samples` is the one input by name."""

    main_input = "samples"

    def __init__(self, specs: Mapping[str, StreamSpec], dim: int) -> None:
        super().__init__()
        self.specs, self.dim = dict(specs), dim
        self.streams = nn.ModuleDict(
            {module_name(name): kind_of(spec.kind, name).tokenizer(spec, dim) for name, spec in specs.items()}
        )
        for name in specs:
            draw_code(name, self.part(name))

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Stack the samples' streams.

        Raises:
            InputError: if there are other inputs than `samples`.
        """
        if set(inputs) != {"samples"}:
            raise InputError(f"got inputs {', '.join(sorted(inputs)) or 'none'}, want samples; give Sample objects")
        return self.cut(inputs["samples"])

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Check and stack the samples' streams; a missing stream stays missing."""
        if not self.specs or not samples:
            raise InputError(
                "there is no stream or no sample to read; give samples to a trunk that was trained on some"
            )
        parts: dict[str, Tensor | list[Tensor]] = {}
        for name in self.specs:
            patches = self.part(name).cut(streams_in(samples, name))
            parts |= {f"{name}.{part}": values for part, values in patches.parts.items()}
        return Patches(parts=parts)

    def misfits(self, specs: Mapping[str, StreamSpec]) -> dict[str, str]:
        """Say, by stream, what it would not read of samples' streams, or would read as something else."""
        return {name: why for name, spec in specs.items() if (why := _misfit(self.specs.get(name), spec))}

    def joined(self, specs: Mapping[str, StreamSpec]) -> dict[str, StreamSpec]:
        """Return its own streams' specs, with these where they are new to it, or misfit."""
        return self.specs | {name: specs[name] for name in self.misfits(specs)}

    def widened(self, specs: Mapping[str, StreamSpec]) -> "StreamsTokenizer":
        """Return a tokenizer that reads these streams too, itself where it reads them all.

        Streams that it reads keep weights, code and statistics; new ones, and those that misfit, get new parts.
        """
        new = {name: specs[name] for name in self.misfits(specs)}
        if not new:
            return self
        found = StreamsTokenizer(new, self.dim)
        found.specs = self.joined(specs)
        found.streams.update({key: part for key, part in self.streams.items() if key not in found.streams})
        return found

    def of(self, names: Collection[str]) -> "StreamsTokenizer":
        """Return a tokenizer of those streams alone, in the same order, around the same parts."""
        found = StreamsTokenizer({}, self.dim)
        found.specs = {name: spec for name, spec in self.specs.items() if name in names}
        found.streams.update({module_name(name): self.part(name) for name in found.specs})
        return found

    def facts(self) -> dict[str, Any]:
        """Return the streams that are read."""
        return {"kind": "streams", "streams": {name: asdict(spec) for name, spec in self.specs.items()}}

    def project(self, patches: Patches) -> TokenBatch:
        """Return the tokens, valid ones first."""
        return concatenate([self.part(name).project(patches.below(f"{name}.")) for name in self.specs]).trimmed()

    def part(self, name: str) -> StreamTokenizer:
        """Return what reads a stream."""
        tokenizer = self.streams[module_name(name)]
        assert isinstance(tokenizer, StreamTokenizer)
        return tokenizer
