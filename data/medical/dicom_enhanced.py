"""Places, spacing, rescale and windows of enhanced multi-frame files, from their functional groups; runs in the worker.

Per-frame groups go before shared ones (PS3.3 C.7.6.16). pydicom's own rescale reads the top of the file alone.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_header import Header, Picture, Window
from mainstem.data.medical.dicom_spacing import spacing_of
from mainstem.data.medical.dicom_windows import read_windows

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

KINDS = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence", "XRay3DFrameTypeSequence")
NO_GROUPS = "no place of its own for every frame"


def frame_pictures(dataset: "Dataset", header: Header, whole: Picture) -> tuple[list[Picture], tuple[str, ...]]:
    """One picture a frame, and what is to be said of them.

    Raises:
        InputError: if there are not as many groups as frames.
    """
    from pydicom.dataset import Dataset

    shared = tags.item(dataset, "SharedFunctionalGroupsSequence")
    groups = tags.value(dataset, "PerFrameFunctionalGroupsSequence")
    num_frames = header.num_frames
    if groups is None:
        groups = [None] * num_frames
    if len(groups) != num_frames:
        raise InputError(f"{len(groups)} functional groups for {num_frames} frames; ask for the file again")
    found, flags = [], dict[str, None]()
    for index, own in enumerate(groups):
        group = _Group(own, shared)
        measures = group.macro("PixelMeasuresSequence") or Dataset()
        spacing, said = spacing_of(dataset, header.modality, header.sop_class, measures)
        found.append(_picture(group, index, replace(whole, spacing_mm=spacing)))
        flags |= dict.fromkeys(said)
    if num_frames > 1 and any(picture.position is None for picture in found):
        flags[NO_GROUPS] = None
    return found, tuple(flags)


class _Group:
    """A frame's own functional groups before those of all frames."""

    def __init__(self, own: "Dataset | None", shared: "Dataset | None") -> None:
        self.groups = [group for group in (own, shared) if group is not None]

    def macro(self, name: str) -> "Dataset | None":
        """The first item of a macro's sequence."""
        found = (tags.item(group, name) for group in self.groups)
        return next((one for one in found if one is not None), None)

    def numbers(self, macro: str, keyword: str, count: int) -> tuple[float, ...] | None:
        """Numbers of a macro."""
        return tags.numbers(self.macro(macro), keyword, count)


def _picture(group: _Group, index: int, whole: Picture) -> Picture:
    position = group.numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = group.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    rescale = group.macro("PixelValueTransformationSequence")
    slope, intercept = tags.number(rescale, "RescaleSlope"), tags.number(rescale, "RescaleIntercept")
    if (slope is None) != (intercept is None) or slope == 0:
        raise InputError("a rescale slope or intercept alone, or a slope of 0; the values cannot be known")
    return replace(
        whole,
        frame=index,
        position=position,
        orientation=orientation,
        thickness_mm=tags.number(group.macro("PixelMeasuresSequence"), "SliceThickness"),
        slope=whole.slope if slope is None else slope,
        intercept=whole.intercept if intercept is None else intercept,
        rescale_type=None if rescale is None else tags.word(rescale, "RescaleType", tags.RESCALE_TYPES),
        windows=_windows(group) or whole.windows,
        part=_part(group),
    )


def _windows(group: _Group) -> tuple[Window, ...]:
    macro = group.macro("FrameVOILUTSequence")
    return () if macro is None else read_windows(macro)


def _part(group: _Group) -> tuple[str, ...]:
    """What tells apart frames of the same place: kind, echo, b value, time point, stack."""
    kinds = [macro for macro in map(group.macro, KINDS) if macro is not None]
    content = group.macro("FrameContentSequence")
    return (
        *(kind for macro in kinds for kind in tags.words(macro, "FrameType")),
        *(kind for macro in kinds for kind in tags.words(macro, "ComplexImageComponent")),
        str(tags.number(group.macro("MREchoSequence"), "EffectiveEchoTime")),
        str(tags.number(group.macro("MRDiffusionSequence"), "DiffusionBValue")),
        str(tags.number(content, "TemporalPositionIndex")),
        *(tags.words(content, "StackID") if content is not None else ()),
        str(group.numbers("SegmentIdentificationSequence", "ReferencedSegmentNumber", 1)),
    )
