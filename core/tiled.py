"""Models run over tiles: block after block, each line of tiles in batches, side by side where there are threads."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.tiling import Blender, Box, Corner, Line, Room, Tiling, Values

Cut = Callable[[Corner, Values], bool]  # write the tile (..., *tile) that starts there; False where it shows nothing
Submit = Callable[..., "Future[NDArray[Any]]"]
Predict = Callable[[Values, Sequence[Corner]], NDArray[Any]]  # (batch, ..., *tile) -> (batch, out, *tile)


class BlockMaker:
    """Runs a model over tiles, one block after another.

    Tiles meet the model in batches within a line: all that touch a block and begin at one place along the last axis
    (along a single axis: all of the block's). So what a line holds does not depend on which blocks were made before,
    and the block after this one takes over the lines that both need. A model keeps none of the tiles that it is given:
    others take their place.
    """

    def __init__(
        self,
        tiling: Tiling,
        leading: Sequence[int],
        predict: Predict,
        batch_size: int = 8,
        predictors: tuple[Executor, int] | None = None,
    ) -> None:
        """Make blocks of inputs (*leading, *axes), `batch_size` tiles at once.

        Batches of a line run side by side on `predictors`, an executor and how many it runs, else one after another.
        """
        self.tiling, self.predict, self.blender = tiling, predict, Blender(tiling)
        self.submit: Submit = predictors[0].submit if predictors else run_now
        shape = batch_size, *leading, *tiling.tile
        self.rooms = [np.zeros(shape, np.float32) for _ in range(1 + (predictors[1] if predictors else 0))]
        self.made: dict[Line, dict[Corner, NDArray[Any]]] = {}
        self.num_out: int | None = None

    def lacking(self, block: Box, after: Sequence[Line] = ()) -> list[Line]:
        """The lines of a block that have to be made yet, where those of `after` come before."""
        return [line for line in self.tiling.lines(block) if line not in self.made and line not in after]

    def make(self, block: Box, cut: Cut, room: Room | None = None) -> Values:
        """Predict and blend one block (out, *block), which lies in `room` if given; NaN where nothing was predicted.

        Raises:
            InputError: if the model gives another shape than it should, or another number of outputs than before.
        """
        before = self.made
        self.made = {}
        for line in self.tiling.lines(block):
            self.made[line] = before.pop(line) if line in before else self._make_line(line, cut)
        predicted = {corner: values for line in self.made.values() for corner, values in line.items()}
        return self.blender.blend(block, predicted, room or Room()) if predicted else self._nothing(block)

    def _make_line(self, line: Line, cut: Cut) -> dict[Corner, NDArray[Any]]:
        """Predictions of the tiles of a line that show anything."""
        found: dict[Corner, NDArray[Any]] = {}
        running: deque[tuple[list[Corner], Future[NDArray[Any]]]] = deque()
        chosen: list[Corner] = []
        rooms = itertools.cycle(self.rooms)
        tiles = next(rooms)
        for corner in line:
            if cut(corner, tiles[len(chosen)]):
                chosen.append(corner)
            if chosen and (len(chosen) == len(tiles) or corner == line[-1]):
                running.append((chosen, self.submit(self.predict, tiles[: len(chosen)], chosen)))
                if len(running) == len(self.rooms):  # the room that comes next is the first one's
                    found |= self._taken(*running.popleft())
                chosen, tiles = [], next(rooms)
        for batch in running:
            found |= self._taken(*batch)
        return found

    def _taken(self, corners: Sequence[Corner], future: "Future[NDArray[Any]]") -> dict[Corner, NDArray[Any]]:
        """Wait for a batch's predictions and check their shape."""
        predicted, sides = np.array(future.result()), self.tiling.tile  # a copy: it may show the tiles themselves
        if predicted.ndim != 2 + len(sides) or len(predicted) != len(corners) or predicted.shape[2:] != sides:
            want = ", ".join(map(str, sides))
            raise InputError(f"the model gave {predicted.shape} for {len(corners)} tiles, want (batch, out, {want})")
        if self.num_out not in (None, predicted.shape[1]):
            raise InputError(f"the model gave {predicted.shape[1]} values a cell, before it gave {self.num_out}")
        self.num_out = predicted.shape[1]
        return dict(zip(corners, predicted, strict=True))

    def _nothing(self, block: Box) -> Values:
        """A block that shows nothing; the model is asked once how many values it gives."""
        if self.num_out is None:
            corners = [(0,) * len(block)]
            self._taken(corners, run_now(self.predict, np.zeros_like(self.rooms[0][:1]), corners))
        assert self.num_out is not None
        return np.full((self.num_out, *(side.stop - side.start for side in block)), np.nan, np.float32)


def run_now(function: Callable[..., NDArray[Any]], *given: Any) -> "Future[NDArray[Any]]":  # noqa: ANN401 - any function's
    """Run a function here, as an executor that has no thread would."""
    done: Future[NDArray[Any]] = Future()
    done.set_result(function(*given))
    return done


def extended(tile: Values, lengths: Sequence[int]) -> None:
    """Fill a tile (..., *tile) beyond the first `lengths` along its last axes by its edge."""
    for axis, length in enumerate(lengths, tile.ndim - len(lengths)):
        if length < tile.shape[axis]:
            lead = (slice(None),) * axis
            tile[(*lead, slice(length, None))] = tile[(*lead, slice(length - 1, length))]


def shows_nothing(tile: Values) -> bool:
    """True where a tile is NaN everywhere; the first value tells of most that are not."""
    return bool(np.isnan(tile.flat[0]) and np.isnan(tile).all())


def cut_from(values: NDArray[Any], num_axes: int) -> Cut:
    """Cut tiles out of an array (..., *axes) that lies in memory, NaN where missing."""
    lead: tuple[slice, ...] = (slice(None),) * (values.ndim - num_axes)
    lengths = values.shape[len(lead) :]

    def cut(corner: Corner, tile: Values) -> bool:
        sides = tile.shape[len(lead) :]
        part = values[(*lead, *(slice(start, start + side) for start, side in zip(corner, sides, strict=True)))]
        tile[tuple(slice(0, length) for length in part.shape)] = part
        extended(tile, [min(length, side) for length, side in zip(lengths, sides, strict=True)])
        return not shows_nothing(tile)

    return cut


def run_tiled(
    predict: Predict, values: NDArray[Any], tiling: Tiling, batch_size: int = 8
) -> Iterator[tuple[Box, Values]]:
    """Run a model over an array (..., *axes) in memory: each block and what is predicted there (out, *block)."""
    num_axes = len(tiling.lengths)
    if values.shape[values.ndim - num_axes :] != tiling.lengths:
        raise InputError(f"got an array of shape {values.shape}, want its last axes to be {tiling.lengths}")
    maker = BlockMaker(tiling, values.shape[: values.ndim - num_axes], predict, batch_size)
    cut = cut_from(values, num_axes)
    for block in tiling.blocks():
        yield block, maker.make(block, cut)
