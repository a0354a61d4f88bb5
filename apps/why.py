"""Why a forecast is as it is: a season against the region's normal, what the alarm heard, what each part adds."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.regional import RegionalPreparation
from mainstem.adapters.crop_yield.seasons import MONTH_DAYS, changing_in, region_of
from mainstem.apps.crop_phases import PHASES
from mainstem.core.fitted import Fitted
from mainstem.core.stream import Sample, Stream

Array = NDArray[np.float64]
DAY_S = 86_400.0
FEWEST = 5  # seasons from which a normal is told
AGGREGATE = re.compile(r"(avg|Z[-+])([A-Z]+)p(\d)")  # CY-Bench's season aggregates: quantity and crop phase
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
RAIN, WATER, HEAT, CANOPY = "rain", "water balance", "heat", "canopy"
GROUPS = {"PREC": RAIN, "CWB": WATER, "TAVG": HEAT, "TMIN": HEAT, "TMAX": HEAT, "FAPAR": CANOPY, "ndvi": CANOPY,
          "fpar": CANOPY}  # fmt: skip
NAMES = {"PREC": "rain", "CWB": "water balance", "TAVG": "mean temperature", "TMIN": "lowest temperature",
         "TMAX": "highest temperature", "FAPAR": "FAPAR", "ndvi": "NDVI", "fpar": "FAPAR"}  # fmt: skip
EXTREMES = {"avg": "", "Z-": "ten-day spells of unusually low ", "Z+": "ten-day spells of unusually high "}
SEASON_INPUTS = ["stream", "channel", "group", "what", "when", "order", "unit", "value", "normal", "spread", "away",
                 "chance", "seasons"]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a channel is in an agronomist's words: its group, itself, and in which phase of the crop, "" where dated."""

    group: str
    what: str
    phase: str
    order: int

    @classmethod
    def of(cls, channel: str) -> "Reading":
        """Read a channel's name; one that is not known is called by it."""
        found = AGGREGATE.fullmatch(channel)
        if found is None or int(found[3]) >= len(PHASES):
            return cls(group=GROUPS.get(channel, channel), what=NAMES.get(channel, channel), phase="", order=0)
        kind, quantity, phase = found[1], found[2], int(found[3])
        what = EXTREMES[kind] + NAMES.get(quantity, quantity)
        return cls(group=GROUPS.get(quantity, quantity), what=what, phase=PHASES[phase], order=phase)


def season_inputs(sample: Sample, others: Sequence[Sample], lead: int) -> pd.DataFrame:
    """Return a season's inputs, as known at a lead, against the region's own other seasons: SEASON_INPUTS.

    A row a channel and crop phase, or month; value and normal in the input's unit, spread the standard deviation of the
    seasons, away how many standard deviations of a new season the value lies from their mean, spread * sqrt(1 + 1/n) as
    the mean is of n seasons alone, and chance that of as much or more either way by Student's t. Earlier seasons are
    compared where there are FEWEST, else all others, each cut at the same lead.
    """
    from scipy.special import stdtr  # late: it takes a quarter of a second to import

    year = float(sample.source.facts["year"])
    earlier = [other for other in others if float(other.source.facts["year"]) < year]
    compared = earlier if len(earlier) >= FEWEST else [o for o in others if float(o.source.facts["year"]) != year]
    view = TASK.views[f"lead{lead}"]
    own, past = _readings(view(sample)), [_readings(view(other)) for other in compared]
    rows = []
    for key, (reading, unit, value) in own.items():
        known = np.array([found[key][2] for found in past if key in found and np.isfinite(found[key][2])])
        enough = len(known) >= FEWEST
        normal, spread = (float(known.mean()), float(known.std(ddof=1))) if enough else (np.nan, np.nan)
        away = (value - normal) / (spread * np.sqrt(1 + 1 / len(known))) if enough and spread > 0 else np.nan
        chance = 2 * float(stdtr(len(known) - 1, -abs(away))) if np.isfinite(away) else np.nan
        rows.append([*key[:2], reading.group, reading.what, reading.phase or MONTHS[key[2]], key[2] or reading.order,
                     unit, value, normal, spread, away, chance, len(known)])  # fmt: skip
    return pd.DataFrame(rows, columns=SEASON_INPUTS)


