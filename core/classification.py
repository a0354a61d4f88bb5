"""Classification on the trunk: members fitted on folds of whole groups, judged on the groups that each never saw."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.core.adapter import Adapter
from mainstem.core.errors import InputError
from mainstem.core.folds import group_folds, groups_of
from mainstem.core.heads import ClassHead
from mainstem.core.layout import Layout
from mainstem.core.lora import OWN
from mainstem.core.openmodels.base import OpenModel
from mainstem.core.preparation import stream_means
from mainstem.core.progress import Progress, silent
from mainstem.core.regression import (
    BATCH,
    Baselines,
    DataRequest,
    RegressionConfig,
    RegressionTask,
    tokenizer_of,
)
from mainstem.core.stream import Sample, SampleSet
from mainstem.core.tokens import rows_of
from mainstem.core.training import TrainingPlan, train
from mainstem.core.trunk import SIZES, Trunk

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMember:
    """One trunk and adapter fitted to classes."""

    trunk: Trunk
    adapter: Adapter
    plan: TrainingPlan | None = None  # None where it was not trained here

    def logits(self, samples: Sequence[Sample]) -> Array:
        """Return log-probabilities (samples, classes), not calibrated."""
        inputs = self.adapter.read(samples)
        lora = OWN if self.trunk.has_lora(OWN) else None
        parts = []
        with torch.no_grad():
            for rows in torch.split(torch.arange(len(samples)), BATCH):
                distribution = self.adapter.distribution(rows_of(inputs, rows), self.trunk, lora)
                assert isinstance(distribution, torch.distributions.Categorical)
                parts.append(distribution.logits.double())
        found: Array = torch.cat(parts).numpy()
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """The mean of its members' probabilities, each at one temperature.

    `layout` puts the channels of samples in the order of training, by name.
    """

    members: tuple[ClassMember, ...]
    classes: tuple[str, ...]
    temperature: float
    layout: Layout

    def probabilities(self, samples: Sequence[Sample]) -> Array:
        """Return calibrated probabilities (samples, classes) of prepared samples."""
        aligned = self.layout(samples)
        parts = [softmax(member.logits(aligned) / self.temperature) for member in self.members]
        averaged: Array = np.mean(parts, axis=0)
        return averaged

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return the shift alarm's features (samples, features): each channel's mean, NaN where it is missing."""
        return stream_means(self.layout(samples), self.layout.widths())


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassesOutOfFold:
    """Log-probabilities of samples by the member that never saw their group, with truth and groups."""

    truth: Labels
    logits: Array
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """One adapter task that names a class: everything that the commands need of it.

    Attributes:
        baselines: fits and predicts (train, test, seed) class indices.
        scope_of: the facts, by name, that a sample must have to be predicted, read from training samples.
        buffer_m: samples nearer than this to one that is held out are left out of training; `x_m` and `y_m` are facts.
        largest_group: samples of one group beyond which training draws that many of them at random.
    """

    name: str
    task: str
    version: str
    config: RegressionConfig
    read: Callable[[DataRequest], SampleSet]
    prepare: Callable[[Sequence[Sample]], Sequence[Sample]]
    baselines: Baselines
    known_failures: tuple[str, ...] = ()
    scope_of: Callable[[Sequence[Sample]], dict[str, list[str]]] = lambda samples: {}
    open_model: str | None = None
    largest_group: int = 1000
    buffer_m: float = 0.0
    is_mapped: bool = True

    def __post_init__(self) -> None:
        """Refuse a setting that fitting classes has no use for.

        Raises:
            InputError: if there is one.
        """
        if self.config.num_gap_draws != RegressionConfig.num_gap_draws:
            raise InputError(f"{self.task} names classes, and num_gap_draws is of quantities alone; leave it out")


Task = RegressionTask | ClassificationTask  # what an adapter offers


