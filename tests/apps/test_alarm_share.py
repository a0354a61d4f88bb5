"""What evaluation says of the alarm on training groups: the share of their cases on which it is quiet."""

import numpy as np
import pytest

from mainstem.apps.coverage import judge_training_groups
from mainstem.core.fit import OutOfFold
from mainstem.core.targets import Quantity


def test_a_group_whose_known_places_alone_are_strange_is_quiet_on_the_rest():
    rng = np.random.default_rng(0)
    groups = tuple(str(2000 + year) for year in range(12) for _ in range(40))
    places = [f"known {case}" if case < 30 else f"rare {year} {case}" for year in range(12) for case in range(40)]
    features, zeros = rng.normal(size=(480, 4)), np.zeros(480)
    features[:30] += 9  # the known places of 2000
    found = OutOfFold(
        target=Quantity(units="t/ha"),
        truth=rng.normal(5, 1, 480),
        raws=({"past": zeros + 5, "plain": zeros, "trunk": zeros, "scale": zeros + 1},),
        blend={"share": 1.0, "gate": 1.0},
        rows=np.arange(480),
        features=features,
        own_features=np.empty((480, 0)),
        groups=groups,
    )
    told = judge_training_groups(found, places, 0.9, names_them=True)
    assert told["alarm_quiet"]["2000"] == pytest.approx(0.25)
    assert told["alarm_quiet_share"] == pytest.approx(np.mean(list(told["alarm_quiet"].values())))
    unnamed = judge_training_groups(found, places, 0.9, names_them=False)
    assert unnamed == {name: value for name, value in told.items() if name not in ("alarm_quiet", "coverage_by_group")}
    assert not any(isinstance(value, dict) for value in unnamed.values())
