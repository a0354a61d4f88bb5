"""What the diagnostics adapters that come with the package say of a study: each is asked, and answers or refuses."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters import load_adapter_module, own_adapters, shipped_runs
from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.heatmaps import heatmap
from mainstem.core.predict import outside_scope, predict
from mainstem.core.prediction import Claim, Prediction
from mainstem.core.stream import Provenance, Sample
from mainstem.core.task import Task

ADAPTER = "diagnostics"
LEVEL = 0.9
IMAGE = "image"  # the stream of every task
NOTHING = ("normal", "no finding")


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What a model says: its prediction as JSON, and a mask (z, y, x) or a heatmap on the task's grid (y, x) of it."""

    told: dict[str, Any]
    title: str = ""
    names: tuple[str, ...] = ()
    mask: NDArray[np.uint8] | None = None
    heat: NDArray[np.uint8] | None = None


@cache
def models() -> Mapping[str, tuple[Task, Fitted]]:
    """The tasks of the adapter that a run ships for, by name, each loaded once."""
    if ADAPTER not in own_adapters():
        return {}
    tasks: Mapping[str, Task] = load_adapter_module(ADAPTER).TASKS
    runs = shipped_runs(ADAPTER)
    return {name: (task, load_run(runs[name], task)) for name, task in tasks.items() if name in runs}


def within_scope(name: str, sample: Sample | InputError) -> Sample | InputError:
    """A sample for a task; where its facts lie outside the scope of the task's model, why, and no pixels."""
    if isinstance(sample, InputError) or name not in models():
        return sample
    outside = outside_scope(models()[name][1].manifest.scope, sample)
    return InputError(outside) if outside else sample


def ask_all(studies: Sequence[Mapping[str, Sample | InputError]]) -> list[list[Said]]:
    """Ask every model about all studies at once, for they are judged together; a task with no sample says why."""
    said = {
        name: iter(ask(task, fitted, [samples[name] for samples in studies if name in samples]))
        for name, (task, fitted) in models().items()
    }
    return [[next(said[name]) for name in samples if name in said] for samples in studies]


def ask(task: Task, fitted: Fitted, samples: Sequence[Sample | InputError]) -> list[Said]:
    """Return what one model says of samples, and what it lays over each."""
    given = [sample for sample in samples if isinstance(sample, Sample)]
    found = iter(predict(fitted, given, task.view_of, LEVEL) if given else ())
    return [
        _said(task, fitted, sample, next(found))
        if isinstance(sample, Sample)
        else Said(told=_told(fitted, _refused(fitted, str(sample))))
        for sample in samples
    ]


def _said(task: Task, fitted: Fitted, sample: Sample, found: Prediction) -> Said:
    told, names = _told(fitted, found), tuple(map(str, fitted.target.facts()["names"]))
    labels = getattr(found.region, "labels", None)
    if labels is not None:
        sides = next(iter(sample.streams.values())).values.shape[-3:]
        mask = np.maximum(labels[tuple(slice(0, side) for side in sides)], 0).astype(np.uint8)
        return Said(told=told, title=f"{task.task} mask", names=names, mask=mask)
    if not found.probabilities or sample.streams[IMAGE].kind != "image":
        return Said(told=told)
    looked_for = max(names[-len(found.probabilities) :], key=lambda name: _chance(found, name))
    heat = np.maximum(heatmap(fitted, sample, IMAGE, names.index(looked_for)), 0)
    scaled = np.round(255 * heat / max(float(heat.max()), 1e-12)).astype(np.uint8)
    return Said(told=told, title=f"where the trunk looked for {looked_for.lower()} (no evidence)", heat=scaled)


def _chance(found: Prediction, name: str) -> float:
    """Probability of a finding; that nothing is found is none."""
    return -1.0 if name in NOTHING else found.probabilities.get(name, 0.0)


def _told(fitted: Fitted, found: Prediction) -> dict[str, Any]:
    """A prediction as JSON, with what the store and the page say of its model besides."""
    return {
        **found.to_dict(),
        "calibration_sha256": calibration_sha256(fitted),
        "trained_on_simulations": fitted.manifest.simulated,
    }


def _refused(fitted: Fitted, reason: str) -> Prediction:
    return Prediction(
        value=None, region=None, level=LEVEL, units=fitted.manifest.units, abstained=True, reasons=(reason,),
        claim=Claim(state="none", reason=reason), model=fitted.reference(), source=Provenance(data="", item=""),
    )  # fmt: skip


def calibration_sha256(fitted: Fitted) -> str | None:
    """Hash of what claims rest on, in words and numbers; None where the model never was calibrated."""
    if not fitted.calibration:
        return None
    digest = hashlib.sha256()
    for view, calibration in sorted(fitted.calibration.items()):
        plain, arrays = calibration.state()
        digest.update(json.dumps([view, plain], sort_keys=True, default=str).encode())
        for name, values in sorted(arrays.items()):
            digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
