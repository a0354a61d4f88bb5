"""Files read in processes of their own: what ends one is refused, and the rest goes on."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from typing import TypeVar

from mainstem.apps.media.reading import Job, read_file, reader_of
from mainstem.apps.media.tables import Read
from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.limits import limit_memory

MOST_MEMORY = 3 << 30  # bytes of a reader
AHEAD = 8  # files that are handed to each process before the first of them is awaited
Asked = TypeVar("Asked")
Told = TypeVar("Told")
ENDED = "reading it ended the process that read it; it is damaged or hostile, leave it out"


def read_files(jobs: Sequence[Job], workers: int) -> Iterator[Read]:
    """Yield what is read of each file for the index, in their order."""
    return in_processes(read_file, jobs, workers, _ended)


def _ended(job: Job) -> Read:
    return Read(path=job.path, sha256=job.sha256, kind=job.kind, refused=plain(ENDED), reader=reader_of(job.kind))


def in_processes(
    work: Callable[[Asked], Told], jobs: Sequence[Asked], workers: int, ended: Callable[[Asked], Told]
) -> Iterator[Told]:
    """Yield what comes of each job, in their order; with no workers all is done here, for callers that are safe.

    Args:
        work: a function of a module.
        jobs: what it is given, one at a time.
        workers: processes.
        ended: what is told of a job that ended the process that did it.
    """
    if not workers:
        yield from map(work, jobs)
        return
    left = list(jobs)
    while left:
        done = 0
        with _pool(min(workers, len(left))) as pool:
            try:
                for found in _in_order(pool, work, left, workers):
                    yield found
                    done += 1
            except BrokenProcessPool:
                suspects, left = left[done : done + AHEAD * workers], left[done + AHEAD * workers :]
                yield from (_alone(work, job, ended) for job in suspects)
                continue
        return


def _in_order(
    pool: ProcessPoolExecutor, work: Callable[[Asked], Told], jobs: Sequence[Asked], workers: int
) -> Iterator[Told]:
    coming = iter(jobs)
    futures: list[Future[Told]] = [pool.submit(work, job) for job in islice(coming, AHEAD * workers)]
    while futures:
        yield futures.pop(0).result()
        futures += [pool.submit(work, job) for job in islice(coming, 1)]


def _alone(work: Callable[[Asked], Told], job: Asked, ended: Callable[[Asked], Told]) -> Told:
    """Do a job that was in hand when a process ended, in a process that nothing else needs.

    Raises:
        InputError: if no process begins at all: then no file is to blame.
    """
    try:
        with _pool(1) as pool:
            _check_begun(pool)
            return pool.submit(work, job).result()
    except BrokenProcessPool:
        return ended(job)


def _check_begun(pool: ProcessPoolExecutor) -> None:
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        raise InputError(
            "no process that reads files could be started; is there memory left, and is Python run from a file?"
        ) from error


def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


def _begin() -> None:
    """Bound what a reader may take, and end it once the process that started it is gone, however that went."""
    limit_memory(MOST_MEMORY)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
