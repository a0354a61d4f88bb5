"""Metrics of regressions, and paired bootstrap intervals of their differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Sample

Array = NDArray[np.float64]
Metric = Callable[[Array, Array], float]  # truth, predicted
Aggregate = Callable[[Metric], Callable[[Sequence[Array], Sequence[Array]], float]]  # a metric over groups' cases


def rmse(truth: Array, predicted: Array) -> float:
    """Root mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((truth - predicted) ** 2)))


def nrmse_percent(truth: Array, predicted: Array) -> float:
    """100 RMSE / mean of the truth, percent. Source: CY-Bench, metrics `normalized_rmse`."""
    return 100 * rmse(truth, predicted) / float(truth.mean())


def r2(truth: Array, predicted: Array) -> float:
    """Coefficient of determination; NaN where the truth does not vary."""
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return 1 - float(np.sum((truth - predicted) ** 2)) / spread if spread else float("nan")


def macro_f1(truth: Array, predicted: Array) -> float:
    """Mean over the classes of the truth of F1 = 2 hits / (cases + times named)."""
    scores = []
    for label in np.unique(truth):
        here, named = truth == label, predicted == label
        scores.append(2 * float((here & named).sum()) / float(here.sum() + named.sum()))
    return float(np.mean(scores))


def accuracy(truth: Array, predicted: Array) -> float:
    """Share of cases whose class is right."""
    return float((truth == predicted).mean())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Model minus baseline of one metric, with the ends of its bootstrap interval."""

    value: float
    low: float
    high: float


def pooled(metric: Metric) -> Callable[[Sequence[Array], Sequence[Array]], float]:
    """Aggregate that scores all groups' cases together."""
    return lambda truths, predictions: metric(np.concatenate(truths), np.concatenate(predictions))


def median_over_groups(metric: Metric) -> Callable[[Sequence[Array], Sequence[Array]], float]:
    """Aggregate that scores each group alone and takes the median, as CY-Bench does over left-out years."""
    return lambda truths, predictions: float(
        np.median([metric(*pair) for pair in zip(truths, predictions, strict=True)])
    )


def paired_difference(
    aggregate: Callable[[Sequence[Array], Sequence[Array]], float],
    truth: Array,
    model: Array,
    baseline: Array,
    groups: Sequence[str],
    *,
    num_draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Bootstrap the difference of an aggregate by drawing whole groups, the same ones for model and baseline.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13 (percentile interval).
    """
    labels = np.asarray(groups)
    rows = [np.flatnonzero(labels == group) for group in np.unique(labels)]
    truths, models, baselines = ([values[part] for part in rows] for values in (truth, model, baseline))

    def difference(chosen: Sequence[int]) -> float:
        drawn = [truths[index] for index in chosen]
        ours = aggregate(drawn, [models[index] for index in chosen])
        return ours - aggregate(drawn, [baselines[index] for index in chosen])

    draws = np.random.default_rng(seed).integers(len(rows), size=(num_draws, len(rows)))
    differences = [difference(draw.tolist()) for draw in draws]
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return Difference(value=difference(range(len(rows))), low=float(low), high=float(high))


def drop_streams(samples: Sequence[Sample], seed: int, share: float = 0.3) -> list[Sample]:
    """Return the samples with each stream missing by chance, never all of a sample's, to see what gaps cost."""
    rng = np.random.default_rng(seed)
    kept = []
    for sample in samples:
        names = sorted(sample.streams)
        stays = rng.random(len(names)) >= share
        if names and not stays.any():
            stays[rng.integers(len(names))] = True
        streams = {name: sample.streams[name] for name, stay in zip(names, stays, strict=True) if stay}
        kept.append(replace(sample, streams=streams))
    return kept
