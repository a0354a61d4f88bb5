"""What a path holds, by every door: images without their masks, and volumes of NIfTI, in zips too."""

import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from tests.data.medical.dicom_made import made_slice, written

from mainstem.apps.clinic_listing import held_in
from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_describe import describe
from mainstem.data.medical.dicom_series import find_series
from mainstem.data.medical.dicom_values import MASKS, class_name
from mainstem.data.medical.hippocampus import open_hippocampus
from mainstem.data.medical.radiographs import radiographs_in

MR = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage
SEG, LABEL_MAP, CONTOURS = MASKS
SHAPE = (30, 40)


def slices(num: int = 3) -> list[FileDataset]:
    return [
        made_slice(np.full(SHAPE, k + 1, np.int16), position=(0.0, 0.0, 2.0 * k), number=k, modality="MR", sop_class=MR)
        for k in range(num)
    ]


def marked(kind: str) -> FileDataset:
    """A segmentation of the first slice; as a label map its pixels are numbers of segments."""
    made = made_slice(np.ones(SHAPE, np.uint8), sop_class=kind, modality="SEG", series="seg")
    del made.RescaleSlope, made.RescaleIntercept
    made.SegmentationType, made.NumberOfFrames = "LABELMAP" if kind == LABEL_MAP else "FRACTIONAL", 1
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, "a"
    made.SegmentSequence = Sequence([segment])
    return made


def contours() -> FileDataset:
    made = made_slice(np.zeros((2, 2), np.int16), sop_class=CONTOURS, modality="RTSTRUCT", series="rt")
    for name in ("Rows", "Columns", "PixelData", "BitsAllocated"):
        delattr(made, name)
    return made


@pytest.mark.parametrize("kind", MASKS)
def test_every_kind_of_mask_is_one_by_its_uid(tmp_path, kind):
    mask = contours() if kind == CONTOURS else marked(kind)
    folder = written(tmp_path / "a", [*slices(), mask])
    found = find_series(folder)
    assert class_name(kind) == MASKS[kind]
    assert [one.modality for one in found.images] == ["MR"]
    assert len(found.masks) == 1
    assert found.unread == ()
    held = held_in(folder)
    assert ([one.kind for one in held.listed], len(held.masks), held.refused) == (["MR, 3 images"], 1, ())
    assert [one.source.facts["modality"] for one in radiographs_in(folder, 8, None)[0]] == ["MR"] * 3
    (sample,) = open_hippocampus(str(folder)).samples
    assert sample.streams["image"].values.shape == (1, 3, *SHAPE)


@pytest.mark.parametrize("kind", MASKS)
def test_masks_alone_are_no_images(tmp_path, kind):
    folder = written(tmp_path / "a", [contours() if kind == CONTOURS else marked(kind)])
    for door in (lambda: radiographs_in(folder, 8, None), lambda: open_hippocampus(str(folder))):
        with pytest.raises(InputError, match="it holds masks alone"):
            door()


@pytest.fixture
def volume(tmp_path) -> Path:
    made = nib.Nifti1Image(np.ones((4, 5, 6), np.float32), np.diag([-1.0, -1.0, 1.0, 1.0]))
    made.header.set_xyzt_units("mm")
    nib.save(made, tmp_path / "x.nii.gz")
    return tmp_path / "x.nii.gz"


def zipped(path: Path, *files: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, f"s/{file.name}")
            archive.writestr(f"__MACOSX/s/._{file.name}", b"what a finder leaves")
    return path


@pytest.mark.parametrize("way", ["folder", "zip", "zip in a folder"])
def test_a_volume_of_nifti_is_found_wherever_it_lies(tmp_path, volume, way):
    if way == "folder":
        given = tmp_path / "a"
        given.mkdir()
        volume.rename(given / volume.name)
    else:
        given = zipped(tmp_path / "a" / "x.zip", volume)
    given = given.parent if way == "zip in a folder" else given
    (sample,) = open_hippocampus(str(given)).samples
    assert sample.streams["image"].values.shape == (1, 6, 5, 4)
    assert sample.source.facts["file"] == f"{given.stem}.nii.gz"
    assert [one["num_slices"] for one in describe(given)["series"]] == [6]
    (held,) = held_in(given if given.is_dir() else given.parent).listed
    assert held.kind == "volume, NIfTI"
    with pytest.raises(InputError, match="a volume of NIfTI, and no radiograph"):
        radiographs_in(given, 8, None)


def test_two_things_are_not_one_volume(tmp_path, volume):
    folder = written(tmp_path / "a", slices())
    volume.rename(folder / volume.name)
    with pytest.raises(InputError, match=r"holds 2 series of images \(MR of 3, a volume of NIfTI\)"):
        open_hippocampus(str(folder))
