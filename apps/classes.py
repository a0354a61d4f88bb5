"""`finetune` and `evaluate` of tasks that name classes: macro F1 beside baselines, class sets with their coverage."""

import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.evaluation_text import comparisons_line, difference_line
from mainstem.apps.finetune import FitSpec, groups_in, open_model_of, seeded, seeds_of, write_run
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.class_artifact import ClassArtifact, load_class_run, save_class_artifact
from mainstem.core.class_sets import ClassSetCalibration
from mainstem.core.classification import (
    ClassesOutOfFold,
    ClassificationTask,
    Classifier,
    buffered_folds,
    facts_of,
    fit_classifier,
    fit_temperature,
    labels_of,
    softmax,
)
from mainstem.core.errors import InputError
from mainstem.core.evaluation import accuracy, compare_all, macro_f1, mean_over_seeds, paired_difference, pooled
from mainstem.core.predict import refusal
from mainstem.core.progress import Progress, silent
from mainstem.core.records import new_run
from mainstem.core.regression import DataRequest, tokenizer_words
from mainstem.core.stream import Sample, SampleSet, groups_by_data
from mainstem.core.taught import prints_of

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
METRICS = {"macro_f1": macro_f1, "accuracy": accuracy}
GROUPED_FOLDS, RUN = "grouped-folds", "run"


def fit_class_artifact(
    task: ClassificationTask,
    source: SampleSet,
    train: Sequence[Sample],
    spec: FitSpec,
    folder: Path,
    progress: Progress = silent,
) -> tuple[ClassArtifact, ClassesOutOfFold]:
    """Fit, calibrate class sets on groups held out, and write adapter and trunk to `folder`."""
    if spec.order != FitSpec.order:
        raise InputError(f"{task.task} names classes of groups without an order; leave order out")
    base = open_model_of(spec)
    classifier, judged = fit_classifier(task, train, source.classes, spec.config, progress, base)
    probabilities = softmax(judged.logits / classifier.temperature)
    calibration = ClassSetCalibration.fit(probabilities, judged.truth.tolist(), source.classes, judged.groups)
    training = {
        "data": source.name,
        "num_samples": len(train),
        "groups": sorted(set(groups_in(train))),
        "seen": groups_by_data(train),
        "config": dataclasses.asdict(spec.config),
        "open_model": spec.trunk,
        "tokenizer": tokenizer_words(base, [member.adapter.tokenizer for member in classifier.members]),
    }
    facts = {**facts_of(task, source), "scope": task.scope_of(train), "training": training}
    prepared = task.prepare(train)
    prints = np.union1d(prints_of(train), prints_of(prepared))
    return save_class_artifact(folder, classifier, calibration, prepared, facts, prints), judged


def finetune_classes(
    task: ClassificationTask, source: SampleSet, spec: FitSpec, out: Path, progress: Progress = silent
) -> dict[str, Any]:
    """Fit on the training part of `source`, write the run folder `out` and return its record."""
    start = time.perf_counter()
    train = source.training()
    if not train:
        raise InputError(f"{source.name} holds no sample with a known class; add labels")
    with new_run(out) as folder:
        artifact, judged = fit_class_artifact(task, source, train, spec, folder, progress)
        predicted = judged.logits.argmax(1)
        figures = {
            f"out_of_fold_{name}": metric(judged.truth.astype(float), predicted.astype(float))
            for name, metric in METRICS.items()
        } | {"temperature": artifact.classifier.temperature}
        return write_run(folder, spec, artifact, figures, [], time.perf_counter() - start)


