"""What the agronomist's page shows: predictions of a season by region, each region's story, and what may be claimed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.export import prediction_table
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.folds import one_writing
from mainstem.core.predict import predict
from mainstem.core.records import read_record
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import below_name
from mainstem.core.targets.quantity import WORTHWHILE
from mainstem.data.earth.outlines import Outlines, county_outlines, point_outlines, simulated_outlines

POUNDS_PER_BUSHEL = {  # USDA standard test weights
    "maize": 56.0, "wheat": 60.0, "soybean": 60.0, "barley": 48.0, "oats": 32.0, "sorghum": 56.0,
}  # fmt: skip
DOZENS = 10.0  # of a unit in 1 t/ha, from which one digit says enough
NUMBERS = ["value", "low", "high"]  # columns of a table of predictions
POUND_KG, ACRE_HA = 0.45359237, 0.40468564224  # NIST Handbook 44, appendix C


@dataclass(frozen=True, kw_only=True, eq=False)
class YieldBoard:
    """A fitted adapter with the samples of its region set, by season."""

    fitted: Fitted
    source: SampleSet
    record: Mapping[str, Any]
    by_season: Mapping[str, tuple[Sample, ...]]

    def seasons(self) -> tuple[str, ...]:
        """Seasons that the model was not trained on, newest first; all of them where there is no other."""
        unseen = [season for season in self.by_season if not self.is_trained_on(season)]
        return tuple(sorted(unseen or self.by_season, reverse=True))

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

    Columns beside those of exports: width, below (probability), observed, expected (the anchor), all t/ha.
    """
    samples = [TASK.views[f"lead{lead}"](sample) for sample in board.by_season[season]]
    thresholds = () if threshold_t_ha is None else (threshold_t_ha,)
    found = predict(board.fitted, samples, partial(_at_lead, lead=lead), level, thresholds)
    table = prediction_table(found)
    table[NUMBERS] = table[NUMBERS].astype(float)  # an abstained row has none
    table["width"] = table["high"] - table["low"]
    table["observed"] = [np.nan if sample.target is None else float(sample.target) for sample in samples]
    offsets = [member.preparation(samples)[1] for member in board.fitted.ensemble.members]
    table["expected"] = np.mean(offsets, axis=0)
    if threshold_t_ha is not None:
        table = table.rename(columns={below_name(threshold_t_ha): "below"})
        table["below"] = table["below"].astype(float) if "below" in table else np.nan
    return table


def _at_lead(_: Sample, lead: int) -> str:
    return f"lead{lead}"


def region_story(board: YieldBoard, region: str, season: str, level: float) -> pd.DataFrame:
    """Return a region's forecast through the season: lead, value, low, high; earliest first."""
    sample = next(s for s in board.by_season[season] if s.source.facts["region"] == region)
    leads = sorted((int(name.removeprefix("lead")) for name in TASK.views), reverse=True)
    found = []
    for lead in leads:
        known = TASK.views[f"lead{lead}"](sample)
        found += predict(board.fitted, [known], partial(_at_lead, lead=lead), level)
    told = prediction_table(found)[NUMBERS].astype(float)  # an abstained row has none
    told.insert(0, "lead", leads)
    return told


def past_yields(board: YieldBoard, region: str) -> pd.DataFrame:
    """Return what is known of a region's harvests: year, yield t/ha; history and labelled samples together."""
    remembered: dict[int, float] = {}
    harvested: dict[int, float] = {}
    for season, samples in board.by_season.items():
        for sample in samples:
            if sample.source.facts["region"] == region:
                remembered |= _history(sample, int(season))
                if sample.target is not None and sample.source.item not in board.source.flagged:
                    harvested[int(season)] = float(sample.target)
    return pd.DataFrame(sorted({**remembered, **harvested}.items()), columns=["year", "yield"])


def _history(sample: Sample, year: int) -> dict[int, float]:
    history = sample.streams.get("history")
    if history is None or history.times is None:
        return {}
    years = year + np.round(history.times / (365.25 * 86_400)).astype(int)
    return {int(y): float(v) for y, v in zip(years, history.values[:, 0], strict=True) if np.isfinite(v)}


def season_series(board: YieldBoard, region: str, season: str) -> pd.DataFrame:
    """Return the region's dated observations of the season: date, stream, value; empty where the set has no dates."""
    rows = []
    for sample in board.by_season[season]:
        if sample.source.facts["region"] != region:
            continue
        for name, stream in sample.streams.items():
            if stream.kind == "series" and name not in ("history", "trend") and stream.times is not None:
                start = pd.Timestamp(f"{season}-01-01")
                dates = start + pd.to_timedelta(stream.times, unit="s")
                rows += [
                    {"date": date, "stream": name, "value": value}
                    for date, value in zip(dates, stream.values[:, 0], strict=True)
                ]
    return pd.DataFrame(rows, columns=["date", "stream", "value"])


def has_inputs(board: YieldBoard, region: str, season: str) -> bool:
    """True where more is known of a region's season than yields of the past."""
    found = [sample for sample in board.by_season[season] if sample.source.facts["region"] == region]
    return any(set(sample.streams) - {"history", "trend", "soil"} for sample in found)


def data_age(board: YieldBoard, region: str, season: str) -> str:
    """Say in words how old the newest observation behind a prediction is."""
    if not has_inputs(board, region, season):
        return "yields alone: nothing of this season is known but what its past says"
    series = season_series(board, region, season)
    if series.empty:
        return "season aggregates by crop phase, without dates: their age cannot be told"
    last = series["date"].max()
    days = (pd.Timestamp.now().normalize() - last.normalize()).days
    return f"last observation {last:%d %b %Y}, {days} days old"


def hindsight(table: pd.DataFrame, factor: float = 1.0, unit: str = "t/ha") -> str:
    """Say how many of a season's known harvests ended inside their interval; "" where none is known.

    `factor` is how many of the unit make 1 t/ha.
    """
    known = table[table[["observed", "value", "low", "high"]].notna().all(axis=1)]
    if known.empty:
        return ""
    inside = int(known["observed"].between(known["low"], known["high"]).sum())
    error = factor * float((known["observed"] - known["value"]).mean())
    digits = 2 if factor < DOZENS else 1
    side = "above" if error > 0 else "below"
    return (
        f"Hindsight: of {len(known)} known harvests of this season {inside} ({inside / len(known):.0%}) ended inside "
        f"their {known['level'].iloc[0]:.0%} interval; on average they were {abs(error):.{digits}f} {unit} {side} the "
        "forecast."
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


def bushels_per_acre(t_ha: float, crop: str) -> float:
    """Convert t/ha to bu/ac by the crop's own bushel.

    Raises:
        KeyError: if the crop has no bushel weight.
    """
    return t_ha * 1000 * ACRE_HA / (POUNDS_PER_BUSHEL[crop] * POUND_KG)


def ranked(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table twin: abstained and withdrawn rows first, then the lowest against expectation."""
    doubt = (table["abstained"] | (table["claim"] != "stated")).astype(int)
    order = pd.DataFrame({"doubt": -doubt, "gap": table["value"] - table["expected"]})
    return table.loc[order.sort_values(["doubt", "gap"]).index, list(columns)]
