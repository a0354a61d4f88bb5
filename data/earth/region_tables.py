"""Regional tables in CY-Bench's columns: each column read as what it is; yields that cannot be are named or refused."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mainstem.core.errors import InputError
from mainstem.data.earth.crops import check_named
from mainstem.data.tabular import Table, open_table, shown

LARGEST_YIELD_T_HA = 25.0  # no region's median nears it; the US record of maize is 38.7 t/ha, on one field
YIELD_UNITS = {  # to t/ha: 100 kg, 1 kg; bushels of 56 lb (maize) and pounds an acre, NIST Handbook 44, appendix C
    "dt/ha": 0.1, "bu/ac": 0.0628, "kg/ha": 1e-3, "lb/ac": 0.00112085,
}  # fmt: skip
LIKELY = (1.0, 16.0)  # t/ha, between which medians of regions lie
APART = 4.0  # times the usual median; bushels are 16 times t/ha
MOST_ABOVE = 0.1  # share of yields above the largest: wild values are few, another unit is not


@dataclass(frozen=True, kw_only=True)
class Number:
    """A column of numbers within limits, which lie far beyond what is measured: they tell units apart."""

    low: float
    high: float
    unit: str


Kind = Literal["name", "year", "day", "yield"] | Number


def read_table(
    path: Path, kinds: Mapping[str, Kind], named: tuple[str, str] | None = None
) -> tuple[Table, pd.DataFrame]:
    """Read a table that has to hold these columns, each as what it is; yields keep their faults for `check_yields`.

    Raises:
        InputError: if the file or a column is missing (a near name is suggested), a cell is not of its kind, or a row
            says another crop or country than the `named` ones.
    """
    table = open_table(path, f"none in {path.parent}; want CY-Bench's layout, CROP/COUNTRY/yield_CROP_COUNTRY.csv")
    table.need(*kinds)
    if named is not None:
        check_named(table, *named)
    readers: dict[str, Callable[[str], Any]] = {
        "name": table.names,
        "year": table.years,
        "day": table.days,
        "yield": table.raw,
    }
    columns = {
        column: table.numbers(column, kind.low, kind.high, kind.unit)
        if isinstance(kind, Number)
        else readers[kind](column)
        for column, kind in kinds.items()
    }
    return table, pd.DataFrame(columns)


def named_by(path: Path) -> tuple[str, str]:
    """Return the crop and country that CY-Bench names a table after, as yield_CROP_COUNTRY.csv."""
    _, crop, country = path.stem.rsplit("_", 2)
    return crop, country


def check_yields(table: Table, frame: pd.DataFrame) -> dict[str, str]:
    """Put numbers for the yields, NaN for those that cannot be, and name these by region and year.

    Raises:
        InputError: if a region-year stands twice, two regions have all but one name, every yield is missing, or all
            yields, or those of a region, look like another unit's.
    """
    check_keys(table, frame, ["adm_id", "year"])
    _check_names(table, frame["adm_id"])
    numbers, faults = table.sift("yield")
    frame["yield"] = numbers
    if not np.isfinite(numbers).any():
        got = next((f" (row {table.rows[index]}: {fault})" for index, fault in faults.items()), "")
        raise InputError(f"{table.name}: every yield is missing or no number{got}; fill the column 'yield' in t/ha")
    _check_units(table.name, frame)
    for index in np.flatnonzero((numbers < 0) | (numbers > LARGEST_YIELD_T_HA)).tolist():
        faults[index] = f"a yield of {numbers[index]:g} t/ha cannot be, want 0 to {LARGEST_YIELD_T_HA:g}"
    flagged = {}
    for index, fault in sorted(faults.items()):
        frame.loc[index, "yield"] = np.nan
        flagged[f"{frame['adm_id'][index]} {frame['year'][index]}"] = f"row {table.rows[index]}: {fault}"
    if flagged:
        item, fault = next(iter(flagged.items()))
        taken = f"{len(frame) - len(flagged)} of {len(frame)} yields taken"
        table.notes.append(f"{taken}, {len(flagged)} left out, first {item}, {fault}")
    return flagged


def _check_units(name: str, frame: pd.DataFrame) -> None:
    """Refuse yields of which all, a region's or a year's have a median that no harvest has, naming likely units."""
    usual = frame["yield"].median()
    groups = [(f" of {shown(str(key))}", rows.median()) for key, rows in frame.groupby("adm_id")["yield"]]
    groups += [(f" of {key}", rows.median()) for key, rows in frame.groupby("year")["yield"]]
    for of, median in (("", usual), *groups):
        is_apart = median > LIKELY[1] and median > APART * usual
        if not (median > LARGEST_YIELD_T_HA or is_apart):
            continue
        likely = {unit: median * factor for unit, factor in YIELD_UNITS.items()}
        fitting = [f"{unit} ({value:.3g} t/ha)" for unit, value in likely.items() if LIKELY[0] <= value <= LIKELY[1]]
        if of and not fitting:
            continue  # a wild value or two, which are flagged each
        looks = f"these look like {' or '.join(fitting)}" if fitting else "no unit of yields fits"
        raise InputError(f"{name}: median yield{of} {median:.4g}, want t/ha; {looks}: convert them first")
    above = int((frame["yield"] > LARGEST_YIELD_T_HA).sum())
    if above > MOST_ABOVE * frame["yield"].notna().sum() and above > 1:
        raise InputError(
            f"{name}: {above} yields above {LARGEST_YIELD_T_HA:g}, want t/ha; these look like another unit's, "
            "as dt/ha or bu/ac: convert them first"
        )


def check_keys(table: Table, frame: pd.DataFrame, keys: Sequence[str]) -> None:
    """Refuse what stands twice."""
    for index in frame.index[frame.duplicated(list(keys))][:1]:
        what = " ".join(f"{frame[key][index]:%Y-%m-%d}" if key == "date" else str(frame[key][index]) for key in keys)
        raise InputError(
            f"{table.name}, row {table.rows[index]}: {what} stands twice, want one row a region"
            f"{' and ' + keys[1] if keys[1:] else ''}; drop one"
        )


def _check_names(table: Table, regions: pd.Series) -> None:
    """Refuse names that differ by case or blanks alone: one region would become two."""
    seen: dict[str, str] = {}
    for region in regions.unique():
        like = seen.setdefault("".join(region.split()).casefold(), region)
        if like != region:
            raise InputError(
                f"{table.name}: {shown(like)} and {shown(region)} differ by blanks or case alone; write one name"
            )


def check_regions(table: Table, regions: pd.Series, known: AbstractSet[str]) -> None:
    """Refuse a table none of whose regions is one of the yields', as where "01" became "1"."""
    if known.isdisjoint(regions):
        raise InputError(
            f"{table.name}: no region is one of the yields', {shown(regions.iloc[0])} is not, {shown(min(known))} is; "
            "write the same names in both"
        )
