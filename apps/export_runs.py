"""`mainstem runs export`: a run's curves and figures in the files of TensorBoard or MLflow, without their servers."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.records import METRICS_FILE, RECORD_FILE, read_record
from mainstem.core.schema import parse_object, printable

TRACKERS = ("tensorboard", "mlflow")
LARGEST_BYTES = 1 << 30  # of a metrics file: some millions of steps
MLFLOW_FILE = "mlflow.db"
LAST_STEP = 1 << 63  # that both trackers' files can say
AT_ONCE = 1000  # metrics that MLflow takes in one call
PLACES = ("step", "steps", "start")  # of a line: where it belongs, not what was found


def export(run: Path, tracker: str, out: Path) -> int:
    """Write a run's metrics to `out`, a folder; return how many values there were.

    Raises:
        InputError: if `run` is no run folder, its metrics are damaged, or the tracker refuses their names.
        MissingExtraError: if the tracker's own writer is not installed.
    """
    record, rows = read_record(run), list(_values(run / METRICS_FILE))
    write = {"tensorboard": _tensorboard, "mlflow": _mlflow}[tracker]
    write(run, _settings(record, run / RECORD_FILE), rows, out)
    return len(rows)


def _values(path: Path) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of all numbers; lines without a step count themselves.

    Raises:
        InputError: naming the line that holds none.
    """
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
            raise InputError(
                f"{path} is absent or larger than 1 GiB; name a run folder that finetune or pretrain wrote"
            )
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({printable(error)}); check its rights") from error
    for number, line in enumerate(lines):
        row = parse_object(line, f"{path}, line {number + 1}", InputError)
        step = row.pop("step", number)
        if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < LAST_STEP:
            raise InputError(f"{path}, line {number + 1}: the step is {printable(step)}, want a whole number; mend it")
        for name, value in row.items():
            if name not in PLACES and isinstance(value, int | float) and not isinstance(value, bool):
                yield name, _as_float(value, f"{path}, line {number + 1}: {printable(name)}"), step


def _as_float(value: float, name: str) -> float:
    try:
        return float(value)
    except OverflowError as error:  # JSON's whole numbers have no end
        raise InputError(f"{name} is {printable(value)}, which no float holds; mend it") from error


def _settings(record: Mapping[str, Any], path: Path) -> dict[str, str]:
    """What a tracker lists as a run's parameters.

    Raises:
        InputError: if the record says none.
    """
    spec = record["spec"]
    config = spec.get("config", spec)  # a pretraining's spec has no config
    training = config.get("training") if isinstance(config, dict) else None
    if not isinstance(training, dict):
        raise InputError(f"{path} is damaged: spec has no training; restore it from a copy or train it again")
    named = {name: record.get(name) for name in ("adapter", "task", "data", "seed", "code", "adapter_sha256")}
    return {name: str(value) for name, value in {**named, **training}.items()}


def _tensorboard(run: Path, told: Mapping[str, str], rows: list[tuple[str, float, int]], out: Path) -> None:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboardX", "tracking") from error
    with SummaryWriter(logdir=str(out / run.resolve().name)) as writer:
        writer.add_text("settings", json.dumps(told, indent=2))
        for name, value, step in rows:
            writer.add_scalar(name, value, step)


def _mlflow(run: Path, told: Mapping[str, str], rows: list[tuple[str, float, int]], out: Path) -> None:
    try:
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise MissingExtraError("mlflow-skinny", "tracking") from error
    out.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{out.resolve() / MLFLOW_FILE}")  # its folders are no longer kept up
    name = f"{told['adapter']}-{told['task']}"
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name, out.resolve().as_uri())
    made = client.create_run(experiment, run_name=run.resolve().name).info.run_id
    metrics = [Metric(key, value, 0, step) for key, value, step in rows]
    try:
        client.log_batch(made, params=[Param(key, value[:500]) for key, value in told.items()])
        for start in range(0, len(metrics), AT_ONCE):
            client.log_batch(made, metrics=metrics[start : start + AT_ONCE])
    except MlflowException as error:
        client.delete_run(made)
        raise InputError(f"MLflow takes no such run ({printable(error, 200)}); export it to tensorboard") from error
    client.set_terminated(made)
