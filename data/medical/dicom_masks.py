"""Contours and segmentations as masks on the grid of the series that they refer to, and masks back to contours.

Contours of an RTSTRUCT are filled at pixel centres, odd over even, so that rings and holes are as drawn. Frames of a
SEG have to lie on the series' own pixels; nothing is shifted to fit. Sources: PS3.3 C.8.8.6 and C.8.20.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_fill import Planes, Points, fill_contours, num_crossings, sides_of
from mainstem.data.medical.dicom_frames import Frames
from mainstem.data.medical.dicom_header import Header
from mainstem.data.medical.dicom_listing import ask_header
from mainstem.data.medical.dicom_process import Limits, worker
from mainstem.data.medical.dicom_series import Series

MOST_CROSSINGS = 200_000_000  # of contours' sides and rows of pixels in one file: some seconds
DRAWING = Limits(5.0, 1e6)  # 10,000 contours of a megabyte take two seconds to be read


class OtherSeriesError(InputError):
    """A file's masks are of another series, as it says itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """One structure on a series' grid.

    Attributes:
        number: of the region or segment in its file.
        name: as its author wrote it, but "structure" and its number where that holds the patient's name, or nothing.
        shape: (z, y, x) of the series.
        planes: of each slice that it lies on, the share of 0 to 1 that a voxel belongs to it; True of contours and
            of binary segmentations.
        outside: contours or frames that lie on no slice of the series.
        num_open: lines and points, which enclose nothing.
        colour: that its file recommends, as #rrggbb; "" of none.
    """

    number: int
    name: str
    shape: tuple[int, int, int]
    planes: Planes
    outside: int
    num_open: int = 0
    colour: str = ""

    @property
    def values(self) -> NDArray[np.float32]:
        """All of it as a volume (z, y, x)."""
        found = np.zeros(self.shape, np.float32)
        for index, plane in self.planes.items():
            found[index][plane.box] = plane.values
        return found


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A structure of a file that is not read, and why."""

    name: str
    reason: str


def read_masks(path: Path, series: Series) -> tuple[Structure, ...]:
    """Masks of an RTSTRUCT or a SEG on the grid of a series.

    Raises:
        InputError: if the file is neither, is not of this series and patient, or one of its structures or its grid
            does not fit.
    """
    found = []
    for one in each_mask(Place(path=path, name=path.name), series):
        if isinstance(one, Lost):
            raise InputError(f"{path.name}: {one.name}: {one.reason}")
        found.append(one)
    return tuple(found)


def each_mask(place: Place, series: Series) -> Iterator[Structure | Lost]:
    """Give masks as `read_masks` does, one at a time, and those that are lost alone.

    Raises:
        InputError: as there, but of a single structure.
    """
    if series.placement is None or series.spacing_mm is None or series.placement.num_repeated:
        raise InputError("masks need a series of known places and spacing, one slice a place; give one of its parts()")
    try:
        told, points = worker().answer("contours", place, {}, limits=DRAWING)
    except InputError as error:
        if "no contours" not in str(error):
            raise
        yield from _segments(place, series)
        return
    _check_belongs(told, series, place)
    assert points is not None
    yield from _regions(told["regions"], points, series, place)


def _check_belongs(told: dict[str, Any], series: Series, place: Place) -> None:
    """Refuse masks of another series, patient or frame of reference, and those that name no place at all.

    Raises:
        InputError: naming which; `OtherSeriesError` where they name another series.
    """
    first = series.slices[0]
    frame, frames = first.header.frame_of_reference, [one for one in told["frames_of_reference"] if one]
    is_named = series.uid in told["series"] if series.uid else False
    if told["series"] and not is_named:
        raise OtherSeriesError(f"{place.name}: was drawn on another series; give that one")
    if told["patient"] != ask_header(first.place).patient:
        raise InputError(f"{place.name}: names another patient than the series (number, name, date of birth)")
    if frame and frames and frame not in frames:
        raise InputError(f"{place.name}: lies in another frame of reference than the series; give the series it is of")
    if not is_named and frame not in frames:
        raise InputError(
            f"{place.name}: names neither the series nor its frame of reference, so that its place is open"
        )


def _shape(series: Series) -> tuple[int, int, int]:
    return len(series), series.rows, series.columns


def _regions(regions: list[Any], points: Points, series: Series, place: Place) -> Iterator[Structure | Lost]:
    begin, crossings = 0, 0
    for region in regions:
        lengths = region["lengths"]
        sides = sides_of(points[begin : begin + sum(lengths)], lengths, series)
        begin += sum(lengths)
        crossings += num_crossings(sides, series.rows)
        if crossings > MOST_CROSSINGS:
            raise InputError(f"{place.name}: its contours cross over {MOST_CROSSINGS} rows of pixels; it is refused")
        if reason := _reason(region, series):
            yield Lost(name=region["name"], reason=reason)
            continue
        yield Structure(
            number=region["number"], name=region["name"], shape=_shape(series), outside=sides.outside,
            planes=fill_contours(sides, series.rows, series.columns), num_open=region["open"],
            colour=region["colour"],
        )  # fmt: skip


def _reason(region: dict[str, Any], series: Series) -> str:
    """Why a region is not read; "" where it is."""
    own, frame = region["frame_of_reference"], series.slices[0].header.frame_of_reference
    if region["damaged"]:
        return f"{region['damaged']} of its contours are no list of three or more points in mm; it is not read"
    return "lies in another frame of reference than the series" if own and frame and own != frame else ""


def _segments(place: Place, series: Series) -> Iterator[Structure]:
    told, _ = worker().answer("segments", place, {}, limits=DRAWING)
    header, segments = Header.of(told["header"]), told["segments"]
    _check_belongs(segments | {"frames_of_reference": [header.frame_of_reference]}, series, place)
    frames = Frames(place, header, segments, series)
    for number, name in sorted((int(number), name) for number, name in segments["names"].items()):
        planes, outside = frames.of(number)
        yield Structure(
            number=number, name=name, shape=_shape(series), planes=planes, outside=outside,
            colour=segments["colours"][str(number)],
        )  # fmt: skip


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
