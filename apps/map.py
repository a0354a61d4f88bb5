"""Streaming maps: a model over rasters of any size, in bounded memory, resumed after a kill, split over machines.

The raster is cut into output blocks. A block's value depends on nothing but the tiles of one fixed grid that touch it,
added in one fixed order; so workers, kills and shards cannot change a bit of it. Tiles at a block's edge are computed
for both sides. Each finished block is a file of its own, written whole; together they are the journal.
"""

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mainstem.apps.map_blocks import InputReader, Placed, Plan, Predict, as_placed, make_plan
from mainstem.apps.map_journal import (
    intact,
    is_intact,
    map_block,
    num_outputs,
    opened,
    parts_folder,
    read_plan,
    reserved,
    save_block,
)
from mainstem.core.errors import InputError
from mainstem.core.files import Content, content
from mainstem.core.parallel import one_thread_each
from mainstem.core.progress import Progress, silent
from mainstem.core.tiled import BlockMaker
from mainstem.core.tiling import Box, Room, Values
from mainstem.data.earth.cog import BLOCK, write_cog
from mainstem.data.earth.raster import Source, same_grid

__all__ = [
    "Inputs", "MapLabels", "MapSize", "assemble", "check_shard", "check_unchanged", "make_blocks", "map_raster",
    "merge", "parts_folder", "unwritten",
]  # fmt: skip
BROAD = 4 * BLOCK  # columns that are assembled at once
MOST_SHARDS = 100_000  # nobody has as many machines; each has a lock file of its own


@dataclass(frozen=True, kw_only=True)
class MapSize:
    """How a map is cut and who makes it.

    Attributes:
        tile: pixels a side of a tile.
        overlap: pixels shared by neighbours, blended linearly.
        batch_size: tiles at once.
        workers: threads that read; the result does not depend on them.
        predictors: threads that predict tiles side by side, of a model that allows it, each with one of torch's own;
            with 0 the model is asked in turn.
        shard: (index, of how many): only this share of the blocks is made.
    """

    tile: int = 256
    overlap: int = 32
    batch_size: int = 8
    workers: int = 2
    predictors: int = 0
    shard: tuple[int, int] = (0, 1)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a map is made of: rasters of one grid, and all files behind it, as they were before any was read."""

    sources: Sequence[Source]
    watched: Sequence[Content]


@dataclass(frozen=True, kw_only=True)
class MapLabels:
    """What a map is called.

    Attributes:
        names: of the output's bands.
        tags: of the output: units, model, attribution.
        token: name of the model, so that another one does not go on with this one's blocks.
    """

    names: Sequence[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    token: str = ""


def map_raster(
    predict: Predict | Placed,
    inputs: Sequence[Path | str],
    output: Path | str,
    size: MapSize | None = None,
    labels: MapLabels | None = None,
    progress: Progress = silent,
) -> Path | None:
    """Run a model over rasters and write its output as one cloud-optimised GeoTIFF.

    A run that was killed goes on where it stopped; inputs, sizes or a token that changed begin anew.

    Args:
        predict: tiles (batch, time, band, y, x) float32, NaN where missing, to (batch, out, y, x); `Placed` where it
            needs to know where they lie. It keeps no tiles: the next ones take their place.
        inputs: local GeoTIFFs of one grid, one a date, in order.
        output: the COG: float32, NaN where nothing was predicted.
        size: how it is cut, and which share of it is made.
        labels: names and tags of the output, and the model's.
        progress: told what is done and the share of it.

    Returns:
        The output, or None where it is for `merge` to assemble.

    Raises:
        InputError: if inputs differ in grid, CRS, bands or type, or cannot be read, or output cannot be written.
    """
    output, size, labels = Path(output), size or MapSize(), labels or MapLabels()
    check_shard(size.shard)
    try:
        with reserved(output, size.shard):
            watched = contents([Path(path) for path in inputs if Path(path).is_file()])
            sources = same_grid([Path(path) for path in inputs])
            make_blocks(predict, Inputs(sources=sources, watched=watched), output, size, labels.token, progress)
            if size.shard[1] > 1:
                return None
            assemble(output, output, names=labels.names, tags=labels.tags)
            shutil.rmtree(parts_folder(output))
    except OSError as error:
        raise unwritten(output, error) from error
    return output


def contents(paths: Sequence[Path]) -> list[Content]:
    """Hash several files side by side."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(content, paths))


def check_shard(shard: tuple[int, int]) -> None:
    """Check that a shard is one of those there are.

    Raises:
        InputError: if it is not.
    """
    if shard[1] > MOST_SHARDS:
        raise InputError(f"got {shard[1]:.6g} shards, want {MOST_SHARDS} at most; make fewer")
    if not 0 <= shard[0] < shard[1]:
        raise InputError(f"got shard {shard[0]} of {shard[1]}, want an index from 0 to {shard[1] - 1}")


def unwritten(output: Path, error: OSError) -> InputError:
    """What to tell of a map that cannot be written."""
    return InputError(f"cannot write {output} ({error.strerror or error}); free space, then run again to go on")


def make_blocks(
    predict: Predict | Placed, inputs: Inputs, output: Path, size: MapSize, token: str, progress: Progress = silent
) -> None:
    """Make the blocks of a map, or of one shard of it, that are not there yet; the output is `reserved` meanwhile.

    Raises:
        InputError: if a file that is watched changes, or shards of another plan are being made there.
        OSError: if a block cannot be written.
    """
    plan = make_plan(inputs.sources, tile=size.tile, overlap=size.overlap, batch_size=size.batch_size, token=token)
    with opened(output, plan) as folder:
        _make_blocks(plan, inputs, predict, folder, size, progress)


