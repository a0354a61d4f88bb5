"""Fitting a task: members trained on parts of the samples, each judged on what it never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mainstem.core.folds import groups_of, hold_out
from mainstem.core.layout import Layout
from mainstem.core.lora import numbered
from mainstem.core.member import Ensemble, Member, MemberFit, join_outputs, rows_of_outputs
from mainstem.core.preparation import own_features
from mainstem.core.progress import Progress, silent
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Blend, Outputs, Target
from mainstem.core.task import Recipe, Task

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """What members said of samples whose groups they never saw, and the features of the shift alarm.

    `raw` holds the parts of what was said, which `blend` weighs; `rows` are the samples' places among those of the fit.
    """

    target: Target
    truth: Array
    raw: Outputs
    blend: Blend
    features: Array
    own_features: Array
    groups: tuple[str, ...]
    rows: Rows

    @cached_property
    def told(self) -> Outputs:
        """What is told of the samples, their parts being weighed."""
        return self.target.combine([self.raw], self.blend)

    def blend_on(self, chosen: NDArray[np.bool_]) -> Blend:
        """Return what the parts are worth as some of the samples alone would have it."""
        groups = [group for group, is_chosen in zip(self.groups, chosen.tolist(), strict=True) if is_chosen]
        return self.target.blend(rows_of_outputs(self.raw, np.flatnonzero(chosen)), self.truth[chosen], groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """An ensemble, what was said out of fold by view, and which rows each member was judged on."""

    ensemble: Ensemble
    judged: Mapping[str, OutOfFold]
    held: tuple[Rows, ...]


def fit(
    task: Task,
    source: SampleSet,
    samples: Sequence[Sample],
    recipe: Recipe,
    progress: Progress = silent,
) -> Fit:
    """Fit a member a fold, judge it on the groups it never saw, and weigh its parts by what they are worth there.

    Members that adapt an open model hold its weights once, unless each trains them whole.
    A member never sees the targets of the groups it is judged on, also not among the inputs of other groups.

    What the folds' members say together is the model, as in cross-conformal prediction: its regions come from the
    members' errors on groups they never saw. Source: Barber et al. 2021, Predictive inference with the
    jackknife+, section 3 (CV+); here with whole groups as folds. What parts are worth is kept by view. A single member
    is judged on a part of its own: split conformal prediction.
    """
    target, groups = task.target.told(source), groups_of(samples)
    truth, layout = target.truth(samples), Layout.of(samples)
    samples = layout(samples)
    folds = hold_out(samples, recipe.config.num_folds, task.holding.buffer_m)
    maker = MemberFit(task=task, target=target, config=recipe.config, order=recipe.order, layout=layout)
    base = None if recipe.base is None else recipe.base.shared()
    members: list[Member] = []
    said: dict[str, list[tuple[Outputs, Array, Array]]] = {name: [] for name in task.views}
    for index, (kept, held) in enumerate(folds):
        known = task.forget([samples[row] for row in kept], frozenset(groups[row] for row in held))
        seeded = maker.seeded(recipe.config.training.seed * 1000 + index)
        member = seeded(known, base, numbered(index))
        for name, view in task.views.items():
            unseen = [view(samples[row]) for row in held]
            features = member.preparation.features(unseen)
            said[name].append((member.outputs(unseen), features, own_features(member.preparation, unseen)))
        members.append(member)
        progress(f"fold {index + 1} of {len(folds)}", (index + 1) / len(folds))
    every = np.concatenate([held for _, held in folds])
    judged = {name: _joined(target, parts, every, (truth, groups)) for name, parts in said.items()}
    blend = {name: found.blend for name, found in judged.items()}
    ensemble = Ensemble(members=tuple(members), target=target, blend=blend, layout=layout)
    return Fit(ensemble=ensemble, judged=judged, held=tuple(held for _, held in folds))


def _joined(
    target: Target, folds: Sequence[tuple[Outputs, Array, Array]], every: Rows, known: tuple[Array, Sequence[str]]
) -> OutOfFold:
    """Put the folds' judgements in the order of the samples, and weigh their parts; `known` is all truth and groups."""
    order = np.argsort(every)
    rows = every[order]
    truth, groups = known[0][rows], tuple(known[1][row] for row in rows.tolist())
    raw = rows_of_outputs(join_outputs([outputs for outputs, *_ in folds]), order)
    return OutOfFold(
        target=target,
        truth=truth,
        raw=raw,
        blend=target.blend(raw, truth, groups),
        features=np.concatenate([features for _, features, _ in folds])[order],
        own_features=np.concatenate([own for *_, own in folds])[order],
        groups=groups,
        rows=rows,
    )
