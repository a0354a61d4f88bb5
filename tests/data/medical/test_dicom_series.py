"""Series: order by place, values in units, windows, and what a volume needs."""

import os
from pathlib import Path

import numpy as np
import pytest
from tests.data.medical.dicom_made import made_slice, set_pixels, written

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_series import Found, find_series

MIRROR = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "medical"


def stack(places: list[float], **rest) -> list:
    """Slices at these places along z; their first stored value is the place, and numbers run against it."""
    made = []
    for index, z in enumerate(places):
        values = np.full((3, 4), round(z), np.int16)
        made.append(made_slice(values, position=(10.0, -20.0, z), number=len(places) - index, **rest))
    return made


def test_slices_are_in_order_of_place_in_units_and_mm(tmp_path):
    found = find_series(written(tmp_path / "a", stack([8, 0, 4, 2, 6])))
    (series,) = found.series
    assert (series.modality, series.rows, series.columns, len(series), series.unit) == ("CT", 3, 4, 5, "HU")
    assert series.gaps_mm == pytest.approx([2, 2, 2, 2])
    assert series.gantry_tilt_deg == 0
    assert series.spacing_mm == (0.5, 0.25)
    stream = series.stream()
    assert stream.kind == "volume"
    assert stream.values.shape == (1, 5, 3, 4)
    np.testing.assert_array_equal(stream.values[0, :, 0, 0], 2 * np.array([0, 2, 4, 6, 8]) - 1024)
    expected = [[0.25, 0, 0, 10], [0, 0.5, 0, -20], [0, 0, 2, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(stream.geometry.affine, expected)
    assert (stream.geometry.unit, stream.geometry.frame) == ("mm", "LPS")
    np.testing.assert_array_equal(series.stored(1) * series.slope(1) + series.intercept(1), series.frame(1))


def test_uneven_gaps_need_to_be_asked_for(tmp_path):
    (series,) = find_series(written(tmp_path / "a", stack([0, 2, 4, 6, 10]))).series
    assert "gaps between slices are 2.00 to 4.00 mm" in series.flags
    with pytest.raises(InputError, match=r"2\.00 to 4\.00 mm.*resampling"):
        series.stream()
    stream = series.stream(resample_mm=1.0)
    np.testing.assert_allclose(stream.values[0, :, 1, 1], 2 * np.arange(11.0) - 1024)
    np.testing.assert_allclose(stream.geometry.affine[:3, 2], (0, 0, 1))


def test_nothing_is_millimetres_where_no_spacing_is_known(tmp_path):
    slices = stack([0, 2, 4])
    for one in slices:
        del one.PixelSpacing
        one.ImagerPixelSpacing = [0.5, 0.5]
    (series,) = find_series(written(tmp_path / "a", slices)).series
    assert series.spacing_mm is None
    assert any("ImagerPixelSpacing" in flag for flag in series.flags)
    assert series.stream(frame=0).geometry is None
    with pytest.raises(InputError, match="no pixel spacing"):
        series.stream()


@pytest.mark.parametrize(
    ("keyword", "others", "flag"),
    [
        ("PatientID", "4711", "several patients"),
        ("PatientName", "Doe^Jane", "several patients"),
        ("PatientBirthDate", "19580312", "several patients"),
        ("StudyInstanceUID", "1.2.3", "several studies"),
        ("FrameOfReferenceUID", "1.2.3", "several frames of reference"),
        ("Modality", "MR", "several modalities"),
    ],
)
def test_slices_of_two_people_studies_or_frames_make_two_series(tmp_path, keyword, others, flag):
    slices = stack([0, 5, 10, 15])
    for one in slices[1::2]:
        setattr(one, keyword, others)
    found = find_series(written(tmp_path / "a", slices))
    assert sorted(series.positions[:, 2].tolist() for series in found.series) == [[0, 10], [5, 15]]
    for series in found.series:
        assert f"the series UID is that of {flag}, which are listed apart" in series.flags
        assert series.gaps_mm == (10,)
        assert not keyword.startswith("Patient") or others not in repr(series)


def test_a_patient_written_with_padding_is_one_patient(tmp_path):
    slices = stack([0, 5])
    slices[0].PatientName, slices[1].PatientName = "Doe^Jane", "Doe^Jane^^ "
    slices[0].PatientID, slices[1].PatientID = "4711", "4711 "
    (series,) = find_series(written(tmp_path / "a", slices)).series
    assert (len(series), series.flags) == (2, ())


def twins(folder: Path, change) -> Found:
    """What is found of a slice and of another with the same SOP instance UID, changed."""
    first, second = stack([0, 0])
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
    change(second)
    return find_series(written(folder, [first, second]))


def test_a_file_written_twice_is_a_copy(tmp_path):
    found = twins(tmp_path / "a", lambda one: setattr(one, "InstanceNumber", 2))
    assert [one.reason for one in found.refused] == ["a copy of I03.dcm"]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: set_pixels(one, np.full((3, 4), 7, np.int16)),
        lambda one: setattr(one, "ImagePositionPatient", [10, -20, 5]),
        lambda one: setattr(one, "PixelSpacing", [0.5, 0.5]),
        lambda one: setattr(one, "RescaleIntercept", 0),
        lambda one: setattr(one, "PatientID", "4711"),
        lambda one: setattr(one, "StudyInstanceUID", "1.2.3"),
    ],
)
def test_another_picture_with_the_same_uid_is_no_copy(tmp_path, change):
    found = twins(tmp_path / "a", change)
    (refused,) = found.refused
    assert refused.reason.startswith("another picture with the same SOP instance UID as I03.dcm")
    assert [len(series) for series in found.series] == [1]


@pytest.mark.mirror
def test_the_real_head_ct_is_where_its_scanner_says():
    (series,) = find_series(MIRROR / "dicom" / "ct_head_ge").series
    assert series.gantry_tilt_deg == pytest.approx(18.5, abs=0.01)
    np.testing.assert_allclose(series.gaps_mm, [4.0] * 13 + [1.08] + [7.0] * 13, atol=0.01)
