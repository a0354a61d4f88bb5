"""A new family is one file and one line: this one is made up, and is loaded, asked and fine-tuned as the others are."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mainstem.core.errors import ArtifactError
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.fitted import load_fitted
from mainstem.core.openmodels import FAMILIES, load_open_model
from mainstem.core.openmodels.base import Blueprint, Family, Weights, block_keys, weight_and_bias
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.openmodels.images import PatchConfig, PatchTokenizer
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Classes
from mainstem.core.task import FitConfig, Task
from mainstem.core.training import TrainingConfig
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import TrunkConfig

RGB = tuple(Channel(name=name, unit="1") for name in ("red", "green", "blue"))
LAYERS = {"n1": "norm1", "qkv": "attention.qkv", "o": "attention.out", "n2": "norm2", "f1": "mlp.up", "f2": "mlp.down"}


class ToyTokenizer(PatchTokenizer):
    """Patches of 4 pixels, which an artefact need not say."""

    def __init__(self, dim: int) -> None:
        super().__init__(PatchConfig(dim=dim, patch_size=4))

    def facts(self) -> dict[str, Any]:
        return {"kind": "toy"}


class ToyFacts(TokenizerFacts):
    kind: Literal["toy"]

    def num_weights(self, dim: int) -> int:
        return 48 * dim

    def tokenizer(self, dim: int) -> ToyTokenizer:
        return ToyTokenizer(dim).requires_grad_(False)


def blueprint(weights: Weights) -> Blueprint:
    dim, depth = int(weights.config["width"]), int(weights.config["blocks"])
    keys = weight_and_bias({"stem": "tokenizer.patch", "last": "trunk.norm"}) | {"first": "tokenizer.class_token"}
    return Blueprint(
        trunk=TrunkConfig(
            dim=dim, depth=depth, num_heads=2, hidden=2 * dim, num_registers=0, num_prefix=1, pooling="cls"
        ),
        tokenizer=ToyTokenizer(dim),
        kind="image",
        keys=keys | block_keys(depth, "b{}", weight_and_bias(LAYERS)),
    )


TOY = Family(
    name="toy", matches=lambda config, shapes: config.get("model_type") == "toy", blueprint=blueprint,
    tokenizers={"toy": ToyFacts},
)  # fmt: skip


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The family among the others, which takes one line, and a folder of drawn weights under its own names."""
    monkeypatch.setitem(FAMILIES, TOY.name, TOY)
    config = {"model_type": "toy", "width": 32, "blocks": 2}
    plan = blueprint(Weights(name="toy", config=config, state={}, folder=tmp_path))
    trunk = Trunk(plan.trunk)
    owned = {**trunk.state_dict(prefix="trunk."), **plan.tokenizer.state_dict(prefix="tokenizer.")}
    generator = torch.Generator().manual_seed(0)
    state = {key: 0.2 * torch.randn(owned[target].shape, generator=generator) for key, target in plan.keys.items()}
    folder = tmp_path / "toy"
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def photographs(num: int = 96) -> SampleSet:
    """Bright ones and dark ones, of several sizes."""
    rng, samples = np.random.default_rng(0), []
    for row in range(num):
        values = np.clip(0.3 + 0.4 * (row % 2) + rng.normal(0, 0.1, (3, 8, 8 + 4 * (row % 3))), 0, 1)
        source = Provenance(data="made", item=str(row), group=f"camera {row // 2 % 12}", licence="CC0-1.0")
        stream = Stream(kind="image", values=values, channels=RGB)
        samples.append(Sample(streams={"photo": stream}, target=float(row % 2), source=source))
    return SampleSet(name="made", samples=tuple(samples), flagged={}, attribution="made", classes=("dark", "bright"))


def test_it_is_recognised_loaded_whole_and_asked(weights):
    model = load_open_model(weights)
    assert model.family == "toy"
    images = [sample.streams["photo"].values for sample in photographs(3).samples]
    found = model.embed({"image": images})
    assert found.shape == (3, 32)
    one = model.embed({"image": images[1][None]})
    np.testing.assert_allclose(found[1], one[0], atol=1e-5)
    config = json.loads((weights / "config.json").read_text())
    (weights / "config.json").write_text(json.dumps({**config, "blocks": 3}))
    with pytest.raises(ArtifactError, match="b2"):
        load_open_model(weights)


def test_it_is_fine_tuned_saved_and_loaded_with_an_adapter(weights, tmp_path):
    training = TrainingConfig(epochs=8, batch_size=16, lr_per_step=3e-3, trunk="lora")
    config = FitConfig(training=training, num_folds=2)
    task = Task(
        name="test", task="light", version="1", target=Classes(), config=config,
        read=lambda request: pytest.fail("nothing is read"),
    )  # fmt: skip
    source = photographs()
    spec = FitSpec(config=config, trunk=str(weights))
    saved, judged = fit_and_save(task, source, source.samples, spec, tmp_path)
    assert (saved.target.point(judged["whole"].told) == judged["whole"].truth).mean() > 0.9
    assert saved.manifest.trunk_is_shared
    assert {member.adapter.tokenizer.facts()["kind"] for member in saved.ensemble.members} == {"toy"}
    again = load_fitted(tmp_path, task.target, task.restore)
    few = source.samples[:4]
    for name, values in again.outputs(few, "whole").items():
        np.testing.assert_allclose(values, saved.outputs(few, "whole")[name], atol=1e-6)
