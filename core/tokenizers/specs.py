"""What is known of a stream before it is read: kind, channels, statistics; and what a kind of stream has to say."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pydantic import TypeAdapter, ValidationError

from mainstem.core.brief import Form
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.schema import first_mistake
from mainstem.core.stream import Channel
from mainstem.core.tokenizers.scalar import Statistics
from mainstem.core.tokens import StreamTokenizer

MOST_PATCH, MOST_CHANNELS, MOST_STEPS = 64, 4096, 1 << 16  # far beyond any sensor; what is larger was damaged


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

    @property
    def patch(self) -> tuple[int, int, int]:
        """Pixels of a patch along z, y and x."""
        return self.patch_depth, self.patch_size, self.patch_size

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


SPECS = TypeAdapter(dict[str, StreamSpec])


class Settings(TypedDict, total=False):
    """What a spec says beside channels and statistics."""

    patch_size: int
    patch_depth: int
    is_metric: bool
    steps_per_token: int


def no_settings(name: str, forms: Sequence[Form]) -> Settings:
    """Say nothing beside channels and statistics."""
    return {}


@dataclass(frozen=True, kw_only=True)
class StreamKind:
    """How streams of one kind are read.

    Attributes:
        tokenizer: makes what cuts and projects them, of their spec and a width.
        settings: what their spec says beside channels and statistics, of a name and its training samples' forms.
            Where they say `steps_per_token`, a task may say another.
        weights: how many the tokenizer has for a channel and dim at least.
    """

    tokenizer: Callable[[StreamSpec, int], StreamTokenizer]
    settings: Callable[[str, Sequence[Form]], Settings] = no_settings
    weights: Callable[[StreamSpec], int] = lambda spec: 2


def read_streams(plain: Any) -> dict[str, StreamSpec]:  # noqa: ANN401 - whatever a file holds
    """Read what `dataclasses.asdict` made of StreamSpecs by name.

    Raises:
        ArtifactError: if an entry is absent, of another type or out of its range.
    """
    try:
        return SPECS.validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"the streams are damaged: {first_mistake(error)}; train it again") from error
