"""Every family and target, from patches through a step of training and prediction, on a device that is not the CPU.

The device is `meta`, under fake tensors, which refuse to mix devices as an accelerator would.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from tests.core.families import DIM, MADE, drawn, own_samples
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.distributions import Distribution

from mainstem.core.adapter import Adapter
from mainstem.core.devices import Compute, resolve_device
from mainstem.core.errors import InputError
from mainstem.core.member import Member
from mainstem.core.openmodels import galileo, presto
from mainstem.core.openmodels.galileo import kernel_resize
from mainstem.core.preparation import MeanOffset
from mainstem.core.targets import Classes, Findings, Quantity, Rotation, Target
from mainstem.core.tokens import Patches, TokenBatch

THERE = "meta"
NAMES = ("corn", "soy", "wheat")
AIMS: dict[str, tuple[Target, torch.Tensor]] = {  # a target, and what its head is to learn of four samples
    "quantity": (Quantity(units="1"), torch.tensor([0.3, -1.0, 0.0, 2.0])),
    "classes": (Classes(names=NAMES), torch.tensor([0, 2, 1, 1])),
    "rotation": (Rotation(), torch.linspace(-1, 1, 12).reshape(4, 3)),
    "findings": (Findings(names=NAMES), torch.tensor([[0.0, 1, 0], [1, 1, 0], [0, float("nan"), 1], [0, 0, 0]])),
}


@pytest.fixture
def fake(monkeypatch) -> Iterator[FakeTensorMode]:
    """A mode in which tensors know device and type and hold nothing: what asks for their values is left out."""
    monkeypatch.setattr(TokenBatch, "trimmed", lambda self: self.first(self.mask.shape[1]))
    for family in (galileo, presto):
        monkeypatch.setattr(family, "is_shown", lambda seen: True)
    Distribution.set_default_validate_args(False)
    kernel_resize.cache_clear()
    yield FakeTensorMode()
    kernel_resize.cache_clear()
    Distribution.set_default_validate_args(True)


def move(mode: FakeTensorMode, module: nn.Module, dtype: torch.dtype) -> None:
    """Put a module's weights and buffers on the device."""
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is None:
                    continue
                there = mode.from_tensor(tensor.detach())
                with mode:
                    there = there.to(THERE, dtype if tensor.is_floating_point() else None)
                held[name] = there.requires_grad_(isinstance(tensor, nn.Parameter))


def weights(module: nn.Module) -> list[torch.Tensor]:
    return [tensor for part in module.modules() for tensor in part._parameters.values() if tensor is not None]


def faked(mode: FakeTensorMode, patches: Patches) -> Patches:
    return patches._each_part(
        lambda part: mode.from_tensor(part) if isinstance(part, torch.Tensor) else [mode.from_tensor(x) for x in part]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", AIMS)
@pytest.mark.parametrize("family", MADE)
def test_a_step_of_training_mixes_no_devices(fake, family, kind, dtype):
    model, (target, aims) = drawn(family), AIMS[kind]
    judge = target.head(model.trunk.config.project or DIM, {})
    patches = faked(fake, model.cut(4))
    for part in (model.tokenizer, model.trunk, judge):
        move(fake, part, dtype)
    with fake:
        tokens = model.tokenizer.project(patches.to(THERE, dtype))
        latents = model.trunk(tokens)
        loss = target.loss(judge(latents), fake.from_tensor(aims).to(THERE), None).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(weights(judge), 1.0)
        torch.optim.SGD(weights(judge), lr=0.1).step()
    for tensor in (tokens.values, tokens.positions, tokens.stream, tokens.mask, latents.pooled, loss):
        assert isinstance(tensor, FakeTensor)
        assert tensor.device.type == THERE
    assert tokens.values.dtype == latents.pooled.dtype == dtype
    assert tokens.positions.dtype == torch.float64
    for part in (model.tokenizer, judge):
        assert any(
            weight.grad is not None
            for held in part.modules()
            for weight in held._parameters.values()
            if weight is not None
        )


@pytest.mark.parametrize("family", ["presto", "galileo", "mainstem"])  # the others move pixels to their weights
def test_a_mix_of_devices_is_refused(fake, family):
    model = drawn(family)
    patches = faked(fake, model.cut(2))
    move(fake, model.tokenizer, torch.float32)
    with fake, pytest.raises(RuntimeError, match="device"):
        model.tokenizer.project(patches)


def own_member(kind: str) -> Member:
    model, (target, _) = drawn("mainstem"), AIMS[kind]
    torch.manual_seed(0)
    adapter = Adapter(model.tokenizer, target.head(DIM, {})).requires_grad_(False)
    preparation = MeanOffset(mean=1.0, channels={})
    frame = dict.fromkeys(target.frame_names, 2.0)
    return Member(trunk=model.trunk, adapter=adapter, preparation=preparation, target=target, frame=frame)


@pytest.mark.parametrize("kind", AIMS)
def test_a_member_predicts_where_its_weights_are_and_tells_it_on_the_cpu(fake, kind, monkeypatch):
    def told(tensor: torch.Tensor) -> np.ndarray:
        assert tensor.device.type == "cpu", "numpy reads no device's memory"
        return np.zeros(tensor.shape, np.int64 if tensor.dtype == torch.int64 else np.float64)

    member, samples = own_member(kind), own_samples(5)
    wanted = member.outputs(samples)
    patches = faked(fake, member.adapter.cut(samples))
    monkeypatch.setattr(member.adapter.tokenizer, "cut", lambda given: patches)
    monkeypatch.setattr(FakeTensor, "numpy", told, raising=False)
    for part in (member.adapter, member.trunk):
        move(fake, part, torch.float32)
    with fake:
        found = member.outputs(samples)
    assert {name: told.shape for name, told in found.items()} == {name: told.shape for name, told in wanted.items()}


@pytest.mark.parametrize("kind", AIMS)
def test_half_precision_says_nearly_the_same_with_weights_and_told_values_in_full(kind):
    member, samples = own_member(kind), own_samples(5)
    half = member.on(Compute(device="cpu", precision="bfloat16"))
    full, told = member.outputs(samples), half.outputs(samples)
    assert any((full[name] != told[name]).any() for name in full)
    for name, values in full.items():
        np.testing.assert_allclose(told[name], values, atol=0.1 * max(np.abs(values).max(), 1))
    assert {weight.dtype for part in (half.trunk, half.adapter) for weight in part.parameters()} == {torch.float32}


def test_the_cpu_is_taken_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    member, samples = own_member("quantity"), own_samples(5)
    plain, moved = member.outputs(samples), member.on(Compute()).outputs(samples)
    assert all((plain[name] == moved[name]).all() for name in plain)


def test_gpus_are_taken_by_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(resolve_device(name)) for name in ("auto", "cuda", "cuda:1", "cpu")] == [
        "cuda",
        "cuda",
        "cuda:1",
        "cpu",
    ]
    with pytest.raises(InputError, match="there is no cuda:2: this machine shows torch 2"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:1:2", "cpu:1", "cuda:9999", "meta", "x\n" * 99])
def test_what_is_no_device_is_refused_in_one_line(name):
    with pytest.raises(InputError, match="want auto, cpu, cuda or cuda:1") as error:
        resolve_device(name)
    assert "\n" not in str(error.value)


def test_what_computes_no_float64_is_refused():
    with pytest.raises(InputError, match="float64"):
        resolve_device("mps")
