"""Fitting an adapter: what learns, from which batches, towards which aims; the loop itself is core/loop.py."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from mainstem.core.adapter import POOLED, Adapter
from mainstem.core.devices import AUTO, Compute, Precision, move
from mainstem.core.distributed import Backend, Spread
from mainstem.core.errors import InputError
from mainstem.core.features import frozen_features
from mainstem.core.loader import Batch, Idle, cut_batches, in_turn, order, rows_of, shared
from mainstem.core.loop import Objective, Plan, optimize
from mainstem.core.lora import ALPHA_PER_RANK, add_lora
from mainstem.core.stream import Sample
from mainstem.core.targets.parts import Loss
from mainstem.core.tokenizers.grid import GridTokenizer
from mainstem.core.tokenizers.scalar import StandardScale
from mainstem.core.tokens import Patches, weights_device
from mainstem.core.trunk import Trunk
from mainstem.core.watch import Watch

MOST = 10**7  # of anything counted here
Count = Annotated[int, Field(ge=1, le=MOST)]  # ranges hold for what a user sets (core.settings)
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
LossOf = Callable[[Distribution, Tensor, Tensor | None], Loss]  # distribution, aims, weights


# of a training's settings: by what, not what, is learned; a training goes on with others of them
HOW = ("device", "num_workers", "spread", "backend", "is_recomputed")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How an adapter is trained; `trunk` says what of the trunk learns: all of it, a LoRA on it, or nothing."""

    epochs: Count = 20
    min_steps: Annotated[int, Field(ge=0, le=MOST)] = 0  # of small sets: more epochs, where these give fewer steps
    batch_size: Count = 128  # at most; a set gives at least STEPS_AN_EPOCH batches, none smaller than SMALLEST_BATCH
    lr_per_step: Positive = 1e-3
    weight_decay: NotNegative = 0.05
    warmup_share: Share = 0.1
    clip_norm: Positive = 1.0
    # standard deviations added to inputs in training (Bishop 1995, Tikhonov regularization), but not to features of a
    # frozen trunk, which are computed once
    input_noise: NotNegative = 0.0
    dropout: Share = 0.0
    seed: Annotated[int, Field(ge=0, le=10**9)] = 0
    trunk: Literal["full", "lora", "frozen"] = "full"
    lora_rank: Count = 8
    device: str = AUTO  # any that `resolve_device` knows
    precision: Precision = "float32"
    num_workers: Annotated[int, Field(ge=0, le=256)] = 0  # that read and cut a set which is not held in memory
    micro_batches: Annotated[int, Field(ge=1, le=4096)] = 1  # that a batch is computed in, one after the other
    spread: Spread = "replicate"  # of weights over processes: all in each, or a share of each (of each machine: hybrid)
    backend: Backend = "auto"  # of several processes: gloo on CPUs, else nccl, which is RCCL on AMD's GPUs
    is_recomputed: bool = False  # blocks in the backward pass, which saves their memory and takes a third more time
    is_compiled: bool = False  # blocks, by torch.compile

    @property
    def compute(self) -> Compute:
        """Where it is trained, and in which precision."""
        return Compute(device=self.device, precision=self.precision)

    def descent(self, steps: int) -> Plan:
        """How weights are changed in so many steps."""
        return Plan(
            steps=steps,
            lr_per_step=self.lr_per_step,
            weight_decay=self.weight_decay,
            warmup_share=self.warmup_share,
            clip_norm=self.clip_norm,
            seed=self.seed,
            parts=self.micro_batches,
            spread=self.spread,
            is_recomputed=self.is_recomputed,
            is_compiled=self.is_compiled,
        )


