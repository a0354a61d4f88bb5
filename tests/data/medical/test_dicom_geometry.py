"""Where pictures lie: mosaics, enhanced files, tilt, duplicates, localizers; held to nibabel and to numbers by hand."""

import os
from pathlib import Path

import nibabel.nicom.dicomwrappers as nibabel_dicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import BreastTomosynthesisImageStorage, EnhancedMRImageStorage, EnhancedXAImageStorage
from tests.data.medical.dicom_made import AXIAL, made_slice, set_pixels, written

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_geometry import letters, plane, resampled
from mainstem.data.medical.dicom_series import find_series
from mainstem.data.medical.dicom_spacing import BOUNDS, DETECTOR, SAME, UNSAID

MIRROR = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "medical" / "dicom"
FLAT = np.zeros((3, 4), np.int16)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def values_at(stream, world):
    """Values of a volume at points (point, 3) in mm, which have to be voxel centres."""
    index = np.linalg.inv(stream.geometry.affine) @ np.c_[world, np.ones(len(world))].T
    x, y, z = np.rint(index[:3]).astype(int)
    assert np.abs(index[:3] - (x, y, z)).max() < 0.01
    return stream.values[0, z, y, x]


@pytest.mark.mirror
@pytest.mark.parametrize("folder", ["ax/axasc36", "cor/corasc36", "sag/sagasc36", "axmb/AxInt36mb", "axmb/AxAsc36mb2a"])
def test_mosaics_lie_where_nibabel_says(folder):
    path = sorted((MIRROR / "mr_orientation" / folder).iterdir())[0]
    (series,) = find_series(path).series
    assert len(series) == 36
    assert series.gaps_mm == pytest.approx([3.6] * 35, abs=0.01)
    stream = series.stream()
    wrapper = nibabel_dicom.wrapper_from_file(path)
    tiles = wrapper.get_data() if stream.values.shape[2] == 64 and "axmb" not in folder else None
    shape = wrapper.image_shape
    picked = np.random.default_rng(0).integers(0, shape, (200, 3))
    world = (np.c_[picked, np.ones(200)] @ wrapper.affine.T)[:, :3]
    found = values_at(stream, world)
    if tiles is not None:  # nibabel reads no compressed files
        np.testing.assert_array_equal(found, tiles[tuple(picked.T)])


@pytest.mark.mirror
def test_frames_of_an_enhanced_file_have_their_own_place_and_rescale():
    path = MIRROR / "enhanced_mr" / "philips_IM_0027_fMAP.dcm"
    (series,) = find_series(path).series
    dataset = pydicom.dcmread(path)
    assert len(series) == 64
    assert "rescale differs by frame" in series.flags
    for index, one in enumerate(series.slices):
        own = dataset.PerFrameFunctionalGroupsSequence[one.picture.frame]
        assert one.picture.position == pytest.approx(own.PlanePositionSequence[0].ImagePositionPatient)
        rescale = own.PixelValueTransformationSequence[0]
        expected = dataset.pixel_array[one.picture.frame] * float(rescale.RescaleSlope) + float(
            rescale.RescaleIntercept
        )
        np.testing.assert_array_equal(series.frame(index), expected.astype(np.float32))
    with pytest.raises(InputError, match="parts"):
        series.stream()
    parts = series.parts()
    assert [len(part) for part in parts] == [32, 32]
    for part in parts:
        assert part.stream().values.shape == (1, 32, 64, 64)


@pytest.mark.mirror
def test_several_enhanced_files_are_volumes_of_one_series():
    (series, *_) = find_series(MIRROR / "enhanced_mr").series
    assert len(series) == 24
    assert "18 slices that lie where another lies" in series.flags


def test_a_tilted_gantry_is_shear_of_the_affine_and_its_angle_in_degrees(tmp_path):
    angle = np.radians(20)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))
    slices = [made_slice(FLAT, position=(5.0, 7.0, 3.0 * k), orientation=orientation) for k in range(4)]
    (series,) = find_series(written(tmp_path / "a", slices)).series
    assert series.gantry_tilt_deg == pytest.approx(20, abs=1e-3)
    assert series.gaps_mm == pytest.approx([3 * np.cos(angle)] * 3)
    affine = series.stream().geometry.affine
    np.testing.assert_allclose(affine @ (2, 1, 3, 1), (5.5, 7 + 0.5 * np.cos(angle), 9 - 0.5 * np.sin(angle), 1))


