"""Score one part of an evaluation: predict its samples at each view, with intervals, claims and means."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.calibrate import CalibrationSpec, Local
from mainstem.apps.finetune import groups_in
from mainstem.apps.protocols import SEASONS, EvaluationSpec
from mainstem.core.artifact import Artifact
from mainstem.core.errors import InputError
from mainstem.core.folds import targets_of
from mainstem.core.means import Judged, counts_of, labels_by, mean_view
from mainstem.core.order import is_ordered
from mainstem.core.predict import Told, judge
from mainstem.core.regression import RegressionTask, check_targets
from mainstem.core.stream import Sample

Array = NDArray[np.float64]


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
    """One part's truth, predictions and interval ends (cases,) by view, with baselines, years and claims.

    `inside` says by name what each case lies in, its group and then what means are taken of, where they are.
    """

    truth: Array
    years: tuple[str, ...]
    mean: dict[str, Array]
    low: dict[str, Array]
    high: dict[str, Array]
    parts: dict[str, Array]
    baselines: dict[str, Array]
    claims: tuple[str, ...]
    patterns: tuple[str, ...]
    means: ScoredMeans | None
    hashes: tuple[str, str]
    inside: Mapping[str, tuple[str, ...]]

    def rows(self, chosen: NDArray[np.intp]) -> "Scored":
        """Return the chosen cases; means of what belongs together stay as they are."""
        return replace(
            self,
            truth=self.truth[chosen],
            years=tuple(self.years[row] for row in chosen.tolist()),
            mean={name: values[chosen] for name, values in self.mean.items()},
            low={name: values[chosen] for name, values in self.low.items()},
            high={name: values[chosen] for name, values in self.high.items()},
            parts={name: values[chosen] for name, values in self.parts.items()},
            baselines={name: values[chosen] for name, values in self.baselines.items()},
            claims=tuple(self.claims[row] for row in chosen.tolist()),
            patterns=tuple(self.patterns[row] for row in chosen.tolist()),
            inside={name: tuple(labels[row] for row in chosen.tolist()) for name, labels in self.inside.items()},
        )


def score_by_protocol(task: RegressionTask, artifact: Artifact, test: Sequence[Sample], spec: EvaluationSpec) -> Scored:
    """Score test samples at once or, where the protocol is so, season by season."""
    is_by_season = spec.protocol == SEASONS
    return _score_seasons(task, artifact, test, spec) if is_by_season else score(task, artifact, test, spec.level)


def score(task: RegressionTask, artifact: Artifact, test: Sequence[Sample], level: float) -> Scored:
    """Predict test samples as they were known at each view; claims are those of the fullest one."""
    check_targets(task, test)
    first = next(iter(task.views))
    found = {name: judge(artifact, [view(sample) for sample in test], name, level) for name, view in task.views.items()}
    return Scored(
        truth=targets_of(test),
        years=tuple(groups_in(test)),
        mean={name: verdict.told.mean for name, verdict in found.items()},
        low={name: verdict.told.low for name, verdict in found.items()},
        high={name: verdict.told.high for name, verdict in found.items()},
        parts=dict(found[first].told.parts),
        baselines={},
        claims=tuple(claim.state for claim in found[first].claims),
        patterns=found[first].told.patterns,
        means=_score_means(task, artifact, test, found[first].told, level),
        hashes=(artifact.manifest.trunk_sha256, artifact.adapter_sha256),
        inside={"group": tuple(groups_in(test)), task.mean_of: labels_by(test, task.mean_of)} if task.mean_of else {},
    )


def _score_seasons(task: RegressionTask, artifact: Artifact, test: Sequence[Sample], spec: EvaluationSpec) -> Scored:
    """Score the test groups in order; the labels of each are added to the calibration before the next is predicted."""
    groups = sorted({str(sample.source.group) for sample in test})
    if not is_ordered(groups):
        raise InputError(f"{SEASONS} needs groups in order, as years are; these are named {', '.join(groups[:3])}")
    groups = sorted(groups, key=float)
    places = np.argsort([groups.index(str(sample.source.group)) for sample in test], kind="stable")
    found = []
    for group in groups:
        held = [sample for sample in test if sample.source.group == group]
        found.append(score(task, artifact, held, spec.level))
        known = Local(task=task, samples=held, groups=(group,) * len(held), population=f"{group} since")
        artifact = known.teach(artifact, CalibrationSpec(level=spec.level, is_appended=True, window=spec.window))
    return replace(join(found).rows(np.argsort(places)), hashes=found[0].hashes)


def _score_means(
    task: RegressionTask, artifact: Artifact, test: Sequence[Sample], told: Told, level: float
) -> ScoredMeans | None:
    """Means of samples that belong together, with their intervals; None where the task has none."""
    calibration = artifact.calibration.get(mean_view(next(iter(task.views))))
    if not task.mean_of or calibration is None:
        return None
    cases = Judged(truth=targets_of(test), mean=told.mean, scale=told.scale, groups=tuple(groups_in(test)))
    labels = labels_by(test, task.mean_of)
    means = cases.means(labels)
    _, low, high = artifact.manifest.bounds.interval(means.mean, calibration.half_width(level) * means.scale)
    return ScoredMeans(judged=means, low=low, high=high, counts=counts_of(labels))


def join(parts: Sequence[Scored]) -> Scored:
    """Put several parts' cases together."""
    first = parts[0]

    def joined(key: str, name: str) -> Array:
        return np.concatenate([getattr(part, key)[name] for part in parts])

    return Scored(
        truth=np.concatenate([part.truth for part in parts]),
        years=tuple(year for part in parts for year in part.years),
        mean={name: joined("mean", name) for name in first.mean},
        low={name: joined("low", name) for name in first.low},
        high={name: joined("high", name) for name in first.high},
        parts={name: joined("parts", name) for name in first.parts},
        baselines={name: joined("baselines", name) for name in first.baselines},
        claims=tuple(claim for part in parts for claim in part.claims),
        patterns=tuple(pattern for part in parts for pattern in part.patterns),
        means=ScoredMeans.join([part.means for part in parts if part.means is not None]),
        hashes=(hash_together([part.hashes[0] for part in parts]), hash_together([part.hashes[1] for part in parts])),
        inside={name: tuple(label for part in parts for label in part.inside[name]) for name in first.inside},
    )


def hash_together(hashes: Sequence[str]) -> str:
    """One hash for several fits: of their hashes in order."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
