"""The loop: what a bare loop of a dozen lines makes of the weights, to the bit; parts of a step add up to the step."""

import copy

import pytest
import torch
from tests.core.test_training import make_samples
from torch import nn

from mainstem.core.adapter import Adapter
from mainstem.core.errors import InputError
from mainstem.core.loader import order
from mainstem.core.loop import Objective, Plan, optimize, schedule
from mainstem.core.lora import OWN, add_lora
from mainstem.core.targets.parts import Loss
from mainstem.core.targets.quantity import Quantity, ScalarHead
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig, TrainingPlan, train
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

TARGET = Quantity(units="1")


def parts_of(samples):
    torch.manual_seed(7)
    trunk = Trunk(SIZES["xs"])
    return Adapter(StreamsTokenizer(read_specs(samples), 64), ScalarHead(64)), trunk


def bare_loop(parts, samples, aims, config):
    """What the loop is held against: one device, one process, nothing kept, nothing said."""
    adapter, trunk = parts
    torch.manual_seed(config.seed)
    trunk.requires_grad_(config.trunk == "full")
    learned = [*adapter.parameters(), *(trunk.parameters() if config.trunk == "full" else ())]
    if config.trunk == "lora":
        learned += add_lora(trunk, OWN, config.lora_rank, 2.0 * config.lora_rank, config.seed)
    optimizer = torch.optim.AdamW(learned, lr=config.lr_per_step, weight_decay=config.weight_decay)
    plan, every = TrainingPlan.of(config, len(samples)), adapter.cut(samples)
    for step, rows in zip(range(plan.steps), order(config.seed, len(samples), plan.batch_size), strict=False):
        optimizer.param_groups[0]["lr"] = config.lr_per_step * schedule(step, plan.steps, config.warmup_share)
        optimizer.zero_grad()
        TARGET.loss(adapter.distribution(every.rows(rows), trunk), aims[rows], None).mean().backward()
        nn.utils.clip_grad_norm_(learned, config.clip_norm)
        optimizer.step()


@pytest.mark.parametrize("part", ["full", "lora"])
def test_the_weights_are_those_of_a_bare_loop_to_the_bit(part):
    samples = make_samples(50)
    aims = torch.tensor([sample.target for sample in samples], dtype=torch.float32)
    config = TrainingConfig(epochs=3, seed=3, trunk=part)
    bare, ours = parts_of(samples), parts_of(samples)
    bare_loop(bare, samples, aims, config)
    train(ours, samples, aims, TARGET.loss, config)
    for one, other in zip(bare, ours, strict=True):
        wanted, found = one.state_dict(), other.state_dict()
        assert wanted.keys() == found.keys()
        assert all(torch.equal(value, found[name]) for name, value in wanted.items())


class Line(Objective):
    """Numbers against a line through their places; each counts a weight of its own."""

    def __init__(self, num: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.line = nn.Linear(3, 1, dtype=torch.float64)
        nn.init.ones_(self.line.weight), nn.init.zeros_(self.line.bias)
        self.given = torch.randn(num, 3, generator=generator, dtype=torch.float64)
        self.aims = self.given @ torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
        self.counts = 0.5 + torch.rand(num, generator=generator, dtype=torch.float64)
        self.seen: list[list[int]] = []
        self.steps: list[int] = []

    def loss(self, rows, patches, generator):
        self.seen.append(rows.tolist())
        errors = (self.line(patches["given"])[:, 0] - self.aims[rows]).square()
        return Loss(total=(errors * self.counts[rows]).sum(), count=self.counts[rows].sum())

    def after_step(self, step):
        self.steps.append(step)

    def batches(self, size, parts=1):
        def from_step(first):
            for rows in order(5, len(self.given), size, first):
                for part in torch.tensor_split(rows, parts):
                    yield part, Patches(parts={"given": self.given[part]})

        return from_step


def test_parts_of_a_step_add_up_to_the_step_however_uneven_they_are():
    whole, cut = Line(23), Line(23)
    losses = optimize(whole, whole.batches(10), Plan(steps=30, lr_per_step=0.05))
    parted = optimize(cut, cut.batches(10, parts=3), Plan(steps=30, lr_per_step=0.05, parts=3))
    assert [len(rows) for rows in cut.seen[:9]] == [4, 3, 3, 4, 3, 3, 1, 1, 1]
    assert parted == pytest.approx(losses, rel=1e-12)
    assert torch.allclose(whole.line.weight, cut.line.weight, rtol=1e-12, atol=0)
    assert losses[-1] < 0.5 * losses[0]


def test_the_objective_follows_each_step_and_learns_only_what_may_learn():
    line = Line(20)
    line.line.bias.requires_grad_(False)
    before = copy.deepcopy(line.line)
    optimize(line, line.batches(7), Plan(steps=5, lr_per_step=0.1))
    assert line.steps == [0, 1, 2, 3, 4]
    assert torch.equal(before.bias, line.line.bias)
    assert not torch.equal(before.weight, line.line.weight)


def test_a_loss_that_is_no_number_ends_the_training_in_one_line():
    line = Line(20)
    line.aims[3] = float("nan")
    with pytest.raises(InputError, match=r"training diverged at step \d"):
        optimize(line, line.batches(20), Plan(steps=5, lr_per_step=0.1))


def test_the_rate_warms_up_and_ends_near_zero():
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 1e-3
