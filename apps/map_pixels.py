"""`mainstem map`: a fitted adapter over dated scenes, written with intervals or classes, claim, origin and fields."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mainstem.apps.fields.by_date import by_date_bytes, check_by_date, fields_by_date
from mainstem.apps.map import Inputs, MapSize, check_shard, make_blocks, unwritten
from mainstem.apps.map_blocks import Placed
from mainstem.apps.map_context import Context
from mainstem.apps.map_files import (
    MAP,
    NOTES,
    SCENES,
    WRITTEN,
    MapFacts,
    check_free,
    facts_bytes,
    facts_digest,
    facts_of,
    fields_sha256,
    publish,
)
from mainstem.apps.map_journal import parts_folder, reserved
from mainstem.apps.map_models import MapModel, MapSpec, check_used
from mainstem.core.errors import InputError
from mainstem.core.files import Content, Stat, content, file_stat, write_atomically
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.outputs import check_output_folder
from mainstem.core.parallel import num_cores
from mainstem.core.predict import check_thresholds
from mainstem.core.prediction import Claim
from mainstem.core.progress import Progress, silent
from mainstem.core.task import Task
from mainstem.data.earth.scenes import Scenes, open_scenes
from mainstem.data.earth.staging import files_named, stage

TILE, TILES_AT_ONCE = 64, 1


def map_scenes(
    task: Task, run: Path, inputs: Sequence[Path], out: Path, spec: MapSpec, progress: Progress = silent
) -> dict[str, Any]:
    """Map a run over scenes into `out`/map.tif, with its layers, its fields and a STAC item beside it.

    Inputs that are no GeoTIFF are staged in `out`/.scenes, which goes when the map is whole.

    Raises:
        InputError: if the task is not of pixels, or the scenes or what goes with them cannot be used as they are.
    """
    if not task.mapped.window:
        raise InputError(f"{task.name}'s task {task.task} is of regions, not of pixels; take --task pixel")
    check_shard(spec.shard)
    if spec.is_by_date:
        check_by_date(task, spec)
    check_thresholds(spec.below)
    check_output_folder(out, WRITTEN, [*inputs, *files_named(inputs), *spec.context.files(), run])
    check_free(out)
    target = out / MAP
    try:
        with reserved(target, spec.shard):
            staged = stage(inputs, out / SCENES, spec.allowed_hosts)
            together = [path for path in (*staged, *spec.context.files()) if path.is_file()]
            seen = {path: file_stat(path) for path in together}  # before anything is read of them
            return _map(task, run, (staged, seen), out, spec, progress)
    except OSError as error:
        raise unwritten(target, error) from error


def _map(
    task: Task,
    run: Path,
    read: tuple[Sequence[Path], Mapping[Path, Stat]],
    out: Path,
    spec: MapSpec,
    progress: Progress,
) -> dict[str, Any]:
    staged, seen = read
    scenes = open_scenes(staged)
    context = Context.open(spec.context, scenes)
    dated = task.mapped.dated
    context.check(task.mapped.needs, *(() if dated is None else (min(map(dated.days, task.views)),)))
    fitted = load_run(run, task).on(spec.compute)
    check_used(task, fitted, spec)
    model = MapModel(task, fitted, context, spec)
    claim = model.claim()
    tags = _tags(fitted, scenes, spec, claim, model)
    fields = spec.context.fields
    told = {
        "names": model.names(),
        "tags": tags,
        "dates": list(scenes.times),
        "layers": dict(model.layers()),
        "fields": None if fields is None else str(fields.resolve()),
        "fields_sha256": None if fields is None else fields_sha256(fields),
        "mean_factor": model.mean_factor(),
        **dict(zip(("lowest", "highest"), model.bounds().told(), strict=True)),
        "part_of": spec.part_of,
    }
    facts = facts_of(told, f"what {run} or the scenes say of themselves")
    watched = [content(path, stat) for path, stat in seen.items()]
    token = _token(fitted, scenes, spec, facts, watched)
    is_cpu = spec.compute.place().type == "cpu"
    size = MapSize(
        tile=TILE,
        overlap=model.overlap,
        batch_size=TILES_AT_ONCE,
        workers=spec.workers,
        predictors=num_cores() if is_cpu else 0,
        shard=spec.shard,
    )
    make_blocks(Placed(model), Inputs(sources=scenes.sources, watched=watched), out / MAP, size, token, progress)
    if spec.shard[1] > 1:
        write_atomically(parts_folder(out / MAP) / NOTES, facts_bytes(facts))
        return {"map": None, "shard": list(spec.shard), "claim": claim.state}
    by_date = by_date_bytes(fields_by_date(model, progress)) if spec.is_by_date else None
    files = publish(out, facts, by_date)
    return {"map": str(out / MAP), **files, "claim": claim.state, "reason": claim.reason, "units": model.units}


def _token(fitted: Fitted, scenes: Scenes, spec: MapSpec, facts: MapFacts, watched: Sequence[Content]) -> str:
    """All that a block depends on, besides the scenes' pixels: blocks of another token are never gone on with."""
    scalings = scenes.scales.tolist(), scenes.offsets.tolist()
    read = [file.sha256 for file in watched], scenes.times, scenes.channels, scalings
    asked = spec.level, spec.below, dict(spec.facts), spec.compute.precision
    return f"{fitted.adapter_sha256} {fitted.manifest.trunk_sha256} {asked} {read} {facts_digest(facts)}"


def _tags(fitted: Fitted, scenes: Scenes, spec: MapSpec, claim: Claim, model: MapModel) -> dict[str, str]:
    """What travels with the map: units, level, claim, model, dates, attribution."""
    manifest, known_until = fitted.manifest, model.known_until()
    return {
        "UNITS": model.units,
        "LEVEL": f"{spec.level:g}",
        "CLAIM": claim.state,
        "CLAIM_REASON": claim.reason or "",
        "ADAPTER": f"{manifest.adapter} {manifest.task} {manifest.version}",
        "ADAPTER_SHA256": fitted.adapter_sha256,
        "TRUNK_SHA256": manifest.trunk_sha256,
        "TRAINING": "simulated" if manifest.simulated else "real",
        "INPUTS": "simulated" if scenes.is_simulated else "real",
        "ATTRIBUTION": manifest.attribution,
        "LICENCE": manifest.licence,
        "DATES": ", ".join(sorted({date.isoformat() for date in scenes.dates})),
        **({"KNOWN_UNTIL": known_until} if known_until else {}),
        "KNOWN_FAILURES": "; ".join(manifest.known_failures),
    }
