"""`mainstem evaluate`: score a run, or train by the data set's own protocol, with baselines fitted in the same call."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.adapters import find_task
from mainstem.apps.baselines import baselines_at_views, baselines_of
from mainstem.apps.coverage import judge_training_groups
from mainstem.apps.figures import report
from mainstem.apps.finetune import seeds_of
from mainstem.apps.pretrained import read_pretrained
from mainstem.apps.protocols import (
    GROUPED_FOLDS,
    HOLDOUT,
    LEFT_OUT_FOLDS,
    LEFT_OUT_GROUP,
    RUN,
    SEASONS,
    EvaluationSpec,
    chosen_protocol,
    fit_for_protocol,
    protocol_note,
    split_samples,
)
from mainstem.apps.scoring import Scored, join, score_by_protocol, score_in_folds
from mainstem.apps.sources import read_licensed, read_source
from mainstem.apps.unseen import beside_unseen, is_followed
from mainstem.core.errors import InputError
from mainstem.core.evaluation import mean_over_seeds, median_over_groups, pooled, with_unknown
from mainstem.core.finetuning import fit_and_save
from mainstem.core.fit import OutOfFold
from mainstem.core.fitted import load_run
from mainstem.core.folds import groups_of
from mainstem.core.judging import places_of
from mainstem.core.order import is_ordered
from mainstem.core.parallel import map_in_processes, workers_for
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.samples import SampleSet
from mainstem.core.split import Split, are_judged_together, member_splits
from mainstem.core.stream import Sample
from mainstem.core.task import DataRequest, Task

Parts = Sequence[tuple[list[Sample], list[Sample]]]  # samples that a fit is given, test samples


@dataclass(frozen=True, kw_only=True, eq=False)
class _Evaluated:
    """Scores by seed, and what training groups held out of each seed's model said."""

    results: list[Scored]
    training_groups: list[dict[str, Any]]


