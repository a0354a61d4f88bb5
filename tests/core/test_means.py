"""Means of samples that belong together: their intervals come from means, because their errors are correlated."""

import numpy as np

from mainstem.core.judging import mean_calibration
from mainstem.core.means import Judged, mean_view


def farms(num: int, shared: float, own: float, seed: int = 0, first: int = 0):
    """Pixels of fields whose errors have a part that the field shares."""
    rng = np.random.default_rng([seed, first])
    field = np.repeat(np.arange(num * 5), 20)
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
        fresh, fresh_labels = farms(200, shared, own, seed=1, first=1000)
        means = fresh.means(fresh_labels)
        half = found[mean_view("whole")].half_width(0.9) * means.scale
        assert 0.87 <= float((np.abs(means.truth - means.mean) <= half).mean()) <= 0.94
        assert (half.mean() < 0.6 * found["whole"].half_width(0.9)) == (shared < own)  # pixels' own errors average out


def test_without_labels_or_with_one_group_there_are_no_means():
    judged, labels = farms(1, 1.0, 1.0)
    assert mean_calibration("whole", judged, [""] * len(labels), "test") == {}
    assert mean_calibration("whole", judged, labels, "test") == {}
