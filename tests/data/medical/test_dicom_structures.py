"""Structure sets and segmentations that are not of the series, name the patient, or are damaged, large or odd."""

import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset, FileDataset
from tests.data.medical.dicom_made import AXIAL, made_slice, written

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_labels, dicom_values
from mainstem.data.medical.dicom_labels import labels_on, write_masks
from mainstem.data.medical.dicom_series import Series, find_series

SEG, SET = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
SIDE, SLICES = 16, 3
CORNER = np.zeros((SIDE, SIDE), np.uint8)
CORNER[2:4, 2:6] = 1


def of_patient(dataset: FileDataset, number: str = "P-0017", name: str = "Doe^Jane") -> FileDataset:
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = number, name, "19500101"
    return dataset


def images(slices: int = SLICES, side: int = SIDE) -> list[FileDataset]:
    """Slices 1 mm apart of pixels of 0.5 by 0.25 mm."""
    return [
        of_patient(made_slice(np.zeros((side, side), np.int16), position=(0, 0, z), number=z + 1))
        for z in range(slices)
    ]


def bare(like: FileDataset, kind: str, modality: str) -> FileDataset:
    """An object of another kind with all that a slice says of patient, study and place."""
    made = made_slice(CORNER, sop_class=kind, modality=modality, series=modality)
    for keyword in ("PatientID", "PatientName", "PatientBirthDate"):
        setattr(made, keyword, like.get(keyword))
    return made


def box(low: float, high: float, z: float, kind: str = "CLOSED_PLANAR") -> Dataset:
    """A square contour from one pixel to another."""
    item = Dataset()
    item.ContourGeometricType = kind
    corners = [(low, low), (high, low), (high, high), (low, high)]
    item.ContourData = [each for x, y in corners for each in (x * 0.25, y * 0.5, z)]
    return item


def structure_set(regions: Sequence[tuple[int, str, Sequence[Dataset]]]) -> FileDataset:
    """A structure set of number, name and contours of each region, drawn on the made slices."""
    like = images(1)[0]
    made = bare(like, SET, "RTSTRUCT")
    for keyword in ("Rows", "Columns", "BitsAllocated", "PixelData"):
        delattr(made, keyword)
    made.StructureSetROISequence, made.ROIContourSequence = [], []
    for number, name, contours in regions:
        told, drawn = Dataset(), Dataset()
        told.ROINumber, told.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ContourSequence = number, list(contours)
        made.StructureSetROISequence.append(told)
        made.ROIContourSequence.append(drawn)
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID, frame.FrameOfReferenceUID = like.SeriesInstanceUID, like.FrameOfReferenceUID
    study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [series], [study]
    made.ReferencedFrameOfReferenceSequence = [frame]
    return made


def segmentation(
    segments: Sequence[tuple[int, str]],
    frames: Sequence[tuple[int, int, np.ndarray]],
    kind: str = "BINARY",
    one: int | None = None,
) -> FileDataset:
    """A segmentation of number and label of each segment, and segment, slice and values of each frame."""
    like = images(1)[0]
    made = bare(like, SEG, "SEG")
    made.SegmentationType, made.NumberOfFrames = kind, len(frames)
    if one is not None:
        made.MaximumFractionalValue = one
    made.PixelData = b"".join(values.astype(np.uint8).tobytes() for _, _, values in frames)
    made.SegmentSequence, made.PerFrameFunctionalGroupsSequence = [], []
    for number, label in segments:
        told = Dataset()
        told.SegmentNumber, told.SegmentLabel = number, label
        made.SegmentSequence.append(told)
    for number, z, _ in frames:
        group, position, own = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient, own.ReferencedSegmentNumber = [0, 0, z], number
        group.PlanePositionSequence, group.SegmentIdentificationSequence = [position], [own]
        made.PerFrameFunctionalGroupsSequence.append(group)
    shared, measures, orientation, source = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 1
    orientation.ImageOrientationPatient = list(AXIAL)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence = [shared]
    source.SeriesInstanceUID = like.SeriesInstanceUID
    made.ReferencedSeriesSequence = [source]
    return made


