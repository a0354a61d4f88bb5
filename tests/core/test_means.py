"""Means of samples that belong together: their intervals come from means, because their errors are correlated."""

import numpy as np

from mainstem.core.judging import mean_calibration
from mainstem.core.means import Judged, mean_view


def farms(num: int, shared: float, own: float, seed: int = 0, first: int = 0, pixels: int = 20):
    """Pixels of fields whose errors have a part that the field shares."""
    rng = np.random.default_rng([seed, first])
    field = np.repeat(np.arange(num * 5), pixels)
    error = rng.normal(0, shared, num * 5)[field] + rng.normal(0, own, len(field))
    truth = rng.normal(8, 1, len(field))
    groups = tuple(f"farm {first + row // 5}" for row in field)
    labels = tuple(f"field {first}-{row}" for row in field)
    judged = Judged(truth=truth, mean=truth - error, scale=np.ones(len(field)), groups=groups)
    return judged, labels


def test_means_are_those_of_their_label_and_unlabelled_ones_are_left_out():
    judged = Judged(
        truth=np.array([1.0, 3.0, 10.0, 20.0]), mean=np.array([2.0, 2.0, 8.0, 0.0]),
        scale=np.array([1.0, 3.0, 5.0, 9.0]), groups=("a", "a", "b", "b"),
    )  # fmt: skip
    means = judged.means(("x", "x", "y", ""))
    assert means.truth.tolist() == [2.0, 10.0]
    assert means.mean.tolist() == [2.0, 8.0]
    assert means.scale.tolist() == [2.0, 5.0]
    assert means.groups == ("a", "b")


def test_intervals_of_means_cover_where_the_mean_of_pixel_intervals_would_not_be_right():
    for shared, own in ((1.0, 0.2), (0.2, 1.0)):
        judged, labels = farms(60, shared, own)
        found = mean_calibration("whole", judged, labels, "test") | {"whole": judged.calibration("test")}
        fresh, fresh_labels = farms(200, shared, own, seed=1, first=1000, pixels=400)  # as many as a map averages
        means = fresh.means(fresh_labels)
        half = found[mean_view("whole")].half_width(0.9) * means.scale
        assert 0.87 <= float((np.abs(means.truth - means.mean) <= half).mean()) <= 0.95
        assert (half.mean() < 0.6 * found["whole"].half_width(0.9)) == (shared < own)  # pixels' own errors average out


def test_four_pixels_a_field_give_intervals_that_hold_for_the_mean_of_hundreds():
    judged, labels = farms(200, 0.5, 1.0, pixels=4)
    half = mean_calibration("whole", judged, labels, "test")[mean_view("whole")].half_width(0.9)
    fresh, fresh_labels = farms(200, 0.5, 1.0, seed=1, first=1000, pixels=400)
    means = fresh.means(fresh_labels)

    def coverage(width: float) -> float:
        return float((np.abs(means.truth - means.mean) <= width).mean())

    assert coverage(judged.means(labels).calibration("test").half_width(0.9)) > 0.97  # sized for means of four
    assert 0.87 <= coverage(half) <= 0.93


def test_one_pixel_a_field_or_none_of_their_own_error_leaves_means_as_they_are():
    for judged, labels in (farms(20, 1.0, 1.0, pixels=1), farms(20, 1.0, 0.0, pixels=4)):
        np.testing.assert_allclose(judged.means_of_all(labels).mean, judged.means(labels).mean)
    judged, labels = farms(50, 0.0, 1.0, pixels=4)  # own errors alone: what is left is that of the farms' means
    left = judged.means_of_all(labels)
    assert np.std(left.truth - left.mean) < 0.6 * np.std(judged.means(labels).truth - judged.means(labels).mean)


def test_without_labels_or_with_one_group_there_are_no_means():
    judged, labels = farms(1, 1.0, 1.0)
    assert mean_calibration("whole", judged, [""] * len(labels), "test") == {}
    assert mean_calibration("whole", judged, labels, "test") == {}
