"""Seasons: how far each region's inputs depart from its own normal, and what was known some time before harvest."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield.steps import Rows, Steps
from mainstem.core.stream import Sample, Stream

Array = NDArray[np.float64]
DAY_S = 86_400.0
YEAR_S = 365.25 * DAY_S
BIN_DAYS = 10.0  # dekads, the step of CY-Bench's series
NUM_BINS = 37
MONTH_DAYS = 365.25 / 12
CONSTANT = ("soil",)  # streams that do not change from year to year
PAST = ("history", "trend")  # streams of yields
PHASE = re.compile(r"phase(\d)")  # season aggregates of one crop phase, p0 (before sowing) to p4 (maturity)
LEADS = 5  # months, or phases, that a season is cut back by, 0 to LEADS - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Climatology:
    """Mean and number of each region's inputs over training years, by stream (regions, bins, channels), NaN if unknown.

    `seasons` are the regions and years that were averaged: such a season departs from the mean of the others, as a new
    one does, for a mean that holds a season lies nearer to it.
    """

    regions: tuple[str, ...]
    normal: Mapping[str, Array]
    count: Mapping[str, Array]
    seasons: frozenset[tuple[str, float]]

    @classmethod
    def fit(cls, samples: Sequence[Sample]) -> "Climatology":
        """Average the samples of each region, scalars as they are and series by dekad of the year."""
        regions = sorted({region_of(sample) for sample in samples})
        places = _places(regions, samples)
        normal: dict[str, Array] = {}
        count: dict[str, Array] = {}
        for name in changing_in(samples):
            steps = Steps.of(samples, name, range(len(samples)))
            assert steps is not None
            own, seen = steps.binned(_dekads(steps), _num_bins(steps))
            sums, count[name] = np.zeros((len(regions), *own.shape[1:])), np.zeros((len(regions), *own.shape[1:]))
            np.add.at(sums, places[steps.rows], own)
            np.add.at(count[name], places[steps.rows], seen)
            normal[name] = _mean(sums, count[name])
        seasons = frozenset(season_of(sample) for sample in samples)
        return cls(regions=tuple(regions), normal=normal, count=count, seasons=seasons)

    def departures(self, samples: Sequence[Sample]) -> dict[str, Steps]:
        """Return changing streams, by name, as departures from their region's normal; unknown regions have none."""
        places = _places(self.regions, samples)
        known = np.flatnonzero(places >= 0)
        is_own = np.array([season_of(sample) in self.seasons for sample in samples], bool)
        found = {}
        for name in changing_in([samples[row] for row in known.tolist()]):
            steps = Steps.of(samples, name, known)
            assert steps is not None
            found[name] = self._depart(name, steps, places[steps.rows], is_own[steps.rows])
        return found

    def _depart(self, name: str, steps: Steps, places: Rows, is_own: NDArray[np.bool_]) -> Steps:
        dekad = _dekads(steps)
        normal, count = self.normal[name][places], self.count[name][places]
        own, seen = steps.binned(dekad, normal.shape[1])
        others = _mean(np.nan_to_num(normal) * count - own, count - seen)
        # of a single season no departure is known
        normal = np.where(is_own[:, None, None] & (count > seen), others, normal)
        return replace(steps, values=steps.values - normal[steps.owner(), dekad])


def region_of(sample: Sample) -> str:
    """Return the region."""
    return str(sample.source.facts["region"])


def _places(regions: Sequence[str], samples: Sequence[Sample]) -> Rows:
    """The place of each sample's region among those given (samples,), -1 of others."""
    place = {region: row for row, region in enumerate(regions)}
    return np.array([place.get(region_of(sample), -1) for sample in samples], np.intp)


def changing_in(samples: Sequence[Sample]) -> list[str]:
    """Names of the streams that change from year to year, sorted."""
    return sorted({name for sample in samples for name in sample.streams}.difference(CONSTANT, PAST))


def season_of(sample: Sample) -> tuple[str, float]:
    """Return the region and the harvest year."""
    return region_of(sample), float(sample.source.facts["year"])