def laid(folder: Path, mask: FileDataset, given: Sequence[FileDataset] | None = None) -> tuple[dict[str, int], str]:
    """Voxels of each structure that is laid over the slices, and the faults."""
    found = find_series(written(folder, [*(given or images()), mask]))
    (series,) = (one for one in found.series if not one.is_mask)
    assert isinstance(series, Series)
    layers, faults = labels_on(series, found.masks)
    counts = {name: int((one.values == label).sum()) for one in layers for label, name in enumerate(one.names, start=1)}
    return counts, "; ".join(faults)


SOUND = [(1, "liver", [box(1.5, 5.5, 1)])]


def test_structures_of_the_series_are_laid_over_it(tmp_path):
    assert laid(tmp_path / "a", structure_set(SOUND)) == ({"liver": 16}, "")
    assert laid(tmp_path / "b", segmentation([(1, "liver")], [(1, 0, CORNER)])) == ({"liver": 8}, "")


def without_series(mask: FileDataset) -> FileDataset:
    for item in mask.get("ReferencedFrameOfReferenceSequence", ()):
        del item.RTReferencedStudySequence
    mask.pop("ReferencedSeriesSequence", None)
    return mask


def without_frame(mask: FileDataset) -> FileDataset:
    mask.FrameOfReferenceUID = ""
    for item in mask.get("ReferencedFrameOfReferenceSequence", ()):
        item.FrameOfReferenceUID = ""
    return mask


def in_another_frame(mask: FileDataset) -> FileDataset:
    mask.FrameOfReferenceUID = "9.9.9"
    for item in mask.get("ReferencedFrameOfReferenceSequence", ()):
        item.FrameOfReferenceUID = "9.9.9"
    return mask


@pytest.mark.parametrize("mask", [structure_set(SOUND), segmentation([(1, "liver")], [(1, 0, CORNER)])])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda mask: of_patient(mask, "P-0099", "Roe^Rick"), "names another patient"),
        (in_another_frame, "another frame of reference"),
        (lambda mask: without_frame(without_series(mask)), "names neither the series nor its frame of reference"),
    ],
)
def test_a_mask_that_is_not_of_the_series_is_not_laid_over_it_and_said(tmp_path, mask, change, said):
    counts, faults = laid(tmp_path, change(deepcopy(mask)))
    assert counts == {}
    assert said in faults


@pytest.mark.parametrize("change", [without_series, without_frame])
def test_the_series_or_its_frame_of_reference_is_enough(tmp_path, change):
    assert laid(tmp_path, change(structure_set(SOUND))) == ({"liver": 16}, "")


def test_two_empty_frames_of_reference_are_not_the_same_one(tmp_path):
    mask = without_frame(without_series(segmentation([(1, "liver")], [(1, 0, CORNER)])))
    counts, faults = laid(tmp_path, mask, [without_frame(one) for one in images()])
    assert (counts, "names neither" in faults) == ({}, True)


def test_a_structure_whose_name_holds_the_patient_s_is_called_by_its_number(tmp_path):
    given = [*images(), structure_set([(7, "DOE JANE gtv", [box(1.5, 5.5, 1)]), (8, "", [box(8.5, 9.5, 1)])])]
    write_masks(written(tmp_path / "a", given), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "names.csv")["name"].tolist() == ["structure 7", "structure 8"]
    segments = [(3, "Jane"), (4, "P-0017"), (5, "spleen")]
    counts, _ = laid(tmp_path / "b", segmentation(segments, [(3, 0, CORNER)]))
    assert set(counts) == {"structure 3", "structure 4", "spleen"}


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_a_damaged_contour_loses_its_own_structure_alone_and_names_it(tmp_path, kind):
    bad = box(1.5, 5.5, 1, kind)
    bad.ContourData = [1, 2]
    assert laid(tmp_path, structure_set([*SOUND, (2, "spleen", [box(8.5, 9.5, 1), bad])])) == (
        {"liver": 16},
        "spleen: 1 of its contours are no list of three or more points in mm; it is not read",
    )


def test_open_contours_are_counted_and_said(tmp_path):
    lines = [box(1.5, 5.5, 1), box(1.5, 5.5, 0, "OPEN_PLANAR"), box(1.5, 5.5, 2, "OPEN_NONPLANAR")]
    counts, faults = laid(tmp_path, structure_set([(1, "liver", lines)]))
    assert counts == {"liver": 16}
    assert faults == "liver: 2 open contours, which enclose nothing, are not shown"


