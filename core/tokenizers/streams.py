"""Samples of any streams to tokens: one tokenizer a stream, by its kind."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from mainstem.core.brief import Brief, Form, joined_moments
from mainstem.core.cases import Block, blocks_in, streams_in
from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.layout import channel_places, placed, placed_brief, union_of_channels
from mainstem.core.samples import briefly, forms_in, is_lazy
from mainstem.core.schema import first_mistake
from mainstem.core.stream import CHANNEL_DIM, Channel, Sample
from mainstem.core.tokenizers.grid import GridTokenizer
from mainstem.core.tokenizers.scalar import ScalarTokenizer, Statistics
from mainstem.core.tokenizers.series import SeriesTokenizer
from mainstem.core.tokenizers.space import SpaceTokenizer
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, StreamTokenizer, TokenBatch, concatenate


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """One stream that an adapter reads: its kind, channels and the statistics its values are standardised with.

    Attributes:
        patch_size, patch_depth: of grids, images and volumes: pixels a side of a patch, and slices.
        is_metric: images and volumes say the size of their pixels, so that tokens lie in metres.
        steps_per_token: of series.
    """

    kind: str
    channels: tuple[Channel, ...]
    statistics: Statistics
    patch_size: int = 1
    patch_depth: int = 1
    is_metric: bool = False
    steps_per_token: int = 1

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        if not names or len(set(names)) < len(names) or set(names) != set(self.statistics):
            raise InputError(f"got channels {', '.join(names)[:200] or 'none'}; want each once, each with statistics")
        if not all(math.isfinite(mean) and 0 <= std < math.inf for mean, std in self.statistics.values()):
            raise InputError("the statistics of a channel hold NaN, infinity or a spread below 0; drop those values")
        sizes = (self.patch_size, self.patch_depth)
        if not all(1 <= size <= MOST_PATCH for size in sizes) or len(names) > MOST_CHANNELS:
            raise InputError(f"got {len(names)} channels in patches of {max(sizes)} pixels; want fewer")
        if not 1 <= self.steps_per_token <= MOST_STEPS:
            raise InputError(f"got {self.steps_per_token} steps a token, want 1 to {MOST_STEPS}; mend the config")

    def num_weights(self, dim: int) -> int:
        """A lower bound of its tokenizer's weights."""
        pixels = self.patch_depth * self.patch_size**2 if self.kind in ("image", "volume") else 1
        return len(self.channels) * dim * max(pixels, 2 * self.steps_per_token)


SPECS = TypeAdapter(dict[str, StreamSpec])
MOST_PATCH, MOST_CHANNELS, MOST_STEPS = 64, 4096, 1 << 16  # far beyond any sensor; what is larger was damaged
NEVER_SEEN = 1e30  # spread of a channel that no training sample shows: whatever it says later counts as its mean
CODE_STD = 0.02  # of stream codes, as of the trunk's weights
LARGEST_PATCH = {"grid": 4, "image": 16, "volume": 8}  # pixels a side of patches; smaller windows are one patch
LONG_SERIES, MOST_TOKENS = 512, 256  # steps beyond which a token holds several, and tokens that the longest then gives


def tokenizer_for(spec: StreamSpec, dim: int) -> StreamTokenizer:
    """Return the tokenizer of the stream's kind."""
    if spec.kind == "series":
        return SeriesTokenizer(dim, spec.channels, spec.statistics, spec.steps_per_token)
    if spec.kind == "scalar":
        return ScalarTokenizer(dim, spec.channels, spec.statistics)
    if spec.kind == "grid":
        return GridTokenizer(dim, spec.channels, spec.statistics, spec.patch_size)
    if spec.kind in ("image", "volume"):
        patch = (spec.patch_depth, spec.patch_size, spec.patch_size)
        return SpaceTokenizer(dim, spec.channels, spec.statistics, patch, spec.is_metric)
    raise InputError(f"no tokenizer for a {spec.kind} stream yet; use scalar, series, image, grid or volume")


def read_specs(samples: Sequence[Sample], steps_per_token: int = 0) -> dict[str, StreamSpec]:
    """Read from training samples which streams there are, and each channel's mean and standard deviation.

    A token of a series holds `steps_per_token` steps; with 0 one, or several where a series is long.
    """
    specs = {name: _spec(name, forms, samples) for name, forms in forms_in(samples).items()}
    if not steps_per_token:
        return specs
    return {
        name: replace(spec, steps_per_token=steps_per_token) if spec.kind == "series" else spec
        for name, spec in specs.items()
    }


def read_streams(plain: Any) -> dict[str, StreamSpec]:  # noqa: ANN401 - whatever a file holds
    """Read what `dataclasses.asdict` made of StreamSpecs by name.

    Raises:
        ArtifactError: if an entry is absent, of another type or out of its range.
    """
    try:
        return SPECS.validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"the streams are damaged: {first_mistake(error)}; train it again") from error


def num_weights(specs: Mapping[str, StreamSpec], dim: int) -> int:
    """A lower bound of the weights of tokenizers, to hold against a file before anything is allocated."""
    return sum(spec.num_weights(dim) for spec in specs.values())


