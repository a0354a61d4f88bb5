"""Frames of a segmentation on the pixels of a series: each decoded once, and put where it lies."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_fill import Plane, cropped, merged, to_pixels
from mainstem.data.medical.dicom_header import Header
from mainstem.data.medical.dicom_process import worker
from mainstem.data.medical.dicom_series import Series

OFF_GRID = 0.01  # of a pixel or of a gap: what a frame may lie off the series' own
MOST_LABEL_MAP = 1 << 30  # pixels of a label map, whose frames are held for all of its segments
Stored = NDArray[Any]


class Frames:
    """Frames of one file, by segment."""

    def __init__(self, place: Place, header: Header, segments: Mapping[str, Any], series: Series) -> None:
        self.place, self.header, self.segments, self.series = place, header, segments, series
        self.label_map: dict[int, tuple[Stored, frozenset[int]]] | None = None

    def of(self, number: int) -> tuple[dict[int, Plane], int]:
        """What a segment holds by slice, and how many of its frames lie on none.

        Raises:
            InputError: if a frame cannot be decoded, or does not lie on the series' own pixels.
        """
        planes: dict[int, Plane] = {}
        outside = 0
        for index, share in self._shares(number):
            at = self._at(index)
            if at is None:
                outside += 1
            elif (plane := _within(at, share, self.series)) is not None:
                planes[at[0]] = merged(planes[at[0]], plane) if at[0] in planes else plane
        return planes, outside

    def _shares(self, number: int) -> Iterator[tuple[int, Stored]]:
        """Frames of a segment by index, as shares of 0 to 1 or as bool."""
        kind, one = self.segments["kind"], self.segments["one"]
        if kind == "LABELMAP":
            held = self._held()
            yield from ((index, stored == number) for index, (stored, known) in held.items() if number in known)
            return
        for index in (index for index, own in enumerate(self.segments["frames"]) if own == number):
            stored = self._stored(index)
            if kind == "BINARY":
                yield index, stored != 0
                continue
            if stored.max(initial=0) > one:
                raise InputError(f"{self.place.name}: a fraction above the file's own maximum of {one}; it is damaged")
            yield index, (stored / one).astype(np.float32)

    def _held(self) -> dict[int, tuple[Stored, frozenset[int]]]:
        """A label map's frames, and the numbers in each."""
        header = self.header
        if header.rows * header.columns * header.num_frames > MOST_LABEL_MAP:
            raise InputError(f"{self.place.name}: a label map of over {MOST_LABEL_MAP} pixels; it is refused")
        if self.label_map is None:
            stored = map(self._stored, range(header.num_frames))
            self.label_map = {index: (one, frozenset(np.unique(one).tolist())) for index, one in enumerate(stored)}
        return self.label_map

    def _stored(self, index: int) -> Stored:
        asked = {"index": index, "sop_uid": self.header.sop_uid}
        _, stored = worker().answer("stored", self.place, asked, self.header.rows * self.header.columns)
        assert stored is not None
        return stored

    def _at(self, index: int) -> tuple[int, int, int] | None:
        """Slice, row and column of a frame's first pixel; None where that is no slice of the series.

        Raises:
            InputError: if its pixels are not the series' own.
        """
        picture, placement, spacing = self.header.pictures[index], self.series.placement, self.series.spacing_mm
        assert placement is not None
        assert spacing is not None
        if picture.orientation is None or picture.spacing_mm is None or picture.position is None:
            raise InputError(f"{self.place.name}: a frame of the segmentation whose place or spacing is not known")
        is_same = np.allclose(picture.orientation, placement.orientation, atol=1e-4)
        if not is_same or not np.allclose(picture.spacing_mm, spacing, rtol=1e-4):
            raise InputError(f"{self.place.name}: lies on another grid than the series; resample it there")
        (on,), (corner,) = to_pixels(np.asarray([picture.position], np.float64), [1], self.series)
        if on < 0:
            return None
        left, top = np.rint(corner).astype(int).tolist()
        if np.abs(corner - (left, top)).max() > OFF_GRID:
            raise InputError(f"{self.place.name}: its pixels lie between those of the series; resample it there")
        return int(on), top, left


def _within(at: tuple[int, int, int], share: Stored, series: Series) -> Plane | None:
    """What of a frame lies within the slice, and is not 0."""
    _, top, left = at
    rows, columns = max(0, -top), max(0, -left)
    inner = share[rows : max(0, series.rows - top), columns : max(0, series.columns - left)]
    return cropped(Plane(top + rows, left + columns, inner)) if inner.size else None