def _readings(sample: Sample) -> dict[tuple[str, str, int], tuple[Reading, str, float]]:
    """Each changing channel's value by stream, channel and month (0 where it has no dates), with its unit."""
    found = {}
    for name in changing_in([sample]):
        stream = sample.streams[name]
        seen = np.where(stream.observed(), stream.values, np.nan)
        for column, channel in enumerate(stream.channels):
            reading = Reading.of(channel.name)
            if stream.times is None:
                found[name, channel.name, 0] = (reading, channel.unit, float(seen[column]))
                continue
            months = np.clip(stream.times // (MONTH_DAYS * DAY_S), 0, 11).astype(int)
            for month in np.unique(months).tolist():
                own = seen[months == month, column]
                mean = float(np.nanmean(own)) if np.isfinite(own).any() else np.nan
                found[name, channel.name, month] = (reading, channel.unit, mean)
    return found


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a forecast is made of, t/ha: `past`, `plain` and `trunk` add up to it; `weights` are the mixture's.

    `inputs` are what each group of the season's inputs adds to `without`, what is told where none of them is known:
    these add up to the forecast as well.
    """

    forecast: float
    past: float
    plain: float
    trunk: float
    weights: Mapping[str, float]
    without: float
    inputs: Mapping[str, float]


def parts_of(fitted: Fitted, sample: Sample, lead: int) -> Parts:
    """Take a forecast apart, exactly in both ways.

    By the mixture's weights: past + (1 - gate) x share x what the plain models add + gate x what the trunk adds, as
    `Quantity.combine` has it. By masks: every set of groups of inputs is taken away in turn, and what a group adds is
    the mean over all orders in which they may become known: Shapley 1953, A value for n-person games; Lundberg & Lee
    2017, A unified approach to interpreting model predictions, equation 8.
    """
    view = f"lead{lead}"
    shown = TASK.views[view](sample)
    groups = sorted(
        {Reading.of(own.name).group for name in changing_in([shown]) for own in shown.streams[name].channels}
    )
    known = [subset for size in range(len(groups) + 1) for subset in combinations(groups, size)]
    masked = [_knowing(shown, frozenset(subset)) for subset in known]
    told = fitted.target.combine(fitted.ensemble.raw(masked), fitted.ensemble.blend[view])["mean"]
    worth = {frozenset(subset): float(value) for subset, value in zip(known, told, strict=True)}
    blend = fitted.ensemble.blend[view]
    slope, intercept = blend.get("slope", 1.0), blend.get("intercept", 0.0)
    weights = {"plain": (1 - blend["gate"]) * blend["share"], "trunk": blend["gate"]}
    raw = fitted.ensemble.raw([shown])
    mean = {name: float(np.mean([one[name][0] for one in raw])) for name in ("past", "plain", "trunk")}
    return Parts(
        forecast=worth[frozenset(groups)],
        past=slope * mean["past"] + intercept,
        plain=slope * weights["plain"] * mean["plain"],
        trunk=slope * weights["trunk"] * mean["trunk"],
        weights=weights,
        without=worth[frozenset()],
        inputs=shapley(worth, groups),
    )


def _knowing(sample: Sample, groups: frozenset[str]) -> Sample:
    """The sample with all changing inputs unknown but those of some groups."""
    streams: dict[str, Stream] = dict(sample.streams)
    for name in changing_in([sample]):
        stream = sample.streams[name]
        hidden = np.array([Reading.of(channel.name).group not in groups for channel in stream.channels])
        values = np.where(hidden, np.nan, stream.values)
        streams[name] = replace(stream, values=values)
    return replace(sample, streams=streams)


def shapley(worth: Mapping[frozenset[str], float], players: Sequence[str]) -> dict[str, float]:
    """Each player's mean addition over all orders, from the worth of every set of them; they add up to the whole."""
    count, found = len(players), dict.fromkeys(players, 0.0)
    for player in players:
        others = [name for name in players if name != player]
        for size in range(count):
            share = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for subset in combinations(others, size):
                before = frozenset(subset)
                found[player] += share * (worth[before | {player}] - worth[before])
    return found


def season_features(fitted: Fitted, samples: Sequence[Sample], lead: int) -> Array:
    """What the shift alarm compares of a season known at a lead (samples, features)."""
    return fitted.ensemble.features([TASK.views[f"lead{lead}"](sample) for sample in samples])


def heard_by_alarm(fitted: Fitted, samples: Sequence[Sample], region: str, lead: int, features: Array) -> pd.DataFrame:
    """Return what the shift alarm compares of a season, known at a lead, and of one of its regions; empty without one.

    `features` are those of the season.

    Columns: stream, channel; season_away and region_away in standard deviations (between seasons, and of regions'
    seasons from their own normal); share, of the squared distance by which the season's regions like this one, known to
    calibration or not, are ranked; is_heard, where the alarm is raised and this is more than an even share.
    """
    view = f"lead{lead}"
    alarm, shown = fitted.alarm.get(view), [TASK.views[view](sample) for sample in samples]
    names = feature_names(fitted, shown)
    if alarm is None or len(names) != alarm.features.shape[1]:
        return pd.DataFrame(columns=["stream", "channel", "season_away", "region_away", "share", "is_heard"])
    places = [region_of(sample) for sample in shown]
    alike = [row for row, place in enumerate(places) if alarm.knows(place) == alarm.knows(region)]
    here, named = features[alike], [places[row] for row in alike]
    season = alarm.heard(here, named)
    own = alarm.departures(features, places)[places.index(region)]
    squares = np.nan_to_num(season, posinf=0.0, neginf=0.0) ** 2
    share = squares / max(float(squares.sum()), 1e-12)
    raised, compared = alarm.fires(here, named), int(np.isfinite(season).sum())
    return pd.DataFrame({
        "stream": [stream for stream, _ in names], "channel": [channel for _, channel in names],
        "season_away": season, "region_away": own, "share": share,
        "is_heard": raised & (share > 1 / max(compared, 1)),
    })  # fmt: skip


def feature_names(fitted: Fitted, samples: Sequence[Sample]) -> list[tuple[str, str]]:
    """Stream and channel of each of the alarm's features, in their order."""
    preparation = fitted.ensemble.members[0].preparation
    if not isinstance(preparation, RegionalPreparation):
        return []
    aligned, found = fitted.ensemble.layout(samples), list[tuple[str, str]]()
    for name, normal in preparation.climatology.normal.items():
        own = next((sample.streams[name] for sample in aligned if name in sample.streams), None)
        width = normal.shape[2]
        known = [""] * width if own is None else [channel.name for channel in own.channels]
        found += [(name, channel) for channel in known]
    return found