STEPS_AN_EPOCH, SMALLEST_BATCH = 24, 16


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What a training of so many samples uses in truth; the config gives limits."""

    samples: int
    batch_size: int
    epochs: int
    steps: int

    @classmethod
    def of(cls, config: TrainingConfig, num_samples: int) -> "TrainingPlan":
        """Return the plan of a config for a set: enough batches an epoch, and enough epochs."""
        batch_size = min(config.batch_size, max(num_samples // STEPS_AN_EPOCH, SMALLEST_BATCH))
        steps_an_epoch = math.ceil(num_samples / batch_size)
        epochs = max(config.epochs, math.ceil(config.min_steps / steps_an_epoch))
        return cls(samples=num_samples, batch_size=batch_size, epochs=epochs, steps=epochs * steps_an_epoch)


def train(
    parts: tuple[Adapter, Trunk],
    samples: Sequence[Sample],
    aims: Tensor,
    loss_of: LossOf,
    config: TrainingConfig,
    weights: Tensor | None = None,
    *,
    watch: Watch | None = None,
) -> list[float]:
    """Fit adapter and trunk to aims (samples, ...), what a target made of truths; return the losses.

    A LoRA is added to the trunk under the adapter's name for it; all else that the trunk holds stays as it is.

    `weights` (samples,) say what each sample counts, else 1. Both parts are moved to the config's device, and stay. A
    `watch` saves the training, takes it up again, and shares it out over processes.

    With one seed on one machine two runs give the same weights: the order of samples, dropout and every new
    weight come from `config.seed`. Samples that are not held in memory are read a batch at a time, by workers.

    Raises:
        InputError: if noise is asked for, and the tokenizer has no place for it, or training diverges.
    """
    adapter, trunk = parts
    watch = Watch() if watch is None else watch
    move(parts, config.compute.place())
    _let_learn(adapter, trunk, config)
    read = _reader(parts, samples, config)
    plan = TrainingPlan.of(config, len(samples))

    def batches(first: int) -> Iterator[Batch | Idle]:
        rows = islice(order(config.seed, len(samples), plan.batch_size, first), plan.steps - first)
        return shared(read, rows, (watch.world.rank, watch.world.size), config.micro_batches)

    _set_regularization(adapter, trunk, config)
    adapter.train()
    trunk.train(config.trunk != "frozen")
    objective = Fitting(parts, aims, loss_of, config.precision, weights)
    losses = optimize(objective, batches, config.descent(plan.steps), watch)
    adapter.eval()
    trunk.eval()
    return losses


class Fitting(Objective):
    """An adapter on its trunk, fitted to the aims (samples, ...) of samples, each of which counts its weight, or 1."""

    def __init__(
        self,
        parts: tuple[Adapter, Trunk],
        aims: Tensor,
        loss_of: LossOf,
        precision: Precision,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.adapter, self.trunk = parts
        self.aims, self.weights, self.loss_of, self.precision = aims, weights, loss_of, precision

    def loss(self, rows: Tensor, patches: Patches, generator: torch.Generator) -> Loss:
        """Return the loss of the head's distributions for the aims of these rows, both augmented where asked for."""
        aims, device = self.aims[rows], weights_device(self.adapter)
        if self.adapter.augment is not None:
            patches, aims = self.adapter.augment(patches, aims, generator)
        distribution = self.adapter.distribution(patches, self.trunk, self.precision)
        counted = None if self.weights is None else self.weights[rows].to(device)
        return self.loss_of(distribution, aims.to(device), counted)


def _reader(
    parts: tuple[Adapter, Trunk], samples: Sequence[Sample], config: TrainingConfig
) -> Callable[[Iterable[Tensor]], Iterator[Batch]]:
    """What reads batches of rows, of features where no weight before the head is trained."""
    adapter, trunk = parts
    if (
        config.trunk == "frozen"
        and adapter.has_frozen_tokenizer()
        and not (adapter.head.reads_tokens or adapter.augment)
    ):
        every = cut_batches(adapter.tokenizer, samples, in_turn(samples), config.num_workers)
        features = frozen_features(adapter.tokenizer, trunk, (one for _, one in every), precision=config.precision)
        return lambda rows: rows_of(Patches(parts={POOLED: features}), rows)
    if config.input_noise and not _noisy(adapter):
        raise InputError(
            f"input_noise is {config.input_noise:g}, and {type(adapter.tokenizer).__name__} adds none; set it to 0"
        )
    return lambda rows: cut_batches(adapter.tokenizer, samples, rows, config.num_workers)


def _noisy(adapter: Adapter) -> list[StandardScale | GridTokenizer]:
    """The parts of the tokenizer that add noise to their inputs."""
    return [module for module in adapter.modules() if isinstance(module, StandardScale | GridTokenizer)]


def _set_regularization(adapter: Adapter, trunk: Trunk, config: TrainingConfig) -> None:
    for part in _noisy(adapter):
        part.noise = config.input_noise
    for module in trunk.modules():
        if isinstance(module, nn.Dropout):
            module.p = config.dropout


def _let_learn(adapter: Adapter, trunk: Trunk, config: TrainingConfig) -> None:
    """Say which of the trunk's parameters learn: all, those of a LoRA that is added, or none."""
    trunk.requires_grad_(config.trunk == "full")
    if config.trunk == "lora":
        rank = config.lora_rank
        add_lora(trunk, adapter.lora, rank, alpha=ALPHA_PER_RANK * rank, seed=config.seed)
