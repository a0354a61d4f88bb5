"""Streaming maps: a model over rasters of any size, in bounded memory, resumed after a kill, split over machines.

The raster is cut into output blocks. A block's value depends on nothing but the tiles of one fixed grid that touch it,
added in one fixed order; so workers, kills and shards cannot change a bit of it. Tiles at a block's edge are computed
for both sides. Each finished block is a file of its own, written whole; together they are the journal.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.data.raster import BLOCK, Grid, Source, read_window, same_grid, write_cog

Values = NDArray[np.float32]
Predict = Callable[[Values], NDArray[Any]]  # (batch, time, band, y, x), NaN where missing -> (batch, out, y, x)
PredictPlaced = Callable[[Values, Sequence[tuple[int, int]]], NDArray[Any]]  # also told each tile's row and column
Progress = Callable[[str, float], None]
MEMORY_BYTES = 384 << 20  # of one block: its input with margins, the input read ahead, sums, weights and result
INPUTS_HELD, RESULT_BYTES = 2.5, 48  # inputs at once; bytes a pixel of sums and result of three outputs
TALL = 3  # a block's height by its width, about: columns are read once, rows at a block's edge twice
PLAN_FILE = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a map is made of; another plan never meets this one's blocks.

    Attributes:
        tile: pixels a side of what the model sees at once; smaller rasters are extended by their edge.
        overlap: pixels that neighbouring tiles share; their predictions are blended there.
        block: rows and columns of an output block, multiples of `tile - overlap`.
        inputs: path, size in bytes and time of change of each input.
        token: says which model it is, where the caller knows; else another model would go on where one was killed.
    """

    grid: Grid
    num_times: int
    num_bands: int
    dtype: str
    tile: int
    overlap: int
    block: tuple[int, int]
    batch_size: int
    inputs: tuple[tuple[str, int, int], ...]
    token: str

    @property
    def step(self) -> int:
        """Pixels from one tile's start to the next's."""
        return self.tile - self.overlap

    def digest(self) -> str:
        """Hash of everything in the plan."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def blocks(self) -> list[tuple[slice, slice]]:
        """Rows and columns of every output block, in reading order."""
        height, width = self.block
        rows = [slice(top, min(top + height, self.grid.height)) for top in range(0, self.grid.height, height)]
        columns = [slice(left, min(left + width, self.grid.width)) for left in range(0, self.grid.width, width)]
        return [(row, column) for row in rows for column in columns]


def make_plan(sources: Sequence[Source], *, tile: int, overlap: int, batch_size: int, token: str = "") -> Plan:
    """Check sizes and choose blocks that fit in memory.

    Raises:
        InputError: if tile, overlap or batch size cannot be.
    """
    if tile < 1 or not 0 <= overlap < tile or batch_size < 1:
        raise InputError(
            f"got tile {tile}, overlap {overlap}, batch size {batch_size}; want 0 <= overlap < tile, batch >= 1"
        )
    first = sources[0]
    layers = len(sources) * first.num_bands * np.dtype(first.dtype).itemsize
    step = tile - overlap
    area = MEMORY_BYTES / (INPUTS_HELD * layers + RESULT_BYTES)
    width = max(int(math.sqrt(area / TALL)) // step, 1) * step
    height = max(int(area / (width + tile) - tile) // step, 1) * step
    stats = [(str(source.path.resolve()), source.path.stat()) for source in sources]
    return Plan(
        grid=first.grid,
        num_times=len(sources),
        num_bands=first.num_bands,
        dtype=first.dtype,
        tile=tile,
        overlap=overlap,
        block=(height, width),
        batch_size=batch_size,
        inputs=tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats),
        token=token,
    )


def starts(length: int, tile: int, step: int) -> list[int]:
    """Where tiles begin along one side: every `step` pixels, the last one moved back to end with the raster."""
    if length <= tile:
        return [0]
    count = math.ceil((length - tile) / step) + 1
    return [min(index * step, length - tile) for index in range(count)]


def touching(every: Sequence[int], tile: int, span: slice) -> list[int]:
    """The starts of tiles that touch a span."""
    return [start for start in every if start < span.stop and start + tile > span.start]


def weights_of(tile: int, overlap: int) -> NDArray[np.float64]:
    """Weights (tile, tile) that fall linearly over the overlap; divided by their sum they are a partition of unity."""
    ramp = (np.arange(tile) + 0.5) / max(overlap, 1)
    side = np.minimum(np.minimum(ramp, ramp[::-1]), 1.0)
    return np.outer(side, side)


@dataclass(frozen=True)
class Placed:
    """A model that has to know where its tiles lie: it is given each one's first row and column too."""

    predict: PredictPlaced


