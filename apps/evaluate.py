"""`mainstem evaluate`: score a run, or train by the data set's own protocol, with baselines fitted in the same call."""

import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.baselines import fit_baselines
from mainstem.apps.calibrate import CalibrationSpec, Local
from mainstem.apps.coverage import judge_training_groups, report_coverage
from mainstem.apps.finetune import FitSpec, fit_artifact, groups_in, seeded, seeds_of
from mainstem.core.artifact import Artifact, load_run
from mainstem.core.calibration import is_ordered
from mainstem.core.errors import InputError
from mainstem.core.evaluation import (
    Aggregate,
    Metric,
    mean_over_groups,
    mean_over_seeds,
    median_over_groups,
    nrmse_percent,
    paired_difference,
    pooled,
    r2,
    r2_within,
    rmse,
)
from mainstem.core.gaps import drop_streams
from mainstem.core.judging import places_of
from mainstem.core.means import Judged, labels_by, mean_view
from mainstem.core.predict import Verdict, judge, patterns_of
from mainstem.core.regression import (
    Baselines,
    DataRequest,
    Forget,
    OutOfFold,
    RegressionTask,
    groups_of,
    knows_no_target,
    targets_of,
)
from mainstem.core.stream import Sample, SampleSet
from mainstem.data.table import UNSTATED

