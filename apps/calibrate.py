"""`mainstem calibrate`: restore an adapter's claim with the user's own labels."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.finetune import groups_in, read_record
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.artifact import Artifact, load_run, recalibrated
from mainstem.core.calibration import IntervalCalibration
from mainstem.core.errors import ArtifactError, CalibrationError, InputError
from mainstem.core.files import locked, write_atomically
from mainstem.core.folds import is_number, targets_of
from mainstem.core.gaps import pattern_of
from mainstem.core.judging import LEVEL, Evidence, held_of, mean_calibration, outgrown, places_of, seasons_of
from mainstem.core.manifest import FEWEST_FIELDS
from mainstem.core.means import Judged, labels_by, mean_view, sizes_by
from mainstem.core.order import is_beyond, is_ordered, least_lead
from mainstem.core.quantiles import cases_needed
from mainstem.core.regression import DataRequest, RegressionTask, Regressor, check_targets
from mainstem.core.stream import Sample, SampleSet, groups_by_data
from mainstem.core.taught import prints_of

FEWEST_GROUPS = 2
LOCK, WAIT_S = ".calibrate.lock", 300.0  # how long a second call waits for the first
LEAST_SLOPE = 0.05  # of local truth on what a model of simulations says; scales must stay positive
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CalibrationSpec:
    """How labels are used: added to what calibration knows or in its place, the last `window` groups (0: all)."""

    level: float = 0.9
    is_appended: bool = False
    window: int = 0


def calibrate(
    task: RegressionTask, run: Path, request: DataRequest, spec: CalibrationSpec | None = None
) -> dict[str, Any]:
    """Calibrate a run on labelled samples of groups that it was not trained on, in place and atomically.

    A second call waits for the first: each adds to what the other leaves.

    Raises:
        CalibrationError: if there are too few cases or groups; says how many are needed.
        ArtifactError: if the run cannot be written.
    """
    if not run.is_dir():
        raise InputError(f"{run} is no run folder; name what finetune --out wrote")
    try:
        with locked(run / LOCK, f"a calibration of {run}", wait_s=WAIT_S):
            return _calibrate(task, run, request, spec or CalibrationSpec())
    except OSError as error:
        raise ArtifactError(f"cannot write {run}: {error.strerror}; give it write permission, or copy it") from error


def _calibrate(task: RegressionTask, run: Path, request: DataRequest, spec: CalibrationSpec) -> dict[str, Any]:
    artifact, record = load_run(run, task), read_record(run)
    source = task.read(request)
    known_groups = {group for calibration in artifact.calibration.values() for group in calibration.groups or ()}
    local = _new_to(artifact, source, is_appended=spec.is_appended)
    check_targets(task, local)
    groups = tuple(groups_in(local))
    _check(local, known_groups, spec)
    _check_order(set(groups), known_groups, artifact.manifest.training["groups"], spec)
    places = labels_by(local, task.mean_of) if task.mean_of else groups
    num_places = len(set(places) - {""})
    is_first_reality = _is_first_reality(artifact, source, num_places, spec)
    known = Local(task=task, samples=local, groups=groups, population=f"{source.name}, {len(local)} local samples")
    learned = known.teach(artifact, spec, is_adjusted=is_first_reality)
    training = _training(artifact, local, num_places if is_first_reality else None)
    taught = artifact.taught.with_calibrated(training, prints_of(local, task.views.values()))
    learned = replace(learned, taught=taught)
    renewed = recalibrated(run, learned, learned.calibration, learned.alarm, {"training": training})
    entry = {
        "data": source.name,
        "cases": len(local),
        "groups": sorted(set(groups)),
        "level": spec.level,
        "appended": spec.is_appended,
        "window": spec.window,
        **known.compare(artifact, learned, spec.level),
        "adapter_sha256": renewed.adapter_sha256,
    }
    record["calibrations"] = [*record.get("calibrations", []), entry]
    record["adapter_sha256"] = renewed.adapter_sha256
    write_atomically(run / "record.json", (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return entry


def _new_to(artifact: Artifact, source: SampleSet, *, is_appended: bool) -> list[Sample]:
    """Samples that the run was not trained on, whatever their data are called.

    Where labels taught the run what it says, those of groups calibrated before would be judged by themselves: they keep
    the errors that they had when their own labels were left out.
    """
    taught = artifact.taught
    found = [sample for sample in source.unflagged() if not taught.was_trained_on(sample)]
    if artifact.regressor.adjust and is_appended:
        found = [sample for sample in found if not taught.was_calibrated_on(sample)]
    if source.unflagged() and not found and artifact.regressor.adjust:
        raise CalibrationError("every labelled group taught this run before: it cannot judge it; give others")
    return found


def _check(local: Sequence[Sample], known_groups: set[str], spec: CalibrationSpec) -> None:
    groups = groups_in(local)
    nameless = sum(sample.source.group is None for sample in local)
    if nameless:
        raise CalibrationError(
            f"{nameless} of {len(local)} labelled samples name no group, so that nobody knows which belong together; "
            "fill the column group"
        )
    needed = cases_needed(spec.level)
    if len(local) < needed or len(set(groups)) < (1 if spec.is_appended else FEWEST_GROUPS):
        raise CalibrationError(
            f"got {len(local)} labelled cases of {len(set(groups))} groups never trained on, want at least "
            f"{needed} of {FEWEST_GROUPS} for {spec.level:.0%} coverage; add labels"
        )
    if spec.window and not spec.is_appended:
        raise CalibrationError("got a window without --append, which alone adds to older groups; add --append")


def _check_order(groups: set[str], known: set[str], trained: Sequence[str], spec: CalibrationSpec) -> None:
    """Refuse groups that cannot be put in one order with those that have one, and a window that takes none of them."""
    others = [*(known if spec.is_appended else ()), *(trained if is_ordered(trained) else ())]
    numbers = sorted(name for name in {*groups, *others} if is_number(name))
    names = sorted({*groups, *others} - set(numbers))
    if numbers and names:
        raise CalibrationError(
            f"the groups mix numbers, as {numbers[0]}, and names, as {names[0]!r}: nobody knows which is later; "
            "name all alike"
        )
    if spec.window and names:
        raise CalibrationError("got a window of groups that are no numbers, so that none is the last; leave it out")
    last = sorted({*groups, *others}, key=float)[-spec.window :] if spec.window else []
    if spec.window and not groups & set(last):
        raise CalibrationError(
            f"the last {spec.window} groups of all are {last[0]} to {last[-1]}, and none of these labels is of them; "
            "give later labels, or a larger window"
        )


def _is_first_reality(artifact: Artifact, source: SampleSet, num_places: int, spec: CalibrationSpec) -> bool:
    """True where real labels have to teach a model of simulations what it is worth; older simulated scores go then."""
    speaks = artifact.manifest.speaks_of(is_simulated=False)
    if source.simulated and speaks:
        raise CalibrationError(
            f"{source.name} is simulated, the run speaks of real data: simulated labels would earn it a real claim; "
            "give harvests"
        )
    if not artifact.manifest.simulated or source.simulated:
        return False
    if spec.is_appended and speaks:
        return False
    if num_places < FEWEST_FIELDS:
        raise CalibrationError(
            f"got {num_places} harvested fields, want at least {FEWEST_FIELDS}: the run was trained on simulations "
            "alone, and has to learn what they are worth on your land; add harvests"
        )
    if spec.is_appended:
        raise CalibrationError("the run knows simulations alone, which real harvests replace; leave --append out")
    return True


@dataclass(frozen=True, kw_only=True, eq=False)
class Local:
    """A user's labelled samples, with the group of each."""

    task: RegressionTask
    samples: Sequence[Sample]
    groups: tuple[str, ...]
    population: str

    def teach(self, artifact: Artifact, spec: CalibrationSpec, *, is_adjusted: bool = False) -> Artifact:
        """Return the artefact calibrated on the samples, not yet written."""
        regressor = artifact.regressor.unadjusted() if is_adjusted else artifact.regressor
        calibration: dict[str, IntervalCalibration] = {}
        adjust = dict(regressor.adjust)
        narrowest = 0.0
        for view in self.task.views:
            told, found = self.judge(regressor, view, is_adjusted=is_adjusted)
            adjust |= found
            one = self.calibration(told, view, artifact, spec, is_adjusted=is_adjusted)
            kept = artifact.calibration[view].with_groups(one, spec.window) if spec.is_appended else one
            calibration[view] = kept.no_narrower_than(narrowest, LEVEL, float(told.scale.mean()))
            narrowest = calibration[view].half_width(LEVEL) * float(told.scale.mean())
            if self.task.mean_of:
                taught = replace(artifact, regressor=replace(regressor, adjust=adjust), calibration=calibration)
                calibration |= self.means(artifact, taught, view, told, spec)
        learned = replace(
            artifact,
            regressor=replace(regressor, adjust=adjust),
            calibration=calibration,
            alarm=self.alarms(artifact, regressor, spec),
        )
        return learned

    def judge(
        self, regressor: Regressor, view: str, *, is_adjusted: bool
    ) -> tuple[Judged, dict[str, tuple[float, float]]]:
        """Predict the samples, adjusted to their truth (each group by the others) where that is asked for."""
        truth = targets_of(self.samples)
        mean, scale = regressor.predict([self.task.views[view](sample) for sample in self.samples], view)
        found: dict[str, tuple[float, float]] = {}
        if is_adjusted:
            mean, scale, found[view] = adjusted(mean, scale, truth, self.groups)
        return Judged(truth=truth, mean=mean, scale=scale, groups=self.groups), found

    def patterns(self, view: str, known: IntervalCalibration) -> tuple[str, ...]:
        """What each sample lacks of what training's had."""
        return tuple(pattern_of(self.task.views[view](sample), known.streams) for sample in self.samples)

    def calibration(
        self, told: Judged, view: str, artifact: Artifact, spec: CalibrationSpec, *, is_adjusted: bool
    ) -> IntervalCalibration:
        """Calibrate on what was told of the samples; they are expected to have what training's had."""
        before = artifact.calibration[view]
        evidence = Evidence(
            scores=(told.truth - told.mean) / told.scale,
            scale=told.scale,
            groups=told.groups,
            patterns=self.patterns(view, before),
        )
        taught = {*artifact.manifest.training["groups"], *(before.groups if spec.is_appended else ())}
        later = () if is_adjusted else self.later_than(taught)  # a line through the others knows later ones too
        reach = max(map(float, later)) + least_lead({*taught, *self.groups}, 1) if later else 0.0
        found = evidence.calibration(before.streams, self.population, later, reach).knowing_gaps_of(before, LEVEL)
        return replace(
            found,
            held=held_of(self.task, self.samples),
            season_of=self.task.season_of,
            seasons=seasons_of(self.task, self.samples),
        )

    def later_than(self, taught: Collection[str]) -> tuple[str, ...]:
        """The groups that are later than all of those that taught the model."""
        return tuple(sorted(group for group in set(self.groups) if is_beyond(group, taught)))

    def means(
        self, artifact: Artifact, taught: Artifact, view: str, told: Judged, spec: CalibrationSpec
    ) -> dict[str, IntervalCalibration]:
        """Calibrate the means of what belongs together; where there are too few, the old ones are widened.

        Added to, they keep their claim while single samples err no further than before; else they have none.
        """
        name, before = mean_view(view), artifact.calibration.get(mean_view(view))
        fewest = 1 if spec.is_appended else FEWEST_GROUPS
        labels = labels_by(self.samples, self.task.mean_of)
        sizes = sizes_by(self.samples, self.task.mean_of)
        found = mean_calibration(view, told, labels, self.population, fewest, sizes)
        if before is None:
            return found
        if name in found:
            return {name: before.with_groups(found[name], spec.window)} if spec.is_appended else found
        old, new = artifact.calibration[view], taught.calibration[view]
        kept = outgrown(before, old, new, _stretch(artifact, taught, view))
        is_founded = spec.is_appended and new.half_width(LEVEL) <= old.half_width(LEVEL)
        part = self.task.mean_of
        reason = (
            f"the labels name no {part}s of {fewest} groups: intervals of a {part}'s mean are those of before, widened "
            f"as single samples' are; calibrate on labels that name their {part}"
        )
        return {name: kept if is_founded else replace(kept, unfounded=kept.unfounded or reason)}

    def compare(self, artifact: Artifact, learned: Artifact, level: float) -> dict[str, Any]:
        """Say how the intervals of the fullest view did on the samples before they were known, and how they are now.

        Half widths are of these samples on average, in the target's unit.
        """
        view = next(iter(self.task.views))
        before, after = artifact.calibration[view], learned.calibration[view]
        old, _ = self.judge(artifact.regressor, view, is_adjusted=False)
        patterns = self.patterns(view, before)
        half = before.half_widths(level, patterns) * old.scale
        p_value = before.residual_p_value((old.truth - old.mean) / old.scale, self.groups, patterns)
        claim = after.claim(level)
        means = learned.calibration.get(mean_view(view))
        of_means = None if means is None else means.claim(level)
        return {
            "coverage_before": float((np.abs(old.truth - old.mean) <= half).mean()),
            "residual_p_value": p_value,
            "has_moved": None if p_value is None else p_value <= ShiftAlarm.SHARE,
            "half_width_before": float(half.mean()),
            "half_width_after": float(
                (after.half_widths(level, patterns) * old.scale).mean() * _stretch(artifact, learned, view)
            ),
            "claim": claim.state,
            "reason": claim.reason,
            **({} if of_means is None else {"means": {"state": of_means.state, "reason": of_means.reason}}),
        }

    def alarms(self, artifact: Artifact, regressor: Regressor, spec: CalibrationSpec) -> dict[str, ShiftAlarm]:
        """The alarm of each view on the samples, or on them besides; an old one stays where they are too few."""
        alarm = dict(artifact.alarm)
        places = places_of(self.task, self.samples)
        for view, show in self.task.views.items():
            shown = [show(sample) for sample in self.samples]
            features, own = regressor.features(shown), regressor.own_features(shown)
            if spec.is_appended and view in alarm:
                alarm[view] = alarm[view].with_cases(features, self.groups, places, own)
            elif ShiftAlarm.suffices(features, self.groups):
                alarm[view] = ShiftAlarm.fit(features, self.groups, places, self.task.place_of, own)
        return alarm


