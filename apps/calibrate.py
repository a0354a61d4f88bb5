"""`mainstem calibrate`: restore an adapter's claim with the user's own labels."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.finetune import groups_in, read_record
from mainstem.core.artifact import FEWEST_FIELDS, load_artifact, recalibrated
from mainstem.core.calibration import IntervalCalibration, ShiftAlarm, cases_needed
from mainstem.core.errors import CalibrationError
from mainstem.core.files import write_atomically
from mainstem.core.means import Judged, calibrations, labels_by
from mainstem.core.regression import DataRequest, RegressionTask, targets_of

FEWEST_GROUPS = 2
LEAST_SLOPE = 0.05  # of local truth on what a model of simulations says; scales must stay positive
Array = NDArray[np.float64]


def calibrate(task: RegressionTask, run: Path, request: DataRequest, level: float = 0.9) -> dict[str, Any]:
    """Calibrate a run on labelled samples of groups that it was not trained on, in place and atomically.

    Raises:
        CalibrationError: if there are too few cases or groups; says how many are needed.
    """
    artifact, record = load_artifact(run, task.restore), read_record(run)
    source = task.read(request)
    trained = set(artifact.manifest.training["groups"])
    local = [sample for sample in source.unflagged() if str(sample.source.group) not in trained]
    groups = groups_in(local)
    if len(local) < cases_needed(level) or len(set(groups)) < FEWEST_GROUPS:
        raise CalibrationError(
            f"got {len(local)} labelled cases of {len(set(groups))} groups never trained on, want at least "
            f"{cases_needed(level)} of {FEWEST_GROUPS} for {level:.0%} coverage; add labels"
        )
    calibration: dict[str, IntervalCalibration] = {}
    alarm = dict(artifact.alarm)
    is_first_reality = artifact.manifest.simulated and not source.simulated
    num_places = len(set(labels_by(local, task.mean_of))) if task.mean_of else len(set(groups))
    if is_first_reality and num_places < FEWEST_FIELDS:
        raise CalibrationError(
            f"got {num_places} harvested fields, want at least {FEWEST_FIELDS}: the run was trained on simulations "
            "alone, and has to learn what they are worth on your land; add harvests"
        )
    for name, view in task.views.items():
        seen = [view(sample) for sample in local]
        mean, scale = artifact.regressor.predict(seen, name)
        if is_first_reality:
            mean, scale, adjust = adjusted(mean, scale, targets_of(local), groups)
            artifact = replace(artifact, regressor=replace(artifact.regressor, adjust=adjust))
        population = f"{source.name}, {len(local)} local samples"
        labels = labels_by(local, task.mean_of) if task.mean_of else None
        cases = Judged(truth=targets_of(local), mean=mean, scale=scale, groups=tuple(groups))
        calibration |= calibrations(name, cases, labels, population)
        if len(set(groups)) >= ShiftAlarm.FEWEST:
            alarm[name] = ShiftAlarm.fit(artifact.regressor.features(seen), groups)
    first = next(iter(task.views))
    before = _coverage(artifact.calibration[first], calibration[first], level)
    training = artifact.manifest.training
    more = {"training": {**training, "local_fields": num_places}} if is_first_reality else {}
    renewed = recalibrated(run, artifact, calibration, alarm, more)
    entry = {
        "data": source.name,
        "cases": len(local),
        "groups": sorted(set(groups)),
        "level": level,
        "coverage_before": before,
        "half_width_before": artifact.calibration[first].half_width(level),
        "half_width_after": calibration[first].half_width(level),
        "adapter_sha256": renewed.adapter_sha256,
    }
    record["calibrations"] = [*record.get("calibrations", []), entry]
    record["adapter_sha256"] = renewed.adapter_sha256
    write_atomically(run / "record.json", (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return entry


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


def _line(mean: Array, truth: Array) -> tuple[float, float]:
    spread = float(((mean - mean.mean()) ** 2).sum())
    slope = float(((mean - mean.mean()) * (truth - truth.mean())).sum()) / spread if spread > 0 else 0.0
    slope = max(slope, LEAST_SLOPE)
    return slope, float(truth.mean() - slope * mean.mean())


def _coverage(before: IntervalCalibration, local: IntervalCalibration, level: float) -> float:
    """Share of local cases that the old intervals covered."""
    return float((np.abs(local.scores) <= before.half_width(level)).mean())
