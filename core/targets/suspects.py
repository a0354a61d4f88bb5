"""How often what is told as present is there: counted among the cases of calibration, each told by other groups."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mainstem.core.held_out import HeldOut

PARTS = 20  # of the groups: each is told by the quantiles of the others, as a new group is
Counts = tuple[int, int]  # cases that show a finding, of those told to


@lru_cache(maxsize=8)  # the same for every case that one calibration speaks of
def shown_of(calibration: HeldOut, names: Sequence[str], level: float) -> Mapping[str, Counts]:
    """Return by finding how many of the cases of calibration that are told to show it do, and how many are told to."""
    _, index = np.unique(np.asarray(calibration.groups), return_inverse=True)
    found = dict.fromkeys(names, (0, 0))
    for part in range(min(PARTS, index.max(initial=0) + 1)):
        own, others = (_of(calibration, rows) for rows in (index % PARTS == part, index % PARTS != part))
        for name in names:
            ends = others.stratum_quantiles(strata_of(name), level)
            here = [own.scores[np.asarray(own.strata) == stratum] for stratum in strata_of(name)]
            # the score of what is absent is the probability, of what is present one less it
            false, true = (int(_is_told(likely, ends).sum()) for likely in (here[0], 1 - here[1]))
            found[name] = (found[name][0] + true, found[name][1] + true + false)
    return found


def strata_of(name: str) -> tuple[str, str]:
    """A finding as absent, and as present."""
    return f"{name} absent", f"{name} present"


def _is_told(likely: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True (cases,) where a probability rules absence out, and presence not."""
    return np.asarray((likely > ends[0]) & (1 - likely <= ends[1]))


def _of(known: HeldOut, rows: NDArray[np.bool_]) -> HeldOut:
    """The chosen cases."""
    return HeldOut(
        scores=known.scores[rows],
        groups=tuple(np.asarray(known.groups)[rows].tolist()),
        strata=tuple(np.asarray(known.strata or (), str)[rows].tolist()),
    )
