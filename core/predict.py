"""From a fitted artefact to predictions: interval, claim, reasons and origin for every sample.

`judge` is the one place that says what may be claimed: of single predictions, maps, evaluations and pages alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.artifact import Artifact
from mainstem.core.class_artifact import ClassArtifact
from mainstem.core.errors import InputError
from mainstem.core.folds import season_in
from mainstem.core.gaps import named_parts, pattern_of, patterns_in
from mainstem.core.manifest import FEWEST_FIELDS, AdapterManifest
from mainstem.core.prediction import Claim, ClassSet, Interval, Prediction
from mainstem.core.quantiles import cases_needed
from mainstem.core.stream import Sample

MOST_THRESHOLDS = 100  # each is a column, or a band of a map, which holds 1000 at most
Array = NDArray[np.float64]
ViewOf = Callable[[Sample], str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """Mean and interval of samples of one view (cases,), within what is possible; NaN ends where never calibrated.

    `value` plus and minus `half` is what calibration knows, whether it is possible or not; `parts` is what the trunk
    alone, and the rest without it, would say; `patterns` what each sample lacks.
    """

    mean: Array
    low: Array
    high: Array
    value: Array
    half: Array
    scale: Array
    parts: Mapping[str, Array]
    patterns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What is told of samples of one view, and what may be claimed of each interval."""

    told: Told
    claims: tuple[Claim, ...]


def judge(artifact: Artifact, samples: Sequence[Sample], view: str, level: float) -> Verdict:
    """Predict samples that show what a view shows, each with its interval and what may be claimed of it.

    The claim of a group (a year, a site) is withdrawn where the shift alarm finds its inputs unlike those of
    calibration, that of a single sample where its own are. It is none for a group trained or calibrated on, for a
    sample outside the manifest's scope, for a real one by an adapter of simulations alone, and where calibration never
    saw what the sample lacks.
    """
    return Verdict(told=tell(artifact, samples, view, level), claims=claims_of(artifact, samples, view, level))


def tell(artifact: Artifact, samples: Sequence[Sample], view: str, level: float) -> Told:
    """Predict samples that show what a view shows, each with its interval; nothing is claimed."""
    value, scale, parts = artifact.regressor.predict_parts(samples, view)
    calibration, patterns = artifact.calibration.get(view), patterns_of(artifact, samples, view)
    half = np.full(len(samples), np.nan) if calibration is None else calibration.half_widths(level, patterns) * scale
    mean, low, high = artifact.manifest.bounds.interval(value, half)
    return Told(
        mean=mean, low=low, high=high, value=value, half=half, scale=scale, parts=parts, patterns=tuple(patterns)
    )


def chances_below(artifact: Artifact, told: Told, view: str, mark: float) -> Array:
    """Probability of each sample's lying below a mark (cases,), by the view's calibration."""
    found = artifact.calibration[view].probabilities_below(mark, told.value, told.scale, told.patterns)
    return artifact.manifest.bounds.chance_below(mark, found)


def patterns_of(artifact: Artifact, samples: Sequence[Sample], view: str) -> list[str]:
    """What each sample lacks of the streams that calibration expects of the view."""
    calibration = artifact.calibration.get(view)
    return patterns_in(samples, calibration.streams if calibration else ())


def refusal(manifest: AdapterManifest, sample: Sample) -> str:
    """Say why a sample is not predicted in the manifest's units, or return an empty string."""
    outside = outside_scope(manifest.scope, sample)
    if outside:
        return outside
    if not manifest.speaks_of(is_simulated=sample.source.simulated):
        return f"trained on simulations alone; first calibrate on {FEWEST_FIELDS} real cases of your own"
    return ""


def outside_scope(scope: Mapping[str, Sequence[str]], sample: Sample) -> str:
    """Say which fact of the sample lies outside the scope, or return an empty string."""
    for name, allowed in scope.items():
        value = sample.source.facts.get(name)
        if str(value) not in allowed:
            return f"{name} is {value}, the adapter was trained on {', '.join(allowed)} alone"
    return ""


def claims_of(artifact: Artifact, samples: Sequence[Sample], view: str, level: float) -> tuple[Claim, ...]:
    """Return what may be claimed of each sample's interval."""
    calibration, alarm = artifact.calibration.get(view), artifact.alarm.get(view)
    if calibration is None:
        return (Claim(state="none", reason="never calibrated"),) * len(samples)
    features = artifact.regressor.features(samples) if alarm else None
    own = artifact.regressor.own_features(samples) if alarm else None
    alarms = _alarmed(alarm, features, samples, own)
    stated: dict[tuple[str, str, str], Claim] = {}
    found = []
    for sample, pattern, alarmed in zip(samples, patterns_of(artifact, samples, view), alarms, strict=True):
        group = sample.source.group or ""
        season = season_in(sample, calibration.season_of)
        key = (pattern, group, season)
        if key not in stated:
            unjudged = calibration.unjudged(group, season, level)
            later = group if not unjudged and calibration.is_later(group) else ""
            stated[key] = Claim(state="none", reason=unjudged) if unjudged else calibration.claim(level, pattern, later)
        found.append(_settled(artifact, sample, stated[key], alarmed))
    return tuple(found)


