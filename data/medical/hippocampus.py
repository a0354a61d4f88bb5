"""Hippocampus: T1 MR crops with the anterior and the posterior part marked, by name, as a folder, or single images."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import NO_LICENCE, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.medical.axes import axes_of, reordered, to_model
from mainstem.data.medical.hippocampus_dicom import read_series
from mainstem.data.medical.nifti import SUFFIXES, is_nifti, read_nifti

HIPPOCAMPUS = "msd-hippocampus"
STRUCTURES = ("anterior", "posterior")  # labels 1 and 2 (Simpson et al. 2019, table 1)
IMAGES, LABELS = "images", "labels"
SIDES = ((27, 48), (36, 64), (21, 48))  # voxels along x, y and z: the set's 31-43, 40-59 and 24-47, a tenth wider
TOLERANCE = 0.01  # of 1 mm
NUMBERED = re.compile(r"hippocampus_(\d{3})")  # how the set names its crops
STEEPEST_DEG = 20.0  # from a side of the patient that an axis may run
NOT_FINITE = "not finite"


def open_hippocampus(data: str, mirror: Path | None = None) -> SampleSet:
    """Read the set by name, a folder of images/ and labels/, or one image, whose structures are unknown.

    An image is a NIfTI volume, or a DICOM series: a folder of its files, or a zip.

    Raises:
        InputError: if it is none of them, or an image cannot be read.
    """
    if data == HIPPOCAMPUS:
        data_set = find_data_set(data)
        return _folder(pull(data, mirror), data, data_set.licence, data_set.attribution)
    path = Path(data)
    if is_nifti(path):
        source = _source(path, own_name(path.resolve().parent.name), (NO_LICENCE, ""))
        sample = _sample(read_nifti(path), None, source)
        return SampleSet(name=path.name, samples=(sample,), flagged={}, attribution="", classes=STRUCTURES)
    if (path / IMAGES).is_dir():
        return _folder(path, own_name(path.resolve().name), NO_LICENCE, "")
    if not path.exists():
        raise InputError(
            f"got {data!r:.80}; want {HIPPOCAMPUS}, a folder of {IMAGES}/ and {LABELS}/, or an image (.nii, .nii.gz, "
            "or a DICOM series: a folder or a .zip)"
        )
    return _series(path)


def _series(path: Path) -> SampleSet:
    """One DICOM series, whose labels are written as NIfTI under its folder's or zip's name."""
    place = path.resolve()
    item = place.name if place.is_dir() else place.stem
    data, facts = own_name(place.parent.name), {"file": f"{item}.nii.gz"}
    source = Provenance(data=data, item=item, licence=NO_LICENCE, facts=facts)
    sample = _sample(read_series(path), None, source)
    return SampleSet(name=path.name, samples=(sample,), flagged={}, attribution="", classes=STRUCTURES)


def _folder(folder: Path, name: str, licence: str, attribution: str) -> SampleSet:
    """Images with their labels; one without, or that does not fit its image, is flagged, as is a label alone."""
    images, labels = (_files(folder / part) for part in (IMAGES, LABELS))
    if not images:
        raise InputError(f"{folder / IMAGES} holds no .nii or .nii.gz file; give some")
    flagged = dict.fromkeys(sorted(set(labels) - set(images)), "labels without an image")
    samples = []
    for item, path in images.items():
        stream = read_nifti(path)
        marked, fault = _labels(labels[item], stream) if item in labels else (None, "an image without labels")
        fault = fault or (f"voxels that are {NOT_FINITE}" if values_of(stream) == NOT_FINITE else "")
        if fault:
            flagged[item] = fault
        samples.append(_sample(stream, marked, _source(path, name, (licence, attribution))))
    return SampleSet(
        name=name,
        samples=tuple(samples),
        flagged=flagged,
        attribution=attribution,
        licence=licence,
        classes=STRUCTURES,
    )


def _files(folder: Path) -> Mapping[str, Path]:
    """NIfTI files by their name without its ending; those that a finder of macOS hides are none.

    Raises:
        InputError: if two have one name.
    """
    if not folder.is_dir():
        return {}
    every = sorted(path for path in folder.iterdir() if is_nifti(path) and not path.name.startswith("."))
    for path, after in pairwise(sorted(every, key=item_of)):
        if item_of(path) == item_of(after):
            raise InputError(f"{folder} holds {path.name} and {after.name}, one case twice; keep one")
    return {item_of(path): path for path in every}


def item_of(path: Path) -> str:
    """A file's name without .nii or .nii.gz."""
    return next(path.name.removesuffix(ending) for ending in reversed(SUFFIXES) if path.name.endswith(ending))


