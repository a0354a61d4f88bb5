"""Tiles over any number of axes: how an array is cut into blocks and overlapping tiles, and how these are blended.

A raster (y, x), a volume (z, y, x) and a long series (t,) are cut alike. A block's value depends on nothing but the
tiles of one fixed grid that touch it, added in one fixed order and run in the same batches; so who makes which block,
and in what order, changes no bit of it. Blocks of another size batch tiles otherwise, which a model's products may
round otherwise. Tiles at a block's edge are computed for both sides.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mainstem.core.errors import InputError

Values = NDArray[np.float32]
Box = tuple[slice, ...]  # a span an axis
Corner = tuple[int, ...]  # where a tile starts, an axis
Line = tuple[Corner, ...]


def starts(length: int, tile: int, step: int, span: slice | None = None) -> list[int]:
    """Where tiles, of those that touch a span, begin along one axis.

    They lie `step` apart, the last one moved back to end with the array.
    """
    if length <= tile:
        return [0]
    span = slice(0, length) if span is None else span
    last = math.ceil((length - tile) / step)
    near = range(max((span.start - tile) // step, 0), min((span.stop - 1) // step, last) + 1)
    every = [min(index * step, length - tile) for index in sorted({*near, last})]
    return [start for start in every if start < span.stop and start + tile > span.start]


def weights_of(tile: Sequence[int], overlap: Sequence[int]) -> NDArray[np.float64]:
    """Weights (*tile) that fall linearly over the overlaps; divided by their sum they are a partition of unity."""
    sides = []
    for length, shared in zip(tile, overlap, strict=True):
        ramp = (np.arange(length) + 0.5) / max(shared, 1)
        sides.append(np.minimum(np.minimum(ramp, ramp[::-1]), 1.0))
    return reduce(np.multiply.outer, sides)


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How an array is cut; every tuple has an entry an axis.

    Attributes:
        lengths: of the array.
        tile: length of what the model sees at once; a shorter array is extended by its edge.
        overlap: what neighbouring tiles share; their predictions are blended there.
        block: length of a block, which is finished by itself.

    Raises:
        InputError: if an overlap is no shorter than its tile, or the axes differ in number.
    """

    lengths: tuple[int, ...]
    tile: tuple[int, ...]
    overlap: tuple[int, ...]
    block: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.lengths) == len(self.tile) == len(self.overlap) == len(self.block) > 0:
            raise InputError(f"got {self}, want one entry an axis in each; give as many")
        if min(self.lengths + self.tile + self.block) < 1:
            raise InputError(f"got {self}, want lengths of 1 at least")
        if not all(0 <= shared < tile for shared, tile in zip(self.overlap, self.tile, strict=True)):
            raise InputError(f"got tiles {self.tile} with overlaps {self.overlap}, want 0 <= overlap < tile")

    def blocks(self) -> list[Box]:
        """Every block, the last axis fastest."""
        spans = [
            [slice(start, min(start + block, length)) for start in range(0, length, block)]
            for length, block in zip(self.lengths, self.block, strict=True)
        ]
        return list(itertools.product(*spans))

    def touching(self, block: Box) -> list[list[int]]:
        """Where the tiles that touch a block begin along each axis."""
        axes = zip(self.lengths, self.tile, self.overlap, block, strict=True)
        return [starts(length, tile, tile - shared, span) for length, tile, shared, span in axes]

    def lines(self, block: Box) -> list[Line]:
        """The tiles that touch a block, by where they begin along the last axis; along a single axis all together."""
        *others, near = self.touching(block)
        if not others:
            return [tuple((start,) for start in near)]
        return [tuple((*lead, start) for lead in itertools.product(*others)) for start in near]

    def reach(self, line: Line) -> Box:
        """What the tiles of a line cover of the array."""
        axes = zip(line[0], line[-1], self.tile, self.lengths, strict=True)
        return tuple(slice(first, min(last + tile, length)) for first, last, tile, length in axes)


@dataclass(frozen=True)
class _Span:
    """Where one tile lies along one axis of a block: from first to last, and from `begin` to `end` it lies alone."""

    first: int
    begin: int
    end: int
    last: int


def _spans(near: Sequence[int], tile: int, block: slice) -> dict[int, _Span]:
    """The spans of the tiles that touch a block along one axis, by their starts."""
    found = {}
    for before, start, after in zip([None, *near], near, [*near[1:], None], strict=False):
        first, last = max(start, block.start), min(start + tile, block.stop)
        begin = first if before is None else min(max(before + tile, first), last)
        end = last if after is None else max(min(after, last), begin)
        found[start] = _Span(first, begin, end, last)
    return found


