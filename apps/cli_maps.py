"""Commands that map: an adapter over scenes, and the shards of a map put together; part of `apps.cli`."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown
from mainstem.apps.shared_options import given_compute
from mainstem.core.errors import InputError


def map_adapter(
    ctx: typer.Context,
    adapter: str,
    scenes: Annotated[
        list[Path],
        typer.Argument(help="GeoTIFFs, .SAFE, STAC items, .zarr, .nc, EOPatches of one grid; or a STAC collection."),
    ],
    out: Annotated[Path, typer.Option(help="The folder of map.tif and item.json, or of a folder a tile.")],
    run: Annotated[Path | None, typer.Option(help="The run folder; else one that comes with the package.")] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.99)] = 0.9,
    below: Annotated[list[float] | None, typer.Option(help="Threshold whose probability is wanted; repeat it.")] = None,
    weather: Annotated[
        list[Path] | None, typer.Option(help="Daily weather: .csv, or NetCDF of AgERA5 or ERA5-Land; repeat it.")
    ] = None,
    soil: Annotated[Path | None, typer.Option(help="GeoTIFF of available water, cm/m, on the scenes' grid.")] = None,
    fields: Annotated[Path | None, typer.Option(help="Fields to average: GeoJSON, .gpkg, .shp, .zip or .kml.")] = None,
    by_date: Annotated[
        bool, typer.Option("--by-date", help="Also tell each field as it was known at earlier dates: by_date.csv.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse all fields if one cannot be used.")] = False,
    crop: Annotated[str | None, typer.Option(help="What grows where no field's column crop says it.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Host that STAC assets may come from.")] = None,
    shard: Annotated[str, typer.Option(help="INDEX/COUNT: make this share of blocks or tiles.")] = "0/1",
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Threads that read; they change no bit.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Map an adapter over scenes of any size, with intervals, claim and origin; goes on where it was killed."""
    from mainstem.adapters import task_of_run
    from mainstem.apps.map_collections import map_collection
    from mainstem.apps.map_context import ContextSpec
    from mainstem.apps.map_models import MapSpec
    from mainstem.apps.map_pixels import map_scenes
    from mainstem.data.earth.crops import checked_crop
    from mainstem.data.earth.stac_collections import is_collection

    run = named_run(run, adapter)
    named = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", shard)
    if named is None:
        raise InputError(f"got shard {shard[:40]!r}, want INDEX/COUNT, as 0/8")
    task = task_of_run(run, adapter)
    spec = MapSpec(
        level=level,
        below=tuple(below or ()),
        shard=(int(named[1]), int(named[2])),
        workers=workers,
        context=ContextSpec(weather=tuple(weather or ()), soil=soil, fields=fields, is_strict=strict),
        facts={} if crop is None else {"crop": checked_crop(crop, "got")},
        allowed_hosts=tuple(allow_host or ()),
        compute=given_compute(ctx),
        is_by_date=by_date,
    )
    with shown("map", as_json) as report:
        if has_tiles := len(scenes) == 1 and is_collection(scenes[0]):
            done = map_collection(task, run, scenes[0], out, spec, report)
        else:
            done = map_scenes(task, run, scenes, out, spec, report)
    if as_json:
        print(json.dumps(done))
    elif has_tiles:
        tell(
            f"{done['collection'] or f'shard {shard} of {out}'}; made {len(done['made'])} of {len(done['tiles'])} tiles"
        )
    else:
        tell(f"{done['map'] or f'shard {shard} of {out}'}; claim {done['claim']} {done.get('reason') or ''}".strip())
        if "by_date" in done:
            tell(f"fields by date: {done['by_date']}")
        tell(*(f"left out: {line}" for line in done.get("left_out", ())))


def merge_shards(out: Annotated[Path, typer.Argument(help="The folder that the shards were mapped to.")]) -> None:
    """Assemble a map, or the collection of a folder's maps, whose shards are all made."""
    from mainstem.apps.map_files import merge_map
    from mainstem.apps.map_index import TILES, merge_collection

    tell(merge_collection(out) if (out / TILES).is_file() else merge_map(out))


def named_run(run: Path | None, adapter: str, task: str | None = None) -> Path:
    """The run that was named, else the one of the task that comes with the package; of any task where none is named.

    Raises:
        InputError: if none was named, and none comes with the package.
    """
    from mainstem.adapters import shipped_runs

    if run is not None:
        return run
    shipped = shipped_runs(adapter)
    names = [task] if task else list(shipped)
    if len(names) != 1 or names[0] not in shipped:
        what = f"{adapter}, task {task}," if task else adapter
        raise InputError(
            f"no run of {what} comes with the package; train one (mainstem finetune {adapter} --data ... --out RUN) "
            "and add --run RUN"
        )
    return shipped[names[0]]
