"""`mainstem launch`: hand a job to a site once all checks pass, and keep what was handed over beside the run."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mainstem.apps.launch_checks import Finding, asked, check_names, check_site
from mainstem.apps.launch_plan import Job
from mainstem.apps.launch_script import LOG, SCRIPT, job_folder, log_name, render
from mainstem.apps.run_spec import arguments
from mainstem.core.errors import InputError
from mainstem.core.files import locked, write_atomically
from mainstem.core.records import write_json
from mainstem.core.schema import read_object

LAUNCH_FILE = "launch.json"
SUBMIT_S = 120.0


def check(job: Job) -> list[Finding]:
    """Test on this machine all that a submission would; nothing is submitted.

    Raises:
        InputError: if what the spec names is unknown, absent, or may not be used.
    """
    check_names(job.spec, is_there=True)
    return check_site(job)


def launch(job: Job) -> dict[str, Any]:
    """Submit a job, or begin it on this machine, and return what launch.json says of it.

    Raises:
        InputError: if a check fails, the run is there already, or the scheduler refuses the job.
    """
    check_names(job.spec, is_there=True)
    folder = Path(job_folder(job.spec.out))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", f"the job of {job.spec.out}"):
        _check_free(job, folder)
        text = render(job)
        write_atomically(folder / SCRIPT, text.encode())
        _refuse(check_site(job, folder / SCRIPT))
        for old in folder.glob("peaks-*.json"):
            old.unlink()  # of an earlier start
        told = _begin(job, folder)
        record = {
            "site": job.site_name,
            **told,
            "submitted": datetime.now(UTC).isoformat(timespec="seconds"),
            "script_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "spec": job.spec.model_dump(mode="json", exclude_unset=True),
            "command": ["mainstem", *arguments(job.spec)],
            "out": job.spec.out,
            "log": log_name(job),
            "nodes": job.nodes,
            "gpus_per_node": job.gpus,
            "account": job.account,
            "partition": job.partition,
            "time_s": job.time_s,
            "members": [asdict(member) for member in job.members],
        }
        write_json(folder / LAUNCH_FILE, record)
    return record


def _check_free(job: Job, folder: Path) -> None:
    """Refuse to write where a job still writes, or a run is done, which would come out when the GPU-hours are spent."""
    if (folder / LAUNCH_FILE).exists() and is_active(before := read_object(folder / LAUNCH_FILE, InputError)):
        raise InputError(f"job {before['job_id']} still writes {job.spec.out}; wait for it, or cancel it")
    done = [member.out for member in job.members if job.spec.launchable.is_written(Path(member.out))]
    if done:
        raise InputError(f"{done[0]} is there already; name another out in the spec")


def is_active(record: dict[str, Any]) -> bool:
    """True where a job that was launched waits or runs."""
    if record.get("process_started"):
        return bool(process_started(int(record["job_id"])) == record["process_started"])
    return bool(asked("squeue", "--noheader", f"--jobs={record.get('job_id')}").strip())


def process_started(process: int) -> str | None:
    """Return when a process was started, in the kernel's ticks (proc(5), stat, field 22); None where there is none."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _refuse(findings: Sequence[Finding]) -> None:
    failed = [f"{finding.what}: {finding.found}" for finding in findings if finding.state == "fail"]
    if failed:
        raise InputError(f"nothing is submitted; {'; '.join(failed)}")


def _begin(job: Job, folder: Path) -> dict[str, Any]:
    """Begin a job; say by what it is known."""
    if job.site.scheduler == "none":
        return _begin_here(folder)
    job_id = _sbatch([str(folder / SCRIPT)])
    if not job.spec.launchable.is_sharded or job.indices == 1:
        return {"job_id": job_id}
    own = [f"--output={folder / LOG}", "--array=0", "--nodes=1", "--ntasks-per-node=1"]
    waits = [f"--dependency=afterok:{job_id}", "--kill-on-invalid-dep=yes"]
    return {"job_id": job_id, "merge_job_id": _sbatch([*own, *waits, str(folder / SCRIPT), "merge"])}


def _sbatch(given: Sequence[str]) -> str:
    command = ["sbatch", "--parsable", *given]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, capture_output=True, text=True, check=False, timeout=SUBMIT_S, env=_with_program()
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"sbatch did not answer within {SUBMIT_S:.0f} s; look for the job by squeue --me") from error
    if done.returncode:
        raise InputError(f"sbatch refuses the job: {' '.join(done.stderr.replace('sbatch: error: ', '').split())}")
    return done.stdout.strip().split(";")[0]


def _begin_here(folder: Path) -> dict[str, Any]:
    """Begin a script on this machine, in a session of its own: it goes on when the terminal is closed."""
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own script
            [shutil.which("bash") or "/bin/bash", str(folder / SCRIPT)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_with_program(),
        )  # fmt: skip
    return {"job_id": str(process.pid), "process_started": process_started(process.pid)}


def _with_program() -> dict[str, str]:
    """This environment, with the programs beside our own interpreter found first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}
