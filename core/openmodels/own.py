"""The project's own trunks, xs to b: with the tokenizers of their streams, saved and loaded like any open model."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.lora import is_lora_key
from mainstem.core.openmodels.base import Blueprint, Family, OpenModel, Shapes, Weights
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.openmodels.fetching import check_name, listings, split_revision
from mainstem.core.openmodels.files import read_config
from mainstem.core.schema import printable
from mainstem.core.tokenizers.specs import read_streams
from mainstem.core.tokenizers.streams import StreamsTokenizer, num_weights
from mainstem.core.tokens import OpenTokenizer
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES, trunk_config
from mainstem.core.weights import check_room, save_tensors

MODEL_TYPE = "mainstem"


def untrained(size: str, seed: int = 0) -> OpenModel:
    """A trunk of one of the project's sizes with weights drawn from a seed: none are published yet."""
    trunk = Trunk(SIZES[size], seed).eval()
    return OpenModel(
        name=size, family=MODEL_TYPE, trunk=trunk, tokenizers={"streams": StreamsTokenizer({}, trunk.config.dim)}
    )


def check_own(name: str) -> None:
    """Refuse what is no trunk of the project's own, as far as that is told without reading weights.

    Raises:
        InputError: if it is of another family, or there is none of this name.
        ArtifactError: if its config is damaged.
    """
    if name in SIZES:
        return
    path, listing = Path(name), listings().get(split_revision(name)[0])
    if path.exists():
        family = read_config(path if path.is_dir() else path.parent).get("model_type", "unknown")
    elif listing is not None:
        family = listing.family
    else:
        check_name(name)
        return
    if family != MODEL_TYPE:
        raise InputError(
            f"got trunk {name!r:.200}, of the family {printable(family)}; want {', '.join(SIZES)}, or one made of these"
        )


def save_own(model: OpenModel, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` of a trunk of the project's own kind, LoRA left out."""
    tokenizer = model.tokenizer
    assert isinstance(tokenizer, StreamsTokenizer)
    config = {
        "model_type": MODEL_TYPE,
        "trunk": dataclasses.asdict(model.trunk.config),
        "streams": {name: dataclasses.asdict(spec) for name, spec in tokenizer.specs.items()},
    }
    state = {**tokenizer.state_dict(prefix="tokenizer."), **model.trunk.state_dict(prefix="trunk.")}
    kept = {name: value for name, value in state.items() if not is_lora_key(name)}
    save_tensors(folder / "model.safetensors", kept, {"format": "pt"})
    write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def matches(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True for what `save_own` wrote."""
    return config.get("model_type") == MODEL_TYPE


def blueprint(weights: Weights) -> Blueprint:
    """Read the config."""
    config = trunk_config(weights.config["trunk"])
    specs = read_streams(weights.config["streams"])
    check_room(num_weights(specs, config.dim), sum(value.numel() for value in weights.state.values()), weights.name)
    tokenizer = StreamsTokenizer(specs, config.dim)
    check_room(config.num_weights(), sum(value.numel() for value in weights.state.values()), weights.name)
    parts = {"trunk": Trunk(config), "tokenizer": tokenizer}
    keys = [f"{prefix}.{key}" for prefix, part in parts.items() for key in part.state_dict()]
    return Blueprint(trunk=config, tokenizer=tokenizer, kind="streams", keys={key: key for key in keys})


class StreamsFacts(TokenizerFacts):
    """The project's own tokenizers, by stream; `read_streams` checks each."""

    kind: Literal["streams"]
    streams: dict[str, dict[str, Any]]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return num_weights(read_streams(self.streams), dim)

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        return StreamsTokenizer(read_streams(self.streams), dim)


FAMILY = Family(name=MODEL_TYPE, matches=matches, blueprint=blueprint, tokenizers={"streams": StreamsFacts})