def _settled(artifact: Artifact | ClassArtifact, sample: Sample, stated: Claim, alarmed: Claim | None) -> Claim:
    """The claim of one sample: what calibration states, unless something speaks against it."""
    refused = refusal(artifact.manifest, sample)
    if refused:
        return Claim(state="none", reason=refused)
    if sample.source.group is None:
        return Claim(state="none", reason="the sample names no group, so that nobody knows whether it was trained on")
    if artifact.taught.has_seen(sample):
        return Claim(state="none", reason=f"{sample.source.group} was trained or calibrated on: nothing new to claim")
    if stated.state != "stated" or alarmed is None:
        return stated
    return alarmed if alarmed.state == "none" else Claim(
        state=alarmed.state, population=stated.population, reason=alarmed.reason
    )  # fmt: skip


def _alarmed(
    alarm: ShiftAlarm | None, features: Array | None, samples: Sequence[Sample], own: Array | None = None
) -> list[Claim | None]:
    """What the alarm says against the claim of each sample, of its group or of itself; None where it is quiet."""
    found: list[Claim | None] = [None] * len(samples)
    if alarm is None or features is None:
        return found
    labels = np.array([sample.source.group or "" for sample in samples])
    places = [str(sample.source.facts.get(alarm.place_of, "")) for sample in samples]
    comparable = np.isfinite(features).any(1)
    for group in np.unique(labels).tolist():
        rows = np.flatnonzero((labels == group) & comparable)
        fired = alarm.fired(features[rows], [places[row] for row in rows])
        reason = f"the inputs of {group} are unlike those of the {alarm.num_groups} groups of calibration"
        for row in rows[fired].tolist():
            found[row] = Claim(state="withdrawn", reason=reason)
    strange = alarm.strange_samples(features, places, own)
    for row in np.flatnonzero(strange & np.array([claim is None for claim in found], bool)).tolist():
        found[row] = Claim(state="withdrawn", reason=_strange(alarm, samples[row].source.item, places[row]))
    for row in np.flatnonzero(~comparable).tolist():
        reason = f"nothing of {samples[row].source.item} can be compared with the cases of calibration"
        found[row] = Claim(state="none", reason=reason)
    return found


def _strange(alarm: ShiftAlarm, item: str, place: str) -> str:
    normal = f"what is normal at {place}" if alarm.knows(place) else "what is normal in calibration"
    return f"the inputs of {item} depart from {normal} further than {1 - alarm.SAMPLE_SHARE:.0%} of its cases do"


def predict(
    artifact: Artifact,
    samples: Sequence[Sample],
    view_of: ViewOf,
    level: float = 0.9,
    thresholds: Sequence[float] = (),
) -> list[Prediction]:
    """Predict every sample.

    A sample outside the manifest's scope is not predicted, nor a real one by an adapter of simulations alone.

    Args:
        artifact: the fitted adapter.
        samples: any; a missing stream is missing.
        view_of: which view a sample's inputs stand for.
        level: nominal coverage of the intervals, 0-1.
        thresholds: values whose probability of being undercut is wanted, as `probabilities["below 8"]`.

    Raises:
        InputError: if a threshold is no number, or given twice.
    """
    check_thresholds(thresholds)
    found: list[Prediction | None] = [None] * len(samples)
    inside: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        reason = refusal(artifact.manifest, sample)
        if reason:
            found[row] = _abstained(artifact, sample, level, artifact.manifest.units, reason)
        else:
            inside.setdefault(view_of(sample), []).append(row)
    for view, rows in inside.items():
        for row, prediction in zip(
            rows, _predict_view(artifact, [samples[row] for row in rows], view, level, thresholds), strict=True
        ):
            found[row] = prediction
    return [prediction for prediction in found if prediction is not None]


def check_thresholds(thresholds: Sequence[float]) -> None:
    """Check thresholds whose probability of being undercut is wanted.

    Raises:
        InputError: if one is no finite number or given twice, or there are too many.
    """
    if len(thresholds) > MOST_THRESHOLDS:
        raise InputError(f"got {len(thresholds)} thresholds (--below), want {MOST_THRESHOLDS} at most; leave some out")
    for index, mark in enumerate(thresholds):
        if not math.isfinite(mark):
            raise InputError(f"got the threshold {mark} (--below), want a finite number; leave it out")
        if mark in thresholds[:index]:
            raise InputError(f"got the threshold {mark:g} (--below) twice; give it once")


def below_name(mark: float) -> str:
    """What the probability of undercutting a threshold is called: "below 8", with as many digits as tell it apart."""
    return f"below {repr(float(mark)).removesuffix('.0')}"


