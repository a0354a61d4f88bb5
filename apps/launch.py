"""`mainstem launch`: hand a job to a site once all checks pass, and keep what was handed over beside the run."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mainstem.apps.launch_checks import Finding, check_names, check_site
from mainstem.apps.launch_plan import Job
from mainstem.apps.launch_record import LAUNCH_FILE, LaunchRecord, active_jobs, end_jobs, note, read_launch, script_of
from mainstem.apps.launch_script import LOG, SCRIPT, job_folder, log_name, render
from mainstem.apps.run_spec import arguments
from mainstem.core.errors import InputError
from mainstem.core.files import locked, write_atomically

SUBMIT_S = 120.0


def check(job: Job) -> list[Finding]:
    """Test on this machine all that a submission would; nothing is submitted.

    Raises:
        InputError: if what the spec names is unknown, absent, or may not be used.
    """
    return [*check_names(job.spec, is_there=True), *check_site(job)]


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
        record = note(folder, _record(job, text))  # before there is a job: one whose number is never written is found
        return _begin_here(folder, record) if job.site.scheduler == "none" else _submit(job, folder, record)


def _record(job: Job, text: str) -> dict[str, Any]:
    return {
        "site": job.site_name,
        "is_local": job.site.scheduler == "none",
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


def _check_free(job: Job, folder: Path) -> None:
    """Refuse to write where a job still writes, or a run is done, which would come out when the GPU-hours are spent."""
    if (folder / LAUNCH_FILE).exists() and (active := still_active(folder, read_launch(folder))):
        raise InputError(f"job {active} still writes {job.spec.out}; wait for it, or cancel it")
    done = [member.out for member in job.members if job.spec.launchable.is_written(Path(member.out))]
    if done:
        raise InputError(f"{done[0]} is there already; name another out in the spec")


def still_active(folder: Path, record: LaunchRecord) -> str:
    """Return the numbers of what was launched and waits or runs; "" where it is over.

    Raises:
        InputError: if the scheduler does not say.
    """
    if not (record.is_local or record.process_started):
        return ", ".join(active_jobs(folder, record))
    is_alive = record.job_id and process_started(int(record.job_id)) == record.process_started
    return record.job_id or "" if is_alive else ""


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


def _submit(job: Job, folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Submit a job, and the one that puts its shards together: both, or none."""
    try:
        job_id = _sbatch([script_of(folder)])
    except InputError:
        with suppress(InputError):  # it may have been taken all the same, where the answer was lost
            if not active_jobs(folder, read_launch(folder)):
                (folder / LAUNCH_FILE).unlink()
        raise
    record = note(folder, record, job_id=job_id)
    if not job.spec.launchable.is_sharded or job.indices == 1:
        return record
    own = [f"--output={folder / LOG}", "--array=0", "--nodes=1", "--ntasks-per-node=1"]
    waits = [f"--dependency=afterok:{job_id}", "--kill-on-invalid-dep=yes"]
    try:
        merge_id = _sbatch([*own, *waits, script_of(folder), "merge"])
    except InputError as error:
        try:
            end_jobs(list(active_jobs(folder, read_launch(folder))) or [job_id])
        except InputError as other:
            raise InputError(f"{error}; its array {job_id} is queued: mainstem runs cancel {job.spec.out}") from other
        raise InputError(f"{error}; without it nobody puts the shards together: array {job_id} is cancelled") from error
    return note(folder, record, merge_job_id=merge_id)


def _sbatch(given: Sequence[str]) -> str:
    command = ["sbatch", "--parsable", *given]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, capture_output=True, text=True, check=False, timeout=SUBMIT_S, env=_with_program()
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"sbatch did not answer within {SUBMIT_S:.0f} s; mainstem runs status finds the job"
        ) from error
    if done.returncode:
        raise InputError(f"sbatch refuses the job: {' '.join(done.stderr.replace('sbatch: error: ', '').split())}")
    return done.stdout.strip().split(";")[0]


def _begin_here(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Begin a script on this machine, in a session of its own: it goes on when the terminal is closed.

    It waits until its number is written: were we killed before, it would end without having begun.
    """
    waits = 'read -r _ && exec "$BASH" "$0" < /dev/null'
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own script
            [shutil.which("bash") or "/bin/bash", "-c", waits, str(folder / SCRIPT)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=_with_program(),
        )  # fmt: skip
    assert process.stdin is not None
    with process.stdin as begin:
        started = process_started(process.pid)
        record = note(folder, record, job_id=str(process.pid), process_started=started)
        begin.write(b"\n")
    return record


def _with_program() -> dict[str, str]:
    """This environment, with the programs beside our own interpreter found first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}
