"""What regions and alarm are calibrated on: scores on groups never seen, later ones and samples with gaps too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.conformal import Calibration
from mainstem.core.fit import Fit, Judge
from mainstem.core.folds import groups_of, has_groups, season_in
from mainstem.core.gaps import drop_streams, expected_streams, pattern_of
from mainstem.core.lora import numbered
from mainstem.core.means import Judged, labels_by, mean_view, sizes_by
from mainstem.core.member import Ensemble, MemberFit
from mainstem.core.order import is_beyond, is_ordered, least_lead
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.quantiles import cases_needed
from mainstem.core.split import OFFICIAL, are_judged_together
from mainstem.core.stream import Sample
from mainstem.core.targets import Outputs, Target
from mainstem.core.task import FitConfig, Order, Recipe, Task

Array = NDArray[np.float64]
ORIGINS = 2  # from which later groups are predicted
FORWARD = 0.6  # of the time that calibration takes goes to the fits for them
MOST_DRAWN = 20_000  # samples with gaps, of each view
LEVEL = 0.9  # at which regions of views that show less are made no narrower


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Scores of one view's cases (cases,), with what calibration keeps apart."""

    scores: Array
    scale: Array
    groups: tuple[str, ...]
    patterns: tuple[str, ...]
    strata: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, target: Target, told: Outputs, truth: Array, groups: Sequence[str], patterns: Sequence[str]
    ) -> "Evidence":
        """Score what was told of cases; the parts of one that are told apart count as cases of its group.

        A part of which nothing is known has no score (NaN), and counts for nothing.
        """
        scores, strata = target.scores(told, truth), target.strata(truth)
        times = scores[0].size if len(scores) else 1
        known = ~np.isnan(scores.ravel())
        return cls(
            scores=scores.ravel()[known],
            scale=target.scale(told).ravel()[known],
            groups=tuple(compress((group for group in groups for _ in range(times)), known)),
            patterns=tuple(compress((pattern for pattern in patterns for _ in range(times)), known)),
            strata=None if strata is None else tuple(compress(strata, known)),
        )

    @classmethod
    def join(cls, parts: Sequence["Evidence"]) -> "Evidence":
        """Put several parts' cases together."""
        strata = [part.strata for part in parts if part.strata is not None]
        return cls(
            scores=np.concatenate([part.scores for part in parts]),
            scale=np.concatenate([part.scale for part in parts]),
            groups=tuple(group for part in parts for group in part.groups),
            patterns=tuple(pattern for part in parts for pattern in part.patterns),
            strata=tuple(name for part in strata for name in part) if strata else None,
        )

    def calibration(
        self, streams: Sequence[str], population: str, forward: tuple[str, ...], reach: float = 0.0
    ) -> Calibration:
        """Calibrate on these cases; `streams` are expected, `forward` groups were predicted from earlier ones alone.

        `reach` is the last group that may be claimed.
        """
        patterns = np.asarray(self.patterns)
        return Calibration(
            scores=self.scores,
            groups=self.groups,
            population=population,
            patterns=self.patterns,
            streams=tuple(streams),
            scale_of={str(name): float(self.scale[patterns == name].mean()) for name in np.unique(patterns)},
            forward=forward,
            reach=reach,
            strata=self.strata,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Certified:
    """What a fitted ensemble knows of itself, by view: calibration of regions (and of means), and alarm."""

    calibration: Mapping[str, Calibration]
    alarm: Mapping[str, ShiftAlarm]


def calibrate_fit(
    task: Task, samples: Sequence[Sample], fitted: Fit, recipe: Recipe, population: str, progress: Progress = silent
) -> Certified:
    """Calibrate each view on cases held out: as they are, with streams drawn to be missing, and of later groups.

    Where groups are asked for that are later than those of training, the later half is judged by members fitted on
    earlier groups alone (rolling origin: Tashman 2000, Out-of-sample tests of forecasting accuracy, section 3).
    """
    samples = fitted.ensemble.layout(samples)
    later = forward_judges(task, samples, fitted, recipe, part_of(progress, 0.0, FORWARD))
    ahead = np.concatenate([judge.rows for judge in later]) if later else np.empty(0, np.intp)
    within = [replace(judge, rows=np.setdiff1d(judge.rows, ahead)) for judge in fitted.judges()]
    gaps = part_of(progress, FORWARD, 1.0)
    evidence = _gap_evidence(task, samples, [*later, *within], recipe.config, gaps)
    about = _About.of(task, samples, later or later_part(task, samples, fitted), population)
    calibration: dict[str, Calibration] = {}
    alarm: dict[str, ShiftAlarm] = {}
    narrowest, everywhere = 0.0, places_of(task, samples)
    for view, found in fitted.judged.items():
        seen = [task.views[view](sample) for sample in samples]
        streams = () if task.drop is not None else expected_streams(seen)
        told = found.told
        for judge in later:
            told = _replaced(told, judge, view, seen)
        shown = [seen[row] for row in found.rows.tolist()]
        whole = Evidence.of(
            found.target, told, found.truth, found.groups, [pattern_of(sample, streams) for sample in shown]
        )
        one = about.on(Evidence.join([whole, *evidence[view]]), streams)
        calibration[view] = one.no_narrower_than(narrowest, LEVEL, float(whole.scale.mean()))
        narrowest = calibration[view].half_width(LEVEL) * float(whole.scale.mean())
        if task.grouping.mean_of:
            own = [samples[row] for row in found.rows.tolist()]
            cases = Judged(truth=found.truth, mean=told["mean"], scale=told["scale"], groups=found.groups)
            sizes = sizes_by(own, task.grouping.mean_of)
            calibration |= mean_calibration(view, cases, labels_by(own, task.grouping.mean_of), population, sizes=sizes)
        if ShiftAlarm.suffices(found.features, found.groups):
            places = [everywhere[row] for row in found.rows.tolist()]
            alarm[view] = ShiftAlarm.fit(
                found.features, found.groups, places, task.grouping.place_of, found.own_features
            )
    return Certified(calibration=calibration, alarm=alarm)


@dataclass(frozen=True, kw_only=True, eq=False)
class _About:
    """What calibrations of all views say of their cases alike."""

    task: Task
    samples: Sequence[Sample]
    population: str
    forward: tuple[str, ...]
    reach: float

    @classmethod
    def of(cls, task: Task, samples: Sequence[Sample], later: Sequence[Judge], population: str) -> "_About":
        ahead = [row for judge in later for row in judge.rows.tolist()]
        forward = tuple(sorted({str(samples[row].source.group) for row in ahead}))
        last = max((float(group) for group in forward), default=0.0)
        reach = last + max((judge.ahead for judge in later), default=0.0) if later else 0.0
        return cls(task=task, samples=samples, population=population, forward=forward, reach=reach)

    def on(self, evidence: Evidence, streams: Sequence[str]) -> Calibration:
        found = evidence.calibration(streams, self.population, self.forward, self.reach)
        return described(found, self.task, self.samples)


def described(calibration: Calibration, task: Task, samples: Sequence[Sample]) -> Calibration:
    """Return the calibration with what is to be said of its cases: what was held out, and in which seasons."""
    return replace(
        calibration,
        held=held_of(task, samples),
        season_of=task.grouping.season_of,
        seasons=seasons_of(task, samples),
        has_groups=has_groups(samples),
        only_of=samples[0].source.data if task.holding.only_same_data else "",
    )


def mean_calibration(
    view: str, cases: Judged, labels: Sequence[str], population: str, fewest_groups: int = 2, sizes: Sequence[int] = ()
) -> dict[str, Calibration]:
    """Calibrate the means of what belongs together, under the name of `mean_view`; nothing where there are too few.

    `sizes` say of how many samples, read or not, each one's label consists (`Judged.means_of_all`).
    """
    if not any(labels):
        return {}
    means = cases.means_of_all(labels, sizes)
    if len(set(means.groups)) < fewest_groups:
        return {}
    return {mean_view(view): means.calibration(f"{population}, means of {len(means.truth)}")}


def outgrown(means: Calibration, before: Calibration, after: Calibration, stretch: float = 1.0) -> Calibration:
    """Return the calibration of means for single samples whose own went `before` -> `after` without new means.

    Nobody knows what part of larger errors the samples of a mean share: they are taken to share all of it, which adds
    its square to that of the means' own. A mean errs no further than its samples do. Scales are `stretch` times as
    large as they were.
    """
    own, old, new = means.half_width(LEVEL), before.half_width(LEVEL), stretch * after.half_width(LEVEL)
    half = min(float(np.sqrt(own**2 + max(new**2 - old**2, 0.0))), new)
    return replace(means, scores=means.scores * half / (own * stretch))


def held_of(task: Task, samples: Sequence[Sample]) -> str:
    """What is held out whole: in words that say that it is simulated, where all of it is."""
    return f"simulated {task.grouping.name}s" if all(sample.source.simulated for sample in samples) else "groups"


def seasons_of(task: Task, samples: Sequence[Sample]) -> tuple[str, ...]:
    """The seasons that the samples name, where the task's groups are none."""
    return (
        tuple(sorted({season_in(sample, task.grouping.season_of) for sample in samples} - {""}))
        if task.grouping.season_of
        else ()
    )


def places_of(task: Task, samples: Sequence[Sample]) -> tuple[str, ...]:
    """The place of every sample, by which it recurs in other groups; "" where the task names none."""
    return labels_by(samples, task.grouping.place_of) if task.grouping.place_of else ("",) * len(samples)


def forward_judges(
    task: Task, samples: Sequence[Sample], fitted: Fit, recipe: Recipe, progress: Progress = silent
) -> list[Judge]:
    """Fit members on all groups before each of ORIGINS parts of the later half, to judge that part.

    None where groups have no order, or are too few to be calibrated on, or all members are judged on one part. What a
    member's parts are worth is learned from the earlier groups' out-of-fold judgements. Those were made by the folds'
    members, which had seen later groups too: two numbers between 0 and 1 may carry a trace of them. The part to be
    judged is otherwise unknown to its judge.
    """
    names = later_names(task, samples, recipe.order)
    if not names or are_judged_together(fitted.splits):
        return []
    labels = np.array(groups_of(samples))
    judges, base = [], None if recipe.base is None else recipe.base.shared()
    parts = np.array_split(np.array(names[len(names) // 2 :]), ORIGINS)
    maker = MemberFit(task=task, target=fitted.ensemble.target, config=recipe.config, order=recipe.order)
    maker = replace(maker, watch=recipe.watch)
    for index, part in enumerate(parts):
        is_before = np.isin(labels, names[: names.index(str(part[0]))])
        before = np.flatnonzero(is_before)
        known = task.forget([samples[row] for row in before.tolist()], frozenset(names) - set(labels[before].tolist()))
        seed = recipe.config.training.seed * 1000 + 500 + index  # folds are numbered from 0
        member = maker.seeded(seed)(known, base, numbered(index))
        ahead = least_lead(names, len(part))
        blend = {view: found.blend_on(is_before) for view, found in fitted.judged.items()}
        model = replace(fitted.ensemble.alone(member), blend=blend)
        judges.append(Judge(model=model, rows=np.flatnonzero(np.isin(labels, part)), ahead=ahead))
        progress(f"later groups, part {index + 1} of {ORIGINS}", (index + 1) / ORIGINS)
    return judges


def later_names(task: Task, samples: Sequence[Sample], order: Order) -> list[str]:
    """Return the groups in order, where later ones are asked for and there are enough to judge them; none else."""
    groups = groups_of(samples)
    names = sorted(set(groups), key=float) if is_ordered(groups) and not task.grouping.are_persons else []
    return names if order == "later" and len(names) >= cases_needed(LEVEL) else []


def later_part(task: Task, samples: Sequence[Sample], fitted: Fit) -> list[Judge]:
    """Return who judged groups of the data's calibrate part that are later than all that was trained on, if any are."""
    split, groups = fitted.splits[0], groups_of(samples)
    taught = {groups[row] for row in split.train.tolist()}
    later = {group for group in {groups[row] for row in split.calibrate.tolist()} if is_beyond(group, taught)}
    if split.judged_on != OFFICIAL or task.grouping.are_persons or not later:
        return []
    rows = np.array([row for row in split.calibrate.tolist() if groups[row] in later])
    return [Judge(model=fitted.ensemble, rows=rows, ahead=least_lead(taught | later, 1))]


def _replaced(told: Outputs, judge: Judge, view: str, seen: Sequence[Sample]) -> Outputs:
    """What is told of the cases, of the judge's rows by it."""
    own = judge.model.outputs([seen[row] for row in judge.rows], view)
    found = {name: values.copy() for name, values in told.items()}
    for name, values in found.items():
        values[judge.rows] = own[name]
    return found


def _gap_evidence(
    task: Task, samples: Sequence[Sample], judges: Sequence[Judge], config: FitConfig, progress: Progress
) -> dict[str, list[Evidence]]:
    """Scores of samples drawn with streams missing, by the view that what is left of them stands for."""
    found: dict[str, list[Evidence]] = {view: [] for view in task.views}
    if task.drop is not None or (task.optional is not None and not task.optional):
        return found
    expected = {view: expected_streams([show(sample) for sample in samples]) for view, show in task.views.items()}
    draws = int(np.clip(MOST_DRAWN // max(len(samples), 1), 1, config.num_gap_draws))
    labels = np.array(groups_of(samples))
    for number, judge in enumerate(judges):
        held, groups = [samples[row] for row in judge.rows.tolist()] * draws, np.tile(labels[judge.rows], draws)
        for index, show in enumerate(task.views.values()):
            seed = int(np.random.SeedSequence([config.training.seed, number, index]).generate_state(1)[0])
            lacking = drop_streams([show(sample) for sample in held], seed, optional=task.optional)
            views = np.array([task.view_of(sample) for sample in lacking])
            for view in np.unique(views).tolist():
                here = np.flatnonzero(views == view).tolist()
                shown = [lacking[row] for row in here]
                found[view].append(_evidence(judge.model, view, shown, groups[here].tolist(), expected[view]))
        progress(f"samples with gaps, part {number + 1} of {len(judges)}", (number + 1) / len(judges))
    return found


def _evidence(
    model: Ensemble, view: str, samples: Sequence[Sample], groups: Sequence[str], streams: Sequence[str]
) -> Evidence:
    patterns = [pattern_of(sample, streams) for sample in samples]
    return Evidence.of(model.target, model.outputs(samples, view), model.target.truth(samples), groups, patterns)
