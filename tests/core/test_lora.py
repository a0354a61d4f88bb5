"""Grouped LoRA: mixed batches against a float64 oracle, forward and backward, and PEFT's files in both directions."""

import json

import peft
import pytest
import torch

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.lora import AdaptedLinear, add_lora, load_lora, lora_state, remove_lora, updates_of
from mainstem.core.peft_files import load_peft, save_peft
from mainstem.core.tokens import TokenBatch, place
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES
from mainstem.core.weights import load_tensors, save_tensors

DIM = SIZES["xs"].dim


def drawn_trunk() -> Trunk:
    torch.manual_seed(0)
    trunk = Trunk(SIZES["xs"]).eval()
    for parameter in trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return trunk


def with_lora(trunk: Trunk, name: str, rank: int, targets: tuple[str, ...] | None = None, seed: int = 0) -> None:
    for parameter in add_lora(trunk, name, rank, alpha=8.0, seed=seed, targets=targets):
        torch.nn.init.normal_(parameter, std=0.1)


def batch(num: int) -> TokenBatch:
    return place(
        torch.randn(num, 6, DIM), torch.ones(num, 6, dtype=torch.bool), torch.arange(6.0).expand(num, 6) * 86_400
    )


def oracle(layer: AdaptedLinear, x: torch.Tensor, names: list[str | None]) -> torch.Tensor:
    """Each sample alone, W + scale B A written out in float64."""
    rows = []
    for sample, name in zip(x.double(), names, strict=True):
        weight = layer.weight.double().clone()
        for update in layer.updates(name) if name else []:
            weight[update.start : update.start + len(update.b)] += update.scale * update.b.double() @ update.a.double()
        rows.append(sample @ weight.T + layer.bias.double())
    return torch.stack(rows)


@pytest.mark.parametrize(("names", "targets"), [(["a", "b", None, "c", "a"], None), (["b", "b", "a"], ("q", "v"))])
def test_a_mixed_batch_and_its_gradients_equal_each_sample_alone_in_float64(names, targets):
    trunk = drawn_trunk()
    for seed, (name, rank) in enumerate({"a": 2, "b": 8, "c": 4}.items()):
        with_lora(trunk, name, rank, targets, seed)
    layer = trunk.adapted_layers()["blocks.0.attention.qkv"]
    rows = trunk.lora_rows(names)
    assert set(rows.names) == set(names) - {None}, "those held that no row names cost nothing"
    x = torch.randn(len(names), 6, DIM, requires_grad=True)
    wanted = torch.randn(len(names), 6, 3 * DIM)
    parameters = [weight for name in "abc" for update in layer.updates(name) for weight in (update.a, update.b)]
    used = [x, *[w for n in sorted(set(names) - {None}) for u in layer.updates(n) for w in (u.a, u.b)]]
    found, expected = layer(x, rows), oracle(layer, x, names)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
    ours = torch.autograd.grad((found * wanted).sum(), used)
    theirs = torch.autograd.grad((expected * wanted).sum(), used)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in parameters)


def test_a_mixed_training_step_moves_each_adapter_as_it_would_alone():
    tokens, names = batch(4), ["a", "b", "a", "b"]
    trunk = drawn_trunk()
    with_lora(trunk, "a", 4, seed=0)
    with_lora(trunk, "b", 4, seed=1)
    target = torch.randn(4, DIM)
    ((trunk(tokens, names).pooled - target) ** 2).sum().backward()
    mixed = {name: [u.b.grad.clone() for u in updates_of(trunk, name).values()] for name in "ab"}
    for name in "ab":
        trunk.zero_grad()
        rows = torch.tensor([row for row, chosen in enumerate(names) if chosen == name])
        alone = place(tokens.values[rows], tokens.mask[rows], tokens.positions[rows, :, 0])
        ((trunk(alone, [name] * len(rows)).pooled - target[rows]) ** 2).sum().backward()
        for one, update in zip(mixed[name], updates_of(trunk, name).values(), strict=True):
            torch.testing.assert_close(one, update.b.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["values", "train", "3d", "crop/wheat-2", "update"])
def test_a_lora_may_have_any_name_of_letters_digits_and_dashes(name):
    trunk, tokens = drawn_trunk(), batch(2)
    with_lora(trunk, name, 4)
    assert trunk.has_lora(name)
    assert (trunk(tokens, [name] * 2).pooled - trunk(tokens).pooled).abs().max() > 1e-3
    remove_lora(trunk, name)
    assert not trunk.has_lora(name)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a\nb"])
def test_a_lora_s_name_is_refused_where_a_path_could_not_hold_it(name):
    with pytest.raises(InputError, match="a LoRA's name"):
        with_lora(drawn_trunk(), name, 4)


def test_a_lora_of_lower_precision_is_held_in_the_trunk_s_so_that_no_batch_size_changes_it():
    trunk = drawn_trunk()
    with_lora(trunk, "a", 4)
    state = {key: value.bfloat16() for key, value in lora_state(trunk, "a").items()}
    remove_lora(trunk, "a")
    load_lora(trunk, "a", state, alpha=8.0)
    assert {update.a.dtype for update in updates_of(trunk, "a").values()} == {torch.float32}


