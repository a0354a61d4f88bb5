"""The training loop: it fits a known relation, through LoRA too, and repeats bit for bit."""

import numpy as np
import pytest
import torch

from mainstem.core.adapter import Adapter
from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.targets.quantity import Quantity, ScalarHead
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.training import TrainingConfig, train
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

RAIN = (Channel(name="rain", unit="mm"), Channel(name="heat", unit="degC"))
GREEN = (Channel(name="ndvi", unit="1"),)

QUANTITY = Quantity(units="1")


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
    return adapter, trunk, train((adapter, trunk), samples, targets, QUANTITY.loss, config)


@pytest.mark.long
@pytest.mark.parametrize("part", ["full", "lora"])
def test_a_known_relation_is_learned(part):
    samples = make_samples(256)
    adapter, trunk, losses = fit(samples[:192], TrainingConfig(epochs=30, batch_size=32, lr_per_step=3e-3, trunk=part))
    with torch.no_grad():
        predicted = adapter(samples[192:], trunk).mean.numpy()
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


def test_a_small_set_is_trained_for_as_many_steps_as_were_asked_for():
    samples = make_samples(32)
    plain = fit(samples, TrainingConfig(epochs=1, batch_size=16))[2]
    longer = fit(samples, TrainingConfig(epochs=1, batch_size=16, min_steps=7))[2]
    assert (len(plain), len(longer)) == (2, 8)  # whole epochs
    assert len(fit(samples, TrainingConfig(epochs=5, batch_size=16, min_steps=7))[2]) == 10


def grids(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        values = rng.uniform(0, 1, (2, 1, 3, 3))
        stream = Stream(
            kind="grid", values=values, channels=GREEN, times=np.arange(2.0), geometry=Geometry.of_spacing(10.0)
        )
        source = Provenance(data="made", item=str(index))
        found.append(Sample(streams={"cube": stream}, target=float(values.mean()), source=source))
    return found


@pytest.mark.parametrize("made", [make_samples, grids])
def test_input_noise_is_added_to_every_kind_of_stream_and_in_training_alone(made):
    samples = made(16)
    plain, noisy = (fit(samples, TrainingConfig(epochs=2, input_noise=noise)) for noise in (0.0, 0.5))
    assert plain[2] != noisy[2]
    with torch.no_grad():
        first, second = (noisy[0](samples, noisy[1]).mean for _ in range(2))
    assert torch.equal(first, second)


def test_noise_that_a_tokenizer_cannot_add_is_refused():
    from mainstem.core.openmodels.presto import PrestoTokenizer

    place = (Channel(name="latitude", unit="deg"), Channel(name="longitude", unit="deg"))
    bands = (Channel(name="B4", unit="1"), Channel(name="B8", unit="1"))
    streams = {
        "pixel": Stream(kind="series", values=np.full((2, 2), 0.2), channels=bands, times=30 * 864e2 * np.arange(2.0)),
        "place": Stream(kind="scalar", values=np.array([44.0, 3.0]), channels=place),
    }
    source = Provenance(data="made", item="a")
    samples = [Sample(streams=streams, target=float(row), source=source, origin="2021-05-01") for row in range(4)]
    adapter = Adapter(PrestoTokenizer(64), ScalarHead(64))
    with pytest.raises(InputError, match="input_noise"):
        train(
            (adapter, Trunk(SIZES["xs"])),
            samples,
            torch.zeros(4),
            QUANTITY.loss,
            TrainingConfig(epochs=1, input_noise=0.1),
        )


def test_training_that_diverges_and_a_lora_wider_than_its_layer_are_one_line():
    for changes, told in (({"lr_per_step": 1e5}, "training diverged at step"), (
        {"trunk": "lora", "lora_rank": 1000}, "got a LoRA of rank 1000"
    )):  # fmt: skip
        with pytest.raises(InputError, match=told):
            fit(make_samples(60), TrainingConfig(epochs=4, **changes))


def test_what_is_learned_is_changed_by_the_seed_s_draws_and_aims_with_it():
    samples, seen = make_samples(32), []
    config = TrainingConfig(epochs=2, batch_size=16, seed=5)

    def augment(patches, aims, generator):
        seen.append(float(torch.rand(1, generator=generator)))
        return patches, aims + 100

    def trained():
        torch.manual_seed(7)
        trunk = Trunk(SIZES["xs"])
        adapter = Adapter(StreamsTokenizer(read_specs(samples), 64), ScalarHead(64), augment=augment)
        targets = torch.tensor([sample.target for sample in samples], dtype=torch.float32)
        return train((adapter, trunk), samples, targets, QUANTITY.loss, config)

    first, again = trained(), trained()
    assert first == again
    assert min(first) > 50  # of aims a hundred away
    assert seen[:4] == seen[4:]
    assert len(set(seen)) == 4
