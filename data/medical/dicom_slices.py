"""Pictures of a series: where their files are, what all of them share, and what is to be said of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_geometry import Placement, is_orientation, orientations
from mainstem.data.medical.dicom_header import Header, Picture

MIXED = "orientations differ, as in a localizer: no volume"
PLACELESS = "places of slices are not known: no volume, and their order means nothing"
CINE = "places of frames are not known: no volume; their order is that of the file"
REPEATED = "slices that lie where another lies"
APART = {  # what a volume has one of, and what is said of a series UID that has several
    "patient": "several patients",
    "study": "several studies",
    "frame_of_reference": "several frames of reference",
    "modality": "several modalities",
    "size": "pictures of several sizes",
}
TILT_DIFFERS = "the tilt of positions is not that of GantryDetectorTilt"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One picture of a series: where its file is, and what the file says of it.

    Attributes:
        patient: a number for each patient of one reading, which says nothing of who it is.
    """

    place: Place
    header: Header
    index: int
    patient: int = 0

    @property
    def picture(self) -> Picture:
        """Place, spacing and rescale."""
        return self.header.pictures[self.index]


class SeriesKey(NamedTuple):
    """What pictures have to share to be of one series: a UID of a series alone is written twice too easily."""

    modality: str
    series: str
    size: tuple[int, int, int]
    study: str
    frame_of_reference: str
    patient: int

    @classmethod
    def of(cls, one: Slice) -> Self:
        """Of a picture; of one without series UID, the file itself is the series."""
        header = one.header
        return cls(
            modality=str(header.modality),
            series=header.series_uid or one.place.name,
            size=(header.rows // header.tiles, header.columns // header.tiles, header.samples),
            study=header.study_uid,
            frame_of_reference=header.frame_of_reference,
            patient=one.patient,
        )


def shared_facts(slices: Sequence[Slice]) -> dict[str, str | float | None]:
    """Facts that all pictures share; None else."""
    found: dict[str, str | float | None] = {}
    for name in slices[0].header.facts:
        values = {one.header.facts[name] for one in slices}
        found[name] = next(iter(values)) if len(values) == 1 else None
    return found


def said_by_files(slices: Sequence[Slice]) -> list[str]:
    """Flags of the files; of those that not all have, how many do."""
    counts: dict[str, int] = {}
    for one in slices:
        for flag in one.header.flags:
            counts[flag] = counts.get(flag, 0) + 1
    num = len(slices)
    said = [flag if count == num else f"{flag} ({count} of {num})" for flag, count in counts.items()]
    if len({one.header.photometric for one in slices}) > 1:
        said.append("photometric interpretations differ")
    if len({one.picture.spacing_mm for one in slices}) > 1:
        said.append("pixel spacing differs: no millimetres")
    if any(not one.header.series_uid for one in slices):
        said.append("no series UID")
    return said


def said_of_apart(same: Sequence[SeriesKey]) -> Iterator[str]:
    """What is to be said of a series UID under which several series lie."""
    for name, several in APART.items():
        if len({getattr(key, name) for key in same}) > 1:
            yield f"the series UID is that of {several}, which are listed apart"


def said_of_places(slices: Sequence[Slice], placement: Placement | None) -> Iterator[str]:
    """What is to be said of places."""
    if placement is None:
        if len(slices) > 1:
            is_placed = all(is_orientation(one.picture.orientation) for one in slices)
            is_mixed = is_placed and len(orientations([one.picture for one in slices])) > 1
            is_one_file = len({one.place for one in slices}) == 1
            yield MIXED if is_mixed else CINE if is_one_file else PLACELESS
        return
    if placement.num_repeated:
        yield f"{placement.num_repeated} {REPEATED}"
    elif not placement.is_even:
        yield f"gaps between slices are {placement.gaps_mm.min():.2f} to {placement.gaps_mm.max():.2f} mm"
    if placement.tilt_deg > 0.1:
        yield f"gantry tilt of {placement.tilt_deg:.1f} degrees"
    said = slices[0].header.facts.get("tilt_tag_deg")
    if isinstance(said, float) and len(slices) > 1 and abs(abs(said) - placement.tilt_deg) > 0.5:
        yield TILT_DIFFERS
