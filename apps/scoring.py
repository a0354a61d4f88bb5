"""Score one part of an evaluation: predict its samples at each view, with regions, claims and means."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.calibrate import CalibrationSpec, Local, written_groups
from mainstem.apps.coverage import report_alone
from mainstem.apps.protocols import SEASONS, EvaluationSpec
from mainstem.core.errors import InputError
from mainstem.core.fit import OutOfFold
from mainstem.core.fitted import Fitted
from mainstem.core.folds import has_groups
from mainstem.core.judging import Evidence
from mainstem.core.means import Judged, counts_of, labels_by, mean_view
from mainstem.core.member import join_outputs, rows_of_outputs
from mainstem.core.order import is_ordered
from mainstem.core.predict import Told, judge
from mainstem.core.stream import Sample
from mainstem.core.targets import Outputs, Regions, Target
from mainstem.core.task import Task
from mainstem.core.told import facts_in

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
PARTS = 20  # of cases without groups: enough for Student's t, and few enough to show


@dataclass(frozen=True, kw_only=True)
class Hashes:
    """SHA-256 of the weights of trunk and adapter; of several fits one each, of theirs in order."""

    trunk: str
    adapter: str

    @classmethod
    def of(cls, fitted: Fitted) -> "Hashes":
        """Those of a fit."""
        return cls(trunk=fitted.manifest.trunk_sha256, adapter=fitted.adapter_sha256)

    @classmethod
    def join(cls, parts: Sequence["Hashes"]) -> "Hashes":
        """Those of several fits together."""
        return cls(trunk=_together([part.trunk for part in parts]), adapter=_together([part.adapter for part in parts]))


def _together(hashes: Sequence[str]) -> str:
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Cases:
    """Samples with their truth and their groups' labels (samples,)."""

    samples: Sequence[Sample]
    truth: Array
    groups: tuple[str, ...]

    @classmethod
    def of(cls, target: Target, samples: Sequence[Sample]) -> "Cases":
        """Samples with what the target reads of them."""
        return cls(samples=samples, truth=target.truth(samples), groups=labels_of(samples))


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredMeans:
    """Means of samples that belong together, their intervals (means,), and how many samples each is the mean of."""

    judged: Judged
    low: Array
    high: Array
    counts: NDArray[np.intp]

    @classmethod
    def join(cls, parts: Sequence["ScoredMeans"]) -> "ScoredMeans | None":
        """Put several parts' means together; None where there are none."""
        if not parts:
            return None
        return cls(
            judged=Judged.join([part.judged for part in parts]),
            low=np.concatenate([part.low for part in parts]),
            high=np.concatenate([part.high for part in parts]),
            counts=np.concatenate([part.counts for part in parts]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """One part's truth, with what was told and the quantile of regions (cases, ...) by view, baselines and claims.

    `baselines` and `means` are those of the first view, `baselines_at` of others, where the task asks them there too,
    `means_at` of all.

    `inside` says by name what each case lies in, its group and then what means are taken of, where they are. `facts`
    say of each case the value of those that tell subgroups, `alone` what alarm and local labels do where cases name no
    group.
    """

    target: Target
    level: float
    truth: Array
    groups: tuple[str, ...]
    told: Mapping[str, Outputs]
    quantile: Mapping[str, Array]
    baselines: Mapping[str, Array]
    claims: tuple[str, ...]
    patterns: tuple[str, ...]
    means: ScoredMeans | None
    hashes: Hashes
    inside: Mapping[str, tuple[str, ...]]
    alone: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    baselines_at: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    means_at: Mapping[str, ScoredMeans] = field(default_factory=dict)

    def beside(self, baselines: Mapping[str, Mapping[str, Array]], first: str) -> "Scored":
        """Return the same beside baselines by view, of which `first` is the one that figures are told of."""
        others = {view: found for view, found in baselines.items() if view != first}
        return replace(self, baselines=baselines[first], baselines_at=others)

    def beside_model(self, name: str, other: "Scored") -> "Scored":
        """Return the same beside what another model says of the same cases, at each view, as a baseline."""
        assert np.array_equal(self.truth, other.truth), "the same cases"
        first, *others = self.told
        at = {view: {**self.baselines_at.get(view, {}), name: other.point(view)} for view in others}
        return replace(self, baselines={**self.baselines, name: other.point(first)}, baselines_at=at)

    def point(self, view: str) -> Array:
        """What metrics judge of a view."""
        return self.target.point(self.told[view])

    def regions(self, view: str) -> Regions:
        """The regions of a view with the truth."""
        return Regions(told=self.told[view], truth=self.truth, quantile=self.quantile[view], level=self.level)

    def rows(self, chosen: Rows) -> "Scored":
        """Return the chosen cases; means of what belongs together stay as they are."""

        def of(labels: Sequence[str]) -> tuple[str, ...]:
            return tuple(labels[row] for row in chosen.tolist())

        return replace(
            self,
            truth=self.truth[chosen],
            groups=of(self.groups),
            told={view: rows_of_outputs(told, chosen) for view, told in self.told.items()},
            quantile={view: values[chosen] for view, values in self.quantile.items()},
            baselines={name: values[chosen] for name, values in self.baselines.items()},
            baselines_at={
                view: {name: values[chosen] for name, values in found.items()}
                for view, found in self.baselines_at.items()
            },
            claims=of(self.claims),
            patterns=of(self.patterns),
            inside={name: of(labels) for name, labels in self.inside.items()},
            facts={name: of(labels) for name, labels in self.facts.items()},
        )


def score_by_protocol(task: Task, fitted: Fitted, test: Sequence[Sample], spec: EvaluationSpec) -> Scored:
    """Score test samples at once or, where the protocol is so, season by season."""
    is_by_season = spec.protocol == SEASONS
    return _score_seasons(task, fitted, test, spec) if is_by_season else score(task, fitted, test, spec.level)


def score(task: Task, fitted: Fitted, test: Sequence[Sample], level: float) -> Scored:
    """Predict test samples as they were known at each view; claims are those of the fullest one."""
    cases = Cases.of(fitted.target, test)
    found = {name: judge(fitted, [view(sample) for sample in test], name, level) for name, view in task.views.items()}
    first = found[task.first_view]
    means = {name: _score_means(task, fitted, cases, verdict.told, level, name) for name, verdict in found.items()}
    return Scored(
        target=fitted.target,
        level=level,
        truth=cases.truth,
        groups=cases.groups,
        told={name: verdict.told.outputs for name, verdict in found.items()},
        quantile={name: verdict.told.quantile for name, verdict in found.items()},
        baselines={},
        claims=tuple(claim.state for claim in first.claims),
        patterns=first.told.patterns,
        means=means[task.first_view],
        means_at={name: known for name, known in means.items() if known is not None},
        hashes=Hashes.of(fitted),
        inside={"group": cases.groups, task.grouping.mean_of: labels_by(test, task.grouping.mean_of)}
        if task.grouping.mean_of
        else {},
        facts=subgroups_of(task, test),
        alone=report_alone(fitted, first.told, test, task.first_view, level),
    )


def subgroups_of(task: Task, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
    """Values of the facts by which the task tells subgroups apart, "unknown" where a sample has none."""
    return {
        name: tuple("unknown" if value is None else str(value) for value in facts_in(samples, name))
        for name in task.subgroups
    }


def labels_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Group labels of samples; cases that name no group are dealt to PARTS parts, over which differences are told."""
    if has_groups(samples):
        return tuple(str(sample.source.group) for sample in samples)
    return dealt(len(samples))


def dealt(num: int) -> tuple[str, ...]:
    """Parts of cases that name no group."""
    return tuple(f"part {row % PARTS + 1}" for row in range(num))


def score_in_folds(
    task: Task,
    fitted: Fitted,
    judged: Mapping[str, OutOfFold],
    held: Sequence[Rows],
    samples: Sequence[Sample],
    level: float,
) -> Scored:
    """Score what members said of samples out of fold; blend and regions of a fold come from the other folds alone."""
    view, target = task.first_view, fitted.target
    found, calibration = judged[view], fitted.calibration[view]
    claim = calibration.claim(level)
    told, quantile = in_folds(found, held, level)
    num = len(found.truth)
    return Scored(
        target=target,
        level=level,
        truth=found.truth,
        groups=found.groups if calibration.has_groups else dealt(num),
        told={view: told},
        quantile={view: quantile},
        baselines={},
        claims=(claim.state,) * num,
        patterns=("",) * num,
        means=None,
        hashes=Hashes.of(fitted),
        inside={},
        facts=subgroups_of(task, [samples[row] for row in found.rows.tolist()]),
    )


def in_folds(found: OutOfFold, held: Sequence[Rows], level: float) -> tuple[Outputs, Array]:
    """What is told of each fold's cases, and quantiles, as the other folds alone would have them."""
    target, groups = found.target, np.asarray(found.groups)
    place = {row: index for index, row in enumerate(found.rows.tolist())}
    parts, order = [], []
    for rows in held:
        own = np.array([place[row] for row in rows.tolist()])
        others = np.setdiff1d(np.arange(len(groups)), own)
        is_other = np.isin(np.arange(len(groups)), others)
        blend = found.blend_on(is_other)
        told = target.combine([rows_of_outputs(found.raw, others)], blend)
        evidence = Evidence.of(target, told, found.truth[others], groups[others].tolist(), [""] * len(others))
        calibration = evidence.calibration((), "other folds", ())
        outputs = target.combine([rows_of_outputs(found.raw, own)], blend)
        parts.append((outputs, calibration.quantiles(level, [""] * len(own), target.strata_names())))
        order.append(own)
    back = np.argsort(np.concatenate(order))
    joined = rows_of_outputs(join_outputs([outputs for outputs, _ in parts]), back)
    return joined, np.concatenate([quantile for _, quantile in parts])[back]


def _score_seasons(task: Task, fitted: Fitted, test: Sequence[Sample], spec: EvaluationSpec) -> Scored:
    """Score the test groups in order; the labels of each are added to the calibration before the next is predicted."""
    groups = sorted({str(sample.source.group) for sample in test})
    if not is_ordered(groups):
        raise InputError(f"{SEASONS} needs groups in order, as years are; these are named {', '.join(groups[:3])}")
    groups = sorted(groups, key=float)
    places = np.argsort([groups.index(str(sample.source.group)) for sample in test], kind="stable")
    found = []
    for group in groups:
        held = [sample for sample in test if sample.source.group == group]
        found.append(score(task, fitted, held, spec.level))
        known = Local(task=task, samples=held, groups=written_groups(fitted, held), population=f"{group} since")
        fitted = known.teach(fitted, CalibrationSpec(level=spec.level, is_appended=True, window=spec.window))
    return replace(join(found).rows(np.argsort(places)), hashes=found[0].hashes)


def _score_means(task: Task, fitted: Fitted, cases: Cases, told: Told, level: float, view: str) -> ScoredMeans | None:
    """Means of samples that belong together at a view, with their intervals; None where the task has none."""
    calibration = fitted.calibration.get(mean_view(view))
    if not task.grouping.mean_of or calibration is None:
        return None
    labels, point = labels_by(cases.samples, task.grouping.mean_of), fitted.target.point(told.outputs)
    judged = Judged(truth=cases.truth, mean=point, scale=told.outputs["scale"], groups=cases.groups)
    means = judged.means(labels)
    ends = fitted.target.layers(
        {"mean": means.mean, "scale": means.scale}, calibration.half_widths(level, [""] * len(means.truth))
    )
    return ScoredMeans(judged=means, low=ends["lower"], high=ends["upper"], counts=counts_of(labels))


def join(parts: Sequence[Scored]) -> Scored:
    """Put several parts' cases together."""
    first = parts[0]
    return replace(
        first,
        truth=np.concatenate([part.truth for part in parts]),
        groups=tuple(group for part in parts for group in part.groups),
        told={view: join_outputs([part.told[view] for part in parts]) for view in first.told},
        quantile={view: np.concatenate([part.quantile[view] for part in parts]) for view in first.quantile},
        baselines={name: np.concatenate([part.baselines[name] for part in parts]) for name in first.baselines},
        baselines_at={
            view: {name: np.concatenate([part.baselines_at[view][name] for part in parts]) for name in found}
            for view, found in first.baselines_at.items()
        },
        claims=tuple(claim for part in parts for claim in part.claims),
        patterns=tuple(pattern for part in parts for pattern in part.patterns),
        means=ScoredMeans.join([part.means for part in parts if part.means is not None]),
        means_at={
            view: found
            for view in first.means_at
            if (found := ScoredMeans.join([part.means_at[view] for part in parts if view in part.means_at])) is not None
        },
        hashes=Hashes.join([part.hashes for part in parts]),
        inside={name: tuple(label for part in parts for label in part.inside[name]) for name in first.inside},
        facts={name: tuple(label for part in parts for label in part.facts[name]) for name in first.facts},
        alone=first.alone if len(parts) == 1 else {},
    )
