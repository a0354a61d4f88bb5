"""The shift alarm of cases without groups: are they, taken together, drawn as the cases of calibration were?"""

import numpy as np
from numpy.typing import NDArray

from mainstem.core.distances import within_reason

Array = NDArray[np.float64]
FEWEST = 20  # cases of a batch that are judged together
DRAWS = 199  # permutations: p-values of 1/200 and more
SHARE = 0.03  # of ordinary batches that may be called strange


def batch_p_value(known: Array, batch: Array) -> float | None:
    """Permutation p-value of a batch's features (cases, features) beside those of calibration's cases.

    How differently two sets of cases are spread (maximum mean discrepancy, a Gaussian kernel of the median distance,
    each feature in its standard deviation) is ranked among as many cases drawn from all: it sees what moves no mean.
    What either lacks is not compared; None where nothing is left. No case's order counts.
    Source: Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13, 723, sections 2 and 8; Rabanser et al. 2019, Failing
    Loudly, section 3.
    """
    seen = np.isfinite(known).all(0) & np.isfinite(batch).all(0)
    if not seen.any():
        return None
    pooled = within_reason(np.vstack([known, batch])[:, seen])
    spread = pooled.std(0)
    scaled = (pooled - pooled.mean(0)) / np.where(spread > 0, spread, 1.0)
    order = np.lexsort(scaled.T)
    num, ordered = len(batch), scaled[order]
    chosen = np.zeros((1 + DRAWS, len(ordered)))
    chosen[0] = order >= len(known)
    drawn = np.random.default_rng(0).random((DRAWS, len(ordered))).argpartition(num, axis=1)[:, :num]
    np.put_along_axis(chosen[1:], drawn, 1.0, axis=1)
    apart = _discrepancies(_kernel(ordered), chosen, num)
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def _kernel(cases: Array) -> Array:
    """Gaussian likeness (cases, cases) over the median of squared distances."""
    length = (cases**2).sum(1)
    squares = np.maximum(length[:, None] + length - 2 * cases @ cases.T, 0.0)
    likeness: Array = np.exp(-squares / max(float(np.median(squares)), 1e-12))
    return likeness


def _discrepancies(kernel: Array, chosen: Array, num: int) -> Array:
    """Squared discrepancy (draws,) between the `num` cases that each row chooses (draws, cases), and the others."""
    others = len(kernel) - num
    rows = chosen @ kernel
    inside = (rows * chosen).sum(1)
    between = rows.sum(1) - inside
    beyond = kernel.sum() - inside - 2 * between
    found: Array = inside / num**2 + beyond / others**2 - 2 * between / (num * others)
    return found


def is_strange(known: Array, batch: Array) -> bool:
    """True where a batch of FEWEST cases or more is among the strangest SHARE."""
    p_value = batch_p_value(known, batch) if len(batch) >= FEWEST else None
    return p_value is not None and p_value <= SHARE
