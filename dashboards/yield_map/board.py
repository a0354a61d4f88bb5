"""What the agronomist's page shows: predictions of a season by region, each region's story, and what may be claimed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.seasons import LEADS
from mainstem.apps.export import prediction_table
from mainstem.apps.hindsight import (
    Issued,
    Judged,
    held_out,
    issue,
    least_lead,
    never_shown,
    past_average,
)
from mainstem.core.bounds import never_narrower
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.folds import one_writing
from mainstem.core.predict import predict, refusals
from mainstem.core.records import read_record
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import below_name
from mainstem.core.targets.quantity import WORTHWHILE
from mainstem.data.earth.outlines import Outlines, county_outlines, point_outlines, simulated_outlines

DOZENS = 10.0  # of a unit in 1 t/ha, from which one digit says enough
NUMBERS = ["value", "low", "high"]  # columns of a table of predictions
MOST_ISSUED = 200  # seasons and regions at a lead that a board keeps


@dataclass(frozen=True, kw_only=True, eq=False)
class YieldBoard:
    """A fitted adapter with the samples of its region set, by season."""

    fitted: Fitted
    source: SampleSet
    record: Mapping[str, Any]
    by_season: Mapping[str, tuple[Sample, ...]]
    issued_before: dict[tuple[str, str, int], Issued] = field(default_factory=dict)  # what was asked is kept

    @cached_property
    def middle_t_ha(self) -> float:
        """Median of the harvests known, t/ha; NaN where there are none."""
        known = [float(sample.target) for sample in self.source.labelled() if sample.target is not None]
        return float(np.median(known)) if known else float("nan")

    def seasons(self) -> tuple[str, ...]:
        """Seasons that the model was not trained on, newest first, then those that some member was not.

        All of them where there is no such.
        """
        unseen = [season for season in self.by_season if not self.is_trained_on(season)]
        held = [season for season in self.by_season if self.is_held_out(season)]
        return tuple(sorted(unseen, reverse=True) + sorted(held, reverse=True)) or tuple(
            sorted(self.by_season, reverse=True)
        )

    def is_held_out(self, season: str) -> bool:
        """True where the model was trained on a season, and can be shown without the members that were."""
        return self.is_trained_on(season) and bool(never_shown(self.fitted, season))

    def fitted_for(self, season: str) -> Fitted:
        """The adapter, of a season that it was trained on without what learned from it, where any is left."""
        return (held_out(self.fitted, season) if self.is_trained_on(season) else None) or self.fitted

    def issued(self, season: str, lead: int, region: str = "") -> Issued:
        """What is told of a season as it was known at a lead, of all its regions or one."""
        key = (season, region, lead)
        if key not in self.issued_before:
            if len(self.issued_before) >= MOST_ISSUED:
                self.issued_before.clear()
            self.issued_before[key] = issue(self.fitted_for(season), self.samples(season, region), lead)
        return self.issued_before[key]

    def samples(self, season: str, region: str = "") -> list[Sample]:
        """The samples of a season, of all regions or one."""
        return [sample for sample in self.by_season[season] if not region or sample.source.facts["region"] == region]

    def provenance_of(self, season: str) -> str:
        """Say how a season that the model was trained on is shown; "" where it was not."""
        if not self.is_trained_on(season):
            return ""
        if not self.is_held_out(season):
            return f"The model was trained on {season}, all of it: this is no forecast."
        num, every = len(never_shown(self.fitted, season)), len(self.fitted.ensemble.members)
        return (
            f"Held out, not a forecast: the model was trained on {season}; this is the answer of the {num} of its "
            f"{every} members that never saw its harvests. They may know later seasons; what their parts are worth was "
            "learned from all."
        )

    def shown_as(self, season: str) -> str:
        """What a season's values are, in a word or two."""
        if not self.is_trained_on(season):
            return "forecast"
        return "held out" if self.is_held_out(season) else "trained on"

    def regions(self) -> frozenset[str]:
        """Names of all regions, of whatever season."""
        return frozenset(str(sample.source.facts["region"]) for sample in self.source.samples)

    def is_trained_on(self, season: str) -> bool:
        """True where the model has seen the season's harvests."""
        return one_writing(season) in self.fitted.taught.numbers

    def reach(self, season: str, lead: int) -> str:
        """Newest season that claims reach to, where this one lies beyond it; else ""."""
        calibration = self.fitted.calibration.get(f"lead{lead}")
        if calibration is None or not calibration.is_later(season) or float(season) <= calibration.reach:
            return ""
        return f"{calibration.reach:g}"

    def crop(self) -> str:
        """Name of the crop."""
        return str(self.source.samples[0].source.facts["crop"])


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Regions whose claim is missing for one reason, which names none of them."""

    claim: str
    reason: str
    regions: tuple[str, ...]


def doubts(table: pd.DataFrame) -> list[Doubt]:
    """Return why claims of a season's table are missing, the most frequent reason first."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in table[table["claim"] != "stated"].itertuples():
        reason = nameless(str(row.reasons), str(row.item), str(row.region))
        found.setdefault((str(row.claim), reason), []).append(str(row.region))
    every = [Doubt(claim=claim, reason=reason, regions=tuple(names)) for (claim, reason), names in found.items()]
    return sorted(every, key=lambda doubt: -len(doubt.regions))


