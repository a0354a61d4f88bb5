"""`mainstem runs export`: a run's curves and figures in the files of TensorBoard or MLflow, without their servers."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.records import METRICS_FILE, read_record

TRACKERS = ("tensorboard", "mlflow")
LARGEST_BYTES = 1 << 30  # of a metrics file: some millions of steps
MLFLOW_FILE = "mlflow.db"
AT_ONCE = 1000  # metrics that MLflow takes in one call


def export(run: Path, tracker: str, out: Path) -> int:
    """Write a run's metrics to `out`, a folder; return how many values there were.

    Raises:
        InputError: if `run` is no run folder, or its metrics are damaged.
        MissingExtraError: if the tracker's own writer is not installed.
    """
    record, rows = read_record(run), list(_values(run / METRICS_FILE))
    write = {"tensorboard": _tensorboard, "mlflow": _mlflow}[tracker]
    write(run, record, rows, out)
    return len(rows)


def _values(path: Path) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of all numbers; lines without a step count themselves."""
    if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path} is absent or larger than 1 GiB; name a run folder that finetune or pretrain wrote")
    for number, line in enumerate(path.read_text().splitlines()):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number + 1}: not JSON; restore it from a copy") from error
        step = int(row.get("step", number))
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                yield name, float(value), step


def _settings(record: Mapping[str, Any]) -> dict[str, str]:
    """What a tracker lists as a run's parameters."""
    spec = record["spec"]
    training = spec.get("config", spec)["training"]  # a pretraining's spec has no config
    named = {name: record[name] for name in ("adapter", "task", "data", "seed", "code", "adapter_sha256")}
    return {name: str(value) for name, value in {**named, **training}.items()}


def _tensorboard(run: Path, record: Mapping[str, Any], rows: list[tuple[str, float, int]], out: Path) -> None:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboardX", "tracking") from error
    with SummaryWriter(logdir=str(out / run.resolve().name)) as writer:
        writer.add_text("settings", json.dumps(_settings(record), indent=2))
        for name, value, step in rows:
            writer.add_scalar(name, value, step)


def _mlflow(run: Path, record: Mapping[str, Any], rows: list[tuple[str, float, int]], out: Path) -> None:
    try:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise MissingExtraError("mlflow-skinny", "tracking") from error
    out.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{out.resolve() / MLFLOW_FILE}")  # its folders are no longer kept up
    name = f"{record['adapter']}-{record['task']}"
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name, out.resolve().as_uri())
    made = client.create_run(experiment, run_name=run.resolve().name).info.run_id
    client.log_batch(made, params=[Param(key, value[:500]) for key, value in _settings(record).items()])
    metrics = [Metric(key, value, 0, step) for key, value, step in rows]
    for start in range(0, len(metrics), AT_ONCE):
        client.log_batch(made, metrics=metrics[start : start + AT_ONCE])
    client.set_terminated(made)
