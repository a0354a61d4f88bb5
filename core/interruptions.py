"""What a scheduler asks of a training: to save and be queued again (USR1, its time is up), or to save and stop (TERM).

A training that is asked to stop is never queued again: `scancel` sends TERM, and a job that answered it by queueing
itself could not be cancelled.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

from mainstem.core.errors import MainstemError

Wish = Literal["", "requeue", "stop"]
BY_SCRIPT = "MAINSTEM_REQUEUED_BY_SCRIPT"  # set by a job's script that asks for it once it sees `Interrupted.status`
NEVER = "never"  # what it is set to by one that does not: its job is to end
SAVED = 75  # exit status of what has saved and is not done (EX_TEMPFAIL of BSD sysexits.h: try again)
SIGNALS: dict[int, Wish] = {signal.SIGUSR1: "requeue", signal.SIGTERM: "stop"}


class Interrupted(MainstemError):
    """A training ended before its time because it was asked to; what it had is saved. `status` is what a shell sees."""

    def __init__(self, wish: Wish, step: int | None = None) -> None:
        done = "between two trainings" if step is None else f"after step {step}"
        super().__init__(
            f"asked to {wish}, ended {done}; what was done is kept, and the same command goes on from there"
        )
        self.wish, self.step = wish, step
        self.status = 128 + signal.SIGTERM if wish == "stop" else SAVED


class Interruptions:
    """Whether this process was asked to end, by a signal or by its own time limit (seconds; 0 for none)."""

    def __init__(self, time_limit_s: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._until = clock, clock() + time_limit_s if time_limit_s else None
        self._came: Wish = ""

    def wish(self) -> Wish:
        """Return what is asked for; to stop goes before to be queued again."""
        if self._came == "stop" or self._until is None or self._clock() < self._until:
            return self._came
        return "requeue"

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take note of USR1 and TERM meanwhile, instead of ending; who was told of them before is told afterwards."""

        def note(number: int, frame: FrameType | None) -> None:
            self._came = "stop" if self._came == "stop" else SIGNALS[number]

        with _handled(SIGNALS, note):
            yield
        if self._came == "stop":
            signal.raise_signal(signal.SIGTERM)  # it came after the last step

    @contextmanager
    def between(self, *, is_alone: bool) -> Iterator[None]:
        """Answer USR1 between trainings too: at once; one of several processes notes it for the next step of all."""

        def answer(number: int, frame: FrameType | None) -> None:
            self._came = "stop" if self._came == "stop" else "requeue"
            if is_alone:
                raise Interrupted("requeue")

        with _handled([signal.SIGUSR1], answer):
            yield


@contextmanager
def _handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    before = {number: signal.signal(number, handler) for number in numbers if is_main}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def requeue() -> str:
    """Have Slurm queue this process's job again, unless its script does, and return what there is to say of it."""
    array, member = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    # a member may have the array's own number: by that, all of it would be queued again
    job = f"{array}_{member}" if array and member else os.environ.get("SLURM_JOB_ID", "")
    if not job:
        return "no Slurm job to queue again; start the same command again"
    if os.environ.get(BY_SCRIPT) == NEVER:
        return f"job {job} ends here and is not queued again; launch it again to go on"
    if os.environ.get(BY_SCRIPT):
        return f"the script of job {job} has it queued again"
    done = _scontrol("requeue", job)
    return (
        f"job {job} is queued again" if not done.returncode else f"job {job} is not queued again: {done.stderr.strip()}"
    )


def is_preempted() -> bool:
    """True where TERM came because another job takes the nodes: Slurm queues this one again, unless it ends itself."""
    job = os.environ.get("SLURM_JOB_ID", "")
    told = _scontrol("show", "job", job).stdout if job else ""
    return "JobState=RUNNING" in told and re.search(r"\bPreemptTime=\d", told) is not None


def _scontrol(*asked: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(["scontrol", *asked], capture_output=True, text=True, check=False)  # noqa: S603, S607 - Slurm's own
    except OSError as error:
        return subprocess.CompletedProcess(asked, 1, "", str(error))
