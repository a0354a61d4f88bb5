"""The one training loop, which fine-tuning and pretraining share: read it top to bottom."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from mainstem.core.distributed import Spread, World, collect, held_by
from mainstem.core.easing import eased
from mainstem.core.errors import InputError
from mainstem.core.loader import Batch, Idle
from mainstem.core.targets.parts import Loss
from mainstem.core.tokens import Patches
from mainstem.core.train_state import TrainState
from mainstem.core.watch import Watch

Batches = Callable[[int], Iterator[Batch | Idle]]  # from a step on: `Plan.parts` batches a step, of each process


class Objective(nn.Module, ABC):
    """What is learned: it holds every weight that learns, and says what a batch costs.

    It computes where its weights are, in a precision of its own choice (core.devices.in_precision). Which parameters
    learn is what `requires_grad` says of them. What it changes itself, as a teacher that follows, it changes in
    `after_step`; a constant is told from it by `kept`.
    """

    @abstractmethod
    def loss(self, rows: Tensor, patches: Patches, generator: torch.Generator) -> Loss:
        """Return the loss of a batch: rows of samples (batch,), and what cutting made of them.

        `generator` is the one source of chance on the CPU (augmentations, masks); dropout draws from torch's own.
        """

    def after_step(self, step: int) -> None:
        """Follow the weights, which step number `step`, from 0 on, has just changed."""

    def noted(self) -> dict[str, float]:
        """Return figures of its last batch, in this process, that the log tells beside the loss."""
        return {}

    def kept(self) -> dict[str, Tensor]:
        """Return what changes with training though it does not learn, by its name in the state dict."""
        return {}

    def forward(self, rows: Tensor, patches: Patches, generator: torch.Generator) -> Loss:
        """Return `loss`: by this name torch's own wrappers call it."""
        return self.loss(rows, patches, generator)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How weights are changed: by AdamW, its rate warmed up and then cooled down over `steps`.

    `parts` batches make a step: their gradients are those of all their cases together. `spread` says how weights lie
    in several processes; `core.easing` what recomputed and compiled blocks are.
    """

    steps: int
    lr_per_step: float
    weight_decay: float = 0.05
    warmup_share: float = 0.1
    clip_norm: float = 1.0
    seed: int = 0
    parts: int = 1
    spread: Spread = "replicate"
    is_recomputed: bool = False
    is_compiled: bool = False


def optimize(objective: Objective, batches: Batches, plan: Plan, watch: Watch | None = None) -> list[float]:
    """Change the weights of an objective that learn, and return the losses of a case, one a step that was done here.

    What there is of state (core/train_state.py): the weights that learn and what `objective.kept` names; AdamW's two
    moments of each; the number of steps done, of which the rate and the place in the data are functions; torch's own
    generator, from which dropout draws, and the one that is handed to the objective, both seeded here, in each process
    apart. A watch takes a training up where it was left, and saves it.

    Raises:
        InputError: if training diverges.
        Interrupted: if the watch was told to end it.
    """
    watch = Watch() if watch is None else watch
    world = watch.world
    torch.manual_seed(plan.seed + world.rank)
    called = world.spread(objective, plan.spread)
    held = held_by(called)
    assert isinstance(held, Objective)
    learned = [parameter for parameter in held.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=plan.lr_per_step, weight_decay=plan.weight_decay)
    generator = torch.Generator().manual_seed(plan.seed + world.rank)
    state = TrainState(module=held, optimizer=optimizer, generator=generator, kept=held.kept())
    losses: list[float] = []
    with eased(held, is_recomputed=plan.is_recomputed, is_compiled=plan.is_compiled), watch.over(state, objective):
        found = batches(state.step)
        for step in range(state.step, plan.steps):
            rate = plan.lr_per_step * schedule(step, plan.steps, plan.warmup_share)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            parts = islice(found, plan.parts)
            done = add_gradients(called, parts, plan.parts, state, world)
            if not math.isfinite(done.loss):
                raise InputError(f"training diverged at step {step}; lower training.lr_per_step")
            nn.utils.clip_grad_norm_(learned, plan.clip_norm)
            optimizer.step()
            held.after_step(step)
            state.step += 1
            losses.append(done.loss)
            watch.after_step(state, plan.steps, done.loss, done.samples, {"lr_per_step": rate, **held.noted()})
    collect(called, objective)
    return losses


@dataclass(frozen=True)
class Done:
    """What a step found: the mean loss of all cases, and how many samples there were, in all processes."""

    loss: float
    samples: int


def add_gradients(
    called: nn.Module, parts: Iterable[Batch | Idle], num_parts: int, state: TrainState, world: World
) -> Done:
    """Add the gradients of the mean over all cases of a step: of all its parts, in all processes.

    Parts are added up in units of what the first one counts, so that a part alone is its own mean. A loss of NaN says
    that the weights are no numbers any more.
    """
    mean, samples, counts = 0.0, 0.0, []
    for number, found in enumerate(parts, 1):
        rows, patches = found.batch if isinstance(found, Idle) else found
        is_counted = not isinstance(found, Idle)
        with world.undivided(called, is_last=number == num_parts):
            loss = tried(called, rows, patches, state.generator)
            told = math.nan if loss is None else float(loss.count) * is_counted
            count, num_rows = world.sums(told, len(rows) * is_counted)
            if loss is None or math.isnan(count):
                return Done(math.nan, 0)
            counts.append(count)
            # gradients are averaged over processes; alone, the first part is divided by the very tensor, to the bit
            unit = loss.count if world.size == number == 1 else counts[0] / world.size
            of_part = loss.total / unit if is_counted else loss.total * 0.0
            of_part.backward()  # type: ignore[no-untyped-call]
        mean, samples = mean + float(of_part.detach()), samples + num_rows
    share = counts[0] / sum(counts)
    if len(counts) > 1:
        for parameter in state.learned().values():
            if parameter.grad is not None:
                parameter.grad.mul_(share)
    return Done(world.sums(mean)[0] * share / world.size, int(samples))


def tried(called: nn.Module, rows: Tensor, patches: Patches, generator: torch.Generator) -> Loss | None:
    """Return the loss of a batch; None where torch's distributions find no numbers among their parameters."""
    try:
        loss: Loss = called(rows, patches, generator)
    except ValueError as error:
        if "invalid values" not in str(error):
            raise
        return None
    return loss


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, SGDR, equation 5, one cycle)."""
    warmup = max(int(warmup_share * steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
