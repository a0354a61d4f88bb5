"""Segments of a DICOM segmentation: numbers, names, and which frames are whose; runs in the worker."""

from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_colours import colour_of_segment
from mainstem.data.medical.dicom_header import Header

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

KINDS = ("BINARY", "FRACTIONAL", "LABELMAP")  # PS3.3 C.8.20.2


def read_segments(dataset: "FileDataset", header: Header) -> dict[str, Any]:
    """Segments by number, the segment of each frame (none of a label map's), and what a fraction of 1 is stored as.

    Raises:
        InputError: if the file is no segmentation, or a frame's segment is not told, or its fractions mean nothing.
    """
    if "SegmentSequence" not in dataset:
        raise InputError(f"{header.sop_class}: no segments; want a Segmentation")
    kind = tags.word(dataset, "SegmentationType", KINDS)
    if kind is None:
        raise InputError("a segmentation that is not binary, fractional or a label map; convert it")
    told = tags.by_number(dataset, "SegmentSequence", "SegmentNumber")
    segments = tags.names_by_number(dataset, "SegmentSequence", "SegmentNumber", "SegmentLabel")
    numbers = [] if kind == "LABELMAP" else _numbers(dataset, header.num_frames)
    unknown = sorted(set(numbers) - set(segments))
    if unknown:
        raise InputError(f"a frame of segment {unknown[0]}, which the file does not describe; it is damaged")
    one = tags.whole(dataset, "MaximumFractionalValue", 0) if kind == "FRACTIONAL" else 1
    if one < 1:
        raise InputError("fractions without the number that stands for a whole; ask for the file again")
    source = tags.item(dataset, "ReferencedSeriesSequence")
    return {
        "kind": kind,
        "names": segments,
        "colours": {number: colour_of_segment(one) for number, one in told.items()},
        "frames": numbers,
        "one": one,
        "patient": tags.patient_sha256(dataset),
        "series": [] if source is None else [tags.uid(source, "SeriesInstanceUID")],
    }


def _numbers(dataset: "FileDataset", num_frames: int) -> list[int]:
    shared = tags.item(dataset, "SharedFunctionalGroupsSequence")
    found = []
    for index in range(num_frames):
        own = tags.item(dataset, "PerFrameFunctionalGroupsSequence", index)
        named = [tags.item(group, "SegmentIdentificationSequence") for group in (own, shared) if group is not None]
        one = next((each for each in named if each is not None), None)
        if one is None:
            raise InputError("a frame whose segment is not told; the file is damaged")
        found.append(tags.whole(one, "ReferencedSegmentNumber"))
    return found
