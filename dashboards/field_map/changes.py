"""How much greener each field became between the last two scenes that show it, against the noise of the scenes."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from mainstem.dashboards.field_map.board import FieldBoard

Array = NDArray[np.float64]
SEEN = 0.5  # of a field, on dates that count: a glimpse between clouds is no mean of the field
FEWEST_FIELDS = 3  # that a date shows, whose median others are told against
FEWEST_TRIPLES = 10  # of dates in a row, from which noise is told
CHANCE = 0.05  # that one fall or more of all fields' is told by noise alone
ROBUST = 1.4826  # median absolute deviation to standard deviation, of a normal distribution
# Of what a triple is worth beside a free one: the median's efficiency (P. Rousseeuw, C. Croux 1993, J. American
# Statistical Association 88(424), 1273), over what neighbours share: second differences correlate by -2/3 and 1/6.
WORTH = 0.37 / (1 + 2 * ((2 / 3) ** 2 + (1 / 6) ** 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class Changes:
    """What changed since the last scene.

    Attributes:
        table: a row a field with columns field, before, after (dates of the last two scenes that show half of it or
            more), ndvi, change, others (the median change of the fields that both dates show, NaN of fewer than three),
            fell (by more than noise, in itself and against the others).
        noise: standard deviation of one date's NDVI of a field; NaN where too few dates tell it.
        triples: how many dates in a row, over all fields, the noise is known from.
        least: the fall beyond which a change is told.
    """

    table: pd.DataFrame
    noise: float
    triples: int
    least: float


def find_changes(board: FieldBoard) -> Changes:
    """Compare each field's last two scenes."""
    fields = board.table["field"].tolist()
    days = np.array([date.fromisoformat(told[:10]).toordinal() for told in board.dates], np.float64)
    series = np.full((len(fields), len(days)), np.nan)
    for row, polygon in enumerate(board.table.geometry if len(days) else ()):
        ndvi, seen = board.series(polygon)
        series[row] = np.where(seen >= SEEN, ndvi, np.nan)
    typical = _typical(series)
    against = series - np.where(np.isfinite(typical), typical, 0.0)
    noise, triples = noise_of(against, days)
    least = least_fall(noise, triples, len(fields))
    rows = [_change(board, field, series[row], typical, least) for row, field in enumerate(fields)]
    names = ["field", "before", "after", "ndvi", "change", "others", "fell"]
    table = pd.DataFrame([row for row in rows if row is not None], columns=names).astype({"fell": bool})
    return Changes(table=table.sort_values("change", ignore_index=True), noise=noise, triples=triples, least=least)


def _typical(series: Array) -> Array:
    """The fields' median on each date, which haze moves as it moves them; NaN where it shows too few fields."""
    found = np.full(series.shape[1], np.nan)
    enough = np.isfinite(series).sum(0) >= FEWEST_FIELDS
    found[enough] = np.nanmedian(series[:, enough], axis=0) if enough.any() else found[enough]
    return found


def noise_of(series: Array, days: Array) -> tuple[float, int]:
    """Standard deviation of one date of series (field, date), and from how many dates between two others it is known.

    How far a date lies off the line between the dates before and after it is noise and some curvature, so that this is
    no less than the noise (E. Vermote et al. 2009, IEEE Transactions on Geoscience and Remote Sensing 47(6), 1899,
    section III). Each is divided by its standard deviation under a noise of one; the median does not mind a cloud
    that was missed.
    """
    found: list[Array] = []
    for row in series:
        seen = np.flatnonzero(np.isfinite(row))
        before, here, after = seen[:-2], seen[1:-1], seen[2:]
        weight = (days[here] - days[before]) / (days[after] - days[before])
        off = row[here] - (1 - weight) * row[before] - weight * row[after]
        found.append(np.abs(off) / np.sqrt(1 + (1 - weight) ** 2 + weight**2))
    told = np.concatenate(found) if found else np.zeros(0)
    return (float(ROBUST * np.median(told)) if len(told) >= FEWEST_TRIPLES else np.nan), len(told)


def least_fall(noise: float, triples: int, num_fields: int) -> float:
    """The fall beyond which one of so many fields is told: by noise alone, CHANCE that any is.

    By Student's t, as the noise itself is known from so many triples alone; Bonferroni's share a field.
    """
    return float(noise * np.sqrt(2) * student.isf(CHANCE / max(num_fields, 1), max(WORTH * triples, 1.0)))


def _change(board: FieldBoard, field: str, row: Array, typical: Array, least: float) -> tuple[object, ...] | None:
    seen = np.flatnonzero(np.isfinite(row))
    if len(seen) < 2:
        return None
    before, after = seen[-2:]
    change, others = float(row[after] - row[before]), float(typical[after] - typical[before])
    fell = bool(max(change, change - others) < -least)  # none is told where the noise or the others are not known
    return field, board.dates[before], board.dates[after], float(row[after]), change, others, fell
