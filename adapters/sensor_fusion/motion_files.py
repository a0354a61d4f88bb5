"""Arrays in, arrays out: an `.npz` of gyr, acc, mag and rate to one of attitudes, radii and sensors' health."""

import io
from pathlib import Path

import numpy as np

from mainstem.adapters.sensor_fusion.motion_track import tell_attitudes
from mainstem.adapters.sensor_fusion.trials import inertial
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.fitted import load_run
from mainstem.core.task import Task, TrackAsk
from mainstem.data.robot.arrays import read_arrays


def predict_arrays(task: Task, ask: TrackAsk, out: Path) -> tuple[str, ...]:
    """Write `quat` (samples, 4), `radius90_rad` (samples,) and `health` (samples, 3) of an `.npz` to another.

    Raises:
        InputError: if either is none.
    """
    path = Path(ask.request.data)
    if path.suffix != ".npz" or out.suffix != ".npz":
        raise InputError(
            f"got {path.name} and --out {out.name}, want an .npz of gyr, acc, mag and rate, and one to write"
        )
    assert ask.run is not None
    samples, steps_s = inertial(read_arrays(path))
    is_smoothed = ask.request.option("smooth") is not None
    told = tell_attitudes(samples, steps_s, load_run(ask.run, task), ask.level, is_smoothed)
    packed = io.BytesIO()
    np.savez_compressed(packed, quat=told.quat, **{f"radius{round(ask.level * 100)}_rad": told.radius_rad})
    write_atomically(out, packed.getvalue())
    how = "from all samples" if is_smoothed else "each from the samples before it"
    return (f"{len(told.quat)} attitudes in {out}, {how}",)
