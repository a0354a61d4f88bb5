"""The corruption suite on BROAD: the attitude filter, and the same without sensors named at fault, beside VQF.

Root mean squares of total and inclination, degrees, over what is scored of excerpts of one trial of every kind, whole
and with faults; settings and limits were learned without the kind. VQF is frozen
in a gyroscope's silence, and begun anew. `rise` is a fault's mean error over severities less the clean one.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.corruptions import CORRUPTIONS, NUM_SEVERITIES, corrupt
from mainstem.adapters.sensor_fusion.health import judge_health
from mainstem.adapters.sensor_fusion.health_acting import without_the_guilty
from mainstem.adapters.sensor_fusion.health_limits import stored_limits
from mainstem.adapters.sensor_fusion.names import SENSORS
from mainstem.adapters.sensor_fusion.rivals import follow_vqf
from mainstem.adapters.sensor_fusion.scoring import Trial, errors_of
from mainstem.adapters.sensor_fusion.settings import stored_settings
from mainstem.adapters.sensor_fusion.track import follow
from mainstem.adapters.sensor_fusion.trials import BROAD, read_trials

Array = NDArray[np.float64]
EXCERPT_S, SEED = 90.0, 1
FILTERS = ("filter", "acting", "vqf")
TOTAL, INCLINATION = 0, 2


def errors(samples: Array, trial: Trial) -> Array:
    """Errors (filters, 3) of a trial's samples."""
    settings = stored_settings(trial.kind)
    heard = without_the_guilty(samples, judge_health(samples, trial.steps_s, stored_limits(trial.kind)))
    tracks = (follow(samples, trial.steps_s, settings).quat, follow(heard, trial.steps_s, settings).quat)
    return np.array([errors_of(quat, trial) for quat in (*tracks, follow_vqf(samples, trial.rate_hz))])


def bench_corruptions(mirror: Path | None = None) -> dict[str, float]:
    """Figures by fault, severity and filter, a mean over sensors and trials."""
    firsts = {trial.kind: trial for trial in reversed(read_trials(BROAD, mirror)[0])}
    trials = [trial.excerpt(EXCERPT_S) for trial in firsts.values()]
    found: dict[str, float] = {}
    clean = np.mean([errors(trial.samples, trial) for trial in trials], axis=0)
    note(found, "clean", clean)
    for kind in CORRUPTIONS:
        table = np.empty((NUM_SEVERITIES, len(SENSORS), len(FILTERS), 3))
        for severity in range(1, NUM_SEVERITIES + 1):
            for sensor in range(len(SENSORS)):
                own = [errors(corrupt(trial, kind, sensor, severity, SEED).samples, trial) for trial in trials]
                table[severity - 1, sensor] = np.mean(own, axis=0)
            note(found, f"{kind}_{severity}", table[severity - 1].mean(0))
        for sensor, name in enumerate(SENSORS):
            note(found, f"{kind}_{name}_rise", table[:, sensor].mean(0) - clean)
    return found


def note(found: dict[str, float], what: str, told: Array) -> None:
    """Write errors (filters, 3) under names of their own."""
    for row, name in enumerate(FILTERS):
        found[f"{what}_{name}_total"] = float(told[row, TOTAL])
        found[f"{what}_{name}_inclination"] = float(told[row, INCLINATION])
