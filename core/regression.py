"""Regression on the trunk: members fitted on folds of whole groups, judged on the groups that each never saw."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.core.adapter import Adapter
from mainstem.core.bounds import Bounds
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.folds import group_folds, groups_of, targets_of
from mainstem.core.heads import ScalarHead
from mainstem.core.layout import Layout
from mainstem.core.lora import OWN
from mainstem.core.openmodels.base import OpenModel
from mainstem.core.out_of_fold import OutOfFold, Parts, join
from mainstem.core.preparation import (
    ONE_VIEW,
    FitPreparation,
    Forget,
    HasLayout,
    Preparation,
    RestorePreparation,
    View,
    knows_no_target,
    own_features,
    unchanged,
)
from mainstem.core.progress import Progress, silent
from mainstem.core.stream import Sample, SampleSet
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.tokens import OpenTokenizer, rows_of
from mainstem.core.training import TrainingConfig, TrainingPlan, train
from mainstem.core.trunk import SIZES, Trunk

Array = NDArray[np.float64]
BATCH = 1024  # of prediction


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Trunk size, training, and to how many folds whole groups are dealt; each fold gives one member."""

    trunk_size: str = "xs"
    training: TrainingConfig = field(default_factory=TrainingConfig)
    num_folds: int = 6
    num_gap_draws: int = 2  # samples with streams missing by chance, of each held-out one, that intervals are set on