def nameless(reason: str, item: str, region: str) -> str:
    """Return a reason without the name of the case that it is about."""
    apart = r"(?<!\w){}(?!\w)"
    reason = re.sub(apart.format(f"of {re.escape(item)}"), "of the region", reason)
    return re.sub(apart.format(f"at {re.escape(region)}"), "there", reason)


def load_board(source: SampleSet, run: Path) -> YieldBoard:
    """Read a run and sort the samples by season."""
    by_season: dict[str, list[Sample]] = {}
    for sample in source.samples:
        by_season.setdefault(str(sample.source.group), []).append(sample)
    return YieldBoard(
        fitted=load_run(run, TASK),
        source=source,
        record=read_record(run),
        by_season={season: tuple(samples) for season, samples in by_season.items()},
    )


def season_table(board: YieldBoard, season: str, lead: int, level: float, threshold_t_ha: float | None) -> pd.DataFrame:
    """Return predictions of a season as known `lead` steps before its end, with width, truth and what the past said.

    Columns beside those of exports, t/ha unless said: lead, later where less is known than was asked; width; below
    (probability); observed; error, the forecast less it; inside, of the interval; season_coverage, of all of them, 0-1,
    and is_doubted where it contradicts the level; expected (the anchor); past (the last years' average). An interval is
    no narrower than any of a later lead, and judged as it is drawn; low_issued and high_issued are as they were then.
    """
    known = max(lead, least_lead(board.by_season[season]))
    samples = [TASK.views[f"lead{known}"](sample) for sample in board.by_season[season]]
    thresholds = () if threshold_t_ha is None else (threshold_t_ha,)
    fitted = board.fitted_for(season)
    table = prediction_table(predict(fitted, samples, lambda sample: f"lead{known}", level, thresholds))
    table[NUMBERS] = table[NUMBERS].astype(float)  # an abstained row has none
    table["low_issued"], table["high_issued"] = table["low"], table["high"]
    table["lead"] = known
    later = range(least_lead(board.by_season[season]), known)
    if later:
        widen(table, [board.issued(season, one).half(level) for one in later], fitted)
    table["width"] = table["high"] - table["low"]
    table["observed"] = [_harvest(board, sample) for sample in samples]
    table["error"] = table["value"] - table["observed"]
    table["inside"] = table["observed"].between(table["low"], table["high"]).where(known_ends(table))
    judged = judge_season(table)
    table["season_coverage"], table["is_doubted"] = judged.coverage, judged.contradicts(level)
    offsets = [member.preparation(samples)[1] for member in fitted.ensemble.members]
    table["expected"], table["past"] = np.mean(offsets, axis=0), past_average(samples)
    if threshold_t_ha is not None:
        table = table.rename(columns={below_name(threshold_t_ha): "below"})
        table["below"] = table["below"].astype(float) if "below" in table else np.nan
    return table


def widen(table: pd.DataFrame, later: Sequence[Any], fitted: Fitted) -> None:
    """Have no interval of a table be narrower than those of later leads, whose half widths (rows,) are given."""
    value, low, high = (table[name].to_numpy(np.float64) for name in NUMBERS)
    own = np.maximum(high - value, value - low)
    half = never_narrower([own, *later[::-1]])[0]
    rows = np.isfinite(own) & (half > own)
    _, low, high = fitted.target.bounds.interval(value, half)
    table.loc[rows, "low"], table.loc[rows, "high"] = low[rows], high[rows]


def known_ends(table: pd.DataFrame) -> "pd.Series[bool]":
    """True where a harvest and an interval are both known."""
    return table[["observed", "low", "high"]].notna().all(axis=1)


def _harvest(board: YieldBoard, sample: Sample) -> float:
    """The harvest, t/ha; NaN where it is unknown, or known to be wrong."""
    is_known = sample.target is not None and sample.source.item not in board.source.flagged
    return float(sample.target) if is_known and sample.target is not None else float("nan")


