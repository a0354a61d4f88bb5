"""From a fitted adapter to predictions: region, claim, reasons and origin for every sample.

`judge` is the one place that says what may be claimed: of single predictions, maps, evaluations and pages alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.batch_alarm import is_strange
from mainstem.core.conformal import Calibration
from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted
from mainstem.core.folds import season_in
from mainstem.core.gaps import patterns_in
from mainstem.core.manifest import FEWEST_PLACES, AdapterManifest
from mainstem.core.prediction import Claim, Prediction
from mainstem.core.stream import Provenance, Sample
from mainstem.core.targets import Outputs, Region

MOST_THRESHOLDS = 100  # each is a column, or a band of a map, which holds 1000 at most
Array = NDArray[np.float64]
ViewOf = Callable[[Sample], str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """What is told of samples of one view, the quantile of each one's region, and what each sample lacks.

    Quantiles are (cases,) or (cases, strata), NaN where a view was never calibrated.
    """

    outputs: Outputs
    quantile: Array
    patterns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What is told of samples of one view, and what may be claimed of each region."""

    told: Told
    claims: tuple[Claim, ...]


def judge(fitted: Fitted, samples: Sequence[Sample], view: str, level: float) -> Verdict:
    """Predict samples that show what a view shows, each with its region and what may be claimed of it.

    The claim of a group (a year, a site) is withdrawn where the shift alarm finds its inputs unlike those of
    calibration, that of a single sample where its own are. It is none for a group trained or calibrated on, for a
    sample outside the manifest's scope or unlike all that was trained on, for a real one by an adapter of simulations
    alone, and where calibration never saw what the sample lacks.
    """
    return Verdict(told=tell(fitted, samples, view, level), claims=claims_of(fitted, samples, view, level))


def tell(fitted: Fitted, samples: Sequence[Sample], view: str, level: float) -> Told:
    """Predict samples that show what a view shows, each with its region; nothing is claimed."""
    outputs, strata = fitted.outputs(samples, view), fitted.target.strata_names()
    calibration, patterns = fitted.calibration.get(view), patterns_of(fitted, samples, view)
    if calibration is None:
        quantile = np.full((len(samples), len(strata)) if strata else len(samples), np.nan)
    else:
        quantile = calibration.quantiles(level, patterns, strata)
    return Told(outputs=outputs, quantile=quantile, patterns=tuple(patterns))


def patterns_of(fitted: Fitted, samples: Sequence[Sample], view: str) -> list[str]:
    """What each sample lacks of the streams that calibration expects of the view."""
    calibration = fitted.calibration.get(view)
    return patterns_in(samples, calibration.streams if calibration else ())


def refusals(fitted: Fitted, samples: Sequence[Sample]) -> list[str]:
    """Say of each sample why it is not predicted, "" where it is: beyond scope, or unlike all that was trained on."""
    found = [_beyond_scope(fitted.manifest, sample) for sample in samples]
    inside = [row for row, reason in enumerate(found) if not reason]
    if not inside:
        return found
    scores = fitted.ensemble.strangeness([samples[row] for row in inside])
    for row, score in zip(inside, scores.tolist(), strict=True):
        if not score <= 1:
            found[row] = f"it is unlike all that was trained on: strangeness {score:.2f}, want 1 at most"
    return found


def _beyond_scope(manifest: AdapterManifest, sample: Sample) -> str:
    """Say why a sample is not predicted in the manifest's units, or return an empty string."""
    outside = outside_scope(manifest.scope, sample)
    if outside:
        return outside
    if not manifest.speaks_of(is_simulated=sample.source.simulated):
        return f"trained on simulations alone; first calibrate on {FEWEST_PLACES} real cases of your own"
    return ""


def outside_scope(scope: Mapping[str, Sequence[str]], sample: Sample) -> str:
    """Say which fact of the sample lies outside the scope, or return an empty string."""
    for name, allowed in scope.items():
        value = sample.source.facts.get(name)
        if str(value) not in allowed:
            told = "not told" if value is None else value
            return f"{name} is {told}, the adapter was trained on {', '.join(allowed)} alone"
    return ""


def claims_of(fitted: Fitted, samples: Sequence[Sample], view: str, level: float) -> tuple[Claim, ...]:
    """Return what may be claimed of each sample's interval."""
    calibration, alarm = fitted.calibration.get(view), fitted.alarm.get(view)
    if calibration is None:
        return (Claim(state="none", reason="never calibrated"),) * len(samples)
    features = fitted.ensemble.features(samples) if alarm else None
    own = fitted.ensemble.own_features(samples) if alarm else None
    alarms = _alarmed(alarm, features, samples, own)
    stated: dict[tuple[str, str, str, str], Claim] = {}
    found = []
    patterns, refused = patterns_of(fitted, samples, view), refusals(fitted, samples)
    for sample, pattern, alarmed, reason in zip(samples, patterns, alarms, refused, strict=True):
        season = season_in(sample, calibration.season_of)
        key = (pattern, sample.source.group or "", season, sample.source.data)
        if key not in stated:
            stated[key] = _stated(fitted, calibration, key, level)
        outside = Claim(state="none", reason=reason)
        found.append(outside if reason else _settled(fitted, sample, stated[key], alarmed))
    return tuple(found)


