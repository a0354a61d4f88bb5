"""What an adapter file says of itself: typed, with ranges, checked before anything is built from it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mainstem.core.errors import ArtifactError
from mainstem.core.groups import Keys
from mainstem.core.prediction import ModelRef
from mainstem.core.schema import Count, Finite, Flag, Name, Positive, Sha256, first_mistake, parse_object

SCHEMA_VERSION = 4  # 4: a target of any kind, groups are hashed, the code of a stream is its tokenizer's
FEWEST_PLACES = 20  # real ones, before an adapter of simulations may speak in its units


class MemberFacts(BaseModel):
    """One member: its tokenizer (of streams: kind, channels with units, normalisation statistics), its preparation.

    `frame` turns what the head says back into units; `lora_alpha` is None without a LoRA; `trained` says the samples,
    batch size, epochs and steps that were used, whatever the config asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokenizer: dict[str, Any]
    preparation: dict[str, Any] = Field(default_factory=dict)
    frame: dict[str, Positive] = Field(default_factory=dict)
    lora_alpha: Positive | None = None
    trained: dict[str, Count] | None = None


class TrainingFacts(BaseModel):
    """What is always known of the training; more may stand beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    data: str = ""
    num_samples: Count = 0
    groups: list[str] = Field(default_factory=list)
    local_places: Count = 0
    seen: dict[str, list[str]] = Field(default_factory=dict)
    adds: dict[str, bool] = Field(default_factory=dict)  # by view: did the inputs beat the past out of fold?
    calibrated: dict[str, list[str]] = Field(default_factory=dict)


class AdapterManifest(BaseModel):
    """What an adapter file says of itself; unknown entries are refused, so that no newer promise is dropped.

    `target` is what the kind of target keeps of itself, as units, bounds or classes; `channels` holds those of each
    stream in training, in order; `scope` the facts a sample must have to be predicted; `blend` what parts of the
    prediction are worth, by view; `calibration` and `alarm` what is known by view, their arrays being tensors
    `calibration/<view>/<name>`; `training` data, groups (as `groups.key_of` writes them, with `salt`), seed and
    licence, the groups trained on as samples name their data, and those calibrated on since.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Annotated[int, Field(strict=True)] = SCHEMA_VERSION
    adapter: Name
    task: Name
    version: Name
    target: dict[str, Any]
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{0,32}$")] = ""
    is_private: Flag = False
    trunk: dict[str, Any]
    trunk_sha256: Sha256
    trunk_is_shared: Flag
    members: Annotated[tuple[MemberFacts, ...], Field(min_length=1, max_length=1000)]
    blend: dict[str, dict[str, Finite]]
    channels: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    scope: dict[str, list[str]]
    calibration: dict[str, dict[str, Any]]
    alarm: dict[str, dict[str, Any]]
    training: dict[str, Any]
    licence: str
    attribution: str
    simulated: Flag
    known_failures: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_training(cls, values: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        """Check `training`, and fill in what is always known of it."""
        if isinstance(values, dict) and isinstance(values.get("training"), dict):
            try:
                return values | {"training": TrainingFacts(**values["training"]).model_dump()}
            except ValidationError as error:
                raise ValueError(f"training.{first_mistake(error)}") from error
        return values

    @property
    def keys(self) -> Keys:
        """How names of groups are written here."""
        return Keys(salt=self.salt, is_private=self.is_private)

    @property
    def units(self) -> str:
        """The unit of values."""
        return str(self.target.get("units", ""))

    def reference(self, adapter_sha256: str) -> ModelRef:
        """Return what predictions carry of their model."""
        return ModelRef(
            adapter=self.adapter,
            task=self.task,
            version=self.version,
            adapter_sha256=adapter_sha256,
            trunk_sha256=self.trunk_sha256,
        )

    def speaks_of(self, *, is_simulated: bool) -> bool:
        """True where values may be given in the manifest's units.

        What was learned from simulations alone says nothing of the real world in units, until FEWEST_PLACES places or
        groups of it have calibrated the adapter.
        """
        return is_simulated or not self.simulated or int(self.training["local_places"]) >= FEWEST_PLACES


def parse_manifest(text: str, name: str) -> AdapterManifest:
    """Read a manifest's JSON; `name` is the run's, for messages.

    Raises:
        ArtifactError: if it is of another schema, or an entry is absent, unknown or out of range.
    """
    plain = parse_object(text, f"the manifest of {name}")
    if plain.get("schema_version") != SCHEMA_VERSION:
        found = plain.get("schema_version")
        raise ArtifactError(f"{name} has manifest schema {found!r:.20}, want {SCHEMA_VERSION}; train it again")
    try:
        return AdapterManifest(**plain)
    except ValidationError as error:
        raise ArtifactError(f"the manifest of {name} is damaged: {first_mistake(error)}; train it again") from error
