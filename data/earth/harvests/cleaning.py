"""A harvest cleaned by named rules, one after another: each says what it took out, and nothing is thrown away."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests.delay import delayed, find_delay
from mainstem.data.earth.harvests.logs import Flags, Log, open_log, passes
from mainstem.data.earth.harvests.outliers import from_own_pass, local_moran, spread, unlike_near, unlike_passes
from mainstem.data.earth.harvests.points import Array, HarvestPoints
from mainstem.data.earth.harvests.ramps import find_ramps, since_begin
from mainstem.data.earth.harvests.swaths import cut_shares, told_widths

RULES: Mapping[str, str] = {  # in the order in which they are applied: what each takes out
    "no value": "no yield or no place",
    "same place": "logged at one place before: co-located points (Simbahan et al. 2004)",
    "header up": "swath of 0: on the way, nothing was cut",
    "flow delay": "its grain was weighed when nothing was logged (Lee et al. 2012)",
    "no flow": "a yield of 0 (Simbahan et al. 2004)",
    "speed": "too slow, too fast, or changing fast (Sudduth, Drummond 2007: velocity limits, smooth velocity)",
    "short pass": "of a pass too short to fill the machine (Simbahan et al. 2004: short segments)",
    "start of pass": "the machine fills (Sudduth, Drummond 2007; Lyle et al. 2014)",
    "end of pass": "the machine empties (Sudduth, Drummond 2007; Lyle et al. 2014)",
    "overlap": "most of the swath was cut before (Drummond et al. 1999)",
    "moisture": "moisture that the sensor cannot have met there (Simbahan et al. 2004)",
    "bounds": "beyond what the field bears (Vega et al. 2019: global outliers)",
    "pass": "a whole pass unlike those beside it (Lyle et al. 2014)",
    "outlier": "unlike the records around it (Simbahan et al. 2004)",
    "inlier": "local Moran's I surely negative (Vega et al. 2019)",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the rules go by; where a source sets none, round values of this module's own.

    Attributes:
        skip: names of rules that are left out.
        delay: in the log's clock, where it is known; else it is found.
        slow, fast: speeds over the median one; jerk: a change of it from record to record.
        shortest: records of a pass.
        cut: share of the swath, below which a record goes; below `whole` its yield is corrected.
        wider: times that a header is wider or narrower than told, from which on it is corrected.
        moisture: deviations from the median of its pass, and half a point each at least.
        bounds, near: deviations from the field's median, and from that around a record beside what its pass differs
            by (Vega et al. have 3 of the field's, of which spikes make part themselves).
        pass_ratio: logarithm of a strip's yield over its neighbours', at least; and passes' own deviations.
        moran: level of local Moran's I, and deviations besides.
    """

    skip: tuple[str, ...] = ()
    delay: float | None = None
    slow: float = 0.4
    fast: float = 1.6
    jerk: float = 0.2
    shortest: int = 8
    cut: float = 0.5
    whole: float = 0.85
    wider: float = 1.15
    moisture: float = 5.0
    bounds: float = 5.0
    near: float = 3.5
    pass_ratio: tuple[float, float] = (0.15, 4.0)
    moran: tuple[float, float] = (0.05, 2.5)

    def __post_init__(self) -> None:
        for name in self.skip:
            if name not in RULES:
                raise InputError(f"got the rule {name!r:.40} to leave out, want one of {', '.join(RULES)}")
            if name == "no value":
                raise InputError(f"got the rule {name!r} to leave out: records without a yield or a place have no cell")


