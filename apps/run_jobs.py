"""`mainstem runs status|logs|cancel`: what became of a launched run, by its scheduler and the files beside it."""

import os
import re
import signal
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mainstem.apps.launch import process_started
from mainstem.apps.launch_checks import answer
from mainstem.apps.launch_record import LAUNCH_FILE, LaunchRecord, active_jobs, end_jobs, read_launch
from mainstem.apps.launch_script import job_folder
from mainstem.core.errors import InputError

State = Literal["waiting", "running", "done", "failed", "cancelled", "ended", "unknown"]
STATES: Mapping[str, State] = {  # Slurm's, by squeue(1), "job state codes"; those that are left out have failed
    "PENDING": "waiting", "REQUEUED": "waiting", "REQUEUE_HOLD": "waiting", "SUSPENDED": "waiting",
    "PREEMPTED": "waiting", "CONFIGURING": "running", "RUNNING": "running", "COMPLETING": "running",
    "COMPLETED": "done", "CANCELLED": "cancelled",
}  # fmt: skip
ACTIVE = ("waiting", "running")
STOP_S = 20.0  # to save and clear away, as Slurm's KillWait of most sites or less


@dataclass(frozen=True, kw_only=True)
class Status:
    """A job: what became of it, how many of its members wrote their result, and how often it began anew."""

    job_id: str
    site: str
    state: State
    members: int
    members_done: int
    restarts: int | None
    reason: str

    def describe(self) -> str:
        """Say so in a line."""
        again = f", begun anew {self.restarts} times" if self.restarts else ""
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"job {self.job_id} on {self.site}: {self.state}{why}, {self.members_done} of {self.members} written{again}"
        )


@dataclass(frozen=True, kw_only=True)
class Launched:
    """A launched job: its folder, what launch.json says, and which member of its array was asked for."""

    folder: Path
    record: LaunchRecord
    member: int | None = None


def read_job(run: Path) -> Launched:
    """Return the job of a run, of its folder, or of an array of which the run is a member.

    Raises:
        InputError: if it was not launched, or launch.json is damaged.
    """
    own = run if (run / LAUNCH_FILE).is_file() else Path(job_folder(str(run if run.name else run.absolute())))
    if (own / LAUNCH_FILE).is_file():
        return Launched(folder=own, record=read_launch(own))
    for above in run.absolute().parents[:2]:  # sweep-0/seed-1 is the deepest
        folder = Path(job_folder(str(above)))
        if (folder / LAUNCH_FILE).is_file():
            record = read_launch(folder)
            out = f"{record.out.rstrip('/')}/{run.absolute().relative_to(above).as_posix()}"
            for number, member in enumerate(record.members):
                if member.out == out:
                    return Launched(folder=folder, record=record, member=number)
    raise InputError(f"{run} was not launched: there is no {own / LAUNCH_FILE}; name what launch wrote")


def status(run: Path) -> Status:
    """Ask a run's scheduler, or this machine, what became of its job.

    Raises:
        InputError: if it was not launched, or the scheduler must be asked for its number and does not answer.
    """
    job = read_job(run)
    record, written = job.record, job.record.written()
    written = written if job.member is None else [written[job.member]]
    numbers = _numbers(job)
    is_here = record.is_local or record.process_started is not None
    state, restarts, reason = _here(job) if is_here else _scheduled(numbers)
    if all(written) and (state in ("ended", "unknown") or (is_here and job.member is not None)):
        state, reason = "done", ""
    return Status(
        job_id=numbers[0] if numbers else "without a number",
        site=record.site,
        state=state,
        members=len(written),
        members_done=sum(written),
        restarts=restarts,
        reason=reason,
    )


def _numbers(job: Launched) -> list[str]:
    """Numbers of its jobs, the array's first; those that launch could not write any more are asked of the scheduler."""
    record = job.record
    known = [number for number in (record.job_id, record.merge_job_id) if number]
    if not known and not record.is_local:
        known = sorted(active_jobs(job.folder, record), key=int)
    if job.member is None or record.is_local or record.process_started:
        return known
    return [f"{number}_{job.member}" for number in known[:1]]


def _here(job: Launched) -> tuple[State, int | None, str]:
    record = job.record
    if record.job_id is None:
        return "ended", 0, "its launch ended before it began; launch it again"
    if process_started(int(record.job_id)) != record.process_started:
        return "ended", 0, "its process ended; see its log"
    return "running", 0, "" if job.member is None else "the members of its array run one after another"


def _scheduled(numbers: list[str]) -> tuple[State, int | None, str]:
    """The state of all jobs of an array together, and of the one that puts it together: the most active one."""
    told = [answer("scontrol", "--oneliner", "show", "job", number) for number in numbers]
    if None in told:
        return "unknown", None, "its scheduler does not answer; ask again in a while"
    lines = [line for text in told if text for line in text.splitlines() if "JobState=" in line]
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    if not found:
        return "unknown", None, "its scheduler knows it no more; see its log"
    states = [STATES.get(one["JobState"], "failed") for one in found]
    order: tuple[State, ...] = ("running", "waiting", "failed", "cancelled", "done")
    state = min(states, key=order.index)
    reasons = {one.get("Reason", "None") for one, its in zip(found, states, strict=True) if its == state} - {"None"}
    return state, max(int(one.get("Restarts", 0)) for one in found), "; ".join(sorted(reasons))


def logs(run: Path, lines: int, member: int = 0) -> list[str]:
    """Return the last lines of a job's log, of one member where each has its own.

    Raises:
        InputError: if there is none yet, or it is a link to elsewhere.
    """
    job = read_job(run)
    number = member if job.member is None else job.member
    path = job.folder / Path(job.record.log).name.replace("%a", str(number))
    if not path.is_file():
        raise InputError(f"no log {path} yet; ask mainstem runs status {run}")
    if path.resolve().parent != job.folder.resolve():
        raise InputError(f"{path} leads out of its folder; read it where it lies")
    with path.open(encoding="utf-8", errors="replace") as log:
        return list(deque((line.rstrip("\n") for line in log), maxlen=lines))


def cancel(run: Path) -> Status:
    """End a run's job, or one member of its array, for good: it saves what it can, and is not begun anew.

    Raises:
        InputError: if it is over already, or its scheduler refuses.
    """
    before, job = status(run), read_job(run)
    if before.state not in ACTIVE:
        why = f" ({before.reason})" if before.state == "unknown" else ""
        raise InputError(f"job {before.job_id} is {before.state} already{why}; there is nothing to cancel")
    record = job.record
    if record.process_started is None:
        waiting = [] if job.member is not None or record.merge_job_id else list(active_jobs(job.folder, record))
        end_jobs(list(dict.fromkeys([*_numbers(job), *waiting]))[::-1])
    elif job.member is not None:
        raise InputError(f"the members of {record.out} run one after another here; cancel {record.out} as a whole")
    else:
        assert record.job_id is not None
        _end_process(int(record.job_id), record.process_started)
    return status(run)


def _end_process(process: int, started: str) -> None:
    """Ask a process and those it began to end; kill what is left after STOP_S."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGTERM)
    until = time.monotonic() + STOP_S
    while process_started(process) == started and time.monotonic() < until:
        time.sleep(0.1)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