def evaluate(
    task: Task,
    request: DataRequest,
    spec: EvaluationSpec,
    *,
    run: Path | None = None,
    progress: Progress = silent,
    adapter: str | None = None,
) -> dict[str, Any]:
    """Return the evaluation as the command line's JSON; all figures are means over the seeds.

    With `adapter`, the name by which the task is found again, parts and seeds are trained in `spec.workers` processes.
    """
    start = time.perf_counter()
    if spec.window and spec.protocol != SEASONS:
        raise InputError(f"a window is of --protocol {SEASONS} alone; leave --window out, or add it")
    source = read_licensed(task, request)
    protocol = chosen_protocol(task, source, spec.protocol)
    if run is not None:
        protocol = SEASONS if spec.protocol == SEASONS else RUN
    follows = run is None and is_followed(task, protocol, spec)
    usable = source.unflagged()
    if run is None and (trunk := read_pretrained(spec.fit.trunk)) is not None:
        tested = [source.samples[row] for row in source.split().test] if protocol == HOLDOUT else usable
        trunk.refuse_seen(tested, source.name)
    if run is not None:
        found = _Evaluated(results=[score_run(task, run, source, spec)], training_groups=[])
    else:
        spec = fit_for_protocol(spec, protocol, task.holding.unseen_folds or LEFT_OUT_FOLDS)
        work = Work(adapter=adapter, task=task.task, request=request, spec=spec, protocol=protocol)
        found = _train_all(work, (task, source), part_of(progress, 0.0, 0.5) if follows else progress)
        found = _beside_compared(found, work, (task, protocol), progress)
    aggregate = pooled if protocol in (HOLDOUT, SEASONS, RUN, GROUPED_FOLDS) else median_over_groups
    body = report(task, found.results, aggregate)
    if found.training_groups:
        body["training_groups"] = with_unknown(mean_over_seeds(found.training_groups))
    if spec.with_flagged and len(source.labelled()) > len(usable) and run is None:
        parts = split_samples(source.labelled(), protocol, source.test_groups, task.forget)
        seed = seeds_of(spec.fit, 1)[0]
        with_faults = [score_part((task, source), parts, spec, (seed, index))[0] for index in range(len(parts))]
        body["with_flagged_rows"] = report(task, [join(with_faults)], aggregate)
    if follows:
        then = replace(spec, protocol=LEFT_OUT_GROUP)
        unseen = evaluate(task, request, then, progress=part_of(progress, 0.5, 1.0), adapter=adapter)
        body = beside_unseen(body, unseen, task.grouping.name)
    return {
        "adapter": task.name,
        "task": task.task,
        "data": request.data,
        "protocol": protocol,
        "protocol_note": protocol_note(task, protocol, usable),
        "split": "test",
        "seeds": spec.seeds,
        "num_folds": None if run else spec.fit.config.num_folds,
        "dropout_seed": spec.dropout_seed,
        "flagged_rows": len(source.labelled()) - len(usable),
        "simulated": source.simulated,
        **body,
        "licence": source.licence,
        "i_have_the_rights": [request.data] if request.i_have_the_rights else [],
        "attribution": source.attribution,
        "known_failures": list(task.known_failures),
        "seconds": time.perf_counter() - start,
    }


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a process needs to train and score one part: a task by its name, the data, and how."""

    adapter: str | None
    task: str
    request: DataRequest
    spec: EvaluationSpec
    protocol: str


def _train_all(work: Work, known: tuple[Task, SampleSet], progress: Progress) -> _Evaluated:
    """Train and score by the protocol, once a seed."""
    (task, source), spec = known, work.spec
    seeds = seeds_of(spec.fit, spec.seeds)
    if work.protocol == GROUPED_FOLDS:
        seeded = [replace(spec, fit=spec.fit.seeded(seed)) for seed in seeds]
        return _Evaluated(results=[train_in_folds(task, source, one, progress) for one in seeded], training_groups=[])
    parts = split_samples(source.unflagged(), work.protocol, source.test_groups, task.forget)
    items = [(seed, index) for seed in seeds for index in range(len(parts))]
    workers = spec.workers or workers_for(len(items))
    if work.adapter is None or workers < 2:
        scored = []
        for done, item in enumerate(items):
            scored.append(score_part(known, parts, spec, item))
            progress(f"part {done + 1} of {len(items)}", (done + 1) / len(items))
    else:
        scored = map_in_processes(partial(_score_named, work), items, workers, progress)
    results = [join([one for (own, _), (one, _) in zip(items, scored, strict=True) if own == seed]) for seed in seeds]
    if work.protocol != HOLDOUT:
        return _Evaluated(results=results, training_groups=[])
    places, known_groups = np.asarray(places_of(task, parts[0][0])), groups_of(parts[0][0])
    names_them = is_ordered(known_groups) and not task.grouping.are_persons  # as artefacts keep names
    training_groups = [
        judge_training_groups(found, places[found.rows].tolist(), spec.level, names_them=names_them)
        for _, found in scored
    ]
    return _Evaluated(results=results, training_groups=training_groups)


def _beside_compared(found: _Evaluated, work: Work, asked: tuple[Task, str], progress: Progress) -> _Evaluated:
    """Add what is learned from the requests that a task is compared with, as baselines on the same test samples."""
    task, protocol = asked
    for name, request in task.compared(work.request).items() if protocol == HOLDOUT else ():
        other = replace(work, request=request)
        its = _train_all(other, (task, read_licensed(task, request)), progress)
        found = replace(
            found, results=[own.beside_model(name, one) for own, one in zip(found.results, its.results, strict=True)]
        )
    return found


def _score_named(work: Work, item: tuple[int, int]) -> tuple[Scored, OutOfFold]:
    """Train and score a part in a process of its own."""
    known, parts = _read_named(work)
    return score_part(known, parts, work.spec, item)


@lru_cache(maxsize=1)
def _read_named(work: Work) -> tuple[tuple[Task, SampleSet], Parts]:
    """Find the task and read its data, once a process."""
    assert work.adapter is not None
    task = find_task(work.adapter, work.task)
    source = read_source(task, work.request)
    return (task, source), split_samples(source.unflagged(), work.protocol, source.test_groups, task.forget)


def score_part(
    known: tuple[Task, SampleSet], parts: Parts, spec: EvaluationSpec, item: tuple[int, int]
) -> tuple[Scored, OutOfFold]:
    """Fit and score one part with one seed, its baselines too: none knows the data's calibrate part but by regions."""
    (task, source), (seed, index) = known, item
    given, whole = parts[index]
    spec = replace(spec, fit=spec.fit.seeded(seed))
    test = spec.gaps(whole, task)
    with tempfile.TemporaryDirectory() as folder:
        fitted, judged = fit_and_save(task, source, given, spec.fit, Path(folder))
    learned = [given[row] for row in Split.around(given, np.zeros(len(given), bool)).train.tolist()]
    beside = baselines_at_views(task, fitted.target, learned, test, seed)
    scored = score_by_protocol(task, fitted, test, spec).beside(beside, task.first_view)
    return scored, judged[task.first_view]