def _spec(name: str, forms: Sequence[Form], samples: Sequence[Sample]) -> StreamSpec:
    """Channels by name, in the order in which they are met, with statistics over all samples; `forms` are theirs.

    Raises:
        ChannelError: if samples give a channel in different units or wavelengths.
        InputError: if they give streams of different kinds under one name, or text, or some images say the size of
            their pixels and others do not.
    """
    if forms[0].kind not in CHANNEL_DIM:
        raise InputError(
            f"stream {name!r} is {forms[0].kind}, which no tokenizer reads yet; use scalar, series, image, grid or "
            "volume, or leave it out"
        )
    kind, channels = forms[0].kind, union_of_channels(name, forms)
    mean, spread = _moments(samples, name, channels)
    statistics = {channel.name: (float(mean[index]), float(spread[index])) for index, channel in enumerate(channels)}
    longest = max(form.shape[0] for form in forms) if kind == "series" else 0
    return StreamSpec(
        kind=kind,
        channels=channels,
        statistics=statistics,
        patch_size=_patch_side(kind, forms, (-2, -1)),
        patch_depth=_patch_side(kind, forms, (-3,)) if kind == "volume" else 1,
        is_metric=_is_metric(name, forms),
        steps_per_token=math.ceil(longest / MOST_TOKENS) if longest > LONG_SERIES else 1,
    )


def _moments(samples: Sequence[Sample], name: str, channels: Sequence[Channel]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of channels; samples that are not in memory are told in short, one by one."""
    if is_lazy(samples):
        every = (briefly(sample).get(name) for sample in samples)
        parts = [placed_brief(Brief.of(stream), channels).moments for stream in every if stream is not None]
        count, mean, squares = torch.from_numpy(joined_moments(parts))
    else:
        rows = torch.cat([_rows(block, channels) for _, block in blocks_in(samples, name)])
        count = rows.isfinite().sum(0)
        mean = rows.nan_to_num().sum(0) / count.clamp(min=1)
        squares = torch.where(rows.isfinite(), rows - mean, 0.0).square().sum(0)
    return mean, torch.where(count > 0, (squares / count.clamp(min=1)).sqrt(), NEVER_SEEN)


def _patch_side(kind: str, forms: Sequence[Form], axes: Sequence[int]) -> int:
    """Pixels of a patch along axes: the kind's, or the smallest side that streams have there."""
    if kind not in LARGEST_PATCH:
        return 1
    sides = [form.shape[axis] for form in forms for axis in axes]
    return max(min([LARGEST_PATCH[kind], *sides]), 1)


def _is_metric(name: str, forms: Sequence[Form]) -> bool:
    if forms[0].kind not in ("image", "volume"):
        return False
    known = {form.has_unit for form in forms}
    if len(known) > 1:
        raise InputError(
            f"some samples say the size of the pixels of {name!r} and some do not; give all of them a Geometry in m or "
            "mm, or none"
        )
    return known == {True}


def _rows(stream: Block, channels: Sequence[Channel]) -> Tensor:
    """Streams' values (rows, channels), NaN in channels that they lack."""
    found = placed(stream, channels)
    shown = found.values if found.valid is None else np.where(found.observed(), found.values, np.nan)
    return torch.tensor(shown, dtype=torch.float64).movedim(CHANNEL_DIM[found.kind] + 1, -1).reshape(-1, len(channels))


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
        self.streams = nn.ModuleDict({module_name(name): tokenizer_for(spec, dim) for name, spec in specs.items()})
        for name in specs:
            draw_code(name, self._tokenizer(name))

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
            patches = self._tokenizer(name).cut(streams_in(samples, name))
            parts |= {f"{name}.{part}": values for part, values in patches.parts.items()}
        return Patches(parts=parts)

    def misfits(self, specs: Mapping[str, StreamSpec]) -> dict[str, str]:
        """Say, by stream, what it would not read of samples' streams, or would read as something else."""
        return {name: why for name, spec in specs.items() if (why := _misfit(self.specs.get(name), spec))}

    def widened(self, specs: Mapping[str, StreamSpec]) -> "StreamsTokenizer":
        """Return a tokenizer that reads these streams too, itself where it reads them all.

        Streams that it reads keep weights, code and statistics; new ones, and those that misfit, get new parts.
        """
        new = {name: specs[name] for name in self.misfits(specs)}
        if not new:
            return self
        found = StreamsTokenizer(new, self.dim)
        found.specs = self.specs | new
        found.streams.update({key: part for key, part in self.streams.items() if key not in found.streams})
        return found

    def facts(self) -> dict[str, Any]:
        """Return the streams that are read."""
        return {"kind": "streams", "streams": {name: asdict(spec) for name, spec in self.specs.items()}}

    def project(self, patches: Patches) -> TokenBatch:
        """Return the tokens, valid ones first."""
        return concatenate([self._tokenizer(name).project(patches.below(f"{name}.")) for name in self.specs]).trimmed()

    def _tokenizer(self, name: str) -> StreamTokenizer:
        tokenizer = self.streams[module_name(name)]
        assert isinstance(tokenizer, StreamTokenizer)
        return tokenizer
