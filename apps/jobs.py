"""Work that outlives the page and the server that asked for it: a process a job, told to all by files beside a lock.

Only a living process holds the lock, so what a killed one wrote last is never taken for news. A second, small process
attends the job until it ends, and notes why where it ended before it was done.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mainstem.apps.ending import run
from mainstem.apps.progress import describe_progress
from mainstem.core.errors import InputError
from mainstem.core.files import host, locked, write_atomically
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, silent
from mainstem.data.catalogue import data_home

STOPPED = "it was stopped before it was done"
WAIT_S = 2.0  # for a lock that a page holds while it looks
A_DAY_S = 86_400.0
STOP_S = 15.0  # to clear away what is half-written
LONGEST_NOTE = 1000
STARTING = threading.Lock()
ATTENDING = "from mainstem.apps.jobs import attend; attend()"


@dataclass(frozen=True, kw_only=True)
class Job:
    """How far a living process is with its work."""

    name: str
    what: str
    stage: str
    share: float
    since: float  # seconds since 1970
    process: int
    host: str

    def describe(self) -> str:
        """Say what is being done, and how long is left."""
        return f"{self.stage}: {describe_progress(self.share, max(time.time() - self.since, 0.0))}"

    def is_here(self) -> bool:
        """True where this machine does the work, and can stop it."""
        return self.host == host() and self.process > 1


def jobs_folder() -> Path:
    """Where jobs say how far they are."""
    return data_home() / "jobs"


def find_job(name: str) -> Job | None:
    """How far a job is; None where no living process works on it."""
    try:
        told = json.loads(_state(name).read_text(encoding="utf-8"))
        with locked(jobs_folder() / f"{name}.lock", "", shared=True):
            return None  # who wrote that was killed
    except InputError:
        pass
    except (OSError, ValueError, RecursionError):
        return None
    with suppress(TypeError, KeyError, ValueError, OverflowError):
        job = Job(
            name=name, what=_text(told["what"]), stage=_text(told["stage"]), share=float(told["share"]),
            since=float(told["since"]), process=int(told["process"]), host=_text(told["host"]),
        )  # fmt: skip
        in_time = 0 <= job.since <= time.time() + A_DAY_S  # clocks of machines that share a folder differ
        return job if in_time and 0 <= job.share <= 1 and job.process < 2**31 else None
    return None


def _text(told: object) -> str:
    return plain(str(told))[:LONGEST_NOTE]


def find_jobs(kind: str = "") -> list[Job]:
    """All jobs at work whose name begins so."""
    found = [find_job(path.stem) for path in sorted(jobs_folder().glob(f"{kind}*.json"))]
    return [job for job in found if job is not None]


def failure_of(name: str) -> str:
    """Why a job ended before it was done, as one line; "" where none did, or it is at work again."""
    with suppress(OSError, UnicodeError):
        return _note(name).read_text(encoding="utf-8")[:LONGEST_NOTE].strip()
    return ""


def failures(kind: str) -> dict[str, str]:
    """By job, why those whose name begins so ended before they were done."""
    found = {path.stem: failure_of(path.stem) for path in sorted(jobs_folder().glob(f"{kind}*.note"))}
    return {name: said for name, said in found.items() if said}


def forget_failure(name: str) -> None:
    """Say no more that a job failed."""
    _note(name).unlink(missing_ok=True)


@contextmanager
def telling(name: str, what: str, progress: Progress = silent) -> Iterator[Progress]:
    """Progress that is told to the pages too, as long as this process lives.

    Raises:
        InputError: if another process is at it.
    """
    since = time.time()
    jobs_folder().mkdir(parents=True, exist_ok=True)
    fixed = {"what": what, "since": since, "process": os.getpid(), "host": host()}

    def report(stage: str, share: float) -> None:
        progress(stage, share)
        write_atomically(_state(name), json.dumps({**fixed, "stage": stage, "share": min(share, 1.0)}).encode())

    with locked(jobs_folder() / f"{name}.lock", what, wait_s=WAIT_S):
        forget_failure(name)
        try:
            yield report
        finally:
            _state(name).unlink(missing_ok=True)


def start(name: str, code: str, arguments: Sequence[str], makes: Path | None = None) -> None:
    """Begin a job in a process of its own, which goes on when this one ends; one that is at work already is left alone.

    Args:
        name: of the job.
        code: Python that calls `work_on`.
        arguments: of that code.
        makes: the file that it writes last into a folder of its own, which is deleted where the job ends without it.
    """
    with STARTING:
        if find_job(name) is not None:
            return
        forget_failure(name)
        attendant = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-c", ATTENDING, name, str(makes or ""), code, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl+C in the server's terminal is not meant for it
        )  # fmt: skip
        threading.Thread(target=attendant.wait, daemon=True).start()  # or it would stay in the list of processes
        while attendant.poll() is None and find_job(name) is None:
            time.sleep(0.05)


def stop(name: str) -> None:
    """End a job, and wait until it has cleared away what was half-written.

    Raises:
        InputError: if it does not end, or is at work on another machine.
    """
    job = find_job(name)
    if job is None:
        return
    if not job.is_here():
        raise InputError(f"{job.what} is made on {job.host}; stop it there")
    with suppress(ProcessLookupError):
        os.kill(job.process, signal.SIGTERM)
    until = time.monotonic() + STOP_S
    while find_job(name) is not None:
        if time.monotonic() > until:
            raise InputError(f"{job.what} has not ended within {STOP_S:.0f} s; try again")
        time.sleep(0.05)


def work_on(name: str, what: str, work: Callable[[Progress], object]) -> int:
    """Do a job in this process, which `attend` began, and return its exit status; it ends with who attends it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def whole() -> None:
        try:
            with telling(name, what) as report:
                report("starting", 0.0)
                work(report)
        except KeyboardInterrupt:
            _say(_note(name), STOPPED)
            raise

    return run(whole)


def _end_with_parent() -> None:
    """Wait until the other end of standard input is closed, which Linux does however the parent ends."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def attend() -> None:
    """Run the job that this process's arguments name, and wait for its end; where it failed note the line it said.

    What it has half made is deleted, for a job that is killed deletes nothing.
    """
    name, makes, code, *arguments = sys.argv[1:]
    note = _note(name)
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-P", "-c", code, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    lines = process.stderr.read().decode(errors="replace").strip().splitlines()
    status = process.wait()
    if status < 0 and not note.is_file():
        _say(note, f"it was ended by {signal.Signals(-status).name}; likely not enough memory: close other programs")
    elif status and not note.is_file() and find_job(name) is None:
        _say(note, lines[-1].removeprefix("mainstem: ") if lines else f"it ended with status {status}")
    if status and makes and find_job(name) is None:
        clear_half_made(Path(makes))


def clear_half_made(last: Path) -> None:
    """Delete the folder of a file that is written last, unless that is there, or the folder is a link."""
    if not last.exists() and not last.parent.is_symlink():
        shutil.rmtree(last.parent, ignore_errors=True)


def _say(note: Path, text: str) -> None:
    with suppress(OSError):
        write_atomically(note, text[:LONGEST_NOTE].encode(errors="replace"))


def _state(name: str) -> Path:
    return jobs_folder() / f"{name}.json"


def _note(name: str) -> Path:
    return jobs_folder() / f"{name}.note"
