"""Geometry: spacing whatever the orientation, metres where the unit is known, and nothing where it is not."""

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Geometry, Stream


def test_spacing_is_the_length_of_each_axis_however_the_scanner_stood():
    tilt = np.deg2rad(20)
    turned = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turned * [0.5, 0.5, 3.0]
    affine[:3, 3] = -120.0
    geometry = Geometry(affine=affine, unit="mm", frame="patient LPS")
    assert geometry.spacing() == pytest.approx((0.5, 0.5, 3.0))
    assert geometry.spacing_m() == pytest.approx((5e-4, 5e-4, 3e-3))


def test_a_spacing_in_metres_is_kept_to_the_bit_and_counts_from_the_corner():
    for metres in (10.0, 0.1, 1 / 3):
        geometry = Geometry.of_spacing(metres)
        assert geometry.spacing_m() == (metres, metres, metres)
        assert (geometry.affine @ [0, 0, 0, 1])[:3].tolist() == [metres / 2] * 3
    assert Geometry.of_spacing((1.0, 2.0, 3.0)).spacing_m() == (1.0, 2.0, 3.0)


def test_an_unknown_unit_gives_no_metres():
    with pytest.raises(InputError, match="has no unit"):
        Geometry(affine=np.eye(4)).spacing_m()
    with pytest.raises(InputError, match="got a geometry in 'cm'"):
        Geometry(affine=np.eye(4), unit="cm")  # type: ignore[arg-type]


FLAT = np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # two axes are one


@pytest.mark.parametrize(
    "affine", [np.eye(3), np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 0, 1, 1]), FLAT]
)
def test_what_is_no_affine_is_refused(affine):
    with pytest.raises(InputError, match="4 x 4"):
        Geometry(affine=affine)


@pytest.mark.parametrize("metres", [0.0, -1.0, float("nan"), float("inf"), (1.0, 2.0)])
def test_pixels_without_a_size_are_refused(metres):
    with pytest.raises(InputError, match="above 0"):
        Geometry.of_spacing(metres)


def test_images_and_volumes_lead_with_their_channels():
    grey = (Channel(name="grey", unit="1"),)
    assert Stream(kind="image", values=np.zeros((1, 3, 4)), channels=grey).observed().all()
    with pytest.raises(InputError, match="want 3 dims"):
        Stream(kind="image", values=np.zeros((1, 2, 3, 4)), channels=grey)
    with pytest.raises(InputError, match="for 1 channels"):
        Stream(kind="volume", values=np.zeros((2, 2, 3, 4)), channels=grey)