def _training(artifact: Artifact, local: Sequence[Sample], num_fields: int | None) -> dict[str, Any]:
    """What the manifest says of training, with the groups calibrated on, by the data that they came from."""
    training: Mapping[str, Any] = artifact.manifest.training
    calibrated = {data: set(groups) for data, groups in training["calibrated"].items()}
    for data, groups in groups_by_data(local).items():
        calibrated.setdefault(data, set()).update(groups)
    more = {} if num_fields is None else {"local_fields": num_fields}
    return {**training, **more, "calibrated": {data: sorted(groups) for data, groups in calibrated.items()}}


def adjusted(
    mean: Array, scale: Array, truth: Array, groups: Sequence[str]
) -> tuple[Array, Array, tuple[float, float]]:
    """Fit truth = slope x mean + intercept; means and scales (cases,) are those fitted without each case's own group.

    A slope below LEAST_SLOPE says that the model is worth next to nothing there; it becomes LEAST_SLOPE.
    """
    labels = np.asarray(groups)
    told, width = np.empty_like(mean), np.empty_like(scale)
    for group in np.unique(labels):
        held = labels == group
        slope, intercept = _line(mean[~held], truth[~held])
        told[held], width[held] = slope * mean[held] + intercept, slope * scale[held]
    slope, intercept = _line(mean, truth)
    return told, width, (slope, intercept)


def _stretch(artifact: Artifact, learned: Artifact, view: str) -> float:
    """How many times as large scales are as before labels taught another line."""
    before, after = (one.regressor.adjust.get(view, (1.0, 0.0))[0] for one in (artifact, learned))
    return after / before


def _line(mean: Array, truth: Array) -> tuple[float, float]:
    spread = float(((mean - mean.mean()) ** 2).sum())
    slope = float(((mean - mean.mean()) * (truth - truth.mean())).sum()) / spread if spread > 0 else 0.0
    slope = max(slope, LEAST_SLOPE)
    return slope, float(truth.mean() - slope * mean.mean())
