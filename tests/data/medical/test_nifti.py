"""NIfTI: places in LPS millimetres, labels back onto the grid, and what would have to be guessed is refused."""

import gzip
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_describe import describe, lines_of
from mainstem.data.medical.dicom_series import find_series
from mainstem.data.medical.nifti import read_nifti, read_volume, write_labels

RAS = np.array([[0.0, -2.0, 0.0, 10.0], [1.0, 0.0, 0.0, 20.0], [0.0, 0.0, 3.0, 30.0], [0.0, 0.0, 0.0, 1.0]])
VALUES = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def save(path: Path, values: np.ndarray = VALUES, unit: str = "mm", kind: type = nib.Nifti1Image) -> Path:
    image = kind(values, RAS)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_voxel_lies_where_the_file_says_in_lps(tmp_path, name, kind):
    stream = read_nifti(save(tmp_path / name, kind=kind))
    assert stream.values.shape == (1, 4, 3, 2)
    assert stream.values[0, 3, 2, 1] == VALUES[1, 2, 3]
    assert (stream.geometry.unit, stream.geometry.frame) == ("mm", "LPS")
    place = stream.geometry.affine @ [1, 2, 3, 1]
    ras = RAS @ [1, 2, 3, 1]
    assert place[:3].tolist() == [-ras[0], -ras[1], ras[2]]
    assert stream.geometry.spacing() == (1.0, 2.0, 3.0)


def test_labels_go_back_onto_the_grid(tmp_path):
    stream = read_nifti(save(tmp_path / "a.nii.gz"))
    labels = np.arange(24).reshape(4, 3, 2) % 3
    write_labels(tmp_path / "b.nii.gz", labels, stream, "for tests")
    found, image = nib.load(tmp_path / "b.nii.gz"), nib.load(tmp_path / "a.nii.gz")
    assert found.shape == image.shape
    np.testing.assert_allclose(found.affine, image.affine)
    assert found.get_data_dtype() == np.uint8
    assert found.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(np.asarray(found.dataobj), labels.transpose(2, 1, 0))
    again = read_nifti(tmp_path / "b.nii.gz")
    np.testing.assert_allclose(again.geometry.affine, stream.geometry.affine)
    before = (tmp_path / "b.nii.gz").read_bytes()
    write_labels(tmp_path / "b.nii.gz", labels, stream, "for tests")
    assert (tmp_path / "b.nii.gz").read_bytes() == before
    with pytest.raises(InputError, match="want as many"):
        write_labels(tmp_path / "b.nii.gz", labels[:-1], stream)


def test_metres_become_millimetres_and_scaled_values_what_they_mean(tmp_path):
    path = save(tmp_path / "a.nii", unit="meter")
    assert read_nifti(path).geometry.spacing() == (1000.0, 2000.0, 3000.0)
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", 2.0, -5.0)  # scl_slope, scl_inter
    path.write_bytes(content)
    assert read_nifti(path).values[0, 0, 0].tolist() == [-5.0, 2 * 12 - 5.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({252: struct.pack("<hh", 0, 0)}, "where its voxels lie"),
        ({123: b"\0"}, "in which unit"),
        ({40: struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)}, "30000"),
        ({40: struct.pack("<8h", 4, 2, 3, 4, 5, 1, 1, 1)}, "one volume"),
        ({40: struct.pack("<8h", 3, 20, 30, 40, 1, 1, 1, 1)}, "its header says"),
        ({70: struct.pack("<hh", 128, 24)}, "one real number"),
        ({108: struct.pack("<f", 1e9)}, "from byte"),
        ({280: struct.pack("<4f", 0, 0, 0, 0)}, "affine"),
        ({0: b"\1\2\3\4"}, "begins as no NIfTI"),
    ],
)
@pytest.mark.parametrize("is_packed", [False, True])
def test_what_would_be_guessed_or_is_damaged_is_refused(tmp_path, change, words, is_packed):
    content = bytearray(save(tmp_path / "a.nii").read_bytes())
    for place, part in change.items():
        content[place : place + len(part)] = part
    path = tmp_path / ("b.nii.gz" if is_packed else "b.nii")
    path.write_bytes(gzip.compress(bytes(content)) if is_packed else content)
    with pytest.raises(InputError, match=words):
        read_nifti(path)


def placed(path: Path, sform: np.ndarray, qform: np.ndarray | None = None) -> Path:
    image = nib.Nifti1Image(VALUES, sform)
    image.header.set_xyzt_units("mm")
    image.set_sform(sform, code=1)
    image.set_qform(qform, code=0 if qform is None else 1)
    nib.save(image, path)
    return path


