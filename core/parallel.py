"""Independent parts of long work, each in a process of its own with one thread; results in the order of the parts."""

import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from mainstem.core.errors import MainstemError
from mainstem.core.progress import Progress, silent

Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = "OMP_NUM_THREADS"  # of torch, OpenBLAS and scikit-learn alike, read when they are loaded
PATIENCE_S = 5.0  # that a worker has to end once it is told to


def num_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(total: int) -> int:
    """How many processes serve `total` parts: one a core, or one a part where cores would else end idle.

    Three parts on two cores take the time of three halves, where two at a time would take two.
    """
    cores = num_cores()
    return total if total < 2 * cores else cores


@contextmanager
def one_thread_each(count: int) -> Iterator[tuple[Executor, int] | None]:
    """Give an executor of `count` threads, in each of which torch runs on that thread alone; None for no thread.

    Tiles a thread each keep all cores at work where one tile's products are too small to be shared out.
    """
    if not count:
        yield None
        return
    import torch

    before = torch.get_num_threads()
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool, count
        finally:
            torch.set_num_threads(before)


def map_in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    progress: Progress = silent,
    stage: str = "part",
) -> list[Result]:
    """Return what a function makes of each item, in their order; items are dealt to workers as these become free.

    Workers are new interpreters (spawned, so that torch's threads are never forked) with one thread each. They are
    ended with the work: by an error, by Ctrl+C, or once this process is gone, however it went. With one worker, one
    item, or inside a worker, all is done here.

    Args:
        function: of a module, or a `functools.partial` of one, with its arguments; sent to each worker once, pickled.
        items: pickled, one at a time.
        workers: how many processes at most.
        progress: told "<stage> 3 of 22" whenever an item is done.
        stage: what an item is called.

    Raises:
        MainstemError: as a worker raised it; other errors too, with the worker's traceback as a note.
        RuntimeError: if a worker is killed, as for memory.
    """
    total = len(items)

    def done(count: int) -> None:
        progress(f"{stage} {count} of {total}", count / total)

    workers = min(workers, total)
    if workers < 2 or multiprocessing.current_process().daemon:
        found = []
        for item in items:
            found.append(function(item))
            done(len(found))
        return found
    team: dict[Connection, BaseProcess] = {}
    try:
        with _one_thread():
            for _ in range(workers):
                connection, process = _start(function)
                team[connection] = process
        return _deal(items, team, done)
    finally:
        _end(list(team.values()))


def _start(function: Callable[[Item], Result]) -> tuple[Connection, BaseProcess]:
    """Start a worker; it ends when this end of its connection is closed, as by our own end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _deal(items: Sequence[Any], team: dict[Connection, BaseProcess], done: Callable[[int], None]) -> list[Any]:
    """Give each worker an item whenever it is free, and collect the results."""
    found: dict[int, Any] = {}
    held: dict[Any, int] = {}
    waiting = iter(range(len(items)))
    free: list[Any] = list(team)
    while len(found) < len(items):
        for connection, index in zip(free, waiting, strict=False):
            held[connection] = index
            with _alive(team[connection]):
                connection.send(items[index])
        free = list(wait(list(held)))
        for connection in free:
            with _alive(team[connection]):
                is_error, result = connection.recv()
            if is_error:
                raise _error_of(*result)
            found[held.pop(connection)] = result
            done(len(found))
    return [found[index] for index in range(len(items))]


@contextmanager
def _alive(process: BaseProcess) -> Iterator[None]:
    """Say so where a worker is gone that is sent or asked something."""
    try:
        yield
    except (EOFError, ConnectionError):
        process.join(PATIENCE_S)
        raise RuntimeError(
            f"a worker ended with status {process.exitcode}; take fewer workers, or a larger machine"
        ) from None


def _end(team: Sequence[BaseProcess]) -> None:
    for process in team:
        process.terminate()
    for process in team:
        process.join(PATIENCE_S)
        process.kill()
        process.join()


def _work(connection: Connection, function: Callable[[Item], Result]) -> None:
    """What a worker does: answer each item until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches every process of the terminal; ours decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.filterwarnings("ignore", "Loky-backed parallel loops", UserWarning)  # one thread each is what is wanted
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            connection.send((False, function(item)))
        except Exception as error:  # it is raised where it was asked for
            connection.send((True, _parts_of(error)))


def _end_with_parent() -> None:
    """End this process when its parent is gone, whatever it is doing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _parts_of(error: Exception) -> tuple[type[Exception], tuple[Any, ...], str]:
    """An error's class, arguments and traceback; a foreign class may not be sent, what it says may."""
    told = "".join(traceback.format_exception(error))
    if isinstance(error, MainstemError) or type(error).__module__ == "builtins":
        reduced = error.__reduce__()
        assert isinstance(reduced, tuple)
        return type(error), reduced[1], told
    return RuntimeError, (f"{type(error).__name__}: {error}",), told


def _error_of(kind: type[Exception], args: tuple[Any, ...], told: str) -> Exception:
    if issubclass(kind, MainstemError):
        return kind.__new__(kind, *args)  # not through __init__, whose parameters may be others than what is kept
    error = kind(*args)
    error.add_note(f"in a worker:\n{told}")
    return error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let the processes started meanwhile use one thread each."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before
