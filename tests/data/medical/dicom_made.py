"""DICOM files made for tests: a series of slices whose every pixel says where it lies."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SEED = ["mainstem", "tests"]


def made_slice(
    values: np.ndarray,
    *,
    series: str = "1",
    position: tuple[float, float, float] | None = (0.0, 0.0, 0.0),
    orientation: tuple[float, ...] = AXIAL,
    modality: str = "CT",
    sop_class: str = CTImageStorage,
    number: int = 1,
) -> FileDataset:
    """A CT slice of int16 or uint16 or uint8 values (row, column), 0.5 mm between rows and 0.25 mm between columns."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[*SEED, series, str(position), str(number)])
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*SEED, series])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[*SEED, "study"])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[*SEED, "frame"])
    dataset.Modality = modality
    dataset.InstanceNumber = number
    if position is not None:
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = list(position), list(orientation)
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.SliceThickness = 2.0
    dataset.RescaleSlope, dataset.RescaleIntercept = 2.0, -1024.0
    set_pixels(dataset, values)
    return dataset


def set_pixels(dataset: Dataset, values: np.ndarray) -> None:
    """Put grey values into a dataset."""
    dataset.Rows, dataset.Columns = values.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = values.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()


def written(folder: Path, datasets: list[FileDataset]) -> Path:
    """Write datasets into a folder, under names that say nothing of their order."""
    folder.mkdir(exist_ok=True)
    for index, dataset in enumerate(datasets):
        dataset.save_as(folder / f"I{(index * 7 + 3) % 100:02}.dcm", enforce_file_format=True)
    return folder
