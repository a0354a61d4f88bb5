"""Protocols of `mainstem evaluate`: what is held out, what training may know of it, and what is asked of a scoring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.folds import groups_of
from mainstem.core.gaps import drop_streams
from mainstem.core.preparation import Forget, knows_no_target
from mainstem.core.samples import SampleSet
from mainstem.core.split import Split
from mainstem.core.stream import Sample
from mainstem.core.task import Task
from mainstem.core.told import told_in

OFFICIAL = "official"  # the split that the data bring, scored as a holdout where it is sound
HOLDOUT, LEFT_OUT, LEFT_OUT_GROUP = "holdout", "leave-one-year-out", "leave-one-group-out"
SEASONS = "season-by-season"  # the test split in order, the labels of each group calibrating those after it
GROUPED_FOLDS = "grouped-folds"  # each sample by the one member that never saw its group
RUN = "run"  # a run that is there, on what it never saw
PROTOCOLS = (HOLDOUT, OFFICIAL, LEFT_OUT, LEFT_OUT_GROUP, SEASONS, GROUPED_FOLDS)
LEFT_OUT_FOLDS = 2  # members of each of the many fits that leave one group out
FEWEST_TO_LEAVE_OUT = LEFT_OUT_FOLDS + 1  # groups: each of those members is judged on one that it never saw


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
    workers: int = 0  # processes that train parts and seeds, where the task can be found by its name; 0: what serves

    def gaps(self, test: Sequence[Sample], task: Task) -> list[Sample]:
        """Return the test samples, with random gaps where they were asked for, as the task has them.

        Raises:
            InputError: if gaps are asked for where no stream may be missing.
        """
        if self.dropout_seed is None:
            return list(test)
        if task.drop is not None:
            return task.drop(test, self.dropout_seed)
        if task.optional == ():
            raise InputError("samples of this task lack no stream; leave --dropout-seed out")
        return drop_streams(test, self.dropout_seed, optional=task.optional)


def split_samples(
    samples: Sequence[Sample],
    protocol: str,
    test_groups: frozenset[str] = frozenset(),
    forget: Forget = knows_no_target,
) -> list[tuple[list[Sample], list[Sample]]]:
    """Samples that a fit is given, and those it is tested on, by protocol; the former know no target of the latter.

    `test_groups` are of the official test split, beside samples that name it as their part.

    Raises:
        InputError: if the protocol is unknown or leaves a part empty, or there are too few groups to leave one out.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"got protocol {protocol!r}, want one of {', '.join(PROTOCOLS)}")
    labels = np.asarray(groups_of(samples))
    groups = np.unique(labels).tolist()
    if protocol in (LEFT_OUT, LEFT_OUT_GROUP) and len(groups) < FEWEST_TO_LEAVE_OUT:
        raise InputError(
            f"{protocol} needs {FEWEST_TO_LEAVE_OUT} groups, as a fit is calibrated on groups of its own; the data "
            f"have {', '.join(groups)} alone; use --protocol {GROUPED_FOLDS}"
        )
    if protocol in (HOLDOUT, SEASONS):
        splits = [Split.official(samples, test_groups)]
    else:
        splits = [Split.around(samples, labels == group) for group in groups]
    parts = []
    for split in splits:
        given = [samples[row] for row in np.union1d(split.train, split.calibrate).tolist()]
        test = [samples[row] for row in split.test.tolist()]
        if not given or not test:
            told = ", ".join(groups[:20])
            raise InputError(f"{protocol} leaves no sample to train or to test on; the data cover {told}")
        parts.append((forget(given, frozenset(str(sample.source.group) for sample in test)), test))
    return parts


def chosen_protocol(task: Task, source: SampleSet, asked: str | None) -> str:
    """Return the protocol that was asked for, else the set's; the data's own split is scored as a holdout.

    Raises:
        InputError: if the split that the data bring is asked for, and it is unsound.
    """
    if asked in (OFFICIAL, HOLDOUT) and source.unsound_split:
        raise InputError(f"{source.name}: {source.unsound_split}")
    return HOLDOUT if asked == OFFICIAL else asked or default_protocol(task, source)


def default_protocol(task: Task, source: SampleSet) -> str:
    """Return the protocol of a set: its own test split, else the task's, else each group left out.

    Data that name no groups are scored in folds, not by leaving each case out, which would train as many models. So are
    those that name too few for a fit without one of them to be calibrated.
    """
    if len(source.split().test):
        return HOLDOUT
    protocol = task.holding.protocol or LEFT_OUT_GROUP
    is_few = len(set(told_in(source.unflagged(), "group")) - {None}) < FEWEST_TO_LEAVE_OUT
    return GROUPED_FOLDS if is_few and protocol in (LEFT_OUT, LEFT_OUT_GROUP) else protocol


def fit_for_protocol(spec: EvaluationSpec, protocol: str, most_folds: int = LEFT_OUT_FOLDS) -> EvaluationSpec:
    """Give the many fits that leave one group out in turn fewer members each, of groups in any order."""
    if protocol in (HOLDOUT, SEASONS, GROUPED_FOLDS):
        return spec
    fewer = min(spec.fit.config.num_folds, most_folds)
    return replace(spec, fit=replace(spec.fit, order="any", config=replace(spec.fit.config, num_folds=fewer)))


def protocol_note(task: Task, protocol: str, samples: Sequence[Sample]) -> str:
    """Say which targets of other groups the inputs hold, or return an empty string where they hold none."""
    buffer_m = task.holding.buffer_m
    if buffer_m:
        return f"training leaves out what lies within {buffer_m:g} m of what is held out"
    held = list(samples)  # of columns each sample is made anew whenever it is asked for
    groups = frozenset(str(sample.source.group) for sample in held)
    if all(plain is sample for plain, sample in zip(task.forget(held, groups), held, strict=True)):
        return ""
    if protocol in (LEFT_OUT, LEFT_OUT_GROUP):
        return (
            "what is left out is unknown to training, also as the past of later groups; it is itself predicted with "
            "the targets of the groups before it"
        )
    return "one step ahead: a tested group is predicted with the targets of the groups before it, tested ones included"
