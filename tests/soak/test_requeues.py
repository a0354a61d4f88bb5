"""Jobs on a real two-node Slurm that are queued again, preempted, lose a node or are cancelled."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apps.slurm_cluster import cluster, wait_for

ROOT = Path(__file__).resolve().parents[2]
SLOW_S = 240.0  # for anything on a machine that others use too


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm") / "state"
    with cluster(folder) as env:
        path = os.pathsep.join([str(ROOT / ".src"), str(ROOT)])
        yield folder, {**env, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@dataclass
class Job:
    """A job on the cluster, and what it has noted."""

    number: str
    folder: Path
    state: Path
    env: dict[str, str]

    def told(self, *command: str) -> str:
        return subprocess.run(command, env=self.env, check=True, capture_output=True, text=True).stdout

    def fact(self, name: str) -> str:
        found = re.search(rf"\b{name}=(\S+)", self.told("scontrol", "show", "job", self.number))
        assert found is not None
        return found[1]

    def notes(self, kind: str) -> list[tuple[float, int]]:
        path = self.folder / "notes"
        lines = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
        return [(float(at), int(number)) for at, found, number in lines if found == kind]

    def steps_after(self, start: int) -> list[tuple[float, int]]:
        """The steps that its start of this number has done."""
        starts = [at for at, number in self.notes("start") if number >= start]
        return [(at, step) for at, step in self.notes("step") if starts and at >= starts[0]]


def submitted(slurm, folder: Path, steps: int, pace_s: float = 0.2) -> Job:
    state, env = slurm
    folder.mkdir(parents=True)
    script = folder / "job.sh"
    script.write_text(
        "#!/bin/bash\nexport MASTER_ADDR=127.0.0.1\n"
        f"exec srun --kill-on-bad-exit=0 {sys.executable} -m tests.soak.slurm_job {folder} {steps} {pace_s}\n"
    )
    asked = ["sbatch", "--parsable", "--nodes=1-2", "--ntasks=2", "--partition=booster", "--requeue"]
    asked += ["--open-mode=append", f"--output={folder}/log", str(script)]
    done = subprocess.run(asked, env=env, cwd=ROOT, check=True, capture_output=True, text=True)
    return Job(done.stdout.strip(), folder, state, env)


def by_signal(job: Job) -> None:
    job.told("scancel", "--signal=USR1", job.number)


def by_preemption(job: Job) -> None:
    job.told("srun", "--partition=urgent", "--nodes=2", "--ntasks=2", "--exclusive", "true")


def is_of(job: Job, pid: int) -> bool:
    """True where a process lives and is one of the job's: numbers are given to others in time."""
    with suppress(OSError):
        return str(job.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def by_node_failure(job: Job) -> None:
    """Let a node of the job die, its daemon with all that runs there; say that it is down, and bring it back."""
    node = job.fact("BatchHost")
    os.kill(int((job.state / "pid" / f"slurmd-{node}.pid").read_text()), signal.SIGKILL)
    for where, pid in (line.split() for line in (job.folder / "pids").read_text().splitlines()):
        if where == node and is_of(job, int(pid)):
            os.kill(int(pid), signal.SIGKILL)
    before = job.fact("Restarts")
    job.told("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    wait_for(lambda: job.fact("Restarts") != before, SLOW_S)
    subprocess.run(["slurmd", "-N", node, "-f", job.state / "slurm.conf"], env=job.env, check=True)
    resume = ["scontrol", "update", f"nodename={node}", "state=resume"]
    subprocess.run(resume, env=job.env, check=False, capture_output=True)  # refused where it has come back by itself


def requeued(job: Job, how: Callable[[Job], None], start: int) -> tuple[int, float]:
    """Have it queued again; return how many steps were lost, and the seconds until it trained again."""
    wait_for(lambda: len(job.steps_after(start)) > 3, SLOW_S)
    asked = time.time()
    how(job)
    wait_for(lambda: bool(job.steps_after(start + 1)), SLOW_S)
    again, first = job.steps_after(start + 1)[0]
    done = max(step for at, step in job.notes("step") if at < again)
    return done + 1 - first, again - asked


def cancelled(job: Job) -> bool:
    """Cancel it while it trains; True where it ends for good."""
    wait_for(lambda: len(job.steps_after(0)) > 1, SLOW_S)
    job.told("scancel", job.number)
    wait_for(lambda: job.fact("JobState") not in ("RUNNING", "COMPLETING"), SLOW_S)
    time.sleep(8)  # longer than a job that was queued again would wait here (cred_expire, README of the cluster)
    return job.fact("JobState") == "CANCELLED" and job.fact("Restarts") == "0"


def check(slurm, root: Path, events: list[Callable[[Job], None]]) -> None:
    """Have a job queued again by each event; it ends with the weights of one that was left alone."""
    steps = 20 + 15 * len(events)
    alone, job = submitted(slurm, root / "alone", steps, 0.0), submitted(slurm, root / "stopped", steps)
    for start, how in enumerate(events):
        lost, seconds = requeued(job, how, start)
        print(f"{how.__name__}: {lost} steps lost, trained again after {seconds:.1f} s, load {os.getloadavg()[0]:.0f}")
        assert lost <= (1 if how is by_signal else 2)  # the save of a step may not be done when a node dies
    digests = [one.folder / "digest" for one in (alone, job)]
    wait_for(lambda: all(path.exists() for path in digests), SLOW_S)
    assert digests[0].read_text() == digests[1].read_text()
    done = [step for _, step in job.notes("step")]
    assert set(done) == set(range(1, steps + 1))


@pytest.mark.long
def test_a_job_that_is_queued_again_goes_on_where_it_was(slurm, tmp_path):
    check(slurm, tmp_path, [by_signal, by_preemption, by_node_failure])


@pytest.mark.long
def test_a_cancelled_job_stays_so(slurm, tmp_path):
    assert cancelled(submitted(slurm, tmp_path / "cancelled", 10_000))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_thirty_requeues_end_with_the_same_weights(slurm, tmp_path):
    check(slurm, tmp_path, [by_signal, by_preemption, by_node_failure] * 10)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_cancelled_jobs_stay_so(slurm, tmp_path):
    assert all(cancelled(submitted(slurm, tmp_path / f"{turn}", 10_000)) for turn in range(20))
