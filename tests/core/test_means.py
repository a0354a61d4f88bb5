"""Means of samples that belong together: their intervals come from means, because their errors are correlated."""

import numpy as np
import pytest

from mainstem.core.judging import mean_calibration
from mainstem.core.means import Judged, mean_view, sizes_by
from mainstem.core.stream import Provenance, Sample


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


def sizes(labels: tuple[str, ...], pixels: int) -> list[int]:
    return [pixels] * len(labels)


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
        means = mean_calibration("whole", judged, labels, "test", sizes=sizes(labels, 400))
        found = means | {"whole": judged.calibration("test")}
        fresh, fresh_labels = farms(200, shared, own, seed=1, first=1000, pixels=400)  # as many as a map averages
        means = fresh.means(fresh_labels)
        half = found[mean_view("whole")].half_width(0.9) * means.scale
        assert 0.87 <= float((np.abs(means.truth - means.mean) <= half).mean()) <= 0.95
        assert (half.mean() < 0.6 * found["whole"].half_width(0.9)) == (shared < own)  # pixels' own errors average out


def test_four_pixels_a_field_give_intervals_that_hold_for_the_mean_of_hundreds():
    judged, labels = farms(200, 0.5, 1.0, pixels=4)
    found = mean_calibration("whole", judged, labels, "test", sizes=sizes(labels, 400))
    half = found[mean_view("whole")].half_width(0.9)
    fresh, fresh_labels = farms(200, 0.5, 1.0, seed=1, first=1000, pixels=400)
    means = fresh.means(fresh_labels)

    def coverage(width: float) -> float:
        return float((np.abs(means.truth - means.mean) <= width).mean())

    assert coverage(judged.means(labels).calibration("test").half_width(0.9)) > 0.97  # sized for means of four
    assert 0.87 <= coverage(half) <= 0.93


def test_one_pixel_a_field_or_none_of_their_own_error_leaves_means_as_they_are():
    for judged, labels in (farms(20, 1.0, 1.0, pixels=1), farms(20, 1.0, 0.0, pixels=4)):
        np.testing.assert_allclose(judged.means_of_all(labels, sizes(labels, 400)).mean, judged.means(labels).mean)
    judged, labels = farms(50, 0.0, 1.0, pixels=4)  # own errors alone: what is left is that of the farms' means
    left = judged.means_of_all(labels, sizes(labels, 400))
    assert np.std(left.truth - left.mean) < 0.6 * np.std(judged.means(labels).truth - judged.means(labels).mean)


@pytest.mark.parametrize("pixels", [2, 4, 10])
def test_fields_read_whole_or_of_unknown_size_have_intervals_that_hold_for_such_fields(pixels):
    judged, labels = farms(200, 0.5, 2.0, pixels=pixels)
    fresh, fresh_labels = farms(200, 0.5, 2.0, seed=1, first=1000, pixels=pixels)
    means = fresh.means(fresh_labels)
    for known in ((), sizes(labels, pixels), sizes(labels, 0)):
        half = mean_calibration("whole", judged, labels, "test", sizes=known)[mean_view("whole")].half_width(0.9)
        assert 0.88 <= float((np.abs(means.truth - means.mean) <= half).mean()) <= 0.93


def test_each_field_is_narrowed_by_what_of_it_was_not_read():
    small, small_labels = farms(400, 0.5, 1.0, pixels=4)
    large, large_labels = farms(400, 0.5, 1.0, first=1000, pixels=4)
    both = Judged.join([small, large]).means_of_all(
        (*small_labels, *large_labels), [*sizes(small_labels, 4), *sizes(large_labels, 8)]
    )
    error, num = both.truth - both.mean, 400 * 5
    of_small = np.array(["field 0-" in label for label in np.unique([*small_labels, *large_labels])])
    assert of_small.sum() == num
    measured = small.means(small_labels)
    np.testing.assert_allclose(np.sort(error[of_small]), np.sort(measured.truth - measured.mean), atol=1e-9)
    assert np.var(error[~of_small]) == pytest.approx(0.25 + 1 / 8, rel=0.12)  # of four pixels: 0.25 + 1 / 4


def test_the_size_of_a_field_is_read_from_its_samples():
    def one(**facts: float) -> Sample:
        return Sample(streams={}, target=None, source=Provenance(data="", item="", facts=facts))

    assert sizes_by([one(samples_of_field=324.0), one()], "field") == (324, 0)


def test_without_labels_or_with_one_group_there_are_no_means():
    judged, labels = farms(1, 1.0, 1.0)
    assert mean_calibration("whole", judged, [""] * len(labels), "test") == {}
    assert mean_calibration("whole", judged, labels, "test") == {}
