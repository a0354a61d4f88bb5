"""Trials with an optical reference: BROAD by its name, or arrays with truth of one's own."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.laying import lay
from mainstem.adapters.sensor_fusion.scoring import Trial
from mainstem.core.errors import InputError
from mainstem.core.stream import NO_LICENCE
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.robot.arrays import read_arrays

Array = NDArray[np.float64]
BROAD = "broad"
KINDS = ("stationary_magnet", "attached_magnet", "tapping", "vibration", "combined", "rotation", "translation")


def read_trials(data: str, mirror: Path | None) -> tuple[list[Trial], Mapping[str, str]]:
    """Return trials, and name, licence and attribution of the data that they come from.

    Raises:
        InputError: if the data are neither BROAD nor `.npz` files with truth.
    """
    if data == BROAD:
        found = find_data_set(BROAD)
        paths = sorted(pull(BROAD, mirror).glob("*.npz"))
        facts = {"name": BROAD, "licence": found.licence, "attribution": found.attribution}
    else:
        paths = sorted(Path(data).glob("*.npz")) if Path(data).is_dir() else [Path(data)]
        facts = {"name": own_name(Path(data).name), "licence": NO_LICENCE, "attribution": ""}
    if not paths or any(path.suffix != ".npz" or not path.is_file() for path in paths):
        raise InputError(
            f"got {data!r:.100}, want {BROAD}, an .npz of gyr, acc, mag, rate and quat, or a folder of them"
        )
    return [read_trial(path) for path in paths], facts


def read_trial(path: Path) -> Trial:
    """Return a file's trial.

    Raises:
        InputError: if it has no truth, or cannot be read.
    """
    recording = read_arrays(path)
    laid = lay(recording)
    truth = recording.sensors.get("truth.orientation")
    if truth is None:
        raise InputError(f"{path.name} has no quat, the true attitude (samples, 4); learning and scoring need it")
    moving = recording.sensors.get("truth.movement")
    used = laid.rows >= 0
    quat, scored = np.full((len(laid.times), 4), np.nan), np.zeros(len(laid.times), bool)
    quat[laid.rows[used]] = truth.values[used]
    scored[laid.rows[used]] = True if moving is None else moving.values[used, 0] > 0
    return Trial(
        name=path.stem, kind=kind_of(path.stem), samples=laid.samples, steps_s=laid.steps_s, quat=quat, scored=scored
    )


def kind_of(name: str) -> str:
    """Return what was done in a trial, as BROAD groups its trials: the first of KINDS that the name holds."""
    return next((kind for kind in KINDS if kind in name), name)