def test_a_localizer_is_no_volume_but_its_parts_are(tmp_path):
    slices = [made_slice(FLAT, position=(0.0, 0.0, 5.0 * k)) for k in range(2)]
    slices += [made_slice(FLAT, position=(5.0 * k, 1.0, 0.0), orientation=SAGITTAL) for k in range(3)]
    (series,) = find_series(written(tmp_path / "a", slices)).series
    assert any("localizer" in flag for flag in series.flags)
    assert series.gaps_mm is None
    with pytest.raises(InputError, match="orientations differ"):
        series.stream()
    assert sorted(len(part.stream().values[0]) for part in series.parts()) == [2, 3]


def test_slices_of_one_place_and_copies_are_reported(tmp_path):
    slices = [made_slice(FLAT, position=(0.0, 0.0, float(k)), number=9) for k in range(3)]
    again = made_slice(FLAT + 1, position=(0.0, 0.0, 1.0), number=10)
    again.AcquisitionNumber = 2
    copy = made_slice(FLAT, position=(0.0, 0.0, 2.0), number=9)
    found = find_series(written(tmp_path / "a", [*slices, again, copy]))
    (series,) = found.series
    assert len(series) == 4
    assert "1 slices that lie where another lies" in series.flags
    assert [one.reason.split(" of ")[0] for one in found.refused] == ["a copy"]
    assert len(series.refused) == 1


def test_files_without_place_are_shown_but_make_no_volume(tmp_path):
    slices = [made_slice(FLAT, position=None, number=k) for k in range(3)]
    (series,) = find_series(written(tmp_path / "a", slices)).series
    assert series.positions is None
    assert any("order means nothing" in flag for flag in series.flags)
    with pytest.raises(InputError, match="places of slices are not known"):
        series.stream()
    assert series.stream(frame=1).geometry.frame == ""


@pytest.mark.parametrize(
    ("pixel", "imager", "calibration", "expected", "flag"),
    [
        (None, [0.2, 0.2], None, None, DETECTOR),
        ([0.2, 0.2], [0.2, 0.2], None, None, SAME),
        ([0.2, 0.2], [0.2, 0.2], "FIDUCIAL", (0.2, 0.2), None),
        ([0.18, 0.18], [0.2, 0.2], "GEOMETRY", (0.18, 0.18), None),
        ([0.2, 0.2], [0.20001, 0.20001], None, None, SAME),
        ([0.18, 0.18], [0.2, 0.2], None, (0.18, 0.18), UNSAID),
        ([0.0, 0.2], None, None, None, "0.001 to 100 mm"),
        ([1e-30, 1e30], None, "GEOMETRY", None, "0.001 to 100 mm"),
        ([0.2, 100.1], None, "GEOMETRY", None, "0.001 to 100 mm"),
        ([0.0009, 0.2], None, "GEOMETRY", None, "0.001 to 100 mm"),
        (None, None, None, None, "no PixelSpacing"),
    ],
)
def test_millimetres_of_radiographs_are_the_patients_or_none(tmp_path, pixel, imager, calibration, expected, flag):
    image = made_slice(np.zeros((3, 4), np.uint16), modality="DX", position=None)
    del image.PixelSpacing
    for keyword, value in (
        ("PixelSpacing", pixel), ("ImagerPixelSpacing", imager), ("PixelSpacingCalibrationType", calibration),
    ):  # fmt: skip
        if value is not None:
            setattr(image, keyword, value)
    (series,) = find_series(written(tmp_path / "a", [image])).series
    assert series.spacing_mm == expected
    assert (series.stream().geometry is None) == (expected is None)
    assert flag is None or any(flag in said for said in series.flags)


@pytest.mark.parametrize("modality", ["DR", "", "DX", "CR", "MG", "PX", "RF", "XA", "OT", "XC", "DR ROE"])
def test_a_modality_that_is_no_section_has_no_millimetres_of_its_detector(tmp_path, modality):
    image = made_slice(FLAT, modality=modality)
    image.ImagerPixelSpacing = image.PixelSpacing
    (series,) = find_series(written(tmp_path / "a", [image])).series
    assert (series.spacing_mm, SAME in series.flags) == (None, True)
    image.PixelSpacingCalibrationType = "GEOMETRY"
    (series,) = find_series(written(tmp_path / "b", [image])).series
    assert series.spacing_mm == (0.5, 0.25)


@pytest.mark.parametrize(("modality", "is_flagged"), [("CT", False), ("MR", False), ("US", False), ("DR", True)])
def test_only_sections_are_believed_without_calibration(tmp_path, modality, is_flagged):
    (series,) = find_series(written(tmp_path / "a", [made_slice(FLAT, modality=modality)])).series
    assert (series.spacing_mm, UNSAID in series.flags) == ((0.5, 0.25), is_flagged)


