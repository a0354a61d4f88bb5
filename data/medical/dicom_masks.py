"""Contours and segmentations as masks on the grid of the series that they refer to, and masks back to contours.

Contours of an RTSTRUCT are filled at pixel centres, odd over even, so that rings and holes are as drawn. Frames of a
SEG have to lie on the series' own pixels; nothing is shifted to fit. Sources: PS3.3 C.8.8.6 and C.8.20.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_geometry import Placement, normal_of
from mainstem.data.medical.dicom_header import Header
from mainstem.data.medical.dicom_process import worker
from mainstem.data.medical.dicom_series import Series

OFF_GRID = 0.01  # of a pixel or of a gap: what a frame may lie off the series' own
OTHER_SERIES = "was drawn on another series; give that one"
Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """One structure on a series' grid.

    Attributes:
        number: of the region or segment in its file.
        name: as its author wrote it; a name of a structure, but free text.
        values: (z, y, x) share of 0 to 1 that the voxel belongs to it; 0 or 1 of contours and binary segmentations.
        outside: contours or frames that lie on no slice of the series.
    """

    number: int
    name: str
    values: NDArray[np.float32]
    outside: int


def read_masks(path: Path, series: Series) -> tuple[Structure, ...]:
    """Masks of an RTSTRUCT or a SEG on the grid of a series.

    Raises:
        InputError: if the file is neither, refers to another series, or the series or its grid does not fit.
    """
    return tuple(each_mask(Place(path=path, name=path.name), series))


def each_mask(place: Place, series: Series) -> Iterator[Structure]:
    """Give masks as `read_masks` does, those of contours one at a time: each is as large as the series.

    Raises:
        InputError: as there.
    """
    if series.placement is None or series.spacing_mm is None or series.placement.num_repeated:
        raise InputError("masks need a series of known places and spacing, one slice a place; give one of its parts()")
    try:
        told, points = worker().ask("contours", place, {})
    except InputError as error:
        if "no contours" not in str(error):
            raise
        yield from _segments(place, series)
        return
    _check_reference(told["series"], series, place.name)
    assert points is not None
    yield from _regions(told["regions"], points, series)


def _check_reference(named: Sequence[str], series: Series, file: str) -> None:
    if named and series.uid not in named:
        raise InputError(f"{file} {OTHER_SERIES}")


def _regions(regions: Sequence[dict[str, object]], points: Points, series: Series) -> Iterator[Structure]:
    begin = 0
    for region in regions:
        lengths = region["lengths"]
        assert isinstance(lengths, list)
        contours = np.split(points[begin : begin + sum(lengths)], np.cumsum(lengths)[:-1]) if lengths else []
        begin += sum(lengths)
        values, outside = fill_contours(contours, series)
        yield Structure(number=int(str(region["number"])), name=str(region["name"]), values=values, outside=outside)


def fill_contours(contours: Sequence[Points], series: Series) -> tuple[NDArray[np.float32], int]:
    """Closed contours (point, 3) in mm as a mask (z, y, x), and how many lie on no slice."""
    assert series.placement is not None
    values = np.zeros((len(series), series.rows, series.columns), bool)
    outside = 0
    for contour in contours:
        index, pixels = to_pixels(contour, series)
        if index is None:
            outside += 1
        else:
            values[index] ^= fill_polygon(pixels, series.rows, series.columns)
    return values.astype(np.float32), outside


def to_pixels(contour: Points, series: Series) -> tuple[int | None, Points]:
    """The slice whose plane a contour lies in, None for none, and its points as (x, y) in pixels of that slice."""
    placement, spacing = series.placement, series.spacing_mm
    assert placement is not None
    assert spacing is not None
    normal = normal_of(placement.orientation)
    heights = (contour - placement.positions[0]) @ normal
    index = int(np.abs(placement.distances_mm - heights.mean()).argmin())
    if np.abs(heights - placement.distances_mm[index]).max() > _half_gap(placement, index):
        return None, np.empty((0, 2))
    along, down = np.reshape(placement.orientation, (2, 3))
    from_corner = contour - placement.positions[index]
    return index, np.stack((from_corner @ along / spacing[1], from_corner @ down / spacing[0]), axis=1)


def _half_gap(placement: Placement, index: int) -> float:
    """Half of the smaller gap beside a slice, mm; of a single slice half a millimetre."""
    gaps = placement.gaps_mm
    beside = gaps[max(0, index - 1) : index + 1]
    return float(beside.min()) / 2 if len(beside) else 0.5


def fill_polygon(points: Points, rows: int, columns: int) -> NDArray[np.bool_]:
    """True at pixel centres (row, column) inside a closed polygon of (x, y), odd over even."""
    x, y = points.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    crossed = np.zeros((rows, columns + 1), np.int32)
    for row in range(max(0, int(np.ceil(y.min()))), min(rows, int(np.floor(y.max())) + 1)):
        cuts = (y <= row) != (next_y <= row)
        at = x[cuts] + (row - y[cuts]) / (next_y[cuts] - y[cuts]) * (next_x[cuts] - x[cuts])
        np.add.at(crossed[row], np.clip(np.ceil(at), 0, columns).astype(np.intp), 1)
    filled: NDArray[np.bool_] = np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1
    return filled


def trace(mask: NDArray[np.bool_]) -> list[Points]:
    """Closed contours of (x, y) halfway between the pixels inside a mask (row, column) and those outside.

    Pixels that touch at a corner alone are apart; holes have contours of their own, the other way round.
    """
    inside = np.pad(mask.astype(bool), 1)
    following = dict(_edges(inside))
    contours = []
    while following:
        first, at = next(iter(following.items()))
        loop = [first]
        while at != first:
            loop.append(at)
            at = following.pop(at)
        following.pop(first)
        contours.append(np.asarray(loop, np.float64) / 2 - 1)
    return contours


def _edges(inside: NDArray[np.bool_]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Steps from one half-pixel point to the next, in twice the padded pixel's (x, y), the inside on the right."""
    squares = inside[:-1, :-1] * 1 + inside[:-1, 1:] * 2 + inside[1:, 1:] * 4 + inside[1:, :-1] * 8
    for y, x in np.argwhere((squares > 0) & (squares < 15)).tolist():
        top, right, bottom, left = (
            (2 * x + 1, 2 * y),
            (2 * x + 2, 2 * y + 1),
            (2 * x + 1, 2 * y + 2),
            (2 * x, 2 * y + 1),
        )
        sides = (top, right, bottom, left)
        for begin, end in STEPS[int(squares[y, x])]:
            yield sides[begin], sides[end]


