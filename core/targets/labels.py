"""What a table says of targets before it is known of which kind they are; each kind recognises and reads its own."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

YES_OR_NO = {"1": 1.0, "1.0": 1.0, "yes": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "no": 0.0, "false": 0.0}


class Labels(Protocol):
    """One column of targets, or several that are named."""

    @property
    def data(self) -> str:
        """Name of what holds them."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; () where there is one alone."""

    @property
    def unit(self) -> str:
        """The unit that the column names; "" where it names none."""

    @property
    def is_numeric(self) -> bool:
        """True where every cell of the one column is a number or empty."""

    @property
    def holds_numbers(self) -> bool:
        """True where any cell of the one column is a number."""

    @property
    def num_known(self) -> int:
        """Of how many samples the one column tells something."""

    def numbers(self) -> NDArray[np.float64]:
        """Return the one column's numbers (cases,), NaN where a cell is empty.

        Raises:
            InputError: naming the first cell that is none.
        """

    def words(self) -> NDArray[np.object_]:
        """Return texts (cases, columns), "" where a cell is empty."""

    def where(self, case: int, column: int = 0) -> str:
        """The place of a cell in words."""


__all__ = ["Labels"]
