"""Arrays in, arrays out: an `.npz` of gyr, acc, mag and rate to one of attitudes, radii and sensors' health."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.health_state import STATES
from mainstem.adapters.sensor_fusion.laying import Laid, lay
from mainstem.adapters.sensor_fusion.motion_track import tell_attitudes
from mainstem.adapters.sensor_fusion.names import SENSORS, UNVERIFIED
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.fitted import load_run
from mainstem.core.task import Task, TrackAsk
from mainstem.data.robot.arrays import read_arrays
from mainstem.data.robot.estimates import NO_PROTECTION

Array = NDArray[np.float64]
NO_NORTH = "no magnetometer: headings count from where it headed first, in a doubt that grows"
CAUSAL_BALLS = "balls are those of attitudes told from the samples before them, as wide about smoothed ones"


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
    recording = read_arrays(path)
    laid = lay(recording)
    is_smoothed = ask.request.option("smooth") is not None
    told = tell_attitudes(laid.samples, laid.steps_s, load_run(ask.run, task), ask.level, is_smoothed)
    radius = f"radius{round(ask.level * 100)}_rad"
    packed = io.BytesIO()
    arrays: dict[str, Any] = {
        "quat": laid.at_readings(told.quat),
        radius: laid.at_readings(told.radius_rad),
        "health": np.nan_to_num(laid.at_readings(told.health.astype(np.float64))).astype(np.int8),
        "states": np.array([STATES[code] for code in sorted(STATES)]),
        "note": np.array(f"{radius}: {UNVERIFIED}; {NO_PROTECTION}"),
    }
    np.savez_compressed(packed, **arrays)
    write_atomically(out, packed.getvalue())
    how = "from all samples" if is_smoothed else "each from the samples before it"
    return (
        f"{np.isfinite(arrays['quat'][:, 0]).sum()} attitudes in {out}, {how}; {radius}: {UNVERIFIED}",
        *_left_out(laid),
        *([] if recording.find("magnetometer") else [NO_NORTH]),
        *([CAUSAL_BALLS] if is_smoothed and recording.find("magnetometer") else []),
        *(f"{name}: {words}" for name, words in named(told.health, laid.times).items()),
        NO_PROTECTION,
    )


def _left_out(laid: Laid) -> list[str]:
    """Say how many rows tell no attitude."""
    num = int((laid.rows < 0).sum())
    return (
        [f"{num:,} of {len(laid.rows):,} rows left out, NaN there: stamps repeat, go back or are none"] if num else []
    )


def named(health: NDArray[np.int8], times: Array) -> dict[str, str]:
    """Say of each sensor that was named anything when it first was, and for how long in all."""
    found = {}
    for column, name in enumerate(SENSORS):
        codes = health[:, column]
        parts = []
        for code in np.unique(codes[codes != 0]).tolist():
            places = np.flatnonzero(codes == code)
            seconds = len(places) * float(np.median(np.diff(times))) if len(times) > 1 else 0.0
            parts.append(f"{STATES[code]} for {seconds:.2f} s, first at {times[places[0]]:.2f} s")
        if parts:
            found[name] = ", ".join(parts)
    return found
