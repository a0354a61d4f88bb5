"""Forecasts of past seasons beside their harvests: by members that never saw them, at every lead, season by season."""

import glob
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.anchors import RegionYears
from mainstem.adapters.crop_yield.regional import RegionalPreparation
from mainstem.adapters.crop_yield.seasons import CONSTANT, LEADS, PAST, lead_of
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.conformal import Calibration
from mainstem.core.contradiction import chance_of_so_few
from mainstem.core.evaluation import rmse
from mainstem.core.files import write_atomically
from mainstem.core.fitted import Fitted
from mainstem.core.folds import one_writing
from mainstem.core.member import Member
from mainstem.core.predict import patterns_of
from mainstem.core.progress import Progress, silent
from mainstem.core.quantiles import cases_needed, group_quantile
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Outputs
from mainstem.data.catalogue import data_home

Array = NDArray[np.float64]
LEVELS = (0.5, 0.8, 0.9)
DOUBTED_AT = 0.05  # chance below which known harvests are said to contradict a level
FORECAST, HELD_OUT = "forecast", "held out"
COLUMNS = ("season", "region", "how", "lead", "harvest", "past", "value",
           *(f"{end}_{level:.0%}" for level in LEVELS for end in ("low", "high")))  # fmt: skip
FIGURES = ("rmse", "bias", "coverage", "width")
ERRORS = ("rmse", "past_rmse", "raised_rmse")  # of the forecast, the past's average, and that average raised


def never_shown(fitted: Fitted, season: str) -> tuple[Member, ...]:
    """The members that never saw a season's harvests, not even as past yields of later ones."""
    return tuple(
        member
        for member in fitted.ensemble.members
        if isinstance(member.preparation, RegionalPreparation)
        and float(season) not in member.preparation.anchor.known.year
    )


def held_out(fitted: Fitted, season: str) -> Fitted | None:
    """Return the adapter as it is without a season that it was trained on; None where every member has learned from it.

    Left are the members that never saw it, calibrations without its errors and alarms without its inputs. What the
    members' parts are worth (two numbers between 0 and 1) was learned from all seasons.
    """
    unseen = never_shown(fitted, season)
    if not unseen:
        return None
    calibration = {view: _without(known, season) for view, known in fitted.calibration.items()}
    alarm = {view: left for view, known in fitted.alarm.items() if (left := _quiet_of(known, season)) is not None}
    return replace(fitted, ensemble=replace(fitted.ensemble, members=unseen), calibration=calibration, alarm=alarm)


def _quiet_of(alarm: ShiftAlarm, season: str) -> ShiftAlarm | None:
    """The alarm without one group's cases; None where too few groups are left."""
    kept = np.array([one_writing(group) != one_writing(season) for group in alarm.groups])
    groups, places = (tuple(np.asarray(labels)[kept].tolist()) for labels in (alarm.groups, alarm.places))
    if len(set(groups)) < alarm.FEWEST:
        return None
    return replace(alarm, features=alarm.features[kept], own=alarm.own[kept], groups=groups, places=places)


