"""The command line. Heavy libraries are imported inside commands, so that --help stays quick."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mainstem.core.errors import MainstemError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="List, pull, verify and prune data sets.")
app.add_typer(data_app, name="data")

Mirror = Annotated[Path | None, typer.Option(help="A folder to take data sets from instead of the network.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def mainstem() -> None:
    """Calibrated predictions from any data stream, on one open core."""


@data_app.command("list")
def list_data(as_json: AsJson = False) -> None:
    """List the data sets: licence, attribution, known faults."""
    from dataclasses import asdict

    from mainstem.data.catalogue import read_catalogue

    known = read_catalogue()
    if as_json:
        print(json.dumps({name: asdict(data_set) for name, data_set in known.items()}))
        return
    for name, data_set in known.items():
        megabytes = sum(file.size for file in data_set.files) / 1e6
        print(f"{name:12} {megabytes:6.1f} MB  {data_set.title}  [{data_set.licence}]")
        for fault in data_set.known_faults:
            print(f"{'':12} known fault: {fault}")


@data_app.command("pull")
def pull_data(name: str, mirror: Mirror = None) -> None:
    """Bring a data set here, each file checked against its sha256."""
    from mainstem.data.catalogue import pull

    print(pull(name, mirror))


@data_app.command("verify")
def verify_data(name: str) -> None:
    """Check a data set's files; exits with 1 if one is absent or differs."""
    from mainstem.data.catalogue import verify

    wrong = verify(name)
    print(f"{name}: {'whole' if not wrong else 'absent or damaged: ' + ', '.join(wrong)}")
    raise typer.Exit(1 if wrong else 0)


@data_app.command("prune")
def prune_data(name: str) -> None:
    """Delete a data set's files."""
    from mainstem.data.catalogue import prune

    print(f"{name}: {prune(name)} files deleted")


@app.command("evaluate")
def evaluate_adapter(
    adapter: str,
    data: Annotated[str, typer.Option(help="A data set's name, or a folder in CY-Bench's layout.")],
    protocol: Annotated[str | None, typer.Option(help="holdout or leave-one-year-out.")] = None,
    crop: Annotated[str | None, typer.Option(help="Of a folder, e.g. wheat.")] = None,
    country: Annotated[str | None, typer.Option(help="Of a folder, e.g. NL.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to train.")] = 1,
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Train by the data set's own protocol and score beside the baselines."""
    from mainstem.adapters import load_adapter_module
    from mainstem.apps.evaluate import evaluate

    load_adapter_module(adapter)
    result = evaluate(data, protocol=protocol, crop=crop, country=country, seeds=seeds, mirror=mirror)
    if as_json:
        print(json.dumps(result))
        return
    for name, metrics in {"crop-yield": result["metrics"], **result["baselines"]}.items():
        print(f"{name:18} NRMSE {metrics['nrmse_percent']:6.2f} %  RMSE {metrics['rmse_t_ha']:5.2f} t/ha")
    coverage = result["coverage"]
    print(f"coverage at {coverage['level']:.0%}: {coverage['pooled']:.1%}\n{result['attribution']}")


def main() -> None:
    """Run a command; a user's mistake is one line and exit status 2."""
    try:
        app()
    except MainstemError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(2)
