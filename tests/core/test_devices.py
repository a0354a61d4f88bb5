"""Every family from patches through a step of training on a device that is not the CPU, in full and half precision.

The device is `meta`, under fake tensors, which refuse to mix devices as an accelerator would.
"""

from collections.abc import Iterator

import pytest
import torch
from tests.core.families import DIM, MADE, drawn
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.distributions import Distribution

from mainstem.core.openmodels import galileo, presto
from mainstem.core.openmodels.galileo import kernel_resize
from mainstem.core.targets.base import Head
from mainstem.core.targets.classes import ClassHead
from mainstem.core.targets.quantity import ScalarHead
from mainstem.core.tokens import Patches, TokenBatch

THERE = "meta"


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
@pytest.mark.parametrize("head", [ScalarHead, lambda dim: ClassHead(dim, 3)], ids=["quantity", "class"])
@pytest.mark.parametrize("family", MADE)
def test_a_step_of_training_mixes_no_devices(fake, family, head, dtype):
    model = drawn(family)
    judge: Head = head(model.trunk.config.project or DIM)
    patches = faked(fake, model.cut(4))
    for part in (model.tokenizer, model.trunk, judge):
        move(fake, part, dtype)
    with fake:
        tokens = model.tokenizer.project(patches.to(THERE, dtype))
        latents = model.trunk(tokens)
        loss = -judge(latents).log_prob(torch.zeros(4, device=THERE)).mean()
        loss.backward()
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
