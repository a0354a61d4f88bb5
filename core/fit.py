"""Fitting a task: members trained on parts of the samples, each judged on what it never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mainstem.core.folds import groups_of
from mainstem.core.layout import Layout
from mainstem.core.lora import numbered
from mainstem.core.member import Ensemble, Member, MemberFit, join_outputs, rows_of_outputs
from mainstem.core.preparation import own_features
from mainstem.core.progress import Progress, silent
from mainstem.core.samples import SampleSet
from mainstem.core.split import Rows, Split, are_judged_together, member_splits
from mainstem.core.stream import Sample
from mainstem.core.targets import Blend, Outputs, Target
from mainstem.core.task import Recipe, Task

Array = NDArray[np.float64]
PARTS = 5  # of the groups, to judge what was weighed on the others


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """What members said of samples whose groups they never saw, and the features of the shift alarm.

    `raws` hold the parts of what was said, which `blend` weighs, of each member that spoke of all samples; of members
    that spoke of a fold each, all is in one. `rows` are the samples' places among those of the fit.
    """

    target: Target
    truth: Array
    raws: tuple[Outputs, ...]
    blend: Blend
    features: Array
    own_features: Array
    groups: tuple[str, ...]
    rows: Rows

    @cached_property
    def raw(self) -> Outputs:
        """The parts of what was said, averaged over the members that spoke."""
        return mean_outputs(self.raws)

    @cached_property
    def told(self) -> Outputs:
        """What is told of the samples, their parts being weighed."""
        return self.target.combine(self.raws, self.blend)

    @cached_property
    def nested(self) -> Outputs:
        """What is told of each of PARTS parts of the groups, where the others alone say what parts are worth."""
        _, index = np.unique(np.asarray(self.groups), return_inverse=True)
        own = [np.flatnonzero(index % PARTS == part) for part in range(min(PARTS, index.max(initial=0) + 1))]
        if len(own) < 2 or not self.blend:
            return self.target.combine([self.raw], self.blend)
        told = []
        for rows in own:
            blend = self.blend_on(~np.isin(np.arange(len(index)), rows))
            told.append(self.target.combine([rows_of_outputs(self.raw, rows)], blend))
        return rows_of_outputs(join_outputs(told), np.argsort(np.concatenate(own)))

    def blend_on(self, chosen: NDArray[np.bool_]) -> Blend:
        """Return what the parts are worth as some of the samples alone would have it."""
        groups = [group for group, is_chosen in zip(self.groups, chosen.tolist(), strict=True) if is_chosen]
        return self.target.blend(rows_of_outputs(self.raw, np.flatnonzero(chosen)), self.truth[chosen], groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """A model with the rows of samples of groups that it never saw, and how far ahead such groups lie at least."""

    model: Ensemble
    rows: Rows
    ahead: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """An ensemble, what was said out of fold by view, and what each member was trained and judged on."""

    ensemble: Ensemble
    judged: Mapping[str, OutOfFold]
    splits: tuple[Split, ...]

    def judges(self) -> list[Judge]:
        """Return who is judged on what: each member on its own fold, or all together on one part."""
        if are_judged_together(self.splits):
            return [Judge(model=self.ensemble, rows=self.splits[0].calibrate)]
        return [
            Judge(model=self.ensemble.alone(member), rows=split.calibrate)
            for member, split in zip(self.ensemble.members, self.splits, strict=True)
        ]

    def trained(self) -> Rows:
        """Rows that any member learned from."""
        return np.unique(np.concatenate([split.train for split in self.splits]))

    def calibrated_alone(self) -> Rows:
        """Rows that members were judged on, and none learned from."""
        return np.setdiff1d(np.concatenate([split.calibrate for split in self.splits]), self.trained())


def fit(task: Task, source: SampleSet, samples: Sequence[Sample], recipe: Recipe, progress: Progress = silent) -> Fit:
    """Fit a member a fold, judge it on the groups it never saw, and weigh its parts by what they are worth there.

    Members that adapt an open model hold its weights once, unless each trains them whole.
    A member never sees the targets of the groups it is judged on, also not among the inputs of other groups.

    What the folds' members say together is the model, as in cross-conformal prediction: its regions come from the
    members' errors on groups they never saw. Source: Barber et al. 2021, Predictive inference with the
    jackknife+, section 3 (CV+); here with whole groups as folds. What parts are worth is kept by view. A single member
    is judged on a part of its own, and all are on the data's calibrate part, where there is one: `member_splits`.
    """
    target, groups = task.target.told(source), groups_of(samples)
    truth, layout = target.learnable(target.truth(samples)), Layout.of(samples)
    samples = layout(samples)
    splits = member_splits(samples, recipe.config.num_folds, task.holding.buffer_m)
    maker = MemberFit(task=task, target=target, config=recipe.config, order=recipe.order, layout=layout)
    maker = replace(maker, watch=recipe.watch)
    base = None if recipe.base is None else recipe.base.shared()
    members: list[Member] = []
    said: dict[str, list[tuple[Outputs, Array, Array]]] = {name: [] for name in task.views}
    for index, split in enumerate(splits):
        held = split.calibrate.tolist()
        known = task.forget([samples[row] for row in split.train], frozenset(groups[row] for row in held))
        seeded = maker.seeded(recipe.config.training.seed * 1000 + index)
        member = seeded(known, base, numbered(index))
        for name, view in task.views.items():
            unseen = [view(samples[row]) for row in held]
            features = member.preparation.features(unseen)
            said[name].append((member.outputs(unseen), features, own_features(member.preparation, unseen)))
        members.append(member)
        progress(f"fold {index + 1} of {len(splits)}", (index + 1) / len(splits))
    judged = {name: _joined(target, parts, splits, (truth, groups)) for name, parts in said.items()}
    blend = {name: found.blend for name, found in judged.items()}
    ensemble = Ensemble(members=tuple(members), target=target, blend=blend, layout=layout)
    return Fit(ensemble=ensemble, judged=judged, splits=splits)


def _joined(
    target: Target,
    said: Sequence[tuple[Outputs, Array, Array]],
    splits: Sequence[Split],
    known: tuple[Array, Sequence[str]],
) -> OutOfFold:
    """Put the judgements in the order of the samples, and weigh their parts; `known` is all truth and groups."""
    outputs, features, own = zip(*said, strict=True)
    if are_judged_together(splits):
        rows, raws = splits[0].calibrate, outputs
        told, own_told = np.mean(features, axis=0), np.mean(own, axis=0)
    else:
        every = np.concatenate([split.calibrate for split in splits])
        order = np.argsort(every)
        rows, raws = every[order], (rows_of_outputs(join_outputs(outputs), order),)
        told, own_told = np.concatenate(features)[order], np.concatenate(own)[order]
    truth, groups = known[0][rows], tuple(known[1][row] for row in rows.tolist())
    return OutOfFold(
        target=target,
        truth=truth,
        raws=raws,
        blend=target.blend(mean_outputs(raws), truth, groups),
        features=told,
        own_features=own_told,
        groups=groups,
        rows=rows,
    )


def mean_outputs(members: Sequence[Outputs]) -> Outputs:
    """Return what members say on average, part by part."""
    return {name: np.mean([one[name] for one in members], axis=0) for name in members[0]}
