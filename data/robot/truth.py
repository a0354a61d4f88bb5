"""Where a body truly was, as a reference system saw it beside the sensors of a recording."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The reference.

    Attributes:
        times: (n,) s on the recording's clock.
        position: (n, 3) m, ENU, NaN in z where the reference is planar; None where it has none.
        attitude: (n, 4) earth from body (FLU), w, x, y, z; None where it has none.
        note: what the reference is, and how far it is to be trusted.
    """

    times: Array
    position: Array | None = None
    attitude: Array | None = None
    note: str = ""
