"""A real two-node Slurm on this machine, one at a time: its ports are fixed."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "slurm"
LOCK = Path("/tmp/slurm.lock")
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start a cluster, and return the environment in which its commands work; it is stopped at the end."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if missing or os.geteuid() != 0:
        why = f"Slurm needs {', '.join(missing)} (apt-get install slurm-wlm munge)" if missing else "Slurm needs root"
        pytest.fail(why) if os.environ.get("MAINSTEM_REQUIRE_ALL") else pytest.skip(why)
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        env = {**os.environ, "PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}
        try:
            subprocess.run([SCRIPTS / "start_cluster.sh", folder], check=True, env=env, stdout=subprocess.DEVNULL)
            yield env
        finally:
            subprocess.run(["scancel", "--user=root"], check=False, env=env)  # stopping Slurm does not end its jobs
            with suppress(AssertionError):
                wait_for(lambda: not _jobs(env), 20)
            subprocess.run([SCRIPTS / "stop_cluster.sh", folder], check=False, env=env, stdout=subprocess.DEVNULL)


def _jobs(env: dict[str, str]) -> str:
    return subprocess.run(["squeue", "--noheader"], env=env, capture_output=True, text=True, check=False).stdout


def wait_for(found: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < until, f"not within {seconds:.0f} s"
        time.sleep(0.1)
