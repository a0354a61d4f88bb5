"""Contours of an RT structure set: names and points in patient LPS mm; runs in the worker."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_values as tags

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

MOST_POINTS = 20_000_000


def read_contours(dataset: "FileDataset") -> tuple[dict[str, Any], NDArray[np.float64]]:
    """What the regions are, and the points (point, 3) of all contours one after the other.

    Raises:
        InputError: if the file is no structure set, or a contour is no list of points.
    """
    kind = tags.class_name(tags.uid(dataset, "SOPClassUID"))
    if "ROIContourSequence" not in dataset:
        raise InputError(f"{kind}: no contours; want an RT Structure Set")
    names = {
        tags.whole(one, "ROINumber"): str(tags.value(one, "ROIName") or "")
        for one in tags.value(dataset, "StructureSetROISequence") or ()
    }
    regions: list[dict[str, Any]] = []
    points: list[NDArray[np.float64]] = []
    for one in tags.value(dataset, "ROIContourSequence") or ():
        number = tags.whole(one, "ReferencedROINumber")
        found = [_points(contour) for contour in tags.value(one, "ContourSequence") or ()]
        kept = [contour for contour in found if contour is not None]
        lengths = [len(contour) for contour in kept]
        regions.append(
            {"number": number, "name": names.get(number, ""), "lengths": lengths, "open": len(found) - len(kept)}
        )
        points += kept
    if sum(map(len, points)) > MOST_POINTS:
        raise InputError(f"more than {MOST_POINTS} points of contours; split the structure set")
    told = {"regions": regions, "series": _series(dataset), "frame_of_reference": _frame(dataset)}
    return told, np.concatenate(points) if points else np.empty((0, 3))


def _points(contour: Any) -> NDArray[np.float64] | None:  # noqa: ANN401 - a dataset
    """Points (point, 3) of a closed planar contour; None for points and open lines, which enclose nothing."""
    told = tags.numbers(contour, "ContourData")
    if tags.word(contour, "ContourGeometricType", ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")) is None:
        return None
    if told is None or len(told) % 3 or len(told) < 9:
        raise InputError("a contour that is no list of three or more points; the file is damaged")
    return np.reshape(np.asarray(told, np.float64), (-1, 3))


def _series(dataset: "FileDataset") -> list[str]:
    """UIDs of the series that the contours were drawn on."""
    found = []
    for frame in tags.value(dataset, "ReferencedFrameOfReferenceSequence") or ():
        for study in tags.value(frame, "RTReferencedStudySequence") or ():
            for series in tags.value(study, "RTReferencedSeriesSequence") or ():
                found.append(tags.uid(series, "SeriesInstanceUID"))
    return found


def _frame(dataset: "FileDataset") -> str:
    one = tags.item(dataset, "ReferencedFrameOfReferenceSequence")
    return "" if one is None else tags.uid(one, "FrameOfReferenceUID")
