"""Series of DICOM images: found in files, folders and zips, in order along their normal, decoded when asked for.

Research use only, not a medical device. A `Series` holds what its files say of pictures and place, never who the
patient is. Pixels are read by the worker of `dicom_process`, one picture at a time.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.progress import Progress, silent
from mainstem.core.stream import Stream
from mainstem.data.medical.archives import Place, Refused
from mainstem.data.medical.dicom_geometry import Placement, orientations, place, resampled, sorted_along
from mainstem.data.medical.dicom_header import Header, Window
from mainstem.data.medical.dicom_listing import Answer, ask_header, list_readable
from mainstem.data.medical.dicom_process import worker
from mainstem.data.medical.dicom_slices import (
    SeriesKey,
    Slice,
    said_by_files,
    said_of_apart,
    said_of_places,
    shared_facts,
)
from mainstem.data.medical.dicom_twins import said_of_twin
from mainstem.data.medical.dicom_values import MASKS
from mainstem.data.medical.dicom_volume import brighter, image_stream, volume_geometry, volume_stream
from mainstem.data.medical.nifti import is_nifti

MASK_KINDS = tuple(MASKS.values())
MOST_VOLUME = 4 << 30  # bytes of float32
PRESETS = (  # of CT in HU, as readers commonly set them
    Window(name="brain", center=40, width=80),
    Window(name="lung", center=-600, width=1500),
    Window(name="soft tissue", center=40, width=400),
    Window(name="bone", center=480, width=2500),
    Window(name="liver", center=90, width=150),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Pictures of one patient, frame of reference, series and size, in order along their normal where places are known.

    Attributes:
        uid: of the series; "" where the file has none.
        rows: of a picture; of a mosaic's tile.
        positions: (picture, 3) mm, patient LPS, of each first pixel's centre; None where one is not known.
        spacing_mm: between rows, between columns, of the patient; None where not known or not the same.
        placement: order, gaps and tilt; None where there is no common normal.
        unit: of `frame`: HU, Gy, or 1 where the files name none.
        is_inverted: larger values are darker (MONOCHROME1); `frame` and `stored` leave them so, `stream` turns them.
        facts: age_years, sex, view, laterality, body_part ...; None where a tag lacks or pictures differ.
        flags: what a reader has to know, in words.
        refused: files of this series that were not read.
    """

    uid: str
    study_uid: str
    modality: str | None
    rows: int
    columns: int
    samples: int
    unit: str
    is_inverted: bool
    slices: tuple[Slice, ...]
    positions: NDArray[np.float64] | None
    spacing_mm: tuple[float, float] | None
    placement: Placement | None
    facts: dict[str, str | float | None] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()

    def __len__(self) -> int:
        return len(self.slices)

    @property
    def is_mask(self) -> bool:
        """True of a segmentation, whose pictures are masks of another series."""
        return self.slices[0].header.sop_class in MASK_KINDS

    @property
    def gantry_tilt_deg(self) -> float | None:
        """Between the slices' normal and the line along which they follow one another; None where not known."""
        return self.placement.tilt_deg if self.placement is not None and len(self) > 1 else None

    @property
    def gaps_mm(self) -> tuple[float, ...] | None:
        """Between neighbouring slices, along the normal; None where places are not known."""
        return tuple(self.placement.gaps_mm.tolist()) if self.placement is not None else None

    def sop_uid(self, index: int) -> str:
        """UID of the object that holds a picture."""
        return self._at(index).header.sop_uid

    def frame(self, index: int) -> NDArray[np.float32]:
        """One picture (row, column[, red green blue]) in `unit`; NaN where padded.

        Raises:
            InputError: if it cannot be decoded.
        """
        found = self._read("rescaled", index)
        return found.astype(np.float32, copy=False)

    def stored(self, index: int) -> NDArray[np.int16] | NDArray[np.uint16]:
        """One picture as stored, int16 or uint16; times `slope` plus `intercept` it is in `unit`.

        Raises:
            InputError: if it cannot be decoded, or is of more than 16 bits.
        """
        return self._read("stored", index)

    def slope(self, index: int) -> float:
        """What stored values of a picture are multiplied by; 1 where the file names no rescale."""
        found = self._at(index).picture.slope
        return 1.0 if found is None else found

    def intercept(self, index: int) -> float:
        """What is then added; 0 where the file names no rescale."""
        found = self._at(index).picture.intercept
        return 0.0 if found is None else found

    def window_presets(self, index: int = 0) -> tuple[Window, ...]:
        """Windows that the file names for a picture, then the usual ones of CT in HU."""
        return (*self.own_windows(index), *(PRESETS if self.unit == "HU" else ()))

    def own_windows(self, index: int = 0) -> tuple[Window, ...]:
        """Windows that the file names for a picture, then its lookup tables.

        Raises:
            InputError: if a table cannot be read again.
        """
        one = self._at(index)
        told = worker().answer("tables", one.place, {})[0]["windows"] if one.picture.num_tables else ()
        return (*one.picture.windows, *map(Window.of, told))

    def pixel_sha256(self) -> str:
        """Hash of all pictures in order: shape, type and bytes, as decoded before any rescale of 16 bits.

        Raises:
            InputError: if one cannot be decoded.
        """
        digest = hashlib.sha256()
        for index in range(len(self)):
            values = np.ascontiguousarray(self._exact(index))
            digest.update(f"{values.shape}{values.dtype.str}".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()

    def _exact(self, index: int) -> NDArray[np.generic]:
        is_wide = self._at(index).header.bits_allocated > 16
        return self.frame(index) if is_wide else self.stored(index)

    def stream(self, *, frame: int | None = None, resample_mm: float | None = None) -> Stream:
        """One picture as an image, or all of them as a volume (channel, z, y, x), larger values brighter.

        Args:
            frame: the picture; None for the volume, or for the only one.
            resample_mm: make slices this far apart along the normal, where those there are not even.

        Raises:
            InputError: naming what a volume lacks: places, even gaps, spacing.
        """
        if frame is not None or len(self) == 1:
            return image_stream(self._bright(frame or 0), self.unit, self._at(frame or 0).picture)
        geometry = volume_geometry(self.placement, self.spacing_mm, resample_mm)
        if self.rows * self.columns * self.samples * len(self) * 4 > MOST_VOLUME:
            raise InputError(f"a volume of more than {MOST_VOLUME} bytes; take pictures one by one")
        values = np.stack([self._bright(index) for index in range(len(self))])
        if resample_mm is not None and self.placement is not None:
            values = resampled(values, self.placement.distances_mm, resample_mm)
        return volume_stream(values, self.unit, geometry)

    def _bright(self, index: int) -> NDArray[np.float32]:
        one = self._at(index)
        return brighter(self.frame(index), one.header, one.picture)

    def parts(self) -> tuple["Series", ...]:
        """Series of which no two pictures lie at one place: by orientation, echo, time point, kind of frame."""
        kinds: dict[tuple[object, ...], list[Slice]] = {}
        known = orientations([one.picture for one in self.slices])
        for one in self.slices:
            which = [np.allclose(one.picture.orientation or (np.nan,) * 6, other, atol=1e-3) for other in known]
            kinds.setdefault((tuple(which), one.picture.part), []).append(one)
        return tuple(_series(slices, self.refused) for slices in kinds.values())

    def _at(self, index: int) -> Slice:
        if not 0 <= index < len(self):
            raise InputError(f"got picture {index} of {len(self)}, counted from 0")
        return self.slices[index]

    def _read(self, do: str, index: int) -> NDArray[Any]:
        one = self._at(index)
        pixels = one.header.rows * one.header.columns * one.header.samples
        _, values = worker().answer(do, one.place, {"index": one.index, "sop_uid": one.header.sop_uid}, pixels)
        assert values is not None
        return values


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a path holds: series, by modality and UID, and every file that was not read, with why.

    A segmentation is among series too, a structure set among what was not read.

    Attributes:
        volumes: files of NIfTI by their names, which `nifti.read_volume` reads.
        masks: files of segmentations and structure sets.
    """

    series: tuple[Series, ...]
    refused: tuple[Refused, ...]
    volumes: tuple[Place, ...] = ()
    masks: tuple[Place, ...] = ()

    @property
    def images(self) -> tuple[Series, ...]:
        """Series of what was pictured, and not of what was marked on it."""
        return tuple(one for one in self.series if not one.is_mask)

    @property
    def unread(self) -> tuple[Refused, ...]:
        """What was not read but the structure sets, which have no pictures."""
        return tuple(one for one in self.refused if not one.reason.startswith(MASK_KINDS))


def find_series(path: Path, progress: Progress = silent) -> Found:
    """Series of images in a file, a folder or a zip, apart by patient and frame of reference; no pixel is decoded.

    Files whose names hold the patient's name, as their own tags say it, are called by number.

    Args:
        path: what to read.
        progress: told how many files are read.

    Raises:
        InputError: if there is nothing at the path, or it is a zip that is refused.
        MissingExtraError: if pydicom is not installed.
    """
    places, refused = list_readable(path)
    answers: dict[int, Answer] = {}
    for index, one in enumerate(places):
        if not is_nifti(Path(one.member or one.path)):
            answers[index] = ask_header(one)
        progress(f"file {index + 1} of {len(places)}", (index + 1) / len(places))
    if any(answer.is_named for answer in answers.values()):
        places = [replace(one, name=f"file {index + 1}") for index, one in enumerate(places)]
        refused = [replace(one, name=f"link {index + 1}") for index, one in enumerate(refused)]
    volumes = tuple(one for index, one in enumerate(places) if index not in answers)
    return _found([(places[index], answer) for index, answer in answers.items()], refused, volumes)


def _found(answers: Sequence[tuple[Place, Answer]], refused: list[Refused], volumes: tuple[Place, ...]) -> Found:
    seen: dict[str, Slice] = {}
    patients: dict[str, int] = {}
    slices: list[Slice] = []
    by_series: dict[str, list[Refused]] = {}
    for one, answer in answers:
        patient = patients.setdefault(answer.patient, len(patients))
        read = [] if answer.header is None else _slices(one, answer.header, patient)
        twin = seen.get(read[0].header.sop_uid) if read else None
        if read and twin is None:
            slices += read
            if read[0].header.sop_uid:
                seen[read[0].header.sop_uid] = read[0]
        else:
            reason = answer.reason if twin is None else said_of_twin(read[0], twin)
            refused.append(Refused(one.name, reason))
            by_series.setdefault(answer.series_uid, []).append(refused[-1])
    masks = tuple(one for one, answer in answers if answer.kind in MASK_KINDS)
    return Found(series=tuple(_grouped(slices, by_series)), refused=tuple(refused), volumes=volumes, masks=masks)


def _slices(file: Place, header: Header, patient: int) -> list[Slice]:
    return [Slice(place=file, header=header, index=at, patient=patient) for at in range(len(header.pictures))]


def _grouped(slices: Sequence[Slice], refused: dict[str, list[Refused]]) -> Iterator[Series]:
    groups: dict[SeriesKey, list[Slice]] = {}
    same: dict[str, list[SeriesKey]] = {}
    for one in slices:
        groups.setdefault(SeriesKey.of(one), []).append(one)
    for key in groups:
        same.setdefault(key.series, []).append(key)
    for key in sorted(groups):
        found = _series(groups[key], tuple(refused.get(groups[key][0].header.series_uid, ())))
        yield replace(found, flags=(*found.flags, *said_of_apart(same[key.series])))


def _series(slices: Sequence[Slice], refused: tuple[Refused, ...]) -> Series:
    pictures = [one.picture for one in slices]
    order = sorted_along(pictures)
    if order is None:
        ordered = sorted(slices, key=lambda one: (one.header.sop_uid, one.index))
    else:
        ordered = [slices[index] for index in order]
    pictures = [one.picture for one in ordered]
    placement = place(pictures)
    first = ordered[0].header
    is_placed = all(picture.position is not None for picture in pictures)
    spacings = {picture.spacing_mm for picture in pictures}
    return Series(
        uid=first.series_uid,
        study_uid=first.study_uid,
        modality=first.modality,
        rows=first.rows // first.tiles,
        columns=first.columns // first.tiles,
        samples=first.samples,
        unit=first.unit if len({one.header.unit for one in ordered}) == 1 else "1",
        is_inverted=first.photometric == "MONOCHROME1",
        slices=tuple(ordered),
        positions=np.asarray([picture.position for picture in pictures], np.float64) if is_placed else None,
        spacing_mm=next(iter(spacings)) if len(spacings) == 1 else None,
        placement=placement,
        facts=shared_facts(ordered),
        flags=tuple(dict.fromkeys((*said_by_files(ordered), *said_of_places(ordered, placement)))),
        refused=refused,
    )