@pytest.mark.parametrize(
    ("sop_class", "modality", "spacing", "expected", "flag"),
    [
        (EnhancedMRImageStorage, "MR", [0.5, 0.25], (0.5, 0.25), None),
        (EnhancedMRImageStorage, "MR", [1e-30, 1e30], None, BOUNDS),
        (EnhancedXAImageStorage, "XA", [0.5, 0.25], None, SAME),
        (EnhancedXAImageStorage, "XA", [0.4, 0.2], (0.4, 0.2), UNSAID),
        (BreastTomosynthesisImageStorage, "MG", [0.5, 0.25], (0.5, 0.25), None),
    ],
)
def test_frames_are_held_to_the_same_rules(tmp_path, sop_class, modality, spacing, expected, flag):
    image = made_slice(FLAT, modality=modality, sop_class=sop_class)
    image.ImagerPixelSpacing = [0.5, 0.25]
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = spacing
    group.PixelMeasuresSequence = Sequence([measures])
    image.SharedFunctionalGroupsSequence = Sequence([group])
    (series,) = find_series(written(tmp_path / "a", [image])).series
    assert series.spacing_mm == expected
    assert [said for said in (SAME, UNSAID, BOUNDS) if said in series.flags] == ([flag] if flag else [])


def test_an_enhanced_file_without_shared_groups_falls_back_to_nothing(tmp_path):
    image = made_slice(FLAT, modality="MR", sop_class=EnhancedMRImageStorage)
    del image.RescaleSlope, image.RescaleIntercept
    set_pixels(image, np.stack([FLAT, FLAT + 1]))
    image.NumberOfFrames = 2
    groups = []
    for index in range(2):
        rescale, group = Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = 2.0 + index, 5.0
        group.PixelValueTransformationSequence = Sequence([rescale])
        groups.append(group)
    image.PerFrameFunctionalGroupsSequence = Sequence(groups)
    (series,) = find_series(written(tmp_path / "a", [image])).series
    assert [series.frame(index)[0, 0] for index in range(2)] == [5, 8]
    assert series.spacing_mm is None  # the top of the file says nothing of frames
    assert series.positions is None


def test_padding_is_missing_and_monochrome1_is_turned_over(tmp_path):
    image = made_slice(np.array([[0, 1], [4095, 100]], np.uint16), modality="CR")
    image.PhotometricInterpretation, image.BitsStored, image.HighBit = "MONOCHROME1", 12, 11
    image.PixelPaddingValue = 1
    (series,) = find_series(written(tmp_path / "a", [image])).series
    assert series.is_inverted
    np.testing.assert_array_equal(series.stored(0), [[0, 1], [4095, 100]])
    np.testing.assert_array_equal(series.frame(0), [[-1024, np.nan], [2 * 4095 - 1024, 200 - 1024]])
    np.testing.assert_array_equal(series.stream().values[0], [[2 * 4095 - 1024, np.nan], [-1024, 2 * 3995 - 1024]])


def test_windows_are_the_files_own_with_their_function_then_the_usual(tmp_path):
    image = made_slice(FLAT)
    image.WindowCenter, image.WindowWidth = [40, 40, 500], [80, 80, 2000]
    image.WindowCenterWidthExplanation, image.VOILUTFunction = ["BRAIN", "BRAIN", "DOE^JANE"], "LINEAR_EXACT"
    (series,) = find_series(written(tmp_path / "a", [image])).series
    own = [(one.name, one.center, one.width, one.function) for one in series.window_presets()[:2]]
    assert own == [("brain", 40, 80, "LINEAR_EXACT"), ("window 3", 500, 2000, "LINEAR_EXACT")]
    assert {one.name for one in series.window_presets()[2:]} == {"brain", "lung", "soft tissue", "bone", "liver"}


def test_resampling_keeps_a_linear_field():
    places = np.array([0.0, 1.0, 4.0, 4.5, 9.0])
    field = np.broadcast_to((3 * places)[:, None, None], (5, 2, 2)).astype(np.float32)
    made = resampled(field, places, 0.75)
    np.testing.assert_allclose(made[:, 0, 0], 3 * 0.75 * np.arange(13), rtol=1e-6)
    with pytest.raises(InputError, match="2 to 4096"):
        resampled(field, places, 0.0)


def test_directions_are_named_by_letters():
    assert (plane(AXIAL), letters(AXIAL[:3]), letters(AXIAL[3:])) == ("axial", "L", "P")
    assert (plane(SAGITTAL), letters(SAGITTAL[:3]), letters(SAGITTAL[3:])) == ("sagittal", "P", "I")
    assert letters((0.7071, 0.7071, 0)) in ("LP", "PL")