def _abstained(artifact: Artifact | ClassArtifact, sample: Sample, level: float, units: str, reason: str) -> Prediction:
    return Prediction(
        value=None,
        region=None,
        level=level,
        units=units,
        claim=Claim(state="none", reason=reason),
        model=artifact.reference(),
        source=sample.source,
        abstained=True,
        reasons=(reason,),
    )


def _predict_view(
    artifact: Artifact, samples: Sequence[Sample], view: str, level: float, thresholds: Sequence[float]
) -> list[Prediction]:
    verdict, is_calibrated = judge(artifact, samples, view, level), view in artifact.calibration
    told, below = verdict.told, {}
    if is_calibrated:
        below = {below_name(mark): chances_below(artifact, told, view, mark) for mark in thresholds}
    model, predictions = artifact.reference(), []
    reasons = _view_reasons(artifact, view)
    for row, (sample, claim) in enumerate(zip(samples, verdict.claims, strict=True)):
        ends = Interval(low=float(told.low[row]), high=float(told.high[row])) if is_calibrated else None
        predictions.append(
            Prediction(
                value=float(told.mean[row]),
                region=ends,
                level=level,
                units=artifact.manifest.units,
                claim=claim,
                model=model,
                source=sample.source,
                reasons=(*reasons, *((claim.reason,) if claim.reason else ())),
                probabilities={name: float(shares[row]) for name, shares in below.items()},
            )
        )
    return predictions


def _view_reasons(artifact: Artifact, view: str) -> tuple[str, ...]:
    if artifact.manifest.training["adds"].get(view, artifact.manifest.gates[view] > 0):
        return ()
    return ("these inputs added nothing out of fold: the value is what the past alone says",)


def class_claims(
    artifact: ClassArtifact, samples: Sequence[Sample], features: Array | None, level: float
) -> tuple[Claim, ...]:
    """Return what may be claimed of each sample's class set: groups of the data it was calibrated on, and no others.

    Args:
        artifact: the fitted classifier.
        samples: any.
        features: what the shift alarm compares (samples, features); None where there is no alarm.
        level: nominal coverage.
    """
    data, count = artifact.manifest.training["data"], artifact.calibration.num_groups()
    stated = Claim(state="stated", population=f"{data}, {count} groups held out whole")
    if count < cases_needed(level):
        stated = Claim(
            state="none", reason=f"{count} groups of calibration, want {cases_needed(level)} for {level:.0%}"
        )
    elsewhere = Claim(state="none", reason=f"class sets were calibrated on groups of {data} alone")
    alarms = _alarmed(artifact.alarm, features, samples)
    expected = named_parts(artifact.classifier.layout.channels)
    found = []
    for sample, alarmed in zip(samples, alarms, strict=True):
        known, lacking = stated if sample.source.data == data else elsewhere, pattern_of(sample, expected)
        if lacking:
            known = Claim(state="none", reason=f"it lacks {lacking}, which training had")
        found.append(_settled(artifact, sample, known, alarmed))
    return tuple(found)


def predict_classes(artifact: ClassArtifact, samples: Sequence[Sample], level: float = 0.9) -> list[Prediction]:
    """Predict the class of every sample, with the set of classes that cannot be ruled out.

    A sample outside the manifest's scope is not predicted, nor a real one by an adapter of simulations alone.
    """
    refused = [refusal(artifact.manifest, sample) for sample in samples]
    taken = [sample for sample, reason in zip(samples, refused, strict=True) if not reason]
    predicted = iter(_predict_taken(artifact, taken, level) if taken else ())
    return [
        _abstained(artifact, sample, level, "class", reason) if reason else next(predicted)
        for sample, reason in zip(samples, refused, strict=True)
    ]


def _predict_taken(artifact: ClassArtifact, samples: Sequence[Sample], level: float) -> list[Prediction]:
    probabilities = artifact.classifier.probabilities(samples)
    sets = artifact.calibration.sets(probabilities, level)
    classes, model = artifact.manifest.classes, artifact.reference()
    thresholds = artifact.calibration.thresholds(level)
    rare = [name for name, least in zip(classes, thresholds.tolist(), strict=True) if least == 0]
    reasons = tuple(f"too few groups show {name} for it to be ruled out" for name in rare)
    claims = class_claims(artifact, samples, artifact.features(samples), level)
    found = []
    for sample, shares, inside, claim in zip(samples, probabilities, sets, claims, strict=True):
        order = np.argsort(-shares)
        found.append(
            Prediction(
                value=classes[order[0]],
                region=ClassSet(classes=tuple(classes[index] for index in order if inside[index])),
                level=level,
                units="class",
                claim=claim,
                model=model,
                source=sample.source,
                reasons=(*reasons, *((claim.reason,) if claim.reason else ())),
                probabilities={classes[index]: float(shares[index]) for index in order},
            )
        )
    return found
