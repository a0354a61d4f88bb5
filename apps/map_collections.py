"""`mainstem map` over a STAC collection: a map a tile, shared out over machines; a collection and an index of them.

A tile that is whole, of the same scenes and the same question, is left as it is; one that a kill left half-made goes on
from its blocks. Whoever finds all tiles whole writes the index and the collection, from them alone: the same bytes,
whoever it is and however often.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainstem.apps.map import check_shard, unwritten
from mainstem.apps.map_blocks import VERSION
from mainstem.apps.map_files import COLLECTION, MAP, NOTES, PartOf, drop_staged, is_whole, read_facts
from mainstem.apps.map_index import INDEX, TILES, TilesPlan, finish
from mainstem.apps.map_journal import agreed, reserved
from mainstem.apps.map_models import MapSpec, check_used
from mainstem.apps.map_pixels import map_scenes
from mainstem.core.errors import InputError
from mainstem.core.files import content, write_atomically
from mainstem.core.fitted import load_run
from mainstem.core.outputs import check_output_folder
from mainstem.core.predict import check_thresholds
from mainstem.core.progress import Progress, silent
from mainstem.core.task import Task
from mainstem.data.earth.stac import local_assets
from mainstem.data.earth.stac_collections import Collection, open_collection

Make = Callable[[str, PartOf, Progress], object]  # a tile's map, by the tile's name


def map_collection(
    task: Task, run: Path, path: Path, out: Path, spec: MapSpec, progress: Progress = silent
) -> dict[str, Any]:
    """Map a run over a collection's tiles into `out`/TILE, every `spec.shard[1]`-th of them from `spec.shard[0]` on.

    A tile that cannot be mapped does not keep the others from it.

    Raises:
        InputError: if the task or an option is not of such maps, the collection is damaged, shards of another plan are
            being made there, or a tile could not be mapped.
    """
    check_shard(spec.shard)
    check_thresholds(spec.below)
    found = open_collection(path)
    every = [path, *(item for items in found.tiles.values() for item in items)]
    check_output_folder(out, (COLLECTION, INDEX, TILES), [*every, *spec.context.files(), run])
    for name, given in (("soil", spec.context.soil), ("fields", spec.context.fields)):
        if given is not None and len(found.tiles) > 1:
            raise InputError(f"--{name} is of one grid, {path.name} has {len(found.tiles)} tiles; leave it out")
    plan = _plan(task, run, found, spec)
    share = sorted(plan.tiles)[spec.shard[0] :: spec.shard[1]]
    target = out / COLLECTION

    def make(name: str, part: PartOf, report: Progress) -> None:
        target.unlink(missing_ok=True)  # it tells of another map of this tile
        map_scenes(task, run, found.tiles[name], out / name, replace(spec, shard=(0, 1), part_of=part), report)

    try:
        _check_free(out)
        with (
            reserved(target, spec.shard),
            agreed(target, _sha256(plan.encoded()), lambda: _begin(out, plan)),
        ):
            made = _map_tiles(share, found, plan, out, make, progress)
        whole = finish(out)
    except OSError as error:
        raise unwritten(out, error) from error
    told = {"collection": None if whole is None else str(whole), "shard": list(spec.shard)}
    return {**told, "tiles": share, "made": made}


def _plan(task: Task, run: Path, found: Collection, spec: MapSpec) -> TilesPlan:
    """What is asked of each tile, by hashes of all that its map depends on besides the pixels of its scenes."""
    if not task.mapped.window:
        raise InputError(f"{task.name}'s task {task.task} is of regions, not of pixels; take --task pixel")
    if spec.is_by_date:
        raise InputError("--by-date is of one map's fields; map one tile's scenes, or leave it out")
    fitted = load_run(run, task)
    check_used(task, fitted, spec)
    name = f"{found.id} {task.name} {task.task}"
    beside = [content(file).sha256 for file in spec.context.files()]
    model = VERSION, fitted.adapter_sha256, fitted.manifest.trunk_sha256, spec.compute.precision
    asked = [*model, name, spec.level, spec.below, sorted(spec.facts.items()), beside]
    tiles = {
        tile: _sha256(json.dumps([*asked, [content(item).sha256 for item in items]]).encode())
        for tile, items in found.tiles.items()
    }
    return TilesPlan(
        collection=name, source=found.id, source_licence=found.licence, providers=list(found.providers), tiles=tiles
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _begin(out: Path, plan: TilesPlan) -> None:
    if not (out / TILES).is_file() or (out / TILES).read_bytes() != plan.encoded():
        write_atomically(out / TILES, plan.encoded())


def _check_free(out: Path) -> None:
    """Refuse to write over another's collection."""
    taken = [name for name in (COLLECTION, INDEX) if (out / name).exists()]
    if taken and not (out / TILES).is_file():
        raise InputError(f"{out} holds {taken[0]}, but no maps that it is of; name another folder, or move it away")


def _map_tiles(
    share: Sequence[str], found: Collection, plan: TilesPlan, out: Path, make: Make, progress: Progress
) -> list[str]:
    """Map these tiles where they are not whole, and say which that were."""
    made, failed = [], []
    for number, name in enumerate(share):

        def report(stage: str, done: float, number: int = number, name: str = name) -> None:
            progress(f"tile {name}, {number + 1} of {len(share)}: {stage}", (number + done) / len(share))

        part = PartOf(collection=plan.collection, asked=plan.tiles[name], read=_read(found.tiles[name]))
        try:
            if not _is_made(out / name, part):
                make(name, part, report)
                made.append(name)
        except InputError as error:
            failed.append(f"tile {name}: {error}")
    if failed:
        raise InputError(f"{len(failed)} of {len(share)} tiles cannot be mapped; {failed[0]}")
    return made


def _read(items: Sequence[Path]) -> str:
    """Hash of the bytes of assets that lie beside their items; of others the items say the address."""
    beside = [asset for item in items for asset in local_assets(item) if asset.is_relative_to(item.parent.resolve())]
    return _sha256("\n".join(content(asset).sha256 for asset in beside if asset.is_file()).encode())


def _is_made(folder: Path, part: PartOf) -> bool:
    """True where a tile is whole, of this question and these scenes."""
    with reserved(folder / MAP):
        try:
            notes = read_facts(folder / NOTES)
        except InputError:
            return False
        if notes.part_of != part or not is_whole(folder, notes):
            return False
        drop_staged(folder)
    return True