def _without(calibration: Calibration, season: str) -> Calibration:
    """The calibration without one group's scores; as it is where no other is left."""
    kept = np.array([one_writing(group) != one_writing(season) for group in calibration.groups])
    if not kept.any():
        return calibration

    def left(labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(np.asarray(labels)[kept].tolist())

    return replace(
        calibration,
        scores=calibration.scores[kept],
        groups=left(calibration.groups),
        patterns=None if calibration.patterns is None else left(calibration.patterns),
        strata=None if calibration.strata is None else left(calibration.strata),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Issued:
    """What is told of samples as they were known at a lead: outputs (cases,), and scales of half intervals."""

    fitted: Fitted
    lead: int
    mean: Array
    scale: Array
    patterns: tuple[str, ...]

    def half(self, level: float) -> Array:
        """Half the width (cases,) of intervals at a level, t/ha; NaN where the lead was never calibrated."""
        calibration = self.fitted.calibration.get(f"lead{self.lead}")
        if calibration is None:
            return np.full(len(self.mean), np.nan)
        found: Array = calibration.quantiles(level, self.patterns) * self.scale
        return found

    def interval(self, half: Array) -> tuple[Array, Array, Array]:
        """Value and ends (cases,) for half widths, as far as yields are possible."""
        return self.fitted.target.bounds.interval(self.mean, half)


def issue(fitted: Fitted, samples: Sequence[Sample], lead: int) -> Issued:
    """Predict samples from what was known of them `lead` steps before their season's end; nothing is claimed."""
    view = f"lead{lead}"
    shown = [TASK.views[view](sample) for sample in samples]
    told: Outputs = fitted.outputs(shown, view)
    patterns = tuple(patterns_of(fitted, shown, view))
    return Issued(fitted=fitted, lead=lead, mean=told["mean"], scale=told["scale"], patterns=patterns)


def least_lead(samples: Sequence[Sample]) -> int:
    """How early the inputs of a season's samples stop that know most of it; 0 where none has any."""
    return min((lead_of(sample) for sample in samples if set(sample.streams).difference(CONSTANT, PAST)), default=0)


def past_average(samples: Sequence[Sample]) -> Array:
    """Mean of each sample's last past yields (samples,), five at most, t/ha; NaN where none is known."""
    return RegionYears.read(samples).recent


def look_back(fitted: Fitted, source: SampleSet, progress: Progress = silent) -> pd.DataFrame:
    """Return forecasts of every known harvest at every lead, none by a member that learned from its season.

    Columns: season, region, how (FORECAST or HELD_OUT), lead, harvest, past (average), value, t/ha, and low_ and high_
    at each of LEVELS in percent, as they were issued.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    seasons = list(_judged_seasons(fitted, source))
    for number, (season, how, judge, samples) in enumerate(seasons):
        frame = pd.DataFrame({
            "season": season, "region": [str(sample.source.facts["region"]) for sample in samples], "how": how,
            "harvest": [float(sample.target or 0.0) for sample in samples], "past": past_average(samples),
        })  # fmt: skip
        for lead in range(LEADS):
            share = (number * LEADS + lead) / (len(seasons) * LEADS)
            progress(f"looking back at {season}", share)
            parts.append(frame.assign(lead=lead, **_columns(issue(judge, samples, lead)))[list(COLUMNS)])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def looked_back_file(name: str, adapter_sha256: str) -> Path:
    """Where what a model of a region set said of past seasons is kept."""
    return data_home() / "hindsight" / f"{name} {adapter_sha256[:16]}.csv"


def keep_looked_back(looked: pd.DataFrame, path: Path) -> None:
    """Keep what `look_back` gave; of other models of the set nothing is kept any longer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, looked.to_csv(index=False, float_format="%.4f").encode())
    for other in path.parent.glob(f"{glob.escape(path.stem.rsplit(' ', 1)[0])} *.csv"):
        if other != path and other.stem.rsplit(" ", 1)[0] == path.stem.rsplit(" ", 1)[0]:
            other.unlink(missing_ok=True)


def looked_back(path: Path) -> pd.DataFrame | None:
    """Read what is kept; None where nothing is, or it cannot be read."""
    try:
        found = pd.read_csv(io.BytesIO(path.read_bytes()), dtype={"season": str, "region": str}, keep_default_na=True)
    except (OSError, ValueError):
        return None
    return found if tuple(found.columns) == COLUMNS else None


def _columns(issued: Issued) -> dict[str, Array]:
    columns: dict[str, Array] = {"value": issued.interval(np.zeros(len(issued.mean)))[0]}
    for level in LEVELS:
        _, columns[f"low_{level:.0%}"], columns[f"high_{level:.0%}"] = issued.interval(issued.half(level))
    return columns


def _judged_seasons(fitted: Fitted, source: SampleSet) -> Iterator[tuple[str, str, Fitted, list[Sample]]]:
    """Give each season that can be judged, how, by what, and its samples whose harvest is known and sound."""
    by_season: dict[str, list[Sample]] = {}
    for sample in source.unflagged():
        if sample.target is not None:
            by_season.setdefault(str(sample.source.group), []).append(sample)
    for season, samples in sorted(by_season.items()):
        is_trained = one_writing(season) in fitted.taught.numbers
        judge = held_out(fitted, season) if is_trained else fitted
        if judge is not None:
            yield season, HELD_OUT if is_trained else FORECAST, judge, samples


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How forecasts of a season, or the average of each region's past, ended: t/ha, coverage 0-1, NaN where unknown.

    `num` counts the cases, `num_bounded` those with an interval, `num_inside` those of them that ended inside.
    """

    num: int
    num_bounded: int
    num_inside: int
    rmse: float
    bias: float
    coverage: float
    width: float

    @classmethod
    def of(cls, harvest: Array, value: Array, low: Array, high: Array) -> "Judged":
        """Judge values (cases,) and the ends of their intervals; cases without a value or a harvest are left out."""
        known = np.isfinite(harvest) & np.isfinite(value)
        if not known.any():
            return cls(num=0, num_bounded=0, num_inside=0, rmse=np.nan, bias=np.nan, coverage=np.nan, width=np.nan)
        ended, told, ends = harvest[known], value[known], (low[known], high[known])
        bounded = np.isfinite(ends[0]) & np.isfinite(ends[1])
        inside = (ends[0] <= ended) & (ended <= ends[1])
        return cls(
            num=int(known.sum()),
            num_bounded=int(bounded.sum()),
            num_inside=int(inside[bounded].sum()),
            rmse=rmse(ended, told),
            bias=float((told - ended).mean()),
            coverage=float(inside[bounded].mean()) if bounded.any() else np.nan,
            width=float((ends[1] - ends[0])[bounded].mean()) if bounded.any() else np.nan,
        )

    def contradicts(self, level: float) -> bool:
        """True where fewer harvests ended inside than so many would by chance, each with `level` (exact binomial)."""
        return self.num_bounded > 0 and chance_of_so_few(self.num_inside, self.num_bounded, level) < DOUBTED_AT


def season_figures(looked: pd.DataFrame, lead: int, level: float) -> pd.DataFrame:
    """Return a row a season, oldest first: season, how, num, and FIGURES of the forecast and, after past_, of the past.

    raised_rmse is of the past's average raised by what it fell short of in the other seasons of training, each counting
    once: yields that grow leave every average of the past behind.

    Both are judged on the same regions, those with a past. The past's interval is its average plus and minus what held
    `level` of its errors in the other seasons that the model was trained on, each counting once, as the model's is.
    """
    shown = looked[(looked["lead"] == lead) & np.isfinite(looked["past"])]
    trained = shown[shown["how"] == HELD_OUT]
    rows = []
    for season, own in shown.groupby("season"):
        past, harvest = own["past"].to_numpy(float), own["harvest"].to_numpy(float)
        half = _past_half(trained[trained["season"] != season], level)
        ends = (own[f"{end}_{level:.0%}"].to_numpy(float) for end in ("low", "high"))
        model = Judged.of(harvest, own["value"].to_numpy(float), *ends)
        average = Judged.of(harvest, past, np.maximum(past - half, 0.0), past + half)
        raised = past + _shortfall(trained[trained["season"] != season])
        told = {name: getattr(model, name) for name in FIGURES}
        beside = {f"past_{name}": getattr(average, name) for name in FIGURES}
        doubted = model.contradicts(level)
        rows.append({"season": str(season), "how": own["how"].iloc[0], "num": model.num, **told, **beside,
                     "raised_rmse": rmse(harvest, raised), "doubted": doubted})  # fmt: skip
    return pd.DataFrame(rows)


def _shortfall(others: pd.DataFrame) -> float:
    """By how much the past's average fell short of harvests, t/ha, on average over seasons; 0 where none is known."""
    if others.empty:
        return 0.0
    return float((others["harvest"] - others["past"]).groupby(others["season"]).mean().mean())


def _past_half(others: pd.DataFrame, level: float) -> float:
    """Half the width of an interval round the past's average; NaN where too few seasons are known."""
    if others["season"].nunique() < cases_needed(level):
        return float("nan")
    errors = (others["harvest"] - others["past"]).abs().to_numpy(float)
    return group_quantile(errors, others["season"].to_numpy(str), level)


def skill_by_lead(looked: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return a row a lead, earliest first: RMSE of forecast and past, share of error saved, coverage, seasons counted.

    raised_rmse and saved_of_raised are beside the past's average raised as in `season_figures`; better counts the
    seasons whose forecasts erred by less than that.

    Seasons that were never trained on are counted where there are any, else those held out; each counts once.
    """
    how = FORECAST if (looked["how"] == FORECAST).any() else HELD_OUT
    rows = []
    for lead in sorted(looked["lead"].unique(), reverse=True):
        found = season_figures(looked[(looked["how"] == how) | (looked["how"] == HELD_OUT)], int(lead), level)
        found = found[found["how"] == how]
        model, past, raised = (float(np.sqrt((found[name] ** 2).mean())) for name in ERRORS)
        rows.append({"lead": int(lead), "rmse": model, "past_rmse": past, "saved": 1 - model / past, "how": how,
                     "raised_rmse": raised, "saved_of_raised": 1 - model / raised,
                     "better": int((found["rmse"] < found["raised_rmse"]).sum()),
                     "coverage": float(found["coverage"].mean()), "seasons": len(found)})  # fmt: skip
    return pd.DataFrame(rows)


def worst(table: pd.DataFrame, num: int) -> pd.DataFrame:
    """The rows of the largest errors, whichever their sign; those without one come last."""
    order = table["error"].abs().sort_values(ascending=False, na_position="last", kind="stable").index
    return table.loc[order].head(num)
