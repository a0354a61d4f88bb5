"""The figures of an evaluation: metrics beside baselines, differences, coverage, by group and by lead time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.coverage import report_coverage
from mainstem.apps.scoring import Scored, ScoredMeans, hash_together
from mainstem.core.evaluation import (
    Aggregate,
    Metric,
    compare_all,
    mean_over_groups,
    mean_over_seeds,
    nrmse_percent,
    paired_difference,
    pooled,
    r2,
    r2_within,
    rmse,
    with_unknown,
)
from mainstem.core.regression import RegressionTask
from mainstem.data.table import UNSTATED

Array = NDArray[np.float64]
Metrics = dict[str, Metric]


def report(task: RegressionTask, results: Sequence[Scored], level: float, aggregate: Aggregate) -> dict[str, Any]:
    """Return metrics, baselines, paired differences, coverage and figures by group and by view; None: unknown."""
    results = with_weakest_claims(results)
    first, view, metrics = results[0], next(iter(task.views)), metrics_of(task)
    baselines = {name: _metrics(results, partial(_baseline, name=name), aggregate, metrics) for name in first.baselines}
    differences = {
        name: _difference(results, name, aggregate, view, next(iter(metrics.values()))) for name in first.baselines
    }
    body = {
        "n": len(first.truth),
        "metrics": _metrics(results, partial(_mean, name=view), aggregate, metrics),
        "metrics_by_seed": [_metrics([found], partial(_mean, name=view), aggregate, metrics) for found in results],
        "parts": {name: _metrics(results, partial(_part, name=name), aggregate, metrics) for name in first.parts},
        "baselines": baselines,
        **best_baseline(baselines, next(iter(metrics))),
        "difference": differences,
        "comparisons": compare_all(differences),
        "coverage": mean_over_seeds([coverage(found, view, level) for found in results]),
        **_means(results, task, level),
        "by_group": mean_over_seeds([_by_group(found, view, metrics) for found in results]),
        "by_lead": {
            name: {
                **_metrics(results, partial(_mean, name=name), aggregate, metrics),
                "coverage": mean_over_seeds([coverage(found, name, level)["pooled"] for found in results]),
            }
            for name in task.views
        },
        "trunk_sha256": hash_together([found.hashes[0] for found in results]),
        "adapter_sha256": hash_together([found.hashes[1] for found in results]),
    }
    told: dict[str, Any] = with_unknown(body)
    return told


def with_weakest_claims(results: Sequence[Scored]) -> list[Scored]:
    """Give each sample, in every seed's results, the weakest claim that any seed's model makes of it."""
    order = ("none", "withdrawn", "stated")
    claims = tuple(min(each, key=order.index) for each in zip(*(found.claims for found in results), strict=True))
    return [replace(found, claims=claims) for found in results]


def best_baseline(baselines: dict[str, dict[str, float]], metric: str) -> dict[str, str]:
    """Name the baseline of the least error, which is the one to quote; nothing where none has any that is known."""
    known = [name for name, found in baselines.items() if np.isfinite(found[metric])]
    return {"best_baseline": min(known, key=lambda name: baselines[name][metric])} if known else {}


def _means(results: Sequence[Scored], task: RegressionTask, level: float) -> dict[str, Any]:
    judged = [report_means(found.means, task.mean_of, level) for found in results if found.means is not None]
    return {"means": mean_over_seeds(judged)} if judged else {}


def report_means(means: ScoredMeans, of: str, level: float) -> dict[str, Any]:
    """Error and coverage of the means of samples that belong together, and of how many samples (their median)."""
    found = means.judged
    return {
        "of": of,
        "n": len(found.truth),
        f"pixels_per_{of}": float(np.median(means.counts)),
        "rmse": rmse(found.truth, found.mean),
        "r2_within_group": r2_within(found.truth, found.mean, found.groups),
        "r2": r2(found.truth, found.mean),
        "coverage": {
            "level": level,
            "pooled": float(((means.low <= found.truth) & (found.truth <= means.high)).mean()),
            "mean_width": float((means.high - means.low).mean()),
        },
    }


def _mean(found: Scored, name: str) -> Array:
    return found.mean[name]


def _part(found: Scored, name: str) -> Array:
    return found.parts[name]


def _baseline(found: Scored, name: str) -> Array:
    return found.baselines[name]


def _grouped(years: Sequence[str], values: Array) -> list[Array]:
    labels = np.asarray(years)
    return [values[labels == year] for year in np.unique(labels)]


def metrics_of(task: RegressionTask) -> Metrics:
    """Return the metrics by name, the task's own first; the error's name carries the unit, as in rmse_t_ha."""
    suffix = "" if task.units == UNSTATED else "_" + re.sub(r"[^a-z0-9]+", "_", task.units.lower())
    relative: Metrics = {"nrmse_percent": nrmse_percent}
    absolute: Metrics = {f"rmse{suffix}": rmse}
    return (relative | absolute if task.metric == "nrmse_percent" else absolute | relative) | {"r2": r2}


def _metrics(
    results: Sequence[Scored],
    predicted: Callable[[Scored], Array],
    aggregate: Aggregate,
    metrics: Metrics,
) -> dict[str, float]:
    """Mean over seeds of each metric; R2 inside groups and parts of groups stands before R2 of all, where it is told.

    A model that tells farms apart, and nothing within them, has a high R2 of all.
    """

    def over_seeds(scored: Callable[[Scored], float]) -> float:
        return float(np.mean([scored(found) for found in results]))

    def grouped(metric: Metric) -> float:
        return over_seeds(
            lambda found: aggregate(metric)(_grouped(found.years, found.truth), _grouped(found.years, predicted(found)))
        )

    def within(name: str) -> float:
        return over_seeds(lambda found: r2_within(found.truth, predicted(found), found.inside[name]))

    inside = {f"r2_within_{name}": within(name) for name in results[0].inside}
    errors = {name: grouped(metric) for name, metric in metrics.items() if metric is not r2}
    return errors | inside | {name: grouped(metric) for name, metric in metrics.items() if metric is r2}


def _difference(
    results: Sequence[Scored], baseline: str, aggregate: Aggregate, view: str, metric: Metric
) -> dict[str, Any]:
    """Model minus baseline: of the pooled metric, or, where the metric is a median over groups, the mean over groups.

    Medians over groups are not differenced: a year's own differences are what an interval can be put on.
    """
    of = pooled if aggregate is pooled else mean_over_groups
    found = paired_difference(
        of(metric),
        results[0].truth,
        np.stack([found.mean[view] for found in results]),
        np.stack([found.baselines[baseline] for found in results]),
        results[0].years,
    )
    return {**found.to_dict(), "of": "pooled" if of is pooled else "mean over groups"}


def coverage(found: Scored, view: str, level: float) -> dict[str, Any]:
    """Coverage of a view's intervals; claims are those of the fullest view."""
    ends = found.low[view], found.high[view]
    return report_coverage(found.truth, ends, level, found.years, found.claims, found.patterns)


def _by_group(found: Scored, view: str, metrics: Metrics) -> dict[str, dict[str, float]]:
    years = np.asarray(found.years)
    predictions = {"": found.mean[view], **{f"{name}_": values for name, values in found.baselines.items()}}
    return {
        str(year): {
            f"{prefix}{name}": metric(found.truth[years == year], values[years == year])
            for prefix, values in predictions.items()
            for name, metric in metrics.items()
            if not prefix or name == next(iter(metrics))
        }
        for year in np.unique(years)
    }
