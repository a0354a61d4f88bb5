"""Errors that have moved are noticed whatever their direction, and as seldom where nothing moved as is said."""

from collections.abc import Sequence

import numpy as np
import pytest

from mainstem.core.conformal import Calibration
from mainstem.core.residuals import moved_p_value

STATED = 0.2  # share of ordinary labels that may be called moved
KNOWN = 12


def groups_of(sizes: Sequence[int], rng: np.random.Generator, moved: Sequence[float] = ()) -> list[np.ndarray]:
    """Scores of groups, each with an error that all of its cases share."""
    offsets = rng.normal(0, 0.5, len(sizes)) + (np.array(moved) if len(moved) else 0.0)
    return [rng.normal(offset, 1, size) for offset, size in zip(offsets, sizes, strict=True)]


def share_called_moved(
    sizes: Sequence[int], known: Sequence[int], moved: Sequence[float] = (), num: int = 200
) -> float:
    rng = np.random.default_rng(1)
    return float(
        np.mean([moved_p_value(groups_of(sizes, rng, moved), groups_of(known, rng)) <= STATED for _ in range(num)])
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("sizes", "known"),
    [
        ([40], [40] * KNOWN),
        ([40] * 3, [40] * KNOWN),
        ([40] * 12, [40] * KNOWN),
        ([1] * 12, [200] * KNOWN),  # means of few scatter more: that is no move
        ([1, 5, 100], [40] * KNOWN),
        ([40] * 6, [1, 5, 40, 200] * 3),
        ([40] * 3, [40] * 2),
    ],
)
def test_ordinary_labels_are_called_moved_no_oftener_than_stated(sizes, known):
    assert share_called_moved(sizes, known) <= STATED + 0.057  # two standard errors of 200


@pytest.mark.parametrize(
    "moved",
    [[3.0], [-3.0] * 4, [6.0, -6.0] * 6, [1.5, -1.5] * 6, [2.0, -2.0, 2.0, -2.0, *[0.0] * 8]],
    ids=["one", "all down", "up and down", "a little up and down", "a third"],
)
def test_moved_groups_are_seen_in_any_direction(moved):
    assert share_called_moved([40] * len(moved), [40] * KNOWN, moved, 60) >= 0.9


def test_one_group_has_the_rank_of_its_mean_among_those_known():
    known = [np.full(5, value) for value in (-4.0, -3.0, 2.0, 1.0)]
    found = [moved_p_value([np.full(5, value)], known) for value in (5.0, -3.5, 2.5, 0.5)]
    assert found == [1 / 5, 2 / 5, 3 / 5, 5 / 5]


def calibration() -> Calibration:
    rng = np.random.default_rng(0)
    whole, lacking = groups_of([30] * 9, rng), groups_of([30] * 9, rng, [4.0] * 9)
    return Calibration(
        scores=np.concatenate([*whole, *lacking]),
        groups=tuple(np.repeat([f"{2000 + row}" for row in range(9)] * 2, 30).tolist()),
        population="", patterns=("",) * 270 + ("soil",) * 270,
    )  # fmt: skip


def test_years_that_err_up_and_down_by_turns_have_moved():
    groups = tuple(np.repeat([f"{2010 + row}" for row in range(9)], 30).tolist())
    scores = np.concatenate(groups_of([30] * 9, np.random.default_rng(2), [6.0, -6.0] * 4 + [6.0]))
    assert calibration().residual_p_value(scores, groups) <= 0.01
    order = np.random.default_rng(3).permutation(len(scores))
    assert calibration().residual_p_value(scores[order], [groups[row] for row in order]) <= 0.01


def test_cases_are_compared_with_cases_that_lack_the_same():
    rng = np.random.default_rng(4)
    whole, lacking = np.concatenate(groups_of([30], rng)), np.concatenate(groups_of([60], rng, [4.0]))
    known, year = calibration(), ("2030",)
    assert known.residual_p_value(whole, year * 30) > STATED
    assert known.residual_p_value(lacking, year * 60, ["soil"] * 60) > STATED
    mixed = known.residual_p_value(np.concatenate([whole, lacking]), year * 90, [""] * 30 + ["soil"] * 60)
    assert mixed == known.residual_p_value(whole, year * 30)
    assert known.residual_p_value(lacking, year * 60) <= 0.1


def test_nothing_is_said_where_no_other_group_can_be_compared():
    known = calibration()
    assert known.residual_p_value(np.ones(30), ("2030",) * 30, ["rain"] * 30) is None
    assert known.residual_p_value(known.scores[:270], known.groups[:270]) is None  # its own labels, given again
