"""From samples to a fitted adapter on disk: members, calibration, and what its manifest says of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.fit import Fit, OutOfFold, fit
from mainstem.core.fitted import Fitted, save_fitted
from mainstem.core.folds import has_groups
from mainstem.core.groups import Keys
from mainstem.core.judging import ORIGINS, Certified, calibrate_fit, later_names
from mainstem.core.means import Judged, errors_by_view, labels_by, sizes_by
from mainstem.core.member import tokenizer_words
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample, groups_by_data
from mainstem.core.summary import Summary
from mainstem.core.task import FitConfig, Order, Recipe, Task
from mainstem.core.taught import CALIBRATED, TRAINED, labels_sha256
from mainstem.core.watch import CheckpointConfig, Watch

FITTING = 0.7  # of the time goes to the folds, the rest to calibration


@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """How to fit: training, the order in which groups will be asked for, and an optional shared trunk.

    A shared trunk is not trained itself: each member adds a LoRA to it, or, where training says "frozen", nothing.
    """

    config: FitConfig
    order: Order = "later"
    trunk: str | None = None
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def seeded(self, seed: int) -> "FitSpec":
        """Return the spec with another seed."""
        return replace(self, config=replace(self.config, training=replace(self.config.training, seed=seed)))

    def open_model(self) -> OpenModel | None:
        """Return the open model that was named, or None where members train trunks of their own.

        Raises:
            InputError: if there is none of this name, or none was named where training would adapt one.
        """
        training = self.config.training
        if self.trunk is None and training.trunk != "full":
            raise InputError(f"got training.trunk={training.trunk}, but no model to adapt; add --trunk MODEL")
        return None if self.trunk is None else load_open_model(self.trunk, seed=training.seed)


def spec_of(task: Task, trunk: str | None = None, frozen: bool = False) -> FitSpec:
    """Return how a task is fitted: on its own open model or the one named, by LoRA, or the head alone.

    A task without an open model trains trunks whole, unless one is named, or `frozen` asks for its own size.
    """
    config = task.config
    name = trunk or task.open_model or (config.trunk_size if frozen else None)
    if name is not None:
        config = replace(config, training=replace(config.training, trunk="frozen" if frozen else "lora"))
    return FitSpec(config=config, trunk=name)


def fit_and_save(
    task: Task,
    source: SampleSet,
    train: Sequence[Sample],
    spec: FitSpec,
    folder: Path,
    *,
    progress: Progress = silent,
    watch: Watch | None = None,
) -> tuple[Fitted, Mapping[str, OutOfFold]]:
    """Fit, calibrate by view, and write adapter and trunk to `folder`; a watch takes up what trainings had come to."""
    base = spec.open_model()
    recipe = Recipe(config=spec.config, order=spec.order, base=base, watch=watch)
    summary = Summary.of(train, task.views.values())
    train, prints = summary.samples, summary.prints
    found = fit(task, source, train, recipe, part_of(progress, 0.0, FITTING))
    population = population_of(task, source, train)
    known = calibrate_fit(task, train, found, recipe, population, part_of(progress, FITTING, 1.0))
    keys = Keys.drawn_from(np.unique(prints), is_private=task.grouping.are_persons)
    facts = {
        **task.facts(),
        "scope": task.scope_of(train),
        "salt": keys.salt,
        "is_private": keys.is_private,
        "training": {
            **_training(source, train, found, spec, keys),
            **_learned(found, base),
            **_errors_of_means(task, train, found.judged),
        },
        "licence": source.licence,
        "attribution": source.attribution,
        "simulated": source.simulated,
    }
    written = _with_keys(known, keys)
    taught = {"trained": np.unique(prints[found.trained()]), "calibrated": np.unique(prints[found.calibrated_alone()])}
    saved = save_fitted(folder, found.ensemble, (written.calibration, written.alarm), facts, taught)
    return saved, found.judged


def _with_keys(known: Certified, keys: Keys) -> Certified:
    """The same with names of groups as they are kept."""
    return Certified(
        calibration={view: one.with_keys(keys) if one.has_groups else one for view, one in known.calibration.items()},
        alarm={view: replace(one, groups=keys.each(one.groups)) for view, one in known.alarm.items()},
    )


def _training(source: SampleSet, train: Sequence[Sample], found: Fit, spec: FitSpec, keys: Keys) -> dict[str, Any]:
    """What a manifest says of the data and the settings of training."""
    learned, others = ([train[row] for row in rows.tolist()] for rows in (found.trained(), found.calibrated_alone()))
    groups = {sample.source.group for sample in learned if sample.source.group is not None}
    return {
        "data": source.name,
        "num_samples": len(learned),
        "groups": sorted(keys.each(sorted(groups))),
        "labels_sha256": labels_sha256([*learned, *others]),
        "has_groups": has_groups(learned),
        TRAINED: groups_by_data(learned, keys),
        CALIBRATED: groups_by_data(others, keys),
        "order": spec.order,
        "config": dataclasses.asdict(spec.config),
        "open_model": spec.trunk,
    }


def _learned(found: Fit, base: OpenModel | None) -> dict[str, Any]:
    """What a manifest says of what training found."""
    target = found.ensemble.target
    return {
        "adds": {view: target.adds(one.raw, one.truth, one.blend) for view, one in found.judged.items()},
        "tokenizer": tokenizer_words(base, [member.adapter.tokenizer for member in found.ensemble.members]),
        "judged_on": found.splits[0].judged_on,
    }


def _errors_of_means(task: Task, train: Sequence[Sample], judged: Mapping[str, OutOfFold]) -> dict[str, Any]:
    """What a manifest says of the errors of means, of groups never seen, by view; {} without means."""
    part, found = task.grouping.mean_of, dict[str, Judged]()
    for view, one in judged.items() if part else ():
        own, told = [train[row] for row in one.rows.tolist()], one.nested
        cases = Judged(truth=one.truth, mean=told["mean"], scale=told["scale"], groups=one.groups)
        found[view] = cases.means_of_all(labels_by(own, part), sizes_by(own, part))
    return errors_by_view(part, found)


def population_of(task: Task, source: SampleSet, train: Sequence[Sample]) -> str:
    """Say for whom coverage is stated: of simulations, that nothing of it is real."""
    kind = "simulated " if source.simulated else ""
    parts = set(labels_by(train, task.grouping.mean_of)) - {""} if task.grouping.mean_of else ()
    told = f"{source.name}, {len(train)} samples"
    told += f" of {len(parts)} {kind}{task.grouping.mean_of}s" if parts else ""
    return f"simulations alone, nothing real: {told}" if source.simulated else told


def num_trainings(task: Task, train: Sequence[Sample], spec: FitSpec) -> int:
    """Return how many trainings a fit has at most: a member a fold, and those that judge later groups."""
    return spec.config.num_folds + (ORIGINS if later_names(task, train, spec.order) else 0)


def labelled(task: Task, source: SampleSet) -> Sequence[Sample]:
    """The samples to train on.

    Raises:
        InputError: if there is none.
    """
    train = source.training()
    if not len(train):
        raise InputError(f"{source.name} holds no sample with {task.target.needs_labels}; add labels")
    return train
