"""Colours that files recommend for their structures."""

import pytest
from pydicom import Dataset

from mainstem.data.medical.dicom_colours import colour_of_region, colour_of_segment


def segment(light: float, a: float, b: float) -> Dataset:
    one = Dataset()
    one.RecommendedDisplayCIELabValue = [
        round(light / 100 * 65535), round((a + 128) / 255 * 65535), round((b + 128) / 255 * 65535),
    ]  # fmt: skip
    return one


@pytest.mark.parametrize(
    ("lab", "colour"),
    [
        ((100, 0, 0), (255, 255, 255)), ((0, 0, 0), (0, 0, 0)), ((54.29, 80.81, 69.89), (255, 0, 0)),
        ((87.82, -79.29, 80.99), (0, 255, 0)), ((29.57, 68.30, -112.03), (0, 0, 255)),
    ],
)  # fmt: skip
def test_lab_of_a_segment_becomes_srgb(lab, colour):
    """Source: Lindbloom's calculator, sRGB to Lab at D50."""
    told = colour_of_segment(segment(*lab))
    found = [int(told[at : at + 2], 16) for at in (1, 3, 5)]
    assert found == pytest.approx(colour, abs=2)


def test_a_region_s_colour_is_taken_as_it_is_and_none_is_none():
    one = Dataset()
    assert colour_of_region(one) == colour_of_segment(one) == ""
    one.ROIDisplayColor = [255, 128, 0]
    assert colour_of_region(one) == "#ff8000"
