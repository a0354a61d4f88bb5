"""`mainstem calibrate`: restore an adapter's claim with the user's own labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.sources import read_source
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.conformal import Calibration
from mainstem.core.errors import ArtifactError, CalibrationError, InputError
from mainstem.core.files import locked
from mainstem.core.fitted import Fitted, load_run, save_again
from mainstem.core.folds import has_groups, is_number
from mainstem.core.gaps import pattern_of
from mainstem.core.judging import LEVEL, Evidence, described, mean_calibration, outgrown, places_of
from mainstem.core.manifest import FEWEST_PLACES
from mainstem.core.means import Judged, errors_by_view, labels_by, mean_view, sizes_by
from mainstem.core.member import Ensemble
from mainstem.core.order import is_beyond, is_ordered, least_lead
from mainstem.core.quantiles import cases_needed
from mainstem.core.records import RECORD_FILE, read_record, write_json
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample, groups_by_data
from mainstem.core.targets import Blend, Outputs
from mainstem.core.task import DataRequest, Task
from mainstem.core.taught import prints_of

FEWEST_GROUPS = 2
LOCK, WAIT_S = ".calibrate.lock", 300.0  # how long a second call waits for the first
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CalibrationSpec:
    """How labels are used: added to what calibration knows or in its place, the last `window` groups (0: all)."""

    level: float = 0.9
    is_appended: bool = False
    window: int = 0


def calibrate(task: Task, run: Path, request: DataRequest, spec: CalibrationSpec | None = None) -> dict[str, Any]:
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


def _calibrate(task: Task, run: Path, request: DataRequest, spec: CalibrationSpec) -> dict[str, Any]:
    fitted, record = load_run(run, task), read_record(run)
    source = read_source(task, request)
    fitted.target.check_data(source)
    known_groups = {group for calibration in fitted.calibration.values() for group in calibration.groups or ()}
    local = _new_to(fitted, source, is_appended=spec.is_appended)
    if local:
        fitted.target.truth(local)  # what is impossible is refused before anything else is said
    _check(fitted, local, spec)
    groups = written_groups(fitted, local)
    _check_order(set(groups), known_groups, fitted.manifest.training["groups"], spec)
    places = labels_by(local, task.grouping.mean_of) if task.grouping.mean_of else groups
    num_places = len(set(places) - {""})
    is_first_reality = _is_first_reality(fitted, source, num_places, spec)
    known = Local(task=task, samples=local, groups=groups, population=f"{source.name}, {len(local)} local samples")
    learned = known.teach(fitted, spec, is_adjusted=is_first_reality)
    training = _training(fitted, local, num_places if is_first_reality else None)
    if not spec.is_appended:
        training |= known.errors_of_means(fitted, is_adjusted=is_first_reality)
    taught = fitted.taught.with_calibrated(training, prints_of(local, task.views.values()))
    learned = replace(learned, taught=taught)
    renewed = save_again(run, learned, {"training": training})
    entry = {
        "data": source.name,
        "cases": len(local),
        "groups": sorted(set(groups)),
        "level": spec.level,
        "appended": spec.is_appended,
        "window": spec.window,
        **known.compare(fitted, learned, spec.level),
        **known.left_out(fitted, is_adjusted=is_first_reality),
        "adapter_sha256": renewed.adapter_sha256,
    }
    record["calibrations"] = [*record.get("calibrations", []), entry]
    record["adapter_sha256"] = renewed.adapter_sha256
    write_json(run / RECORD_FILE, record)
    return entry


def _new_to(fitted: Fitted, source: SampleSet, *, is_appended: bool) -> list[Sample]:
    """Samples that the run was not trained on, whatever their data are called.

    Where labels taught the run what it says, those of groups calibrated before would be judged by themselves: they keep
    the errors that they had when their own labels were left out.
    """
    taught = fitted.taught
    found = [sample for sample in source.unflagged() if not taught.was_trained_on(sample)]
    has_line = any("slope" in blend for blend in fitted.ensemble.blend.values())
    if has_line and is_appended:
        found = [sample for sample in found if not taught.was_calibrated_on(sample)]
    if source.unflagged() and not found and has_line:
        raise CalibrationError("every labelled group taught this run before: it cannot judge it; give others")
    return found


def written_groups(fitted: Fitted, samples: Sequence[Sample]) -> tuple[str, ...]:
    """Groups of samples as the artefact writes them; where the data name none, each sample is one of its own."""
    if not has_groups(samples):
        return tuple(f"case of {sample.source.data}: {sample.source.item}" for sample in samples)
    return fitted.manifest.keys.each(sample.source.group for sample in samples)


def _check(fitted: Fitted, local: Sequence[Sample], spec: CalibrationSpec) -> None:
    groups = {sample.source.group for sample in local}
    nameless = sum(sample.source.group is None for sample in local)
    needs_groups = fitted.manifest.training.get("has_groups", True)
    if nameless and (needs_groups or nameless < len(local)):
        raise CalibrationError(
            f"{nameless} of {len(local)} labelled samples name no group, so that nobody knows which belong together; "
            "fill the column group"
        )
    if local and not needs_groups and not nameless and spec.is_appended:
        raise CalibrationError("the run knows no groups, these labels name some; leave --append out")
    needed, fewest = cases_needed(spec.level), 1 if spec.is_appended or not needs_groups else FEWEST_GROUPS
    if len(local) < needed or len(groups) < fewest:
        raise CalibrationError(
            f"got {len(local)} labelled cases of {len(groups)} groups never trained on, want at least "
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


def _is_first_reality(fitted: Fitted, source: SampleSet, num_places: int, spec: CalibrationSpec) -> bool:
    """True where real labels have to teach a model of simulations what it is worth; older simulated scores go then."""
    speaks = fitted.manifest.speaks_of(is_simulated=False)
    if source.simulated and speaks:
        raise CalibrationError(
            f"{source.name} is simulated, the run speaks of real data: simulated labels would earn it a real claim; "
            "give harvests"
        )
    if not fitted.manifest.simulated or source.simulated:
        return False
    if spec.is_appended and speaks:
        return False
    if num_places < FEWEST_PLACES:
        raise CalibrationError(
            f"got {num_places} harvested fields, want at least {FEWEST_PLACES}: the run was trained on simulations "
            "alone, and has to learn what they are worth on your land; add harvests"
        )
    if spec.is_appended:
        raise CalibrationError("the run knows simulations alone, which real harvests replace; leave --append out")
    return True


@dataclass(frozen=True, kw_only=True, eq=False)
class Local:
    """A user's labelled samples, with the group of each."""

    task: Task
    samples: Sequence[Sample]
    groups: tuple[str, ...]
    population: str

    def teach(self, fitted: Fitted, spec: CalibrationSpec, *, is_adjusted: bool = False) -> Fitted:
        """Return the artefact calibrated on the samples, not yet written."""
        truth = fitted.target.truth(self.samples)
        calibration: dict[str, Calibration] = {}
        blends = dict(fitted.ensemble.blend)
        narrowest = 0.0
        for view in self.task.views:
            told, blends[view] = self.judge(fitted.ensemble, view, truth, is_adjusted=is_adjusted)
            evidence = Evidence.of(
                fitted.target, told, truth, self.groups, self.patterns(view, fitted.calibration[view])
            )
            one = self.calibration(evidence, view, fitted, spec, is_adjusted=is_adjusted)
            kept = fitted.calibration[view].with_groups(one, spec.window) if spec.is_appended else one
            scale = float(evidence.scale.mean())
            calibration[view] = kept.no_narrower_than(narrowest, LEVEL, scale)
            narrowest = calibration[view].half_width(LEVEL) * scale
            if self.task.grouping.mean_of:
                taught = replace(fitted, ensemble=replace(fitted.ensemble, blend=blends), calibration=calibration)
                cases = Judged(truth=truth, mean=told["mean"], scale=told["scale"], groups=self.groups)
                calibration |= self.means(fitted, taught, view, cases, spec)
        ensemble = replace(fitted.ensemble, blend=blends)
        return replace(fitted, ensemble=ensemble, calibration=calibration, alarm=self.alarms(fitted, ensemble, spec))

    def judge(self, ensemble: Ensemble, view: str, truth: Array, *, is_adjusted: bool) -> tuple[Outputs, Blend]:
        """Predict the samples, adjusted to their truth (each group by the others) where that is asked for."""
        raw, blend = ensemble.raw([self.task.views[view](sample) for sample in self.samples]), ensemble.blend[view]
        if is_adjusted:
            return ensemble.target.learn_line(raw, blend, truth, self.groups)
        return ensemble.target.combine(raw, blend), blend

    def patterns(self, view: str, known: Calibration) -> tuple[str, ...]:
        """What each sample lacks of what training's had."""
        return tuple(pattern_of(self.task.views[view](sample), known.streams) for sample in self.samples)

    def calibration(
        self, evidence: Evidence, view: str, fitted: Fitted, spec: CalibrationSpec, *, is_adjusted: bool
    ) -> Calibration:
        """Calibrate on what was told of the samples; they are expected to have what training's had."""
        before = fitted.calibration[view]
        taught = {*fitted.manifest.training["groups"], *(before.groups if spec.is_appended else ())}
        new = () if is_adjusted else self.groups  # a line through the others knows later ones too
        later = tuple(sorted({group for group in new if is_beyond(group, taught)}))
        reach = max(map(float, later)) + least_lead({*taught, *self.groups}, 1) if later else 0.0
        found = evidence.calibration(before.streams, self.population, later, reach).knowing_gaps_of(before, LEVEL)
        return replace(described(found, self.task, self.samples), only_of=before.only_of)

    def means(
        self, fitted: Fitted, taught: Fitted, view: str, cases: Judged, spec: CalibrationSpec
    ) -> dict[str, Calibration]:
        """Calibrate the means of what belongs together; where there are too few, the old ones are widened.

        Added to, they keep their claim while single samples err no further than before; else they have none.
        """
        name, before = mean_view(view), fitted.calibration.get(mean_view(view))
        fewest = 1 if spec.is_appended else FEWEST_GROUPS
        labels = labels_by(self.samples, self.task.grouping.mean_of)
        sizes = sizes_by(self.samples, self.task.grouping.mean_of)
        found = mean_calibration(view, cases, labels, self.population, fewest, sizes)
        if before is None:
            return found
        if name in found:
            return {name: before.with_groups(found[name], spec.window)} if spec.is_appended else found
        old, new = fitted.calibration[view], taught.calibration[view]
        kept = outgrown(before, old, new, _stretch(fitted, taught, view))
        is_founded = spec.is_appended and new.half_width(LEVEL) <= old.half_width(LEVEL)
        part = self.task.grouping.mean_of
        reason = (
            f"the labels name no {part}s of {fewest} groups: intervals of a {part}'s mean are those of before, widened "
            f"as single samples' are; calibrate on labels that name their {part}"
        )
        return {name: kept if is_founded else replace(kept, unfounded=kept.unfounded or reason)}

    def compare(self, fitted: Fitted, learned: Fitted, level: float) -> dict[str, Any]:
        """Say how the regions of the fullest view did on the samples before they were known, and how they are now.

        Widths are of these samples on average, in the target's unit: of intervals from end to end.
        """
        view, target = self.task.first_view, fitted.target
        before, after = fitted.calibration[view], learned.calibration[view]
        truth, strata = target.truth(self.samples), target.strata_names()
        raw = fitted.ensemble.raw([self.task.views[view](sample) for sample in self.samples])
        old, new = (target.combine(raw, one.ensemble.blend[view]) for one in (fitted, learned))
        patterns = self.patterns(view, before)
        quantile = before.quantiles(level, patterns, strata)
        known = Evidence.of(target, old, truth, self.groups, patterns)
        p_value = before.residual_p_value(known.scores, known.groups, known.patterns)
        claim = after.claim(level)
        means = learned.calibration.get(mean_view(view))
        of_means = None if means is None else means.claim(level)
        return {
            "coverage_before": float(target.covered(old, truth, quantile).mean()),
            "residual_p_value": p_value,
            "has_moved": None if p_value is None else p_value <= ShiftAlarm.SHARE,
            "width_before": float(target.size(old, quantile).mean()),
            "width_after": float(target.size(new, after.quantiles(level, patterns, strata)).mean()),
            "claim": claim.state,
            "reason": claim.reason,
            **({} if of_means is None else {"means": {"state": of_means.state, "reason": of_means.reason}}),
        }

    def left_out(self, fitted: Fitted, *, is_adjusted: bool) -> dict[str, Any]:
        """Say how the means of what belongs together err, each predicted without its own group's labels.

        Those of the fullest view: how many, root mean squared error and bias, in the target's units. Nothing is said
        where the task has no means.
        """
        part, view = self.task.grouping.mean_of, self.task.first_view
        if not part:
            return {}
        truth = fitted.target.truth(self.samples)
        told, _ = self.judge(fitted.ensemble, view, truth, is_adjusted=is_adjusted)
        cases = Judged(truth=truth, mean=told["mean"], scale=told["scale"], groups=self.groups)
        found = cases.means(labels_by(self.samples, part))
        if not len(found.truth):
            return {}
        error = found.mean - found.truth
        rmse, bias = float(np.sqrt((error**2).mean())), float(error.mean())
        return {"left_out": {"of": part, "n": len(error), "rmse": rmse, "bias": bias}}

    def errors_of_means(self, fitted: Fitted, *, is_adjusted: bool) -> dict[str, Any]:
        """What a manifest says of the errors of means by view, each predicted without its own group's labels."""
        part, truth = self.task.grouping.mean_of, fitted.target.truth(self.samples)
        labels, found = labels_by(self.samples, part) if part else (), dict[str, Judged]()
        for view in self.task.views if any(labels) else ():
            told, _ = self.judge(fitted.ensemble, view, truth, is_adjusted=is_adjusted)
            cases = Judged(truth=truth, mean=told["mean"], scale=told["scale"], groups=self.groups)
            found[view] = cases.means_of_all(labels, sizes_by(self.samples, part))
        return errors_by_view(part, found)

    def alarms(self, fitted: Fitted, ensemble: Ensemble, spec: CalibrationSpec) -> dict[str, ShiftAlarm]:
        """The alarm of each view on the samples, or on them besides; an old one stays where they are too few."""
        alarm = dict(fitted.alarm)
        places = places_of(self.task, self.samples)
        for view, show in self.task.views.items():
            shown = [show(sample) for sample in self.samples]
            features, own = ensemble.features(shown), ensemble.own_features(shown)
            if spec.is_appended and view in alarm:
                alarm[view] = alarm[view].with_cases(features, self.groups, places, own)
            elif ShiftAlarm.suffices(features, self.groups):
                alarm[view] = ShiftAlarm.fit(features, self.groups, places, self.task.grouping.place_of, own)
        return alarm


def _training(fitted: Fitted, local: Sequence[Sample], num_fields: int | None) -> dict[str, Any]:
    """What the manifest says of training, with the groups calibrated on, by the data that they came from."""
    training: Mapping[str, Any] = fitted.manifest.training
    calibrated = {data: set(groups) for data, groups in training["calibrated"].items()}
    for data, groups in groups_by_data(local, fitted.manifest.keys).items():
        calibrated.setdefault(data, set()).update(groups)
    more = {} if num_fields is None else {"local_places": num_fields}
    return {**training, **more, "calibrated": {data: sorted(groups) for data, groups in calibrated.items()}}


def _stretch(fitted: Fitted, learned: Fitted, view: str) -> float:
    """How many times as large scales are as before labels taught another line."""
    before, after = (one.ensemble.blend[view].get("slope", 1.0) for one in (fitted, learned))
    return after / before
