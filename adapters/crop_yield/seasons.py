"""Seasons: how far each region's inputs depart from its own normal, and what was known some time before harvest."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

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
        regions = sorted({str(sample.source.facts["region"]) for sample in samples})
        place = {region: row for row, region in enumerate(regions)}
        sums: dict[str, Array] = {}
        counts: dict[str, Array] = {}
        for sample in samples:
            row = place[str(sample.source.facts["region"])]
            for name, stream in _changing(sample).items():
                if name not in sums:
                    shape = (len(regions), 1 if stream.kind == "scalar" else NUM_BINS, len(stream.channels))
                    sums[name], counts[name] = np.zeros(shape), np.zeros(shape)
                own, seen = _binned(stream, sums[name].shape[1])
                sums[name][row] += own
                counts[name][row] += seen
        normal = {name: _mean(sums[name], counts[name]) for name in sorted(sums)}
        seasons = frozenset(season_of(sample) for sample in samples)
        return cls(regions=tuple(regions), normal=normal, count=dict(sorted(counts.items())), seasons=seasons)

    def departures(self, samples: Sequence[Sample]) -> list[dict[str, Stream]]:
        """Return each sample's changing streams as departures from its region's normal; unknown regions give none."""
        place = {region: row for row, region in enumerate(self.regions)}
        departed = []
        for sample in samples:
            row = place.get(str(sample.source.facts["region"]))
            streams = {} if row is None else _changing(sample)
            is_own = season_of(sample) in self.seasons
            departed.append({name: self._depart(name, row, stream, is_own) for name, stream in streams.items()})
        return departed

    def _depart(self, name: str, row: int | None, stream: Stream, is_own: bool) -> Stream:
        normal, count = self.normal[name][row], self.count[name][row]
        if is_own:
            own, seen = _binned(stream, len(normal))
            others = _mean(np.nan_to_num(normal) * count - own, count - seen)
            normal = np.where(count > seen, others, normal)  # of a single season: no departure is known
        values = np.where(stream.observed(), stream.values, np.nan)
        away = values - normal[dekads(stream)].reshape(stream.values.shape)
        return Stream(kind=stream.kind, values=away, channels=stream.channels, times=stream.times)


def season_of(sample: Sample) -> tuple[str, float]:
    """Return the region and the harvest year."""
    return str(sample.source.facts["region"]), float(sample.source.facts["year"])


def _binned(stream: Stream, num_bins: int) -> tuple[Array, Array]:
    """Sums and numbers of a stream's observations by dekad (bins, channels)."""
    seen = np.atleast_2d(stream.observed())
    shape = (num_bins, len(stream.channels))
    sums, counts = np.zeros(shape), np.zeros(shape)
    bins = dekads(stream)
    np.add.at(sums, bins, np.where(seen, np.atleast_2d(stream.values), 0.0))
    np.add.at(counts, bins, seen)
    return sums, counts


def _mean(sums: Array, counts: Array) -> Array:
    mean: Array = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return mean


def _changing(sample: Sample) -> dict[str, Stream]:
    return {name: stream for name, stream in sample.streams.items() if name not in CONSTANT + PAST}


def dekads(stream: Stream) -> NDArray[np.intp]:
    """Return which dekad of the year each step falls in; 0 for scalars."""
    if stream.times is None:
        return np.zeros(1, np.intp)
    return np.clip(stream.times // (BIN_DAYS * DAY_S), 0, NUM_BINS - 1).astype(np.intp)


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
            kept = stream.times < until_s
            if not kept.any():
                continue
            stream = replace(
                stream,
                values=stream.values[kept],
                times=stream.times[kept],
                valid=None if stream.valid is None else stream.valid[kept],
            )
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


def lead_of(sample: Sample) -> int:
    """Return the lead that a sample's own inputs stand for: how far before the season's end they stop."""
    phases = [int(match[1]) for name in sample.streams if (match := PHASE.fullmatch(name))]
    if phases:
        return LEADS - 1 - max(phases)
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
