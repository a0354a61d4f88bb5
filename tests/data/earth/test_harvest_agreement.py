"""What the benchmark says of agreement before and after cleaning is said of the same cells."""

import numpy as np
import pytest
from tests.benchmarks.harvests import agreements, change


def test_cells_that_cleaning_alone_has_do_not_make_it_agree_better():
    rng = np.random.default_rng(0)
    field = rng.normal(8, 1, (30, 30))
    first, second = field + rng.normal(0, 1, field.shape), field + rng.normal(0, 1, field.shape)
    logged = (np.where(np.arange(30) < 20, first, np.nan), np.where(np.arange(30) < 20, second, np.nan))
    rich = np.where(np.arange(30) < 20, 0.0, 6.0)  # where the cleaned alone see, both see a contrast
    told = agreements({"as logged": logged, "cleaned": (first + rich, second + rich)})
    assert told["cleaned"]["r"] > told["as logged"]["r"] + 0.2
    assert told["cleaned, cells of all"]["r"] == pytest.approx(told["as logged, cells of all"]["r"])
    shared = told["as logged and cleaned"]
    assert shared["cells"] == 600
    assert shared["before"] == pytest.approx(shared["after"])
    assert shared["r after less before"] == [0, 0]


def test_cells_that_agree_better_are_told_apart():
    rng = np.random.default_rng(0)
    field = rng.normal(8, 1, (40, 40))
    before, after = (tuple(field + rng.normal(0, sd, field.shape) for _ in range(2)) for sd in (1.0, 0.3))
    told = change(before, after)
    assert told["r after less before"][0] > 0 > told["rmsd after less before"][1]
