"""What the diagnostics adapters that come with the package say of a study: each is asked, and answers or refuses."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters import load_adapter_module, own_adapters, shipped_runs
from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.predict import predict
from mainstem.core.prediction import Claim, Prediction
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.core.task import Task

ADAPTER = "diagnostics"
LEVEL = 0.9
Said = tuple[dict[str, Any], NDArray[np.uint8] | None]  # a prediction, and its mask (z, y, x) where it has one


@cache
def models() -> Mapping[str, tuple[Task, Fitted]]:
    """The tasks of the adapter that a run ships for, by name, each loaded once."""
    if ADAPTER not in own_adapters():
        return {}
    tasks: Mapping[str, Task] = load_adapter_module(ADAPTER).TASKS
    runs = shipped_runs(ADAPTER)
    return {name: (task, load_run(runs[name], task)) for name, task in tasks.items() if name in runs}


def ask_all(samples: Mapping[str, Sample | InputError]) -> list[Said]:
    """Ask every model of whose task there is a sample; one that could not be made is a reason to refuse."""
    return [ask(*models()[name], sample) for name, sample in samples.items() if name in models()]


def ask(task: Task, fitted: Fitted, sample: Sample | InputError) -> Said:
    """Return what one model says of a sample."""
    if isinstance(sample, InputError):
        found = _refused(fitted, str(sample))
    else:
        (found,) = predict(fitted, [sample], task.view_of, LEVEL)
    told = {**found.to_dict(), "calibration_sha256": calibration_sha256(fitted),
            "trained_on_simulations": fitted.manifest.simulated}  # fmt: skip
    labels = getattr(found.region, "labels", None)
    if labels is None or isinstance(sample, InputError):
        return told, None
    sides = next(iter(sample.streams.values())).values.shape[-3:]
    return told, np.maximum(labels[tuple(slice(0, side) for side in sides)], 0).astype(np.uint8)


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


def pixel_sha256(streams: Sequence[Stream]) -> str:
    """Hash of the values that models read."""
    digest = hashlib.sha256()
    for stream in streams:
        digest.update(np.ascontiguousarray(stream.values).tobytes())
    return digest.hexdigest()
