"""What the loop costs beside a bare one, watched as a fine-tuning is, and what a save costs a training that goes on."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn

from mainstem.core.checkpoint import Checkpoints
from mainstem.core.distributed import World
from mainstem.core.loader import order
from mainstem.core.loop import schedule
from mainstem.core.tokens import Patches
from mainstem.core.watch import CheckpointConfig, Watch
from tests.core.made_training import BATCH, NUM, Made, Small, trained

ROUNDS, STEPS = 15, 30
NEVER = CheckpointConfig(every_s=0.0)  # what a save costs is told apart
STATE_MIB, SAVES = 128, 5


def bare(made: Made) -> None:
    """The loop as one would write it for one process: nothing is watched, saved or noted."""
    objective, plan = Small(made), made.plan()
    torch.manual_seed(plan.seed)
    learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=plan.lr_per_step, weight_decay=plan.weight_decay)
    generator, patches = torch.Generator().manual_seed(plan.seed), Patches(parts={"given": objective.given})
    losses = []
    for step, rows in zip(range(plan.steps), order(9, NUM, BATCH), strict=False):
        optimizer.param_groups[0]["lr"] = plan.lr_per_step * schedule(step, plan.steps, plan.warmup_share)
        optimizer.zero_grad()
        loss = objective.loss(rows, patches.rows(rows), generator).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, plan.clip_norm)
        optimizer.step()
        losses.append(float(loss.detach()))


def cpu_s(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def overhead() -> dict[str, float]:
    """CPU seconds of steps of ours and of a bare loop, turn about; a training's beginning is taken off both."""
    short, whole = Made(steps=1, dim=192, part="full"), Made(steps=STEPS, dim=192, part="full")
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS + 1):
            ours = [
                cpu_s(lambda one=one, turn=turn: trained(one, Watch(Path(folder) / f"{turn}-{one.steps}", NEVER)))
                for one in (short, whole)
            ]
            plain = [cpu_s(lambda one=one: bare(one)) for one in (short, whole)]
            ratios.append((ours[1] - ours[0]) / (plain[1] - plain[0]))
    return {"loop_to_bare_cpu": median(ratios[1:]), "least": min(ratios[1:]), "most": max(ratios[1:])}


def stall() -> dict[str, float]:
    """Seconds that a training waits for an asynchronous save, and for one to its end, turn about."""
    tensors = {f"weights.{number}": torch.randn(1 << 20) for number in range(STATE_MIB // 4)}
    waits: list[float] = []
    wholes: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        found = Checkpoints(Path(folder), {}, World(), say=print)
        for step in range(2 * SAVES + 2):
            start = time.perf_counter()
            found.save(step, tensors)
            waits.append(time.perf_counter() - start)
            found.wait()
            wholes.append(time.perf_counter() - start)
        found.close()
    stalls = [wait / whole for wait, whole in zip(waits[2:], wholes[2:], strict=True)]
    return {"stall_share": median(stalls), "stall_s": median(waits[2:]), "save_s": median(wholes[2:])}


def bench_loop() -> dict[str, float]:
    """Figures of both."""
    torch.set_num_threads(1)
    return {**overhead(), **stall()}
