"""Quaternions against SciPy's, which is an implementation of its own."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mainstem.core import rotations

RNG = np.random.default_rng(0)
VECTORS = np.concatenate([RNG.normal(size=(50, 3)), RNG.normal(size=(5, 3)) * 1e-9, np.zeros((1, 3))])


def scipy_of(rotation):
    return Rotation.from_quat(rotation[..., [1, 2, 3, 0]])


def test_exponential_product_and_rotation_are_as_scipys():
    quats = rotations.exp(VECTORS)
    assert np.allclose(scipy_of(quats).as_matrix(), Rotation.from_rotvec(VECTORS).as_matrix(), atol=1e-12)
    assert np.allclose(rotations.to_matrix(quats), scipy_of(quats).as_matrix(), atol=1e-12)
    other = rotations.exp(VECTORS[::-1])
    product = scipy_of(quats) * scipy_of(other)
    assert np.allclose(scipy_of(rotations.multiply(quats, other)).as_matrix(), product.as_matrix(), atol=1e-12)
    points = RNG.normal(size=VECTORS.shape)
    assert np.allclose(rotations.rotate(quats, points), scipy_of(quats).apply(points), atol=1e-12)
    assert np.allclose(rotations.rotate(rotations.conjugate(quats), rotations.rotate(quats, points)), points)


@pytest.mark.parametrize("angle", [1e-10, 1e-3, 1.0, np.pi - 1e-6])
def test_the_logarithm_undoes_the_exponential(angle):
    axes = RNG.normal(size=(20, 3))
    vectors = axes / np.linalg.norm(axes, axis=1, keepdims=True) * angle
    assert np.allclose(rotations.log(rotations.exp(vectors)), vectors, rtol=1e-6)
    assert np.allclose(rotations.log(-rotations.exp(vectors)), vectors, rtol=1e-6)


def test_matrices_give_their_quaternions_back_whichever_part_is_largest():
    turned = np.concatenate([rotations.exp(VECTORS), np.eye(4)])
    back = rotations.from_matrix(rotations.to_matrix(turned))
    assert np.allclose(np.abs((back * turned).sum(-1)), 1, atol=1e-12)
    assert (back[:, 0] >= 0).all()


def test_skew_is_the_cross_product():
    left, right = RNG.normal(size=(2, 10, 3))
    assert np.allclose(np.einsum("nij,nj->ni", rotations.skew(left), right), np.cross(left, right))
