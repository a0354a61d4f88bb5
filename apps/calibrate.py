"""`mainstem calibrate`: restore an adapter's claim with the user's own labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.apps.finetune import groups_in, read_record
from mainstem.core.artifact import load_artifact, recalibrated
from mainstem.core.calibration import IntervalCalibration, ShiftAlarm, cases_needed
from mainstem.core.errors import CalibrationError
from mainstem.core.files import write_atomically
from mainstem.core.means import Judged, calibrations, labels_by
from mainstem.core.regression import DataRequest, RegressionTask, targets_of

FEWEST_GROUPS = 2


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
    for name, view in task.views.items():
        seen = [view(sample) for sample in local]
        mean, scale = artifact.regressor.predict(seen, name)
        population = f"{source.name}, {len(local)} local samples"
        labels = labels_by(local, task.mean_of) if task.mean_of else None
        cases = Judged(truth=targets_of(local), mean=mean, scale=scale, groups=tuple(groups))
        calibration |= calibrations(name, cases, labels, population)
        if len(set(groups)) >= ShiftAlarm.FEWEST:
            alarm[name] = ShiftAlarm.fit(artifact.regressor.features(seen), groups)
    first = next(iter(task.views))
    before = _coverage(artifact.calibration[first], calibration[first], level)
    renewed = recalibrated(run, artifact, calibration, alarm)
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


def _coverage(before: IntervalCalibration, local: IntervalCalibration, level: float) -> float:
    """Share of local cases that the old intervals covered."""
    return float((np.abs(local.scores) <= before.half_width(level)).mean())
