"""Streaming maps: a model over rasters of any size, in bounded memory, resumed after a kill, split over machines.

The raster is cut into output blocks. A block's value depends on nothing but the tiles of one fixed grid that touch it,
added in one fixed order; so workers, kills and shards cannot change a bit of it. Tiles at a block's edge are computed
for both sides. Each finished block is a file of its own, written whole; together they are the journal.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mainstem.apps.map_blocks import BlockMaker, Placed, Plan, Predict, Values, make_plan
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.data.raster import BLOCK, Grid, Source, same_grid, write_cog

Progress = Callable[[str, float], None]
PLAN_FILE = "plan.json"


def parts_folder(output: Path) -> Path:
    """Where a map's finished blocks lie until it is whole."""
    return output.with_name(f".{output.name}.parts")


def _part(folder: Path, index: int) -> Path:
    return folder / f"block-{index:06d}.npy"


def _open_parts(folder: Path, plan: Plan) -> None:
    """Make the folder of blocks, or go on with one of the same plan; another plan's blocks are deleted."""
    path = folder / PLAN_FILE
    if path.is_file() and json.loads(path.read_text()).get("digest") != plan.digest():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        write_atomically(path, json.dumps({"digest": plan.digest(), **asdict(plan)}).encode())


def map_raster(
    predict: Predict | Placed,
    inputs: Sequence[Path | str],
    output: Path | str,
    *,
    tile: int = 256,
    overlap: int = 32,
    batch_size: int = 8,
    workers: int = 2,
    names: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    shard: tuple[int, int] = (0, 1),
    token: str = "",
    progress: Progress | None = None,
) -> Path | None:
    """Run a model over rasters and write its output as one cloud-optimised GeoTIFF.

    A run that was killed goes on where it stopped; inputs, sizes or `token` that changed begin anew.

    Args:
        predict: tiles (batch, time, band, y, x) float32, NaN where missing, to (batch, out, y, x); `Placed` where it
            needs to know where they lie.
        inputs: local GeoTIFFs of one grid, one a date, in order.
        output: the COG: float32, NaN where nothing was predicted.
        tile: pixels a side of a tile.
        overlap: pixels shared by neighbours, blended linearly.
        batch_size: tiles at once.
        workers: threads that read; the result does not depend on them.
        names: of the output's bands.
        tags: of the output: units, model, attribution.
        shard: (index, of how many): only this share of the blocks is made, and nothing assembled; see `merge`.
        token: name of the model, so that another one does not go on with this one's blocks.
        progress: told what is done and the share of it.

    Returns:
        The output, or None where it is for `merge` to assemble.

    Raises:
        InputError: if inputs differ in grid, CRS, bands or type, or cannot be read, or output cannot be written.
    """
    sources = same_grid([Path(path) for path in inputs])
    plan = make_plan(sources, tile=tile, overlap=overlap, batch_size=batch_size, token=token)
    output = Path(output)
    folder = parts_folder(output)
    if not 0 <= shard[0] < shard[1]:
        raise InputError(f"got shard {shard[0]} of {shard[1]}, want an index from 0 to {shard[1] - 1}")
    try:
        _open_parts(folder, plan)
        _make_blocks(plan, sources, predict, folder, (workers, shard, progress))
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error.strerror}); free space, then run again to go on") from error
    if shard[1] > 1:
        return None
    return merge(output, names=names, tags=tags)


def _make_blocks(
    plan: Plan,
    sources: Sequence[Source],
    predict: Predict | Placed,
    folder: Path,
    how: tuple[int, tuple[int, int], Progress | None],
) -> None:
    workers, (index, count), progress = how
    blocks = plan.blocks()
    share = range(index * len(blocks) // count, (index + 1) * len(blocks) // count)
    wanted = [number for number in share if not _part(folder, number).is_file()]
    maker = BlockMaker(plan, sources, predict)
    done = len(share) - len(wanted)
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        ahead = maker.read(pool, blocks[wanted[0]], None) if wanted else None
        for place, number in enumerate(wanted):
            assert ahead is not None
            found = ahead.result()
            ahead = maker.read(pool, blocks[wanted[place + 1]], found) if place + 1 < len(wanted) else None
            _save(_part(folder, number), maker.make(blocks[number], found))
            if progress is not None:
                progress(f"block {done + place + 1} of {done + len(wanted)}", (done + place + 1) / (done + len(wanted)))


def _save(path: Path, values: Values) -> None:
    """Write a block whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def merge(output: Path | str, *, names: Sequence[str] | None = None, tags: Mapping[str, str] | None = None) -> Path:
    """Assemble a map's finished blocks, made by one run or by several shards, and delete them.

    Raises:
        InputError: if blocks are missing, or the output cannot be written; the blocks stay then.
    """
    output = Path(output)
    folder = parts_folder(output)
    plan = _read_plan(folder)
    blocks = plan.blocks()
    missing = [number for number in range(len(blocks)) if not _part(folder, number).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(blocks)} blocks of {output.name} are missing, first {missing[0]}; run their shards"
        )
    num_out = np.load(_part(folder, 0), mmap_mode="r", allow_pickle=False).shape[0]
    names = tuple(names or (f"output {index + 1}" for index in range(num_out)))
    if len(names) != num_out:
        raise InputError(f"got {len(names)} band names for {num_out} outputs; give one each")
    write_cog(_windows(plan, folder), output, plan.grid, names, dict(tags or {}))
    shutil.rmtree(folder)
    return output


def _read_plan(folder: Path) -> Plan:
    try:
        plain = json.loads((folder / PLAN_FILE).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{folder} holds no map in the making; run map first") from error
    plain.pop("digest")
    grid = Grid(**{**plain.pop("grid")})
    return Plan(
        grid=Grid(width=grid.width, height=grid.height, transform=tuple(grid.transform), crs=grid.crs),
        inputs=tuple((path, size, time) for path, size, time in plain.pop("inputs")),
        block=(plain["block"][0], plain.pop("block")[1]),
        **plain,
    )


def _windows(plan: Plan, folder: Path) -> Iterator[tuple[int, int, Values]]:
    """Parts of the whole map with their first row and column, in the order of the blocks."""
    for number, (rows, columns) in enumerate(plan.blocks()):
        values = np.load(_part(folder, number), mmap_mode="r", allow_pickle=False)
        for top in range(0, rows.stop - rows.start, BLOCK):
            yield rows.start + top, columns.start, np.array(values[:, top : top + BLOCK])
