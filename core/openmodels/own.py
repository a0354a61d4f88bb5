"""The project's own trunks, xs to b: with the tokenizers of their streams, saved and loaded like any open model."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mainstem.core.adapter import StreamSpec, read_streams, tokenizer_for
from mainstem.core.errors import InputError
from mainstem.core.openmodels.base import (
    Batch,
    Blueprint,
    Family,
    Inputs,
    OpenModel,
    OpenTokenizer,
    Shapes,
    Weights,
    only,
)
from mainstem.core.stream import Sample
from mainstem.core.tokens import StreamBatch, TokenBatch, Tokenizer, concatenate
from mainstem.core.trunk import SIZES, Trunk, trunk_config
from mainstem.core.weights import save_tensors, write_atomically

MODEL_TYPE = "mainstem"


class StreamsTokenizer(OpenTokenizer):
    """Samples to the tokens of their streams; `samples` is the one input. A missing stream gives no tokens."""

    def __init__(self, specs: Mapping[str, StreamSpec], dim: int) -> None:
        super().__init__()
        self.specs = dict(specs)
        self.streams = nn.ModuleDict({name: tokenizer_for(spec, dim) for name, spec in specs.items()})

    def read(self, inputs: Inputs) -> Batch:
        """Stack the samples' streams."""
        only(inputs, ("samples",))
        samples: Sequence[Sample] = inputs.get("samples", ())
        if not self.specs or not samples:
            raise InputError(
                "this trunk has no tokenizers of its own, or no samples were given; train it on streams first"
            )
        batch: Batch = {}
        for name, tokenizer in self.streams.items():
            assert isinstance(tokenizer, Tokenizer)
            stacked = tokenizer.collate([sample.streams.get(name) for sample in samples])
            batch |= {f"{name}.values": stacked.values, f"{name}.times": stacked.times}
        return batch

    def embed(self, batch: Batch) -> TokenBatch:
        """Return the tokens of all streams, valid ones first."""
        parts = []
        for name, tokenizer in self.streams.items():
            values, times = batch[f"{name}.values"], batch[f"{name}.times"]
            assert isinstance(tokenizer, Tokenizer)
            assert isinstance(values, Tensor)
            assert isinstance(times, Tensor)
            parts.append(tokenizer.embed(StreamBatch(values=values, times=times)))
        return concatenate(parts).trimmed()


def untrained(size: str, seed: int = 0) -> OpenModel:
    """A trunk of one of the project's sizes with weights drawn from a seed: none are published yet."""
    trunk = Trunk(SIZES[size], seed).eval()
    return OpenModel(
        name=size, family=MODEL_TYPE, trunk=trunk, tokenizers={"streams": StreamsTokenizer({}, trunk.config.dim)}
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
    kept = {name: value for name, value in state.items() if ".lora." not in name}
    save_tensors(folder / "model.safetensors", kept, {"format": "pt"})
    write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def matches(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True for what `save_own` wrote."""
    return config.get("model_type") == MODEL_TYPE


def blueprint(weights: Weights) -> Blueprint:
    """Read the config."""
    config = trunk_config(weights.config["trunk"])
    tokenizer = StreamsTokenizer(read_streams(weights.config["streams"]), config.dim)
    parts = {"trunk": Trunk(config), "tokenizer": tokenizer}
    keys = [f"{prefix}.{key}" for prefix, part in parts.items() for key in part.state_dict()]
    return Blueprint(trunk=config, tokenizer=tokenizer, kind="streams", keys={key: key for key in keys})


FAMILY = Family(name=MODEL_TYPE, matches=matches, blueprint=blueprint)
