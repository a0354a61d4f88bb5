"""`mainstem data`: what there is, brought here, checked, baked into shards, described by a card; part of `apps.cli`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson, Mirror
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown
from mainstem.apps.task_options import TaskCommand, given_options, value_of

data_app = typer.Typer(no_args_is_help=True, help="List, pull, verify, bake and describe data sets.")


class BakeCommand(TaskCommand):
    """A command whose option --adapter names the adapter whose task extends its options."""

    def _positional(self, args: Sequence[str], has_flags: bool = False) -> str | None:
        return value_of("--adapter", args)


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
def verify_data(
    name: Annotated[str, typer.Argument(help="A data set's name, or a folder or file with a record.")],
) -> None:
    """Check every byte of a set's files, a baked folder's or a record's; exits with 1 unless all it checked are whole.

    Says how many files were checked, and names what was not; where that is all, nothing is whole.
    """
    from mainstem.data.verifying import verify

    found = verify(name)
    tell(f"{name}: {found}")
    raise typer.Exit(0 if found.is_whole else 1)


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


@data_app.command("bake", cls=BakeCommand)
def bake_data(
    ctx: typer.Context,
    data: Annotated[str, typer.Argument(help="A data set's name, or a path.")],
    adapter: Annotated[str, typer.Option(help="The adapter that reads it.")],
    out: Annotated[Path, typer.Option(help="The new folder of shards.")],
    task: Annotated[str | None, typer.Option(help="Of the adapter's tasks, the first unless given.")] = None,
    mirror: Mirror = None,
) -> None:
    """Write what an adapter reads into immutable shards, which --data DIR then reads as fast as the disk does."""
    from mainstem.adapters import find_task
    from mainstem.apps.sources import bake_source
    from mainstem.core.task import DataRequest

    request = DataRequest(data=data, options=given_options(ctx), mirror=mirror)
    with shown("bake", quiet=False) as report:
        record = bake_source(find_task(adapter, task), request, out, report)
    megabytes = sum(file.size for file in record.files) / 1e6
    tell(f"{record.num} samples, {megabytes:.1f} MB in {len(record.shards)} shards in {out} [{record.licence}]")


@data_app.command("card")
def card_data(
    data: Annotated[str, typer.Argument(help="A data set's name, a folder or a file.")],
    out: Annotated[
        Path | None, typer.Option(help="The card; else croissant.json in the folder, or FILE.croissant.json.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Of files of your own: an SPDX identifier, as CC-BY-4.0.")] = "",
    source: Annotated[str, typer.Option(help="Where these come from: an address, or a sentence.")] = "",
) -> None:
    """Write a set's Croissant card: licence, source and the sha256 of every file, and where its rasters lie."""
    from mainstem.core.records import write_json
    from mainstem.data.croissant import as_json, card_of, place_of

    card = card_of(data, licence, source)
    path = out or place_of(data)
    write_json(path, as_json(card))
    tell(f"{len(card.files)} files, {card.rights.licence}: {path}")
