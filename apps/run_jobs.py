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
from typing import Any, Literal

from mainstem.apps.launch import LAUNCH_FILE, process_started
from mainstem.apps.launch_checks import asked
from mainstem.apps.launch_script import job_folder
from mainstem.apps.runs import written_of
from mainstem.core.errors import InputError
from mainstem.core.schema import read_object

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


def read_job(run: Path) -> tuple[Path, dict[str, Any]]:
    """Return the job folder of a run, or of itself, and its launch.json.

    Raises:
        InputError: if it was not launched.
    """
    folder = run if (run / LAUNCH_FILE).is_file() else Path(job_folder(str(run)))
    if not (folder / LAUNCH_FILE).is_file():
        raise InputError(f"{run} was not launched: there is no {folder / LAUNCH_FILE}; name what launch wrote")
    return folder, read_object(folder / LAUNCH_FILE, InputError)


def status(run: Path) -> Status:
    """Ask a run's scheduler, or this machine, what became of its job."""
    record = read_job(run)[1]
    written = written_of(record)
    done = sum(written)
    state, restarts, reason = _here(record) if record.get("process_started") else _scheduled(record)
    if state in ("ended", "unknown") and all(written):
        state, reason = "done", ""
    return Status(
        job_id=record["job_id"],
        site=record["site"],
        state=state,
        members=len(written),
        members_done=done,
        restarts=restarts,
        reason=reason,
    )


def _here(record: Mapping[str, Any]) -> tuple[State, int | None, str]:
    is_alive = process_started(int(record["job_id"])) == record["process_started"]
    return ("running", 0, "") if is_alive else ("ended", 0, "its process ended; see its log")


def _scheduled(record: Mapping[str, Any]) -> tuple[State, int | None, str]:
    """The state of all jobs of an array together: the most active one."""
    told = asked("scontrol", "--oneliner", "show", "job", record["job_id"])
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in told.splitlines() if "JobState=" in line]
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
        InputError: if there is none yet.
    """
    record = read_job(run)[1]
    path = Path(record["log"].replace("%a", str(member)))
    if not path.is_file():
        raise InputError(f"no log {path} yet; ask mainstem runs status {run}")
    with path.open(encoding="utf-8", errors="replace") as log:
        return list(deque((line.rstrip("\n") for line in log), maxlen=lines))


def cancel(run: Path) -> Status:
    """End a run's job for good: it saves what it can, and is not begun anew.

    Raises:
        InputError: if it is over already, or its scheduler refuses.
    """
    before, record = status(run), read_job(run)[1]
    if before.state not in ACTIVE:
        raise InputError(f"job {before.job_id} is {before.state} already; there is nothing to cancel")
    if record.get("process_started"):
        _end_process(int(record["job_id"]), record["process_started"])
        return status(run)
    for name in ("merge_job_id", "job_id"):
        if name in record:
            asked("scancel", record[name])
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
