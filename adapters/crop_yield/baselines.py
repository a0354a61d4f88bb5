"""What every evaluation of regions stands beside: a region's mean and trend, plain models that know its last yields."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mainstem.core.baselines import Feature, Lesson, feature_row, regressions
from mainstem.core.folds import targets_of
from mainstem.core.stream import Sample
from mainstem.data.earth.regions import HISTORY

Array = NDArray[np.float64]
LAGS = 5


def region_row(sample: Sample) -> dict[Feature, float]:
    """Flatten a sample: the year, its last yields and their mean, and whatever else any sample has."""
    row = {("year", ""): float(sample.source.facts["year"])}
    streams = dict(sample.streams)
    history = streams.get("history")
    if history is not None and history.channels == HISTORY:
        del streams["history"]
        if len(last := history.values[-LAGS:, 0]):
            row |= {(f"yield-{len(last) - index}", ""): float(value) for index, value in enumerate(last)}
            row["yield_mean", ""] = float(last.mean())
    return row | feature_row(replace(sample, streams=streams))


def average_and_trend(train: Sequence[Sample], test: Sequence[Sample]) -> dict[str, Array]:
    """Each region's training mean and linear trend in t/ha; regions never seen get those of all."""
    years = np.array([float(sample.source.facts["year"]) for sample in train])
    yields = targets_of(train)
    regions = np.array([sample.source.facts["region"] for sample in train])
    lines = {region: _line(years[regions == region], yields[regions == region]) for region in np.unique(regions)}
    overall = _line(years, yields)
    found = [(lines.get(s.source.facts["region"], overall), float(s.source.facts["year"])) for s in test]
    return {
        "average": np.array([mean for (mean, _, _), _ in found]),
        "trend": np.array([mean + slope * (year - middle) for (mean, middle, slope), year in found]),
    }


def _line(years: Array, yields: Array) -> tuple[float, float, float]:
    """Mean yield, mean year and slope; no slope where fewer than three years are known."""
    spread = ((years - years.mean()) ** 2).sum()
    slope = ((years - years.mean()) * (yields - yields.mean())).sum() / spread if len(np.unique(years)) > 2 else 0.0
    return float(yields.mean()), float(years.mean()), float(slope)


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Averages, trends, and ridge, forest and boosting on all that is known of a season, t/ha."""
    lesson = Lesson.of(train, test, targets_of(train), seed, region_row)
    return average_and_trend(train, test) | regressions(lesson)