Array = NDArray[np.float64]
Progress = Callable[[str, float], None]
Metrics = dict[str, Metric]
HOLDOUT, LEFT_OUT, LEFT_OUT_GROUP = "holdout", "leave-one-year-out", "leave-one-group-out"
SEASONS = "season-by-season"  # the test split in order, the labels of each group calibrating those after it
PROTOCOLS = (HOLDOUT, LEFT_OUT, LEFT_OUT_GROUP, SEASONS)
LEFT_OUT_FOLDS = 2  # members of each of the many fits that leave one year out


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """One part's truth, predictions and half widths (cases,) by view, with baselines, years and claims.

    `inside` says by name what each case lies in, its group and then what means are taken of, where they are.
    """

    truth: Array
    years: tuple[str, ...]
    mean: dict[str, Array]
    half: dict[str, Array]
    parts: dict[str, Array]
    baselines: dict[str, Array]
    claims: tuple[str, ...]
    patterns: tuple[str, ...]
    means: tuple[Judged, Array] | None  # of samples that belong together, with half widths
    hashes: tuple[str, str]
    inside: Mapping[str, tuple[str, ...]]

    def rows(self, chosen: NDArray[np.intp]) -> "Scored":
        """Return the chosen cases; means of what belongs together stay as they are."""
        return replace(
            self,
            truth=self.truth[chosen],
            years=tuple(self.years[row] for row in chosen.tolist()),
            mean={name: values[chosen] for name, values in self.mean.items()},
            half={name: values[chosen] for name, values in self.half.items()},
            parts={name: values[chosen] for name, values in self.parts.items()},
            baselines={name: values[chosen] for name, values in self.baselines.items()},
            claims=tuple(self.claims[row] for row in chosen.tolist()),
            patterns=tuple(self.patterns[row] for row in chosen.tolist()),
            inside={name: tuple(labels[row] for row in chosen.tolist()) for name, labels in self.inside.items()},
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """What `evaluate` is asked: protocol, seeds, level of the intervals, and how each model is fitted."""

    fit: FitSpec
    protocol: str | None = None
    seeds: int = 1
    level: float = 0.9
    dropout_seed: int | None = None  # where given, test samples lack streams drawn at random
    window: int = 0  # groups that season-by-season calibrates on, the last ones; 0 for all
    with_flagged: bool = False  # score once more with the rows that have a known fault, which trains again

    def gaps(self, test: Sequence[Sample], optional: tuple[str, ...] | None = None) -> list[Sample]:
        """Return the test samples, with random gaps where they were asked for; of `optional` streams alone, if named.

        Raises:
            InputError: if gaps are asked for where no stream may be missing.
        """
        if self.dropout_seed is None:
            return list(test)
        if optional == ():
            raise InputError("samples of this task lack no stream; leave --dropout-seed out")
        return drop_streams(test, self.dropout_seed, optional=optional)


def splits(
    samples: Sequence[Sample],
    protocol: str,
    test_groups: frozenset[str] = frozenset(),
    forget: Forget = knows_no_target,
) -> list[tuple[list[Sample], list[Sample]]]:
    """Train and test samples by protocol; training samples know no target of the groups tested.

    Raises:
        InputError: if the protocol is unknown or leaves a part empty.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"got protocol {protocol!r}, want one of {', '.join(PROTOCOLS)}")
    groups = sorted(set(groups_of(samples)))
    parts = []
    for held in [test_groups] if protocol in (HOLDOUT, SEASONS) else [frozenset({group}) for group in groups]:
        train = [sample for sample in samples if sample.source.group not in held]
        test = [sample for sample in samples if sample.source.group in held]
        if not train or not test:
            raise InputError(f"{protocol} leaves no sample to train or to test on; the data cover {', '.join(groups)}")
        parts.append((forget(train, held), test))
    return parts


def score(task: RegressionTask, artifact: Artifact, test: Sequence[Sample], level: float) -> Scored:
    """Predict test samples as they were known at each view; claims are those of the fullest one."""
    first = next(iter(task.views))
    found = {name: judge(artifact, [view(sample) for sample in test], name, level) for name, view in task.views.items()}
    return Scored(
        truth=targets_of(test),
        years=tuple(groups_in(test)),
        mean={name: verdict.mean for name, verdict in found.items()},
        half={name: verdict.half for name, verdict in found.items()},
        parts=dict(found[first].parts),
        baselines={},
        claims=tuple(claim.state for claim in found[first].claims),
        patterns=tuple(patterns_of(artifact, test, first)),
        means=_score_means(task, artifact, test, found[first], level),
        hashes=(artifact.manifest.trunk_sha256, artifact.adapter_sha256),
        inside={"group": tuple(groups_in(test)), task.mean_of: labels_by(test, task.mean_of)} if task.mean_of else {},
    )


def _score_by(task: RegressionTask, artifact: Artifact, test: Sequence[Sample], spec: EvaluationSpec) -> Scored:
    is_by_season = spec.protocol == SEASONS
    return _score_seasons(task, artifact, test, spec) if is_by_season else score(task, artifact, test, spec.level)


def _score_seasons(task: RegressionTask, artifact: Artifact, test: Sequence[Sample], spec: EvaluationSpec) -> Scored:
    """Score the test groups in order; the labels of each are added to the calibration before the next is predicted."""
    groups = sorted({str(sample.source.group) for sample in test})
    if not is_ordered(groups):
        raise InputError(f"{SEASONS} needs groups in order, as years are; these are named {', '.join(groups[:3])}")
    groups = sorted(groups, key=float)
    places = np.argsort([groups.index(str(sample.source.group)) for sample in test], kind="stable")
    found = []
    for group in groups:
        held = [sample for sample in test if sample.source.group == group]
        found.append(score(task, artifact, held, spec.level))
        known = Local(task=task, samples=held, groups=(group,) * len(held), population=f"{group} since")
        artifact = known.teach(artifact, CalibrationSpec(level=spec.level, is_appended=True, window=spec.window))
    return replace(join(found).rows(np.argsort(places)), hashes=found[0].hashes)


def _score_means(
    task: RegressionTask, artifact: Artifact, test: Sequence[Sample], verdict: Verdict, level: float
) -> tuple[Judged, Array] | None:
    """Means of samples that belong together, with half widths; None where the task has none."""
    calibration = artifact.calibration.get(mean_view(next(iter(task.views))))
    if not task.mean_of or calibration is None:
        return None
    cases = Judged(truth=targets_of(test), mean=verdict.mean, scale=verdict.scale, groups=tuple(groups_in(test)))
    means = cases.means(labels_by(test, task.mean_of))
    return means, calibration.half_width(level) * means.scale


def train_and_score(
    task: RegressionTask, source: SampleSet, parts: Sequence[tuple[list[Sample], list[Sample]]], spec: EvaluationSpec,
    progress: Progress | None,
) -> tuple[Scored, list[dict[str, OutOfFold]]]:  # fmt: skip
    """Fit and score every part, its baselines too, and join them."""
    scored, judged = [], []
    for index, (train, whole) in enumerate(parts):
        test = spec.gaps(whole, task.optional)
        with tempfile.TemporaryDirectory() as folder:
            artifact, found = fit_artifact(task, source, train, spec.fit, Path(folder))
        baselines = baselines_of(task)(train, test, spec.fit.config.training.seed)
        scored.append(replace(_score_by(task, artifact, test, spec), baselines=baselines))
        judged.append(found)
        if progress is not None:
            progress(f"part {index + 1} of {len(parts)}", (index + 1) / len(parts))
    return join(scored), judged


def join(parts: Sequence[Scored]) -> Scored:
    """Put several parts' cases together."""
    first = parts[0]

    def joined(key: str, name: str) -> Array:
        return np.concatenate([getattr(part, key)[name] for part in parts])

    return Scored(
        truth=np.concatenate([part.truth for part in parts]),
        years=tuple(year for part in parts for year in part.years),
        mean={name: joined("mean", name) for name in first.mean},
        half={name: joined("half", name) for name in first.half},
        parts={name: joined("parts", name) for name in first.parts},
        baselines={name: joined("baselines", name) for name in first.baselines},
        claims=tuple(claim for part in parts for claim in part.claims),
        patterns=tuple(pattern for part in parts for pattern in part.patterns),
        means=_join_means([part.means for part in parts if part.means is not None]),
        hashes=(_together([part.hashes[0] for part in parts]), _together([part.hashes[1] for part in parts])),
        inside={name: tuple(label for part in parts for label in part.inside[name]) for name in first.inside},
    )


def _join_means(parts: Sequence[tuple[Judged, Array]]) -> tuple[Judged, Array] | None:
    if not parts:
        return None
    cases = [found for found, _ in parts]
    joined = Judged(
        truth=np.concatenate([found.truth for found in cases]),
        mean=np.concatenate([found.mean for found in cases]),
        scale=np.concatenate([found.scale for found in cases]),
        groups=tuple(group for found in cases for group in found.groups),
    )
    return joined, np.concatenate([half for _, half in parts])


def report_means(means: tuple[Judged, Array], of: str, level: float) -> dict[str, Any]:
    """Error and coverage of the means of samples that belong together."""
    found, half = means
    return {
        "of": of,
        "n": len(found.truth),
        "rmse": rmse(found.truth, found.mean),
        "r2_within_group": r2_within(found.truth, found.mean, found.groups),
        "r2": r2(found.truth, found.mean),
        "coverage": {
            "level": level,
            "pooled": float((np.abs(found.truth - found.mean) <= half).mean()),
            "mean_width": float(2 * half.mean()),
        },
    }


def _together(hashes: Sequence[str]) -> str:
    """One hash for several fits: of their hashes in order."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def evaluate(
    task: RegressionTask,
    request: DataRequest,
    spec: EvaluationSpec,
    *,
    run: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the evaluation as the command line's JSON; all figures are means over the seeds."""
    start = time.perf_counter()
    if spec.window and spec.protocol != SEASONS:
        raise InputError(f"a window is of --protocol {SEASONS} alone; leave --window out, or add it")
    source = task.read(request)
    protocol = spec.protocol or default_protocol(source)
    if run is not None:
        protocol = SEASONS if spec.protocol == SEASONS else "run"
    usable = source.unflagged()
    if run is not None:
        results, judged = [score_run(task, run, usable, spec)], []
    else:
        spec = _for_protocol(spec, protocol)
        parts = splits(usable, protocol, source.test_groups, task.forget)
        pairs = [
            train_and_score(task, source, parts, replace(spec, fit=seeded(spec.fit, seed)), progress)
            for seed in seeds_of(spec.fit, spec.seeds)
        ]
        results, judged = [found for found, _ in pairs], [parts[0] for _, parts in pairs]
    aggregate = pooled if protocol in (HOLDOUT, SEASONS, "run") else median_over_groups
    body = report(task, results, spec.level, aggregate)
    if protocol == HOLDOUT and judged:
        places = places_of(task, parts[0][0])
        body["training_years"] = mean_over_seeds([judge_training_groups(found, places, spec.level) for found in judged])
    if spec.with_flagged and len(source.labelled()) > len(usable) and run is None:
        flagged = splits(source.labelled(), protocol, source.test_groups, task.forget)
        with_faults, _ = train_and_score(task, source, flagged, spec, None)
        body["with_flagged_rows"] = report(task, [with_faults], spec.level, aggregate)
    return {
        "adapter": task.name,
        "task": task.task,
        "data": request.data,
        "protocol": protocol,
        "protocol_note": protocol_note(task, protocol, usable),
        "split": "test",
        "seeds": spec.seeds,
        "dropout_seed": spec.dropout_seed,
        "flagged_rows": len(source.labelled()) - len(usable),
        "simulated": source.simulated,
        **body,
        "attribution": source.attribution,
        "seconds": time.perf_counter() - start,
    }


def protocol_note(task: RegressionTask, protocol: str, samples: Sequence[Sample]) -> str:
    """Say which targets of other groups the inputs hold, or return an empty string where they hold none."""
    groups = frozenset(str(sample.source.group) for sample in samples)
    if all(plain is sample for plain, sample in zip(task.forget(samples, groups), samples, strict=True)):
        return ""
    if protocol in (LEFT_OUT, LEFT_OUT_GROUP):
        return (
            "what is left out is unknown to training, also as the past of later groups; it is itself predicted with "
            "the targets of the groups before it"
        )
    return "one step ahead: a tested group is predicted with the targets of the groups before it, tested ones included"


def default_protocol(source: SampleSet) -> str:
    """Return the protocol of a set: its own test split, else each year, or each group, left out in turn."""
    if source.test_groups:
        return HOLDOUT
    return LEFT_OUT if all("year" in sample.source.facts for sample in source.samples) else LEFT_OUT_GROUP


def _for_protocol(spec: EvaluationSpec, protocol: str) -> EvaluationSpec:
    if protocol in (HOLDOUT, SEASONS):
        return spec
    fewer = min(spec.fit.config.num_folds, LEFT_OUT_FOLDS)
    return replace(spec, fit=replace(spec.fit, order="any", config=replace(spec.fit.config, num_folds=fewer)))


def score_run(task: RegressionTask, run: Path, samples: Sequence[Sample], spec: EvaluationSpec) -> Scored:
    """Score a run on the samples of groups that it was not trained on, beside baselines fitted on those it was.

    Raises:
        InputError: if every group was trained on.
    """
    if spec.protocol not in (None, SEASONS) or spec.seeds > 1:
        raise InputError(
            f"a run is scored as it is, or {SEASONS}; leave --run out to train by another protocol or seed"
        )
    artifact = load_run(run, task)
    manifest = artifact.manifest
    trained = set(manifest.training["groups"])
    unseen = [sample for sample in samples if str(sample.source.group) not in trained]
    unseen = [sample for sample in unseen if not manifest.has_seen(sample.source.data, sample.source.group)]
    test = spec.gaps(unseen, task.optional)
    if not test:
        raise InputError(
            f"{run} was trained on every group of these data, or calibrated; give data with groups it never saw"
        )
    tested = frozenset(groups_in(test))
    train = task.forget([sample for sample in samples if str(sample.source.group) in trained], tested)
    baselines = baselines_of(task)(train, test, spec.fit.config.training.seed) if train else {}
    return replace(_score_by(task, artifact, test, spec), baselines=baselines)


def report(task: RegressionTask, results: Sequence[Scored], level: float, aggregate: Aggregate) -> dict[str, Any]:
    """Return metrics, baselines, paired differences, coverage and figures by group and by view."""
    results = with_weakest_claims(results)
    first, view, metrics = results[0], next(iter(task.views)), metrics_of(task)
    baselines = {name: _metrics(results, partial(_baseline, name=name), aggregate, metrics) for name in first.baselines}
    return {
        "n": len(first.truth),
        "metrics": _metrics(results, partial(_mean, name=view), aggregate, metrics),
        "metrics_by_seed": [_metrics([found], partial(_mean, name=view), aggregate, metrics) for found in results],
        "parts": {name: _metrics(results, partial(_part, name=name), aggregate, metrics) for name in first.parts},
        "baselines": baselines,
        **best_baseline(baselines, next(iter(metrics))),
        "difference": {
            name: _difference(results, name, aggregate, view, next(iter(metrics.values()))) for name in first.baselines
        },
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
        "trunk_sha256": _together([found.hashes[0] for found in results]),
        "adapter_sha256": _together([found.hashes[1] for found in results]),
    }


def with_weakest_claims(results: Sequence[Scored]) -> list[Scored]:
    """Give each sample, in every seed's results, the weakest claim that any seed's model makes of it."""
    order = ("none", "withdrawn", "stated")
    claims = tuple(min(each, key=order.index) for each in zip(*(found.claims for found in results), strict=True))
    return [replace(found, claims=claims) for found in results]


def best_baseline(baselines: dict[str, dict[str, float]], metric: str) -> dict[str, str]:
    """Name the baseline of the least error, which is the one to quote; nothing where there is none."""
    return {"best_baseline": min(baselines, key=lambda name: baselines[name][metric])} if baselines else {}


def _means(results: Sequence[Scored], task: RegressionTask, level: float) -> dict[str, Any]:
    judged = [report_means(found.means, task.mean_of, level) for found in results if found.means is not None]
    return {"means": mean_over_seeds(judged)} if judged else {}


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


def baselines_of(task: RegressionTask) -> Baselines:
    """Return the task's own baselines, or those of region sets, and the rivals with the trunk's own inputs."""
    plain, rivals = task.baselines or fit_baselines, task.rivals
    if rivals is None:
        return plain
    return lambda train, test, seed: {**plain(train, test, seed), **rivals(train, test, seed)}


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
    error, patterns = found.truth - found.mean[view], found.patterns
    return report_coverage(error, found.half[view], level, found.years, found.claims, patterns)


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
