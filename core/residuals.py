"""Whether a model's errors have moved: those of newly labelled groups beside those of calibration's groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 999  # of groups; p-values are no finer than 1 in 1,000
EVEN = 1e-9  # share by which two sums of the same numbers may differ


def by_group(scores: Array, groups: Sequence[str] | NDArray[np.str_]) -> dict[str, Array]:
    """Scores (cases,) of each group, by its name."""
    labels = np.asarray(groups)
    order = np.argsort(labels, kind="stable")
    names, starts = np.unique(labels[order], return_index=True)
    parts = np.split(scores[order], starts[1:]) if len(names) else []
    return dict(zip(names.tolist(), parts, strict=True))


def moved_p_value(new: Sequence[Array], known: Sequence[Array]) -> float:
    """How rarely groups like those known err as far, in whatever direction, as the new ones do.

    A group errs by the square of its mean score, so that groups moved up and down do not cancel out. The mean over the
    new groups is ranked among those of as many groups drawn from all, new and known, which are alike where nothing has
    moved. A drawn group is cut to as many cases as the new one has in whose place it stands, for the mean of few
    scatters more; one that has fewer is taken whole, which makes the p-value larger, never smaller.

    Source: Pitman 1937, Significance tests which may be applied to samples from any populations; Phipson & Smyth 2010,
    Permutation p-values should never be zero (the new groups count among the draws).

    Args:
        new: signed scores (cases,) of each new group.
        known: those of each group of calibration.
    """
    sizes, place = np.unique([len(group) for group in new], return_inverse=True)
    rng = np.random.default_rng(0)
    square = np.array([_means(rng.permutation(group), sizes) for group in (*new, *known)]) ** 2
    if len(new) == 1:
        drawn = square[:, 0]
    else:
        chosen = [np.arange(len(new)), *(rng.permutation(len(square))[: len(new)] for _ in range(DRAWS))]
        drawn = np.array([square[rows, place].mean() for rows in chosen])
    return float(np.mean(drawn >= (1 - EVEN) * drawn[0]))


def _means(scores: Array, sizes: NDArray[np.intp]) -> Array:
    """Means of the first so many scores (sizes,), or of all where there are fewer."""
    counts = np.minimum(sizes, len(scores))
    found: Array = np.cumsum(scores)[counts - 1] / counts
    return found