def _stated(fitted: Fitted, calibration: Calibration, key: tuple[str, str, str, str], level: float) -> Claim:
    """What calibration states of samples that lack what a pattern names, of a group, a season and a set of data."""
    pattern, group, season, data = key
    if calibration.only_of not in ("", data):
        return Claim(state="none", reason=f"regions were calibrated on groups of {calibration.only_of} alone")
    if not calibration.has_groups:
        return calibration.claim(level, pattern)
    written = fitted.manifest.keys(group)
    unjudged = calibration.unjudged(written, season, level)
    if unjudged:
        return Claim(state="none", reason=unjudged)
    return calibration.claim(level, pattern, written if calibration.is_later(written) else "")


def _settled(fitted: Fitted, sample: Sample, stated: Claim, alarmed: Claim | None) -> Claim:
    """The claim of one sample: what calibration states, unless something speaks against it."""
    if sample.source.group is None and _knows_groups(fitted):
        return Claim(state="none", reason="the sample names no group, so that nobody knows whether it was trained on")
    if fitted.taught.has_seen(sample):
        seen = sample.source.group or sample.source.item
        return Claim(state="none", reason=f"{seen} was trained or calibrated on: nothing new to claim")
    if stated.state != "stated" or alarmed is None:
        return stated
    return alarmed if alarmed.state == "none" else Claim(
        state=alarmed.state, population=stated.population, reason=alarmed.reason
    )  # fmt: skip


def _knows_groups(fitted: Fitted) -> bool:
    """True where any calibration is of named groups."""
    return any(known.has_groups for known in fitted.calibration.values())


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
    for group in np.unique(labels[labels != ""]).tolist():
        rows = np.flatnonzero((labels == group) & comparable)
        fired = alarm.fired(features[rows], [places[row] for row in rows])
        reason = f"the inputs of {group} are unlike those of the {alarm.num_groups} groups of calibration"
        for row in rows[fired].tolist():
            found[row] = Claim(state="withdrawn", reason=reason)
    alone = np.flatnonzero((labels == "") & comparable)
    if alarm.is_of_cases and is_strange(alarm.features, features[alone]):
        reason = f"these {len(alone)} cases together are unlike the {alarm.num_groups} cases of calibration"
        for row in alone.tolist():
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
    fitted: Fitted, samples: Sequence[Sample], view_of: ViewOf, level: float = 0.9, thresholds: Sequence[float] = ()
) -> list[Prediction]:
    """Predict every sample.

    A sample outside the manifest's scope, or unlike all of training, is not predicted, nor a real one by an adapter of
    simulations alone.

    Args:
        fitted: the fitted adapter.
        samples: any; a missing stream is missing.
        view_of: which view a sample's inputs stand for.
        level: nominal coverage of the regions, 0-1.
        thresholds: values whose probability of being undercut is wanted, as `probabilities["below 8"]`.

    Raises:
        InputError: if a threshold is no number, or given twice, or values have no order.
    """
    check_thresholds(thresholds)
    fitted.target.refuse_marks(thresholds)
    found: list[Prediction | None] = [None] * len(samples)
    inside: dict[str, list[int]] = {}
    for row, (sample, reason) in enumerate(zip(samples, refusals(fitted, samples), strict=True)):
        if reason:
            found[row] = _abstained(fitted, sample.source, level, reason)
        else:
            inside.setdefault(view_of(sample), []).append(row)
    for view, rows in inside.items():
        chosen = [samples[row] for row in rows]
        for row, prediction in zip(rows, _predict_view(fitted, chosen, view, level, thresholds), strict=True):
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


def unread_in(fitted: Fitted, refused: Mapping[str, str], level: float) -> list[Prediction]:
    """Return rows that name files which could not be read, and why."""
    return [
        _abstained(fitted, Provenance(data=name, item=PurePath(name).stem), level, f"could not be read: {why}")
        for name, why in refused.items()
    ]


def _abstained(fitted: Fitted, source: Provenance, level: float, reason: str) -> Prediction:
    return Prediction(
        value=None,
        region=None,
        level=level,
        units=fitted.manifest.units,
        claim=Claim(state="none", reason=reason),
        model=fitted.reference(),
        source=source,
        abstained=True,
        reasons=(reason,),
    )


def _predict_view(
    fitted: Fitted, samples: Sequence[Sample], view: str, level: float, thresholds: Sequence[float]
) -> list[Prediction]:
    verdict, target, calibration = judge(fitted, samples, view, level), fitted.target, fitted.calibration.get(view)
    told = verdict.told
    shares = target.probabilities(told.outputs, calibration, told.patterns, thresholds)
    regions: Sequence[Region | None] = [None] * len(samples)
    if calibration is not None:
        regions = target.noted(target.regions(told.outputs, told.quantile), calibration, level)
    reasons = (*_view_reasons(fitted, view), *(() if calibration is None else target.reasons(calibration, level)))
    model, predictions = fitted.reference(), []
    values = target.values(told.outputs)
    open_of = [""] * len(samples) if calibration is None else target.undecided(told.outputs, told.quantile)
    for row, (sample, claim, region) in enumerate(zip(samples, verdict.claims, regions, strict=True)):
        predictions.append(
            Prediction(
                value=None if open_of[row] else values[row],
                region=region,
                level=level,
                units=fitted.manifest.units,
                claim=claim,
                model=model,
                source=sample.source,
                abstained=bool(open_of[row]),
                reasons=tuple(filter(None, (open_of[row], *reasons, claim.reason))),
                probabilities={name: float(share[row]) for name, share in shares.items()},
            )
        )
    return predictions


def _view_reasons(fitted: Fitted, view: str) -> tuple[str, ...]:
    if fitted.manifest.training["adds"].get(view, True):
        return ()
    return ("these inputs added nothing out of fold: the value is what the past alone says",)
