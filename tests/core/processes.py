"""Processes that train as one, in tests: spawned here, over gloo; what each returns comes back in their order."""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mainstem.core.distributed import World, leave, meet

PATIENCE_S = 300


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def places(size: int) -> list[dict[str, str]]:
    """What torchrun would tell each process."""
    port = str(free_port())
    return [
        {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank % 2), "LOCAL_WORLD_SIZE": "2"}
        | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for rank in range(size)
    ]


@contextmanager
def joined(environ: dict[str, str]) -> Iterator[World]:
    try:
        yield meet(torch.device("cpu"), "gloo", environ)
    finally:
        leave()


def _run(function: Callable[..., Any], environ: dict[str, str], given: tuple[Any, ...], answer: Any) -> None:
    torch.set_num_threads(1)
    try:
        with joined(environ) as world:
            found = function(world, *given)
        answer.send((True, found))
    except BaseException:
        answer.send((False, traceback.format_exc()))


def run_in(size: int, function: Callable[..., Any], *given: Any) -> list[Any]:
    """Call `function(world, *given)` in so many processes; a module's own, as it is sent to them."""
    context = multiprocessing.get_context("spawn")
    os.environ["OMP_NUM_THREADS"] = "1"
    team = []
    for environ in places(size):
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(function, environ, given, theirs), daemon=True)
        process.start()
        theirs.close()
        team.append((process, ours))
    told = []
    for _, ours in team:
        assert ours.poll(PATIENCE_S), "a process does not answer"
        told.append(ours.recv())
    for process, _ in team:
        process.join(PATIENCE_S)
    assert all(is_done for is_done, _ in told), "\n".join(text for is_done, text in told if not is_done)
    return [found for _, found in told]