def test_axes_that_are_not_at_right_angles_are_refused_with_their_angle(tmp_path):
    def sheared(degrees: float) -> np.ndarray:
        affine, angle = np.eye(4), np.deg2rad(degrees)
        affine[:2, 1] = np.cos(angle), np.sin(angle)
        return affine

    assert read_nifti(placed(tmp_path / "a.nii", sheared(89.5))).geometry is not None
    for degrees in (52.0, 128.0):
        with pytest.raises(InputError, match=f"x and y stand at {degrees:.1f} degrees"):
            read_nifti(placed(tmp_path / "a.nii", sheared(degrees)))


def test_two_places_that_contradict_each_other_are_refused_and_both_said(tmp_path):
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])
    turned[:3, 3] = 1.0, 2.0, 0.0  # the same box
    for qform in (np.diag([2.0, 2.0, 2.0, 1.0]), turned, np.diag([-1.0, 1.0, 1.0, 1.0])):
        with pytest.raises(InputError, match=r"sform.*qform.*set the code"):
            read_nifti(placed(tmp_path / "a.nii", np.eye(4), qform))
    nearly = np.eye(4)
    nearly[0, 3] = 0.01
    assert read_nifti(placed(tmp_path / "a.nii", np.eye(4), nearly)).geometry is not None
    np.testing.assert_allclose(read_nifti(placed(tmp_path / "a.nii", RAS, RAS)).geometry.spacing(), (1, 2, 3))


def test_a_bomb_is_unpacked_no_further_than_its_header_says(tmp_path):
    content = save(tmp_path / "a.nii").read_bytes()
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(content + bytes(1 << 28), 1))
    assert read_nifti(tmp_path / "bomb.nii.gz").values.shape == (1, 4, 3, 2)
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(InputError, match="damaged"):
        read_nifti(tmp_path / "cut.nii.gz")
    with pytest.raises(InputError, match="no file"):
        read_nifti(tmp_path / "none.nii")


@pytest.mark.parametrize("seed", range(60))
def test_no_change_of_bytes_raises_anything_else(tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = bytearray(save(tmp_path / "a.nii").read_bytes())
    for place in rng.integers(0, 360, 6):
        content[place] = rng.integers(256)
    (tmp_path / "b.nii").write_bytes(content)
    with suppress(InputError):
        read_nifti(tmp_path / "b.nii")


def test_a_volume_in_a_zip_is_read_and_described_as_its_file_is(tmp_path):
    file = save(tmp_path / "a.nii.gz")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(file, "deep/a.nii.gz")
        archive.writestr("deep/cut.nii", b"\x5c\x01\0\0")
    (place, cut) = find_series(tmp_path / "a.zip").volumes
    stream, own = read_volume(place), read_nifti(file)
    np.testing.assert_array_equal(stream.values, own.values)
    np.testing.assert_array_equal(stream.geometry.affine, own.geometry.affine)
    with pytest.raises(InputError, match=r"deep/cut\.nii: it begins as no NIfTI file does"):
        read_volume(cut)
    told, alone = describe(tmp_path / "a.zip"), describe(file)
    assert told["refused"] == [{"name": "deep/cut.nii", "reason": "it begins as no NIfTI file does; fetch it again"}]
    assert told["series"] == alone["series"]
    (series,) = told["series"]
    assert (series["num_slices"], series["rows"], series["columns"]) == (4, 3, 2)
    assert (series["spacing_mm"], series["gaps_mm"], series["gantry_tilt_deg"]) == ([2.0, 1.0], [3.0] * 3, 0.0)
    where = series["orientation"]  # x runs to the front, y to the left: RAS has its columns so
    assert (where["plane"], where["row"], where["column"]) == ("axial", "A", "L")
    assert "3 x 2, 2 x 1 mm, gaps 3 x 3.00 mm" in "\n".join(lines_of(told))


def test_a_volume_that_unpacks_to_too_much_in_a_zip_is_refused_unread(tmp_path):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), RAS)
    image.header.set_data_shape((16384, 16384, 16))
    image.header.set_xyzt_units("mm")
    content = image.header.binaryblock + bytes(4)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.nii.gz", gzip.compress(content + bytes(1 << 20)))
    (refused,) = describe(tmp_path / "a.zip")["refused"]
    assert "asks for 16384 x 16384 x 16 voxels" in refused["reason"]
