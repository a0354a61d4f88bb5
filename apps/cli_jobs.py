"""Commands on the work that the pages began; part of `apps.cli`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell

jobs_app = typer.Typer(no_args_is_help=True, help="Work that the pages began; it goes on when they are closed.")


@jobs_app.command("list")
def list_jobs(as_json: AsJson = False) -> None:
    """List what is at work, how far it is, and why what ended early did."""
    from mainstem.apps.jobs import failures, find_jobs

    found, failed = find_jobs(), failures("")
    if as_json:
        print(json.dumps({"jobs": [asdict(job) for job in found], "failed": failed}))
        return
    tell(*(f"{job.name}: {job.describe()}" for job in found))
    tell(*(f"{name}: {said}" for name, said in failed.items()))
    if not (found or failed):
        tell("nothing is at work")


@jobs_app.command("stop")
def stop_job(name: Annotated[str, typer.Argument(help="As `mainstem jobs list` names it.")]) -> None:
    """Stop a job; what is half-written is cleared away."""
    from mainstem.apps.jobs import find_job, find_jobs, stop
    from mainstem.core.errors import InputError

    if find_job(name) is None:
        known = ", ".join(job.name for job in find_jobs()) or "nothing"
        raise InputError(f"no job {name!r} is at work; at work: {known}")
    stop(name)
    tell(f"stopped {name}")
