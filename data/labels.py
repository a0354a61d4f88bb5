"""The targets of a table: a column `target`, with its unit in brackets if it has one, or `target: NAME` a finding."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.tabular import MISSING, Table, shown

TARGET = re.compile(r"target(\s*\[(?P<unit>[^\]]+)\]|\s*:\s*(?P<name>.+))?", re.IGNORECASE)
NO_WORD = set(MISSING) - {"none"}  # none is a class as any other, where classes are words


@dataclass(frozen=True, kw_only=True, eq=False)
class TableLabels:
    """The columns of a table that hold targets, as `core.targets.Labels`; `samples` names each row's sample."""

    table: Table
    columns: tuple[str, ...]
    names: tuple[str, ...]
    unit: str
    samples: NDArray[np.object_]

    @classmethod
    def of(cls, table: Table, samples: NDArray[np.object_], is_needed: bool = True) -> "TableLabels":
        """Find the columns of targets.

        Raises:
            InputError: if there is none and they are needed, or several that are not named.
        """
        found = {column: match for column in table.columns if (match := TARGET.fullmatch(column))}
        names = tuple(match["name"] for match in found.values() if match["name"])
        if not found and is_needed:
            table.need("target")
        if len(set(names)) < len(found) and len(found) > 1:
            raise InputError(
                f"{table.name} has the columns {shown(', '.join(found))}; want one target, or several, each as "
                "'target: NAME' with a name of its own"
            )
        unit = "".join(match["unit"] or "" for match in found.values())
        return cls(table=table, columns=tuple(found), names=names, unit=unit, samples=samples)

    @property
    def data(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def is_numeric(self) -> bool:
        """True where every cell of the one column is a number or empty."""
        return self.table.is_numeric(self.columns[0])

    @property
    def holds_numbers(self) -> bool:
        """True where any cell of the one column is a number."""
        return bool(np.isfinite(self.table.sift(self.columns[0])[0]).any())

    @property
    def num_known(self) -> int:
        """Of how many samples the one column tells something."""
        return len(set(self.samples[self.words()[:, 0] != ""].tolist()))

    def numbers(self) -> NDArray[np.float64]:
        """Return the one column's numbers (rows,), NaN where a cell is empty."""
        values, faults = self.table.sift(self.columns[0])
        for row, fault in faults.items():
            text = self.table.raw(self.columns[0])[row]
            wanted = fault.split(", ")[1].split(";")[0]
            kind, hint = "is no number", "give numbers alone, or words alone, and leave empty what is not known"
            if np.isfinite(_float(text)):
                kind, hint = "is out of range", "leave it empty where it is not known"
            raise InputError(f"{self.where(row)}: {shown(text)} {kind}, {wanted}; {hint}")
        return values

    def words(self) -> NDArray[np.object_]:
        """Return texts (rows, columns), "" where a cell is empty, or says that nothing is known.

        Raises:
            InputError: if it could be either.
        """
        found = np.column_stack([self.table.names(column, is_needed=False) for column in self.columns])
        if not self.names and not self.holds_numbers:
            for row in np.flatnonzero([text.lower() == "na" for text in found[:, 0]])[:1].tolist():
                raise InputError(
                    f"{self.where(row)}: {shown(str(found[row, 0]))} may be a class, or say that none is known; rename "
                    "the class, or leave the cell empty"
                )
        for column in found.T:
            column[np.isin([text.lower() for text in column], list(NO_WORD))] = ""
        return found

    def where(self, case: int, column: int = 0) -> str:
        """The place of a cell in words."""
        return self.table.where(case, self.columns[column])


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
