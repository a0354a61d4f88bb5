"""The command that brings harvests in; part of `apps.cli_fields`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown


def harvest(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Logs of one field: .csv, .parquet, .shp, .zip, .gpkg; or a TASKDATA."),
    ],
    out: Annotated[Path, typer.Option(help="A new folder: map.tif, points.gpkg, fields.gpkg and others.")],
    unit: Annotated[
        list[str] | None, typer.Option(help="Of the yield, as bu/ac; of others as swath=ft, time=d; repeat it.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="QUANTITY=NAME where names do not tell, NAME - for none; repeat it.")
    ] = None,
    crop: Annotated[str | None, typer.Option(help="What was harvested; bushels need it.")] = None,
    crs: Annotated[str | None, typer.Option(help="EPSG:n of columns x and y.")] = None,
    fields: Annotated[
        Path | None, typer.Option(help="Fields to average: GeoJSON, .gpkg, .shp, .zip or .kml; else what was cut.")
    ] = None,
    farm: Annotated[
        Path | None, typer.Option(help="A farm's folder: yield.tif is written there, for mainstem calibrate.")
    ] = None,
    cell: Annotated[float, typer.Option(min=2, max=500, help="Side of the map's cells, m.")] = 10.0,
    skip: Annotated[list[str] | None, typer.Option(help="A rule to leave out, as 'outlier'; repeat it.")] = None,
    delay: Annotated[float | None, typer.Option(min=-30, max=60, help="Flow delay, s, where it is known.")] = None,
    as_json: AsJson = False,
) -> None:
    """Clean a combine's logs by named rules, and map the yield with its doubt and the fields' means."""
    from mainstem.data.earth.harvests.kinds import check_kinds

    check_kinds(files)  # before what takes seconds to load
    from mainstem.apps.fields import harvest as harvests
    from mainstem.apps.fields.harvest_files import check_farm, lay_labels, write_harvest, write_labels
    from mainstem.data.earth.harvests.cleaning import Limits
    from mainstem.data.earth.harvests.columns import said_of

    said = said_of(unit or (), column or (), crop, crs)
    limits = Limits(skip=tuple(skip or ()), delay=delay)
    spec = harvests.HarvestSpec(paths=tuple(files), said=said, limits=limits, cell_m=cell, fields=fields)
    if farm is not None:
        check_farm(farm)
    with shown("harvest", as_json) as report:
        found = harvests.harvest(spec, report)
        laid = None if farm is None else lay_labels(found, farm)
        write_harvest(found, out)
        labels = None if laid is None or farm is None else write_labels(laid, farm)
    if as_json:
        print(
            json.dumps({"harvests": [one.told() for one in found], "out": str(out), "labels": labels and str(labels)})
        )
        return
    for one in found:
        tell(*harvests.lines_of(one))
    tell(f"written: {out}", *([f"labels: {labels}"] if labels else []))