Baselines = Callable[[Sequence[Sample], Sequence[Sample], int], dict[str, Array]]
Order = Literal["later", "any"]  # are the groups to predict later than all training groups, or anywhere among them?


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How a task is fitted: training, the order in which groups will be asked for, an open model to adapt, if any."""

    config: RegressionConfig
    order: Order = "later"
    base: OpenModel | None = None


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What a user asks an adapter to read: a data set's name or a path, and what the path's layout leaves open."""

    data: str
    crop: str | None = None
    country: str | None = None
    mirror: Path | None = None

    def without_crop(self, what: str) -> "DataRequest":
        """Return the request, of data whose reader has no crop or country to choose; `what` they are, as "a table".

        Raises:
            InputError: if it names one.
        """
        given = [f"--{name}" for name in ("crop", "country") if getattr(self, name) is not None]
        if given:
            raise InputError(f"{' and '.join(given)} choose nothing of {what}, which is read whole; leave them out")
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """One trunk and adapter fitted to residuals of `std` around the preparation's offset."""

    trunk: Trunk
    adapter: Adapter
    preparation: Preparation
    std: float
    plan: TrainingPlan | None = None  # None where it was not trained here

    def predict(self, samples: Sequence[Sample]) -> Parts:
        """Return what each part of the member says."""
        prepared, offset = self.preparation(samples)
        means, scales = [], []
        inputs = self.adapter.read(prepared)
        lora = OWN if self.trunk.has_lora(OWN) else None
        with torch.no_grad():
            for rows in torch.split(torch.arange(len(prepared)), BATCH):
                distribution = self.adapter.distribution(rows_of(inputs, rows), self.trunk, lora)
                means.append(distribution.mean.double())
                scales.append(distribution.stddev.double())
        return Parts(
            past=offset,
            plain=self.preparation.fallback(samples, offset) - offset,
            trunk=self.std * torch.cat(means).numpy(),
            scale=self.std * torch.cat(scales).numpy(),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Regressor:
    """The mean of its members.

    `shares` weigh the preparation's fallback against its offset, by view, and `gates` the trunk against what that gives
    (0: the trunk is not asked).
    `layout` puts the channels of samples in the order of training, by name.
    `adjust` is a slope and an intercept a view, found on local labels: what a model of simulations says, in the field's
    terms. `num_features` is how many the shift alarm of an artefact compares, None where there is no alarm.
    """

    members: tuple[Member, ...]
    gates: Mapping[str, float]
    shares: Mapping[str, float]
    adjust: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    layout: Layout = field(default_factory=lambda: Layout(channels={}))
    num_features: int | None = None

    def predict(self, samples: Sequence[Sample], view: str) -> tuple[Array, Array]:
        """Return mean and scale (samples,) before calibration, of samples that show what `view` shows."""
        mean, scale, _ = self.predict_parts(samples, view)
        return mean, scale

    def predict_parts(self, samples: Sequence[Sample], view: str) -> tuple[Array, Array, dict[str, Array]]:
        """Return mean, scale, and what each part alone would say (samples,): the trunk, and the rest without it.

        All of them are adjusted.
        """
        aligned = self.layout(samples)
        found = [member.predict(aligned) for member in self.members]
        share, gate = self.shares[view], self.gates[view]
        mean = np.mean([part.mean(share, gate) for part in found], axis=0)
        parts = {
            "trunk_alone": np.mean([part.past + part.trunk for part in found], axis=0),
            "without_trunk": np.mean([part.rest(share) for part in found], axis=0),
        }
        slope, intercept = self.adjust.get(view, (1.0, 0.0))
        scale = np.mean([part.scale for part in found], axis=0)
        adjusted = {name: slope * values + intercept for name, values in parts.items()}
        return slope * mean + intercept, abs(slope) * scale, adjusted

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return the shift alarm's features (samples, features), averaged over members.

        Raises:
            ArtifactError: if the artefact's alarm compares another number of them.
        """
        aligned = self.layout(samples)
        averaged: Array = np.mean([member.preparation.features(aligned) for member in self.members], axis=0)
        check_features(self.num_features, averaged)
        return averaged

    def own_features(self, samples: Sequence[Sample]) -> Array:
        """Return what the shift alarm judges single samples alone by (samples, own features), averaged over members."""
        aligned = self.layout(samples)
        averaged: Array = np.mean([own_features(member.preparation, aligned) for member in self.members], axis=0)
        return averaged

    def unadjusted(self) -> "Regressor":
        """Return the regressor as it was before local labels adjusted it."""
        return replace(self, adjust={})


def check_features(known: int | None, found: Array) -> None:
    """Check that there are as many features (samples, features) as the alarm compares, if there is one.

    Raises:
        ArtifactError: if not.
    """
    if known not in (None, found.shape[1]):
        raise ArtifactError(
            f"the shift alarm compares {known} features, the adapter makes {found.shape[1]}; take the run from a copy, "
            "or train it again"
        )


def fit_member(
    samples: Sequence[Sample],
    prepare: FitPreparation,
    config: RegressionConfig,
    views: Mapping[str, View] = ONE_VIEW,
    base: OpenModel | None = None,
    layout: Layout | None = None,
) -> Member:
    """Fit one trunk (or adapt the open model given, which is changed) and adapter to the samples' targets.

    Where there are several views, each sample is shown as it is and once more through a view drawn at random. `layout`
    is that of all members, where these samples are a part of theirs.
    """
    preparation = prepare(samples)
    if layout is not None and isinstance(preparation, HasLayout):
        preparation = preparation.laid_out(layout)
    shown = [*samples, *_random_views(samples, views, config.training.seed)]
    prepared, offset = preparation(shown)
    residual = targets_of(shown) - offset
    std = max(float(residual.std()), 1e-6)
    trunk = base.trunk if base is not None else Trunk(SIZES[config.trunk_size], config.training.seed)
    torch.manual_seed(config.training.seed)
    head = ScalarHead(trunk.config.project or trunk.config.dim)  # drawn before the tokenizer: seeds keep their meaning
    adapter = Adapter(tokenizer_of(base, prepared, trunk.config.dim), head)
    train(adapter, trunk, prepared, torch.from_numpy(residual / std).float(), config.training)
    plan = TrainingPlan.of(config.training, len(prepared))
    return Member(trunk=trunk, adapter=adapter, preparation=preparation, std=std, plan=plan)


def tokenizer_of(base: OpenModel | None, samples: Sequence[Sample], dim: int) -> OpenTokenizer:
    """The open model's own tokenizer, or a new one for the samples' streams where there is none that reads them all.

    The project's own trunks may be adapted to other streams than they were trained on; `tokenizer_words` says so.
    """
    own = None if base is None else base.tokenizer
    if own is not None and not isinstance(own, StreamsTokenizer):
        return own
    specs = read_specs(samples)
    is_kept = own is not None and own.specs and not own.misfit(specs)
    return own if own is not None and is_kept else StreamsTokenizer(specs, dim)


def tokenizer_words(base: OpenModel | None, used: Sequence[OpenTokenizer]) -> str:
    """Say whether members kept the tokenizer of a trunk of the project's own; "" where it has none."""
    if base is None or not isinstance(base.tokenizer, StreamsTokenizer) or not base.tokenizer.specs:
        return ""
    others = [found.specs for found in used if isinstance(found, StreamsTokenizer)]
    reasons = [reason for specs in others if (reason := base.tokenizer.misfit(specs))]
    return f"new, for the trunk's own cannot be used: {reasons[0]}" if reasons else "the trunk's own"


def _random_views(samples: Sequence[Sample], views: Mapping[str, View], seed: int) -> list[Sample]:
    if len(views) < 2:
        return []
    drawn = np.random.default_rng(seed).integers(len(views), size=len(samples))
    choices = list(views.values())
    return [choices[index](sample) for index, sample in zip(drawn.tolist(), samples, strict=True)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What a fit is shown of its samples: by which views, and without which targets where groups are held out."""

    views: Mapping[str, View] = field(default_factory=lambda: ONE_VIEW)
    forget: Forget = knows_no_target


def fit_regressor(
    samples: Sequence[Sample],
    prepare: FitPreparation,
    config: RegressionConfig,
    shown: Shown | None = None,
    progress: Progress = silent,
    base: OpenModel | None = None,
) -> tuple[Regressor, dict[str, OutOfFold]]:
    """Fit a member a fold, judge it on the groups it never saw, and weigh its parts by what they are worth there.

    A member never sees the targets of the groups it is judged on, also not among the inputs of other groups.

    The mean of the folds' members is the model, as in cross-conformal prediction: its intervals come from the
    members' errors on groups they never saw. Source: Barber et al. 2021, Predictive inference with the
    jackknife+, section 3 (CV+); here with whole groups as folds. Weights and judgements are kept by view.
    """
    groups, truth, shown = groups_of(samples), targets_of(samples), shown or Shown()
    layout = Layout.of(samples)
    samples = layout(samples)
    folds = list(group_folds(groups, config.num_folds))
    members: list[Member] = []
    judged: dict[str, list[tuple[Parts, Array, Array]]] = {name: [] for name in shown.views}
    for index, (kept, held) in enumerate(folds):
        seeded = replace(config, training=replace(config.training, seed=config.training.seed * 1000 + index))
        known = shown.forget([samples[row] for row in kept], frozenset(groups[row] for row in held))
        member = fit_member(known, prepare, seeded, shown.views, copy.deepcopy(base), layout)
        for name, view in shown.views.items():
            unseen = [view(samples[row]) for row in held]
            features = member.preparation.features(unseen)
            judged[name].append((member.predict(unseen), features, own_features(member.preparation, unseen)))
        members.append(member)
        progress(f"fold {index + 1} of {len(folds)}", (index + 1) / len(folds))
    back = np.argsort(np.concatenate([held for _, held in folds]))
    out_of_fold = {name: join(parts, back, truth, groups) for name, parts in judged.items()}
    gates = {name: found.gate for name, found in out_of_fold.items()}
    shares = {name: found.share for name, found in out_of_fold.items()}
    return Regressor(members=tuple(members), gates=gates, shares=shares, layout=layout), out_of_fold


@dataclass(frozen=True, kw_only=True)
class RegressionTask:
    """One adapter task that predicts a quantity: everything that the commands need of it.

    Attributes:
        prepare: fits the preparation on training samples, told in which order they will be asked for.
        view_of: the name of the view that a sample's own inputs stand for.
        scope_of: the facts, by name, that a sample must have to be predicted, read from training samples.
        open_model: the open encoder that the task adapts unless another is named; None trains the project's own.
        is_mapped: samples are pixels, so that scenes can be mapped.
        derive: what `read` makes of raw samples, for those that do not come through it, as a map's.
        needs: what a map must be given besides scenes, as "weather".
        group_name: what a simulated group is in a word, so that claims can say what was held out.
        mean_of: the fact by which samples belong together, as pixels to a field, so that their means are wanted too.
        lowest: the least value that physics allows, in `units`; None where it sets none. `highest` likewise.
        metric: what differences to baselines are told in.
        baselines: fits and predicts (train, test, seed) in the target's unit; None for those of region sets.
        rivals: plain models of the trunk's own inputs, fitted and asked like baselines, beside which they are scored.
        forget: takes the targets of groups out of other samples' streams, as a year's yield out of later years' past.
        place_of: the fact by which a sample recurs in other groups, as a region does in other years.
        season_of: the fact that names a sample's season, where groups are fields or farms, which share its weather.
        optional: streams that a sample may lack; None for any but the last.
    """

    name: str
    task: str
    version: str
    units: str
    config: RegressionConfig
    read: Callable[[DataRequest], SampleSet]
    prepare: Callable[[Sequence[Sample], Order], Preparation]
    restore: RestorePreparation
    views: Mapping[str, View] = field(default_factory=lambda: ONE_VIEW)
    view_of: Callable[[Sample], str] = lambda sample: "whole"
    derive: Callable[[Sequence[Sample]], Sequence[Sample]] = unchanged
    scope_of: Callable[[Sequence[Sample]], dict[str, list[str]]] = lambda samples: {}
    known_failures: tuple[str, ...] = ()
    open_model: str | None = None
    is_mapped: bool = False
    needs: tuple[str, ...] = ()
    group_name: str = "group"
    mean_of: str = ""
    lowest: float | None = None
    highest: float | None = None
    metric: Literal["nrmse_percent", "rmse"] = "nrmse_percent"
    baselines: Baselines | None = None
    forget: Forget = knows_no_target
    place_of: str = ""
    season_of: str = ""
    optional: tuple[str, ...] | None = None
    rivals: Baselines | None = None

    def __post_init__(self) -> None:
        """Check the bounds before anything is trained, and keep them as files do."""
        told = Bounds.checked(self.lowest, self.highest, f"the task {self.task} of {self.name}").told()
        for name, bound in zip(("lowest", "highest"), told, strict=True):
            object.__setattr__(self, name, bound)  # the task is frozen

    def fit(
        self, samples: Sequence[Sample], recipe: Recipe, progress: Progress = silent
    ) -> tuple[Regressor, dict[str, OutOfFold]]:
        """Fit the members and judge each on the groups it never saw."""
        return fit_regressor(
            samples,
            lambda part: self.prepare(part, recipe.order),
            recipe.config,
            Shown(views=self.views, forget=self.forget),
            progress,
            recipe.base,
        )


def check_targets(task: RegressionTask, samples: Sequence[Sample]) -> None:
    """Check that known targets are possible: no interval within what is possible could hold others.

    Raises:
        InputError: naming the first sample whose target is not.
    """
    bounds = Bounds.of(task.lowest, task.highest)
    for sample in samples:
        if sample.target is not None and not bounds.lowest <= float(sample.target) <= bounds.highest:
            raise InputError(
                f"sample {sample.source.item!r} has a target of {float(sample.target):g} {task.units}, want "
                f"{bounds.words()}; mend it, or leave the sample out"
            )
