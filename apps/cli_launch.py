"""`mainstem launch` and `mainstem env`: runs on other machines, and what they need there; part of `apps.cli`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.core.errors import InputError

if TYPE_CHECKING:
    from mainstem.apps.launch_plan import Job

env_app = typer.Typer(no_args_is_help=True, help="Make the environment that runs need on a site.")
SiteName = Annotated[
    str, typer.Argument(metavar="SITE", help="local, generic-slurm, jupiter, juwels-booster, lumi-g, or a .yaml file.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the script and nothing else.")]


def launch_run(
    ctx: typer.Context,
    site: SiteName,
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A YAML file; see docs/examples/run.yaml.")],
    nodes: Annotated[int, typer.Option(min=1, help="Of each member of its array.")] = 1,
    account: Annotated[str | None, typer.Option(help="Whom the site bills.")] = None,
    partition: Annotated[str | None, typer.Option(help="Else the spec's, or the site's own.")] = None,
    time: Annotated[str | None, typer.Option(help="HH:MM:SS or D-HH:MM:SS; else the spec's.")] = None,
    dry_run: DryRun = False,
    check: Annotated[bool, typer.Option("--check", help="Test account, limits, files, room; submit nothing.")] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Ten minutes of the first member, on the debug nodes.")
    ] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="GPU-hours and memory, from the smoke.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a spec on this machine or a cluster; what cannot run there is refused before anything is submitted."""
    from mainstem.apps.launch_checks import check_names
    from mainstem.apps.launch_plan import Ask, as_smoke, plan_job
    from mainstem.apps.launch_script import render
    from mainstem.apps.run_spec import read_spec
    from mainstem.apps.site_profiles import read_site, site_label

    if dry_run + check + estimate + (smoke and estimate) > 1:
        raise InputError("got several of --dry-run, --check and --estimate; give one, --smoke beside the first two")
    ask = Ask(nodes=nodes, account=account, partition=partition, time=time)
    job = plan_job(site_label(site), read_site(site), read_spec(spec), ask)
    job = as_smoke(job) if smoke else job
    _check_line(ctx, job)
    if dry_run:
        check_names(job.spec, is_there=False)
        sys.stdout.write(render(job))
    elif check:
        raise typer.Exit(_checked(job, as_json))
    elif estimate:
        _estimated(job, as_json)
    else:
        _launched(job, as_json)


def _check_line(ctx: typer.Context, job: "Job") -> None:
    """Parse the command lines of the job as they will be: an option that there is not is refused here.

    Raises:
        InputError: if a command or an option is unknown; so does a usage error of the command itself.
    """
    from mainstem.apps.run_spec import command_line

    group = ctx.find_root().command
    for member in job.members:
        name, *given = command_line(job.spec, member)
        command = group.get_command(ctx, name)  # type: ignore[attr-defined]
        if command is None:
            raise InputError(f"this mainstem has no command {name}; update it")
        command.make_context(name, given, parent=ctx.find_root())


def _checked(job: "Job", as_json: bool) -> int:
    """Tell what was tested; return 1 where something fails."""
    from dataclasses import asdict

    from mainstem.apps.launch import check

    findings = check(job)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        marks = {"ok": "ok  ", "unknown": "note", "fail": "FAIL"}
        tell(*(f"{marks[finding.state]} {finding.what}: {finding.found}" for finding in findings))
    return int(any(finding.state == "fail" for finding in findings))


def _launched(job: "Job", as_json: bool) -> None:
    from mainstem.apps.launch import launch

    record = launch(job)
    if as_json:
        print(json.dumps(record))
    else:
        tell(f"job {record['job_id']} on {job.site.title}; it writes {record['out']}, log {record['log']}")


def _estimated(job: "Job", as_json: bool) -> None:
    from mainstem.apps.launch_estimate import describe, estimate

    found = estimate(job)
    if as_json:
        print(json.dumps(found))
    else:
        tell(*describe(found))


@env_app.callback()
def about_environments() -> None:
    """Make the environment that runs need on a site, beside its own torch."""


@env_app.command("build")
def build_environment(
    site: SiteName,
    wheels: Annotated[
        Path | None, typer.Option(help="A folder of wheels, mainstem's among them; else pip's index is asked.")
    ] = None,
    account: Annotated[str, typer.Option(help="Whose part of the file system it lies in.")] = "",
    no_deps: Annotated[bool, typer.Option("--no-deps", help="Install mainstem alone.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Make it; for a site that nothing of ours was run on, --dry-run prints the script to run there."""
    from mainstem.apps.environments import build, check_wheels, render
    from mainstem.apps.site_profiles import read_site, site_label

    profile = read_site(site)
    if wheels is not None and not (dry_run and not wheels.exists()):
        check_wheels(wheels, profile)
    script = render(site_label(site), profile, wheels, has_deps=not no_deps, account=account)
    if dry_run:
        sys.stdout.write(script)
    else:
        build(site_label(site), profile, script)