def _labels(path: Path, image: Stream) -> tuple[NDArray[np.uint8] | None, str]:
    """Labels (z, y, x) on an image's grid, or None and what is wrong with them."""
    found = read_nifti(path)
    assert found.geometry is not None
    assert image.geometry is not None
    values = found.values[0]
    if values.shape != image.values.shape[1:]:
        return None, f"labels of {values.shape} voxels for an image of {image.values.shape[1:]}"
    if not np.allclose(found.geometry.affine, image.geometry.affine, atol=TOLERANCE):
        return None, "labels that lie elsewhere than the image"
    if not np.isin(values, range(len(STRUCTURES) + 1)).all():
        return None, f"labels up to {values.max():g}, want 0 to {len(STRUCTURES)}"
    return values.astype(np.uint8), ""


def person_of(item: str) -> str:
    """Whose crop it is: of the set's own names (hippocampus_017) two neighbours, 17 and 18, are one person's two sides.

    No file names a person. But of neighbours the intensities of many are whole multiples of one step, that of a scan,
    and the volumes of both sides go together (correlation .77 and .82), those of 2k and 2k + 1 do not (.14, -.11).
    """
    numbered = NUMBERED.fullmatch(item)
    return f"person {(int(numbered[1]) + 1) // 2}" if numbered else item


def _source(path: Path, data: str, told: tuple[str, str]) -> Provenance:
    item, (licence, attribution) = item_of(path), told
    return Provenance(
        data=data,
        item=item,
        group=person_of(item),
        licence=licence,
        attribution=attribution,
        facts={"file": path.name},
    )


def _sample(stream: Stream, labels: NDArray[np.uint8] | None, source: Provenance) -> Sample:
    """A volume and its labels, their axes nearest to those of training."""
    shown, stored = to_model(stream)
    facts = {**source.facts, **facts_of(shown), **stored}
    target = None if labels is None else reordered(labels, axes_of(stream), axes_of(shown))
    return Sample(streams={"image": shown}, target=target, source=replace(source, facts=facts))


def facts_of(stream: Stream) -> dict[str, str]:
    """What has to be as in training for a volume to be predicted: spacing, axes, sides and sign, in words.

    A file names no modality: of what is no MR only what is negative, as CT in Hounsfield units is, can be told.
    """
    assert stream.geometry is not None
    spacing, sides = stream.geometry.spacing(), stream.values.shape[:0:-1]
    is_isotropic = all(abs(size - 1) <= TOLERANCE for size in spacing)
    is_usual = all(least <= side <= most for side, (least, most) in zip(sides, SIDES, strict=True))
    usual = " x ".join(f"{least}-{most}" for least, most in SIDES)
    return {
        "spacing": "1 mm" if is_isotropic else " x ".join(f"{size:.3g}" for size in spacing) + " mm",
        "axes": axes_of(stream, STEEPEST_DEG),
        "sides": f"{usual if is_usual else ' x '.join(map(str, sides))} voxels",
        "values": values_of(stream),
    }


def values_of(stream: Stream) -> str:
    """Say of a volume's values if they are numbers, and if any is negative."""
    if not np.isfinite(stream.values).all():
        return NOT_FINITE
    return "negative" if stream.values.min() < 0 else "not negative"
