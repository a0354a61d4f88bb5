"""Contours of an RT structure set: names and points in patient LPS mm; runs in the worker."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_colours import colour_of_region

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

MOST_POINTS = 5_000_000  # of one file; 100 organs of the whole body have a million
FARTHEST_MM = 1e5
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
Points = NDArray[np.float64]


def read_contours(dataset: "FileDataset") -> tuple[dict[str, Any], Points]:
    """What the regions are, and the points (point, 3) of all closed contours one after the other.

    Raises:
        InputError: if the file is no structure set, or two regions have one number.
    """
    kind = tags.class_name(tags.uid(dataset, "SOPClassUID"))
    if "ROIContourSequence" not in dataset:
        raise InputError(f"{kind}: no contours; want an RT Structure Set")
    names = tags.names_by_number(dataset, "StructureSetROISequence", "ROINumber", "ROIName")
    frames = {
        tags.whole(one, "ROINumber"): tags.uid(one, "ReferencedFrameOfReferenceUID")
        for one in tags.value(dataset, "StructureSetROISequence") or ()
    }
    drawn = tags.by_number(dataset, "ROIContourSequence", "ReferencedROINumber")
    regions: list[dict[str, Any]] = []
    points: list[Points] = []
    for number, one in drawn.items():
        region, found = _region(one)
        name = names.get(number, tags.numbered(number))
        regions.append(region | {"number": number, "name": name, "frame_of_reference": frames.get(number, "")})
        points += found
    if sum(map(len, points)) > MOST_POINTS:
        raise InputError(f"more than {MOST_POINTS} points of contours; split the structure set")
    told = {"regions": regions, "patient": tags.patient_sha256(dataset), **_drawn_on(dataset)}
    return told, np.concatenate(points) if points else np.empty((0, 3))


def _region(one: "Dataset") -> tuple[dict[str, Any], list[Points]]:
    """How many points each closed contour of a region has, and how many are open or damaged; and the points."""
    contours = tags.value(one, "ContourSequence") or ()
    closed = [contour for contour in contours if tags.word(contour, "ContourGeometricType", CLOSED) is not None]
    found = [_points(contour) for contour in closed]
    sound = [points for points in found if points is not None]
    damaged = len(found) - len(sound)
    kept = [] if damaged else sound
    told: dict[str, Any] = {
        "lengths": [len(points) for points in kept],
        "open": len(contours) - len(closed),
        "damaged": damaged,
    }
    told["colour"] = colour_of_region(one)
    return told, kept


def _points(contour: "Dataset") -> Points | None:
    """Points (point, 3) of a contour; None where it is no list of three or more that a patient may have."""
    raw = contour.get_item("ContourData")
    try:
        told = np.array(raw.value.split(b"\\")).astype(np.float64)  # pydicom takes 100 times as long for one number
    except (AttributeError, TypeError, ValueError):
        return None
    if len(told) % 3 or len(told) < 9 or not (np.abs(told) < FARTHEST_MM).all():
        return None
    return told.reshape(-1, 3)


def _drawn_on(dataset: "FileDataset") -> dict[str, list[str]]:
    """UIDs of the series and of the frames of reference that the contours were drawn on."""
    found: dict[str, list[str]] = {"series": [], "frames_of_reference": []}
    for frame in tags.value(dataset, "ReferencedFrameOfReferenceSequence") or ():
        found["frames_of_reference"].append(tags.uid(frame, "FrameOfReferenceUID"))
        for study in tags.value(frame, "RTReferencedStudySequence") or ():
            for series in tags.value(study, "RTReferencedSeriesSequence") or ():
                found["series"].append(tags.uid(series, "SeriesInstanceUID"))
    return found