@dataclass(frozen=True)
class Input:
    """What was read for a block: rows and columns of the raster, and (band, y, x) a date."""

    window: tuple[slice, slice]
    pixels: list[NDArray[Any]]


@dataclass(frozen=True)
class Reading:
    """An input that is being read: columns held from the one before, and the rest as it comes."""

    window: tuple[slice, slice]
    held: list[NDArray[Any]] | None
    fresh: list[Future[NDArray[Any]] | None]

    def result(self) -> Input:
        """Wait for it."""
        arrays = [None if future is None else future.result() for future in self.fresh]
        if self.held is None:
            return Input(self.window, [array for array in arrays if array is not None])
        joined = [
            kept.copy() if array is None else np.concatenate([kept, array], 2)
            for kept, array in zip(self.held, arrays, strict=True)
        ]
        return Input(self.window, joined)


class BlockMaker:
    """Makes one output block after another; reads the next one's input while the model works on this one."""

    def __init__(self, plan: Plan, sources: Sequence[Source], predict: Predict | Placed) -> None:
        self.plan, self.sources, self.predict = plan, sources, predict
        self.rows = starts(plan.grid.height, plan.tile, plan.step)
        self.columns = starts(plan.grid.width, plan.tile, plan.step)
        self.weights = weights_of(plan.tile, plan.overlap)
        self.num_out: int | None = None

    def window(self, block: tuple[slice, slice]) -> tuple[slice, slice]:
        """Rows and columns of the input that a block's tiles cover."""
        spans = []
        for every, span, length in zip((self.rows, self.columns), block, self._sides(), strict=True):
            near = touching(every, self.plan.tile, span)
            spans.append(slice(near[0], min(near[-1] + self.plan.tile, length)))
        return spans[0], spans[1]

    def _sides(self) -> tuple[int, int]:
        return self.plan.grid.height, self.plan.grid.width

    def read(self, pool: ThreadPoolExecutor, block: tuple[slice, slice], before: "Input | None") -> "Reading":
        """Begin to read a block's input, each date in a thread of its own.

        What the input read before holds already is not read again, and columns are read to the end of the files'
        blocks, so that going from left to right each of them is unpacked once.
        """
        rows, columns = self.window(block)
        wide = self.sources[0].block[1]
        stop = min(math.ceil(columns.stop / wide) * wide, self.plan.grid.width)
        held: list[NDArray[Any]] | None = None
        start = columns.start
        if before is not None and before.window[0] == rows and before.window[1].start <= start < before.window[1].stop:
            held = [date[:, :, start - before.window[1].start :] for date in before.pixels]
            start = before.window[1].stop
        fresh = [
            pool.submit(read_window, source, rows, slice(start, stop)) if start < stop else None
            for source in self.sources
        ]
        return Reading((rows, slice(columns.start, max(stop, start))), held, fresh)

    def make(self, block: tuple[slice, slice], found: "Input") -> Values:
        """Predict and blend one block (out, y, x); NaN where nothing was predicted."""
        window, pixels = found.window, found.pixels
        corners = [
            (top, left)
            for top in touching(self.rows, self.plan.tile, block[0])
            for left in touching(self.columns, self.plan.tile, block[1])
        ]
        total: NDArray[np.float64] | None = None
        weight: NDArray[np.float64] | None = None
        for chosen, tiles in self._batches(corners, window, pixels):
            predicted = self._predicted(tiles, chosen)
            if total is None or weight is None:
                shape = (block[0].stop - block[0].start, block[1].stop - block[1].start)
                total, weight = np.zeros((predicted.shape[1], *shape)), np.zeros(shape)
            for corner, values in zip(chosen, predicted, strict=True):
                self._add(values, corner, block, (total, weight))
        if total is None or weight is None:
            return self._nothing(block)
        weight[weight == 0] = np.nan
        blended: Values = np.divide(total, weight, out=total).astype(np.float32)
        return blended

    def _nothing(self, block: tuple[slice, slice]) -> Values:
        """A block without a single observed pixel; the model is asked once how many values it gives."""
        if self.num_out is None:
            plan = self.plan
            nothing = np.zeros((1, plan.num_times, plan.num_bands, plan.tile, plan.tile), np.float32)
            self._predicted(nothing, [(0, 0)])
        assert self.num_out is not None
        shape = (self.num_out, block[0].stop - block[0].start, block[1].stop - block[1].start)
        return np.full(shape, np.nan, np.float32)

    def _batches(
        self, corners: Sequence[tuple[int, int]], window: tuple[slice, slice], pixels: Sequence[NDArray[Any]]
    ) -> Iterator[tuple[list[tuple[int, int]], Values]]:
        """Tiles that show anything at all, in order, `batch_size` at once."""
        chosen: list[tuple[int, int]] = []
        tiles: list[Values] = []
        for corner in corners:
            tile = self._tile(corner, window, pixels)
            if tile is None:
                continue
            chosen.append(corner)
            tiles.append(tile)
            if len(tiles) == self.plan.batch_size:
                yield chosen, np.stack(tiles)
                chosen, tiles = [], []
        if tiles:
            yield chosen, np.stack(tiles)

    def _tile(
        self, corner: tuple[int, int], window: tuple[slice, slice], pixels: Sequence[NDArray[Any]]
    ) -> Values | None:
        """One tile (time, band, tile, tile), NaN where missing; None where all of it is."""
        top, left = corner[0] - window[0].start, corner[1] - window[1].start
        size = self.plan.tile
        found = np.stack([date[:, top : top + size, left : left + size] for date in pixels]).astype(np.float32)
        for index, source in enumerate(self.sources):
            if source.nodata is not None and not math.isnan(source.nodata):
                found[index][found[index] == np.float32(source.nodata)] = np.nan
        if np.isnan(found).all():
            return None
        missing = [(0, 0), (0, 0), (0, size - found.shape[2]), (0, size - found.shape[3])]
        return np.pad(found, missing, mode="edge") if any(after for _, after in missing) else found

    def _predicted(self, tiles: Values, corners: Sequence[tuple[int, int]]) -> NDArray[Any]:
        """The model's output, checked.

        Raises:
            InputError: if it is not (batch, out, tile, tile), or gives another number of values than before.
        """
        if isinstance(self.predict, Placed):
            predicted = np.asarray(self.predict.predict(tiles, corners))
        else:
            predicted = np.asarray(self.predict(tiles))
        size = self.plan.tile
        if predicted.ndim != 4 or predicted.shape[0] != len(tiles) or predicted.shape[2:] != (size, size):
            raise InputError(
                f"the model gave {predicted.shape} for tiles {tiles.shape}, want (batch, out, {size}, {size})"
            )
        if self.num_out not in (None, predicted.shape[1]):
            raise InputError(f"the model gave {predicted.shape[1]} values a pixel, before it gave {self.num_out}")
        self.num_out = predicted.shape[1]
        return predicted

    def _add(
        self,
        values: NDArray[Any],
        corner: tuple[int, int],
        block: tuple[slice, slice],
        sums: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> None:
        """Add a tile's part of a block, each pixel by its weight; one that is not finite in all counts for nothing."""
        ours, theirs = [], []
        for start, span in zip(corner, block, strict=True):
            first, last = max(start, span.start), min(start + self.plan.tile, span.stop)
            ours.append(slice(first - start, last - start))
            theirs.append(slice(first - span.start, last - span.start))
        part, weight = values[:, ours[0], ours[1]], self.weights[ours[0], ours[1]]
        finite = np.isfinite(part).all(0)
        if not finite.all():
            part, weight = np.where(finite, part, 0.0), np.where(finite, weight, 0.0)
        sums[0][:, theirs[0], theirs[1]] += weight * part
        sums[1][theirs[0], theirs[1]] += weight


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
