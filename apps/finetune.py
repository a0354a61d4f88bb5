"""`mainstem finetune`: fit an adapter, calibrate it on groups that its members never saw, and write a run folder."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.core.artifact import Artifact, save_artifact
from mainstem.core.artifact_file import read_manifest
from mainstem.core.class_artifact import ClassArtifact
from mainstem.core.classification import Task
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.judging import calibrate_fit
from mainstem.core.means import labels_by
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.out_of_fold import OutOfFold
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.records import new_run, write_card, write_record
from mainstem.core.records import read_record as read_record
from mainstem.core.regression import Order, Recipe, RegressionConfig, RegressionTask, check_targets, tokenizer_words
from mainstem.core.stream import Sample, SampleSet, groups_by_data
from mainstem.core.taught import prints_of

FITTING = 0.7  # of the time goes to the folds, the rest to calibration
WORTHWHILE = 0.01  # share of RMSE that has to be saved before it is said that inputs add something


@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """How to fit: training, the order in which groups will be asked for, and an optional shared trunk.

    A shared trunk is not trained itself: each member adds a LoRA to it, or, where training says "frozen", nothing.
    """

    config: RegressionConfig
    order: Order = "later"
    trunk: str | None = None


def fit_artifact(
    task: RegressionTask,
    source: SampleSet,
    train: Sequence[Sample],
    spec: FitSpec,
    folder: Path,
    progress: Progress = silent,
) -> tuple[Artifact, dict[str, OutOfFold]]:
    """Fit, calibrate by view, and write adapter and trunk to `folder`."""
    check_targets(task, train)
    base = open_model_of(spec)
    recipe = Recipe(config=spec.config, order=spec.order, base=base)
    regressor, judged = task.fit(train, recipe, part_of(progress, 0.0, FITTING))
    population = population_of(task, source, train)
    known = calibrate_fit(task, train, (regressor, judged), recipe, population, part_of(progress, FITTING, 1.0))
    facts = {
        "adapter": task.name,
        "task": task.task,
        "version": task.version,
        "units": task.units,
        "lowest": task.lowest,
        "highest": task.highest,
        "scope": task.scope_of(train),
        "training": {
            "data": source.name,
            "num_samples": len(train),
            "groups": sorted(set(groups_in(train))),
            "seen": groups_by_data(train),
            "adds": {view: adds_to_past(found) for view, found in judged.items()},
            "order": spec.order,
            "config": dataclasses.asdict(spec.config),
            "open_model": spec.trunk,
            "tokenizer": tokenizer_words(base, [member.adapter.tokenizer for member in regressor.members]),
        },
        "licence": source.licence,
        "attribution": source.attribution,
        "simulated": source.simulated,
        "known_failures": task.known_failures,
    }
    prints = {"trained": prints_of(train, task.views.values())}
    return save_artifact(folder, regressor, known.calibration, known.alarm, facts, prints), judged


def population_of(task: RegressionTask, source: SampleSet, train: Sequence[Sample]) -> str:
    """Say for whom coverage is stated: of simulations, that nothing of it is real."""
    kind = "simulated " if source.simulated else ""
    parts = set(labels_by(train, task.mean_of)) - {""} if task.mean_of else ()
    told = f"{source.name}, {len(train)} samples"
    told += f" of {len(parts)} {kind}{task.mean_of}s" if parts else ""
    return f"simulations alone, nothing real: {told}" if source.simulated else told


def adds_to_past(found: OutOfFold) -> bool:
    """True where the inputs cut the error of what the past alone says by WORTHWHILE or more, out of fold."""
    model, past = (float(np.sqrt(np.mean((found.truth - told) ** 2))) for told in (found.mean, found.past))
    return model < (1 - WORTHWHILE) * past


def groups_in(samples: Sequence[Sample]) -> list[str]:
    """Group labels of samples that are known to have one."""
    return [str(sample.source.group) for sample in samples]


def open_model_of(spec: FitSpec) -> OpenModel | None:
    """Return the open model that was named, or None where members train trunks of their own.

    Raises:
        InputError: if there is none of this name.
    """
    return None if spec.trunk is None else load_open_model(spec.trunk, seed=spec.config.training.seed)


def spec_of(task: Task, trunk: str | None = None, frozen: bool = False) -> FitSpec:
    """Return how a task is fitted: on its own open model or the one named, by LoRA, or the head alone.

    A task without an open model trains trunks whole, unless one is named, or `frozen` asks for its own size.
    """
    config = task.config
    name = trunk or task.open_model or (config.trunk_size if frozen else None)
    if name is not None:
        config = replace(config, training=replace(config.training, trunk="frozen" if frozen else "lora"))
    return FitSpec(config=config, trunk=name)


def figures_of(artifact: Artifact, judged: dict[str, OutOfFold], level: float = 0.9) -> dict[str, float]:
    """Return out-of-fold figures of the fullest view: error of model and offset, coverage, gate."""
    view = next(iter(judged))
    found, calibration = judged[view], artifact.calibration[view]
    coverage = calibration.coverage_by_group(level)
    return {
        "out_of_fold_rmse": float(np.sqrt(np.mean((found.truth - found.mean) ** 2))),
        "offset_rmse": float(np.sqrt(np.mean((found.truth - found.past) ** 2))),
        "without_trunk_rmse": float(np.sqrt(np.mean((found.truth - found.offset) ** 2))),
        "share": found.share,
        "gate": found.gate,
        **({"coverage_at_90": float(np.mean(list(coverage.values())))} if len(coverage) > 2 else {}),
    }


def finetune(
    task: RegressionTask, source: SampleSet, spec: FitSpec, out: Path, progress: Progress = silent
) -> dict[str, Any]:
    """Fit on the training part of `source`, write the run folder `out` and return its record."""
    start = time.perf_counter()
    train = source.training()
    if not train:
        raise InputError(f"{source.name} holds no sample with a known target and no fault; add labels")
    rows: list[dict[str, Any]] = []

    def report(stage: str, share: float) -> None:
        rows.append({"stage": stage, "share": share, "seconds": round(time.perf_counter() - start, 3)})
        progress(stage, share)

    with new_run(out) as folder:
        artifact, judged = fit_artifact(task, source, train, spec, folder, report)
        figures = figures_of(artifact, judged)
        return write_run(folder, spec, artifact, figures, rows, time.perf_counter() - start)


def write_run(
    folder: Path,
    spec: FitSpec,
    artifact: Artifact | ClassArtifact,
    figures: dict[str, float],
    rows: list[dict[str, Any]],
    seconds: float,
) -> dict[str, Any]:
    """Write record, metrics and card of a fitted artefact to its run folder, and return the record."""
    manifest = artifact.manifest
    record = {
        "adapter": manifest.adapter,
        "task": manifest.task,
        "data": manifest.training["data"],
        "simulated": manifest.simulated,
        "spec": dataclasses.asdict(spec),
        "trained": [member.trained for member in manifest.members],
        "tokenizer": manifest.training.get("tokenizer", ""),
        "seed": spec.config.training.seed,
        "adapter_sha256": artifact.adapter_sha256,
        "trunk_sha256": manifest.trunk_sha256,
        "out_of_fold": figures,
        "seconds": seconds,
    }
    write_record(folder, record, [*rows, figures])
    write_card(folder, manifest, {name: f"{value:.4g}" for name, value in figures.items()})
    return record


def fit_where_none(
    task: RegressionTask,
    folder: Path,
    read: Callable[[Progress], SampleSet],
    progress: Progress = silent,
    reading: float = 0.0,
) -> Path:
    """Return a run folder of this version of a task; fit one where there is none, setting one of another aside.

    `reading` is the share of the time that goes to reading the data.
    """
    if is_fitted(task, folder):
        return folder
    progress("reading the data", 0.0)
    source = read(part_of(progress, 0.0, reading))  # before anything is moved: it may be refused
    if folder.exists():
        folder.rename(aside_of(folder))
    progress("training", reading)
    finetune(task, source, FitSpec(config=task.config), folder, part_of(progress, reading, 1.0))
    return folder


def is_fitted(task: RegressionTask, folder: Path) -> bool:
    """True where a folder holds a run of this version of a task that can be read."""
    try:
        return read_manifest(folder)[0].version == task.version
    except ArtifactError:
        return False


def aside_of(folder: Path) -> Path:
    """Return the free name under which a run of another version is kept; nothing is deleted."""
    number = 1
    while folder.with_name(f"{folder.name}.old-{number}").exists():
        number += 1
    return folder.with_name(f"{folder.name}.old-{number}")


def seeded_runs(spec: FitSpec, out: Path, seeds: int) -> list[tuple[FitSpec, Path]]:
    """One run in `out`, or, with several seeds, one a seed in out/seed-5, out/seed-6 ..., from the spec's own on."""
    if seeds == 1:
        return [(spec, out)]
    return [(seeded(spec, seed), out / f"seed-{seed}") for seed in seeds_of(spec, seeds)]


def seeds_of(spec: FitSpec, seeds: int) -> range:
    """Return the seeds to train, from the spec's own on."""
    first = spec.config.training.seed
    return range(first, first + seeds)


def seeded(spec: FitSpec, seed: int) -> FitSpec:
    """Return the spec with another seed."""
    return replace(spec, config=replace(spec.config, training=replace(spec.config.training, seed=seed)))
