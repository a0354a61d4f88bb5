"""An evaluation in words: better, worse or not distinguishable, over how many groups."""

import pytest

from mainstem.apps.evaluation_text import comparisons_line, difference_line


@pytest.mark.parametrize(
    ("verdict", "ends", "wanted"),
    [
        ("better", (-2.0, -0.5), "better than ridge: nrmse_percent -1.2 (-2, -0.5)"),
        ("not distinguishable", (-0.9, 4.1), "not distinguishable from ridge: nrmse_percent -1.2 (-0.9, +4.1)"),
        ("not distinguishable", (None, None), "not distinguishable from ridge: nrmse_percent -1.2"),
    ],
)
def test_a_difference_reads_as_what_it_shows(verdict, ends, wanted):
    found = {"value": -1.2, "low": ends[0], "high": ends[1], "num_groups": 7, "verdict": verdict}
    assert difference_line("ridge", found, "nrmse_percent") == f"{wanted} over 7 groups"


def test_many_comparisons_are_counted_and_those_that_hold_together_named():
    found = {"count": 5, "level": 0.95, "adjustment": "Holm", "better_than": ["average", "trend"], "worse_than": []}
    (line,) = comparisons_line(found)
    assert line.startswith("5 comparisons: each interval holds at 95% by itself, not adjusted")
    assert line.endswith("(adjusted by Holm): better than average, trend; worse than none")
    assert comparisons_line({**found, "count": 1}) == []
