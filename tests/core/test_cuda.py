"""Every family on a CUDA device beside the CPU: prediction, LoRA, a step of training; and the share of peak FLOP/s."""

import copy
import time

import pytest
import torch
from tests.core.families import DIM, MADE, Drawn, drawn
from torch.utils.flop_counter import FlopCounterMode

from mainstem.core.adapter import Adapter
from mainstem.core.devices import Compute, move
from mainstem.core.lora import OWN, add_lora
from mainstem.core.targets import Quantity
from mainstem.core.tokens import place
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]
CUDA = torch.device("cuda")
TARGET, AIMS = Quantity(units="1"), torch.tensor([0.3, -1.0, 0.0, 2.0])
CLOSE = 1e-3
PEAK_BFLOAT16 = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12}  # dense FLOP/s, NVIDIA data sheets


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Convolutions in float32, as products are by default; else cuDNN takes TF32, of 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def take_step(optimizer, weights, loss):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()


def adapted(family: str) -> tuple[Drawn, Adapter]:
    """A family with a head, and a LoRA that changes what it says."""
    model = drawn(family)
    for parameter in add_lora(model.trunk, OWN, 2, 4.0):
        torch.nn.init.normal_(parameter, std=0.1)
    return model, Adapter(model.tokenizer, TARGET.head(model.trunk.config.project or DIM, {}))


def step(model: Drawn, adapter: Adapter, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Mean and scale before and after one step on the LoRA and the head, and the loss, all on the CPU."""
    move((adapter, model.trunk), device)
    patches = model.cut(4)
    parts = (*adapter.parameters(), *model.trunk.parameters())
    trained = [parameter for parameter in parts if parameter.requires_grad]
    before = adapter.distribution(patches, model.trunk)
    loss = TARGET.loss(before, AIMS.to(device), None).mean()
    take_step(torch.optim.SGD(trained, lr=0.1), trained, loss)
    with torch.no_grad():
        after = adapter.distribution(patches, model.trunk)
    told = (before.mean, before.stddev, loss, after.mean, after.stddev)
    assert all(value.device.type == device.type for value in told)
    return tuple(value.detach().cpu() for value in told)


@pytest.mark.parametrize("family", MADE)
def test_predictions_and_a_step_of_lora_are_those_of_the_cpu(family):
    model, adapter = adapted(family)
    ours, theirs = ((copy.deepcopy(model.tokenizer), copy.deepcopy(model.trunk)) for _ in range(2))
    told = []
    for (tokenizer, trunk), device in ((ours, torch.device("cpu")), (theirs, CUDA)):
        part = Adapter(tokenizer, copy.deepcopy(adapter.head))
        told.append(step(Drawn(tokenizer, trunk, model.cut), part, device))
    for on_cpu, on_cuda in zip(*told, strict=True):
        torch.testing.assert_close(on_cuda, on_cpu, atol=CLOSE, rtol=CLOSE)


def test_the_share_of_peak_is_stated(record_property):
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAK_BFLOAT16.items() if key in name), None)
    trunk = Trunk(SIZES["s"]).to(CUDA)
    dim = trunk.config.dim
    tokens = place(torch.randn(256, 196, dim), torch.ones(256, 196, dtype=torch.bool), torch.arange(196.0))
    tokens = type(tokens)(
        **{key: part.to(CUDA) if torch.is_tensor(part) else part for key, part in vars(tokens).items()}
    )
    optimizer = torch.optim.AdamW(trunk.parameters())

    def train_once() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = trunk(tokens).pooled.square().mean()
        take_step(optimizer, list(trunk.parameters()), loss)

    with FlopCounterMode(display=False) as counter:
        train_once()
    for _ in range(3):
        train_once()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        train_once()
    torch.cuda.synchronize()
    rate = 10 * counter.get_total_flops() / (time.perf_counter() - start)
    share = f"{rate / peak:.1%} of {name}'s {peak / 1e12:.0f} TFLOP/s" if peak else f"{name}, peak not known"
    record_property("mfu", share)
    print(f"training ViT-S in bfloat16: {rate / 1e12:.1f} TFLOP/s, {share}")
    assert peak is None or rate > 0.03 * peak, "far below what such trunks reach"


def test_auto_is_the_first_gpu():
    assert Compute().place().type == "cuda"
