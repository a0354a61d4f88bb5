"""The baselines that every crop-yield evaluation fits in the same call, each tuned by leave-year-out."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mainstem.core.stream import CHANNEL_DIM, Sample, Stream
from mainstem.core.targets import Target
from mainstem.core.task import Baselines, Task
from mainstem.data.earth.regions import HISTORY

Array = NDArray[np.float64]
MONTH_S = 365.25 / 12 * 86_400
LAGS = 5
MISSING = -9999.0

WORTH_THREADS = 2000  # rows; on fewer, the threads of a forest cost more than they save
GRIDS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "ridge": {"ridge__alpha": [1.0, 30.0, 1000.0]},
    "random_forest": {"randomforestregressor__min_samples_leaf": [2, 10]},
    "gradient_boosting": {
        "histgradientboostingregressor__learning_rate": [0.03, 0.1],
        "histgradientboostingregressor__max_leaf_nodes": [8, 31],
    },
}


def feature_row(sample: Sample) -> dict[str, float]:
    """Flatten a sample: scalars as they are, series by month, what has no clock as means, last yields, and the year.

    A stream of text is left out: no plain model reads any.
    """
    row = {name: float(sample.source.facts[name]) for name in ("year",) if name in sample.source.facts}
    for name, stream in sample.streams.items():
        if stream.kind == "scalar":
            for channel, value in zip(stream.channels, stream.values, strict=True):
                row[f"{name}_{channel.name}" if channel.name in row else channel.name] = float(value)
        elif name == "history" and stream.channels == HISTORY:
            if len(last := stream.values[-LAGS:, 0]):
                row |= {f"yield-{len(last) - index}": float(value) for index, value in enumerate(last)}
                row["yield_mean"] = float(last.mean())
        elif stream.times is None:
            row |= _means(name, stream)
        else:
            months = (stream.times // MONTH_S).astype(int)
            for index, channel in enumerate(stream.channels):
                values = np.where(stream.observed(), stream.values, np.nan)[:, index]
                row |= {
                    f"{name}_{channel.name}_{month}": float(np.nanmean(values[months == month]))
                    for month in np.unique(months)
                    if np.isfinite(values[months == month]).any()
                }
    return row


def _means(name: str, stream: Stream) -> dict[str, float]:
    """Mean of each channel of a stream without a clock; nothing of one that shows nothing, or is text."""
    if stream.kind not in CHANNEL_DIM:
        return {}
    values = np.where(stream.observed(), stream.values, np.nan)
    parts = np.split(values, len(stream.channels), CHANNEL_DIM[stream.kind])
    return {
        f"{name}_{channel.name}": float(np.nanmean(part))
        for channel, part in zip(stream.channels, parts, strict=True)
        if np.isfinite(part).any()
    }


def feature_matrix(samples: Sequence[Sample]) -> Array:
    """Features (samples, features), NaN where a sample lacks one; call it on train and test together."""
    rows = [feature_row(sample) for sample in samples]
    names = sorted(set().union(*rows))
    return np.array([[row.get(name, np.nan) for name in names] for row in rows])


def average_and_trend(train: Sequence[Sample], test: Sequence[Sample]) -> dict[str, Array]:
    """Each region's training mean and linear trend in t/ha; regions never seen get those of all."""
    years = np.array([float(sample.source.facts["year"]) for sample in train])
    yields = np.array([sample.target for sample in train], np.float64)
    regions = np.array([sample.source.facts["region"] for sample in train])
    lines = {region: _line(years[regions == region], yields[regions == region]) for region in np.unique(regions)}
    overall = _line(years, yields)
    found = [(lines.get(s.source.facts["region"], overall), float(s.source.facts["year"])) for s in test]
    return {
        "average": np.array([mean for (mean, _, _), _ in found]),
        "trend": np.array([mean + slope * (year - middle) for (mean, middle, slope), year in found]),
    }


def region_baselines(train: Sequence[Sample], test: Sequence[Sample]) -> dict[str, Array]:
    """Averages and trends by region, or, of samples that name no region and year, the training mean."""
    if all("region" in sample.source.facts and "year" in sample.source.facts for sample in (*train, *test)):
        return average_and_trend(train, test)
    return {"average": np.full(len(test), np.mean([sample.target for sample in train]))}


def _line(years: Array, yields: Array) -> tuple[float, float, float]:
    """Mean yield, mean year and slope; no slope where fewer than three years are known."""
    spread = ((years - years.mean()) ** 2).sum()
    slope = ((years - years.mean()) * (yields - yields.mean())).sum() / spread if len(np.unique(years)) > 2 else 0.0
    return float(yields.mean()), float(years.mean()), float(slope)


def _estimators(seed: int, num_rows: int) -> dict[str, Any]:
    # trees see a missing value as one far below all others; boosting cannot bin a column that is missing throughout
    marked = SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True)
    median = SimpleImputer(strategy="median", keep_empty_features=True)
    jobs = -1 if num_rows > WORTH_THREADS else 1
    forest = RandomForestRegressor(100, max_features=0.33, n_jobs=jobs, random_state=seed)
    return {
        "ridge": make_pipeline(median, StandardScaler(), Ridge()),
        "random_forest": make_pipeline(marked, forest),
        "gradient_boosting": make_pipeline(marked, HistGradientBoostingRegressor(max_iter=200, random_state=seed)),
    }


def baselines_of(task: Task) -> Baselines:
    """Return the task's own baselines, or plain ones of any samples, and the rivals with the trunk's own inputs."""
    target = task.target
    plain = task.baselines or (fit_baselines if target.is_number else partial(_constant, target))
    rivals = task.rivals
    if rivals is None:
        return plain
    return lambda train, test, seed: {**plain(train, test, seed), **rivals(train, test, seed)}


def _constant(target: Target, train: Sequence[Sample], test: Sequence[Sample], seed: int = 0) -> dict[str, Array]:
    """What targets are on average."""
    targets = [np.asarray(sample.target, np.float64) for sample in train]
    return target.constant(np.stack(targets), len(test))


def fit_baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int = 0) -> dict[str, Array]:
    """Fit every baseline on `train`, tuned over GRIDS by leaving its groups out, and predict `test` in t/ha."""
    predictions = region_baselines(train, test)
    features = feature_matrix([*train, *test])
    seen, new = features[: len(train)], features[len(train) :]
    yields = np.array([sample.target for sample in train], np.float64)
    groups = [sample.source.group or f"case {row}" for row, sample in enumerate(train)]
    folds = GroupKFold(min(len(set(groups)), 6))
    for name, estimator in _estimators(seed, len(train)).items():
        search = GridSearchCV(estimator, dict(GRIDS[name]), scoring="neg_mean_squared_error", cv=folds)
        predictions[name] = search.fit(seen, yields, groups=groups).predict(new)
    return predictions
