"""Groups that are numbers: which are later, and how far ahead the next ones lie."""

import pytest

from mainstem.core.order import is_beyond, least_lead


@pytest.mark.parametrize(
    ("names", "num_ahead", "lead"),
    [
        ([str(year) for year in range(2000, 2012)], 3, 3.0),
        ([str(year) for year in range(2000, 2024, 2)], 3, 6.0),
        ([*(str(year) for year in range(2000, 2009)), "2020"], 1, 1.0),
        ([*(str(year) for year in range(2000, 2009)), "2020"], 3, 3.0),
        (["2000", "2000.5", "2001", "2002"], 1, 0.5),
        (["9", "10", "11"], 2, 2.0),  # by number, not by letters
        (["2012", "2012.0", "2014"], 1, 2.0),  # one year, written twice
        (["2012"], 1, 0.0),
        (["2012", "2013"], 3, 0.0),
        ([], 1, 0.0),
    ],
)
def test_the_next_groups_lie_at_least_as_far_ahead_as_anywhere_among_those_known(names, num_ahead, lead):
    assert least_lead(names, num_ahead) == lead
    assert least_lead(names[::-1], num_ahead) == lead


@pytest.mark.parametrize(
    ("group", "names", "is_later"),
    [
        ("2012", ["2010", "2011"], True),
        ("2011.0", ["2010", "2011"], False),
        ("10", ["9"], True),
        ("2012", [], False),
        ("2012", ["farm 1"], False),
        ("farm 2", ["2011"], False),
        ("2012", ["2011", "farm 1"], False),
    ],
)
def test_a_group_is_later_only_than_numbers_below_it(group, names, is_later):
    assert is_beyond(group, names) == is_later