def evaluate_classes(
    task: ClassificationTask,
    request: DataRequest,
    spec: EvaluationSpec,
    *,
    run: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Return the evaluation as the command line's JSON: groups in folds, or a run on groups that it never saw.

    In folds each sample is predicted by the one member that never saw its group; baselines are fitted on the same
    folds. Class sets of a fold are calibrated, temperature included, on the other folds' predictions alone.
    """
    start = time.perf_counter()
    source = task.read(request)
    samples = source.unflagged()
    if run is not None:
        body, protocol = _score_run(task, run, source, samples, spec.level), RUN
    else:
        results = [
            _fold_results(task, source, seeded(spec.fit, seed), spec.level, progress)
            for seed in seeds_of(spec.fit, spec.seeds)
        ]
        body, protocol = _report(source, results, spec.level, groups_in(samples)), GROUPED_FOLDS
    return {
        "adapter": task.name,
        "task": task.task,
        "data": request.data,
        "protocol": protocol,
        "protocol_note": f"training leaves out what lies within {task.buffer_m:g} m of what is held out",
        "split": "test",
        "seeds": spec.seeds,
        "simulated": source.simulated,
        **body,
        "attribution": source.attribution,
        "seconds": time.perf_counter() - start,
    }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ScoredClasses:
    """Truth, probabilities, sets (cases, classes) and baselines' classes; hashes of trunk and adapter."""

    truth: Labels
    probabilities: Array
    sets: NDArray[np.bool_]
    baselines: Mapping[str, Array]
    hashes: tuple[str, str]


def _fold_results(
    task: ClassificationTask, source: SampleSet, spec: FitSpec, level: float, progress: Progress
) -> ScoredClasses:
    samples = source.unflagged()
    with tempfile.TemporaryDirectory() as folder:
        artifact, judged = fit_class_artifact(task, source, samples, spec, Path(folder), progress)
    folds = buffered_folds(samples, spec.config.num_folds, task.buffer_m)
    baselines: dict[str, Array] = {}
    probabilities, sets = judged_in_folds(judged, folds, source.classes, level)
    for kept, held in folds:
        found = task.baselines(
            [samples[row] for row in kept], [samples[row] for row in held], spec.config.training.seed
        )
        for name, predicted in found.items():
            baselines.setdefault(name, np.zeros(len(samples)))[held] = predicted
    return ScoredClasses(
        truth=judged.truth,
        probabilities=probabilities,
        sets=sets,
        baselines=baselines,
        hashes=(artifact.manifest.trunk_sha256, artifact.adapter_sha256),
    )


def judged_in_folds(
    judged: ClassesOutOfFold,
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    classes: Sequence[str],
    level: float,
) -> tuple[Array, NDArray[np.bool_]]:
    """Probabilities and sets (cases, classes) of each fold, temperature and thresholds from the other folds alone."""
    probabilities, sets = np.zeros_like(judged.logits), np.zeros(judged.logits.shape, bool)
    for kept, held in folds:
        temperature = fit_temperature(judged.logits[kept], judged.truth[kept])
        probabilities[held] = softmax(judged.logits[held] / temperature)
        calibration = ClassSetCalibration.fit(
            softmax(judged.logits[kept] / temperature),
            judged.truth[kept].tolist(),
            classes,
            [judged.groups[row] for row in kept],
        )
        sets[held] = calibration.sets(probabilities[held], level)
    return probabilities, sets


def _score_run(
    task: ClassificationTask, run: Path, source: SampleSet, samples: Sequence[Sample], level: float
) -> dict[str, Any]:
    artifact = load_class_run(run, task)
    if artifact.manifest.classes != source.classes:
        raise InputError(
            f"{run} names {', '.join(artifact.manifest.classes)}, the data {', '.join(source.classes)}; give the same"
        )
    test = [sample for sample in samples if not artifact.taught.was_trained_on(sample)]
    if not test:
        raise InputError(f"{run} was trained on every group of these data; give data with groups it never saw")
    reasons = [refusal(artifact.manifest, sample) for sample in test]
    if all(reasons):
        raise InputError(f"{run} predicts none of these samples: {reasons[0]}; give data that it was made for")
    test = [sample for sample, reason in zip(test, reasons, strict=True) if not reason]
    classifier: Classifier = artifact.classifier
    probabilities = classifier.probabilities(task.prepare(test))
    found = ScoredClasses(
        truth=labels_of(test),
        probabilities=probabilities,
        sets=artifact.calibration.sets(probabilities, level),
        baselines={},
        hashes=(artifact.manifest.trunk_sha256, artifact.adapter_sha256),
    )
    return _report(source, [found], level, groups_in(test))


def _report(source: SampleSet, results: Sequence[ScoredClasses], level: float, groups: Sequence[str]) -> dict[str, Any]:
    """Metrics (means over seeds), baselines, paired differences, coverage and each class with its support."""
    first = results[0]
    truth = first.truth.astype(np.float64)
    predicted = [found.probabilities.argmax(1).astype(np.float64) for found in results]
    differences = {
        name: paired_difference(
            pooled(macro_f1),
            truth,
            np.stack(predicted),
            np.stack([found.baselines[name] for found in results]),
            groups,
        ).to_dict(lower_is_better=False)
        for name in first.baselines
    }
    return {
        "n": len(truth),
        "metrics": {name: float(np.mean([metric(truth, one) for one in predicted])) for name, metric in METRICS.items()}
        | {"accuracy_over_groups": float(np.mean([over_groups(one == truth, groups) for one in predicted]))},
        "baselines": {
            name: {metric_name: metric(truth, values) for metric_name, metric in METRICS.items()}
            | {"accuracy_over_groups": over_groups(values == truth, groups)}
            for name, values in first.baselines.items()
        },
        "difference": differences,
        "comparisons": compare_all(differences, lower_is_better=False),
        "coverage": mean_over_seeds([_coverage(found, level, groups) for found in results]),
        "by_class": mean_over_seeds([_by_class(source, found, groups) for found in results]),
        "trunk_sha256": first.hashes[0],
        "adapter_sha256": first.hashes[1],
    }


def _coverage(found: ScoredClasses, level: float, groups: Sequence[str]) -> dict[str, float]:
    """Share of cases inside their set, pooled and as a mean over groups, and how large sets are."""
    inside = found.sets[np.arange(len(found.truth)), found.truth]
    return {
        "level": level,
        "pooled": float(inside.mean()),
        "mean_over_groups": over_groups(inside, groups),
        "mean_set_size": float(found.sets.sum(1).mean()),
        "mean_set_size_over_groups": over_groups(found.sets.sum(1), groups),
    }


def over_groups(values: NDArray[Any], groups: Sequence[str]) -> float:
    """Mean over groups of each group's mean: a group of many cases counts once."""
    labels = np.asarray(groups)
    return float(np.mean([values[labels == group].mean() for group in np.unique(labels)]))


def _by_class(source: SampleSet, found: ScoredClasses, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    labels, predicted = np.asarray(groups), found.probabilities.argmax(1)
    table = {}
    for index, name in enumerate(source.classes):
        here, named = found.truth == index, predicted == index
        hits = float((here & named).sum())
        table[name] = {
            "support": int(here.sum()),
            "groups": len(set(labels[here].tolist())),
            "f1": 2 * hits / max(float(here.sum() + named.sum()), 1.0),
            **{
                f"{baseline}_f1": 2
                * float((here & (values == index)).sum())
                / max(here.sum() + (values == index).sum(), 1)
                for baseline, values in found.baselines.items()
            },
            **_coverage_of_class(found.sets[here, index], labels[here]),
        }
    return table


def _coverage_of_class(inside: NDArray[np.bool_], groups: NDArray[np.str_]) -> dict[str, float]:
    if not len(inside):
        return {}
    return {"coverage": float(inside.mean()), "coverage_over_groups": over_groups(inside, groups.tolist())}


def describe_classes(result: Mapping[str, Any]) -> str:
    """The evaluation as lines to read."""
    lines = [
        f"{name:24} " + "  ".join(f"{metric} {value:.3f}" for metric, value in metrics.items())
        for name, metrics in {result["task"]: result["metrics"], **result["baselines"]}.items()
    ]
    lines += [difference_line(name, found, "macro_f1") for name, found in result["difference"].items()]
    lines += comparisons_line(result["comparisons"])
    for name, row in result["by_class"].items():
        lines.append(f"  {name:22} F1 {row['f1']:.2f}, {row['support']} cases of {row['groups']} groups")
    coverage = result["coverage"]
    size = coverage["mean_set_size"]
    lines.append(
        f"coverage at {coverage['level']:.0%}: {coverage['mean_over_groups']:.1%} as a mean over groups, "
        f"{coverage['pooled']:.1%} of all cases, {size:.2f} classes a set on average"
    )
    return "\n".join([*lines, result["protocol_note"], result["attribution"]])
