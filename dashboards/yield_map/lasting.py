"""Ends of the map's colours that hold for all seasons of a region set, so that seasons can be told apart by colour."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mainstem.core.stream import Sample
from mainstem.core.told import targets_in

SHARES = (2, 98)  # percentiles between which colours run, as those of one season do


def lasting_ends(samples: Sequence[Sample]) -> dict[str, tuple[float, float]]:
    """Ends by column of a season's table, t/ha: of yields, and evenly around zero of their differences to expectation.

    They come from harvests alone; empty where none is known.
    """
    harvests = pd.DataFrame(
        {"region": [str(sample.source.facts["region"]) for sample in samples], "harvest": np.ravel(targets_in(samples))}
    ).dropna()
    if harvests.empty:
        return {}
    low, high = np.percentile(harvests["harvest"], SHARES)
    apart = (harvests["harvest"] - harvests.groupby("region")["harvest"].transform("mean")).abs()
    far = max(float(np.percentile(apart, SHARES[1])), 1e-9)
    return {
        **dict.fromkeys(("value", "observed"), (float(low), float(high))),
        **dict.fromkeys(("gap", "error"), (-far, far)),
    }
