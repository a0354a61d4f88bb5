"""From a fitted artefact to predictions: interval, claim, reasons and origin for every sample."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mainstem.core.artifact import FEWEST_FIELDS, Artifact
from mainstem.core.class_artifact import ClassArtifact
from mainstem.core.errors import CalibrationError
from mainstem.core.prediction import Claim, ClassSet, Interval, Prediction
from mainstem.core.stream import Sample

ViewOf = Callable[[Sample], str]


def predict(
    artifact: Artifact,
    samples: Sequence[Sample],
    view_of: ViewOf,
    level: float = 0.9,
    thresholds: Sequence[float] = (),
) -> list[Prediction]:
    """Predict every sample.

    A sample outside the manifest's scope is not predicted, nor a real one by an adapter of simulations
    alone. The claim of a group (a year, a site) is withdrawn where the shift alarm finds its inputs unlike those of all
    calibration groups.

    Args:
        artifact: the fitted adapter.
        samples: any; a missing stream is missing.
        view_of: which view a sample's inputs stand for.
        level: nominal coverage of the intervals, 0-1.
        thresholds: values whose probability of being undercut is wanted, as `probabilities["below 8"]`.
    """
    found: list[Prediction | None] = [None] * len(samples)
    inside: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        reason = outside_scope(artifact.manifest.scope, sample) or _unearned(artifact, sample)
        if reason:
            found[row] = _abstained(artifact, sample, level, reason)
        else:
            inside.setdefault(view_of(sample), []).append(row)
    for view, rows in inside.items():
        for row, prediction in zip(
            rows, _predict_view(artifact, [samples[row] for row in rows], view, level, thresholds), strict=True
        ):
            found[row] = prediction
    return [prediction for prediction in found if prediction is not None]


def outside_scope(scope: Mapping[str, Sequence[str]], sample: Sample) -> str:
    """Say which fact of the sample lies outside the scope, or return an empty string."""
    for name, allowed in scope.items():
        value = sample.source.facts.get(name)
        if str(value) not in allowed:
            return f"{name} is {value}, the adapter was trained on {', '.join(allowed)} alone"
    return ""


def _unearned(artifact: Artifact, sample: Sample) -> str:
    """Say that an adapter of simulations has to be calibrated first, or return an empty string."""
    if artifact.speaks_of(is_simulated=sample.source.simulated):
        return ""
    return f"trained on simulations alone; first calibrate on {FEWEST_FIELDS} real cases of your own"


def _abstained(artifact: Artifact, sample: Sample, level: float, reason: str) -> Prediction:
    return Prediction(
        value=None,
        region=None,
        level=level,
        units=artifact.manifest.units,
        claim=Claim(state="none", reason=reason),
        model=artifact.reference(),
        source=sample.source,
        abstained=True,
        reasons=(reason,),
    )


def _predict_view(
    artifact: Artifact, samples: Sequence[Sample], view: str, level: float, thresholds: Sequence[float]
) -> list[Prediction]:
    mean, scale = artifact.regressor.predict(samples, view)
    calibration = artifact.calibration.get(view)
    claims = group_claims(artifact, samples, view, level)
    half = None if calibration is None else calibration.half_width(level)
    model, predictions = artifact.reference(), []
    reasons = _view_reasons(artifact, view)
    for sample, value, spread in zip(samples, mean.tolist(), scale.tolist(), strict=True):
        claim = claims[sample.source.group or ""]
        region = None if half is None else Interval(low=value - half * spread, high=value + half * spread)
        below = {}
        if calibration is not None:
            below = {f"below {mark:g}": calibration.probability_below(mark, value, spread) for mark in thresholds}
        predictions.append(
            Prediction(
                value=value,
                region=region,
                level=level,
                units=artifact.manifest.units,
                claim=claim,
                model=model,
                source=sample.source,
                reasons=(*reasons, *((claim.reason,) if claim.reason else ())),
                probabilities=below,
            )
        )
    return predictions


def _view_reasons(artifact: Artifact, view: str) -> tuple[str, ...]:
    if artifact.manifest.gates[view] > 0:
        return ()
    return ("these inputs added nothing out of fold: the value is what the past alone says",)


def group_claims(artifact: Artifact, samples: Sequence[Sample], view: str, level: float) -> dict[str, Claim]:
    """Return each group's claim: stated, or withdrawn by the shift alarm."""
    calibration, alarm = artifact.calibration.get(view), artifact.alarm.get(view)
    groups = np.array([sample.source.group or "" for sample in samples])
    if calibration is None:
        return {str(group): Claim(state="none", reason="never calibrated") for group in np.unique(groups)}
    try:
        stated = calibration.claim(level)
    except CalibrationError as error:
        return {str(group): Claim(state="none", reason=str(error)) for group in np.unique(groups)}
    if alarm is None or stated.state != "stated":
        return {str(group): stated for group in np.unique(groups)}
    features = artifact.regressor.features(samples)
    claims = {}
    for group in np.unique(groups):
        fired = str(group) not in (calibration.groups or ()) and alarm.fires(features[groups == group])
        reason = f"the inputs of {group} are unlike those of the {len(alarm.means)} groups of calibration"
        claims[str(group)] = Claim(state="withdrawn", population=stated.population, reason=reason) if fired else stated
    return claims


def predict_classes(artifact: ClassArtifact, samples: Sequence[Sample], level: float = 0.9) -> list[Prediction]:
    """Predict the class of every sample, with the set of classes that cannot be ruled out."""
    probabilities = artifact.classifier.probabilities(samples)
    sets = artifact.calibration.sets(probabilities, level)
    classes, model = artifact.manifest.classes, artifact.reference()
    thresholds = artifact.calibration.thresholds(level)
    rare = [name for name, least in zip(classes, thresholds.tolist(), strict=True) if least == 0]
    reasons = tuple(f"{name} had too few cases to be ruled out" for name in rare)
    training = artifact.manifest.training
    stated = Claim(state="stated", population=f"{training['data']}, {len(training['groups'])} groups held out whole")
    elsewhere = Claim(state="none", reason=f"class sets were calibrated on {training['data']} alone")
    found = []
    for sample, shares, inside in zip(samples, probabilities, sets, strict=True):
        order = np.argsort(-shares)
        found.append(
            Prediction(
                value=classes[order[0]],
                region=ClassSet(classes=tuple(classes[index] for index in order if inside[index])),
                level=level,
                units="class",
                claim=stated if sample.source.data == training["data"] else elsewhere,
                model=model,
                source=sample.source,
                reasons=reasons,
                probabilities={classes[index]: float(shares[index]) for index in order},
            )
        )
    return found