@pytest.mark.parametrize(
    "mask",
    [
        structure_set([*SOUND, (1, "tumour", [box(8.5, 9.5, 1)])]),
        segmentation([(1, "liver"), (1, "tumour")], [(1, 0, CORNER)]),
    ],
)
def test_two_structures_of_one_number_are_refused(tmp_path, mask):
    counts, faults = laid(tmp_path, mask)
    assert (counts, "two structures of number 1" in faults) == ({}, True)


def test_only_fractions_are_divided_by_their_maximum(tmp_path):
    assert laid(tmp_path / "a", segmentation([(1, "liver")], [(1, 0, CORNER)], one=255))[0] == {"liver": 8}
    share = [(1, 0, CORNER * 150)]
    assert laid(tmp_path / "b", segmentation([(1, "liver")], share, "FRACTIONAL", 200))[0] == {"liver": 8}
    assert laid(tmp_path / "c", segmentation([(1, "liver")], [(1, 0, CORNER * 90)], "FRACTIONAL", 200))[0] == {
        "liver": 0
    }
    for index, one in enumerate((0, None, 100)):
        counts, faults = laid(tmp_path / f"d{index}", segmentation([(1, "liver")], share, "FRACTIONAL", one))
        assert (counts, "raction" in faults) == ({}, True)


def test_a_frame_of_a_segment_that_is_not_described_is_refused(tmp_path):
    counts, faults = laid(tmp_path, segmentation([(1, "liver")], [(0, 0, CORNER)]))
    assert (counts, "a frame of segment 0, which the file does not describe" in faults) == ({}, True)


def test_a_label_map_and_tiles_of_one_slice_are_put_together(tmp_path):
    frames = [(0, 0, CORNER), (0, 2, CORNER * 2)]
    assert laid(tmp_path / "a", segmentation([(1, "a"), (2, "b")], frames, "LABELMAP"))[0] == {"a": 8, "b": 8}
    tiles = [(1, 0, CORNER), (1, 0, CORNER.T)]
    assert laid(tmp_path / "b", segmentation([(1, "a")], tiles))[0] == {"a": int((CORNER | CORNER.T).sum())}


def test_a_hundred_structures_over_one_another_take_their_own_slices_alone(tmp_path, monkeypatch):
    mask = structure_set([(number, f"r{number}", [box(1.5, 5.5, 1)]) for number in range(1, 101)])
    counts, faults = laid(tmp_path / "a", mask)
    assert (counts, "more than 64 structures lie over one another" in faults) == ({}, True)
    monkeypatch.setattr(dicom_labels, "MOST_LAYERS", 100)
    counts, faults = laid(tmp_path / "b", mask)
    assert (len(counts), faults) == (100, "")
    monkeypatch.setattr(dicom_labels, "MOST_LAID", 50 * SIDE * SIDE)
    counts, faults = laid(tmp_path / "c", mask)
    assert (counts, "bytes as volumes of labels" in faults) == ({}, True)


def test_more_structures_than_any_atlas_has_are_refused(tmp_path):
    many = [(number, f"s{number}") for number in range(1, dicom_values.MOST_STRUCTURES + 2)]
    counts, faults = laid(tmp_path, segmentation(many, [(1, 0, CORNER)]))
    assert (counts, "1001 structures, want at most 1000" in faults) == ({}, True)


def test_ten_thousand_contours_are_filled_in_seconds(tmp_path):
    regions = [(number, f"r{number}", [box(1.5, 500.5, 0)] * 2001) for number in range(1, 6)]
    found = find_series(written(tmp_path, [*images(2, 512), structure_set(regions)]))
    (series,) = found.series
    begin = time.process_time()
    (layer, *others), faults = labels_on(series, found.masks)
    assert time.process_time() - begin < 10  # of this process; it was minutes
    assert (len(others), faults, int((layer.values == 1).sum())) == (4, (), 499 * 499)


def test_what_is_refused_leaves_no_folder(tmp_path):
    given = written(tmp_path / "given", [*images(), of_patient(structure_set(SOUND), "P-0099")])
    with pytest.raises(InputError, match=r"no mask fits a series: .*names another patient"):
        write_masks(given, tmp_path / "out")
    assert not (tmp_path / "out").exists()
