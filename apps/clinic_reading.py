"""From a study's files, a series of DICOM images or a NIfTI volume, to what is shown and what models are given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.clinic import INPUT, Layer, Study, opaque
from mainstem.core.errors import InputError
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.data.medical.chest import SIDE as CHEST_SIDE
from mainstem.data.medical.dicom_series import Found, Series, find_series
from mainstem.data.medical.hippocampus import facts_of as facts_of_volume
from mainstem.data.medical.nifti import read_nifti
from mainstem.data.medical.pneumonia import SIDE as CHILD_SIDE
from mainstem.data.medical.radiographs import of_series

if TYPE_CHECKING:
    from mainstem.apps.clinic_predictions import Said

RADIOGRAPHS = {"pneumonia": CHILD_SIDE, "findings": CHEST_SIDE}  # tasks on one radiograph: pixels a side
VOLUMES = ("hippocampus",)
NIFTI = (".nii", ".nii.gz")
Samples = Mapping[str, Sample | InputError]


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """What a study's files hold: one series of DICOM images, or one volume."""

    series: Series | None = None
    volume: Stream | None = None


def open_study(study: Study) -> Opened:
    """Open a study's files; no pixel of a series is decoded.

    Raises:
        InputError: if they are gone or cannot be read.
    """
    if study.series.endswith(NIFTI):
        return Opened(volume=read_nifti(study.files / study.series))
    for series in _found(study.files).series:
        if study.series in ("", opaque(series.uid)):
            return Opened(series=series)
    raise InputError("the study's files are gone; open them again")


@lru_cache(maxsize=16)
def _found(folder: Path) -> Found:
    """Series of a folder's files and of the zips among them; headers are read once."""
    zips = sorted(folder.glob("*.zip"))
    has_more = any(not path.name.endswith((".zip", *NIFTI)) for path in folder.iterdir())
    found = [find_series(path) for path in (*zips, *([folder] if has_more else []))]
    own = {path.name for path in folder.iterdir() if path.name.endswith((".zip", *NIFTI))}
    return Found(
        series=tuple(series for one in found for series in one.series),
        refused=tuple(refused for one in found for refused in one.refused if refused.name not in own),
    )


def studies_in(folder: Path, number: int) -> tuple[list[Study], list[str]]:
    """Studies of a user's files, each with what the models say of it, and the files that were refused, with why."""
    held = _found(folder / INPUT)
    found = [_own(folder, opaque(one.uid), f"{one.modality or 'Image'}, {_images(len(one))}") for one in held.series]
    volumes = sorted(path.name for path in (folder / INPUT).iterdir() if path.name.endswith(NIFTI))
    found += [_own(folder, name, "volume, NIfTI") for name in volumes]
    refused = [one.reason for one in held.refused]
    told = [replace(study, title=f"Own study {number + index + 1}") for index, study in enumerate(found)]
    return [said_of(study) for study in told], refused


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def _own(folder: Path, series: str, kind: str) -> Study:
    return Study(
        id=opaque(str(folder), series), folder=folder, title="", kind=kind, series=series, facts={},
        note="opened by you, kept for this session alone", attribution="the user's own",
    )  # fmt: skip


def said_of(study: Study) -> Study:
    """Return a study with what every model says of it; masks are written beside its files."""
    from mainstem.apps.clinic_predictions import ask_all, pixel_sha256  # late: looking needs no torch

    try:
        opened = open_study(study)
        samples = _samples(study, opened)
    except InputError as error:
        return replace(study, note=f"{study.note}; cannot be read: {error}")
    said = ask_all(samples)
    layers = [layer for number, one in enumerate(said) for layer in _layers(study, opened, number, one)]
    streams = [one for sample in samples.values() if isinstance(sample, Sample) for one in sample.streams.values()]
    return replace(
        study, predictions=tuple(one.told for one in said), layers=tuple(layers), pixel_sha256=pixel_sha256(streams)
    )


def _layers(study: Study, opened: Opened, number: int, said: "Said") -> Iterator[Layer]:
    """Write what a model lays over a study, on the grid of its slices."""
    values = said.mask
    if said.heat is not None and opened.series is not None:
        values = np.zeros((len(opened.series), opened.series.rows, opened.series.columns), np.uint8)
        values[len(values) // 2] = over_square(said.heat, opened.series.rows, opened.series.columns)
    if values is not None:
        np.save(study.folder / f"layer-{number}.npy", values, allow_pickle=False)
        yield Layer(file=f"layer-{number}.npy", title=said.title, names=said.names)


def over_square(heat: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Lay a square (side, side) over the largest square in the middle of a picture, as `on_grid` took it from there."""
    short, side = min(rows, columns), len(heat)
    at = np.arange(short) * side // short
    found = np.zeros((rows, columns), np.uint8)
    top, left = (rows - short) // 2, (columns - short) // 2
    found[top : top + short, left : left + short] = heat[at][:, at]
    return found


def _samples(study: Study, opened: Opened) -> Samples:
    """What each task is given of a study, or why it cannot be given it."""
    makers = {name: partial(_radiograph, study, opened, side) for name, side in RADIOGRAPHS.items()}
    makers |= {name: partial(_volume, study, opened) for name in VOLUMES}
    found: dict[str, Sample | InputError] = {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except InputError as error:
            found[name] = error
    return found


def _radiograph(study: Study, opened: Opened, side: int) -> Sample:
    """The middle picture on a task's grid, with what the file, or the set it is of, says of the patient."""
    if opened.series is None:
        raise InputError("a volume of NIfTI, and no radiograph")
    found = of_series(opened.series, len(opened.series) // 2, side)
    return _sample(study, found.streams["image"], {**found.source.facts, **study.facts})


def _volume(study: Study, opened: Opened) -> Sample:
    stream = opened.volume
    if stream is None:
        assert opened.series is not None
        if len(opened.series) == 1:
            raise InputError("a single picture, and no volume")
        if opened.series.modality != "MR":
            raise InputError(f"modality is {opened.series.modality}, the adapter was trained on MR alone")
        stream = opened.series.stream()
    return _sample(study, stream, {**facts_of_volume(stream), **study.facts})


def _sample(study: Study, stream: Stream, facts: Mapping[str, str | float]) -> Sample:
    source = Provenance(
        data="clinic", item=study.id, attribution=study.attribution, simulated=bool(study.simulated), facts=facts
    )
    return Sample(streams={"image": stream}, target=None, source=source)
