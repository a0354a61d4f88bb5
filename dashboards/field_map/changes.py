"""How much greener each field became between the last two scenes that show it, against the noise of the scenes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.noise import (
    FEWEST_OF_ONE,
    FREE,
    FREE_PER_TRIPLE,
    ROBUST,
    least_fall,
    noise_of,
    offsets,
)

Array = NDArray[np.float64]
SEEN = 0.5  # of a field, on dates that count: a glimpse between clouds is no mean of the field
FEWEST_FIELDS = 3  # that a date shows, whose median others are told against
CHANCE = 0.05  # that one fall or more of all fields' is told by noise alone; and that one of the farm's is


@dataclass(frozen=True, kw_only=True)
class FarmFall:
    """The fields' median fell beyond its own noise: from one date to another, by how much, of how many fields.

    `least` is the fall beyond which that is told, `fell` how many fields fell beyond noise of their own.
    """

    before: str
    after: str
    change: float
    least: float
    fell: int
    fields: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Changes:
    """What changed since the last scene.

    Attributes:
        table: a row a field with columns field, before, after (dates of the last two scenes that show half of it or
            more), ndvi, change, others (the median change of the other fields that both dates show, NaN of fewer than
            two), least (the fall beyond which a change is told), fell (by more than noise, in itself and against the
            others).
        noise: standard deviation of one date's NDVI of the usual field; NaN where too few dates tell it.
        triples: how many dates between two others, over all fields, the noise is known from.
        dips: how many of these lay below their neighbours as far as a fall that is told, and came back.
        farm: a fall of most fields; None where there is none, or too few dates tell.
    """

    table: pd.DataFrame
    noise: float
    triples: int
    dips: int
    farm: FarmFall | None


def find_changes(board: FieldBoard) -> Changes:
    """Compare each field's last two scenes."""
    fields = board.table["field"].tolist()
    days = np.array([date.fromisoformat(told[:10]).toordinal() for told in board.dates], np.float64)
    series = np.full((len(fields), len(days)), np.nan)
    for row, polygon in enumerate(board.table.geometry if len(days) else ()):
        ndvi, seen = board.series(polygon)
        series[row] = np.where(seen >= SEEN, ndvi, np.nan)
    return changes_of(series, days, fields, board.dates)


def changes_of(series: Array, days: Array, fields: Sequence[str], dates: Sequence[str]) -> Changes:
    """Compare the last two dates of series (field, date), NaN where a date does not show a field."""
    others = _of_others(series)
    against = series - np.where(np.isfinite(others), others, 0.0)
    noise = noise_of(against, days)
    least = least_fall(noise.deviations, noise.freedom, CHANCE / max(len(fields), 1))
    rows = [(field, *told) for field, told in zip(fields, _rows(series, dates, least), strict=True) if told]
    names = ["field", "before", "after", "ndvi", "change", "others", "least", "fell"]
    table = pd.DataFrame(rows, columns=names).astype({"fell": bool}).sort_values("change", ignore_index=True)
    dips = sum(int((offsets(row, days) < -its / np.sqrt(2)).sum()) for row, its in zip(against, least, strict=True))
    farm = _farm_fall(series, days, dates, least)
    return Changes(table=table, noise=noise.usual, triples=noise.triples, dips=dips, farm=farm)


def _of_others(values: Array) -> Array:
    """For each of values (field, column) the other fields' median; NaN where itself or two others are not known."""
    found = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        known = np.flatnonzero(np.isfinite(values[:, column]))
        if len(known) < FEWEST_FIELDS:
            continue
        order = np.argsort(values[known, column])
        sorted_, rank = values[known, column][order], np.empty(len(known), int)
        rank[order] = np.arange(len(known))
        low, high = (len(known) - 2) // 2, (len(known) - 1) // 2  # the middle of one fewer
        found[known, column] = (sorted_[low + (rank <= low)] + sorted_[high + (rank <= high)]) / 2
    return found


def _rows(series: Array, dates: Sequence[str], least: Array) -> Iterator[tuple[object, ...] | None]:
    """A field's dates, NDVI, change, others' change, least fall and whether it fell; None where it has no two dates."""
    among: dict[tuple[int, int], Array] = {}
    for number, row in enumerate(series):
        seen = np.flatnonzero(np.isfinite(row))
        if len(seen) < 2:
            yield None
            continue
        before, after = seen[-2:].tolist()
        if (before, after) not in among:
            among[before, after] = _of_others((series[:, after] - series[:, before])[:, None])[:, 0]
        change, others, its = float(row[after] - row[before]), float(among[before, after][number]), float(least[number])
        fell = bool(max(change, change - others) < -its)  # none is told where the noise or the others are not known
        yield dates[before], dates[after], float(row[after]), change, others, its, fell


def _farm_fall(series: Array, days: Array, dates: Sequence[str], least: Array) -> FarmFall | None:
    """A fall of most fields between the last two dates that show some, beyond what their median varies by."""
    shown = np.flatnonzero(np.isfinite(series).sum(0) >= FEWEST_FIELDS)
    if len(shown) < FEWEST_OF_ONE + 3:
        return None
    typical = np.nanmedian(series[:, shown], axis=0)
    off = np.abs(offsets(typical[:-1], days[shown[:-1]]))  # the fall itself is no noise
    before, after = shown[-2:]
    changes = (series[:, after] - series[:, before])[np.isfinite(series[:, [before, after]]).all(1)]
    if len(changes) < FEWEST_FIELDS:
        return None
    freedom = np.array(FREE + FREE_PER_TRIPLE * len(off))
    beyond, change = float(least_fall(ROBUST * np.median(off), freedom, CHANCE)), float(np.median(changes))
    if change >= -beyond:
        return None
    its = least[np.isfinite(series[:, [before, after]]).all(1)]
    return FarmFall(
        before=dates[before], after=dates[after], change=change, least=beyond, fell=int((changes < -its).sum()),
        fields=len(changes),
    )  # fmt: skip
