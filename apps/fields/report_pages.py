"""What one page of a report says, whatever it is of: in words, with interval, claim, season, dates and origin."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.plain import plain

MEASURED = "measured"  # begins the reason of what a combine logged: no model claims anything of it
NOT_FOR = "For planning a visit or a talk; no basis for payments, insurance or spraying by itself."


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A map: a raster (y, x) or areas with values, its border, all in one metric CRS.

    Attributes:
        bounds: left, bottom, right, top, metres.
        raster: values, NaN where none, over the bounds; None where areas alone are drawn.
        areas: (polygon, value, label); a label is written on its area.
        border: the outline of what the page is of.
        is_doubtful: hatched, as nothing is claimed.
        title: what is shown, with its unit.
        ends: the values of the first and last colour, whole numbers where `is_whole`.
    """

    bounds: tuple[float, float, float, float]
    raster: NDArray[np.float64] | None
    areas: Sequence[tuple[Any, float, str]]
    border: Any
    is_doubtful: bool
    title: str
    ends: tuple[float, float]
    is_whole: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """One page: `value` and `interval` in words, the claim's sentence, facts as (name, value), one table, maps."""

    title: str
    subtitle: str
    mark: str
    value: str
    interval: str
    claim: str
    facts: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]
    table_title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    origin: Sequence[str] = field(default_factory=list)


def in_words(value: float) -> str:
    """A number as a person reads it: two significant digits behind 1, one decimal up to 100, none beyond."""
    if not np.isfinite(value):
        return "unknown"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def interval_in_words(low: float, high: float, level: float, unit: str) -> str:
    """An interval as a sentence's end; nothing where there is none."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    told = f"between {in_words(low)} and {in_words(high)} {unit}".strip()
    return f"{100 * level:.0f} % {told}" if np.isfinite(level) else f"{told}, how surely is not told"


def claim_in_words(state: str, reason: str, level: float, is_simulated: bool) -> str:
    """What the interval promises, or why it promises nothing."""
    reason = plain(reason).strip().rstrip(".")
    if state == "stated" and np.isfinite(level):
        share = "simulated cases" if is_simulated else "cases"
        return f"Claim: {100 * level:.0f} of 100 {share} like those it was calibrated on fell inside such intervals."
    if reason.startswith(MEASURED):
        return f"{reason[0].upper()}{reason[1:]}."
    what = "withdrawn" if state == "withdrawn" else "none"
    return f"Claim: {what}" + (f" ({reason})" if reason else "") + ". Read it as a ranking, not as an amount."


def age(newest: str, today: datetime.date) -> str:
    """How old the newest data are on the day of a report; nothing where the date is not told."""
    try:
        days = (today - datetime.date.fromisoformat(newest[:10])).days
    except ValueError:
        return ""
    return f"{days} days old on the day of this report" if days >= 0 else ""


def span(dates: Sequence[str]) -> str:
    """The first and last of some dates, and how many there are."""
    known = sorted(date for date in dates if date)
    if not known:
        return ""
    return known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}, {len(known)} dates"
