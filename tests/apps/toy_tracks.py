"""A task of recordings: numbers in a text file, whose running mean is told at each; its own code runs as any adapter's.

A file has a line a number; its name up to "-" is the recording's group. The mean of all of them is the baseline.
"""

from pathlib import Path

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.outputs import check_output
from mainstem.core.preparation import from_the_mean
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, FitConfig, Option, Task, TrackAsk, Tracked
from mainstem.data.table import read_samples

TARGET = Quantity(units="m")


def numbers(path: Path) -> np.ndarray:
    try:
        return np.array([float(line) for line in path.read_text().split()])
    except ValueError as error:
        raise InputError(f"{path.name} holds {error!s:.60}; give numbers") from error


def evaluate(task: Task, ask: TrackAsk, progress) -> dict:
    root = Path(ask.request.data)
    paths = sorted(root.glob("*.txt"))
    rng = np.random.default_rng(ask.dropout_seed)
    errors, groups = [], {}
    for done, path in enumerate(paths, 1):
        values = numbers(path)
        kept = values if ask.dropout_seed is None else np.delete(values, rng.integers(len(values)))
        error = float(abs(kept.mean() - values.mean())) + ask.seed
        errors.append(error)
        groups[path.stem.partition("-")[0]] = {"rmse": error}
        progress(path.name, done / len(paths))
    found, beside = float(np.mean(errors)), 2.0
    return {
        "split": "all", "n": len(paths), "metrics": {"rmse": found}, "baselines": {"mean": {"rmse": beside}},
        "difference": {"mean": {"value": found - beside, "low": found - 3, "high": found - 1}},
        "coverage": {
            "level": ask.level, "pooled": 1.0, "mean_width": 0.5,
            "by_group": {name: {"coverage": 1.0, "claim": "stated"} for name in groups},
        },
        "by_group": groups,
        "trials": [{"name": path.stem, "rmse": error} for path, error in zip(paths, errors, strict=True)],
    }  # fmt: skip


def predict(task: Task, ask: TrackAsk, out: Path) -> tuple[str, ...]:
    check_output(out, (), (".trk",))
    values = numbers(Path(ask.request.data))
    told = np.cumsum(values) / np.arange(1, len(values) + 1)
    if ask.request.option("backward"):
        told = told[::-1]
    out.write_text("\n".join(f"{value:g}" for value in told))
    return (f"{len(values)} numbers in {out}", *(f"channel {one}" for one in ask.request.values("channel")))


def read(request: DataRequest):
    return read_samples(Path(request.data), TARGET)


TASK = Task(
    name="toy",
    task="tracks",
    version="1",
    target=TARGET,
    config=FitConfig(num_folds=2),
    read=read,
    prepare=from_the_mean,
    options=(
        Option(name="backward", help="The last first.", kind="flag"),
        Option(name="channel", help="As name=column.", kind="several"),
        Option(name="unit", help="Of the numbers."),
    ),
    tracked=Tracked(evaluate=evaluate, predict=predict),
)
