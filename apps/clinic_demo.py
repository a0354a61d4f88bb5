"""The demonstration's studies: real ones where their data can be had, and a phantom made in code where they cannot."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.clinic import INPUT, Study, clinic_folder, known_studies, opaque, write_study
from mainstem.apps.clinic_reading import said_of
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder
from mainstem.core.progress import Progress, silent
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.medical.hippocampus import HIPPOCAMPUS, IMAGES, item_of, person_of

RADIOGRAPHS, HEAD_CT = "pneumoniamnist", "ct-head-ge"
CROP = "Hippocampus"  # title of its studies, before their numbers
NUM_RADIOGRAPHS, NUM_VOLUMES = 12, 2
WRAPPED = "28 pixels, wrapped as DICOM for demonstration; children of one hospital"
OF_CHILDREN = {"modality": "radiograph", "view": "AP", "age_band": "1 to 5 years"}  # Kermany et al. 2018, all images
PHANTOM_NOTE = "simulated: an ellipsoid of tissue in a shell of bone, made in code"
CT_STORAGE, DX_STORAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1"  # PS3.4 B.5
PHANTOM_SLICES, PHANTOM_SIDE = 24, 128


def ensure_studies(mirror: Path | None = None, progress: Progress = silent) -> int:
    """Make the demonstration's studies where there are none, and return how many there are.

    Raises:
        InputError: if they cannot be written.
    """
    folder = clinic_folder()
    if not known_studies(folder):
        with ExitStack() as places:
            studies = []
            made = list(_all(mirror))
            for number, (study, write) in enumerate(made):
                progress(study.title, number / len(made) / 2)
                with suppress(InputError):  # another process may be at it
                    place = places.enter_context(new_folder(folder / study.id))
                    (place / INPUT).mkdir()
                    write(place / INPUT)
                    studies.append(replace(study, folder=place))
            progress("what the models say of the studies", 0.5)
            for study in _unseen(said_of(studies), mirror):
                write_study(study)
    return len(known_studies(folder))


def _unseen(studies: list[Study], mirror: Path | None) -> list[Study]:
    """The studies, those of the hippocampus' own set as a model tells them that has not learnt from them."""
    from mainstem.apps.clinic_folds import told_unseen  # late: it loads torch

    if not any(study.title.startswith(CROP) for study in studies):
        return studies
    persons = {_opaque_volume(path): person_of(item_of(path)) for path in _crops(mirror)}
    everyone = set(persons.values())
    return [
        told_unseen(study, persons[study.id], everyone) if study.title.startswith(CROP) else study for study in studies
    ]


def _crops(mirror: Path | None) -> list[Path]:
    return sorted((pull(HIPPOCAMPUS, mirror) / IMAGES).glob("*.nii.gz"))


def _opaque_volume(path: Path) -> str:
    return opaque(HIPPOCAMPUS, path.read_bytes())


def _all(mirror: Path | None) -> Iterator[tuple[Study, Any]]:
    """The studies, and what writes the files of each into a folder."""
    sources = (_radiographs, _volumes, _head_ct)
    found = [made for source in sources for made in _tried(source, mirror)]
    yield from found or [_phantom()]


def _tried(source: Any, mirror: Path | None) -> list[tuple[Study, Any]]:  # noqa: ANN401 - one of the functions below
    try:
        return list(source(mirror))
    except InputError:
        return []  # its data cannot be had here: the page shows what there is


def _radiographs(mirror: Path | None) -> Iterator[tuple[Study, Any]]:
    data = find_data_set(RADIOGRAPHS)
    with np.load(pull(RADIOGRAPHS, mirror) / data.files[0].name, allow_pickle=False) as arrays:
        images, labels = arrays["test_images"], arrays["test_labels"].reshape(-1)
    for number, row in enumerate(np.linspace(0, len(images) - 1, NUM_RADIOGRAPHS).astype(int).tolist()):
        image = np.array(images[row])
        study = Study(
            id=opaque(RADIOGRAPHS, str(row), image.tobytes()), folder=Path(), title=f"Radiograph {number + 1:02d}",
            kind="DX, 1 image", note=WRAPPED, simulated=False, attribution=data.attribution, facts=OF_CHILDREN,
            truth=("normal", "pneumonia")[int(labels[row])],
        )  # fmt: skip
        yield study, _writer(image)


