"""Output blocks of a map: how a raster is cut, and what is read of it for each block."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import content
from mainstem.core.tiled import Predict as PredictTiles
from mainstem.core.tiled import extended, shows_nothing
from mainstem.core.tiling import Corner, Line, Room, Tiling, Values
from mainstem.data.earth.raster import Grid, Source, missing_as_nan, read_window

Predict = Callable[[Values], NDArray[Any]]  # (batch, time, band, y, x), NaN where missing -> (batch, out, y, x)
PredictPlaced = Callable[[Values, Sequence[tuple[int, int]]], NDArray[Any]]  # also told each tile's row and column
MEMORY_BYTES = 320 << 20  # of one block: its input with margins, the input read ahead, sums, predictions and results
CHUNK, CHUNKS_HELD = 512, 3  # columns read at once, and how many such parts are held
RESULT_BYTES = 48  # a pixel: predictions and results of three outputs
VERSION = "3"  # of cutting and blending: raise it when the same inputs and model would give other blocks
TALL = 3  # a block's height by its width, about, or more: columns are read once, rows at a block's edge twice


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a map is made of; another plan never meets this one's blocks.

    Attributes:
        tile: pixels a side of what the model sees at once; smaller rasters are extended by their edge.
        overlap: pixels that neighbouring tiles share; their predictions are blended there.
        block: rows and columns of an output block, multiples of `tile - overlap`.
        inputs: sha256 of each input's bytes: neither name nor time says that a file is the same.
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
    inputs: tuple[str, ...]
    token: str

    @property
    def step(self) -> int:
        """Pixels from one tile's start to the next's."""
        return self.tile - self.overlap

    def digest(self) -> str:
        """Hash of everything in the plan."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def tiling(self) -> Tiling:
        """How rows and columns are cut."""
        lengths = self.grid.height, self.grid.width
        return Tiling(lengths=lengths, tile=(self.tile,) * 2, overlap=(self.overlap,) * 2, block=self.block)


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
    step, wide = tile - overlap, chunk_width(first)
    area = MEMORY_BYTES / (CHUNKS_HELD * layers + RESULT_BYTES)
    width = max(min(int(math.sqrt(area / TALL)), wide) // step, 1) * step
    most = MEMORY_BYTES // (CHUNKS_HELD * layers * max(wide, width) + RESULT_BYTES * width) - tile
    rows = math.ceil(first.grid.height / max(most // step * step, step))
    height = math.ceil(first.grid.height / rows / step) * step  # as high as each other
    return Plan(
        grid=first.grid,
        num_times=len(sources),
        num_bands=first.num_bands,
        dtype=first.dtype,
        tile=tile,
        overlap=overlap,
        block=(height, width),
        batch_size=batch_size,
        inputs=tuple(content(source.path).sha256 for source in sources),
        token=f"{VERSION} {token}",
    )


def chunk_width(source: Source) -> int:
    """Columns that are read at once: whole blocks of the file, CHUNK at least."""
    wide = source.block[1]
    return min(math.ceil(CHUNK / wide) * wide, source.grid.width)


@dataclass(frozen=True)
class Placed:
    """A model that has to know where its tiles lie: it is given each one's first row and column too."""

    predict: PredictPlaced


def as_placed(predict: Predict | Placed) -> PredictTiles:
    """A model as one that is told where tiles lie."""
    if isinstance(predict, Placed):
        placed = predict.predict
        return lambda tiles, corners: placed(tiles, [(top, left) for top, left in corners])
    return lambda tiles, corners: predict(tiles)


Chunk = tuple[int, int, int, int]  # first and last row and column of a part of the raster that is read at once


class InputReader:
    """Reads rasters in chunks of whole columns of their own blocks, ahead of who cuts tiles out of them.

    From left to right each chunk is read, and each of the files' blocks unpacked, once.
    """

    def __init__(self, plan: Plan, sources: Sequence[Source], pool: ThreadPoolExecutor) -> None:
        self.tiling, self.sources, self.pool = plan.tiling, sources, pool
        self.wide = chunk_width(sources[0])
        self.chunks: dict[Chunk, list[Future[NDArray[Any]]]] = {}
        self.taken: dict[Chunk, list[Room]] = {}
        self.rooms: list[Room] = []

    def ahead(self, lines: Sequence[Line]) -> None:
        """Begin to read what these lines of tiles need, in their order; forget the rest."""
        wanted = dict.fromkeys(chunk for line in lines for chunk in self._chunks(line))
        for chunk in self.chunks.keys() - wanted:
            self.rooms += self.taken.pop(chunk)
            wait(self.chunks.pop(chunk))
        self.chunks = {chunk: self.chunks.get(chunk) or self._read(chunk) for chunk in wanted}

    def _chunks(self, line: Line) -> list[Chunk]:
        rows, columns = self.tiling.reach(line)
        width = self.tiling.lengths[1]
        lefts = range(columns.start // self.wide * self.wide, columns.stop, self.wide)
        return [(rows.start, rows.stop, left, min(left + self.wide, width)) for left in lefts]

    def _read(self, chunk: Chunk) -> list[Future[NDArray[Any]]]:
        rows, columns = slice(*chunk[:2]), slice(*chunk[2:])
        self.taken[chunk] = [self.rooms.pop() if self.rooms else Room() for _ in self.sources]

        def read(source: Source, room: Room) -> NDArray[Any]:
            shape = source.num_bands, rows.stop - rows.start, columns.stop - columns.start
            return read_window(source, rows, columns, room.array(shape, source.dtype))

        return [self.pool.submit(read, *pair) for pair in zip(self.sources, self.taken[chunk], strict=True)]

    def cut(self, corner: Corner, tile: Values) -> bool:
        """Write the tile (time, band, tile, tile) at a row and column, NaN where missing; False where all of it is."""
        (top, left), size = corner, tile.shape[-1]
        height, width = (min(length, size) for length in self.tiling.lengths)
        done = left  # up to which column the tile is written
        for (first, last, begin, end), dates in self.chunks.items():
            if first <= top and top + height <= last and begin <= done < min(end, left + width):
                rows, columns = slice(top - first, top - first + height), slice(done - begin, left + width - begin)
                for source, date, into in zip(self.sources, dates, tile, strict=True):
                    part = date.result()[:, rows, columns]
                    missing_as_nan(source, part, into[:, :height, done - left : done - left + part.shape[2]])
                done = min(end, left + width)
        assert done == left + width, "what a tile shows was not read ahead"
        extended(tile, (height, width))
        return not shows_nothing(tile)