def _make_blocks(
    plan: Plan, inputs: Inputs, predict: Predict | Placed, folder: Path, size: MapSize, progress: Progress
) -> None:
    index, count = size.shard
    blocks = plan.tiling.blocks()
    share = range(index * len(blocks) // count, (index + 1) * len(blocks) // count)
    whole = intact(folder, plan, share)
    wanted = [number for number in share if number not in whole]
    done = len(share) - len(wanted)

    def keep(number: int, values: Values) -> None:
        check_unchanged(inputs.watched)
        save_block(folder, plan, number, values)

    with (
        ThreadPoolExecutor(max(size.workers, 1)) as pool,
        ThreadPoolExecutor(1) as keeper,
        one_thread_each(size.predictors) as predictors,
    ):
        kept: Future[None] | None = None
        reader = InputReader(plan, inputs.sources, pool)
        leading = plan.num_times, plan.num_bands
        maker = BlockMaker(plan.tiling, leading, as_placed(predict), plan.batch_size, predictors)
        for place, values in enumerate(_blocks(reader, maker, [blocks[number] for number in wanted])):
            if kept is not None:
                kept.result()
                progress(f"block {done + place} of {len(share)}", (done + place) / len(share))
            kept = keeper.submit(keep, wanted[place], values)
        if kept is not None:
            kept.result()
            progress(f"block {len(share)} of {len(share)}", 1.0)


def _blocks(reader: InputReader, maker: BlockMaker, blocks: Sequence[Box]) -> Iterator[Values]:
    """Make blocks in order, each of which lasts until the one after the next is asked for.

    The input of the next one is read while the model works on this one.
    """
    rooms = Room(), Room()
    for place, block in enumerate(blocks):
        now = maker.lacking(block)
        after = [
            line for later in blocks[place + 1 : place + 2] for line in maker.lacking(later, maker.tiling.lines(block))
        ]
        reader.ahead([*now, *after])
        yield maker.make(block, reader.cut, rooms[place % 2])


def check_unchanged(watched: Sequence[Content]) -> None:
    """Check that files are what they were.

    Raises:
        InputError: naming one that is not.
    """
    for file in watched:
        if not file.is_still_there():
            raise InputError(f"{file.path} changed while it was mapped; leave it as it is, then run again")


def merge(output: Path | str, *, names: Sequence[str] | None = None, tags: Mapping[str, str] | None = None) -> Path:
    """Assemble a map's finished blocks, made by one run or by several shards, and delete them.

    Raises:
        InputError: if blocks are missing or damaged, or the output cannot be written; the blocks stay then.
    """
    output = Path(output)
    read_plan(parts_folder(output))  # before anything is made there
    try:
        with reserved(output):
            assemble(output, output, names=names, tags=tags)
            shutil.rmtree(parts_folder(output))
    except OSError as error:
        raise unwritten(output, error) from error
    return output


def assemble(
    output: Path, target: Path, *, names: Sequence[str] | None = None, tags: Mapping[str, str] | None = None
) -> None:
    """Assemble the finished blocks of the map `output` as `target`; the blocks stay.

    Raises:
        InputError: if blocks are missing or damaged, or the target cannot be written.
    """
    folder = parts_folder(output)
    plan = read_plan(folder)
    blocks = plan.tiling.blocks()
    outputs = {number: count for number, span in enumerate(blocks) if (count := num_outputs(folder, number, span))}
    if len(outputs) < len(blocks):
        raise _lacking(output, plan, sorted(set(range(len(blocks))) - set(outputs)))
    num_out = outputs[0]
    if len(set(outputs.values())) != 1:
        raise InputError(f"blocks of {output.name} hold different numbers of values; delete {folder} and map again")
    names = tuple(names or (f"output {index + 1}" for index in range(num_out)))
    if len(names) != num_out:
        raise InputError(f"got {len(names)} band names for {num_out} outputs; give one each")
    write_cog(_windows(output, plan), target, plan.grid, names, dict(tags or {}))


def _lacking(output: Path, plan: Plan, missing: Sequence[int]) -> InputError:
    return InputError(
        f"{len(missing)} of {len(plan.tiling.blocks())} blocks of {output.name} are missing or damaged, first "
        f"{missing[0]}; run their shards"
    )


def _windows(output: Path, plan: Plan) -> Iterator[tuple[int, int, Values]]:
    """Parts of the whole map with their first row and column, along the blocks of the file that is written."""
    folder = parts_folder(output)
    numbered = enumerate(plan.tiling.blocks())
    for _, row in itertools.groupby(numbered, key=lambda block: block[1][0].start):
        spans = dict(row)
        if not all(is_intact(folder, plan, number, span) for number, span in spans.items()):
            every = range(len(plan.tiling.blocks()))
            whole = intact(folder, plan, every)
            raise _lacking(output, plan, [number for number in every if number not in whole])
        yield from _joined(folder, spans)


def _joined(folder: Path, spans: Mapping[int, Box]) -> Iterator[tuple[int, int, Values]]:
    """Cut blocks that lie side by side anew, BLOCK rows at a time and BROAD columns."""
    every = list(spans.values())
    rows, width = every[0][0], every[-1][1].stop
    tops = [rows.start, *range((rows.start // BLOCK + 1) * BLOCK, rows.stop, BLOCK), rows.stop]
    for top, bottom in itertools.pairwise(tops):
        for left in range(0, width, BROAD):
            right = min(left + BROAD, width)
            parts = [
                map_block(folder, number, span)[
                    :, top - rows.start : bottom - rows.start, max(left - span[1].start, 0) : right - span[1].start
                ]
                for number, span in spans.items()
                if span[1].start < right and left < span[1].stop
            ]
            yield top, left, np.concatenate(parts, 2)