def _rims(spans: Sequence[_Span]) -> Iterator[Box]:
    """What a tile shares with others, as boxes that do not meet: along the first axis whole, then within what is left.

    Together with the core, where it lies alone along every axis, they make up the tile.
    """
    whole = [slice(span.first, span.last) for span in spans]
    inner = [slice(span.begin, span.end) for span in spans]
    for axis, span in enumerate(spans):
        for side in (slice(span.first, span.begin), slice(span.end, span.last)):
            if side.start < side.stop:
                yield (*inner[:axis], side, *whole[axis + 1 :])


def _within(box: Box, origin: Sequence[int]) -> tuple[slice, ...]:
    """A box counted from an origin, in an array (out, *axes)."""
    return slice(None), *(slice(side.start - o, side.stop - o) for side, o in zip(box, origin, strict=True))


class Room:
    """Memory that one array after another takes: to ask for it anew takes longer than to compute what lies in it."""

    def __init__(self) -> None:
        self.kept = np.empty(0, np.uint8)

    def array(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array of any contents; the one that was given before is gone."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self.kept.size < size:
            self.kept = np.empty(size, np.uint8)
        return self.kept[:size].view(dtype).reshape(shape)


class Blender:
    """Blends the predictions of overlapping tiles: their sum, each by its weight, divided by the weights' sum.

    Where a tile lies alone, what it says is taken as it is: weighing it and dividing by the same weight would change no
    float32. A cell whose values are not finite in all outputs counts for nothing.
    """

    def __init__(self, tiling: Tiling) -> None:
        self.tiling, self.weights = tiling, weights_of(tiling.tile, tiling.overlap)[None]
        self.sums, self.sums_of_weights = Room(), Room()

    def blend(self, block: Box, predicted: Mapping[Corner, NDArray[Any]], room: Room) -> Values:
        """One block (out, *block) of its tiles' predictions (out, *tile); NaN where nothing was predicted.

        It is blended a step of the first axis at a time, so that the sums are small.
        """
        num_out, first = len(next(iter(predicted.values()))), block[0]
        values: Values = room.array((num_out, *(side.stop - side.start for side in block)), np.float32)
        step = self.tiling.tile[0] - self.tiling.overlap[0]
        for start in range(first.start, first.stop, step):
            part = slice(start, min(start + step, first.stop))
            self._blend((part, *block[1:]), predicted, values[:, start - first.start : part.stop - first.start])
        return values

    def _blend(self, box: Box, predicted: Mapping[Corner, NDArray[Any]], values: Values) -> None:
        near, origin = self.tiling.touching(box), [side.start for side in box]
        spans = [_spans(*axis) for axis in zip(near, self.tiling.tile, box, strict=True)]
        corners = [corner for corner in itertools.product(*near) if corner in predicted]
        if len(corners) < math.prod(map(len, near)):
            values.fill(np.nan)
        if not all(np.can_cast(predicted[corner].dtype, np.float32) for corner in corners):  # then it is summed
            spans = [{at: _Span(s.first, s.last, s.last, s.last) for at, s in each.items()} for each in spans]
        total = self.sums.array(values.shape, np.float64)
        weight = self.sums_of_weights.array((1, *values.shape[1:]), np.float64)
        shared = list(_shared(spans, origin))
        for here in shared:
            total[here], weight[here] = 0.0, 0.0
        for corner in corners:
            tile = [each[start] for each, start in zip(spans, corner, strict=True)]
            core = tuple(slice(span.begin, span.end) for span in tile)
            _take(predicted[corner][_within(core, corner)], values[_within(core, origin)])
            for rim in _rims(tile):
                here, there = _within(rim, origin), _within(rim, corner)
                _sum(predicted[corner][there], self.weights[there], total[here], weight[here])
        for here in shared:
            values[here] = total[here] / np.where(weight[here] == 0, np.nan, weight[here])


def _shared(spans: Sequence[Mapping[int, _Span]], origin: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Slabs of a block that several tiles share: along an axis, where a tile begins and the one before goes on."""
    for axis, (each, first) in enumerate(zip(spans, origin, strict=True)):
        for span in each.values():
            if span.first < span.begin:
                yield (*(slice(None),) * (1 + axis), slice(span.first - first, span.begin - first))


def _take(part: NDArray[Any], into: Values) -> None:
    """Write what one tile says; as a sum would, this makes zero of what is minus zero."""
    np.add(part, np.float32(0), out=into)
    finite = np.isfinite(part)
    if not finite.all():
        into[:, ~finite.all(0)] = np.nan


def _sum(
    part: NDArray[Any], weights: NDArray[np.float64], total: NDArray[np.float64], weight: NDArray[np.float64]
) -> None:
    """Add what one tile says, and its weight, where it is finite."""
    finite = np.isfinite(part)
    if not finite.all():
        is_whole = finite.all(0, keepdims=True)
        part, weights = np.where(is_whole, part, 0.0), np.where(is_whole, weights, 0.0)
    total += weights * part
    weight += weights
