"""The attitude of an inertial sensor: an integrator that physics gives, and a trunk that says how far it may be off."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.integrated import Integrated, restore
from mainstem.adapters.sensor_fusion.recording_options import OPTIONS
from mainstem.adapters.sensor_fusion.settings import ALL
from mainstem.core.errors import InputError
from mainstem.core.progress import Progress
from mainstem.core.samples import SampleSet
from mainstem.core.targets import Rotation
from mainstem.core.task import DataRequest, FitConfig, Grouping, Task, TrackAsk, Tracked
from mainstem.core.training import TrainingConfig

Array = NDArray[np.float64]


def read(request: DataRequest) -> SampleSet:
    """Read moments of trials with an optical reference: of each once whole, and with sensors falling silent.

    Raises:
        InputError: if it is neither BROAD nor arrays with truth.
    """
    from mainstem.adapters.sensor_fusion.moments import moments_of
    from mainstem.adapters.sensor_fusion.trials import read_trials

    trials, facts = read_trials(request.data, request.mirror)
    return moments_of(trials, facts, ALL)


def evaluate(task: Task, ask: TrackAsk, progress: Progress) -> dict[str, Any]:
    """Score attitudes on trials of kinds that nothing was learned from; or poses on logs with truth, by their name.

    Raises:
        InputError: if silences or a run are asked for where poses are scored, of which nothing was learned.
    """
    from mainstem.adapters.sensor_fusion import humanoid, pose_evaluation
    from mainstem.adapters.sensor_fusion.motion_evaluation import evaluate_attitudes

    _refuse_beyond((), ask.request, "recordings that are scored")
    poses = {
        "husky": pose_evaluation.evaluate_husky,
        "comma2k19-example": pose_evaluation.evaluate_car,
        "plaza-uwb": pose_evaluation.evaluate_mower,
        "icub-walk": humanoid.evaluate_humanoid,
    }
    data = ask.request.data
    if data not in poses:
        return evaluate_attitudes(task, ask, progress)
    if ask.run is not None or ask.dropout_seed is not None:
        raise InputError(
            f"{data} is scored with sensors hidden, by a filter that learned nothing; "
            "leave --run and --dropout-seed out"
        )
    return poses[data](ask.request.mirror, ask.level)


def predict(task: Task, ask: TrackAsk, out: Path) -> tuple[str, ...]:
    """Write what is told of arrays to arrays, of any other recording to what robots' tools read."""
    from mainstem.adapters.sensor_fusion.motion_files import predict_arrays
    from mainstem.adapters.sensor_fusion.recordings import predict_recording

    if out.suffix == Path(ask.request.data).suffix == ".npz":
        _refuse_beyond(("smooth",), ask.request, "arrays that become arrays")
        return predict_arrays(task, ask, out)
    return predict_recording(task, ask, out)


def _refuse_beyond(known: tuple[str, ...], request: DataRequest, what: str) -> None:
    if idle := [f"--{name}" for name in request.options if name not in known]:
        raise InputError(f"{' and '.join(idle)} would change nothing for {what}; leave it out")


TASK = Task(
    name="sensor-fusion",
    task="motion",
    version="1",
    target=Rotation(),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=4, batch_size=64, lr_per_step=1e-3),
        num_folds=2,
        steps_per_token=24,
    ),
    read=read,
    prepare=Integrated.fit,
    restore=restore,
    optional=(),
    grouping=Grouping(name="trial"),
    options=OPTIONS,
    tracked=Tracked(evaluate=evaluate, predict=predict),
    known_failures=(
        "learned from one inertial unit, moved by hand: on another its covariance is not verified",
        "a gyroscope that is silent while the sensor turns fast leaves the heading to chance",
    ),
)