def train_in_folds(task: Task, source: SampleSet, spec: EvaluationSpec, progress: Progress) -> Scored:
    """Fit once, and score each sample by the member that never saw its group; baselines on the same folds.

    Regions of a fold are calibrated on the other folds' predictions alone.
    """
    if spec.dropout_seed is not None or spec.with_flagged:
        raise InputError(f"{task.task} is scored in folds of whole groups; leave --dropout-seed and --with-flagged out")
    samples, fit = source.unflagged(), spec.fit
    groups = groups_of(samples)
    splits = member_splits(samples, fit.config.num_folds, task.holding.buffer_m)
    if are_judged_together(splits):
        raise InputError(f"all is judged on {splits[0].judged_on}, which cannot be scored in folds; use --protocol")
    with tempfile.TemporaryDirectory() as folder:
        fitted, judged = fit_and_save(task, source, samples, fit, Path(folder), progress=progress)
    scored = score_in_folds(task, fitted, judged, [split.calibrate for split in splits], samples, spec.level)
    baselines: dict[str, list[np.ndarray[Any, Any]]] = {}
    for split in splits:
        train, test = [samples[row] for row in split.train], [samples[row] for row in split.calibrate]
        train = task.forget(train, frozenset(groups[row] for row in split.calibrate.tolist()))
        for name, predicted in baselines_of(task, fitted.target)(train, test, fit.config.training.seed).items():
            baselines.setdefault(name, []).append(predicted)
    order = np.argsort(np.concatenate([split.calibrate for split in splits]))
    return replace(scored, baselines={name: np.concatenate(found)[order] for name, found in baselines.items()})


def score_run(task: Task, run: Path, source: SampleSet, spec: EvaluationSpec) -> Scored:
    """Score a run on the samples of groups that it was not trained on, beside baselines fitted on those it was.

    Raises:
        InputError: if every group was trained on, or the data name other things than the run.
    """
    if spec.protocol not in (None, SEASONS) or spec.seeds > 1:
        raise InputError(
            f"a run is scored as it is, or {SEASONS}; leave --run out to train by another protocol or seed"
        )
    fitted, samples = load_run(run, task).on(spec.fit.config.training.compute), source.unflagged()
    fitted.target.check_data(source)
    taught = fitted.taught
    known = [sample for sample in samples if taught.was_trained_on(sample)]
    unseen = [sample for sample in samples if not (taught.was_trained_on(sample) or taught.was_calibrated_on(sample))]
    test = spec.gaps(unseen, task)
    if not test:
        raise InputError(
            f"{run} was trained on every group of these data, or calibrated; give data with groups it never saw"
        )
    if (trunk := read_pretrained(run)) is not None:
        trunk.refuse_seen(unseen, source.name)
    tested = frozenset(str(sample.source.group) for sample in test)
    train = task.forget(known, tested)
    scored = score_by_protocol(task, fitted, test, spec)
    if not train:
        return scored
    beside = baselines_at_views(task, fitted.target, train, test, spec.fit.config.training.seed)
    return scored.beside(beside, task.first_view)