def test_samples_without_an_adapter_pass_the_bare_trunk():
    trunk, tokens = drawn_trunk(), batch(3)
    with torch.no_grad():
        bare = trunk(tokens).pooled
        with_lora(trunk, "a", 4)
        mixed = trunk(tokens, [None, "a", None]).pooled
    torch.testing.assert_close(mixed[[0, 2]], bare[[0, 2]], atol=1e-6, rtol=0)
    assert (mixed[1] - bare[1]).abs().max() > 1e-2


@pytest.mark.parametrize("targets", [None, ("qkv",), ("up", "down")])
def test_peft_loads_ours_and_we_load_what_peft_saves(tmp_path, targets):
    trunk, tokens = drawn_trunk(), batch(3)
    with_lora(trunk, "ours", 4, targets)
    save_peft(trunk, "ours", tmp_path / "ours")
    with torch.no_grad():
        ours = trunk(tokens, ["ours"] * 3).pooled
        wrapped = peft.PeftModel.from_pretrained(drawn_trunk(), tmp_path / "ours").eval()
        torch.testing.assert_close(wrapped(tokens).pooled, ours, atol=1e-6, rtol=0)
    theirs = peft.get_peft_model(
        drawn_trunk(),
        peft.LoraConfig(r=3, lora_alpha=5, target_modules=["qkv", "down"], use_rslora=True, rank_pattern={"down": 6}),
    ).eval()
    for key, parameter in theirs.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(parameter, std=0.1)
    theirs.save_pretrained(tmp_path / "theirs")
    load_peft(trunk, "theirs", tmp_path / "theirs")
    with torch.no_grad():
        torch.testing.assert_close(trunk(tokens, ["theirs"] * 3).pooled, theirs(tokens).pooled, atol=1e-6, rtol=0)


def test_loading_and_unloading_leave_the_bare_trunk_as_it_was(tmp_path):
    trunk = drawn_trunk()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    with_lora(trunk, "a", 4)
    save_peft(trunk, "a", tmp_path)
    remove_lora(trunk, "a")
    load_peft(trunk, "a", tmp_path)
    assert len(lora_state(trunk, "a")) == 2 * 4 * SIZES["xs"].depth
    remove_lora(trunk, "a")
    after = trunk.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "IA3"), ({"use_dora": True}, "use_dora"), ({"bias": "all"}, "bias"),
        ({"target_parameters": ["w"]}, "target_parameters"), ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_alpha": "8"}, "lora_alpha"), ({"lora_alpha": -8}, "lora_alpha"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"lora_alpha": float("nan")}, "lora_alpha"), ({"lora_alpha": True}, "lora_alpha"),
        ({"use_rslora": "false"}, "use_rslora"), ({"alpha_pattern": [1]}, "alpha_pattern"),
        ({"alpha_pattern": {"qkv": "8"}}, "alpha_pattern"), ({"alpha_pattern": {"(": 8}}, "damaged"),
        ({"alpha_pattern": {"([a-z.]+)+!": 8}}, "repeats too much"), ({"r": 7}, "rank 4"),
    ],
)  # fmt: skip
def test_what_is_not_plain_lora_is_refused_and_nothing_stays(tmp_path, change, message):
    trunk = drawn_trunk()
    with_lora(trunk, "a", 4)
    save_peft(trunk, "a", tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(ArtifactError, match=message):
        load_peft(trunk, "b", tmp_path)
    assert not trunk.has_lora("b")


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights * float("nan"), lambda weights: weights.double() + 1e300,
        lambda weights: weights.long(),
        lambda weights: weights.to(torch.complex64), lambda weights: weights[0], lambda weights: weights[:0],
    ],
)  # fmt: skip
def test_weights_that_are_no_matrices_of_numbers_are_refused_and_nothing_stays(tmp_path, change):
    trunk = drawn_trunk()
    with_lora(trunk, "a", 4)
    save_peft(trunk, "a", tmp_path)
    tensors, _ = load_tensors(tmp_path / "adapter_model.safetensors")
    first = next(key for key in tensors if "lora_A" in key)
    save_tensors(tmp_path / "adapter_model.safetensors", tensors | {first: change(tensors[first])}, {})
    with pytest.raises(ArtifactError):
        load_peft(trunk, "b", tmp_path)
    assert not trunk.has_lora("b")


def test_a_layer_given_twice_is_refused(tmp_path):
    trunk = drawn_trunk()
    with_lora(trunk, "a", 4)
    save_peft(trunk, "a", tmp_path)
    tensors, _ = load_tensors(tmp_path / "adapter_model.safetensors")
    twice = {key.removeprefix("base_model.model."): value.clone() for key, value in tensors.items()}
    save_tensors(tmp_path / "adapter_model.safetensors", tensors | twice, {})
    with pytest.raises(ArtifactError, match="twice"):
        load_peft(trunk, "b", tmp_path)


def test_an_adapter_of_another_width_is_refused_and_nothing_stays(tmp_path):
    trunk, other = drawn_trunk(), Trunk(SIZES["ti"])
    with_lora(other, "a", 4)
    save_peft(other, "a", tmp_path)
    with pytest.raises(ArtifactError, match="another model"):
        load_peft(trunk, "a", tmp_path)
    assert not trunk.has_lora("a")
    with pytest.raises(InputError, match="target"):
        add_lora(trunk, "b", 2, 4.0, targets=["gamma"])
