"""Commands that list and fetch: data sets, open encoders; part of `apps.cli`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.ending import tell

Mirror = Annotated[Path | None, typer.Option(help="A folder to take files from instead of the network.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
data_app = typer.Typer(no_args_is_help=True, help="List, pull, verify and prune data sets.")
models_app = typer.Typer(no_args_is_help=True, help="List and pull open encoders.")


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

    tell(pull(name, mirror))


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


@data_app.command("simulate-farm")
def simulate_a_farm(
    number: Annotated[int, typer.Argument(min=0, help="Each number is another farm.")],
    to: Annotated[Path, typer.Option(help="The folder to write.")],
) -> None:
    """Write a simulated farm: scenes with clouds, true yield, fields, weather, management; to try map on."""
    from mainstem.core.files import new_folder
    from mainstem.data.earth.farms import simulate_farm, write_farm

    with new_folder(to) as folder:  # an empty one at most: nobody's real farm is lost
        scenes = write_farm(simulate_farm(number), folder)
    tell(f"{len(scenes)} scenes, yield.tif, fields.gpkg, weather.csv and management.csv in {to}; all simulated")


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the open encoders: size, licence, gate, and what each expects."""
    from mainstem.apps.models import describe

    known = describe()
    if as_json:
        print(json.dumps({model["name"]: model for model in known}))
        return
    for model in known:
        mark = "staged" if model["staged"] else ""
        print(f"{model['name']:24} {model['megabytes']:7,.0f} MB  {model['licence']}  {mark}")
        print(f"{'':24} {model['expects']}")
        if model["gate"]:
            print(f"{'':24} gated: {model['gate']}")


@models_app.command("pull")
def pull_model(
    name: str,
    to: Annotated[Path | None, typer.Option(help="Where to stage it, for a machine without network.")] = None,
    mirror: Mirror = None,
) -> None:
    """Bring an open encoder's files here: a name of `models list`, or a hub repository owner/name."""
    from mainstem.apps.models import pull

    tell(pull(name, to, mirror))
