"""`mainstem evaluate`: score a run, or train by the data set's own protocol, with baselines fitted in the same call."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainstem.apps.baselines import fit_baselines
from mainstem.apps.coverage import judge_training_groups
from mainstem.apps.figures import report
from mainstem.apps.finetune import fit_artifact, groups_in, seeded, seeds_of
from mainstem.apps.protocols import (
    HOLDOUT,
    SEASONS,
    EvaluationSpec,
    default_protocol,
    fit_for_protocol,
    protocol_note,
    split_samples,
)
from mainstem.apps.scoring import Scored, join, score_by_protocol
from mainstem.core.artifact import load_run
from mainstem.core.errors import InputError
from mainstem.core.evaluation import mean_over_seeds, median_over_groups, pooled, with_unknown
from mainstem.core.judging import places_of
from mainstem.core.out_of_fold import OutOfFold
from mainstem.core.progress import Progress, silent
from mainstem.core.regression import Baselines, DataRequest, RegressionTask
from mainstem.core.stream import Sample, SampleSet


def evaluate(
    task: RegressionTask,
    request: DataRequest,
    spec: EvaluationSpec,
    *,
    run: Path | None = None,
    progress: Progress = silent,
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
        spec = fit_for_protocol(spec, protocol)
        parts = split_samples(usable, protocol, source.test_groups, task.forget)
        pairs = [
            train_and_score(task, source, parts, replace(spec, fit=seeded(spec.fit, seed)), progress)
            for seed in seeds_of(spec.fit, spec.seeds)
        ]
        results, judged = [found for found, _ in pairs], [parts[0] for _, parts in pairs]
    aggregate = pooled if protocol in (HOLDOUT, SEASONS, "run") else median_over_groups
    body = report(task, results, spec.level, aggregate)
    if protocol == HOLDOUT and judged:
        places = places_of(task, parts[0][0])
        years = [judge_training_groups(found, places, spec.level) for found in judged]
        body["training_years"] = with_unknown(mean_over_seeds(years))
    if spec.with_flagged and len(source.labelled()) > len(usable) and run is None:
        flagged = split_samples(source.labelled(), protocol, source.test_groups, task.forget)
        with_faults, _ = train_and_score(task, source, flagged, spec, silent)
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


def train_and_score(
    task: RegressionTask, source: SampleSet, parts: Sequence[tuple[list[Sample], list[Sample]]], spec: EvaluationSpec,
    progress: Progress,
) -> tuple[Scored, list[dict[str, OutOfFold]]]:  # fmt: skip
    """Fit and score every part, its baselines too, and join them."""
    scored, judged = [], []
    for index, (train, whole) in enumerate(parts):
        test = spec.gaps(whole, task.optional)
        with tempfile.TemporaryDirectory() as folder:
            artifact, found = fit_artifact(task, source, train, spec.fit, Path(folder))
        baselines = baselines_of(task)(train, test, spec.fit.config.training.seed)
        scored.append(replace(score_by_protocol(task, artifact, test, spec), baselines=baselines))
        judged.append(found)
        progress(f"part {index + 1} of {len(parts)}", (index + 1) / len(parts))
    return join(scored), judged


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
    taught = artifact.taught
    known = [sample for sample in samples if taught.was_trained_on(sample)]
    unseen = [sample for sample in samples if not (taught.was_trained_on(sample) or taught.was_calibrated_on(sample))]
    test = spec.gaps(unseen, task.optional)
    if not test:
        raise InputError(
            f"{run} was trained on every group of these data, or calibrated; give data with groups it never saw"
        )
    tested = frozenset(groups_in(test))
    train = task.forget(known, tested)
    baselines = baselines_of(task)(train, test, spec.fit.config.training.seed) if train else {}
    return replace(score_by_protocol(task, artifact, test, spec), baselines=baselines)


def baselines_of(task: RegressionTask) -> Baselines:
    """Return the task's own baselines, or those of region sets, and the rivals with the trunk's own inputs."""
    plain, rivals = task.baselines or fit_baselines, task.rivals
    if rivals is None:
        return plain
    return lambda train, test, seed: {**plain(train, test, seed), **rivals(train, test, seed)}