@dataclass(frozen=True, kw_only=True, eq=False)
class Cleaned:
    """All records of a harvest, and what became of each.

    Attributes:
        yield_t_ha: corrected for delay and width (record,); NaN where nothing is known.
        removed: what each rule took out (record,), by its name in RULES; no record is taken out twice.
        corrected: records whose width was corrected.
        found: what the data told: the delay, its certainty, ramps, in the clock's unit.
        number: of each record's pass, -1 outside of passes.
    """

    points: HarvestPoints
    yield_t_ha: Array
    removed: Mapping[str, Flags]
    corrected: Flags
    found: Mapping[str, float]
    number: NDArray[np.int64]
    x: Array
    y: Array
    area_m2: Array
    heading_rad: Array
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> Flags:
        """Records that no rule took out."""
        gone = np.zeros(len(self.points), bool)
        for flags in self.removed.values():
            gone |= flags
        return ~gone

    def counts(self) -> dict[str, int]:
        """How many records were read, taken out by each rule, corrected and kept."""
        by_rule = {name: int(flags.sum()) for name, flags in self.removed.items()}
        return {"read": len(self.points), **by_rule, "corrected": int((self.corrected & self.kept).sum()),
                "kept": int(self.kept.sum())}  # fmt: skip

    def rule_of(self) -> NDArray[np.str_]:
        """Name of the rule that took each record out, "" where it is kept."""
        names = np.full(len(self.points), "", dtype=f"U{max(map(len, RULES))}")
        for name, flags in self.removed.items():
            names[flags] = name
        return names


@dataclass
class _Work:
    """What is left of a log while rules are applied to it."""

    log: Log
    limits: Limits
    values: Array
    removed: dict[str, Flags] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def kept(self) -> Flags:
        gone = np.zeros(len(self.log), bool)
        for flags in self.removed.values():
            gone |= flags
        return ~gone

    def take_out(self, name: str, flags: Flags) -> None:
        is_left_out = name in self.limits.skip
        self.removed[name] = np.zeros(len(self.log), bool) if is_left_out else flags & self.kept


def clean(points: HarvestPoints, limits: Limits | None = None) -> Cleaned:
    """Clean a harvest by RULES, in their order, each on what the ones before it left.

    Raises:
        InputError: if no record has a place and a yield.
    """
    placed = np.isfinite(points.longitude + points.latitude + points.yield_t_ha)
    placed &= (points.longitude != 0) | (points.latitude != 0)  # what receivers say without a fix
    if not placed.any():
        raise InputError("no record of the harvest has a place and a yield; check its columns")
    if placed.all():
        return _clean(points, limits or Limits())
    return _with_unplaced(_clean(points.where(placed), limits or Limits()), points, placed)


def _with_unplaced(cleaned: Cleaned, points: HarvestPoints, placed: Flags) -> Cleaned:
    """The same of all records: those without place or value are taken out first."""

    def spread_out(values: NDArray[Any], rest: Any) -> Any:  # noqa: ANN401 - of the values' kind
        found = np.full(len(points), rest, values.dtype)
        found[placed] = values
        return found

    removed = {name: spread_out(flags, False) for name, flags in cleaned.removed.items()}
    columns = {
        name: spread_out(getattr(cleaned, name), np.nan) for name in ("yield_t_ha", "x", "y", "area_m2", "heading_rad")
    }
    return replace(
        cleaned, points=points, removed={**removed, "no value": ~placed}, number=spread_out(cleaned.number, -1),
        corrected=spread_out(cleaned.corrected, False), **columns,
    )  # fmt: skip


def _clean(points: HarvestPoints, limits: Limits) -> Cleaned:
    work = _Work(log=open_log(points), limits=limits, values=points.yield_t_ha)
    if not work.log.is_orderly:
        work.notes.append(
            "records are not in the order in which they were driven: no delay, ramp, pass or overlap is looked for"
        )
    _take_unplaced(work)
    number = passes(work.log, work.kept) if work.log.is_orderly else np.where(work.kept, 0, -1)
    _shift(work, number)
    _take_speeds(work)
    _take_ramps(work, number)
    corrected = _correct_widths(work, number)
    _take_unlikely(work, number)
    log = work.log
    return Cleaned(
        points=points, yield_t_ha=work.values, removed=work.removed, corrected=corrected, found=work.found,
        number=number, x=log.x, y=log.y, area_m2=log.area_m2, heading_rad=log.heading_rad, notes=tuple(work.notes),
    )  # fmt: skip


def _take_unplaced(work: _Work) -> None:
    points = work.log.points
    work.take_out("no value", np.zeros(len(points), bool))
    key = np.column_stack([points.longitude, points.latitude, points.machine])
    first = np.unique(key, axis=0, return_index=True)[1]
    again = np.ones(len(points), bool)
    again[first] = False
    work.take_out("same place", again)
    work.take_out("header up", points.swath_m <= 0)


