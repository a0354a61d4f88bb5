"""Volumes turned: every voxel keeps its place in the patient, and comes back to the grid that it was on."""

from itertools import permutations, product

import numpy as np
import pytest

from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.data.medical.axes import OBLIQUE, RAS, as_stored, axes_of, reordered, to_model, turned

WAYS = ["".join(way) for sides in permutations(("RL", "AP", "IS")) for way in product(*sides)]  # 48


def volume(affine: np.ndarray) -> Stream:
    values = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    geometry = Geometry(affine=affine, unit="mm", frame="LPS")
    return Stream(kind="volume", values=values, channels=(Channel(name="a", unit="1"),), geometry=geometry)


def tilted() -> Stream:
    """A volume of three sides, somewhat tilted, whose x runs to the front, y down and z to the left."""
    angle = np.deg2rad(25)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.array([[0, 0, 3.0], [-1.0, 0, 0], [0, -2.0, 0]])
    affine[:3, 3] = 5, 6, 7
    return volume(affine)


def places(stream: Stream) -> dict[float, tuple[float, ...]]:
    """Of each value, where it lies."""
    z, y, x = np.indices(stream.values.shape[1:]).reshape(3, -1)
    found = (stream.geometry.affine @ np.vstack([x, y, z, np.ones(len(x))]))[:3].T.round(6)
    return dict(zip(stream.values.ravel().tolist(), map(tuple, found.tolist()), strict=True))


@pytest.mark.parametrize("axes", WAYS)
def test_turned_voxels_keep_their_places_and_come_back(axes):
    first = tilted()
    assert axes_of(first) == "AIL"
    there = turned(first, axes)
    assert axes_of(there) == axes
    assert places(there) == places(first)
    back = turned(there, "AIL")
    np.testing.assert_array_equal(back.values, first.values)
    np.testing.assert_allclose(back.geometry.affine, first.geometry.affine, atol=1e-12)
    np.testing.assert_array_equal(reordered(there.values[0], axes, "AIL"), first.values[0])


@pytest.mark.parametrize("axes", WAYS)
def test_what_a_model_says_lies_where_it_was_asked(axes):
    study = turned(tilted(), axes)
    shown, facts = to_model(study)
    assert axes_of(shown) == RAS
    sample = Sample(streams={"image": shown}, target=None, source=Provenance(data="", item="", facts=facts))
    np.testing.assert_array_equal(as_stored(shown.values[0] > 7, sample), study.values[0] > 7)


def test_what_lies_so_already_or_along_no_side_stays_the_same_object():
    plain, half = volume(np.diag([-1.0, -1.0, 1.0, 1.0])), np.eye(4)
    assert to_model(plain)[0] is plain
    third = np.array([1, 1, 1]) / np.sqrt(3)
    cross = np.array([[0, -third[2], third[1]], [third[2], 0, -third[0]], [-third[1], third[0], 0]])
    half[:3, :3] = np.cos(1.05) * np.eye(3) + np.sin(1.05) * cross + (1 - np.cos(1.05)) * np.outer(third, third)
    half[:3, 1] = half[:3, 0] + 0.5 * half[:3, 1]  # two axes nearest to one side
    oblique = volume(half)
    assert axes_of(oblique) == OBLIQUE
    assert to_model(oblique)[0] is oblique
    assert axes_of(tilted(), 20.0) == OBLIQUE