# of each square of four pixels (upper left 1, upper right 2, lower right 4, lower left 8) the steps between its sides
STEPS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 5: ((3, 0), (1, 2)), 6: ((0, 2),), 7: ((3, 2),),
    8: ((2, 3),), 9: ((2, 0),), 10: ((0, 1), (2, 3)), 11: ((2, 1),), 12: ((1, 3),), 13: ((1, 0),), 14: ((0, 3),),
}  # fmt: skip


def _segments(place: Place, series: Series) -> tuple[Structure, ...]:
    told, _ = worker().ask("segments", place, {})
    header, segments = Header.of(told["header"]), told["segments"]
    _check_reference(segments["series"], series, place.name)
    if header.frame_of_reference != series.slices[0].header.frame_of_reference:
        raise InputError(f"{place.name} lies in another frame of reference than the series; give the series it is of")
    shape = (len(series), series.rows, series.columns)
    values = {int(number): np.zeros(shape, np.float32) for number in segments["names"]}
    outside = dict.fromkeys(values, 0)
    for index, number in enumerate(segments["frames"]):
        _, stored = worker().ask(
            "stored", place, {"index": index, "sop_uid": header.sop_uid}, header.rows * header.columns
        )
        assert stored is not None
        for own in values if number == 0 else (number,):
            share = (stored == own) if number == 0 else stored / segments["one"]
            if not _paste(values[own], np.asarray(share, np.float32), header, index, series):
                outside[own] += 1
    names = segments["names"]
    return tuple(
        Structure(number=number, name=names[str(number)], values=found, outside=outside[number])
        for number, found in sorted(values.items())
    )


def _paste(values: NDArray[np.float32], frame: NDArray[np.float32], header: Header, index: int, series: Series) -> bool:
    """Put a frame into the mask where it lies; False where that is no slice of the series.

    Raises:
        InputError: if its pixels are not the series' own.
    """
    picture, placement = header.pictures[index], series.placement
    assert placement is not None
    assert series.spacing_mm is not None
    own = (picture.orientation, picture.spacing_mm, picture.position)
    if own[0] is None or own[1] is None or own[2] is None:
        raise InputError("a frame of the segmentation whose place or spacing is not known")
    is_same = np.allclose(own[0], placement.orientation, atol=1e-4)
    if not is_same or not np.allclose(own[1], series.spacing_mm, rtol=1e-4):
        raise InputError("the segmentation lies on another grid than the series; resample it there")
    slice_, corner = to_pixels(np.asarray(own[2], np.float64)[None], series)
    if slice_ is None:
        return False
    left, top = np.rint(corner[0]).astype(int).tolist()
    if np.abs(corner[0] - (left, top)).max() > OFF_GRID:
        raise InputError("the segmentation's pixels lie between those of the series; resample it there")
    rows = slice(max(0, top), min(series.rows, top + header.rows))
    columns = slice(max(0, left), min(series.columns, left + header.columns))
    inner = frame[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    values[slice_, rows, columns] = np.maximum(values[slice_, rows, columns], inner)
    return True
