"""Trees as arrays say what scikit-learn's say, to the bit that saving keeps, and refuse arrays that are none."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor

from mainstem.core.trees import Trees


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 6))
    features[:, 3] = np.round(features[:, 3])  # thresholds between equal steps
    return features, np.sin(features[:, 0]) + features[:, 1] * (features[:, 3] > 0) + rng.normal(0, 0.1, 400)


def extra_trees(features, target) -> tuple[ExtraTreesRegressor, Trees]:
    fitted = ExtraTreesRegressor(20, min_samples_leaf=2, random_state=0).fit(features, target)
    return fitted, Trees.read([tree.tree_ for tree in fitted.estimators_], 0.0, 1 / 20)


def test_a_forest_as_arrays_says_the_same(table):
    features, target = table
    fitted, trees = extra_trees(features, target)
    new = np.random.default_rng(1).normal(size=(5000, 6)) * 2
    np.testing.assert_allclose(trees(new), fitted.predict(new), atol=1e-6)
    assert trees(new[:0]).shape == (0,)


def test_boosting_as_arrays_says_the_same(table):
    features, target = table
    fitted = GradientBoostingRegressor(n_estimators=30, init="zero", random_state=0).fit(features, target)
    trees = Trees.read([tree.tree_ for tree in fitted.estimators_[:, 0]], 0.0, 0.1)
    np.testing.assert_allclose(trees(features), fitted.predict(features), atol=1e-5)


def test_thresholds_between_two_floats_part_them_as_before():
    low, high = np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1))
    features = np.array([[low]] * 5 + [[high]] * 5, np.float64)
    fitted = ExtraTreesRegressor(5, random_state=0).fit(features, np.repeat([1.0, 2.0], 5))
    trees = Trees.read([tree.tree_ for tree in fitted.estimators_], 0.0, 1 / 5)
    np.testing.assert_array_equal(trees(features), fitted.predict(features))


def test_restored_trees_are_equal_to_the_bit(table):
    features, target = table
    _, trees = extra_trees(features, target)
    plain, arrays = trees.state()
    again = Trees.restore(plain, arrays, 6)
    np.testing.assert_array_equal(again(features), trees(features))


@pytest.mark.parametrize(
    ("name", "value"),
    [("left", -1), ("right", 10**6), ("roots", -5), ("feature", 6), ("feature", -1), ("value", np.nan)],
)
def test_arrays_that_are_no_trees_are_refused(table, name, value):
    _, trees = extra_trees(*table)
    plain, arrays = trees.state()
    broken = arrays[name].copy()
    broken[0] = value
    with pytest.raises(ValueError, match="trees"):
        Trees.restore(plain, {**arrays, name: broken}, 6)


@pytest.mark.parametrize("depth", [-1, 10**9])
def test_a_depth_that_no_tree_has_is_refused(table, depth):
    _, trees = extra_trees(*table)
    plain, arrays = trees.state()
    with pytest.raises(ValueError, match="trees"):
        Trees.restore({**plain, "depth": depth}, arrays, 6)
