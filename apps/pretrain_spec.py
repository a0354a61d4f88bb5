"""What a pretraining is told, read from a YAML file: trunk, corpora, what is held out, and how it learns."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mainstem.core.devices import AUTO, Precision
from mainstem.core.distributed import Backend, Spread
from mainstem.core.errors import InputError
from mainstem.core.loop import Plan
from mainstem.core.masking import Masking
from mainstem.core.objectives import ObjectiveConfig
from mainstem.core.plain_yaml import read_yaml
from mainstem.core.schema import first_mistake, printable
from mainstem.core.settings import split_settings
from mainstem.core.training import Count, NotNegative, Positive, Share
from mainstem.core.watch import CheckpointConfig

Weight = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Part = Annotated[int, Field(ge=0, le=1000)]


class Strict(BaseModel):
    """A part of a spec: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SetSpec(Strict):
    """A data set as a task reads it."""

    adapter: str
    data: str
    task: str | None = None
    options: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells sets apart."""
        return (
            self.adapter,
            self.task or "",
            self.data,
            *(f"{name}={self.options[name]}" for name in sorted(self.options)),
        )


class CorpusSpec(SetSpec):
    """A set to learn from: how often, how many samples at once, and other names for its streams."""

    weight: Weight = 1.0
    batch_size: Count | None = None
    rename: dict[str, str] = Field(default_factory=dict)


class HeldOutSpec(SetSpec):
    """What an evaluation will be scored on: the set's own test part, groups by name, folds of whole groups."""

    test: bool = True
    groups: tuple[str, ...] = ()
    folds: tuple[Part, ...] = ()
    num_folds: Annotated[int, Field(ge=2, le=1000)] = 5


class TrainingSpec(Strict):
    """How weights are changed (core/loop.py), on which device; `batches_per_step` mix as many corpora at most."""

    steps: Count = 1000
    batch_size: Count = 64
    batches_per_step: Annotated[int, Field(ge=1, le=1000)] = 1
    lr_per_step: Positive = 1e-3
    weight_decay: NotNegative = 0.05
    warmup_share: Share = 0.1
    clip_norm: Positive = 1.0
    device: str = AUTO
    precision: Precision = "float32"
    num_workers: Annotated[int, Field(ge=0, le=256)] = 0
    spread: Spread = "replicate"
    backend: Backend = "auto"
    is_recomputed: bool = False
    is_compiled: bool = False

    def plan(self, seed: int) -> Plan:
        """Return what the loop is told."""
        return Plan(
            steps=self.steps,
            lr_per_step=self.lr_per_step,
            weight_decay=self.weight_decay,
            warmup_share=self.warmup_share,
            clip_norm=self.clip_norm,
            seed=seed,
            parts=self.batches_per_step,
            spread=self.spread,
            is_recomputed=self.is_recomputed,
            is_compiled=self.is_compiled,
        )


class PretrainSpec(Strict):
    """A pretraining. `trunk` is a size, or the folder of a trunk to go on from; `evaluations` name what is held out."""

    trunk: str = "ti"
    seed: Annotated[int, Field(ge=0, le=10**9)] = 0
    corpora: dict[str, CorpusSpec]
    evaluations: dict[str, HeldOutSpec]
    i_have_the_rights: tuple[str, ...] = ()
    training: TrainingSpec = TrainingSpec()
    objective: ObjectiveConfig = ObjectiveConfig()
    masking: Masking = Masking()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @model_validator(mode="after")
    def _has_corpora(self) -> Self:
        if not self.corpora:
            raise ValueError("name at least one corpus")
        return self


def read_spec(path: Path, given: Sequence[str] = (), seed: int | None = None) -> PretrainSpec:
    """Read a spec; settings given as NAME=VALUE, the name with dots, go before the file's, and a seed before both.

    Raises:
        InputError: if a key is unknown, absent, given twice or of another type; the nearest name is offered.
    """
    plain = read_yaml(path)
    for name, value in split_settings(given).items():
        _put(plain, name, value)
    try:
        found = PretrainSpec.model_validate(plain)
    except ValidationError as error:
        unknown = [
            one
            for one in error.errors(include_url=False)
            if one["type"].startswith("extra") or one["type"] == "unexpected_keyword_argument"
        ]
        told = _nearest([str(key) for key in unknown[0]["loc"]]) if unknown else f"{first_mistake(error)}; mend it"
        raise InputError(f"{printable(path, 200)}: {told}") from error
    return found if seed is None else found.model_copy(update={"seed": seed})


def _put(plain: Any, name: str, value: str) -> None:  # noqa: ANN401 - whatever a file holds
    """Put a value in its place, below parts that are there or not; where something else is, the schema says so."""
    *parts, last = name.split(".")
    for part in parts:
        plain = plain.setdefault(part, {}) if isinstance(plain, dict) else None
    if not isinstance(plain, dict):
        raise InputError(f"got --set {printable(name)}, but the spec has one value there, and no parts; mend one")
    plain[last] = value


def _nearest(place: list[str]) -> str:
    """Name the setting that an unknown one resembles, in the same part of the spec where there is one."""
    known = sorted(set(_names(PretrainSpec, "")))
    near = difflib.get_close_matches(place[-1], {name.rpartition(".")[2] for name in known}, n=1, cutoff=0.5)
    meant = [name for name in known if near and name.rpartition(".")[2] == near[0]]
    meant.sort(key=lambda name: name.partition(".")[0] != place[0])
    hint = f"did you mean {meant[0]}?" if meant else f"want one of {', '.join(known)}"
    return f"there is no setting {printable('.'.join(place))}; {hint}"


def _names(kind: type, prefix: str) -> Iterator[str]:
    """The dotted names of a spec's settings; NAME stands for what the user calls a corpus or an evaluation."""
    named: Mapping[str, Any] = {"corpora": CorpusSpec, "evaluations": HeldOutSpec}
    if dataclasses.is_dataclass(kind):
        yield from (f"{prefix}{field.name}" for field in dataclasses.fields(kind))
        return
    assert issubclass(kind, BaseModel)
    for name, field in kind.model_fields.items():
        inner = named.get(name, field.annotation)
        has_parts = isinstance(inner, type) and (dataclasses.is_dataclass(inner) or issubclass(inner, BaseModel))
        yield f"{prefix}{name}"
        if has_parts:
            yield from _names(inner, f"{prefix}{name}.{'NAME.' if name in named else ''}")