def _mean(sums: Array, counts: Array) -> Array:
    mean: Array = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return mean


def _num_bins(steps: Steps) -> int:
    return 1 if steps.times is None else NUM_BINS


def _dekads(steps: Steps) -> Rows:
    return steps.bins(BIN_DAYS * DAY_S, NUM_BINS)


def cut_back(sample: Sample, lead: int) -> Sample:
    """Return the sample as it was known `lead` months before the end of its season (phases, where it has no dates)."""
    if lead == 0:
        return sample
    end_s = float(sample.source.facts.get("season_end_day", 365.0)) * DAY_S
    until_s = end_s - lead * MONTH_DAYS * DAY_S
    streams: dict[str, Stream] = {}
    for name, stream in sample.streams.items():
        phase = PHASE.fullmatch(name)
        if phase and int(phase[1]) > LEADS - 1 - lead:
            continue
        if stream.kind == "series" and name not in PAST:
            assert stream.times is not None
            kept = int(np.searchsorted(stream.times, until_s))
            if not kept:
                continue
            if kept < len(stream.times):
                valid = None if stream.valid is None else stream.valid[:kept]
                stream = replace(stream, values=stream.values[:kept], times=stream.times[:kept], valid=valid)
        streams[name] = stream
    return replace(sample, streams=streams)


def forget(samples: Sequence[Sample], groups: frozenset[str]) -> list[Sample]:
    """Return the samples with the yields of the years named taken out of their past, and the trend drawn without them.

    A year left out to judge a model must be unknown to it, and later years carry its yield among their past yields.
    """
    return [_forgetful(sample, groups) for sample in samples]


def _forgetful(sample: Sample, groups: frozenset[str]) -> Sample:
    history = sample.streams.get("history")
    if history is None or history.times is None:
        return sample
    years = np.round(history.times / YEAR_S) + float(sample.source.facts["year"])
    kept = np.array([f"{year:.0f}" not in groups for year in years.tolist()])
    if kept.all():
        return sample
    streams = {name: stream for name, stream in sample.streams.items() if name not in PAST}
    if kept.any():
        past = streams["history"] = replace(
            history,
            values=history.values[kept],
            times=history.times[kept],
            valid=None if history.valid is None else history.valid[kept],
        )
        if "trend" in sample.streams and len(past.values) > 1:
            streams["trend"] = replace(sample.streams["trend"], values=np.array([_line_at_zero(past)]))
    return replace(sample, streams=streams)


def _line_at_zero(past: Stream) -> float:
    """Where the straight line through the past yields meets the year of the harvest, t/ha."""
    assert past.times is not None
    return float(np.polyfit(past.times / YEAR_S, past.values[:, 0], 1)[1])


def views() -> dict[str, Callable[[Sample], Sample]]:
    """Return the views that a model is trained and judged on, by name: "lead0" (the whole season) to "lead4"."""
    return {f"lead{lead}": partial(cut_back, lead=lead) for lead in range(LEADS)}


@lru_cache(maxsize=256)
def _last_phase(names: tuple[str, ...]) -> int | None:
    """The last crop phase among streams of these names; None where none is of a phase."""
    return max((int(match[1]) for name in names if (match := PHASE.fullmatch(name))), default=None)


def lead_of(sample: Sample) -> int:
    """Return the lead that a sample's own inputs stand for: how far before the season's end they stop."""
    last = _last_phase(tuple(sample.streams))
    if last is not None:
        return LEADS - 1 - last
    ends = [
        stream.times[-1] / DAY_S
        for name, stream in sample.streams.items()
        if stream.kind == "series" and name not in PAST and stream.times is not None and len(stream.times)
    ]
    if not ends:
        return LEADS - 1
    end_day = float(sample.source.facts.get("season_end_day", 365.0))
    missing_months = (end_day - max(ends)) / MONTH_DAYS
    return int(np.clip(np.floor(missing_months), 0, LEADS - 1))