def region_story(board: YieldBoard, region: str, season: str, level: float) -> pd.DataFrame:
    """Return a region's forecast through the season, earliest first: lead, value, low, high, and the ends as issued.

    Each is made of the inputs known at its lead; leads later than the season has come yet are none. No interval is
    narrower than one that follows.
    """
    (sample,) = board.samples(season, region)[:1]
    leads = range(LEADS - 1, least_lead(board.by_season[season]) - 1, -1)
    issued = [board.issued(season, lead, region) for lead in leads]
    halves = [found.half(level) for found in issued]
    if refusals(board.fitted_for(season), [sample])[0]:
        halves = [np.full_like(half, np.nan) for half in halves]
        issued = [replace(found, mean=np.full_like(found.mean, np.nan)) for found in issued]
    rows = []
    for lead, found, own, half in zip(leads, issued, halves, never_narrower(halves), strict=True):
        value, low, high = found.interval(half)
        _, low_issued, high_issued = found.interval(own)
        rows.append([lead, *(float(part[0]) for part in (value, low, high, low_issued, high_issued))])
    return pd.DataFrame(rows, columns=["lead", *NUMBERS, "low_issued", "high_issued"])


def judge_season(table: pd.DataFrame, value: str = "value", ends_as: str = "") -> Judged:
    """Judge a season's table, or another column of it, by the harvests known: its intervals as they are drawn.

    With `ends_as` "_issued" the intervals are those of then, before any was widened.
    """
    ends = [table[f"{end}{ends_as}"].to_numpy(np.float64) for end in ("low", "high")]
    return Judged.of(table["observed"].to_numpy(np.float64), table[value].to_numpy(np.float64), ends[0], ends[1])


def doubt_of(table: pd.DataFrame) -> str:
    """Say that a season's harvests contradict the level of their intervals; "" where they do not."""
    judged, level = judge_season(table), float(table["level"].iloc[0])
    if not judged.contradicts(level):
        return ""
    return (
        f"{level:.0%} did not hold in this season: {judged.coverage:.0%} of its {judged.num} known harvests ended "
        f"inside. {level:.0%} is meant on average over seasons, whose regions err together."
    )


def worth(board: YieldBoard, factor: float = 1.0, unit: str = "t/ha") -> tuple[bool, str]:
    """Say whether the season's inputs add anything over the region's own past, by years never trained on.

    `factor` is how many of the unit make 1 t/ha.
    """
    told = board.record.get("held_out")
    figures: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    model, past = (_number(figures.get(name)) for name in ("held_out_rmse", "offset_rmse"))
    if not (0 < model < np.inf and 0 < past < np.inf):
        return False, "This run does not say what it is worth on years held out of training; train it anew to know."
    saved = 1 - model / past
    digits = 2 if factor < DOZENS else 1
    if saved < WORTHWHILE:
        return False, (
            f"The model adds nothing here over what each region's past says (error {factor * past:.{digits}f} {unit} "
            "out of sample either way): read the map as expectations from past yields, not as a forecast of this "
            "season."
        )
    return True, (
        f"On years held out of training the season's inputs cut the error of past yields alone by {saved:.0%}, "
        f"from {factor * past:.{digits}f} to {factor * model:.{digits}f} {unit}."
    )


def _number(value: Any) -> float:  # noqa: ANN401 - from a record
    """The number, or NaN where it is none."""
    return float(value) if isinstance(value, int | float) else float("nan")


def outlines_of(source: SampleSet, mirror: Path | None = None, folder: Path | None = None) -> Outlines | None:
    """Return the outlines of a region set, or None where it has no geometry at all."""
    regions = [str(sample.source.facts["region"]) for sample in source.samples]
    if source.simulated:
        return simulated_outlines(regions)
    if source.name == "us-maize":
        return county_outlines(regions, mirror)
    if folder is not None:
        facts = source.samples[0].source.facts
        location = folder / str(facts["crop"]) / str(facts["country"])
        path = location / f"location_{facts['crop']}_{facts['country']}.csv"
        return point_outlines(regions, path) if path.is_file() else None
    return None


def ranked(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table twin: abstained and withdrawn rows first, then the lowest against expectation."""
    doubt = (table["abstained"] | (table["claim"] != "stated")).astype(int)
    order = pd.DataFrame({"doubt": -doubt, "gap": table["value"] - table["expected"]})
    return table.loc[order.sort_values(["doubt", "gap"]).index, list(columns)]
