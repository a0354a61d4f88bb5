"""Ends of colours that hold for all seasons."""

import numpy as np
import pandas as pd
import pytest

from mainstem.apps.region_sets import choices
from mainstem.core.told import targets_in
from mainstem.dashboards.yield_map.controls import YieldUnit
from mainstem.dashboards.yield_map.lasting import lasting_ends
from mainstem.dashboards.yield_map.layers import colour_layer


def test_ends_are_one_for_all_seasons_and_those_of_every_harvest(home):
    assert home
    samples = choices()[-1].read().samples
    ends = lasting_ends(samples)
    assert ends["value"] == ends["observed"] == pytest.approx(np.percentile(targets_in(samples), [2, 98]))
    low, high = ends["gap"]
    assert low == -high
    assert 0 < high < ends["value"][1] - ends["value"][0]
    unit = YieldUnit(name="bu/ac", crop="maize")
    seasons = [pd.DataFrame({"value": [5.0, top], "observed": [5.0, top]}) for top in (8.0, 11.0)]
    poor, rich = (colour_layer(season, "yield", unit, ends) for season in seasons)
    assert poor.fixed == rich.fixed == pytest.approx([15.93 * end for end in ends["value"]], rel=1e-3)
    assert poor.ends != rich.ends
    assert lasting_ends([]) == {}
