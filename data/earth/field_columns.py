"""Columns of tables of fields: those that a map adds, the user's own beside them, and names that a Shapefile holds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SHORT = {  # what a map says of a field, and its names of at most ten letters, all that a Shapefile's table holds
    "area_ha": "area_ha", "seen_share": "seen", "mean": "mean", "lower": "lower", "upper": "upper", "units": "units",
    "level": "level", "claim": "claim", "reason": "reason", "training": "training", "attribution": "attrib",
    "dates": "dates", "adapter": "adapter", "adapter_sha256": "adapter_sh", "licence": "licence",
}  # fmt: skip
MARKS = ({"area_ha", "seen_share", "lower"}, {"area_ha", "seen", "lower"})  # columns that only a map's own exports have
RESERVED = ("field", "geometry", "geom", "fid", "ogc_fid", "rowid")  # that formats or we use
OWN = "own_"  # begins the name of a user's column that would be taken for one of ours
LONGEST_SHORT = 10  # bytes


def is_ours(columns: Sequence[Any]) -> set[str]:
    """Names among the columns of a file that a map gave: all where the file is a map's own export, else none."""
    names = {str(name) for name in columns}
    long, short = (mark <= names for mark in MARKS)
    return names & set(SHORT) if long else names & {*SHORT.values()} if short else set()


def own_columns(table: Any) -> "pd.DataFrame":  # noqa: ANN401 - a table with or without geometry
    """The user's own columns of a table of fields, under names that every format can hold beside a map's.

    One that bears a name of ours gets `own_` before it; of two that differ by case alone, which GeoPackage takes for
    one, the second gets a number. What an export of ours brings back of a map's columns is left out.
    """
    import pandas as pd

    ours = is_ours(table.columns)
    taken = {name.casefold() for name in (*RESERVED, *SHORT)}
    names: dict[Any, str] = {}
    for column in table.columns:
        if column in ("field", "geometry") or column in ours:
            continue
        usual = " ".join(str(column).split()) or "column"
        usual = f"{OWN}{usual}" if usual.casefold() in {*RESERVED, *SHORT} else usual
        names[column] = _free(usual, taken)
    return pd.DataFrame(table[list(names)]).rename(columns=names)


def _free(usual: str, taken: set[str]) -> str:
    name, number = usual, 1
    while name.casefold() in taken:
        number += 1
        name = f"{usual}_{number}"
    taken.add(name.casefold())
    return name


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Each name as a Shapefile holds it: ours as SHORT has them, others cut to ten bytes, numbered if alike."""
    taken = {"geometry", *(SHORT[name].casefold() for name in names if name in SHORT)}
    return {name: SHORT[name] if name in SHORT else _short(name, taken) for name in names}


def _short(name: str, taken: set[str]) -> str:
    found, number = _cut(name, LONGEST_SHORT), 1
    while found.casefold() in taken:
        number += 1
        found = f"{_cut(name, LONGEST_SHORT - len(str(number)) - 1)}_{number}"
    taken.add(found.casefold())
    return found


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")
