"""The figures of an evaluation: metrics beside baselines, differences, coverage, by group and by lead time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.coverage import report_coverage
from mainstem.apps.scoring import Hashes, Scored, ScoredMeans
from mainstem.core.evaluation import (
    Aggregate,
    Metric,
    compare_all,
    mean_over_groups,
    mean_over_seeds,
    paired_difference,
    pooled,
    r2,
    r2_within,
    rmse,
    with_unknown,
)
from mainstem.core.member import rows_of_outputs
from mainstem.core.targets import Measure
from mainstem.core.task import Task

Array = NDArray[np.float64]
Measures = Mapping[str, Measure]


def report(task: Task, results: Sequence[Scored], aggregate: Aggregate) -> dict[str, Any]:
    """Return metrics, baselines, paired differences, coverage and figures by group and by view; None: unknown."""
    results = with_weakest_claims(results)
    first, view, hashes = results[0], task.first_view, Hashes.join([found.hashes for found in results])
    target, measures = first.target, first.target.measures
    headline = next(iter(measures))
    at_view = partial(Scored.point, view=view)
    baselines = {
        name: _metrics(results, partial(_baseline, name=name, view=view), aggregate) for name in first.baselines
    }
    differences = {name: _difference(results, name, aggregate, view) for name in first.baselines}
    parts = [found.target.parts(found.told[view]) for found in results]
    body = {
        "n": len(first.truth),
        "metrics": _metrics(results, at_view, aggregate),
        "metrics_by_seed": [_metrics([found], at_view, aggregate) for found in results],
        "parts": {name: _metrics(results, partial(_part, name=name, view=view), aggregate) for name in parts[0]},
        "baselines": baselines,
        **best_baseline(baselines, headline, lower_is_better=target.lower_is_better),
        "difference": differences,
        "comparisons": compare_all(differences, lower_is_better=target.lower_is_better),
        "coverage": mean_over_seeds([coverage(found, view) for found in results]),
        **_means(results, task),
        "by_group": mean_over_seeds([_by_group(found, view, measures) for found in results]),
        **mean_over_seeds(
            [found.target.breakdown(found.regions(view), found.baselines, found.groups) for found in results]
        ),
        **_subgroups(results, view),
        "by_lead": {
            name: {
                **_metrics(results, partial(Scored.point, view=name), aggregate),
                "coverage": mean_over_seeds([coverage(found, name)["pooled"] for found in results]),
                **_beside(results, name, aggregate),
                **_at_view(results, task, name, aggregate),
            }
            for name in first.told
        },
        "trunk_sha256": hashes.trunk,
        "adapter_sha256": hashes.adapter,
    }
    told: dict[str, Any] = with_unknown(body)
    return told


def with_weakest_claims(results: Sequence[Scored]) -> list[Scored]:
    """Give each sample, in every seed's results, the weakest claim that any seed's model makes of it."""
    order = ("none", "withdrawn", "stated")
    claims = tuple(min(each, key=order.index) for each in zip(*(found.claims for found in results), strict=True))
    return [replace(found, claims=claims) for found in results]


def best_baseline(
    baselines: Mapping[str, Mapping[str, float]], metric: str, *, lower_is_better: bool = True
) -> dict[str, str]:
    """Name the best baseline by a metric, which is the one to quote; nothing where none is known."""
    known = [name for name, found in baselines.items() if np.isfinite(found[metric])]
    side = 1 if lower_is_better else -1
    return {"best_baseline": min(known, key=lambda name: side * baselines[name][metric])} if known else {}


def _at_view(results: Sequence[Scored], task: Task, view: str, aggregate: Aggregate) -> dict[str, Any]:
    """What the parts of the model say at a view, and means of what belongs together there; nothing of single views."""
    if len(task.views) < 2:
        return {}
    parts = results[0].target.parts(results[0].told[view])
    told = {name: _metrics(results, partial(_part, name=name, view=view), aggregate) for name in parts}
    part = task.grouping.mean_of
    means = [report_means(found.means_at[view], part, found.level) for found in results if view in found.means_at]
    return {**({"parts": told} if told else {}), **({"means": mean_over_seeds(means)} if means else {})}


def _means(results: Sequence[Scored], task: Task) -> dict[str, Any]:
    judged = [
        report_means(found.means, task.grouping.mean_of, found.level) for found in results if found.means is not None
    ]
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


def _subgroups(results: Sequence[Scored], view: str) -> dict[str, Any]:
    """Figures by the values of facts, with counts; nothing where a task names none."""

    def told(found: Scored) -> dict[str, Any]:
        rows_of = {
            name: {value: np.flatnonzero(np.asarray(labels) == value) for value in sorted(set(labels))}
            for name, labels in found.facts.items()
        }
        return {
            name: {
                value: found.target.subgroup(rows_of_outputs(found.told[view], rows), found.truth[rows])
                for value, rows in values.items()
            }
            for name, values in rows_of.items()
        }

    return {"subgroups": mean_over_seeds([told(found) for found in results])} if results[0].facts else {}


def _beside(results: Sequence[Scored], view: str, aggregate: Aggregate) -> dict[str, Any]:
    """Metrics of baselines at a view and differences to them, where they were asked at each; nothing else."""
    names = results[0].baselines_at.get(view, results[0].baselines if results[0].baselines_at else {})
    if not names:
        return {}
    return {
        "baselines": {name: _metrics(results, partial(_baseline, name=name, view=view), aggregate) for name in names},
        "difference": {name: _difference(results, name, aggregate, view) for name in names},
    }


def _part(found: Scored, name: str, view: str) -> Array:
    return found.target.parts(found.told[view])[name]


def _baseline(found: Scored, name: str, view: str) -> Array:
    return found.baselines_at.get(view, found.baselines)[name]


def _grouped(groups: Sequence[str], values: Array) -> list[Array]:
    labels = np.asarray(groups)
    return [values[labels == group] for group in np.unique(labels)]


def _metrics(results: Sequence[Scored], predicted: Callable[[Scored], Array], aggregate: Aggregate) -> dict[str, float]:
    """Mean over seeds of each metric; R2 inside groups and parts of groups stands before R2 of all, where it is told.

    A model that tells groups apart, and nothing within them, has a high R2 of all.
    """
    over = {"protocol": aggregate, "groups": mean_over_groups, "pooled": pooled}

    def over_seeds(scored: Callable[[Scored], float]) -> float:
        return float(np.mean([scored(found) for found in results]))

    def measured(measure: Measure) -> float:
        of = over[measure.over](measure.metric)
        return over_seeds(
            lambda found: of(_grouped(found.groups, found.truth), _grouped(found.groups, predicted(found)))
        )

    def within(name: str) -> float:
        return over_seeds(lambda found: r2_within(found.truth, predicted(found), found.inside[name]))

    measures = results[0].target.measures
    inside = {f"r2_within_{name}": within(name) for name in results[0].inside}
    errors = {name: measured(measure) for name, measure in measures.items() if measure.metric is not r2}
    return errors | inside | {name: measured(one) for name, one in measures.items() if one.metric is r2}


def _difference(results: Sequence[Scored], baseline: str, aggregate: Aggregate, view: str) -> dict[str, Any]:
    """Model minus baseline: of the pooled metric, or, where the metric is a median over groups, the mean over groups.

    Medians over groups are not differenced: a year's own differences are what an interval can be put on.
    """
    target = results[0].target
    headline: Metric = next(iter(target.measures.values())).metric
    of = pooled if aggregate is pooled else mean_over_groups
    found = paired_difference(
        of(headline),
        results[0].truth,
        np.stack([found.point(view) for found in results]),
        np.stack([_baseline(found, baseline, view) for found in results]),
        results[0].groups,
    )
    told = found.to_dict(lower_is_better=target.lower_is_better)
    return {**told, "of": "pooled" if of is pooled else "mean over groups"}


def coverage(found: Scored, view: str) -> dict[str, Any]:
    """Coverage of a view's regions; claims are those of the fullest view."""
    case = found.regions(view)
    inside = found.target.covered(case.told, case.truth, case.quantile)
    size = found.target.size(case.told, case.quantile)
    told = report_coverage((inside, size), found.level, found.groups, found.claims, found.patterns)
    return told | found.target.coverage_figures(case, found.groups) | dict(found.alone)


def _by_group(found: Scored, view: str, measures: Measures) -> dict[str, dict[str, float]]:
    labels, headline = np.asarray(found.groups), next(iter(measures))
    predictions = {"": found.point(view), **{f"{name}_": values for name, values in found.baselines.items()}}
    return {
        str(group): {
            f"{prefix}{name}": measure.metric(found.truth[labels == group], values[labels == group])
            for prefix, values in predictions.items()
            for name, measure in measures.items()
            if not prefix or name == headline
        }
        for group in np.unique(labels)
    }
