"""Output blocks of a map: how a raster is cut, what each block needs to see, and how its tiles are blended."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import content
from mainstem.data.earth.raster import Grid, Source, read_window

Values = NDArray[np.float32]
Predict = Callable[[Values], NDArray[Any]]  # (batch, time, band, y, x), NaN where missing -> (batch, out, y, x)
PredictPlaced = Callable[[Values, Sequence[tuple[int, int]]], NDArray[Any]]  # also told each tile's row and column
MEMORY_BYTES = 192 << 20  # of one block: its input with margins, the input read ahead, sums, weights and result
INPUTS_HELD, RESULT_BYTES = 2.5, 48  # inputs at once; bytes a pixel of sums and result of three outputs
VERSION = "2"  # of cutting and blending: raise it when the same inputs and model would give other blocks
TALL = 3  # a block's height by its width, about: columns are read once, rows at a block's edge twice


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
