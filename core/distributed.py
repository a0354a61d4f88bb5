"""Several processes that train as one: who they are, sums over them, and how weights are spread over them.

A batch is that of one process, cut into shares: which samples a step sees, and in which order, is the same for any
number of processes, and so are losses and gradients, sums over cases that are divided once by what all of them count.
"""

import atexit
import copy
import os
import subprocess
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mainstem.core.easing import blocks_of
from mainstem.core.errors import InputError
from mainstem.core.targets.parts import Loss

Backend = Literal["auto", "gloo", "nccl"]  # AMD's RCCL goes by the name nccl
Spread = Literal["replicate", "shard", "hybrid"]
PATIENCE = timedelta(minutes=10)  # for a process that does not come, or does not answer
FIRST_PORT, PORTS = 10_000, 10_000  # of a meeting place that nobody named, by the job's number


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which of how many processes this is, on all machines and on its own, and where they meet."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int


def place_of(environ: Mapping[str, str]) -> Place | None:
    """Return what torchrun, or else Slurm's srun, says of this process; None where it is alone.

    In a batch script itself, outside of srun, a process is alone, whatever the job asked for.

    Raises:
        InputError: if what they say is no number.
    """
    try:
        if "RANK" in environ and "WORLD_SIZE" in environ:
            found = _of_torchrun(environ)
        elif "SLURM_STEP_NUM_TASKS" in environ and "SLURM_PROCID" in environ:
            found = _of_srun(environ)
        else:
            return None
    except (KeyError, ValueError) as error:
        raise InputError(
            f"this process's place among others is not told ({error}); start it by torchrun or srun"
        ) from error
    return found if found.size > 1 else None


def _of_torchrun(environ: Mapping[str, str]) -> Place:
    size = int(environ["WORLD_SIZE"])
    return Place(
        rank=int(environ["RANK"]),
        size=size,
        local_rank=int(environ.get("LOCAL_RANK", environ["RANK"])),
        local_size=int(environ.get("LOCAL_WORLD_SIZE", size)),
        address=environ["MASTER_ADDR"],
        port=int(environ["MASTER_PORT"]),
    )


