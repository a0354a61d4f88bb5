"""Files read in processes of their own: what ends one is refused, and the rest goes on."""

import multiprocessing
import os
import resource
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait

from mainstem.apps.media.catalogue import Read
from mainstem.apps.media.reading import Job, read_file, reader_of
from mainstem.core.plain import plain

MOST_MEMORY = 3 << 30  # bytes of a reader
AHEAD = 8  # files that are handed to each process before the first of them is awaited
ENDED = "reading it ended the process that read it; it is damaged or hostile, leave it out"


def read_files(jobs: Sequence[Job], workers: int) -> Iterator[Read]:
    """Yield what is read of each file, in their order; with no workers all is read here, for callers that are safe."""
    if not workers:
        yield from map(read_file, jobs)
        return
    left = list(jobs)
    while left:
        done = 0
        with _pool(min(workers, len(left))) as pool:
            try:
                for found in _in_order(pool, left, workers):
                    yield found
                    done += 1
            except BrokenProcessPool:
                suspects, left = left[done : done + AHEAD * workers], left[done + AHEAD * workers :]
                yield from map(_alone, suspects)
                continue
        return


def _in_order(pool: ProcessPoolExecutor, jobs: Sequence[Job], workers: int) -> Iterator[Read]:
    coming = iter(jobs)
    futures: list[Future[Read]] = [pool.submit(read_file, job) for job in islice(coming, AHEAD * workers)]
    while futures:
        yield futures.pop(0).result()
        futures += [pool.submit(read_file, job) for job in islice(coming, 1)]


def _alone(job: Job) -> Read:
    """Read a file that was in hand when a process ended, in a process that nothing else needs."""
    try:
        with _pool(1) as pool:
            return pool.submit(read_file, job).result()
    except BrokenProcessPool:
        return Read(path=job.path, sha256=job.sha256, kind=job.kind, refused=plain(ENDED), reader=reader_of(job.kind))


def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


def _begin() -> None:
    """Bound what a reader may take, and end it once the process that started it is gone, however that went."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
