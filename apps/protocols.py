"""Protocols of `mainstem evaluate`: what is held out, what training may know of it, and what is asked of a scoring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mainstem.apps.finetune import FitSpec
from mainstem.core.errors import InputError
from mainstem.core.folds import groups_of
from mainstem.core.gaps import drop_streams
from mainstem.core.preparation import Forget, knows_no_target
from mainstem.core.regression import RegressionTask
from mainstem.core.stream import Sample, SampleSet

HOLDOUT, LEFT_OUT, LEFT_OUT_GROUP = "holdout", "leave-one-year-out", "leave-one-group-out"
SEASONS = "season-by-season"  # the test split in order, the labels of each group calibrating those after it
PROTOCOLS = (HOLDOUT, LEFT_OUT, LEFT_OUT_GROUP, SEASONS)
LEFT_OUT_FOLDS = 2  # members of each of the many fits that leave one year out


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

    def gaps(self, test: Sequence[Sample], optional: tuple[str, ...] | None = None) -> list[Sample]:
        """Return the test samples, with random gaps where they were asked for; of `optional` streams alone, if named.

        Raises:
            InputError: if gaps are asked for where no stream may be missing.
        """
        if self.dropout_seed is None:
            return list(test)
        if optional == ():
            raise InputError("samples of this task lack no stream; leave --dropout-seed out")
        return drop_streams(test, self.dropout_seed, optional=optional)


def split_samples(
    samples: Sequence[Sample],
    protocol: str,
    test_groups: frozenset[str] = frozenset(),
    forget: Forget = knows_no_target,
) -> list[tuple[list[Sample], list[Sample]]]:
    """Train and test samples by protocol; training samples know no target of the groups tested.

    Raises:
        InputError: if the protocol is unknown or leaves a part empty.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"got protocol {protocol!r}, want one of {', '.join(PROTOCOLS)}")
    groups = sorted(set(groups_of(samples)))
    parts = []
    for held in [test_groups] if protocol in (HOLDOUT, SEASONS) else [frozenset({group}) for group in groups]:
        train = [sample for sample in samples if sample.source.group not in held]
        test = [sample for sample in samples if sample.source.group in held]
        if not train or not test:
            raise InputError(f"{protocol} leaves no sample to train or to test on; the data cover {', '.join(groups)}")
        parts.append((forget(train, held), test))
    return parts


def default_protocol(source: SampleSet) -> str:
    """Return the protocol of a set: its own test split, else each year, or each group, left out in turn."""
    if source.test_groups:
        return HOLDOUT
    return LEFT_OUT if all("year" in sample.source.facts for sample in source.samples) else LEFT_OUT_GROUP


def fit_for_protocol(spec: EvaluationSpec, protocol: str) -> EvaluationSpec:
    """Give the many fits that leave one group out in turn fewer members each, of groups in any order."""
    if protocol in (HOLDOUT, SEASONS):
        return spec
    fewer = min(spec.fit.config.num_folds, LEFT_OUT_FOLDS)
    return replace(spec, fit=replace(spec.fit, order="any", config=replace(spec.fit.config, num_folds=fewer)))


def protocol_note(task: RegressionTask, protocol: str, samples: Sequence[Sample]) -> str:
    """Say which targets of other groups the inputs hold, or return an empty string where they hold none."""
    groups = frozenset(str(sample.source.group) for sample in samples)
    if all(plain is sample for plain, sample in zip(task.forget(samples, groups), samples, strict=True)):
        return ""
    if protocol in (LEFT_OUT, LEFT_OUT_GROUP):
        return (
            "what is left out is unknown to training, also as the past of later groups; it is itself predicted with "
            "the targets of the groups before it"
        )
    return "one step ahead: a tested group is predicted with the targets of the groups before it, tested ones included"
