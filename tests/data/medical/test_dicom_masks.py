"""Contours and segmentations as masks: shapes of known area, real structure sets and segmentations, and back."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_fill import fill, fill_contours, sides_of, to_pixels
from mainstem.data.medical.dicom_geometry import place
from mainstem.data.medical.dicom_masks import read_masks, trace
from mainstem.data.medical.dicom_series import Series, find_series

MIRROR = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "medical"
EVERY = 4  # of a structure's slices one that is measured
SEGMENTATIONS = MIRROR / "dicom" / "dcmqi" / "segmentations"


def distances(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """From each point (x, y) to the nearest of a closed polygon's sides."""
    begin, along = polygon, np.roll(polygon, -1, axis=0) - polygon
    length = np.maximum((along**2).sum(1), 1e-12)
    share = np.clip(((points[:, None] - begin) * along).sum(2) / length, 0, 1)
    return np.linalg.norm(points[:, None] - begin - share[..., None] * along, axis=2).min(1)


def fill_polygon(points: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """True at pixel centres inside of a closed polygon of (x, y)."""
    inside = np.zeros((rows, columns), bool)
    plane = fill(points, np.roll(points, -1, axis=0), rows, columns)
    if plane is not None:
        inside[plane.box] = plane.values
    return inside


def test_a_circle_has_its_area_and_comes_back_within_half_a_pixel():
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([20.3 + 11.7 * np.cos(turn), 18.6 + 11.7 * np.sin(turn)], axis=1)
    mask = fill_polygon(circle, 40, 44)
    assert mask.sum() == pytest.approx(np.pi * 11.7**2, rel=0.02)
    (back,) = trace(mask)
    assert distances(back, circle).max() <= 0.5
    assert distances(circle, back).max() <= 0.75  # the sides between two midpoints cut corners


def test_pixels_whose_centre_lies_inside_are_in_and_no_others():
    square = np.array([[0.5, 0.5], [3.5, 0.5], [3.5, 2.5], [0.5, 2.5]])
    expected = np.zeros((4, 5), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(fill_polygon(square, 4, 5), expected)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_traces_filled_again_are_the_mask(seed, share):
    mask = np.random.default_rng(seed).random((9, 12)) < share
    filled = np.zeros_like(mask)
    for contour in trace(mask):
        filled ^= fill_polygon(contour, *mask.shape)
    np.testing.assert_array_equal(filled, mask)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_lines_that_cross_themselves_are_filled_odd_over_even_wherever_they_run(seed):
    random = np.random.default_rng(seed)
    contours = [random.uniform(-4, 14, (random.integers(3, 9), 2)) for _ in range(3)]
    sides = [np.concatenate(each) for each in zip(*((one, np.roll(one, -1, 0)) for one in contours), strict=True)]
    plane, found = fill(*sides, 9, 11), np.zeros((9, 11), bool)
    if plane is not None:
        found[plane.box] = plane.values
    (x, y), (next_x, next_y) = sides[0].T, sides[1].T
    for row, column in np.ndindex(9, 11):  # a ray to the left
        cuts = (y <= row) != (next_y <= row)
        at = x[cuts] + (row - y[cuts]) / (next_y[cuts] - y[cuts]) * (next_x[cuts] - x[cuts])
        assert found[row, column] == ((at <= column).sum() % 2 == 1)


def stacked(series: Series, heights: list[float]) -> Series:
    """The one slice's grid at other heights along its normal."""
    (only,) = series.slices
    x, y, _ = only.picture.position
    pictures = [replace(only.picture, position=(x, y, z)) for z in heights]
    return replace(series, slices=(only,) * len(pictures), placement=place(pictures))


@pytest.mark.mirror
def test_contours_of_a_real_case_become_masks_and_contours_within_half_a_pixel():
    path = MIRROR / "rt_breast_boost" / "rtss.dcm"
    (series,) = find_series(MIRROR / "rt_breast_boost" / "ct.0.dcm").series
    masks = {mask.name: mask for mask in read_masks(path, series)}
    assert (len(masks), masks["BODY"].outside, masks["Heart"].outside) == (10, 137, 33)  # the mirror has one slice
    assert masks["BODY"].values.sum() > 10_000
    dataset = pydicom.dcmread(path)
    worst, num = 0.0, 0
    for region in dataset.ROIContourSequence[1:]:  # all but the body's outline
        contours = [np.reshape(one.ContourData, (-1, 3)).astype(float) for one in region.get("ContourSequence", [])
                    if one.ContourGeometricType == "CLOSED_PLANAR" and one.NumberOfContourPoints > 2]  # fmt: skip
        if not contours:
            continue
        heights = sorted({float(one[0, 2]) for one in contours})
        grid = stacked(series, heights)
        sides = sides_of(np.concatenate(contours), [len(one) for one in contours], grid)
        assert sides.outside == 0
        values = np.zeros((len(grid), grid.rows, grid.columns), bool)
        for index, plane in fill_contours(sides, grid.rows, grid.columns).items():
            values[index][plane.box] = plane.values
        for index in np.flatnonzero(values.any((1, 2)))[::EVERY]:
            placed = [to_pixels(one, [len(one)], grid) for one in contours]
            drawn = [points for which, points in placed if which[0] == index]
            for back in trace(values[index]):
                worst = max(worst, float(np.min([distances(back[::5], one) for one in drawn], axis=0).max()))
                num += 1
    assert num > 60
    assert worst <= 0.5


@pytest.mark.mirror
def test_segmentations_lie_on_the_grid_of_their_ct():
    (series,) = find_series(SEGMENTATIONS / "ct-3slice").series
    (liver,) = read_masks(SEGMENTATIONS / "liver.dcm", series)
    assert (liver.name, liver.outside, liver.values.shape) == ("Liver", 0, (3, 512, 512))
    dataset = pydicom.dcmread(SEGMENTATIONS / "liver.dcm")
    for frame, group in zip(dataset.pixel_array, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        height = group.PlanePositionSequence[0].ImagePositionPatient[2]
        (index,) = np.flatnonzero(np.isclose(series.positions[:, 2], height))
        np.testing.assert_array_equal(liver.values[index], frame)
    masks = read_masks(SEGMENTATIONS / "partial_overlaps.dcm", series)
    assert [int(mask.values.sum()) for mask in masks] == [9602, 11888, 10743, 6693, 4713]
    hounsfield = series.stream().values[0][liver.values > 0]
    assert 0 < np.median(hounsfield) < 120  # liver, with contrast or without


@pytest.mark.mirror
def test_frames_of_bits_that_end_within_a_byte_are_unpacked():
    folder = SEGMENTATIONS / "24x38x3"
    (series,) = find_series(folder / "image").series
    (mask,) = read_masks(folder / "seg" / "label.seg", series)
    np.testing.assert_array_equal(mask.values, series.stream().values[0])
    (other,) = find_series(SEGMENTATIONS / "23x38x3" / "image").series
    with pytest.raises(InputError, match="another series"):
        read_masks(folder / "seg" / "label.seg", other)
    (odd,) = read_masks(SEGMENTATIONS / "23x38x3" / "seg" / "label.seg", other)
    assert odd.values.sum((1, 2)).tolist() == [4, 314, 4]