def _shift(work: _Work, number: NDArray[np.int64]) -> None:
    """Move yields to where their grain was cut."""
    limits, log = work.limits, work.log
    known = 0.0 if "flow delay" in limits.skip else limits.delay
    if known is None:
        told = find_delay(log, number)
        work.found |= {"delay": told.value, "delay_certainty": told.certainty}
        work.notes.append(f"flow delay {told.value:.1f} {log.unit}: {told.reason}")
        known = told.value
    work.values = delayed(log, known)
    work.take_out("flow delay", ~np.isfinite(work.values))
    work.take_out("no flow", ~(work.values > 0))


def _take_speeds(work: _Work) -> None:
    limits, log = work.limits, work.log
    is_known = log.is_orderly or np.isfinite(log.points.speed_m_s + log.points.distance_m).any()
    speed = log.speed() if is_known else np.full(len(log), np.nan)
    usual = np.median(speed[work.kept & np.isfinite(speed)]) if (work.kept & np.isfinite(speed)).any() else np.nan
    if not usual > 0:
        work.notes.append("no speed and no distance is logged: speeds are not looked at")
        work.take_out("speed", np.zeros(len(speed), bool))
        return
    same = np.r_[False, np.diff(log.points.machine) == 0] & log.is_orderly
    change = np.where(same, np.abs(np.diff(speed, prepend=speed[:1])), 0.0) / usual
    is_off = (speed < limits.slow * usual) | (speed > limits.fast * usual)
    work.take_out("speed", is_off | (change > limits.jerk) | np.r_[change[1:] > limits.jerk, False])


def _take_ramps(work: _Work, number: NDArray[np.int64]) -> None:
    lengths = np.bincount(number[number >= 0], minlength=1) if (number >= 0).any() else np.zeros(1, int)
    work.take_out("short pass", (number >= 0) & (lengths[np.maximum(number, 0)] < work.limits.shortest))
    begin, end = since_begin(work.log, number)
    values = np.where(work.kept, work.values, np.nan)
    first, last = find_ramps(work.log, number, values) if work.log.is_orderly else (0.0, 0.0)
    work.found |= {"start": first, "end": last}
    work.take_out("start of pass", begin < first)
    work.take_out("end of pass", end < last)


def _correct_widths(work: _Work, number: NDArray[np.int64]) -> Flags:
    """Correct yields for the width that was cut; what was mostly cut before is taken out."""
    limits = work.limits
    untouched = np.zeros(len(work.log), bool)
    if "overlap" in limits.skip or not np.isfinite(work.log.header_m()):
        if not np.isfinite(work.log.header_m()):
            work.notes.append("no swath is logged: overlaps are not looked for")
        work.take_out("overlap", untouched)
        return untouched
    wide = told_widths(work.log, number, limits.wider)
    share = cut_shares(work.log, number, work.log.points.swath_m * wide)
    work.take_out("overlap", share < limits.cut)
    narrow = (share >= limits.cut) & (share < limits.whole)
    work.values = np.where(narrow, work.values / np.where(narrow, share, 1.0), work.values) / wide
    return np.asarray(narrow | (wide != 1))


def _take_unlikely(work: _Work, number: NDArray[np.int64]) -> None:
    limits, log = work.limits, work.log
    away = np.abs(from_own_pass(log.points.moisture_pct, np.where(work.kept, number, -1)))
    work.take_out("moisture", away > limits.moisture * max(spread(away), 0.5))
    known = work.values[work.kept]
    top = float(np.median(known)) + limits.bounds * spread(known) if known.size else 0.0
    work.take_out("bounds", work.values > top)
    inside = np.where(work.kept, number, -1)
    work.take_out("pass", unlike_passes(log, inside, work.values, *limits.pass_ratio))
    work.take_out("outlier", unlike_near(log, work.kept, work.values, limits.near, number))
    work.take_out("inlier", local_moran(log, work.kept, work.values, limits.moran, number))
