"""The training loop: it fits a known relation, through LoRA too, and repeats bit for bit."""

import numpy as np
import pytest
import torch

from mainstem.core.adapter import Adapter
from mainstem.core.heads import ScalarHead
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.training import TrainingConfig, schedule, train
from mainstem.core.trunk import SIZES, Trunk

RAIN = (Channel(name="rain", unit="mm"), Channel(name="heat", unit="degC"))
GREEN = (Channel(name="ndvi", unit="1"),)


def make_samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    samples = []
    for index in range(count):
        rain, heat, level = rng.uniform(100, 500), rng.uniform(10, 35), rng.uniform(0.2, 0.9)
        steps = int(rng.integers(3, 9))
        series = Stream(
            kind="series", values=np.full((steps, 1), level), channels=GREEN, times=np.arange(steps) * 864_000.0
        )
        streams = {"season": Stream(kind="scalar", values=np.array([rain, heat]), channels=RAIN), "ndvi": series}
        target = (rain - 300) / 115 - (heat - 22) / 7 + 3 * (level - 0.5)
        samples.append(Sample(streams=streams, target=target, source=Provenance(data="made", item=str(index))))
    return samples


def fit(samples: list[Sample], config: TrainingConfig) -> tuple[Adapter, Trunk, list[float]]:
    torch.manual_seed(7)
    trunk = Trunk(SIZES["xs"])
    adapter = Adapter(StreamsTokenizer(read_specs(samples), 64), ScalarHead(64))
    targets = torch.tensor([sample.target for sample in samples], dtype=torch.float32)
    return adapter, trunk, train(adapter, trunk, samples, targets, config)


@pytest.mark.parametrize("part", ["full", "lora"])
def test_a_known_relation_is_learned(part):
    samples = make_samples(256)
    adapter, trunk, losses = fit(samples[:192], TrainingConfig(epochs=30, batch_size=32, lr_per_step=3e-3, trunk=part))
    lora = "adapter" if part == "lora" else None
    with torch.no_grad():
        predicted = adapter(samples[192:], trunk, lora).mean.numpy()
    truth = np.array([sample.target for sample in samples[192:]])
    assert losses[-1] < losses[0] - 0.5
    assert 1 - ((predicted - truth) ** 2).mean() / truth.var() > 0.9


def test_lora_leaves_the_trunk_as_it_was():
    samples = make_samples(32)
    before = {name: weight.clone() for name, weight in Trunk(SIZES["xs"]).state_dict().items()}
    _, trunk, _ = fit(samples, TrainingConfig(epochs=1, trunk="lora"))
    assert all(torch.equal(weight, trunk.state_dict()[name]) for name, weight in before.items())


def test_one_seed_gives_one_adapter():
    samples = make_samples(64)
    first, second = (fit(samples, TrainingConfig(epochs=2, batch_size=16))[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_rate_warms_up_and_ends_near_zero():
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 1e-3
