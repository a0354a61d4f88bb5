"""What a folder of files holds: series of DICOM images and volumes of NIfTI, each under a key of its contents.

What is opened is found again by that key: equal keys are copies and are refused. A file's own UIDs are a part of a key
and never all of it, for files lack them, or share one with another patient's. Whose files they are is asked apart, and
kept by whoever asks.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.stream import Stream
from mainstem.data.medical.archives import Place, Refused
from mainstem.data.medical.dicom_process import worker
from mainstem.data.medical.dicom_series import Series
from mainstem.data.medical.holdings import held_by
from mainstem.data.medical.nifti import read_volume

ALONE = "Open the images that it was drawn on with it"
NO_DICOM = "no DICOM file"  # why the reader refuses what is of another kind
COPY = "a copy of another file here"


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed:
    """One series, or the place of one volume of NIfTI; its key is a sha256 in hexadecimal digits."""

    key: str
    series: Series | None = None
    place: Place | None = None

    @property
    def kind(self) -> str:
        """What it is, in words of the standard."""
        if self.series is None:
            return "volume, NIfTI"
        return f"{self.series.modality or 'Image'}, {len(self.series)} image{'s' * (len(self.series) != 1)}"

    def volume(self) -> Stream | None:
        """The volume of a file of NIfTI.

        Raises:
            InputError: if it cannot be read.
        """
        return None if self.place is None else read_volume(self.place)

    def patient(self) -> str:
        """Whose it is: PatientID, and behind ^^^ who gave it, where the file says so; "" where it names nobody.

        Raises:
            InputError: if the file is gone.
        """
        return "" if self.series is None else str(_identity(self.series.slices[0].place)["patient"])


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a folder holds, files that mark structures on it, and why its other files were refused."""

    listed: tuple[Listed, ...]
    refused: tuple[str, ...]
    masks: tuple[Place, ...] = ()


@lru_cache(maxsize=16)
def held_in(folder: Path) -> Held:
    """What a folder's files and the zips among them hold; every file is read once, and no pixel decoded.

    Raises:
        InputError: if nothing can be read.
    """
    found = held_by(folder)
    volumes = [replace(place, name="a file") for place in found.volumes]
    listed: dict[str, Listed] = {}
    masks = tuple(replace(place, name="a file of masks") for place in found.masks) if found.images else ()
    refused = [_told(one, is_mask=one not in found.unread) for one in (found.unread if masks else found.refused)]
    for one in (*_listed(found.images or found.series, refused), *map(_volume, volumes)):
        if one.key in listed:
            refused.append(COPY)
        listed.setdefault(one.key, one)
    return Held(listed=tuple(listed.values()), refused=tuple(refused), masks=masks)


def _told(one: Refused, *, is_mask: bool) -> str:
    """Why a file was refused, what to give instead, and which of those given it was; not what its maker called it."""
    number = re.fullmatch(r"(\d{5})\.dcm", one.name)
    which = f"file {int(number[1]) + 1}: " if number else "a file of the zip: "
    if one.reason == NO_DICOM:
        return f"{which}{one.reason}, nor NIfTI: give one of these, which say what a picture shows and of what size"
    return f"{which}{one.reason}{f'. {ALONE}' if is_mask else ''}"


def _listed(found: Sequence[Series], refused: list[str]) -> Iterator[Listed]:
    for series in found:
        try:
            nameless = _nameless(series)
            yield Listed(key=_key_of(nameless), series=nameless)
        except InputError as error:
            refused.append(str(error))


def _nameless(series: Series) -> Series:
    """A series whose errors do not say what its files are called: in a zip, that is as its maker pleased."""
    slices = tuple(replace(one, place=replace(one.place, name="a file")) for one in series.slices)
    return replace(series, slices=slices)


def _key_of(series: Series) -> str:
    """Hash of a series' UIDs, size and files, in whatever order they came.

    Raises:
        InputError: if a file is gone, or the files name several patients.
    """
    told = {(one.place.path, one.place.member): one.place for one in series.slices}
    files = [_identity(place) for place in told.values()]
    patients = {file["patient"] for file in files}
    if len(patients) > 1:
        raise InputError(f"a series whose files name {len(patients)} patients; open each patient's files apart")
    size = f"{series.rows} {series.columns} {series.samples}"
    return _sha256(series.study_uid, series.uid, str(series.modality), size, *sorted(file["sha256"] for file in files))


def _volume(place: Place) -> Listed:
    return Listed(key=_sha256("NIfTI", worker().answer("sha256", place, {})[0]["sha256"]), place=place)


def _sha256(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _identity(place: Place) -> Any:  # noqa: ANN401 - plain JSON types
    return worker().answer("identity", place, {})[0]
