"""Many cases at once whose data name no group: are they, taken together, drawn as the cases of calibration were?"""

import numpy as np
from numpy.typing import NDArray

from mainstem.core.distances import within_reason

Array = NDArray[np.float64]
FEWEST = 20  # cases of a batch that are judged together
DRAWS = 199  # permutations: p-values of 1/200 and more
SHARE = 0.02  # of ordinary batches that may be called strange


def batch_p_value(known: Array, batch: Array) -> float | None:
    """Permutation p-value of a batch's features (cases, features) beside those of calibration's cases.

    The squared distance of the batch's mean from the others', each feature in its standard deviation, is ranked among
    those of as many cases drawn from all. What either lacks is not compared; None where nothing is left.
    Source: Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, section 3.2; no case's order counts.
    """
    seen = np.isfinite(known).all(0) & np.isfinite(batch).all(0)
    if not seen.any():
        return None
    pooled = within_reason(np.vstack([known, batch])[:, seen])
    spread = pooled.std(0)
    scaled = (pooled - pooled.mean(0)) / np.where(spread > 0, spread, 1.0)
    num, total = len(batch), scaled.sum(0)
    ordered = scaled[np.lexsort(scaled.T)]
    ranks = np.random.default_rng(0).random((DRAWS, len(ordered))).argpartition(num, axis=1)[:, :num]
    chosen = np.zeros((DRAWS, len(ordered)))
    np.put_along_axis(chosen, ranks, 1.0, axis=1)
    sums = np.vstack([scaled[len(known) :].sum(0), chosen @ ordered])
    apart = ((sums / num - (total - sums) / len(known)) ** 2).sum(1)
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def is_strange(known: Array, batch: Array) -> bool:
    """True where a batch of FEWEST cases or more is among the strangest SHARE."""
    p_value = batch_p_value(known, batch) if len(batch) >= FEWEST else None
    return p_value is not None and p_value <= SHARE