def _writer(image: NDArray[np.uint8]) -> Any:  # noqa: ANN401 - a function
    return lambda place: write_radiograph(place / "00000.dcm", image)


def _volumes(mirror: Path | None) -> Iterator[tuple[Study, Any]]:
    data, paths = find_data_set(HIPPOCAMPUS), _crops(mirror)
    for number, path in enumerate(paths[:: max(len(paths) // NUM_VOLUMES, 1)][:NUM_VOLUMES]):
        study = Study(
            id=_opaque_volume(path), folder=Path(), title=f"{CROP} {number + 1}",
            kind="MR, volume", note="a crop around one hippocampus", simulated=False, attribution=data.attribution,
            facts={},
        )  # fmt: skip
        yield study, _copier([path], ".nii.gz")


def _head_ct(mirror: Path | None) -> Iterator[tuple[Study, Any]]:
    data, folder = find_data_set(HEAD_CT), pull(HEAD_CT, mirror)
    paths = [folder / file.name for file in data.files]
    study = Study(
        id=opaque(HEAD_CT, paths[0].read_bytes()), folder=Path(), title="Head CT", kind=f"CT, {len(paths)} images",
        note="a real scan with a tilted gantry and uneven gaps", simulated=False, attribution=data.attribution,
        facts={},
    )  # fmt: skip
    yield study, _copier(paths, ".dcm")


def _copier(paths: list[Path], ending: str) -> Any:  # noqa: ANN401 - a function
    def copy(place: Path) -> None:
        for number, path in enumerate(paths):
            shutil.copyfile(path, place / f"{number:05d}{ending}")

    return copy


def _phantom() -> tuple[Study, Any]:
    study = Study(
        id=opaque("phantom"), folder=Path(), title="Head phantom", kind=f"CT, {PHANTOM_SLICES} images",
        note=PHANTOM_NOTE, simulated=True, attribution="Simulated by Mainstem", facts={},
    )  # fmt: skip
    return study, write_phantom


def write_radiograph(path: Path, image: NDArray[np.uint8]) -> None:
    """Write grey pixels (y, x) as a DICOM radiograph that names nobody and no size of its pixels."""
    dataset = _dataset(DX_STORAGE, "DX", opaque(image.tobytes()))
    dataset.ViewPosition, dataset.PresentationIntentType = "AP", "FOR PRESENTATION"
    dataset.SeriesDescription, dataset.ImageComments = "PneumoniaMNIST", WRAPPED
    _pixels(dataset, image)
    dataset.save_as(path, enforce_file_format=True)


def write_phantom(place: Path) -> None:
    """Write a head of known sizes as a CT: a shell of 900 HU, 60 mm in radius, 40 HU inside, slices 5 mm apart."""
    y, x = np.mgrid[:PHANTOM_SIDE, :PHANTOM_SIDE] - (PHANTOM_SIDE - 1) / 2
    for index in range(PHANTOM_SLICES):
        z = 5.0 * (index - (PHANTOM_SLICES - 1) / 2)
        radius = np.sqrt(x**2 + (y / 1.2) ** 2 + z**2)
        values = np.select([radius < 54, radius < 60], [40, 900], -1000).astype(np.int16)
        dataset = _dataset(CT_STORAGE, "CT", "phantom", index)
        dataset.ImagePositionPatient = [-PHANTOM_SIDE / 2, -PHANTOM_SIDE / 2, z]
        dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [1.0, 1.0]
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
        dataset.WindowCenter, dataset.WindowWidth, dataset.SliceThickness = 40, 80, 5.0
        _pixels(dataset, values)
        dataset.save_as(place / f"{index:05d}.dcm", enforce_file_format=True)


def _dataset(kind: str, modality: str, name: str, index: int = 0) -> Any:  # noqa: ANN401 - pydicom has no types
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    dataset, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID(kind)
    own = generate_uid(entropy_srcs=["mainstem", name, str(index)])
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = own
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["mainstem series", name])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["mainstem study", name])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["mainstem frame", name])
    dataset.Modality, dataset.InstanceNumber, dataset.SeriesNumber = modality, index + 1, 1
    dataset.PatientName = dataset.PatientID = dataset.StudyID = dataset.StudyDate = ""
    dataset.file_meta = meta
    return dataset


def _pixels(dataset: Any, values: NDArray[Any]) -> None:  # noqa: ANN401 - pydicom has no types
    bits = 8 * values.dtype.itemsize
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