def softmax(logits: Array) -> Array:
    """Probabilities over the last dim."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: Array = powers / powers.sum(-1, keepdims=True)
    return shares


def labels_of(samples: Sequence[Sample]) -> Labels:
    """Class indices (samples,).

    Raises:
        InputError: if one is unknown.
    """
    if not samples or any(sample.target is None for sample in samples):
        raise InputError("got samples without a class, want all labelled; drop the others")
    return np.array([int(np.asarray(sample.target)) for sample in samples])


def balanced_weights(labels: Labels, num_classes: int) -> Array:
    """What each sample counts (samples,), mean 1: the inverse square root of its class's share.

    Between counting samples alike (a rare class is never named) and classes alike (its few samples are learned by
    heart); compare Mahajan et al. 2018, Exploring the Limits of Weakly Supervised Pretraining, section 2.2.
    """
    counts = np.maximum(np.bincount(labels, minlength=num_classes), 1)
    weights = 1 / np.sqrt(counts[labels])
    scaled: Array = weights / weights.mean()
    return scaled


def fit_temperature(logits: Array, labels: Labels) -> float:
    """The temperature of least negative log-likelihood, from 0.25 to 8.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    candidates = np.geomspace(0.25, 8, 61)
    rows = np.arange(len(labels))
    losses = [-np.log(np.maximum(softmax(logits / t)[rows, labels], 1e-12)).mean() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def drawn(samples: Sequence[Sample], largest_group: int, seed: int) -> list[Sample]:
    """The samples, of each group `largest_group` at most, drawn by the seed and in their order."""
    rng = np.random.default_rng([seed, 43])
    groups = np.array(groups_of(samples))
    kept: list[int] = []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        kept += (rows if len(rows) <= largest_group else rng.choice(rows, largest_group, replace=False)).tolist()
    return [samples[row] for row in sorted(kept)]


def fit_class_member(
    task: ClassificationTask, samples: Sequence[Sample], num_classes: int, config: RegressionConfig,
    base: OpenModel | None, layout: Layout,
) -> ClassMember:  # fmt: skip
    """Fit one trunk (or adapt the open model given, which is changed) and adapter to the samples' classes."""
    prepared = layout(task.prepare(drawn(samples, task.largest_group, config.training.seed)))
    labels = labels_of(prepared)
    trunk = base.trunk if base is not None else Trunk(SIZES[config.trunk_size], config.training.seed)
    torch.manual_seed(config.training.seed)
    head = ClassHead(trunk.config.project or trunk.config.dim, num_classes)
    adapter = Adapter(tokenizer_of(base, prepared, trunk.config.dim), head)
    weights = torch.from_numpy(balanced_weights(labels, num_classes)).float()
    train(adapter, trunk, prepared, torch.from_numpy(labels), config.training, weights=weights)
    return ClassMember(trunk=trunk, adapter=adapter, plan=TrainingPlan.of(config.training, len(prepared)))


def buffered_folds(
    samples: Sequence[Sample], num_folds: int, buffer_m: float
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return (train, held-out) rows of whole groups; none of train lies within `buffer_m` of one held out.

    Near pixels are alike, so that a fold without a buffer tells of places that were all but seen.
    Source: Roberts et al. 2017, Cross-validation strategies for data with temporal, spatial, hierarchical, or
    phylogenetic structure, Ecography 40, 913.

    Raises:
        InputError: if the buffer leaves nothing to train on.
    """
    folds = list(group_folds(groups_of(samples), num_folds))
    if not buffer_m:
        return folds
    from scipy.spatial import cKDTree

    places = np.array([[float(sample.source.facts[name]) for name in ("x_m", "y_m")] for sample in samples])
    far = [(kept[cKDTree(places[held]).query(places[kept])[0] >= buffer_m], held) for kept, held in folds]
    if any(not len(kept) for kept, _ in far):
        raise InputError(f"a buffer of {buffer_m:g} m leaves no sample to train on; label groups farther apart")
    return far


def fit_classifier(
    task: ClassificationTask,
    samples: Sequence[Sample],
    classes: tuple[str, ...],
    config: RegressionConfig,
    progress: Progress = silent,
    base: OpenModel | None = None,
) -> tuple[Classifier, ClassesOutOfFold]:
    """Fit a member a fold of whole groups and judge each on the groups it never saw.

    Members share the layout of all samples, prepared.
    """
    layout = Layout.of(task.prepare(samples))
    groups, truth = groups_of(samples), labels_of(samples)
    logits = np.zeros((len(samples), len(classes)))
    members = []
    folds = buffered_folds(samples, config.num_folds, task.buffer_m)
    for index, (kept, held) in enumerate(folds):
        seeded = replace(config, training=replace(config.training, seed=config.training.seed * 1000 + index))
        member = fit_class_member(
            task, [samples[row] for row in kept], len(classes), seeded, copy.deepcopy(base), layout
        )
        logits[held] = member.logits(layout(task.prepare([samples[row] for row in held])))
        members.append(member)
        progress(f"fold {index + 1} of {len(folds)}", (index + 1) / len(folds))
    judged = ClassesOutOfFold(truth=truth, logits=logits, groups=groups)
    temperature = fit_temperature(logits, truth)
    return Classifier(members=tuple(members), classes=classes, temperature=temperature, layout=layout), judged


def quantity_task(task: "Task", command: str) -> RegressionTask:
    """Return a task of a quantity.

    Raises:
        InputError: if it names classes, which the command cannot do.
    """
    if isinstance(task, ClassificationTask):
        raise InputError(f"{command} is of quantities, {task.name}'s task {task.task} names classes; take another task")
    return task


def facts_of(task: ClassificationTask, source: SampleSet) -> Mapping[str, Any]:
    """What a manifest says of a task and the data it was fitted on."""
    return {
        "adapter": task.name,
        "task": task.task,
        "version": task.version,
        "units": "class",
        "classes": source.classes,
        "licence": source.licence,
        "attribution": source.attribution,
        "simulated": source.simulated,
        "known_failures": task.known_failures,
    }
