"""Closed contours as the pixels whose centres lie inside, odd over even: kept as a box a slice, not as a volume."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.data.medical.dicom_geometry import Placement, normal_of
from mainstem.data.medical.dicom_series import Series

AT_ONCE = 1 << 22  # crossings of sides and rows that are held at a time
Points = NDArray[np.float64]


class Plane(NamedTuple):
    """Part of a slice: values (row, column) of bool or of shares, from row `top` and column `left` on."""

    top: int
    left: int
    values: NDArray[Any]

    @property
    def box(self) -> tuple[slice, slice]:
        """Where it lies in the slice."""
        rows, columns = self.values.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


Planes = Mapping[int, Plane]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """Sides of closed contours in pixels (x, y), the contours one after the other.

    Attributes:
        on: (side,) the slice that each lies on; -1 for none.
        begin: (side, 2)
        end: (side, 2)
        outside: contours that lie on no slice.
    """

    on: NDArray[np.intp]
    begin: Points
    end: Points
    outside: int


def sides_of(points: Points, lengths: Sequence[int], series: Series) -> Sides:
    """Sides of contours of so many points (point, 3) each, mm."""
    on, pixels = to_pixels(points, lengths, series)
    ends = np.cumsum(lengths, dtype=np.intp)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = ends - lengths
    return Sides(on=np.repeat(on, lengths), begin=pixels, end=pixels[following], outside=int((on < 0).sum()))


def to_pixels(points: Points, lengths: Sequence[int], series: Series) -> tuple[NDArray[np.intp], Points]:
    """The slice whose plane each contour lies in, -1 for none, and its points as (x, y) in pixels of that slice."""
    placement, spacing = series.placement, series.spacing_mm
    assert placement is not None
    assert spacing is not None
    if not len(points):
        return np.zeros(0, np.intp), np.zeros((0, 2))
    begins = np.cumsum([0, *lengths[:-1]])
    heights = (points - placement.positions[0]) @ normal_of(placement.orientation)
    distances = placement.distances_mm
    means = np.add.reduceat(heights, begins) / lengths
    on = np.searchsorted((distances[1:] + distances[:-1]) / 2, means)
    of_point = np.repeat(on, lengths)
    off = np.maximum.reduceat(np.abs(heights - distances[of_point]), begins)
    along, down = np.reshape(placement.orientation, (2, 3))
    from_corner = points - placement.positions[of_point]
    pixels = np.stack((from_corner @ along / spacing[1], from_corner @ down / spacing[0]), axis=1)
    return np.where(off > _half_gaps(placement)[on], -1, on), pixels


def _half_gaps(placement: Placement) -> NDArray[np.float64]:
    """Half of the smaller gap beside each slice, mm; of a single slice half a millimetre."""
    if not len(placement.gaps_mm):
        return np.array([0.5])
    gaps = np.concatenate(([np.inf], placement.gaps_mm, [np.inf]))
    return np.minimum(gaps[:-1], gaps[1:]) / 2


def num_crossings(sides: Sides, rows: int) -> int:
    """How many rows of pixels the sides cross, which is what filling costs."""
    return int(_rows_of(sides.begin[:, 1], sides.end[:, 1], rows)[1].sum())


def fill_contours(sides: Sides, rows: int, columns: int) -> dict[int, Plane]:
    """Pixels inside by slice; a slice without one is left out."""
    order = np.argsort(sides.on, kind="stable")
    slices, begins = np.unique(sides.on[order], return_index=True)
    planes = {}
    for index, mine in zip(slices.tolist(), np.split(order, begins)[1:], strict=True):
        if index >= 0 and (plane := fill(sides.begin[mine], sides.end[mine], rows, columns)) is not None:
            planes[index] = plane
    return planes


def fill(begin: Points, end: Points, rows: int, columns: int) -> Plane | None:
    """True at pixel centres inside of closed lines, whose sides these are in any order; None where there is none."""
    first, count = _rows_of(begin[:, 1], end[:, 1], rows)
    left, right = (int(np.clip(np.ceil(at), 0, columns)) for at in (begin[:, 0].min(), begin[:, 0].max()))
    if not count.any() or left == right:
        return None
    top, bottom = int(first[count > 0].min()), int((first + count).max())
    width = right - left + 1
    crossed = np.zeros((bottom - top) * width, bool)
    for some in _chunks(count):
        side = np.repeat(some, count[some])
        row = np.arange(len(side)) - np.repeat(np.cumsum(count[some]) - count[some], count[some]) + first[side]
        (x, y), (next_x, next_y) = begin[side].T, end[side].T
        at = x + (row - y) / (next_y - y) * (next_x - x)
        column = np.clip(np.ceil(at), left, right).astype(np.intp) - left
        crossed ^= np.bincount((row - top) * width + column, minlength=len(crossed)) % 2 == 1
    inside = np.logical_xor.accumulate(crossed.reshape(-1, width), axis=1)[:, :-1]
    return cropped(Plane(top, left, inside))


def _rows_of(y: Points, next_y: Points, rows: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first row that each side crosses, its lower end counted and its upper one not, and how many."""
    first, beyond = (
        np.clip(np.ceil(end), 0, rows).astype(np.intp) for end in (np.minimum(y, next_y), np.maximum(y, next_y))
    )
    return first, beyond - first


def _chunks(count: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    crossing = np.flatnonzero(count)
    total = np.cumsum(count[crossing])
    yield from np.split(crossing, np.searchsorted(total, np.arange(AT_ONCE, int(total[-1]), AT_ONCE)))


def cropped(plane: Plane) -> Plane | None:
    """The smallest box that holds all that is not 0; None where all is."""
    rows, columns = (np.flatnonzero(plane.values.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    inner = plane.values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Plane(plane.top + int(rows[0]), plane.left + int(columns[0]), inner.copy())


def merged(one: Plane, other: Plane) -> Plane:
    """Both, the larger of their values where they lie over one another."""
    top, left = min(one.top, other.top), min(one.left, other.left)
    bottom, right = (max(one.box[axis].stop, other.box[axis].stop) for axis in (0, 1))
    values = np.zeros((bottom - top, right - left), one.values.dtype)
    for each in (one, other):
        rows, columns = each.box
        inside = values[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        np.maximum(inside, each.values, out=inside)
    return Plane(top, left, values)
