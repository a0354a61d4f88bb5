"""A small training with a known beginning: a trunk with a LoRA, or whole, and a head, on numbers made here."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from mainstem.core.loader import order, rows_of, shared
from mainstem.core.loop import Objective, Plan, optimize
from mainstem.core.lora import add_lora
from mainstem.core.targets.parts import Loss
from mainstem.core.tokens import Patches, place
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import TrunkConfig
from mainstem.core.watch import Watch

NUM, STEPS_A_SAMPLE, BATCH = 50, 4, 14  # an epoch ends in a batch of 8: shares differ in size


@dataclass(frozen=True)
class Made:
    """What to train: steps, what of the trunk learns, in which precision, with how much dropout."""

    steps: int = 20
    part: str = "lora"
    dtype: torch.dtype = torch.float32
    spread: str = "replicate"
    parts: int = 1
    dropout: float = 0.0
    dim: int = 32
    is_recomputed: bool = False
    is_compiled: bool = False

    def plan(self) -> Plan:
        return Plan(
            steps=self.steps,
            lr_per_step=3e-3,
            seed=3,
            parts=self.parts,
            spread=self.spread,
            is_recomputed=self.is_recomputed,
            is_compiled=self.is_compiled,
        )


class Small(Objective):
    """A series of numbers against a function of it; one stream is missing in half of the samples."""

    def __init__(self, made: Made) -> None:
        super().__init__()
        torch.manual_seed(1)
        config = TrunkConfig(dim=made.dim, depth=2, num_heads=2, hidden=2 * made.dim, dropout=made.dropout)
        self.trunk = Trunk(config, seed=2)
        self.project = nn.Linear(3, made.dim)
        self.beside = nn.Linear(1, made.dim)  # of a stream that whole shares of a batch may lack
        self.head = nn.Linear(made.dim, 2)
        if made.part == "lora":
            self.trunk.requires_grad_(False)
            add_lora(self.trunk, "own", 2, alpha=4.0, seed=5)
        self.lora = "own" if made.part == "lora" else None
        self.to(made.dtype)
        generator = torch.Generator().manual_seed(6)
        self.given = torch.randn(NUM, STEPS_A_SAMPLE, 3, generator=generator).to(made.dtype)
        self.aims = self.given.mean(1).tanh().sum(1)
        self.rows: list[int] = []

    def loss(self, rows, patches: Patches, generator: torch.Generator) -> Loss:
        self.rows += rows.tolist()
        given = patches["given"]
        values, mask = self.project(given), torch.ones(given.shape[:2], dtype=torch.bool)
        if (has := rows % 4 == 0).any():
            values = torch.cat([values, self.beside(given[:, :1, :1])], 1)
            mask = torch.cat([mask, has[:, None]], 1)
        tokens = place(values, mask)
        pooled = self.trunk(tokens, [self.lora] * len(rows)).pooled
        mean, raw = self.head(pooled).unbind(-1)
        scale = nn.functional.softplus(raw) + 1e-3
        aims, counts = self.aims[rows], 0.5 + (rows % 3).to(self.given)
        nll = 0.5 * ((aims - mean) / scale) ** 2 + scale.log() + 0.5 * math.log(2 * math.pi)
        return Loss(total=(nll * counts).sum(), count=counts.sum())


def trained(made: Made, watch: Watch | None = None) -> tuple[Small, list[float]]:
    """Train, and return the objective with the losses."""
    watch = Watch() if watch is None else watch
    objective = Small(made)
    world = watch.world

    def batches(first: int) -> Iterator:
        rows = islice(order(9, NUM, BATCH, first), made.steps - first)
        patches = Patches(parts={"given": objective.given})
        return shared(lambda found: rows_of(patches, found), rows, (world.rank, world.size), made.parts)

    return objective, optimize(objective, batches, made.plan(), watch)


def digest(module: nn.Module) -> str:
    """The sha256 of all weights."""
    found = hashlib.sha256()
    for name, value in module.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
