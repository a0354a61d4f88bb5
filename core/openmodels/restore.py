"""Tokenizers from what an adapter's manifest says of them: typed, with ranges, before anything is allocated."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mainstem.core.errors import ArtifactError
from mainstem.core.openmodels import galileo, images, presto, prithvi, siglip2
from mainstem.core.schema import first_mistake, printable
from mainstem.core.tokenizers.streams import StreamsTokenizer, num_weights, read_streams
from mainstem.core.tokens import OpenTokenizer
from mainstem.core.weights import check_room


class PrestoFacts(BaseModel):
    """Presto: the width is the trunk's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["presto"]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return presto.NUM_COVERS * dim

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        return presto.PrestoTokenizer(dim).requires_grad_(False)


class GalileoFacts(BaseModel):
    """Galileo: pixels a side of its kernels, and months."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["galileo"]
    kernel: Annotated[int, Field(ge=1, le=64)]
    max_steps: Annotated[int, Field(ge=1, le=1000)]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return dim * self.kernel**2

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        return galileo.GalileoTokenizer(dim, self.kernel, self.max_steps).requires_grad_(False)


class PrithviFacts(BaseModel):
    """Prithvi-EO: pixels a side of a patch, patches a side, version, bands and codes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["prithvi"]
    patch_size: Annotated[int, Field(ge=1, le=256)]
    side: Annotated[int, Field(ge=1, le=128)]
    version: Literal[1, 2] | None
    bands: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=64)]
    codes: list[Literal["time", "location"]]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return len(prithvi.BANDS) * self.patch_size**2 * dim

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        plain = self.model_dump(exclude={"kind"})
        return prithvi.PrithviTokenizer(dim, **plain).requires_grad_(False)


Statistics = Annotated[list[Annotated[float, Field(ge=-1e6, le=1e6)]], Field(min_length=1, max_length=64)]


class ImagesFacts(BaseModel):
    """The vision transformers: what `images.PatchConfig` says, without the width; `naflex` is SigLIP 2's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["images", "naflex"]
    patch_size: Annotated[int, Field(ge=1, le=256)]
    num_channels: Annotated[int, Field(ge=1, le=64)]
    side: Annotated[int, Field(ge=0, le=1024)]
    has_class_token: bool
    num_registers: Annotated[int, Field(ge=0, le=1024)]
    has_mask_token: bool
    is_antialiased: bool
    is_rotary: bool
    mean: Statistics
    std: Statistics
    repeats_grey: bool

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return (self.num_channels * self.patch_size**2 + self.side**2) * dim

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        config = images.PatchConfig(dim=dim, **self.model_dump(exclude={"kind"}))
        made = siglip2.NaFlexTokenizer(config) if self.kind == "naflex" else images.PatchTokenizer(config)
        return made.requires_grad_(False)


class StreamsFacts(BaseModel):
    """The project's own tokenizers, by stream; `read_streams` checks each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["streams"]
    streams: dict[str, dict[str, Any]]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return num_weights(read_streams(self.streams), dim)

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        return StreamsTokenizer(read_streams(self.streams), dim)


AnyFacts = PrestoFacts | GalileoFacts | PrithviFacts | ImagesFacts | StreamsFacts
TOKENIZERS: dict[str, type[AnyFacts]] = {
    "presto": PrestoFacts, "galileo": GalileoFacts, "prithvi": PrithviFacts, "images": ImagesFacts,
    "naflex": ImagesFacts, "streams": StreamsFacts,
}  # fmt: skip


def restore_tokenizer(facts: Mapping[str, Any], dim: int, held: int | None = None) -> OpenTokenizer:
    """Build the tokenizer that `OpenTokenizer.facts` describes, its weights, `held` in number, yet to be loaded.

    Raises:
        ArtifactError: if there is none of its kind, or its facts are damaged or ask for more weights than are held.
    """
    plain = TOKENIZERS.get(str(facts.get("kind")))
    if plain is None:
        raise ArtifactError(
            f"the adapter was fitted on a tokenizer {printable(facts.get('kind'))!r}, which is not read; "
            "update mainstem"
        )
    try:
        known = plain.model_validate_json(json.dumps(facts), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"the tokenizer's facts are damaged: {first_mistake(error)}; train it again") from error
    if held is not None:
        check_room(known.num_weights(dim), held, "the tokenizer")
    return known.tokenizer(dim)
