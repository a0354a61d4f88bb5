"""`mainstem runs`: run folders, and the jobs that make them; part of `apps.cli`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson, Mirror
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown

runs_app = typer.Typer(no_args_is_help=True, help="Run folders, and the jobs that make them.")


@runs_app.command("list")
def list_runs(folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path(), as_json: AsJson = False) -> None:
    """List the run folders below a folder, and what is in training; one that is damaged is named beside the others."""
    from mainstem.apps.runs import find_runs
    from mainstem.core.schema import printable

    found, damaged = find_runs(folder)
    tell(*(f"mainstem: {line}" for line in damaged), to=sys.stderr)
    if as_json:
        print(json.dumps({str(run.path): run.record for run in found if run.state == "done"}))
        return
    for run in found:
        if run.state != "done":
            tell(f"{run.path}: {run.describe_state()}")
            continue
        figures = [f"{printable(name)} {value:.3g}" for name, value in run.figures().items()]
        what = f"{run.record['adapter']} on {printable(run.record['data'], 200)}"
        tell(f"{run.path}: {', '.join([what, *figures])}")
    if not found and not damaged:
        tell(f"no run below {folder.resolve()}; mainstem finetune writes one")


@runs_app.command("show")
def show_run(run: Path, as_json: AsJson = False) -> None:
    """Print a run's record, or its card."""
    from mainstem.core.records import read_card, read_record

    record = read_record(run)
    if as_json:
        print(json.dumps(record))
    else:
        tell(*read_card(run).split("\n"))


@runs_app.command("compare")
def compare_runs(runs: Annotated[list[Path], typer.Argument(help="Run folders.")], as_json: AsJson = False) -> None:
    """Say what tells runs apart: settings, data, code, and their figures."""
    from mainstem.apps.compare_runs import compare
    from mainstem.core.schema import printable

    found = compare(runs)
    if as_json:
        print(json.dumps(found))
        return
    for part in ("settings", "figures"):
        tell(f"{part}:")
        for name, row in found[part].items():
            tell(f"  {name}: {' | '.join(_short(value) for value in row)}")
    tell(*(f"{number}: {printable(run, 200)}" for number, run in enumerate(found["runs"], 1)))


def _short(value: object) -> str:
    from mainstem.core.schema import printable

    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else printable(value, 40)


@runs_app.command("repeat")
def repeat_run(
    run: Path,
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    adapter: Annotated[str | None, typer.Option(help="Where it is none of mainstem's own: a name, or FILE.py.")] = None,
    trunk: Annotated[str | None, typer.Option(help="Where its pretrained trunk lies now.")] = None,
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Train a run again from its record alone; exits with 1 if other bits come out."""
    from mainstem.apps.repeat import repeat

    with shown("repeat", as_json) as report:
        found = repeat(run, out, adapter=adapter, trunk=trunk, mirror=mirror, progress=report)
    if as_json:
        print(json.dumps({"is_same": found.is_same, "differs": found.differs, "out": str(out)}))
    else:
        tell(*found.describe())
    raise typer.Exit(0 if found.is_same else 1)


@runs_app.command("bundle")
def bundle_run(
    run: Path,
    out: Annotated[Path, typer.Option(help="A .zip file.")],
    weights: Annotated[bool, typer.Option("--weights", help="Add adapter and trunk.")] = False,
    title: Annotated[str, typer.Option(help="Of the citation.")] = "",
    authors: Annotated[list[str] | None, typer.Option("--author", help="Of the citation; once for each.")] = None,
) -> None:
    """Pack what a paper hands in: configuration, hashes, metrics, card, licences, citation, versions."""
    from mainstem.apps.bundle import bundle

    names = bundle(run, out, with_weights=weights, title=title, authors=authors or ())
    tell(f"{out}: {', '.join(names)}")


@runs_app.command("export")
def export_run(
    run: Path,
    to: Annotated[str, typer.Option(help="tensorboard or mlflow.")],
    out: Annotated[Path, typer.Option(help="The folder of its files.")],
) -> None:
    """Write a run's curves in the files of TensorBoard or MLflow."""
    from mainstem.apps.export_runs import TRACKERS, export
    from mainstem.core.errors import InputError

    if to not in TRACKERS:
        raise InputError(f"got --to {to!r:.40}, want {' or '.join(TRACKERS)}")
    tell(f"{export(run, to, out)} values in {out}")


@runs_app.command("status")
def tell_status(run: Path, as_json: AsJson = False) -> None:
    """Say what became of a run that was launched."""
    from dataclasses import asdict

    from mainstem.apps.run_jobs import status

    found = status(run)
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        tell(found.describe())


@runs_app.command("logs")
def print_logs(
    run: Path,
    lines: Annotated[int, typer.Option(min=1, max=100_000, help="How many of the last.")] = 50,
    member: Annotated[int, typer.Option(min=0, help="Of an array.")] = 0,
) -> None:
    """Print the end of a launched run's log."""
    from mainstem.apps.run_jobs import logs

    tell(*logs(run, lines, member))


@runs_app.command("cancel")
def cancel_run(run: Path) -> None:
    """End a launched run for good; what it saved stays."""
    from mainstem.apps.run_jobs import cancel

    tell(cancel(run).describe())
