"""The one training loop, which fine-tuning and pretraining share: read it top to bottom."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from mainstem.core.errors import InputError
from mainstem.core.loader import Batch
from mainstem.core.targets.parts import Loss
from mainstem.core.tokens import Patches

Batches = Callable[[int], Iterator[Batch]]  # from a step on: `Plan.parts` batches a step


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

    def kept(self) -> dict[str, Tensor]:
        """Return what changes with training though it does not learn, by its name in the state dict."""
        return {}

    def forward(self, rows: Tensor, patches: Patches, generator: torch.Generator) -> Loss:
        """Return `loss`: by this name torch's own wrappers call it."""
        return self.loss(rows, patches, generator)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How weights are changed: by AdamW, its rate warmed up and then cooled down over `steps`.

    `parts` batches make a step: their gradients are those of all their cases together.
    """

    steps: int
    lr_per_step: float
    weight_decay: float = 0.05
    warmup_share: float = 0.1
    clip_norm: float = 1.0
    seed: int = 0
    parts: int = 1


def optimize(objective: Objective, batches: Batches, plan: Plan) -> list[float]:
    """Change the weights of an objective that learn, and return the losses of a case, one a step.

    What there is of state: the weights that learn and what `objective.kept` names; AdamW's two moments of each; the
    number of steps done, of which the rate and the place in the data are functions; torch's own generator, from which
    dropout draws, and the one that is handed to the objective, both seeded here.

    Raises:
        InputError: if training diverges.
    """
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=plan.lr_per_step, weight_decay=plan.weight_decay)
    found = batches(0)
    losses: list[float] = []
    for step in range(plan.steps):
        optimizer.param_groups[0]["lr"] = plan.lr_per_step * schedule(step, plan.steps, plan.warmup_share)
        optimizer.zero_grad()
        losses.append(add_gradients(objective, islice(found, plan.parts), learned, generator))
        if not math.isfinite(losses[-1]):
            raise InputError(f"training diverged at step {step}; lower training.lr_per_step")
        nn.utils.clip_grad_norm_(learned, plan.clip_norm)
        optimizer.step()
        objective.after_step(step)
    return losses


def add_gradients(
    objective: Objective, parts: Iterable[Batch], learned: Sequence[nn.Parameter], generator: torch.Generator
) -> float:
    """Add the gradients of the mean over all cases of a step's parts, and return that mean.

    Parts are added up in units of what the first one counts, so that a part alone is its own mean. NaN says that the
    weights are no numbers any more.
    """
    mean, counts = 0.0, []
    for rows, patches in parts:
        try:
            loss: Loss = objective(rows, patches, generator)
        except ValueError as error:
            if "invalid values" not in str(error):  # what torch's distributions say of NaN among their parameters
                raise
            return math.nan
        counts.append(loss.count)
        of_part = loss.total / counts[0]
        of_part.backward()  # type: ignore[no-untyped-call]
        mean += float(of_part.detach())
    if len(counts) == 1:
        return mean
    share = float(counts[0]) / sum(map(float, counts))
    for parameter in learned:
        if parameter.grad is not None:
            parameter.grad.mul_(share)
    return mean * share


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, SGDR, equation 5, one cycle)."""
    warmup = max(int(warmup_share * steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