def _of_srun(environ: Mapping[str, str]) -> Place:
    size, nodes = int(environ["SLURM_STEP_NUM_TASKS"]), int(environ.get("SLURM_STEP_NUM_NODES", 1))
    by_number = FIRST_PORT + int(environ["SLURM_JOB_ID"]) % PORTS
    return Place(
        rank=int(environ["SLURM_PROCID"]),
        size=size,
        local_rank=int(environ["SLURM_LOCALID"]),
        local_size=max(size // nodes, 1),
        address=environ.get("MASTER_ADDR") or ("127.0.0.1" if nodes == 1 else _first_node(environ)),
        port=int(environ.get("MASTER_PORT", by_number)),
    )


def _first_node(environ: Mapping[str, str]) -> str:
    nodes = environ["SLURM_STEP_NODELIST"]
    listed = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=False)  # noqa: S603, S607 - Slurm's own, on the path of every node
    if listed.returncode or not listed.stdout.split():
        raise InputError("scontrol does not tell the first node's name; set MASTER_ADDR to it before srun")
    return listed.stdout.split()[0]


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes that train as one, seen from one of them; alone unless they have joined.

    `files` is a group of its own for writing and reading state, so that no message of it meets one of training.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    files: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """True in the one process that writes and speaks for all."""
        return self.rank == 0

    def sums(self, *values: float) -> list[float]:
        """Return the sums of numbers over all processes, in float64."""
        if self.size == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(told)
        found: list[float] = told.tolist()
        return found

    def told(self, text: str) -> str:
        """Return what the first process says; the others' text is not heard."""
        if self.size == 1:
            return text
        box = [text]
        dist.broadcast_object_list(box, group=self.files)
        return box[0]

    def spread(self, objective: nn.Module, how: Spread) -> nn.Module:
        """Return what is to be called, and learns, in the place of an objective.

        Replicated, each process holds all weights (DDP). Sharded, each holds a share of every weight (FSDP2), of a copy
        of the objective; hybrid, the processes of a machine share one copy between them (HSDP). `collect` brings the
        weights back.
        """
        if self.size == 1:
            return objective
        if how == "replicate":
            with warnings.catch_warnings():  # torch 2.13 has another name for broadcast_buffers, torch 2.10 this alone
                warnings.simplefilter("ignore", FutureWarning)
                # a stream that all samples of a batch lack leaves its tokenizer without gradient
                return DistributedDataParallel(objective, broadcast_buffers=False, find_unused_parameters=True)
        from torch.distributed.device_mesh import init_device_mesh  # late: half a second that few need
        from torch.distributed.fsdp import fully_shard

        sizes = (self.size // self.local_size, self.local_size) if how == "hybrid" else (self.size,)
        names = ("replicate", "shard") if how == "hybrid" else ("shard",)
        mesh = init_device_mesh(self.device.type, sizes, mesh_dim_names=names)
        copied = copy.deepcopy(objective)
        blocks = blocks_of(copied)
        copied.register_forward_hook(_Touch(copied, blocks))
        for block in blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(copied, mesh=mesh)
        return copied

    def undivided(self, called: nn.Module, is_last: bool) -> AbstractContextManager[object]:
        """Return a context in which gradients of replicas stay apart, but for those of a step's last part."""
        if isinstance(called, DistributedDataParallel) and not is_last:
            return called.no_sync()
        return nullcontext()


def held_by(called: nn.Module) -> nn.Module:
    """Return what holds the weights that learn, of what `World.spread` gave."""
    held = called.module if isinstance(called, DistributedDataParallel) else called
    assert isinstance(held, nn.Module)
    return held


def collect(called: nn.Module, objective: nn.Module) -> None:
    """Put the weights that were spread back into the objective, whole, in every process."""
    if held_by(called) is objective:
        return
    from torch.distributed.tensor import DTensor

    into = {**dict(objective.named_parameters()), **dict(objective.named_buffers())}
    held = held_by(called)
    with torch.no_grad():
        for name, value in (*held.named_parameters(), *held.named_buffers()):
            into[name].copy_(value.full_tensor() if isinstance(value, DTensor) else value)


class _Touch:
    """Makes every weight outside of the blocks a part of a loss, times zero.

    A stream that all samples of one process's batch lack leaves its tokenizer's weights without gradients there, and
    sums of shares of gradients would not meet those of the others. So weights that no process used get zeros here, and
    decay, where replicas leave them as they are.
    """

    def __init__(self, module: nn.Module, blocks: Iterable[nn.Module]) -> None:
        inside = {id(parameter) for block in blocks for parameter in block.parameters()}
        self.names = [name for name, one in module.named_parameters() if one.requires_grad and id(one) not in inside]

    def __call__(self, module: nn.Module, given: object, loss: Loss) -> Loss:
        """Return the loss, changed in nothing but its gradients."""
        zeros = [module.get_parameter(name).sum() * 0 for name in self.names]
        return replace(loss, total=loss.total + sum(zeros))


@cache
def join(device: torch.device, backend: Backend = "auto") -> World:
    """Return this process's world: alone, or with the others once all of them are there; they part when they end.

    Raises:
        InputError: if one does not come, or the backend is not that of the device.
    """
    atexit.register(leave)
    return meet(device, backend, os.environ)


def meet(device: torch.device, backend: Backend, environ: Mapping[str, str]) -> World:
    """Return the world of a process whose place is told by these variables; `join` says the rest."""
    place = place_of(environ)
    if place is None:
        return World(device=device)
    name = backend if backend != "auto" else ("nccl" if device.type == "cuda" else "gloo")
    if name == "nccl" and device.type != "cuda":
        raise InputError(f"got the backend nccl for {device}, which sums on GPUs alone; take gloo, or --device cuda")
    if device.type == "cuda":
        torch.cuda.set_device(place.local_rank % torch.cuda.device_count())
    where = f"tcp://{place.address}:{place.port}"
    try:
        dist.init_process_group(name, init_method=where, rank=place.rank, world_size=place.size, timeout=PATIENCE)
        files = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the {place.size} processes did not meet at {where}: {error}") from error
    return World(rank=place.rank, size=place.size, local_size=place.local_size, device=device, files=files)


def leave() -> None:
    """Part from the others, where there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()
