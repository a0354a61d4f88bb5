"""What the adapters that come with the package, and read studies, say of one: each is asked, and answers or refuses."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters import find_task, load_adapter_module, own_adapters, shipped_runs
from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.heatmaps import heatmap
from mainstem.core.predict import outside_scope, predict
from mainstem.core.prediction import Claim, Prediction
from mainstem.core.stream import Provenance, Sample
from mainstem.core.task import Task
from mainstem.data.medical.axes import as_stored
from mainstem.data.medical.studies import SampleOf, is_nothing

LEVEL = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What a model says: its prediction as JSON, and a mask (z, y, x) or a heatmap on the task's grid (y, x) of it."""

    told: dict[str, Any]
    title: str = ""
    names: tuple[str, ...] = ()
    mask: NDArray[np.uint8] | None = None
    heat: NDArray[np.uint8] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A task with its fit, and how a study becomes what it is given."""

    task: Task
    fitted: Fitted
    sample_of: SampleOf


@cache
def models() -> Mapping[str, Model]:
    """The tasks by name, each loaded once, of which an adapter's SAMPLE_OF says what they are given of a study.

    Those of the project's own adapters that a run ships for: one more is its file, and its run.
    """
    found = {}
    for adapter in own_adapters():
        runs = shipped_runs(adapter)
        sample_of = getattr(load_adapter_module(adapter), "SAMPLE_OF", {}) if runs else {}
        for name in filter(runs.__contains__, sample_of):
            task = find_task(adapter, name)
            found[f"{adapter} {name}"] = Model(task=task, fitted=load_run(runs[name], task), sample_of=sample_of[name])
    return found


def within_scope(name: str, sample: Sample | InputError) -> Sample | InputError:
    """A sample for a task; where its facts lie outside the scope of the task's model, why, and no pixels."""
    if isinstance(sample, InputError):
        return sample
    outside = outside_scope(models()[name].fitted.manifest.scope, sample)
    return InputError(outside) if outside else sample


def ask_all(studies: Sequence[Mapping[str, Sample | InputError]]) -> list[list[Said]]:
    """Ask every model about all studies at once, for they are judged together; a task with no sample says why."""
    said = {
        name: iter(ask(model, [samples[name] for samples in studies if name in samples]))
        for name, model in models().items()
    }
    return [[next(said[name]) for name in samples] for samples in studies]


def ask(model: Model, samples: Sequence[Sample | InputError]) -> list[Said]:
    """Return what one model says of samples, and what it lays over each."""
    task, fitted = model.task, model.fitted
    given = [sample for sample in samples if isinstance(sample, Sample)]
    found = iter(predict(fitted, given, task.view_of, LEVEL) if given else ())
    return [
        _said(task, fitted, sample, next(found))
        if isinstance(sample, Sample)
        else Said(told=_told(fitted, _refused(fitted, str(sample))))
        for sample in samples
    ]


def mask_title(task: Task) -> str:
    """What a task's mask is called where it is laid over slices."""
    return f"{task.task} mask"


def _said(task: Task, fitted: Fitted, sample: Sample, found: Prediction) -> Said:
    told, names = _told(fitted, found), fitted.target.told_names
    labels = None if found.region is None else found.region.overlay()
    if labels is not None:
        sides = next(iter(sample.streams.values())).values.shape[-3:]
        mask = np.maximum(labels[tuple(slice(0, side) for side in sides)], 0).astype(np.uint8)
        return Said(told=told, title=mask_title(task), names=names, mask=as_stored(mask, sample))
    images = [name for name, stream in sample.streams.items() if stream.kind == "image"]
    if not names or not found.probabilities or not images:
        return Said(told=told)
    looked_for = max(names[-len(found.probabilities) :], key=lambda name: _chance(found, name))
    heat = np.maximum(heatmap(fitted, sample, images[0], names.index(looked_for)), 0)
    scaled = np.round(255 * heat / max(float(heat.max()), 1e-12)).astype(np.uint8)
    return Said(told=told, title=f"where the trunk looked for {looked_for.lower()} (no evidence)", heat=scaled)


def _chance(found: Prediction, name: str) -> float:
    """Probability of a finding; that nothing is found is none."""
    return -1.0 if is_nothing(name) else found.probabilities.get(name, 0.0)


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
