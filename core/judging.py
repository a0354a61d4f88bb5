"""What intervals and alarm are calibrated on: errors on groups never seen, later ones and samples with gaps too."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.calibration import IntervalCalibration
from mainstem.core.folds import group_folds, groups_of, season_in, targets_of
from mainstem.core.gaps import drop_streams, expected_streams, pattern_of
from mainstem.core.means import Judged, labels_by, mean_view, sizes_by
from mainstem.core.order import is_ordered, least_lead
from mainstem.core.out_of_fold import OutOfFold
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.quantiles import cases_needed
from mainstem.core.regression import Member, Recipe, RegressionConfig, RegressionTask, Regressor, fit_member
from mainstem.core.stream import Sample

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
ORIGINS = 2  # from which later groups are predicted
FORWARD = 0.6  # of the time that calibration takes goes to the fits for them
MOST_DRAWN = 20_000  # samples with gaps, of each view
LEVEL = 0.9  # at which intervals of views that show less are made no narrower


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Errors of one view's cases (cases,), in scales, with what calibration keeps apart."""

    scores: Array
    scale: Array
    groups: tuple[str, ...]
    patterns: tuple[str, ...]

    @classmethod
    def join(cls, parts: Sequence["Evidence"]) -> "Evidence":
        """Put several parts' cases together."""
        return cls(
            scores=np.concatenate([part.scores for part in parts]),
            scale=np.concatenate([part.scale for part in parts]),
            groups=tuple(group for part in parts for group in part.groups),
            patterns=tuple(pattern for part in parts for pattern in part.patterns),
        )

    def calibration(
        self, streams: Sequence[str], population: str, forward: tuple[str, ...], reach: float = 0.0
    ) -> IntervalCalibration:
        """Calibrate on these cases; `streams` are expected, `forward` groups were predicted from earlier ones alone.

        `reach` is the last group that may be claimed.
        """
        patterns = np.asarray(self.patterns)
        return IntervalCalibration(
            scores=self.scores,
            groups=self.groups,
            population=population,
            patterns=self.patterns,
            streams=tuple(streams),
            scale_of={str(name): float(self.scale[patterns == name].mean()) for name in np.unique(patterns)},
            forward=forward,
            reach=reach,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """A model with the rows of samples of groups that it never saw, and how far ahead such groups lie at least."""

    model: Regressor
    rows: Rows
    ahead: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What a fitted regressor knows of itself, by view: calibration of intervals (and of means), and alarm."""

    calibration: Mapping[str, IntervalCalibration]
    alarm: Mapping[str, ShiftAlarm]


def calibrate_fit(
    task: RegressionTask,
    samples: Sequence[Sample],
    fitted: tuple[Regressor, Mapping[str, OutOfFold]],
    recipe: Recipe,
    population: str,
    progress: Progress = silent,
) -> Known:
    """Calibrate each view on cases held out: as they are, with streams drawn to be missing, and of later groups.

    Where groups are asked for that are later than those of training, the later half is judged by members fitted on
    earlier groups alone (rolling origin: Tashman 2000, Out-of-sample tests of forecasting accuracy, section 3).
    """
    regressor, judged = fitted
    samples = regressor.layout(samples)
    later = forward_judges(task, samples, (regressor, judged), recipe, part_of(progress, 0.0, FORWARD))
    ahead = np.concatenate([judge.rows for judge in later]) if later else np.empty(0, np.intp)
    folds = zip(regressor.members, group_folds(groups_of(samples), recipe.config.num_folds), strict=True)
    within = [Judge(model=_alone(regressor, member), rows=np.setdiff1d(held, ahead)) for member, (_, held) in folds]
    gaps = part_of(progress, FORWARD, 1.0)
    evidence = _gap_evidence(task, samples, [*later, *within], recipe.config, gaps)
    forward = tuple(sorted({str(samples[row].source.group) for row in ahead.tolist()}))
    last = max((float(group) for group in forward), default=0.0)
    reach = last + max((judge.ahead for judge in later), default=0.0) if later else 0.0
    calibration: dict[str, IntervalCalibration] = {}
    alarm: dict[str, ShiftAlarm] = {}
    narrowest = 0.0
    for view, found in judged.items():
        seen = [task.views[view](sample) for sample in samples]
        streams = expected_streams(seen)
        cases = _judged_of(found)
        for judge in later:
            cases = _replaced(cases, judge, view, seen)
        patterns = tuple(pattern_of(sample, streams) for sample in seen)
        whole = Evidence(
            scores=(cases.truth - cases.mean) / cases.scale, scale=cases.scale, groups=cases.groups, patterns=patterns
        )
        evident = Evidence.join([whole, *evidence[view]]).calibration(streams, population, forward, reach)
        one = replace(evident, held=held_of(task, samples), season_of=task.season_of, seasons=seasons_of(task, samples))
        calibration[view] = one.no_narrower_than(narrowest, LEVEL, float(cases.scale.mean()))
        narrowest = calibration[view].half_width(LEVEL) * float(cases.scale.mean())
        if task.mean_of:
            sizes = sizes_by(samples, task.mean_of)
            calibration |= mean_calibration(view, cases, labels_by(samples, task.mean_of), population, sizes=sizes)
        if ShiftAlarm.suffices(found.features, found.groups):
            alarm[view] = ShiftAlarm.fit(
                found.features, found.groups, places_of(task, samples), task.place_of, found.own_features
            )
    return Known(calibration=calibration, alarm=alarm)


def mean_calibration(
    view: str,
    cases: Judged,
    labels: Sequence[str],
    population: str,
    fewest_groups: int = 2,
    sizes: Sequence[int] = (),
) -> dict[str, IntervalCalibration]:
    """Calibrate the means of what belongs together, under the name of `mean_view`; nothing where there are too few.

    `sizes` say of how many samples, read or not, each one's label consists (`Judged.means_of_all`).
    """
    if not any(labels):
        return {}
    means = cases.means_of_all(labels, sizes)
    if len(set(means.groups)) < fewest_groups:
        return {}
    return {mean_view(view): means.calibration(f"{population}, means of {len(means.truth)}")}


def outgrown(
    means: IntervalCalibration, before: IntervalCalibration, after: IntervalCalibration, stretch: float = 1.0
) -> IntervalCalibration:
    """Return the calibration of means for single samples whose own went `before` -> `after` without new means.

    Nobody knows what part of larger errors the samples of a mean share: they are taken to share all of it, which adds
    its square to that of the means' own. A mean errs no further than its samples do. Scales are `stretch` times as
    large as they were.
    """
    own, old, new = means.half_width(LEVEL), before.half_width(LEVEL), stretch * after.half_width(LEVEL)
    half = min(float(np.sqrt(own**2 + max(new**2 - old**2, 0.0))), new)
    return replace(means, scores=means.scores * half / (own * stretch))


def held_of(task: RegressionTask, samples: Sequence[Sample]) -> str:
    """What is held out whole: in words that say that it is simulated, where all of it is."""
    return f"simulated {task.group_name}s" if all(sample.source.simulated for sample in samples) else "groups"


def seasons_of(task: RegressionTask, samples: Sequence[Sample]) -> tuple[str, ...]:
    """The seasons that the samples name, where the task's groups are none."""
    return tuple(sorted({season_in(sample, task.season_of) for sample in samples} - {""})) if task.season_of else ()


def places_of(task: RegressionTask, samples: Sequence[Sample]) -> tuple[str, ...]:
    """The place of every sample, by which it recurs in other groups; "" where the task names none."""
    return labels_by(samples, task.place_of) if task.place_of else ("",) * len(samples)


def forward_judges(
    task: RegressionTask,
    samples: Sequence[Sample],
    fitted: tuple[Regressor, Mapping[str, OutOfFold]],
    recipe: Recipe,
    progress: Progress = silent,
) -> list[Judge]:
    """Fit members on all groups before each of ORIGINS parts of the later half, to judge that part.

    None where groups have no order, or are too few to be calibrated on. The weights of a member's parts are fitted on
    the earlier groups' out-of-fold judgements. Those were made by the folds' members, which had seen later groups too:
    two numbers between 0 and 1 may carry a trace of them. The part to be judged is otherwise unknown to its judge.
    """
    regressor, judged = fitted
    groups = groups_of(samples)
    names = sorted(set(groups), key=float) if is_ordered(groups) else []
    if recipe.order != "later" or len(names) < cases_needed(LEVEL):
        return []
    labels = np.array(groups)
    judges = []
    parts = np.array_split(np.array(names[len(names) // 2 :]), ORIGINS)
    for index, part in enumerate(parts):
        before = np.flatnonzero(np.isin(labels, names[: names.index(str(part[0]))]))
        seed = recipe.config.training.seed * 1000 + 500 + index  # folds are numbered from 0
        seeded = replace(recipe.config, training=replace(recipe.config.training, seed=seed))
        known = task.forget([samples[row] for row in before.tolist()], frozenset(names) - set(labels[before].tolist()))
        base = copy.deepcopy(recipe.base)
        member = fit_member(known, lambda found: task.prepare(found, recipe.order), seeded, task.views, base)
        ahead = least_lead(names, len(part))
        weights = {view: found.weights_on(before) for view, found in judged.items()}
        model = replace(
            _alone(regressor, member),
            shares={view: share for view, (share, _) in weights.items()},
            gates={view: gate for view, (_, gate) in weights.items()},
        )
        judges.append(Judge(model=model, rows=np.flatnonzero(np.isin(labels, part)), ahead=ahead))
        progress(f"later groups, part {index + 1} of {ORIGINS}", (index + 1) / ORIGINS)
    return judges


def _judged_of(found: OutOfFold) -> Judged:
    return Judged(truth=found.truth, mean=found.mean, scale=found.scale, groups=found.groups)


def _alone(regressor: Regressor, member: Member) -> Regressor:
    return replace(regressor, members=(member,))


def _replaced(cases: Judged, judge: Judge, view: str, seen: Sequence[Sample]) -> Judged:
    """The cases with those of the judge's rows predicted by it."""
    mean, scale = cases.mean.copy(), cases.scale.copy()
    mean[judge.rows], scale[judge.rows] = judge.model.predict([seen[row] for row in judge.rows], view)
    return replace(cases, mean=mean, scale=scale)


def _gap_evidence(
    task: RegressionTask,
    samples: Sequence[Sample],
    judges: Sequence[Judge],
    config: RegressionConfig,
    progress: Progress,
) -> dict[str, list[Evidence]]:
    """Errors on samples drawn with streams missing, by the view that what is left of them stands for."""
    found: dict[str, list[Evidence]] = {view: [] for view in task.views}
    if task.optional is not None and not task.optional:
        return found
    expected = {view: expected_streams([show(sample) for sample in samples]) for view, show in task.views.items()}
    draws = int(np.clip(MOST_DRAWN // max(len(samples), 1), 1, config.num_gap_draws))
    for number, judge in enumerate(judges):
        held = [samples[row] for row in judge.rows.tolist()] * draws
        for index, show in enumerate(task.views.values()):
            seed = int(np.random.SeedSequence([config.training.seed, number, index]).generate_state(1)[0])
            lacking = drop_streams([show(sample) for sample in held], seed, optional=task.optional)
            views = np.array([task.view_of(sample) for sample in lacking])
            for view in np.unique(views).tolist():
                here = [sample for sample, own in zip(lacking, views, strict=True) if own == view]
                found[view].append(_evidence(judge.model, here, view, expected[view]))
        progress(f"samples with gaps, part {number + 1} of {len(judges)}", (number + 1) / len(judges))
    return found


def _evidence(model: Regressor, samples: Sequence[Sample], view: str, streams: Sequence[str]) -> Evidence:
    mean, scale = model.predict(samples, view)
    return Evidence(
        scores=(targets_of(samples) - mean) / scale,
        scale=scale,
        groups=tuple(str(sample.source.group) for sample in samples),
        patterns=tuple(pattern_of(sample, streams) for sample in samples),
    )
